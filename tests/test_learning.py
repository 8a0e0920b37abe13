"""What an audit says of networks whose learning is known."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian

import nfa
from nfa.data import Scaling
from nfa.report import sentences, verdict
from nfa.report.words import layer_sentence


@pytest.fixture(scope="module")
def digits():
    data = nfa.load_data("digits").divide(test=0.2)
    return data.scaled(Scaling.fit("max", data.part("train").X))


@pytest.fixture(scope="module")
def trained(digits):
    net = nfa.MLP(64, 64, 2, 10, init="factor:0.1")
    return nfa.train(net, digits, epochs=40, batch_size=64)


def test_a_trained_network_has_learned_features(digits, trained):
    audit = nfa.audit(trained.net, digits, trained.init)
    assert audit.score.value > 0.95
    assert verdict(audit).learned is True
    for layer in (audit[0], audit[1]):
        chance = layer["d_out"] / (layer["d_out"] + layer["d_in"])
        assert layer["ci_low"] > max(layer["untrained_cosine"], chance) + 0.2
    said = sentences(audit)
    assert len(said) == 4
    assert all("this layer has learned features" in sentence for sentence in said[1:3])
    assert "says nothing about learning" in said[3]


def test_an_untrained_network_has_learned_nothing(digits, trained):
    for seed in range(5):
        net = nfa.MLP(64, 64, 2, 10, seed=seed)
        for init in (None, net):
            said = sentences(nfa.audit(net, digits, init))
            assert "learned nothing" in said[0]
            assert not any("has learned features" in sentence for sentence in said)


def test_a_collapsed_network_has_learned_nothing_whatever_its_cosine():
    """Full of weight decay, it predicts the mean; its similarities are as high as they get."""
    X = gaussian(300, 10, dtype=torch.float32).numpy()
    y = (X[:, 0] + 0.1 * X[:, 1] > 0).astype("int64")
    data = nfa.Dataset(X, y, class_names=("a", "b")).divide(test=0.3)
    done = nfa.train(nfa.MLP(10, 16, 2, 2), data, epochs=60, weight_decay=1.0, optimizer="adam")
    audit = nfa.audit(done.net, data, done.init)
    said = sentences(audit)
    assert "learned nothing" in said[0]
    assert not any("has learned features" in sentence for sentence in said)


def test_without_targets_nothing_is_claimed(digits, trained):
    audit = nfa.audit(trained.net, torch.from_numpy(digits.X), trained.init)
    assert audit.score is None
    assert verdict(audit).learned is None
    assert not any("has learned features" in sentence for sentence in sentences(audit))


def test_a_regression_is_scored_by_r2():
    X = gaussian(400, 8, dtype=torch.float32).numpy()
    data = nfa.Dataset(X, (X[:, 0] * X[:, 1]).astype("float32")).divide(test=0.25)
    done = nfa.train(nfa.MLP(8, 64, 2, 1), data, loss="mse", epochs=60, batch_size=32)
    audit = nfa.audit(done.net, data, done.init)
    assert audit.score.metric == "r2"
    assert audit.score.value > 0.5
    assert verdict(audit).learned is True
    untrained = nfa.audit(done.init, data, done.init)
    assert verdict(untrained).learned is False
    # The two features that matter stand out in what the first layer looks at.
    diagonal = audit[0].agop.diagonal()
    assert float(diagonal[:2].sum() / diagonal.sum()) > 0.8
    assert not math.isnan(audit[0]["cosine"])


def test_a_score_far_below_a_constant_answer_s_may_be_a_matter_of_order(digits, trained):
    test = digits.part("test")
    names = np.array(list("jihgfedcba"))
    data = (test.X, names[test.y])
    hint = "the order of the labels may not be that of the network's outputs: classes= (--classes) says it"
    wrong = nfa.audit(trained.net, data)
    assert wrong.score.value < wrong.score.baseline
    assert hint in sentences(wrong)[0]
    right = nfa.audit(trained.net, data, classes=names.tolist())
    assert verdict(right).learned is True
    # An order that was said is not doubted, and one that chance may explain neither.
    said = nfa.audit(trained.net, data, classes=np.roll(names, 1))
    assert "clearly below a constant answer" in sentences(said)[0]
    assert hint not in sentences(said)[0]
    assert hint not in sentences(nfa.audit(nfa.MLP(64, 64, 2, 10), digits))[0]


@pytest.mark.parametrize("known", [True, False])
def test_agreement_in_the_mean_gradient_alone_is_no_praise(digits, trained, known):
    layer = nfa.audit(trained.net, digits, trained.init if known else None)[0]
    praise = "this layer has learned features" if known else "as in layers that have learned features"
    layer.row.update(cosine=0.99, ci_low=0.98, ci_high=1.0, cosine_centered=0.75)
    assert praise in layer_sentence(layer, True)
    layer.row.update(cosine_centered=0.24)
    said = layer_sentence(layer, True)
    assert praise not in said
    assert said.endswith(
        "; but with the centered AGOP it is only 0.24: NFM and AGOP agree in the mean gradient, which is the same for "
        "every row, and hardly in what differs from row to row, so this is no clear sign of learned features."
    )
    layer.row.update(cosine_centered=math.nan)
    assert praise in layer_sentence(layer, True)
    layer.row.update(cosine=0.3, ci_low=0.2, ci_high=0.4, cosine_centered=0.9)
    assert layer_sentence(layer, True).endswith(
        "; not clearly above, so this layer shows no sign of learned features (with the centered AGOP it is 0.90, for "
        "which there are no nulls here)."
    )
