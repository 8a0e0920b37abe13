"""Random recursive feature machines against an oracle: kernels from their definition, dense products, autograd.

What a machine says of itself (M, bandwidth, coefficients) is put into the definitions, in float64, and each of its
steps is held against them: the system is solved, predictions are sums of kernels, the AGOP is autograd's, M is the AGOP
of the machine before. Tolerances are roundings of the machine's dtype times the sums of the magnitudes that are added.
"""

import inspect
import warnings

import numpy as np
import torch

from nfa import InputError
from nfa.rfm import RFMRegressor

ROUNDINGS = 50
"""Roundings that a term of a sum may be off by: those of a product with M^(1/2), of a distance, of the kernel."""
LOST = 4e3
"""Roundings of its trace that an AGOP may be off by besides: the expanded form may lose three digits."""


def case(seed):
    """Rows, targets, weights, new rows and options of one machine; numpy alone, so that a script can show it."""
    g = np.random.default_rng(seed)

    def one(*values):
        return values[g.integers(len(values))]

    blocks = g.random() < 0.01
    n = int(g.integers(266, 280) if blocks else one(1, 2, 3, g.integers(2, 20), g.integers(2, 61)))
    d = int(g.integers(1, 6) if blocks else one(1, 2, g.integers(1, 12), g.integers(1, 81)))
    c, dtype = int(g.integers(1, 5)), one("float32", "float64", "float64")
    kernel = one("laplace", "laplace", "gaussian", "power", "quadratic", "l1")
    X, new = g.normal(size=(n, d)), g.normal(size=(5, d))
    if g.random() < 0.2:
        X[:, g.integers(d)] = new[:, g.integers(d)] = g.normal()
    if g.random() < 0.2:
        columns = 10 ** g.uniform(-3, 3, size=d)
        X, new = X * columns, new * columns
    if g.random() < 0.2:
        shift = g.normal(size=d) * one(1, 100)
        X, new = X + shift, new + shift
    if n > 1 and g.random() < 0.4:
        again, gap = g.integers(n, size=max(1, n // 2)), one(0, 0, 1e-7, 1e-5, 1e-3)
        X[: len(again)] = X[again] * (1 + gap * g.normal(size=(len(again), d)))
        new[0] = X[0]
    scale = 10.0 ** one(0, 0, 0, g.uniform(-30, 15) if dtype == "float32" else g.uniform(-100, 100))
    X, new = (X * scale).astype(dtype), (new * scale).astype(dtype)
    y = np.sin(g.normal(size=(n, c))) + one(0, 0, 5)
    y *= 10.0 ** one(0, 0, 0, g.uniform(-30, 30) if dtype == "float32" else g.uniform(-100, 100))
    weights = one(None, None, 10 ** g.uniform(-3, 3, size=n))
    options = {
        "kernel": kernel,
        "bandwidth": 10.0 ** one(0, g.uniform(-1, 1), g.uniform(-8, 8)),
        "ridge": 10.0 ** one(-3, g.uniform(-10, 6)),
        "n_iters": int(one(0, 1, 1, 2)),
        "diag": bool(g.random() < 0.25),
        "center_grads": bool(g.random() < 0.25),
        "agop_power": one(1.0, 1.0, 1.0, 0.5, 2.0),
        "M_scale": one("max", "max", "trace"),
        "fit_intercept": bool(g.random() < 0.7),
        "scale": None,  # M_ in the units of X is held against scaling by hand in tests/rfm/estimators/test_choosing.py
        "progress": False,
    }
    if blocks:
        options["memory_budget"] = 2.9 * n * n * (4 if dtype == "float32" else 8) / 2**30
    if kernel == "power":
        options["exponent"] = float(g.uniform(0.3, 2.0))
    if g.random() < 0.2:
        F = g.normal(size=(int(one(1, d, d)), d)) * 10.0 ** one(0, g.uniform(-10, 10))
        options["M_init"] = (F**2).sum(0) if options["diag"] else F.T @ F
    return X, y, weights, new, options


def fitted(X, y, weights, options):
    """The machine, and whether its system was solved as it stands."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = RFMRegressor(**options).fit(X, y, weights)
    return model, not caught


def scaling(y, weights, centered, dtype):
    """The offset and the scale of targets: their weighted mean, and of several their deviation.

    Weights are in the dtype of the rows.
    """
    units = np.abs(y).max(0)
    units = np.where(units > 0, units, 1)
    w = np.ones(len(y)) if weights is None else weights.astype(dtype)
    mean = np.average(y / units, axis=0, weights=w)
    deviation = np.sqrt(np.average((y / units - mean) ** 2, axis=0, weights=w))
    scale = np.where((deviation > 1e-14) & (y.shape[1] > 1), deviation * units, 1)
    return mean * units * centered, scale


class Oracle:
    """The functions that a fitted machine says it is, in float64, in units in which rows and M are around 1."""

    def __init__(self, model, X, options):
        self.name, self.q = options["kernel"], {"gaussian": 2.0}.get(options["kernel"], options.get("exponent", 1.0))
        self.eps = float(np.finfo(X.dtype).eps)
        self.around = X.astype(np.float64).mean(0) if self.name != "quadratic" else np.zeros(X.shape[1])
        around = X.astype(np.float64) - self.around
        self.x_unit = 2.0 ** np.frexp(np.abs(around if around.any() else X).max())[1]
        M = model.M_ if model.M_.ndim == 2 else np.diag(model.M_)
        size = M.max() if M.max() > 0 else 1.0
        self.root_off = self.M_off = 0.0
        self.M, self.diagonal = M / size, model.M_.ndim == 1 or not np.any(M - np.diag(np.diag(M)))
        self.F = torch.from_numpy(self.root(self.M))
        self.L = model.bandwidth_ / np.sqrt(size) / self.x_unit
        self.Z, self.a, self.y_unit = self.scaled(X), model.machine_.a.cpu().double(), model.machine_.unit
        scaling = model.machine_.scaling
        self.y_offset, self.y_scale = (values.cpu().numpy() for values in (scaling.offset, scaling.scale))
        z = self.Z @ self.F
        # The size of what a coordinate of z is added up from, over the rows: it rounds relative to that.
        self.terms = (self.Z.square().mean(0) @ self.F.square()).sqrt() if not self.diagonal else z.abs().max(0).values
        self.length = z.norm(dim=1) + self.terms.norm()

    def root(self, M):
        if self.diagonal:
            return np.diag(np.sqrt(np.diag(M)))
        values, V = np.linalg.eigh(M)
        eps = np.finfo(np.float64).eps
        values[values < len(M) * eps * values[-1]] = 0
        # An eigenvalue is known to a few roundings of the largest; its root, the worse the smaller it is.
        self.M_off = eps * values[-1]
        self.root_off = 4 * eps * values[-1] / np.sqrt(values[values > 0].min()) if values.any() else 0.0
        return (V * np.sqrt(values)) @ V.T

    def scaled(self, X):
        return torch.from_numpy((X.astype(np.float64) - self.around) / self.x_unit)

    def kernel(self, X):
        """The kernel's values, and for each pair the distance under M, over L, and its size next to its roundings."""
        U = (X[:, None] - self.Z[None]) @ self.F
        if self.name == "quadratic":
            inner = (X @ self.F) @ (self.Z @ self.F).T / self.L**2
            return inner**2, None
        if self.name == "l1":
            t = U.abs().sum(2) / self.L
            return torch.exp(-t), t
        s = U.square().sum(2) / self.L**2
        apart = s > 0
        t = torch.where(apart, torch.where(apart, s, 1.0).sqrt(), 0.0)
        power = torch.where(apart, torch.where(apart, s, 1.0) ** (self.q / 2), 0.0)
        return torch.exp(-power / (2 if self.name == "gaussian" else 1)), t

    def errors(self, X, K, t):
        """By how much rounding may change the kernel's values, and each pair's part of a gradient, over a."""
        own = (X @ self.F).norm(dim=1)
        # What the row's coordinates are added up from, of which M may leave next to nothing.
        own = own if self.diagonal else torch.maximum(own, (X.square() @ self.F.square()).sum(1).sqrt())
        length = own[:, None] + self.length
        tiny = np.finfo(np.float32 if self.eps > 1e-10 else np.float64).tiny
        if self.name == "quadratic":
            size = (own[:, None] + self.terms.norm()) * length / self.L**2
            # Decomposed, M is off by roundings of its largest eigenvalue, also where rows have little of that.
            of_M = self.M_off * X.norm(dim=1)[:, None] * self.Z.norm(dim=1) / self.L**2
            inner = K.sqrt() + of_M
            slope = length + self.M_off * X.norm(dim=1)[:, None] * self.Z.norm(dim=1) / length.clamp(min=1e-300)
            return self.eps * size**2 + 2 * inner * of_M, 2 * (self.eps * size + of_M) * slope / self.L**2
        r = (t * self.L).clamp(min=1e-100)
        off = self.eps * length / r * (length / r).clamp(1, 100)  # of r, relatively
        off = off + self.M_off * ((X[:, None] - self.Z[None]).norm(dim=2) / r) ** 2
        if self.name == "l1":
            # The sum of |F u|, unlike that of their squares, changes with F among the roots of M.
            u = X[:, None] - self.Z[None]
            of_root = self.root_off * u.norm(dim=2)
            off = (self.eps * length * len(self.F) + len(self.F) ** 0.5 * of_root) / r
            change = (t * off).clamp(max=30)
            U = (u @ self.F).abs()
            least = 1e3 * self.eps * (self.terms + self.Z.abs().max()) + of_root[..., None]
            unclear = (least > U).any(2) & (t > 0)
            return K * change.expm1() + tiny, (K * (self.eps + change.expm1() + unclear) + tiny) / self.L
        exponent = self.q * t**self.q
        change = (exponent * off).clamp(max=30).expm1()
        Q = torch.where(t > 0, (self.q * t ** (self.q - 1) / self.L) * K / r, 0.0)
        return K * change + tiny, Q * (
            self.eps * length + r * ((2 + exponent) * off).clamp(max=30).expm1()
        ) + tiny / self.L

    def predictions(self, X):
        """f(x) / unit and its tolerance."""
        K, t = self.kernel(X)
        error, _ = self.errors(X, K, t)
        return K @ self.a, ROUNDINGS * (error + self.eps * K) @ self.a.abs()

    def agop(self, X, weights, centered, scale=1.0):
        """The AGOP with respect to x / unit of f / unit by autograd, and how far its norm may be off.

        f_j is what is learned, times `scale`_j.
        """
        X, a = X.clone().requires_grad_(), self.a * torch.as_tensor(scale)
        f = self.kernel(X)[0] @ a
        J = torch.stack([torch.autograd.grad(column.sum(), X, retain_graph=True)[0] for column in f.T], 1)
        X = X.detach()
        K, t = self.kernel(X)
        w = torch.ones(len(X), dtype=torch.float64) if weights is None else torch.from_numpy(weights)
        w = w / w.sum()
        # |F| is at most the root of the trace: what gradients with respect to z are off by, with respect to x.
        off = ROUNDINGS * (self.errors(X, K, t)[1] @ a.abs()).norm(dim=1) * float(self.F.norm())
        if self.name == "l1":
            # Which root of M a machine takes shows: its gradient is F' times the signs of Fu.
            off = off + self.root_off * len(self.F) ** 0.5 * (K @ a.abs()).norm(dim=1) / self.L
        norms = J.flatten(1).norm(dim=1)
        lost = LOST * self.eps * float(w @ norms**2)
        if centered:
            J = J - torch.einsum("n,ncd->cd", w, J)
            # Means are off by the mean of what the gradients are off by.
            norms, off, lost = norms + w @ norms, off + w @ off, 3 * lost
        tolerance = float(w @ (2 * norms * off + off**2)) + lost
        return torch.einsum("n,ncd,nce->de", w, J, J).numpy(), tolerance


def near(what, found, expected, tolerance):
    off = np.max(np.abs(found - expected) - tolerance) if np.size(found) else 0.0
    assert off <= 0, f"{what}: off by {off:.3g} more than it may be (at most {np.max(tolerance):.3g})"


def assert_feature_matrix(what, M):
    assert np.isfinite(M).all(), f"{what} is not finite"
    if M.ndim == 2:
        assert np.array_equal(M, M.T), f"{what} is not symmetric"
    values = np.sort(M) if M.ndim == 1 else np.linalg.eigvalsh(M / (np.abs(M).max() or 1.0))
    assert values[0] >= -1e-12 * values[-1], f"{what} has the eigenvalues {values[0]:.3g} to {values[-1]:.3g}"


def assert_is_its_own(model, solved, X, y, weights, new, options):
    """Hold a fitted machine against the definitions."""
    oracle = Oracle(model, X, options)
    assert_feature_matrix("M_", model.M_)
    a, ridge, unit = oracle.a, options["ridge"], oracle.y_unit
    offset, scale = scaling(y, weights, options["fit_intercept"], X.dtype)
    spread = np.abs(y).max(0) / scale
    near("offset", oracle.y_offset / scale, offset / scale, 1e-13 * spread)
    near("scale", oracle.y_scale / scale, 1.0, 1e-12 * spread.max())
    offset, scale = oracle.y_offset, oracle.y_scale
    lost = 4 * np.finfo(np.float64).eps * spread / unit  # where the offset is taken off
    Y = torch.from_numpy((y - offset) / scale / unit)
    K, t = oracle.kernel(oracle.Z)
    error, _ = oracle.errors(oracle.Z, K, t)
    own = ridge / np.ones(len(X)) if weights is None else ridge / weights
    own = torch.from_numpy(np.asarray(own))[:, None]
    residual = K @ a + own * a - Y
    if solved:
        rounding = ROUNDINGS * (
            (error + oracle.eps * (K.abs() + len(K) * K.max())) @ a.abs() + oracle.eps * own * a.abs()
        )
        slack = 0.0
        if "conjugate" in model.solver_:
            slack = (1e-6 if X.dtype == np.float64 else 1e-2) * float(Y.norm())
        rounding = rounding.numpy() + 10 * oracle.eps * np.abs(Y.numpy()).max() + lost
        near("the system", residual.numpy(), 0.0, rounding + slack)
    for rows in (X, new):
        found = model.predict(rows)
        assert np.isfinite(found).all(), "predictions are not finite"
        expected, tolerance = oracle.predictions(oracle.scaled(rows))
        # In the units of y they may be no float of their dtype with all its digits, beside an offset of fewer.
        least = (np.finfo(X.dtype).tiny + 4 * oracle.eps * np.abs(offset)) / scale / unit + lost
        learned = (found.astype(np.float64).reshape(len(rows), -1) - offset) / scale / unit
        near("predictions", learned, expected.numpy(), tolerance.numpy() + least)
        shares = weights if rows is X else None
        largest = unit * scale.max()
        for centered in (False, True):
            A, off = oracle.agop(oracle.scaled(rows), shares, centered, scale / scale.max())
            agop = model.agop(None if rows is X else rows, centered=centered)
            # In the units of y and X it may be no float64, or one of few digits.
            size = np.log10(np.abs(A).max()) + 2 * np.log10(largest / oracle.x_unit) if A.any() else 0.0
            if -290 < size < 300 and not 0 < np.abs(A).max() < 1e-290:
                agop = agop / largest * oracle.x_unit / largest * oracle.x_unit
                assert_feature_matrix("agop", agop)
                A = np.diag(A) if options["diag"] else A
                near("agop", np.linalg.norm(agop - A), 0.0, off)
    return oracle


def assert_follows(model, before, X, weights, options):
    """Hold M against the AGOP of the machine before the last update."""
    A, off = Oracle(before, X, options).agop(Oracle(before, X, options).scaled(X), weights, options["center_grads"])
    size = np.abs(A).max()
    if options["diag"]:
        A = np.diag(np.diag(A))
    # Nothing follows from an AGOP that is rounding, or of few digits.
    if not off < 1e-3 * size or size < 1e-290:
        return
    alpha = options["agop_power"]
    values, V = np.linalg.eigh(A / size)
    M = (V * values.clip(0) ** alpha) @ V.T
    found = model.M_ if model.M_.ndim == 2 else np.diag(model.M_)
    share = off / size
    share = share**alpha if alpha < 1 else alpha * share * len(A) ** (alpha - 1)
    near("M_", np.linalg.norm(found / found.max() - M / M.max()), 0.0, 4 * share / M.max() + 1e-12)


def check(seed):
    """Fit one random machine, and compare it with the oracle; return the kind of refusal where it is refused."""
    X, y, weights, new, options = case(seed)
    try:
        model, solved = fitted(X, y, weights, options)
    except InputError as error:
        return f"refused: {error.argument}"
    assert_is_its_own(model, solved, X, y, weights, new, options)
    if options["n_iters"]:
        before, _ = fitted(X, y, weights, options | {"n_iters": options["n_iters"] - 1})
        assert_follows(model, before, X, weights, options)
    return None


def script(seed):
    """Return a program that fits the machine and shows what it is."""
    return f"""import numpy as np
from nfa.rfm import RFMRegressor

{inspect.getsource(case)}
X, y, weights, new, options = case({seed})
print(X.shape, X.dtype, y.shape, options)
model = RFMRegressor(**options).fit(X, y, weights)
print(model.solver_, model.bandwidth_, model.M_, model.agop(), model.predict(X), y, sep="\\n")
"""
