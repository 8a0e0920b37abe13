"""Layers wider than there are rows: the same machines as on the rows themselves, with nothing of size d x d."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainRegressor
from safetensors.torch import load_file

import nfa
from nfa.features.factored import FactoredMatrix
from nfa.rfm import LayerwiseRFM, load
from nfa.rfm.coordinates import Coordinates, factor_of

N, D = 20, 33
H, NEW = gaussian(N, D), gaussian(7, D, seed=2)
Y = (H[:, 0] * H[:, 1] + H[:, 2]).numpy()


def start(k, low=False, measured=True):
    """A feature matrix of rank k at most; of rank 2 with `low`."""
    L = gaussian(k, 2 if low else k, seed=5)
    return FactoredMatrix(gaussian(k, D, seed=3), L @ L.T if measured else None)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
@pytest.mark.parametrize("updates", [0, 1, 3])
@pytest.mark.parametrize(
    "M", [None, start(4), start(4, low=True), start(50), start(50, low=True), start(50, measured=False)]
)
def test_a_machine_in_coordinates_is_the_machine_on_the_rows(kernel, updates, M):
    dense = PlainRegressor(kernel, n_iters=updates, M_init=M).fit(H, Y)
    coordinates = Coordinates.of(H, M)
    rows = coordinates.rows(H)
    assert rows.shape[1] <= max(N, 4)
    small = PlainRegressor(kernel, n_iters=updates).fit(rows, Y)
    np.testing.assert_allclose(small.predict(coordinates.rows(NEW)), dense.predict(NEW), rtol=1e-7, atol=1e-8)
    if updates:
        found = coordinates.matrix(torch.from_numpy(small.M_)).dense().numpy()
        expected = dense.M_ / np.linalg.norm(dense.M_)
        np.testing.assert_allclose(found / np.linalg.norm(found), expected, atol=1e-8)


@pytest.mark.parametrize("M", [start(4), start(50, low=True), start(50, measured=False)])
def test_the_factor_gives_the_matrix(M):
    R = factor_of(M)
    torch.testing.assert_close(R.T @ R, M.dense())


def test_layerwise_machines_on_wide_layers_are_those_of_dense_matrices(tmp_path):
    X, X_new = gaussian(N, 5).numpy(), gaussian(9, 5, seed=4).numpy()
    y, y_new = X[:, 0] * X[:, 1], X_new[:, 0] * X_new[:, 1]
    net = nfa.MLP(5, [40, 30], n_outputs=1, bias=True).double()
    before = nfa.MLP(5, [40, 30], n_outputs=1, bias=True, seed=3).double()
    model = LayerwiseRFM.from_network(net, X, y, before, n_iters=2)
    assert list(model.coordinates_) == ["layers.1", "layers.2"]
    h, h_new = (torch.relu(net.layers[0](torch.from_numpy(x))).detach() for x in (X, X_new))
    table = model.score_frame(X_new, y_new)
    audit = model.audit_
    for _, row in table[(table["name"] == "layers.1") & (table["features"] != "random")].iterrows():
        M = None if row["features"] == "identity" else getattr(audit["layers.1"], row["features"])
        dense = PlainRegressor(n_iters=row["n_iters"], M_init=M).fit(h, y)
        residual = y_new - dense.predict(h_new)
        assert row["error"] == pytest.approx((residual**2).sum() / ((y_new - y_new.mean()) ** 2).sum(), rel=1e-6)
        for column, measured in (("cosine_nfm", audit["layers.1"].nfm), ("cosine_agop", audit["layers.1"].agop)):
            other = measured.dense().numpy()
            cosine = (dense.M_ * other).sum() / np.linalg.norm(dense.M_) / np.linalg.norm(other)
            assert row[column] == pytest.approx(cosine, abs=1e-7)
    chosen = LayerwiseRFM(net, n_iters=2, layer="layers.1", audit=audit).fit(X, y)
    dense = PlainRegressor(n_iters=2, M_init=audit["layers.1"].agop).fit(h, y)
    np.testing.assert_allclose(chosen.predict(X_new), dense.predict(h_new), rtol=1e-6)
    model.save(tmp_path)
    kept = load_file(tmp_path / "1-layers.1.coordinates.safetensors")
    again = load(tmp_path / "1-layers.1.safetensors").predict(Coordinates(**{"basis": None} | kept).rows(h_new))
    np.testing.assert_allclose(again, dense.predict(h_new), rtol=1e-6)


def test_kernels_that_turn_with_the_rows_alone_stay_on_the_rows():
    X = gaussian(12, 5).numpy()
    model = LayerwiseRFM.from_network(nfa.MLP(5, 30, 2, 1).double(), X, X[:, 0], kernel="l1")
    assert model.coordinates_ == {}
