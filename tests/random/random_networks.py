"""Random networks as programs, each beside the same network written with an explicit place for every product.

A program holds the module `Net`, as people write modules, and a function `plain` with the same formulas in float64,
nothing in place, where every product z = hW' goes through `tap`. There a zero is added that needs gradients: its
gradients are delta, without the package's probe. `compare` holds every layer's S, traces and cosines against them.
"""

import random

COMMON = """
import torch, nfa
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint
"""

COMPARE = '''
def measured_by_hand():
    """By layer: W and S from `plain`, and the rows."""
    P = {name: value.detach().double() for name, value in net.state_dict().items()}
    sites, blocks = [], {}

    def tap(name, W, h, groups=1):
        blocks[name] = torch.block_diag(*[torch.ones(len(W) // groups, len(W) // groups)] * groups)
        zero = torch.zeros(*h.shape[:-1], len(W), dtype=torch.float64, requires_grad=True)
        sites.append((name, W.detach(), zero))
        return h @ W.T + zero

    with torch.enable_grad():
        f = plain(P, X.double(), tap)
        f = chosen(f).reshape(len(X), -1)
        f = f + 0 * sum(zero.sum() for _, _, zero in sites)  # also where it depends on none
    S, rows, weights = {}, {}, {}
    for column in range(f.shape[1]):
        zeros = [zero for _, _, zero in sites]
        found = torch.autograd.grad(f[:, column].sum(), zeros, retain_graph=True, allow_unused=True)
        for (name, W, zero), gradient in zip(sites, found):
            D = (torch.zeros_like(zero) if gradient is None else gradient).reshape(-1, len(W))
            S[name] = S.get(name, 0) + D.T @ D
            if column == 0:
                rows[name] = rows.get(name, 0) + len(D)
                weights[name] = W
    return {name: (weights[name], S[name] * blocks[name] / rows[name], rows[name]) for name in S}


def compare():
    audit = nfa.audit(net, X, outputs=outputs, **options)
    by_hand = measured_by_hand()
    skipped = {each["name"] for each in audit.skipped}
    table = {layer["name"] for layer in audit}
    # An expert that all rows go to is a layer like any other.
    assert table - routed == set(by_hand) - missing - routed, (table, set(by_hand) - missing, audit.skipped)
    assert missing | (routed - table) <= skipped, (missing, routed, audit.skipped)
    for layer in audit:
        W, S, rows = by_hand[layer["name"]]
        name = layer["name"]
        assert layer["rows"] == rows, (name, layer["rows"], rows)
        assert torch.allclose(layer.weight.double(), W, rtol=tolerance, atol=tolerance), name
        size = float(S.norm())
        N, A = W.T @ W, W.T @ S @ W
        if "cancel to rounding" in layer["note"]:
            share = rounding + 20 * torch.finfo(X.dtype).eps * size
            assert float(A.trace()) <= share * float(N.trace()), (name, float(A.trace()))
            continue
        difference = float((layer.S - S).norm())
        # Deltas that cancel in part keep the rounding of what cancelled.
        slack = tolerance + 20 * torch.finfo(X.dtype).eps / max(size, 1e-30) ** 0.5
        assert difference <= slack * size, (name, "S", difference / max(size, 1e-300), size)
        if float(A.norm()) == 0:
            assert layer["agop_trace"] == 0 and layer["cosine"] != layer["cosine"], (name, layer.row)
            continue
        cosine = float((N * A).sum() / N.norm() / A.norm())
        spread = max(1.0, size * float(W.norm()) ** 2 / float(A.norm()))
        assert abs(layer["cosine"] - cosine) <= spread * slack, (name, layer["cosine"], cosine)
        for value, right in ((layer["agop_trace"], A.trace()), (layer["nfm_trace"], N.trace())):
            assert abs(value - float(right)) <= 2 * spread * slack * float(right), (name, value, float(right))
'''

