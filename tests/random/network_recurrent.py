"""Recurrent layers over the positions of a sequence, and weights that hold a matrix for each position or member."""

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(w, h, d):
    """Write a recurrent layer of torch's; return its variable and width."""
    r, z, m, k = w.r, w.fresh("z"), w.fresh(), w.r.randint(2, 4)
    kind = r.choice(list(GATES))
    layers, both, bias, first = r.choice([1, 1, 2]), r.random() < 0.4, r.random() < 0.7, r.random() < 0.6
    options = f"num_layers={layers}, bidirectional={both}, bias={bias}, batch_first={first}"
    w.make(f"self.{m} = nn.{kind}({d}, {k}, {options})")
    w.line(f"{z} = self.{m}({h})[0]" if first else f"{z} = self.{m}({h}.transpose(0, 1))[0].transpose(0, 1)", "pass")
    w.plain.append(f"{z} = {h}")
    for layer in range(layers):
        ways = [f"one_way({z}, tap, P, '{m}', '_l{layer}', '{kind}')"]
        ways += [f"one_way({z}, tap, P, '{m}', '_l{layer}_reverse', '{kind}')"] if both else []
        w.plain.append(f"{z} = torch.cat([{', '.join(ways)}], -1)")
    return z, k * (1 + both)


def side_by_side(w, h, d):
    """Write a product with several matrices, each a layer: one for each position, or members of an ensemble."""
    r, z, m, k = w.r, w.fresh("z"), w.fresh(), w.r.randint(3, 5)
    count = w.T or r.choice([2, 3])
    upright = r.random() < 0.5
    w.parameter(m, count, *((k, d) if upright else (d, k)))
    if w.T is None:
        index, own = ("mkd" if upright else "mdk"), f"P['{m}'][i]" + ("" if upright else ".T")
        ways = [f"torch.einsum('nd,{index}->nmk', {h}, self.{m})"]
        ways += [] if upright else [f"({h}[:, None, None] @ self.{m}).squeeze(2)", f"({h} @ self.{m}).transpose(0, 1)"]
        rows = h
    else:
        index, own = ("tkd" if upright else "tdk"), f"P['{m}'][i]" + ("" if upright else ".T")
        ways = [f"torch.einsum('ntd,{index}->ntk', {h}, self.{m})"]
        ways += [f"torch.bmm({h}.transpose(0, 1), self.{m}{'.mT' if upright else ''}).transpose(0, 1)"]
        rows = f"{h}[:, i]"
    w.line(
        f"{z} = {r.choice(ways)}",
        f"{z} = torch.stack([tap(f'{m}.{{i}}', {own}, {rows}) for i in range({count})], 1)",
    )
    w.line(f"{z} = {z}.tanh()" if w.T else f"{z} = ({z}.sin() + {z}).mean(1)")
    return z, k
