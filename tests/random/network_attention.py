"""Attention: torch's module with its packed projection, by hand, and in the layers of a transformer."""

from network_layers import layer

NEURONS = {"relu": "torch.relu", "gelu": "F.gelu"}


def attention(w, h, d):
    """Write attention over the positions of a sequence; return its variable and width."""
    z = w.fresh("z")
    heads = w.r.choice([n for n in (1, 2, 3) if d % n == 0])
    w.r.choice([_module, _module, _by_hand, _encoder, _decoder])(w, h, d, heads, z)
    return z, d


def _others(w, h, d):
    """Return what keys and values are made of: the same rows, or other ones of the same width."""
    if w.r.random() < 0.7:
        return h
    other = w.fresh("o")
    w.line(f"{other} = torch.cat([{h}.sin(), {h}[:, :1]], 1)")
    return other


def _module(w, h, d, heads, z):
    """nn.MultiheadAttention: its packed weight is three layers."""
    r, m, other = w.r, w.fresh(), _others(w, h, d)
    first, bias, unlike = r.random() < 0.5, r.random() < 0.7, r.random() < 0.2
    masked, needed = other == h and r.random() < 0.3, r.random() < 0.5
    sizes = f", kdim={d}, vdim={d + 1}" if unlike else ""
    w.make(f"self.{m} = nn.MultiheadAttention({d}, {heads}, bias={bias}, batch_first={first}{sizes})")
    if bias:
        w.make(f"self.{m}.in_proj_bias.data.normal_(0, 0.3)")
    values = other
    if unlike:
        values = w.fresh("o")
        w.line(f"{values} = torch.cat([{other}, {other}[..., :1].cos()], -1)")
    given = [each if first else f"{each}.transpose(0, 1)" for each in (h, other, values)]
    mask = f", attn_mask=torch.ones({w.T}, {w.T}, dtype=torch.bool).triu(1)" if masked else ""
    call = f"self.{m}({', '.join(given)}, need_weights={needed}{mask})[0]"
    right = _attended(m, h, other, values, heads, bias, unlike, f"earlier({w.T})" if masked else "None")
    w.line(f"{z} = {call}{'' if first else '.transpose(0, 1)'}", f"{z} = {right}")
    if r.random() < 0.5:
        w.line(f"{z} = {z} + {h}")


def _attended(m, h, keys, values, heads, bias, unlike, mask):
    """Return attention by the weights of a module."""
    found = []
    for number, (part, rows) in enumerate(zip("qkv", (h, keys, values), strict=True)):
        name = f"{m}.{part}_proj_weight" if unlike else f"{m}.{part}"
        W = f"P['{name}']" if unlike else f"P['{m}.in_proj_weight'].chunk(3)[{number}]"
        found.append(f"tap('{name}', {W}, {rows})" + (f" + P['{m}.in_proj_bias'].chunk(3)[{number}]" if bias else ""))
    b = f" + P['{m}.out_proj.bias']" if bias else ""
    return f"tap('{m}.out_proj', P['{m}.out_proj.weight'], attend({', '.join(found)}, {heads}, {mask})){b}"


def _by_hand(w, h, d, heads, z):
    """Queries, keys and values by layers of their own or by a packed one, and torch's product of them or a softmax."""
    r, q, k, v = w.r, *(w.fresh("s") for _ in range(3))
    other = _others(w, h, d)
    if other == h and r.random() < 0.4:
        m = w.fresh()
        w.make(f"self.{m} = nn.Linear({d}, {3 * d})")
        packed = f"(tap('{m}', P['{m}.weight'], {h}) + P['{m}.bias'])"
        way = r.choice(["chunk(3, -1)", f"split({d}, -1)", f"unflatten(-1, (3, {d})).unbind(-2)"])
        w.line(f"{q}, {k}, {v} = self.{m}({h}).{way}", f"{q}, {k}, {v} = {packed}.chunk(3, -1)")
    else:
        for name, rows in ((q, h), (k, other), (v, other)):
            layer(w, rows, d, d, name)
    causal = other == h and r.random() < 0.3
    apart = [f"{each}.unflatten(-1, ({heads}, -1)).transpose(1, 2)" for each in (q, k, v)]
    if r.random() < 0.6:
        call = f"F.scaled_dot_product_attention({', '.join(apart)}, is_causal={causal})"
    else:
        causal = False
        call = f"(({apart[0]} @ {apart[1]}.mT) / {(d // heads) ** 0.5}).softmax(-1) @ {apart[2]}"
    w.line(
        f"{z} = ({call}).transpose(1, 2).flatten(2)",
        f"{z} = attend({q}, {k}, {v}, {heads}, {f'earlier({w.T})' if causal else None})",
    )


def _encoder(w, h, d, heads, z):
    """nn.TransformerEncoderLayer: attention and two layers, each beside its input, with norms before or behind."""
    m, before, neuron, first = _made(w, "Encoder", d, heads)
    w.line(_called(m, [h], first, z), "pass")

    def attended(x):
        return _attended(f"{m}.self_attn", x, x, x, heads, True, False, "None")

    _in_formulas(w, m, h, z, before, [attended, lambda x: _fed(m, x, neuron)], d)


def _decoder(w, h, d, heads, z):
    """nn.TransformerDecoderLayer: attention to its own rows, to other rows, and two layers."""
    other = _others(w, h, d)
    m, before, neuron, first = _made(w, "Decoder", d, heads)
    w.line(_called(m, [h, other], first, z), "pass")

    def attended(x):
        return _attended(f"{m}.self_attn", x, x, x, heads, True, False, "None")

    def across(x):
        return _attended(f"{m}.multihead_attn", x, other, other, heads, True, False, "None")

    _in_formulas(w, m, h, z, before, [attended, across, lambda x: _fed(m, x, neuron)], d)


def _made(w, kind, d, heads):
    r, m = w.r, w.fresh()
    before, neuron, first = r.random() < 0.5, "gelu" if w.half else r.choice(list(NEURONS)), r.random() < 0.6
    options = f"activation='{neuron}', norm_first={before}, batch_first={first}"
    w.make(f"self.{m} = nn.Transformer{kind}Layer({d}, {heads}, {r.randint(4, 7)}, {options})")
    return m, before, neuron, first


def _called(m, given, first, z):
    if first:
        return f"{z} = self.{m}({', '.join(given)})"
    return f"{z} = self.{m}({', '.join(f'{each}.transpose(0, 1)' for each in given)}).transpose(0, 1)"


def _in_formulas(w, m, h, z, before, parts, d):
    """Write x + part(norm(x)) for each part, or norm(x + part(x))."""
    w.plain.append(f"{z} = {h}")
    for number, part in enumerate(parts, 1):
        affine = f"({d},), P['{m}.norm{number}.weight'], P['{m}.norm{number}.bias']"
        if before:
            x = w.fresh("x")
            w.plain += [f"{x} = F.layer_norm({z}, {affine})", f"{z} = {z} + {part(x)}"]
        else:
            w.plain += [f"{z} = F.layer_norm({z} + {part(z)}, {affine})"]


def _fed(m, x, neuron):
    inner = f"{NEURONS[neuron]}(tap('{m}.linear1', P['{m}.linear1.weight'], {x}) + P['{m}.linear1.bias'])"
    return f"tap('{m}.linear2', P['{m}.linear2.weight'], {inner}) + P['{m}.linear2.bias']"
