"""The numbers behind a report's figures, against dense matrices."""

import numpy as np
import pytest
import torch
from helpers import perturbed

import nfa
from nfa.report.tables import (
    POINTS,
    diagonal_table,
    eigenvector_table,
    scan_table,
    share_of_trace,
    similarity_table,
    spectrum_table,
    top_eigenvectors,
    untrained_table,
)


@pytest.fixture
def audited(small):
    net, X = small
    return nfa.audit(net, X, perturbed(net))


def dense(layer):
    W, S = layer.weight.numpy(), layer.S.numpy()
    return W.T @ W, W.T @ S @ W


def power(M, alpha):
    values, vectors = np.linalg.eigh(M)
    kept = values > 1e-6 * values.max()
    return (vectors[:, kept] * values[kept] ** alpha) @ vectors[:, kept].T


def cosine(A, B):
    return np.sum(A * B) / np.linalg.norm(A) / np.linalg.norm(B)


def test_similarities_stand_beside_their_nulls(audited):
    table = similarity_table(audited).set_index(["layer", "series"])
    for layer in audited:
        row = table.loc[(layer["name"], "AGOP")]
        assert row["value"] == pytest.approx(cosine(*dense(layer)), abs=1e-10)
        assert (row["low"], row["high"], row["untrained"]) == (
            layer["ci_low"], layer["ci_high"], layer["untrained_cosine"],
        )  # fmt: skip
        assert row["rotated"] == layer["rotated_cosine"]
        assert np.isnan(row["chance"])
        row = table.loc[(layer["name"], "NFM before training")]
        assert row["chance"] == layer["d_out"] / (layer["d_out"] + layer["d_in"])
        row = table.loc[(layer["name"], "square root of AGOP")]
        assert (row["value"], row["untrained"]) == (layer["cosine_sqrt"], layer["untrained_cosine_sqrt"])
        assert np.isnan(row["low"])


def test_without_init_there_is_no_series_of_it(small):
    assert "NFM before training" not in set(similarity_table(nfa.audit(*small))["series"])


def test_the_scan_is_that_of_dense_powers_and_peaks_at_alpha_best(audited):
    table = scan_table(audited)
    for layer in audited:
        N, A = dense(layer)
        rows = table[table["layer"] == layer["name"]]
        expected = [cosine(N, power(A, alpha)) for alpha in rows["alpha"]]
        np.testing.assert_allclose(rows["cosine"], expected, atol=1e-8)
        assert rows["cosine"].max() == pytest.approx(layer["cosine_alpha_best"], abs=1e-9)


def test_the_untrained_network_is_known_at_two_powers(audited, small):
    table = untrained_table(audited)
    assert table["alpha"].tolist() == [0.5, 1.0] * len(audited)
    assert table["cosine"].iloc[1] == audited[0]["untrained_cosine"]
    assert len(untrained_table(nfa.audit(*small))) == 0


@pytest.mark.parametrize("matrix", ["NFM", "AGOP"])
def test_spectra_are_those_of_the_dense_matrices(audited, matrix):
    table = spectrum_table(audited, matrix)
    for layer in audited:
        values = np.linalg.eigvalsh(dense(layer)[matrix == "AGOP"])[::-1]
        rows = table[table["layer"] == layer["name"]]
        np.testing.assert_allclose(rows["share"], values[rows["index"] - 1] / values[0], rtol=1e-6)
        assert rows["index"].max() == (values > 1e-6 * values[0]).sum()


def test_a_long_spectrum_is_thinned_to_its_ends():
    audit = nfa.audit(nfa.MLP(300, 400, 1, 2), torch.randn(8, 300, generator=torch.Generator().manual_seed(0)))
    table = spectrum_table([audit[0]], "NFM")
    assert len(table) <= POINTS
    assert table["index"].iloc[[0, -1]].tolist() == [1, 300]


def test_a_dead_layer_has_no_spectrum():
    net = nfa.MLP(6, [8, 5], n_outputs=3)
    with torch.no_grad():
        net.layers[1].weight.zero_()
    layers = nfa.audit(net, torch.ones(4, 6))
    assert set(spectrum_table(layers, "NFM")["layer"]) == {"layers.0", "layers.2"}
    assert scan_table(layers).set_index("layer").loc["layers.1", "cosine"].isna().all()


def test_diagonals_are_shares_of_the_trace(audited):
    each = audited[0]
    for matrix, expected in zip((each.nfm, each.agop), dense(audited[0]), strict=True):
        np.testing.assert_allclose(share_of_trace(matrix), np.diag(expected) / np.trace(expected), atol=1e-12)


def test_bars_are_of_the_features_that_count_most_in_the_agop(audited):
    names = list("abcdef")
    table = diagonal_table(audited[0], names)
    N, A = dense(audited[0])
    order = np.argsort(-np.diag(A))
    assert table[table["series"] == "AGOP"]["feature"].tolist() == [names[i] for i in order]
    np.testing.assert_allclose(table[table["series"] == "NFM"]["value"], np.diag(N)[order] / np.trace(N), atol=1e-12)
    before = audited[0].init_weight.numpy()
    N0 = np.diag(before.T @ before)
    np.testing.assert_allclose(
        table[table["series"] == "NFM before training"]["value"], N0[order] / N0.sum(), atol=1e-12
    )


def test_features_of_one_name_are_told_apart(audited):
    table = diagonal_table(audited[0], ["a", "b", "a", "c", "d", "e"])
    assert set(table["feature"]) == {"a (0)", "b", "a (2)", "c", "d", "e"}


def test_eigenvectors_are_those_of_the_dense_matrix_and_upright(audited):
    _, A = dense(audited[0])
    values, vectors = np.linalg.eigh(A)
    for number, (share, vector) in enumerate(top_eigenvectors(audited[0].agop, 3), 1):
        assert share == pytest.approx(values[-number] / np.trace(A), rel=1e-9)
        assert abs(vector @ vectors[:, -number]) == pytest.approx(1, abs=1e-9)
        assert vector[np.abs(vector).argmax()] > 0


def test_first_eigenvectors_of_both_are_turned_the_same_way(audited):
    table = eigenvector_table(audited[0], list("abcdef"))
    nfm, agop = (rows.set_index("feature")["value"] for _, rows in table.groupby("series", sort=False))
    assert nfm @ agop[nfm.index] >= 0
