"""Verdicts by their rules, what is said of each, and the methods paragraph."""

import copy
import itertools
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import gaussian, perturbed
from sklearn import datasets
from torch import nn

import nfa
from nfa.audits import Thresholds
from nfa.audits.verdict import VERDICTS, layer_verdict, network_verdict
from nfa.features.columns import names
from nfa.network.scoring import Score
from nfa.report import sentences
from nfa.report.words import conventions, layer_sentence

ROW = {
    **{"layer": 0, "name": "0", "d_in": 64, "d_out": 64, "trivial": False, "note": "a note"},
    **{"cosine": 0.9, "ci_low": 0.89, "ci_high": 0.91, "rotated_cosine": 0.8, "cosine_centered": 0.9},
    **{"alignment": 0.6, "alignment_low": 0.58, "alignment_high": 0.62, "alignment_null": 0.1},
    **{"alignment_null_sd": 0.01, "alignment_z": 50.0, "alignment_excess": 0.55},
    **{"untrained_alignment": 0.2, "untrained_alignment_null": 0.19},
    **{"nfm_trace": 1.0, "agop_trace": 1.0},
    **{"init_cosine": 0.2, "init_cosine_null": 0.5, "moved": 1.6},
    **{"delta_alignment": 0.7, "delta_alignment_null": 0.1, "delta_alignment_z": 60.0},
}
NO_INIT = dict.fromkeys(
    ("untrained_alignment", "init_cosine", "moved", "delta_alignment", "delta_alignment_z"), math.nan
)
NO_ALIGNMENT = {name: math.nan for name in ROW if name.startswith("alignment")}
ONE_DIRECTION = {"cosine": 1.0, "ci_low": 1.0, "ci_high": 1.0, "rotated_cosine": 1.0}
ONE_INPUT = ONE_DIRECTION | {"init_cosine": 1.0, "moved": math.nan}

CASES = [
    ("learned", {}, True),
    ("moved", {"alignment_z": 2.9}, True),
    ("moved", {"alignment_excess": 0.04}, True),
    ("moved", {"alignment_low": 0.09}, True),
    ("moved", {"untrained_alignment": 0.65}, True),
    ("learned", {"untrained_alignment": 0.65, "untrained_alignment_null": 0.6}, True),
    ("moved", {"alignment": 0.05, "alignment_low": 0.04, "alignment_z": -5.0, "alignment_excess": -0.05}, True),
    ("kept", {"moved": 0.04}, True),
    ("kept", {"moved": 0.04, "alignment_z": 0.0}, True),
    ("kept", {"moved": 0.0, **NO_ALIGNMENT}, True),
    ("aligned", NO_INIT, True),
    ("unclear", NO_INIT | {"alignment_z": 2.0}, True),
    ("unclear", NO_ALIGNMENT, True),
    ("unclear", {"alignment_low": math.nan}, True),
    ("unclear", {}, False),
    ("unclear", {"moved": 0.0}, False),
    ("no score", {}, None),
    ("trivial", {"trivial": True}, True),
    ("learned", ONE_DIRECTION, True),
    ("no score", ONE_DIRECTION, None),
    ("kept", ONE_DIRECTION | NO_ALIGNMENT | {"moved": 0.0}, True),
    ("unclear", ONE_DIRECTION | NO_ALIGNMENT, True),
    ("aligned", ONE_INPUT, True),
    ("unclear", ONE_INPUT | {"alignment_z": 2.0}, True),
    ("unclear", ONE_INPUT | NO_ALIGNMENT, True),
    ("unclear", {"alignment": 1.0, "alignment_low": 1.0, "alignment_null": 1.0, "alignment_excess": math.nan}, True),
    ("learned", {"untrained_alignment": 1.0, "untrained_alignment_null": 1.0}, True),
    ("dead", {"cosine": math.nan, "ci_low": math.nan, "ci_high": math.nan, "agop_trace": 0.0}, False),
    ("dead", {"cosine": math.nan, "ci_low": math.nan, "ci_high": math.nan, "nfm_trace": 0.0}, True),
    ("unclear", {"cosine": math.nan, "ci_low": math.nan, "agop_trace": math.nan, **NO_ALIGNMENT}, True),
]


@pytest.mark.parametrize(("expected", "change", "learned"), CASES)
def test_the_rules(expected, change, learned):
    assert layer_verdict(ROW | change, learned, Thresholds()) == expected


