"""Random networks as programs, each beside the same network written with an explicit place for every product.

A program holds the module `Net`, as people write modules, a function `plain` with the same formulas in float64, and
what compares the audit of the one with the gradients of the other (`network_oracle`). Its parts are a file each: ways
to write a layer, what happens to its z, blocks, convolutions, attention, and forms of data.
"""

from network_blocks import block
from network_data import data
from network_layers import layer
from network_oracle import COMPARE, FORMULAS, IMPORTS, TOLERANCE
from network_writer import Writer

FROZEN = ("", "", "", "net.requires_grad_(False)", "next(net.parameters()).requires_grad_(False)")


def check(seed):
    import nfa

    names = {}
    exec(compile(program(seed), f"network {seed}", "exec"), names)
    try:
        names["compare"]()
    except nfa.InputError as error:
        return f"{error.argument}: {error.problem[:60]}"
    return None


def script(seed):
    return program(seed) + "\n\ncompare()\n"


def program(seed):
    """Return the program of a seed."""
    w = Writer(seed)
    r, d = w.r, w.r.randint(3, 6)
    arguments, inputs, handed, options = data(w, d)
    h, width = "h", d
    if r.random() < 0.2:
        w.line("h.mul_(0.5)", "h = h * 0.5")
    for _ in range(r.randint(1, 3)):
        h, width = block(w, h, width)
    width = _pooled(w, h, width)
    c = r.randint(1, 3)
    layer(w, "h", width, c, "f")
    outputs, chosen = _outputs(w, c)
    several = r.choice([None, None, None, "dict", "tuple"])
    returned = {"dict": "{'y': f, 'rest': h}", "tuple": "(h, f)", None: "f"}[several]
    options |= {"dict": {"head": "'y'"}, "tuple": {"head": 1}, None: {}}[several]
    options["batch_size"] = r.choice([512, 512, 5, 3])
    return "\n".join([
        f"# seed {seed}",
        IMPORTS,
        FORMULAS,
        "",
        "class Net(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in w.made),
        "",
        f"    def forward(self, {arguments}):",
        *(f"        {line}" for line in w.net),
        f"        return {returned}",
        "",
        "",
        f"def plain(P, tap, {arguments}):",
        *(f"    {line}" for line in w.plain if line != "pass"),
        "    return f",
        "",
        f"torch.manual_seed({seed})",
        f"net = Net().to(torch.{w.dtype})",
        r.choice(FROZEN),
        f"inputs = {inputs}",
        f"data = {handed}",
        f"outputs = {outputs if outputs.startswith('lambda') else repr(outputs)}",
        f"options = {{{', '.join(f'{name!r}: {value}' for name, value in options.items())}}}",
        f"missing, routed = {{*{sorted(w.missing)}}}, {{*{sorted(w.routed)}}}",
        f"chosen = lambda f: {chosen}",
        f"tolerance, rounding = {TOLERANCE[w.dtype]}, {1e-10 if w.dtype != 'float64' else 1e-24}",
        f"eps = torch.finfo(torch.{w.dtype}).eps",
        COMPARE,
    ])  # fmt: skip


def _pooled(w, h, width):
    """Write how positions become one row, if they do; return its width."""
    way = "keep" if w.T is None else w.r.choice(["mean", "flatten", "keep", "last"])
    how = {"mean": ".mean(1)", "flatten": ".flatten(1)", "keep": "", "last": "[:, -1]"}[way]
    if (h, way) != ("h", "keep"):
        w.line(f"h = {h}{how}")
    width *= w.T if way == "flatten" else 1
    if way != "keep":
        w.T = None
    return width


def _outputs(w, c):
    """Return a choice of outputs, and the same in formulas."""
    choices = {
        "logits": "f",
        "output:0": "f.reshape(len(f), -1)[:, :1]",
        "lambda f: f.sin() + f * f": "f.sin() + f * f",
    }
    if c > 1 and not w.half:
        choices |= {
            "predicted": "f.gather(-1, f.argmax(-1, keepdim=True))[..., 0]",
            "margin": "f.topk(2, -1).values @ torch.tensor([1.0, -1.0], dtype=f.dtype)",
            "probabilities": "f.softmax(-1)",
        }
    outputs = w.r.choice(list(choices))
    return outputs, choices[outputs]
