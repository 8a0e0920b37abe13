"""Blocks of a network: what stands beside, around and behind its layers. Each returns its variable and width."""

from network_attention import attention
from network_changes import change
from network_convolutions import convolution
from network_layers import layer
from network_recurrent import recurrent, side_by_side


def block(w, h, d):
    """Write one block of some kind, from a variable of width d."""
    kinds = [*BLOCKS, *[_plain] * 3, *(ALONE if w.T is None else [attention, attention])]
    kinds += [] if w.T is None or w.half else [recurrent]
    kinds += [_joined] * 6 if w.more else []
    return w.r.choice(kinds)(w, h, d)


def _plain(w, h, d):
    z, k = w.fresh("z"), w.r.randint(3, 6)
    layer(w, h, d, k, z)
    change(w, z, k, None)
    return z, k


def _residual(w, h, d):
    z = w.fresh("z")
    layer(w, h, d, d, z)
    change(w, z, d, h)
    w.line(f"{z} = {z} + {h}")
    return z, d


def _dense(w, h, d):
    z, k = w.fresh("z"), w.r.randint(3, 6)
    layer(w, h, d, k, z)
    change(w, z, k, None)
    w.line(f"{z} = torch.cat([{h}, {z}], -1)")
    return z, d + k


def _gate(w, h, d):
    z, g, k = w.fresh("z"), w.fresh("g"), w.r.randint(3, 6)
    layer(w, h, d, k, z)
    layer(w, h, d, k, g)
    change(w, z, k, None)
    w.line(f"{z} = {z} * torch.sigmoid({g})")
    return z, k


def _reuse(w, h, d):
    """A module called twice is one layer."""
    z, m = w.fresh("z"), w.fresh()
    w.make(f"self.{m} = nn.Linear({d}, {d}, bias=False)")
    for rows in (h, z):
        w.line(f"{z} = self.{m}({rows})", f"{z} = tap('{m}', P['{m}.weight'], {rows})")
        change(w, z, d, None)
    return z, d


def _tied(w, h, d):
    """A weight used as it is and transposed is two layers."""
    z, m, k = w.fresh("z"), w.fresh(), w.r.randint(3, 6)
    w.make(f"self.{m} = nn.Linear({d}, {k}, bias=False)")
    W = f"P['{m}.weight']"
    w.line(f"{z} = self.{m}({h})", f"{z} = tap('{m}', {W}, {h})")
    change(w, z, k, None)
    w.line(f"{z} = F.linear({z}, self.{m}.weight.T)", f"{z} = tap('{m}.T', {W}.T, {z})")
    change(w, z, d, None)
    return z, d


def _shared(w, h, d):
    """A parameter of two modules is a layer of each."""
    z, one, two = w.fresh("z"), w.fresh(), w.fresh()
    w.make(f"self.{one} = nn.Linear({d}, {d}); self.{two} = nn.Linear({d}, {d}, bias=False)")
    w.make(f"self.{two}.weight = self.{one}.weight")
    w.line(f"{z} = self.{one}({h})", f"{z} = tap('{one}', P['{one}.weight'], {h}) + P['{one}.bias']")
    change(w, z, d, None)
    w.line(f"{z} = self.{two}({z})", f"{z} = tap('{two}', P['{two}.weight'], {z})")
    return z, d


def _checkpointed(w, h, d):
    z, m, k = w.fresh("z"), w.fresh(), w.r.randint(3, 6)
    w.make(f"self.{m} = nn.Linear({d}, {k})")
    way = w.r.choice([".tanh_()", ".mul_(0.5)", ".tanh()"])
    w.line(
        f"{z} = checkpoint(lambda t: self.{m}(t){way}, {h}, use_reentrant={w.r.random() < 0.5})",
        f"{z} = (tap('{m}', P['{m}.weight'], {h}) + P['{m}.bias'])" + way.replace("_(", "("),
    )
    return z, k


def _loose(w, h, d):
    """A layer that no output depends on."""
    layer(w, h, d, w.r.randint(3, 6), w.fresh("z"))
    return h, d


def _detached(w, h, d):
    z, m = w.fresh("z"), w.fresh()
    w.make(f"self.{m} = nn.Linear({d}, {d})")
    w.missing.add(m)
    w.line(
        f"{z} = {h} + torch.sigmoid(self.{m}({h})).detach()",
        f"{z} = {h} + torch.sigmoid(tap('{m}', P['{m}.weight'], {h}) + P['{m}.bias']).detach()",
    )
    return z, d


def _experts(w, h, d):
    """Rows go to one of two layers."""
    z, one, two, i = w.fresh("z"), w.fresh(), w.fresh(), w.fresh("i")
    k = w.r.randint(3, 6)
    w.made += [f"self.{m} = nn.Linear({d}, {k})" for m in (one, two)]
    w.routed |= {one, two}
    w.line(f"{i} = {h}.detach()[:, 0] > 0")
    w.line(
        f"{z} = {h}.new_zeros(len({h}), {k}); {z}[{i}], {z}[~{i}] = self.{one}({h}[{i}]), self.{two}({h}[~{i}])",
        f"{z} = {h}.new_zeros(len({h}), {k})"
        f".index_put(({i},), tap('{one}', P['{one}.weight'], {h}[{i}]) + P['{one}.bias'])"
        f".index_put((~{i},), tap('{two}', P['{two}.weight'], {h}[~{i}]) + P['{two}.bias'])",
    )
    return z, k


def _joined(w, h, d):
    """The second input beside, or through a layer of its own."""
    z = w.fresh("z")
    if w.r.random() < 0.5:
        w.line(f"{z} = torch.cat([{h}, {w.more}], -1)")
        return z, d + 4
    layer(w, w.more, 4, d, z)
    w.line(f"{z} = {z}.tanh() * {h}")
    return z, d


BLOCKS = (
    _plain, _residual, _dense, _gate, _reuse, _tied, _shared, _checkpointed, _loose, _detached, *[convolution] * 3,
    side_by_side,
)  # fmt: skip
ALONE = (_experts,)
"""For rows without positions."""
