"""Convolutions over positions, over the entries of a row, and over pictures made of it; also transposed ones."""

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
"""What a convolution puts around its input, as modules and as `F.pad` call it."""


def convolution(w, h, d):
    """Write a convolution; return its variable and width."""
    z = w.fresh("z")
    axes = w.r.choice([1, 1, 2, 2, 3])
    if axes > 1:
        return z, _picture(w, h, d, axes, z)
    return z, _entries(w, h, d, z) if w.T is None else _positions(w, h, d, z)


def _entries(w, h, d, z):
    """Over the entries of a row."""
    m, k, q = w.fresh(), w.r.randint(3, 6), w.r.choice([1, 2, 3])
    w.make(f"self.{m} = nn.Conv1d(1, {k}, {q}, bias=False)")
    W = f"P['{m}.weight'].flatten(1)"
    w.line(
        f"{z} = self.{m}({h}[:, None]).sin().mean(-1)",
        f"{z} = tap('{m}', {W}, patches({h}[:, None], ({q},), (1,), (1,))).sin().mean(1)",
    )
    return k


def _positions(w, h, d, z):
    """Over the positions of a sequence, of which there are as many afterwards."""
    r, m, k = w.r, w.fresh(), w.r.randint(3, 6)
    W, made = f"P['{m}.weight']", f"self.{m} = nn.%s, bias=False)"
    way = r.choice(["same", "dilated", "depthwise", "groups", "transposed"])
    if way == "transposed":
        w.make(made % f"ConvTranspose1d({d}, {k}, 3, padding=1")
        apart = f"tap('{m}', {W}.flatten(1).T, {h})"
        w.line(f"{z} = self.{m}({h}.mT).mT", f"{z} = laid_out({apart}, (3,), (1,), (1,), (1,), (0,)).mT")
        return k
    step = 2 if way == "dilated" else 1
    groups = {"depthwise": d, "groups": 2 if d % 2 == 0 else 1}.get(way, 1)
    k = 2 * d if groups > 1 else k
    w.make(made % f"Conv1d({d}, {k}, 3, padding='same', dilation={step}, groups={groups}")
    rows = f"patches(F.pad({h}.mT, ({step}, {step})), (3,), (1,), ({step},))"
    w.line(f"{z} = self.{m}({h}.mT).mT", f"{z} = tap('{m}', {_blocks(W, groups)}, {rows}, {groups})")
    return k


def _picture(w, h, d, axes, z):
    """Over a picture (or a cube) that is made of a sample's numbers; its mean is what goes on."""
    r, m, p = w.r, w.fresh(), w.fresh("p")
    groups, k = r.choice([(1, 3), (1, 4), (1, 5), (2, 4)])
    # Products of the same numbers along each axis, or of the numbers and the positions.
    line = f"{h}[:, :5]" if w.T is None else f"{h}[:, 0, :5]"
    sides = [f"{line}[:, {', '.join(':' if a == axis else 'None' for a in range(axes))}]" for axis in range(axes)]
    if w.T is not None and axes == 2:
        w.line(f"{p} = {h}[:, None]")
    else:
        w.line(f"{p} = ({' * '.join(sides)})[:, None]")
    channels = 2 if groups == 2 or r.random() < 0.3 else 1
    if channels == 2:
        w.line(f"{p} = torch.cat([{p}, {p}.sin()], 1)")
    shape = {name: tuple(r.choice(among) for _ in range(axes)) for name, among in SHAPES.items()}
    kernel, stride, padding = (shape[name] for name in ("kernel", "stride", "padding"))
    # A picture may be three wide.
    dilation = tuple(1 if q == 3 else step for q, step in zip(kernel, shape["dilation"], strict=True))
    if r.random() < 0.35:
        more = tuple(r.randrange(s) if s > 1 else 0 for s in stride)
        # What is cut off at the ends leaves something of the smallest picture.
        padding = tuple(min(x, (q - 1) * step) for x, q, step in zip(padding, kernel, dilation, strict=True))
        made = f"ConvTranspose{axes}d({channels}, {k}, {kernel}, {stride}, {padding}, {more}, {groups}"
        w.make(f"self.{m} = nn.{made}, bias=True, dilation={dilation})")
        W = f"P['{m}.weight'].flatten(1)"
        W = f"torch.block_diag(*{W}.unflatten(0, ({groups}, -1)).mT)"
        apart = f"tap('{m}', {W}, {p}.movedim(1, -1), {groups})"
        right = f"laid_out({apart}, {kernel}, {stride}, {dilation}, {padding}, {more})"
    else:
        mode = r.choice(list(MODES))
        made = f"Conv{axes}d({channels}, {k}, {kernel}, {stride}, {padding}, {dilation}, {groups}"
        w.make(f"self.{m} = nn.{made}, padding_mode='{mode}')")
        around = tuple(side for size in padding[::-1] for side in (size, size))
        rows = f"F.pad({p}, {around}, mode='{MODES[mode]}')"
        rows = f"patches({rows}, {kernel}, {stride}, {dilation})"
        W = _blocks(f"P['{m}.weight']", groups)
        right = f"tap('{m}', {W}, {rows}, {groups}).movedim(-1, 1)"
    bias = f"P['{m}.bias'][(slice(None), *[None] * {axes})]"
    last = "{z} = {z}.sin().flatten(2).mean(-1)"
    last += "" if w.T is None else "[:, None] + {h}[..., :1]"
    w.line(f"{z} = self.{m}({p})", f"{z} = {right} + {bias}")
    w.line(last.format(z=z, h=h))
    return k


SHAPES = {"kernel": (1, 2, 2, 3), "stride": (1, 1, 2), "padding": (0, 0, 1), "dilation": (1, 1, 2)}
"""Along each axis."""


def _blocks(W, groups):
    """Return the kernel as a matrix, group by group on the diagonal."""
    return f"torch.block_diag(*{W}.unflatten(0, ({groups}, -1)).flatten(2))"
