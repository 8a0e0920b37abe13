"""The ways to write a layer z = W h + b: spellings of the product, and what a weight may be made of."""

WAYS = (
    *["linear"] * 4, "sequential", "functional", "at", "matmul", "einsum", "inner", "left", "columns", "aten", "masked",
    "ones", "low rank", "flat", "outer", "weight norm", "pruned", "packed", "scaled", "old spectral norm",
)  # fmt: skip
FLAT = ("addmm", "mm", "out", "flipped", "repeated", "copied", "sorted")
"""For rows without positions."""

CALLS = {
    "functional": "F.linear({h}, {w})",
    "at": "{h} @ {w}.T",
    "einsum": "torch.einsum('...d,kd->...k', {h}, {w})",
    "inner": "torch.inner({h}, {w})",
    "left": "({w} @ {h}.mT).mT",
    "columns": "torch.einsum('...d,kd->k...', {h}, {w}).movedim(0, -1)",
    "aten": "torch.ops.aten.linear.default({h}, {w})",
    "masked": "F.linear({h}, {w} * {w}_mask)",
    "ones": "F.linear({h}, {w} * torch.ones({k}, {d}, dtype={h}.dtype).tril(1))",
    "addmm": "torch.addmm(torch.zeros({k}, dtype={h}.dtype), {h}, {w}.T, alpha=2.0)",
    "mm": "torch.mm({h}, {w}.t())",
    "out": "torch.mm({h}, {w}.T, out={h}.new_empty(len({h}), {k}))",
    "flipped": "torch.einsum('nd,kd->kn', {h}, {w}).T",
    "scaled": "F.linear({h}, 1.5 * {w})",
    "repeated": "torch.bmm({h}[:, None], {w}.T.repeat(len({h}), 1, 1))[:, 0]",
    "copied": "torch.einsum('nd,nkd->nk', {h}, torch.stack([{w}] * len({h})))",
    "sorted": "F.linear({h}[{h}[:, 0].argsort()], {w})[{h}[:, 0].argsort().argsort()]",
}
"""With a parameter of shape k x d."""

WEIGHTS = {"ones": "{W}.tril(1)", "addmm": "2 * {W}", "scaled": "1.5 * {W}", "masked": "{W} * {W_mask}"}
"""W, where it is not the parameter itself."""


def layer(w, h, d, k, z):
    """Write z = W h + b in one of the ways, from a variable of width d to one of width k."""
    r, m = w.r, w.fresh()
    ways = [*WAYS, *(FLAT if w.T is None else ())]
    # torch has no matrix decompositions in half precision.
    ways += [] if w.half else ["spectral norm", "householder"]
    if k == d:
        ways += [] if w.half else ["matrix_exp", "cayley"]
        ways += ["linear out of grad"] if r.random() < 0.3 else []
    way, bias = r.choice(ways), r.random() < 0.6
    if way in CALLS:
        W, call, b = _parameter(w, m, way, h, d, k, bias)
    elif way in MODULES:
        W, call, b = MODULES[way](w, m, way, h, d, k, bias)
    elif way == "linear out of grad":
        w.make(f"self.{m} = nn.Linear({d}, {k}, bias=False)")
        w.missing.add(m)
        w.line(f"with torch.no_grad(): {z} = self.{m}({h})", f"{z} = tap('{m}', P['{m}.weight'], {h}).detach()")
        w.line(f"{z} = {z} + {h}")  # beside h, so that gradients reach what lies before
        return
    else:
        W, call, b = MADE[way](w, m, h, d, k)
    if way == "sorted":
        w.routed.add(m)  # where gradients reach it in later batches alone, its rows may come in no order that is known
    name = {"low rank": f"{m}a+{m}b", "outer": f"{m}a+{m}b", "sequential": f"{m}.0"}.get(way, m)
    w.line(f"{z} = {call}", f"{z} = tap('{name}', {W}, {h})" + (f" + {b}" if b else ""))


def _parameter(w, m, way, h, d, k, bias):
    w.parameter(m, k, d)
    if way == "masked":
        w.make(f"self.register_buffer('{m}_mask', (torch.rand({k}, {d}) < 0.7).float())")
    W = WEIGHTS.get(way, "{W}").format(W=f"P['{m}']", W_mask=f"P['{m}_mask']")
    call, b = CALLS[way].format(h=h, w=f"self.{m}", d=d, k=k), ""
    if bias and way in ("functional", "at", "einsum", "left"):
        b = f"P['{m}_b']"
        w.make(f"self.{m}_b = nn.Parameter(0.3 * torch.randn({k}))")
        call = f"{call[:-1]}, self.{m}_b)" if way == "functional" else f"{call} + self.{m}_b"
    return W, call, b


