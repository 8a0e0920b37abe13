"""How a random network's data are handed over: tensors, arrays, tables, loaders; one input or several; words."""

ROWS = 12
WORDS = 7
"""Different whole numbers that an embedding takes."""


def data(w, d):
    """Choose the inputs: write the first lines of `forward`; return its arguments, inputs, data and options.

    Args:
        w: The program's writer.
        d: Entries of a row of `h`, the variable that the lines make.

    Returns:
        The arguments' names; the expressions of the inputs and of the data; the options of the audit.
    """
    r, shape = w.r, (ROWS, d) if w.T is None else (ROWS, w.T, d)
    kind = r.choice(["one"] * 6 + ["dict", "tuple", "parts", "words"])
    row = f"torch.randn({', '.join(map(str, shape))}).to(torch.{w.dtype})"
    if kind == "words":
        m = w.fresh("e")
        w.make(f"self.{m} = nn.Embedding({WORDS}, {d})")
        one_hot = f"F.one_hot(x, {WORDS}).to(P['{m}.weight'].dtype)"
        w.line(f"h = self.{m}(x)", f"h = tap('{m}', P['{m}.weight'].T, {one_hot})")
        counts = f"torch.randint({WORDS}, {shape[:-1] if w.T else (ROWS, 2)})"
        if w.T is None:
            w.line("h = h.mean(1)")
        return "x", f"({counts},)", _whole(r), {}
    if kind == "one":
        w.line("h = x * 1.0")
        return "x", f"({row},)", _one(w), {}
    w.more = "u"
    other = row.replace(f"{d})", "4)", 1)
    w.line("h = x * 1.0")
    if kind == "parts":
        parts = {"forward_args": f"lambda b: {{'u': b[..., {d}:], 'x': b[..., :{d}]}}"}
        return "x, u", f"({row}, {other})", "torch.cat(inputs, -1)", parts
    if kind == "dict":
        named = "{'u': inputs[1], 'x': inputs[0]}"
        loader = "DataLoader([{'x': x, 'u': u} for x, u in zip(*inputs)], 5)"
        return "x, u", f"({row}, {other})", r.choice([named, f"({named}, None)", loader]), {}
    samples = f"StackDataset(StackDataset(*inputs), [None] * {ROWS})"
    return "x, u", f"({row}, {other})", r.choice(["(inputs, None)", samples]), {}


def _one(w):
    """Return a form in which one input may come."""
    forms = ["inputs[0]"] * 4 + ["(inputs[0], None)", "TensorDataset(*inputs)", "DataLoader(inputs[0], 4)"]
    forms += ["DataLoader(TensorDataset(*inputs), 5)"]
    if not w.half:
        forms += ["inputs[0].numpy()", "inputs[0].tolist()"] if w.T is None else ["inputs[0].numpy()"]
    return w.r.choice(forms)


def _whole(r):
    """Return a form in which whole numbers may come."""
    return r.choice(["inputs[0]", "inputs[0].numpy()", "DataLoader(TensorDataset(*inputs), 5)"])