SMOOTH = ("torch.tanh", "F.gelu", "F.silu", "torch.sigmoid", "F.softplus", "torch.sin")
KINKED = ("torch.relu", "F.leaky_relu", "F.elu")
TOLERANCE = {"float64": 1e-8, "float32": 1e-3, "float16": 0.03, "bfloat16": 0.2}


class Writer:
    """Writes one random network, line by line, in both ways."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.seed = seed
        self.made, self.net, self.plain = [], [], []
        self.missing, self.routed = set(), set()
        self.number = 0
        self.dtype = self.r.choices(["float32", "float64", "float16", "bfloat16"], [12, 6, 1, 1])[0]
        self.half = self.dtype in ("float16", "bfloat16")
        self.T = self.r.choice([None, None, 3, 4])
        self.activations = SMOOTH if self.half or self.r.random() < 0.3 else SMOOTH + KINKED

    def line(self, net, plain=None):
        self.net.append(net)
        self.plain.append(net if plain is None else plain)

    def fresh(self, letter="m"):
        self.number += 1
        return f"{letter}{self.number}"

    def layer(self, source, d, k, target):
        """z = W h + b, in one of the ways to write it."""
        r, m = self.r, self.fresh()
        ways = ["linear"] * 4 + [
            "functional",
            "at",
            "matmul",
            "einsum",
            "inner",
            "left",
            "columns",
            "aten",
            "masked",
            "ones",
        ]
        ways += ["low rank", "flat", "outer", "weight norm", "pruned", "packed", "scaled"]
        ways += ["linear out of grad"] if k == d and r.random() < 0.3 else []
        if self.T is None:
            ways += ["addmm", "mm", "out", "flipped"]
        way = r.choice(ways)
        bias = r.random() < 0.6
        W, name = f"P['{m}']", m
        h, z = source, target

        def parameter(*shape, name=m):
            scale = 1.0 / max(1, shape[-1]) ** 0.5 if len(shape) > 1 else 0.7
            self.made.append(f"self.{name} = nn.Parameter({scale:.3f} * torch.randn({', '.join(map(str, shape))}))")

        if way == "linear":
            self.made.append(f"self.{m} = nn.Linear({d}, {k}, bias={bias})")
            W, call, bias = f"P['{m}.weight']", f"self.{m}({h})", f"P['{m}.bias']" if bias else ""
        elif way in ("weight norm", "pruned"):
            made = f"nn.Linear({d}, {k}, bias=False)"
            if way == "pruned":
                self.made.append(f"self.{m} = prune.random_unstructured({made}, 'weight', 0.3)")
                W = f"P['{m}.weight_orig'] * P['{m}.weight_mask']"
            else:
                self.made.append(f"self.{m} = parametrizations.weight_norm({made})")
                g, v = (f"P['{m}.parametrizations.weight.original{i}']" for i in (0, 1))
                W = f"{g} * {v} / {v}.norm(dim=1, keepdim=True)"
            call, bias = f"self.{m}({h})", ""
        elif way == "matmul":
            parameter(d, k)
            W, call, bias = f"P['{m}'].T", f"torch.matmul({h}, self.{m})", ""
        elif way == "low rank":
            parameter(k, 2, name=f"{m}a"), parameter(2, d, name=f"{m}b")
            W, name, bias = f"P['{m}a'] @ P['{m}b']", f"{m}a+{m}b", ""
            call = f"F.linear({h}, self.{m}a @ self.{m}b)"
        elif way == "outer":
            parameter(k, name=f"{m}a"), parameter(d, name=f"{m}b")
            W, name, bias = f"torch.outer(P['{m}a'], P['{m}b'])", f"{m}a+{m}b", ""
            call = f"{h} @ torch.outer(self.{m}a, self.{m}b).T"
        elif way == "flat":
            parameter(k * d)
            self.line(f"with torch.no_grad(): {m} = self.{m}.reshape({k}, {d}) / {d**0.5:.3f}", "pass")
            W, call, bias = f"P['{m}'].reshape({k}, {d}) / {d**0.5:.3f}", f"F.linear({h}, {m})", ""
        elif way == "packed":
            parameter(k + 2, d)
            W, call, bias = f"P['{m}'][:{k}]", f"F.linear({h}, self.{m}.split([{k}, 2])[0])", ""
        elif way == "linear out of grad":
            self.made.append(f"self.{m} = nn.Linear({d}, {k}, bias=False)")
            self.missing.add(m)
            self.line(f"with torch.no_grad(): {z} = self.{m}({h})", f"{z} = tap('{m}', P['{m}.weight'], {h}).detach()")
            self.line(f"{z} = {z} + {h}")  # beside h, so that gradients reach what lies before
            return
        else:
            parameter(k, d)
            w = f"self.{m}"
            call = {
                "functional": f"F.linear({h}, {w})",
                "at": f"{h} @ {w}.T",
                "einsum": f"torch.einsum('...d,kd->...k', {h}, {w})",
                "inner": f"torch.inner({h}, {w})",
                "left": f"({w} @ {h}.mT).mT",
                "columns": f"torch.einsum('...d,kd->k...', {h}, {w}).movedim(0, -1)",
                "aten": f"torch.ops.aten.linear.default({h}, {w})",
                "masked": f"F.linear({h}, {w} * self.{m}_mask)",
                "ones": f"F.linear({h}, {w} * torch.ones({k}, {d}, dtype={h}.dtype).tril(1))",
                "addmm": f"torch.addmm(torch.zeros({k}, dtype={h}.dtype), {h}, {w}.T, alpha=2.0)",
                "mm": f"torch.mm({h}, {w}.t())",
                "out": f"torch.mm({h}, {w}.T, out={h}.new_empty(len({h}), {k}))",
                "flipped": f"torch.einsum('nd,kd->kn', {h}, {w}).T",
                "scaled": f"F.linear({h}, 1.5 * {w})",
            }[way]
            if way == "masked":
                self.made.append(f"self.register_buffer('{m}_mask', (torch.rand({k}, {d}) < 0.7).float())")
                W = f"P['{m}'] * P['{m}_mask']"
            W = {"ones": f"{W}.tril(1)", "addmm": f"2 * {W}", "scaled": f"1.5 * {W}"}.get(way, W)
            bias = f"P['{m}_b']" if bias and way in ("functional", "at", "einsum", "left") else ""
            if bias:
                self.made.append(f"self.{m}_b = nn.Parameter(0.3 * torch.randn({k}))")
                call = f"{call[:-1]}, self.{m}_b)" if way == "functional" else f"{call} + self.{m}_b"
        self.line(f"{z} = {call}", f"{z} = tap('{name}', {W}, {h})" + (f" + {bias}" if bias else ""))

    def write_to(self, z, k, other):
        """Something written in place: to z, to a part of it, or to a view of it."""
        a = round(self.r.uniform(0.3, 1.5), 2)
        half, v = k // 2, self.fresh("v")
        joined = f"{z} = torch.cat([%s, %s], -1)"
        first, rest = f"{z}[..., :{half}]", f"{z}[..., {half}:]"
        ways = [
            (f"{z}.tanh_()", f"{z} = {z}.tanh()"),
            (f"{z}.mul_({a}).add_(0.1)", f"{z} = {z} * {a} + 0.1"),
            (f"{z} *= {a}", f"{z} = {z} * {a}"),
            (f"{first} += {a}", joined % (f"{first} + {a}", rest)),
            (f"{first} *= {a}", joined % (f"{first} * {a}", rest)),
            (f"{first}.sin_()", joined % (f"{first}.sin()", rest)),
            (f"{z}[..., 0] = {z}[..., 1].tanh()", joined % (f"{z}[..., 1:2].tanh()", f"{z}[..., 1:]")),
            (f"{v} = {z}.view({z}.shape); {v}.sigmoid_()", f"{z} = {z}.sigmoid()"),
            (f"{z}.mT.mul_({a})", f"{z} = {z} * {a}"),
            (f"{v}, _ = {z}.split([{half}, {k - half}], -1); {v}.tanh_()", joined % (f"{first}.tanh()", rest)),
            (f"{z}.unbind(-1)[0].mul_({a})", joined % (f"{z}[..., :1] * {a}", f"{z}[..., 1:]")),
            (f"{v} = {z} * 1.0; {z}.tanh_(); {z} = {z} + {v}", f"{z} = {z}.tanh() + {z}"),
            (f"torch.tanh({z}, out={z})", f"{z} = torch.tanh({z})"),
            (f"F.dropout({z}, 0.5, self.training, inplace=True)", "pass"),
            (f"{z}.index_put_((torch.arange(len({z})),), torch.tensor({a}, dtype={z}.dtype), accumulate=True)",
             f"{z} = {z} + {a}"),
        ]  # fmt: skip
        if not self.half:
            ways += [
                (f"{z}.relu_()", f"{z} = {z}.relu()"),
                (f"F.relu({z}, inplace=True)", f"{z} = {z}.relu()"),
                (f"{z}.masked_fill_({z} < 0, 0.0)", f"{z} = torch.where({z} < 0, 0.0, {z})"),
                (f"{z}.clamp_(-1.0, 1.0)", f"{z} = {z}.clamp(-1.0, 1.0)"),
                (f"{z}[{z} < -0.2] = -0.2", f"{z} = torch.where({z} < -0.2, -0.2, {z})"),
            ]
        if other:
            ways += [(f"{z} += {other}", f"{z} = {z} + {other}")] * 3
        self.line(*self.r.choice(ways))

    def norm(self, z, k):
        m = self.fresh()
        kind = self.r.choice(["layer", "rms", "batch"])
        if kind == "layer":
            self.made.append(f"self.{m} = nn.LayerNorm({k})")
            self.line(f"{z} = self.{m}({z})", f"{z} = F.layer_norm({z}, ({k},), P['{m}.weight'], P['{m}.bias'])")
        elif kind == "rms" or self.T is not None:
            self.line(f"{z} = {z} * ({z}.square().mean(-1, keepdim=True) + 0.1).rsqrt()")
        else:
            self.made.append(f"self.{m} = nn.BatchNorm1d({k}); self.{m}.running_var.uniform_(0.5, 2)")
            stats = f"P['{m}.running_mean'], P['{m}.running_var'], P['{m}.weight'], P['{m}.bias']"
            self.line(f"{z} = self.{m}({z})", f"{z} = F.batch_norm({z}, {stats})")

    def activate(self, z, k, other):
        if self.r.random() < 0.5:
            for _ in range(self.r.choice([1, 1, 2])):
                self.write_to(z, k, other)
        if self.r.random() < 0.7:
            self.line(f"{z} = {self.r.choice(self.activations)}({z})")
        if self.r.random() < 0.2:
            self.norm(z, k)

    def block(self, h, d):
        """One block; returns its variable and width."""
        r, k = self.r, self.r.randint(3, 6)
        z = self.fresh("z")
        kinds = ["plain"] * 4 + [
            "residual",
            "dense",
            "gate",
            "reuse",
            "tied",
            "checkpoint",
            "loose",
            "detached",
            "experts",
            "convolution",
            "convolution",
        ]
        kind = r.choice(kinds)
        if kind == "experts" and self.T is not None:
            kind = "plain"
        if kind == "plain":
            self.layer(h, d, k, z)
            self.activate(z, k, None)
            return z, k
        if kind == "residual":
            self.layer(h, d, d, z)
            self.activate(z, d, h)
            self.line(f"{z} = {z} + {h}")
            return z, d
        if kind == "dense":
            self.layer(h, d, k, z)
            self.activate(z, k, None)
            self.line(f"{z} = torch.cat([{h}, {z}], -1)")
            return z, d + k
        if kind == "gate":
            g = self.fresh("g")
            self.layer(h, d, k, z)
            self.layer(h, d, k, g)
            self.activate(z, k, None)
            self.line(f"{z} = {z} * torch.sigmoid({g})")
            return z, k
        if kind in ("reuse", "tied"):
            m = self.fresh()
            out = d if kind == "reuse" else k
            self.made.append(f"self.{m} = nn.Linear({d}, {out}, bias=False)")
            W = f"P['{m}.weight']"
            self.line(f"{z} = self.{m}({h})", f"{z} = tap('{m}', {W}, {h})")
            self.activate(z, out, None)
            if kind == "reuse":
                self.line(f"{z} = self.{m}({z})", f"{z} = tap('{m}', {W}, {z})")
            else:
                self.line(f"{z} = F.linear({z}, self.{m}.weight.T)", f"{z} = tap('{m}.T', {W}.T, {z})")
            self.activate(z, d, None)
            return z, d
        if kind == "checkpoint":
            m = self.fresh()
            self.made.append(f"self.{m} = nn.Linear({d}, {k})")
            way = r.choice([".tanh_()", ".mul_(0.5)", ".tanh()"])
            self.line(
                f"{z} = checkpoint(lambda t: self.{m}(t){way}, {h}, use_reentrant={r.random() < 0.5})",
                f"{z} = (tap('{m}', P['{m}.weight'], {h}) + P['{m}.bias'])" + way.replace("_(", "("),
            )
            return z, k
        if kind == "convolution":
            return z, self.convolution(h, d, k, z)
        if kind == "loose":
            self.layer(h, d, k, z)
            return h, d
        if kind == "detached":
            m = self.fresh()
            self.made.append(f"self.{m} = nn.Linear({d}, {d})")
            self.missing.add(m)
            self.line(
                f"{z} = {h} + torch.sigmoid(self.{m}({h})).detach()",
                f"{z} = {h} + torch.sigmoid(tap('{m}', P['{m}.weight'], {h}) + P['{m}.bias']).detach()",
            )
            return z, d
        one, two, i = self.fresh(), self.fresh(), self.fresh("i")
        self.made += [f"self.{m} = nn.Linear({d}, {k})" for m in (one, two)]
        self.routed |= {one, two}
        self.line(f"{i} = {h}.detach()[:, 0] > 0")
        self.line(
            f"{z} = {h}.new_zeros(len({h}), {k}); {z}[{i}], {z}[~{i}] = self.{one}({h}[{i}]), self.{two}({h}[~{i}])",
            f"{z} = torch.where({i}[:, None], *(tap(m, P[m + '.weight'], {h}) + P[m + '.bias']"
            f" for m in ('{one}', '{two}')))",
        )
        return z, k

    def convolution(self, h, d, k, z):
        """A convolution over positions, or over the entries of a row; returns its width."""
        r, m, q = self.r, self.fresh(), self.r.choice([1, 2, 3])
        W, made = f"P['{m}.weight']", f"self.{m} = nn.%s, bias=False)"
        if self.T is None:
            self.made.append(made % f"Conv1d(1, {k}, {q}")
            rows = f"{h}.unfold(1, {q}, 1)"
            self.line(
                f"{z} = self.{m}({h}[:, None]).sin().mean(-1)",
                f"{z} = tap('{m}', {W}.flatten(1), {rows}).sin().mean(1)",
            )
            return k
        way = r.choice(["same", "dilated", "depthwise", "groups", "transposed"])
        if way == "transposed":
            self.made.append(made % f"ConvTranspose1d({d}, {k}, 3, padding=1")
            patches = f"tap('{m}', {W}.flatten(1).T, {h}).unflatten(-1, ({k}, 3))"
            self.line(
                f"{z} = self.{m}({h}.mT).mT",
                f"{z} = {patches}; {z} = sum(F.pad({z}[..., j], (0, 0, j, 2 - j)) for j in range(3))[:, 1:-1]",
            )
            return k
        step = 2 if way == "dilated" else 1
        groups = {"depthwise": d, "groups": 2 if d % 2 == 0 else 1}.get(way, 1)
        k = 2 * d if groups > 1 else k
        self.made.append(made % f"Conv1d({d}, {k}, 3, padding='same', dilation={step}, groups={groups}")
        patches = f"F.pad({h}, (0, 0, {step}, {step})).unfold(1, {2 * step + 1}, 1)[..., ::{step}].flatten(2)"
        kernels = f"torch.block_diag(*{W}.unflatten(0, ({groups}, -1)).flatten(2))"
        self.line(f"{z} = self.{m}({h}.mT).mT", f"{z} = tap('{m}', {kernels}, {patches}, {groups})")
        return k

    def program(self):
        r, d = self.r, self.r.randint(3, 6)
        shape = (12, d) if self.T is None else (12, self.T, d)
        h, width = "h", d
        self.line("h = x * 1.0")
        if r.random() < 0.2:
            self.line("h.mul_(0.5)", "h = h * 0.5")
        for _ in range(r.randint(1, 3)):
            h, width = self.block(h, width)
        if self.T is not None:
            way = r.choice(["mean", "flatten", "keep", "last"])
            if way == "mean":
                self.line(f"h = {h}.mean(1)")
            elif way == "flatten":
                self.line(f"h = {h}.flatten(1)")
                width *= self.T
            else:
                self.line(f"h = {h}" if way == "keep" else f"h = {h}[:, -1]")
            if way != "keep":
                self.T = None
            h = "h"
        c = r.randint(1, 3)
        self.layer(h, width, c, "f")
        choices = {
            "logits": "f",
            "output:0": "f.reshape(len(f), -1)[:, :1]",
            "lambda f: f.sin() + f * f": "f.sin() + f * f",
        }
        if c > 1 and not self.half:
            choices |= {
                "predicted": "f.gather(-1, f.argmax(-1, keepdim=True))[..., 0]",
                "margin": "f.topk(2, -1).values @ torch.tensor([1.0, -1.0], dtype=f.dtype)",
            }
            choices["probabilities"] = "f.softmax(-1)"
        outputs = r.choice(list(choices))
        several = r.choice([None, None, None, "dict", "tuple"])
        returned = {"dict": "{'y': f, 'rest': h}", "tuple": "(h, f)", None: "f"}[several]
        options = {"dict": "{'head': 'y'}", "tuple": "{'head': 1}", None: "{}"}[several]
        frozen = r.choice(["", "", "", "net.requires_grad_(False)", "next(net.parameters()).requires_grad_(False)"])
        batch = r.choice([512, 512, 5, 3])
        options = options[:-1] + (", " if len(options) > 2 else "") + f"'batch_size': {batch}}}"
        written = outputs if outputs.startswith("lambda") else repr(outputs)
        return "\n".join([
            f"# seed {self.seed}",
            COMMON,
            "class Net(nn.Module):",
            "    def __init__(self):",
            "        super().__init__()",
            *(f"        {line}" for line in self.made),
            "",
            "    def forward(self, x):",
            *(f"        {line}" for line in self.net),
            f"        return {returned}",
            "",
            "",
            "def plain(P, x, tap):",
            *(f"    {line}" for line in self.plain if line != "pass"),
            "    return f",
            "",
            f"torch.manual_seed({self.seed})",
            f"net = Net().to(torch.{self.dtype})",
            frozen,
            f"X = torch.randn({', '.join(map(str, shape))}).to(torch.{self.dtype})",
            f"outputs, options = {written}, {options}",
            f"missing, routed = {sorted(self.missing)}, {sorted(self.routed)}",
            "missing, routed = set(missing), set(routed)",
            f"chosen = lambda f: {choices[outputs]}",
            f"tolerance, rounding = {TOLERANCE[self.dtype]}, {1e-10 if self.dtype != 'float64' else 1e-24}",
            COMPARE,
        ])  # fmt: skip


def script(seed):
    return Writer(seed).program() + "\n\ncompare()\n"


def check(seed):
    import nfa

    names = {}
    exec(compile(Writer(seed).program(), f"network {seed}", "exec"), names)
    try:
        names["compare"]()
    except nfa.InputError as error:
        return f"{error.argument}: {error.problem[:60]}"
    return None
