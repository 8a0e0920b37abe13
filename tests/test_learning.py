"""What an audit says of networks whose learning is known."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers import gaussian

import nfa
from nfa.data import Scaling
from nfa.report import sentences, verdict


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
        assert layer["verdict"] == "learned"
        assert layer["ci_low"] > max(layer["untrained_cosine"], layer["rotated_cosine"])
        assert layer["alignment_low"] > layer["alignment_null"] + 0.1
    said = sentences(audit)
    assert len(said) == 4
    assert "2 of 2 layers aligned" in said[0]
    assert all("consistent with feature learning" in sentence for sentence in said[1:3])
    assert "says nothing about learning" in said[3]


def test_an_untrained_network_has_learned_nothing(digits, trained):
    for seed in range(5):
        net = nfa.MLP(64, 64, 2, 10, seed=seed)
        for init in (None, copy.deepcopy(net)):
            said = sentences(nfa.audit(net, digits, init))
            assert "learned nothing" in said[0]
            assert not any("consistent with feature learning" in sentence for sentence in said)


def test_without_targets_nothing_is_claimed(digits, trained):
    audit = nfa.audit(trained.net, torch.from_numpy(digits.X), trained.init)
    assert audit.score is None
    assert verdict(audit).learned is None
    assert not any("consistent with feature learning" in sentence for sentence in sentences(audit))


def test_a_regression_is_scored_by_r2():
    X = gaussian(400, 8, dtype=torch.float32).numpy()
    data = nfa.Dataset(X, (X[:, 0] * X[:, 1]).astype("float32")).divide(test=0.25)
    done = nfa.train(nfa.MLP(8, 64, 2, 1), data, loss="mse", epochs=60, batch_size=32)
    audit = nfa.audit(done.net, data, done.init)
    assert audit.score.metric == "r2"
    assert audit.score.value > 0.5
    assert verdict(audit).learned is True
    untrained = nfa.audit(done.init, data, copy.deepcopy(done.init))
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
