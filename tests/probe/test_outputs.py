"""What the gradients are of."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from torch.func import jacrev, vmap

import nfa
from nfa.network import Model

CHOICES = {
    "a difference": lambda f: f[:, :1] - f[:, 2:],
    "a norm": lambda f: f.square().sum(1),
    "two of three": lambda f: torch.tanh(f[:, [0, 2]]),
    "a cube": lambda f: f[:, :, None, None] ** torch.arange(1, 5).reshape(2, 2),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_a_function_of_the_outputs_equals_dense_gradients(choice, small):
    net, X = small
    audit = nfa.audit(net, X, outputs=CHOICES[choice])
    h = [X]
    for layer in net.layers[:-1]:
        h.append(torch.relu(layer(h[-1])))
    for number, layer in enumerate(audit):

        def rest(row, number=number):
            row = row[None]
            for place, linear in enumerate(net.layers[number:], number):
                row = linear(row) if place == len(net.layers) - 1 else torch.relu(linear(row))
            return CHOICES[choice](row).flatten()

        J = vmap(jacrev(rest))(h[number].detach()).detach()
        torch.testing.assert_close(layer.agop.dense(), torch.einsum("ncd,nce->de", J, J) / len(X))
    assert audit.about.n_outputs == J.shape[1]


@pytest.mark.parametrize(
    ("message", "function"),
    [
        ("the function returned tuple, expected 40 rows", lambda f: (f, f)),
        ("the function returned torch.int64 of shape", lambda f: f.argmax(1)),
        (r"the function returned torch.float64 of shape \(\)", lambda f: f.sum()),
        (r"the function returned torch.float64 of shape \(3, 40\)", lambda f: f.T),
    ],
)
def test_functions_that_return_something_else(message, function, small):
    net, X = small
    message = message.replace("40", "2") if "tuple" in message else message.replace("40", r"\d+")
    with pytest.raises(nfa.InputError, match=f"outputs: {message}"):
        nfa.audit(net, X, outputs=function)


def test_probabilities_follow_the_ending_that_was_taken_off(small):
    net, X = small
    for ending, function in (("softmax", lambda f: f.softmax(1)), ("sigmoid", torch.sigmoid)):
        got = nfa.audit(Model(net, "net", ending=ending), X, outputs="probabilities")
        expected = nfa.audit(net, X, outputs=function)
        for layer, other in zip(got, expected, strict=True):
            torch.testing.assert_close(layer.S, other.S)


def test_scores_follow_the_ending_that_was_taken_off():
    net, X = nfa.MLP(4, 8, 1, 1, bias=True), gaussian(50, 4, dtype=torch.float32)
    y = (net(X)[:, 0] > 0).long().detach()
    two_sided = nfa.audit(Model(net, "net", ending="sigmoid"), (X, y)).score
    assert (two_sided.metric, two_sided.value) == ("accuracy", 1.0)
    assert two_sided.baseline == pytest.approx(max(y.float().mean(), 1 - y.float().mean()))
    targets = torch.sigmoid(net(X)).detach()
    assert nfa.audit(Model(net, "net", ending="sigmoid"), (X, targets)).score.value == pytest.approx(1)
    with pytest.raises(nfa.InputError, match="classes 0 to 2, but the network has outputs 0 to 1"):
        nfa.audit(Model(net, "net", ending="sigmoid"), (X, torch.arange(50) % 3))


def test_the_loss_of_one_logit_is_the_binary_one():
    net, X = nfa.MLP(4, 8, 1, 1).double(), gaussian(50, 4)
    y = torch.arange(50) % 2
    got = nfa.audit(net, (X, y), loss="cross_entropy", weight_decay=0.1)
    value = torch.nn.functional.binary_cross_entropy_with_logits(net(X)[:, 0], y.double())
    for layer, gradient in zip(got, torch.autograd.grad(value, [m.weight for m in net.layers]), strict=True):
        W = layer.weight
        assert layer["fact_lambda"] == pytest.approx(float(-(W * gradient).sum() / (W * W).sum()))
    for loss, targets in (("onehot_mse", y), ("cross_entropy", y + 1), ("cross_entropy", y.double())):
        with pytest.raises(nfa.InputError, match=f"loss: {loss} needs class numbers|y: "):
            nfa.audit(net, (X, targets), loss=loss)


def test_mse_of_class_numbers_is_refused_with_the_loss_that_fits():
    X, y = gaussian(30, 4, dtype=torch.float32), torch.arange(30) % 3
    for net, targets in (
        (nfa.MLP(4, 8, 1, 3), y),
        (torch.nn.Linear(4, 3), y.numpy()),
        (torch.nn.Linear(4, 3), y[:, None]),
    ):
        with pytest.raises(
            nfa.InputError, match=r"^loss: mse needs a number for each of the 3 outputs.*onehot_mse"
        ) as said:
            nfa.audit(net, (X, targets), loss="mse")
        assert "\n" not in str(said.value)


def test_a_function_s_name_stands_in_the_record(small, tmp_path):
    def first_minus_last(f):
        return f[:, 0] - f[:, -1]

    net, X = small
    audit = nfa.audit(net, X.numpy().astype(np.float64), outputs=first_minus_last)
    audit.save(tmp_path)
    assert nfa.Audit.load(tmp_path).about.outputs == "first_minus_last"