def test_every_verdict_has_a_case():
    assert {expected for expected, _, _ in CASES} == set(VERDICTS)


def test_thresholds_decide():
    row = ROW | {"alignment_z": 5.0, "alignment_excess": 0.2, "moved": 0.3}
    assert layer_verdict(row, True, Thresholds()) == "learned"
    assert layer_verdict(row, True, Thresholds(z=6)) == "moved"
    assert layer_verdict(row, True, Thresholds(excess=0.3)) == "moved"
    assert layer_verdict(row, True, Thresholds(moved=0.4)) == "kept"


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "3", None])
def test_a_threshold_is_a_number_of_at_least_0(value):
    with pytest.raises(
        nfa.InputError, match=re.escape(f"thresholds.z: got {value!r}, expected a number of at least 0")
    ):
        Thresholds(z=value)


@pytest.mark.parametrize("given", [{"z": 4}, None, 3.0])
def test_thresholds_of_another_type_are_refused_before_measuring(small, given):
    expected = rf"^thresholds: got {type(given).__name__}, expected nfa.audits.Thresholds\(z=, excess=, moved=\)$"
    with pytest.raises(nfa.InputError, match=expected):
        nfa.audit(*small, thresholds=given)


def said(change, learned=True, thresholds=None):
    thresholds = thresholds or Thresholds()
    row = ROW | change
    row["verdict"] = layer_verdict(row, learned, thresholds)
    layer = nfa.audit(torch.nn.Linear(2, 2), torch.eye(2))[0]
    return layer_sentence(replace(layer, row=row), learned, thresholds).removeprefix("Layer 0 (64 to 64): ")


def test_what_is_said_of_each_verdict():
    assert said({}) == (
        "consistent with feature learning as the ansatz describes it: the weights moved away from their initialisation "
        "(NFM cosine 0.20; unrelated weights 0.50), and they point where the output's gradients do (alignment 0.60, "
        "95 % over rows 0.58 to 0.62; by chance 0.10 ± 0.01; z 50.0, excess 0.55; untrained 0.20, by chance 0.19, "
        "excess 0.012). NFM and AGOP: cosine 0.90 (0.80 with the gradients turned at random). One trained network; "
        "other seeds may differ."
    )
    assert said({"alignment_z": 1.0}).startswith(
        "the weights moved (NFM cosine 0.20; unrelated weights 0.50), but they "
    )
    assert "are not clearly more aligned with the output's gradients than by chance (" in said({"alignment_z": 1.0})
    assert "are no more aligned with the output's gradients than by chance (" in said({"alignment_z": -1.0})
    assert "No evidence for the ansatz here; that is not evidence that nothing was learned." in said({"alignment_z": 1})
    few = {
        "alignment": 0.95,
        "alignment_low": 0.92,
        "alignment_null": 0.7,
        "alignment_null_sd": 0.13,
        "alignment_z": 1.9,
    }
    assert layer_verdict(ROW | few, True, Thresholds()) == "unclear"
    assert "W's left vectors are too few for alignment to be told from chance (alignment 0.95" in said(few)
    high = said({"alignment_null": 0.1, "alignment_null_sd": 0.01, "alignment_z": 50.0}, thresholds=Thresholds(z=100))
    assert "W's left vectors could not reach the threshold of z, 100, with an alignment of 1 either (alignment" in high
    assert "too few" not in high
    assert "are less aligned with the output's gradients than by chance" in said({"alignment_z": -3.0})
    assert "than before training" in said({"untrained_alignment": 0.65})
    assert "are only a little more aligned with the output's gradients than" in said({"alignment_excess": 0.01})
    kept = said({"moved": 0.01, "init_cosine": 0.99})
    assert kept.startswith(
        "the weights are nearly those of the initialisation (NFM cosine 0.99; unrelated weights 0.50)"
    )
    assert "What this layer computes was mostly there before training." in kept
    assert "Their change points where the output's gradients do (alignment of dW 0.70; by chance 0.10)" in kept
    assert "Their change" not in said({"moved": 0.01, "delta_alignment_z": 1.0})
    assert "give init= (--init) to tell" in said(NO_INIT)
    assert "has learned nothing that its score shows, so this is no sign" in said({}, learned=False)
    assert "no score shows that the network learned, so this is no sign" in said({}, learned=None)
    assert "alignment is undefined (a note)" in said(NO_ALIGNMENT)
    assert "too few samples" in said({"alignment_low": math.nan})
    assert "the same for every sample" in said({"trivial": True})
    undecided = said(ONE_DIRECTION | NO_ALIGNMENT)
    assert undecided.endswith("do not decide; NFM and AGOP have cosine 1.00 (1.00 with the gradients turned at "
        "random); NFM cosine with init 0.20.")  # fmt: skip
    assert said(ONE_INPUT).endswith("aligned too: whether this one moved, the NFM of one input cannot tell.")
    for change in ({"agop_trace": 0.0}, NO_ALIGNMENT | {"agop_trace": math.nan}):
        for learned in (True, False, None):
            assert said({"cosine": math.nan, "ci_low": math.nan} | change, learned) == "nothing can be said (a note)."


