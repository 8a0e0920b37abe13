"""What may happen to a layer's z behind it: activations, norms, and all that is written in place."""


def change(w, z, k, other):
    """Write what comes behind a layer: something in place perhaps, an activation, a norm."""
    if w.r.random() < 0.5:
        for _ in range(w.r.choice([1, 1, 2])):
            write_to(w, z, k, other)
    if w.r.random() < 0.7:
        w.line(f"{z} = {w.r.choice(w.activations)}({z})")
    if w.r.random() < 0.2:
        norm(w, z, k)


def write_to(w, z, k, other):
    """Something written in place: to z, to a part of it, or to a view of it."""
    a = round(w.r.uniform(0.3, 1.5), 2)
    half, v = k // 2, w.fresh("v")
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
        (f"{first}.mul_(2).tanh_(); {z}.mT.add_({a})", joined % (f"(2 * {first}).tanh()", rest) + f" + {a}"),
        (f"torch.tanh({z}, out={z})", f"{z} = torch.tanh({z})"),
        (f"F.dropout({z}, 0.5, self.training, inplace=True)", "pass"),
        (f"{z}.index_put_((torch.arange(len({z})),), torch.tensor({a}, dtype={z}.dtype), accumulate=True)",
         f"{z} = {z} + {a}"),
    ]  # fmt: skip
    if not w.half:
        ways += [
            (f"{z}.relu_()", f"{z} = {z}.relu()"),
            (f"F.relu({z}, inplace=True)", f"{z} = {z}.relu()"),
            (f"{z}.masked_fill_({z} < 0, 0.0)", f"{z} = torch.where({z} < 0, 0.0, {z})"),
            (f"{z}.clamp_(-1.0, 1.0)", f"{z} = {z}.clamp(-1.0, 1.0)"),
            (f"{z}[{z} < -0.2] = -0.2", f"{z} = torch.where({z} < -0.2, -0.2, {z})"),
        ]
    if other:
        ways += [(f"{z} += {other}", f"{z} = {z} + {other}")] * 3
    w.line(*w.r.choice(ways))


def norm(w, z, k):
    """A norm over the entries of each row, or one with numbers from training."""
    m = w.fresh()
    kind = w.r.choice(["layer", "rms", "batch", "group"])
    affine = f"P['{m}.weight'], P['{m}.bias']"
    if kind == "layer":
        w.make(f"self.{m} = nn.LayerNorm({k})")
        w.line(f"{z} = self.{m}({z})", f"{z} = F.layer_norm({z}, ({k},), {affine})")
    elif kind == "rms" or w.T is not None:
        w.line(f"{z} = {z} * ({z}.square().mean(-1, keepdim=True) + 0.1).rsqrt()")
    elif kind == "group":
        w.make(f"self.{m} = nn.GroupNorm(1, {k})")
        centered = f"({z} - {z}.mean(1, keepdim=True)) / ({z}.var(1, correction=0, keepdim=True) + 1e-5).sqrt()"
        w.line(f"{z} = self.{m}({z})", f"{z} = {centered} * P['{m}.weight'] + P['{m}.bias']")
    else:
        w.make(f"self.{m} = nn.BatchNorm1d({k}); self.{m}.running_var.uniform_(0.5, 2)")
        stats = f"P['{m}.running_mean'], P['{m}.running_var'], {affine}"
        w.line(f"{z} = self.{m}({z})", f"{z} = F.batch_norm({z}, {stats})")