def _linear(w, m, way, h, d, k, bias):
    w.make(f"self.{m} = nn.Linear({d}, {k}, bias={bias})")
    return f"P['{m}.weight']", f"self.{m}({h})", f"P['{m}.bias']" if bias else ""


def _sequential(w, m, way, h, d, k, bias):
    w.make(f"self.{m} = nn.Sequential(nn.Linear({d}, {k}, bias={bias}), nn.Dropout(0.5))")
    return f"P['{m}.0.weight']", f"self.{m}({h})", f"P['{m}.0.bias']" if bias else ""


def _pruned(w, m, way, h, d, k, bias):
    w.make(f"self.{m} = prune.random_unstructured(nn.Linear({d}, {k}, bias=False), 'weight', 0.3)")
    return f"P['{m}.weight_orig'] * P['{m}.weight_mask']", f"self.{m}({h})", ""


def _weight_norm(w, m, way, h, d, k, bias):
    w.make(f"self.{m} = parametrizations.weight_norm(nn.Linear({d}, {k}, bias=False))")
    g, v = (f"P['{m}.parametrizations.weight.original{i}']" for i in (0, 1))
    return f"{g} * {v} / {v}.norm(dim=1, keepdim=True)", f"self.{m}({h})", ""


def _spectral_norm(w, m, way, h, d, k, bias):
    """W over u'Wv, the largest singular value once u and v have been iterated on."""
    old = way == "old spectral norm"
    made = "nn.utils.spectral_norm" if old else "parametrizations.spectral_norm"
    w.make(f"self.{m} = {made}(nn.Linear({d}, {k}, bias={bias}))")
    within = f"{m}.weight_" if old else f"{m}.parametrizations.weight."
    W = f"P['{within}{'orig' if old else 'original'}']"
    u, v = (f"P['{within}{name if old else f'0._{name}'}']" for name in "uv")
    return f"{W} / ({u} @ {W} @ {v})", f"self.{m}({h})", f"P['{m}.bias']" if bias else ""


def _orthogonal(w, m, way, h, d, k, bias):
    w.make(f"self.{m} = parametrizations.orthogonal(nn.Linear({d}, {k}, bias={bias}), orthogonal_map='{way}')")
    w.make(f"self.{m}.parametrizations.weight.original.data += 0.3 * torch.randn({k}, {d}).fill_diagonal_(0)")
    A, base = (f"P['{m}.parametrizations.weight.{name}']" for name in ("original", "0.base"))
    if way == "householder":
        W = f"({base} @ reflected({A}.mT)).mT" if k < d else f"{base} @ reflected({A})"
    else:
        X = f"({A}.tril() - {A}.tril().mT)"
        one = f"torch.eye({d}, dtype=torch.float64)"
        exp, cayley = f"torch.linalg.matrix_exp({X})", f"torch.linalg.solve({one} - {X} / 2, {one} + {X} / 2)"
        W = f"{base} @ {exp if way == 'matrix_exp' else cayley}"
    return W, f"self.{m}({h})", f"P['{m}.bias']" if bias else ""


MODULES = {
    "linear": _linear,
    "sequential": _sequential,
    "pruned": _pruned,
    "weight norm": _weight_norm,
    **dict.fromkeys(("spectral norm", "old spectral norm"), _spectral_norm),
    **dict.fromkeys(("householder", "matrix_exp", "cayley"), _orthogonal),
}
"""A module's own weight, or one that it makes of its parameters."""


def _matmul(w, m, h, d, k):
    w.parameter(m, d, k)
    return f"P['{m}'].T", f"torch.matmul({h}, self.{m})", ""


def _low_rank(w, m, h, d, k):
    w.parameter(f"{m}a", k, 2)
    w.parameter(f"{m}b", 2, d)
    return f"P['{m}a'] @ P['{m}b']", f"F.linear({h}, self.{m}a @ self.{m}b)", ""


def _outer(w, m, h, d, k):
    w.parameter(f"{m}a", k)
    w.parameter(f"{m}b", d)
    return f"torch.outer(P['{m}a'], P['{m}b'])", f"{h} @ torch.outer(self.{m}a, self.{m}b).T", ""


def _flat(w, m, h, d, k):
    w.parameter(m, k * d)
    w.line(f"with torch.no_grad(): {m} = self.{m}.reshape({k}, {d}) / {d**0.5:.3f}", "pass")
    return f"P['{m}'].reshape({k}, {d}) / {d**0.5:.3f}", f"F.linear({h}, {m})", ""


def _packed(w, m, h, d, k):
    w.parameter(m, k + 2, d)
    return f"P['{m}'][:{k}]", f"F.linear({h}, self.{m}.split([{k}, 2])[0])", ""


MADE = {"matmul": _matmul, "low rank": _low_rank, "outer": _outer, "flat": _flat, "packed": _packed}
"""What the network computes from parameters of other shapes."""