def test_a_layer_whose_nfm_and_agop_are_less_alike_than_by_chance_is_not_said_to_be_as_the_ansatz_describes():
    less = {"cosine": 0.33, "ci_low": 0.32, "ci_high": 0.34, "rotated_cosine": 0.77}
    assert layer_verdict(ROW | less, True, Thresholds()) == "learned"
    sentence = said(less)
    assert sentence.startswith("consistent with feature learning: the weights moved")
    assert (
        "But NFM and AGOP themselves are less alike than with the gradients turned at random (cosine 0.33, 95 % over "
        "rows 0.32 to 0.34, against 0.77): no evidence for the ansatz, which is about these two." in sentence
    )
    assert "themselves are less alike" in said(less | NO_INIT)
    assert "themselves are not clearly more alike" in said({"rotated_cosine": 0.9})
    for change in (less, less | NO_INIT, {"rotated_cosine": 0.9}, ONE_DIRECTION):
        assert "as the ansatz describes" not in said(change)


@pytest.mark.parametrize(
    ("change", "judged"),
    [
        ({}, "z 50.0, excess 0.55;"),
        (
            {"alignment_z": 2.9996},
            "z 2.9996, excess 0.55; untrained 0.20, by chance 0.19, excess 0.012; the threshold ",
        ),
        ({"alignment_z": 2.95}, "z 2.95, excess 0.55;"),
        ({"alignment_z": 12345.678}, "z 1.23e+04, excess 0.55;"),
        (
            {"alignment_excess": 0.04999},
            "z 50.0, excess 0.04999; untrained 0.20, by chance 0.19, excess 0.012; the thr",
        ),
        ({"alignment_excess": 0.0561}, "z 50.0, excess 0.056;"),
        ({"untrained_alignment": 0.65}, "excess 0.57; excess at the interval's lower end 0.53)"),
        ({"alignment_low": 0.09}, "the interval reaches down to chance)"),
        ({"untrained_alignment": math.nan}, "z 50.0, excess 0.55)"),
    ],
)
def test_the_numbers_that_are_judged_are_in_the_sentence(change, judged):
    assert judged in said(change)


def test_agreement_in_the_mean_gradient_alone_is_told():
    praise = "With the centered AGOP it is only 0.30: they agree in the mean gradient"
    assert praise in said({"cosine_centered": 0.3})
    assert praise in said({"cosine_centered": 0.3} | NO_INIT)
    assert "centered" not in said({"cosine_centered": 0.7})
    assert "centered" not in said({"cosine_centered": math.nan})


def test_the_features_at_convergence_theorem_speaks_at_rest_alone():
    fact = {"fact_cosine": 0.987, "fact_rest": 0.02}
    assert said(fact).endswith(
        "Features at Convergence Theorem (FACT): training rests (|dL/dW + lambda W| is 0.02 of |lambda W|), and the "
        "NFM has cosine 0.99 with -(1/lambda) W' dL/dW."
    )
    assert "FACT" not in said(fact | {"fact_rest": 0.31})
    assert "FACT" not in said(fact | {"fact_rest": math.nan})


