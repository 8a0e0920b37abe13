"""skorch's nets, as they are in memory."""

import subprocess
import sys

import numpy as np
import pytest
import skorch
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.exceptions import NotInitializedError

import nfa

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = RNG.integers(0, 3, 60)


class Module(torch.nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.first, self.drop, self.last = torch.nn.Linear(5, 4), torch.nn.Dropout(), torch.nn.Linear(4, outputs)

    def forward(self, x):
        return self.last(self.drop(self.first(x).relu())).squeeze(-1)


def skorch_net(kind=skorch.NeuralNetClassifier, **settings):
    settings = {"criterion": torch.nn.CrossEntropyLoss, "max_epochs": 2, "verbose": 0, "train_split": None} | settings
    return kind(Module, **settings)


def test_a_skorch_net():
    net = skorch_net().fit(X.astype(np.float32), Y)
    net.module_.train()
    model = nfa.load(net)
    assert model.net is net.module_
    assert all(module.training for module in net.module_.modules())
    assert (model.name, model.classes, model.ending) == ("NeuralNetClassifier", ("0", "1", "2"), None)
    out = model.net.eval()(torch.tensor(X, dtype=torch.float32)).detach()
    np.testing.assert_array_equal(out.argmax(1), net.predict(X.astype(np.float32)))
    assert [layer["name"] for layer in nfa.audit(model.net, X.astype(np.float32))] == ["first", "last"]


def test_kinds_of_skorch_nets():
    rows = X.astype(np.float32)
    settings = {"module__outputs": 1, "criterion": torch.nn.BCEWithLogitsLoss}
    binary = skorch_net(skorch.NeuralNetBinaryClassifier, **settings).fit(rows, (Y > 0).astype(np.float32))
    assert nfa.load(binary).classes == ("0", "1")
    regressor = skorch_net(skorch.NeuralNetRegressor, module__outputs=2, criterion=torch.nn.MSELoss)
    assert nfa.load(regressor.fit(rows, rows[:, :2])).classes is None
    initialized = skorch_net().initialize()
    assert nfa.load(initialized).classes is None
    pipeline = make_pipeline(StandardScaler(), skorch_net()).fit(rows, Y)
    model = nfa.load(pipeline)
    assert model.transform(rows).dtype == np.float32
    out = model.net.eval()(torch.tensor(model.transform(rows))).detach()
    np.testing.assert_array_equal(out.argmax(1), pipeline.predict(rows))


def test_a_skorch_net_that_is_not_there_yet():
    with pytest.raises(NotInitializedError):
        skorch_net().check_is_fitted()
    with pytest.raises(nfa.InputError, match="model: this NeuralNetClassifier is not initialized; call its fit or"):
        nfa.load(skorch_net())


def test_skorch_need_not_be_installed():
    code = (
        "import sys; sys.modules['skorch'] = None; import nfa; from sklearn.neural_network import MLPRegressor;"
        "net = MLPRegressor(hidden_layer_sizes=(2,), solver='lbfgs').fit([[0.0], [1.0]], [0.0, 1.0]);"
        "assert nfa.load(net).name == 'MLPRegressor'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