@pytest.fixture
def audited(small):
    net, X = small
    y = X[:, :3] @ torch.eye(3, dtype=X.dtype)
    return nfa.audit(net, (X, y), perturbed(net), thresholds=Thresholds(z=2.5))


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [
        ("test", ""),
        ("val", ""),
        ("train", " These are training rows: "),
        ("all", " Nothing says that these rows "),
    ],
)
def test_a_score_on_training_rows_is_called_one(rows, doubt):
    score = Score("accuracy", 0.9, 0.1, 1000, rows, constant=False)
    found = network_verdict(score, Score("accuracy", 0.1, 0.1, 1000, rows, constant=False), order_known=True)
    assert found.learned
    said = found.reason.partition("the untrained network 0.100.")[2]
    assert said.startswith(doubt)
    assert bool(said) == bool(doubt)


def untrained_score(X, y, outputs, depth, norm, seed):
    """The score of a network that was not trained; with a norm whose statistics are fresh, or those of the data."""
    torch.manual_seed(seed)
    layers, d = [], X.shape[1]
    for _ in range(depth):
        layers += [nn.Linear(d, 128), *([nn.BatchNorm1d(128)] if norm else []), nn.ReLU()]
        d = 128
    net = nn.Sequential(*layers, nn.Linear(d, outputs))
    with torch.no_grad():
        for _ in range(10 if norm == "data's" else 0):
            net(X)
    return nfa.network.score(net.eval(), (X, y))


def test_without_init_few_untrained_networks_are_said_to_have_learned():
    generator = torch.Generator().manual_seed(0)
    ends, y = torch.randn(2, 10, generator=generator), torch.arange(400) % 2
    X = ends[y] + torch.randn(400, 10, generator=generator)
    scores = [untrained_score(X, y, 1, 1, "data's", seed) for seed in range(150)]
    assert sum(score.value > 0.5 + 0.25 * 0.5 for score in scores) > 8  # of two classes a quarter of the way is nothing
    assert sum(network_verdict(score, None, order_known=True).learned is True for score in scores) <= 3


@pytest.mark.parametrize(
    ("metric", "baseline", "enough"), [("accuracy", 0.5, 0.875), ("accuracy", 0.1, 0.325), ("r2", 0.0, 0.25)]
)
def test_how_much_is_asked_of_a_score_without_init(metric, baseline, enough):
    for value, learned in ((enough - 0.005, None), (enough + 0.005, True)):
        score = Score(metric, value, baseline, 10**5, "test", constant=False)
        found = network_verdict(score, None, order_known=True)
        assert (found.learned, found.for_layers) == (learned, True)
        assert ("an untrained network may do as well" in found.reason and "init=" in found.reason) is (learned is None)
        known = network_verdict(score, replace(score, value=baseline), order_known=True)
        assert known.learned
        assert "rests on the score alone" not in known.reason
        assert ("rests on the score alone" in found.reason) is (learned is True)


@pytest.mark.parametrize(
    ("metric", "before", "least"),
    [("accuracy", 0.6, 0.064), ("accuracy", 0.12, 0.04), ("r2", 0.33, 0.09), ("r2", -9.0, 0.008)],
)
def test_a_score_is_better_than_the_untrained_networks_by_errors_of_both(metric, before, least):
    """Untrained may mean trained before on other data, so that its score is known no better than this one."""
    untrained = Score(metric, before, 0.1 if metric == "accuracy" else 0.0, 1000, "test", constant=False)
    rival = max(before, untrained.baseline)
    for more, learned in ((0.8 * least, False), (1.2 * least, True)):
        found = network_verdict(replace(untrained, value=rival + more), untrained, order_known=True)
        assert found.learned is learned
        assert learned or f"than {'the untrained network' if rival == before else 'a constant answer'}" in found.reason


def test_targets_that_are_all_the_same_are_said_to_be():
    audit = nfa.audit(nfa.MLP(4, 8, 1, 1, seed=0), (gaussian(50, 4), torch.full((50, 1), 0.5)))
    assert math.isnan(audit.score.value)
    assert "The targets are the same on all 50 rows, so that R^2 is not defined" in " ".join(audit.sentences())


def test_an_offset_does_not_hide_what_a_float64_network_has_learned():
    X = gaussian(400, 4)
    net = nn.Linear(4, 1).double()
    with torch.no_grad():
        net.bias.fill_(1e8)
    y = net(X).detach() + 0.3 * gaussian(400, 1, seed=3)
    audit = nfa.audit(net, (X, y))
    assert audit.score.value > 0.5
    assert not audit.score.constant


def test_a_score_that_cannot_tell_leaves_it_to_alignment():
    """A network that is better than a constant answer, as many of two classes are, and has no init."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(1000, 8, generator=generator)
    noise = torch.randn(1000, generator=generator)
    y = (X[:, 0] + 0.8 * noise > 0).long()
    net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    with torch.no_grad():
        for weight in (net[0].weight, net[2].weight):
            weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
        net[0].weight[:, 0] = torch.linspace(-1, 1, 16)
        net[0].bias.zero_()
        net[2].weight[0] = torch.linspace(-1, 1, 16)
        net[2].bias.zero_()
    audit = nfa.audit(net, (X, y))
    assert 0.6 < audit.score.value < 0.85
    assert audit["0"]["verdict"] == "aligned"
    assert "an untrained network may do as well" in sentences(audit)[0]
    assert "has learned nothing" not in " ".join(sentences(audit))


@pytest.mark.slow
def test_how_often_untrained_networks_tell_classes_apart():
    """The numbers of docs/auditing.md, "What a verdict means"."""
    X, y = datasets.load_digits(return_X_y=True)
    pairs = [np.isin(y, pair) for pair in ((0, 1), (3, 8), (8, 9), (2, 7), (4, 6))]
    two = [(X[rows], y[rows] == y[rows].max()) for rows in pairs]
    made = {"n_samples": 2000, "random_state": 0}
    two += [datasets.load_breast_cancer(return_X_y=True), datasets.make_moons(600, noise=0.1, random_state=0)]
    two.append(datasets.make_classification(n_informative=5, **made))
    more = [(X, y), datasets.make_classification(n_informative=8, n_classes=5, **made)]
    skill = {}
    for name, sets in (("two", two), ("more", more)):
        found = []
        for X, y in sets:
            X = torch.from_numpy((X - X.mean(0)) / X.std(0).clip(1e-9)).float()
            y = torch.from_numpy(y.astype(np.int64))
            for outputs in (1, 2) if name == "two" else (int(y.max()) + 1,):
                for norm, depth, seed in itertools.product((None, "fresh", "data's"), (1, 3), range(20)):
                    score = untrained_score(X, y, outputs, depth, norm, seed)
                    found.append((score.value - score.baseline) / (1 - score.baseline))
        skill[name] = np.array(found)
    assert [len(found) for found in skill.values()] == [1920, 240]
    assert 0.05 < (skill["two"] > 0.25).mean() < 0.15
    assert (skill["two"] > 0.75).mean() < 0.006
    assert skill["more"].max() < 0.25
    print({name: [(found > share).mean() for share in (0.25, 0.5, 0.75)] for name, found in skill.items()})


def test_how_many_are_aligned_is_said_over_layers(audited):
    narrow = {3.0: "one in 150 of narrow ones"}
    for z, rare in (
        (3.0, "about one layer in 700"),
        (2.0, "about one layer in 40"),
        (4.0, "about one layer in 30000"),
        (5.0, "fewer than one layer in 10^6"),
        (38.0, "fewer than one layer in 10^300"),
        (1e200, "fewer than one layer in 10^300"),
    ):
        changed = replace(audited, about=replace(audited.about, thresholds=Thresholds(z=z)))
        for layer in changed:
            layer.row.update(verdict="learned", alignment_z=1e300, alignment_excess=0.5, alignment_low=0.9)
        audited[1].row.update(alignment_z=0.0)
        audited[2].row.update(verdict="trivial")
        first = sentences(changed)[0]
        chance = f"{rare} is expected by chance, {narrow.get(z, 'more of narrow ones')}."
        assert f"1 of 2 layers aligned; at z of {z:g}, {chance}" in first
        assert "Conventions" not in first
        assert conventions(changed).startswith(f"Conventions: aligned: z of {z:g} or more, excess of 0.05 or more")


def test_the_verdict_is_one_column_everywhere(audited, tmp_path):
    verdicts = [layer["verdict"] for layer in audited]
    assert set(verdicts) <= set(VERDICTS)
    assert audited.to_frame()["verdict"].tolist() == verdicts
    audited.save(tmp_path)
    saved = json.loads((tmp_path / "audit.json").read_text())
    assert [layer["verdict"] for layer in saved["layers"]] == verdicts
    assert saved["thresholds"] == {"z": 2.5, "excess": 0.05, "moved": 0.05}
    loaded = nfa.Audit.load(tmp_path)
    assert loaded.about == audited.about
    assert sentences(loaded) == sentences(audited)
    assert "z of 2.5 or more" in nfa.report.render(loaded)


def test_an_audit_of_the_first_version_still_loads(audited, tmp_path):
    audited.save(tmp_path)
    table = tmp_path / "audit.json"
    saved = json.loads(table.read_text())
    for key in ("groups", "columns", "thresholds", "features_sha256"):
        del saved[key]
    new = [*names(["verdict", "alignment"]), "rotated_cosine", "moved", "untrained_alignment", "untrained_alignment_z"]
    new += ["untrained_alignment_null"]
    new += ["delta_alignment", "delta_alignment_null", "delta_alignment_z"]
    for layer in saved["layers"]:
        for column in new:
            del layer[column]
    table.write_text(json.dumps(saved))
    loaded = nfa.Audit.load(tmp_path)
    assert "verdict" not in loaded.to_frame()
    assert math.isnan(loaded[0]["rotated_cosine"])
    assert loaded[0]["cosine"] == audited[0]["cosine"]
    assert all("audit the network again" in sentence for sentence in sentences(loaded)[1:])
    assert "audit the network again" in nfa.report.render(loaded)
    assert nfa.report.render_comparison({"old": loaded, "new": audited})


def test_what_the_methods_say(small):
    net, X = small
    data = (X, torch.arange(len(X)) % 3)
    plain = nfa.audit(net, data).methods()
    for part in (
        f"nfa {nfa.__version__}",
        "all 40 rows",
        "one for each of the 3 outputs (logits)",
        "Haar",
        "z \\ge 3",
        "conventions",
    ):
        assert part in plain
    for key in ("radhakrishnan2022mechanism", "beaglehole2024alignment", "busing1999jackknife"):
        assert plain.count(f"\\cite{{{key}}}") == plain.count(f"@article{{{key},") == 1
    assert "boixadsera" not in plain
    assert "initialisation" not in plain
    luck = "by 75 \\% of the way from there to a perfect score"
    assert "It is not known that these rows were held out from training." in plain
    assert luck in plain
    whole = nfa.audit(
        net, data, perturbed(net), probes=2, seed=4, loss="cross_entropy", published=True, thresholds=Thresholds(z=4)
    ).methods()
    for part in ("2 random probes for each row (seed 4)", "20 draws", "z \\ge 4", "initialisation", "cross_entropy"):
        assert part in whole
    assert "@article{boixadsera2025fact," in whole
    assert luck not in whole


def test_published_numbers_need_the_network_before_training(small):
    with pytest.raises(nfa.InputError, match="published: the published numbers are of the weights' change: give init="):
        nfa.audit(*small, published=True)


def test_published_numbers_are_columns_of_their_own(small, tmp_path):
    net, X = small
    audit = nfa.audit(net, X, perturbed(net), published=True, layers="layers.[01]")
    assert all(0 < layer["published_cosine"] <= 1 for layer in audit)
    assert all(layer["published_cosine_null"] <= layer["published_cosine_null_high"] for layer in audit)
    audit.save(tmp_path)
    assert nfa.Audit.load(tmp_path).about.groups[-1] == "published"
    assert "published_cosine" not in nfa.audit(net, X, perturbed(net)).to_frame()


def test_a_language_model_s_head_is_trivial_in_every_word():
    class Language(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(7, 8)
            self.mixing, self.head = torch.nn.Linear(8, 8), torch.nn.Linear(8, 7)

        def forward(self, tokens):
            return self.head(torch.tanh(self.mixing(self.embedding(tokens).cumsum(1))))

    torch.manual_seed(0)
    tokens = torch.randint(0, 7, (40, 5))
    for probes in (None, 4):
        head = nfa.audit(Language(), tokens, probes=probes)["head"]
        assert head["trivial"]
        assert head["verdict"] == "trivial"
        assert "trivial: delta is the same for every sample" in head["note"]
        assert math.isnan(head["alignment_z"])
        assert f"= {head['cosine']:.3f} compares" in layer_sentence(head, True, Thresholds())
        assert "says nothing about learning from data" in layer_sentence(head, True, Thresholds())


def test_where_nothing_can_be_aligned_the_note_says_so():
    net = nfa.MLP(5, [6, 1, 4], n_outputs=2)
    narrow = nfa.audit(net, gaussian(50, 5, dtype=torch.float32))[1]
    assert math.isnan(narrow["alignment"])
    assert "one unit: there is nothing to align" in narrow["note"]
    square = nfa.MLP(6, [6], n_outputs=2)
    square.layers[0].weight.data = torch.nn.init.orthogonal_(torch.empty(6, 6))
    orthogonal = nfa.audit(square, gaussian(50, 6, dtype=torch.float32))[0]
    assert math.isnan(orthogonal["alignment_z"])
    assert "C = WW' is a multiple of the identity: there is nothing to align" in orthogonal["note"]
    assert orthogonal["rotated_cosine"] == pytest.approx(orthogonal["cosine"], abs=1e-6)


def test_a_weight_of_one_direction_is_judged_by_alignment_and_moved_where_they_are_defined():
    X = gaussian(60, 1)
    net, init = (nfa.MLP(1, [5, 1, 4], n_outputs=2, activation="tanh", seed=seed).double() for seed in (0, 1))
    with torch.no_grad():
        net.layers[3].weight.copy_(torch.outer(torch.tensor([1.0, 2.0]), torch.arange(1.0, 5.0)))
    audit = nfa.audit(net, (X, torch.cat([X, X**2], 1)), init)
    one_input, one_unit, one_input_again, rank_one = audit
    for layer in audit:
        assert layer["cosine"] == pytest.approx(1, abs=1e-12)
        assert "W has one direction, so that cosine(NFM, AGOP) is 1 whatever was learned" in layer["note"]
    for layer in (one_input, one_input_again):
        assert math.isnan(layer["moved"])
        assert layer["init_cosine"] == pytest.approx(1, abs=1e-12)
        assert "one input: the NFM is a number" in layer["note"]
        assert not math.isnan(layer["alignment"])
    assert one_unit["moved"] > 0
    assert math.isnan(one_unit["alignment"])
    assert rank_one["moved"] > 0
    assert [layer["trivial"] for layer in audit] == [False, False, False, True]
    assert [layer["verdict"] == "trivial" for layer in audit] == [False, False, False, True]
    assert "moved is undefined" not in nfa.audit(net, X)[0]["note"]
    assert (
        "one direction" not in nfa.audit(nfa.MLP(3, [5], n_outputs=2), gaussian(9, 3, dtype=torch.float32))[0]["note"]
    )


def test_nearly_orthogonal_layers_have_nothing_to_align():
    net = torch.nn.Sequential(torch.nn.Linear(8, 8, bias=False), torch.nn.Linear(8, 8, bias=False)).double()
    for layer in net:
        layer.weight.data = torch.linalg.qr(gaussian(8, 8))[0] + 1e-9 * gaussian(8, 8, seed=2)
    first = nfa.audit(net, gaussian(40, 8), copy.deepcopy(net))[0]
    assert math.isnan(first["alignment_excess"])
    assert "C = WW' and S are nearly multiples of the identity: there is nothing to align" in first["note"]


class Ties(torch.nn.Module):
    """Maxima of pairs that are equal in float32 and not in float64: which unit has the gradient is rounding."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(6, 8, bias=False), torch.nn.Linear(4, 3, bias=False)
        with torch.no_grad():
            # They differ in a feature that is 0 in all rows.
            self.first.weight[4:] = self.first.weight[:4]
            self.first.weight[4:, 5] += 0.3

    def forward(self, x):
        first, second = self.first(x).chunk(2, 1)
        return self.second(torch.tanh(torch.maximum(first, second + 1e-12)))


def test_gradients_that_hang_on_rounding_are_told():
    torch.manual_seed(0)
    X = gaussian(100, 6, dtype=torch.float32)
    X[:, 5] = 0
    noted = nfa.audit(Ties(), X)["first"]["note"]
    assert re.search(r"gradients hang on rounding: on 32 rows cosine\(NFM, AGOP\) is 0\.\d+, in float64 0\.\d+", noted)
    assert "hang on rounding" not in nfa.audit(Ties().double(), X.double())["first"]["note"]
    assert all("hang on rounding" not in layer["note"] for layer in nfa.audit(nfa.MLP(6, [8], n_outputs=3), X))
