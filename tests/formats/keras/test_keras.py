"""Keras files against the formulas in NumPy, and against Keras itself where it is installed."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from damage import assert_survives

import nfa

h5py = pytest.importorskip("h5py")
DRAW = np.random.default_rng(0)


def draw(*shape):
    return DRAW.normal(size=shape).astype("f") / max(1, int(np.prod(shape[:-1]))) ** 0.5


PICTURES = [
    ("InputLayer", "input", {}, []),
    ("Conv2D", "my.conv", {"kernel_size": [3, 2], "strides": [2, 1], "padding": "same", "activation": "relu"},
     [draw(3, 2, 3, 4), draw(4)]),
    ("BatchNormalization", "norm", {"epsilon": 1e-3, "scale": False, "axis": [3]},
     [draw(4), draw(4), 1 + draw(4) ** 2]),
    ("Conv2D", "grouped", {"kernel_size": [2, 2], "use_bias": False, "groups": 2, "dilation_rate": 2},
     [draw(2, 2, 2, 6)]),
    ("Activation", "act", {"activation": "tanh"}, []),
    ("Flatten", "flat", {"data_format": "channels_last"}, []),
    ("Dropout", "drop", {"rate": 0.5}, []),
    ("Dense", "hidden", {"activation": "linear"}, [draw(18, 7), draw(7)]),
    ("LeakyReLU", "leaky", {"negative_slope": 0.1}, []),
    ("Dense", "head", {"activation": "softmax"}, [draw(7, 3), draw(3)]),
]  # fmt: skip


def by_hand(x):
    """The logits of `PICTURES`, in float64 and loops."""
    arrays = {name: [each.astype(np.float64) for each in arrays] for _, name, _, arrays in PICTURES}

    def conv(x, W, strides, dilation, groups):
        n, h, w, c = x.shape
        (q, p), k = W.shape[:2], W.shape[3]
        rows = range(0, h - (q - 1) * dilation, strides[0])
        columns = range(0, w - (p - 1) * dilation, strides[1])
        z = np.zeros((n, len(rows), len(columns), k))
        for i, a in enumerate(rows):
            for j, b in enumerate(columns):
                patch = x[:, a : a + (q - 1) * dilation + 1 : dilation, b : b + (p - 1) * dilation + 1 : dilation]
                for g in range(groups):
                    part = patch[..., g * c // groups : (g + 1) * c // groups]
                    own = slice(g * k // groups, (g + 1) * k // groups)
                    z[:, i, j, own] = np.einsum("nabc,abck->nk", part, W[..., own])
        return z

    W, b = arrays["my.conv"]
    x = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))  # same, for 6 x 5 rows: 3 and 5 places
    x = np.maximum(conv(x, W, (2, 1), 1, 1) + b, 0)
    beta, mean, variance = arrays["norm"]
    x = (x - mean) / np.sqrt(variance + 1e-3) + beta
    x = np.tanh(conv(x, arrays["grouped"][0], (1, 1), 2, 2)).reshape(len(x), -1)
    W, b = arrays["hidden"]
    x = x @ W + b
    W, b = arrays["head"]
    return np.where(x > 0, x, 0.1 * x) @ W + b


def config_of(layers, functional):
    described = []
    for number, (kind, name, settings, _) in enumerate(layers):
        each = {"class_name": kind, "config": {"name": name, **settings}}
        if functional:
            history = {"class_name": "__keras_tensor__", "config": {"keras_history": [layers[number - 1][1], 0, 0]}}
            each["inbound_nodes"] = [{"args": [history], "kwargs": {}}] if number else []
        described.append(each)
    if functional:
        described.reverse()
    return {"class_name": "Functional" if functional else "Sequential", "config": {"name": "net", "layers": described}}


def written(path, layers, functional=False):
    config = config_of(layers, functional)
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps(config)
            for _, name, _, arrays in layers:
                group = file.create_group(f"model_weights/{name}")
                names = [f"net/{name}/{number}:0" for number in range(len(arrays))]
                group.attrs["weight_names"] = np.array(names, dtype=h5py.string_dtype())
                for each, array in zip(names, arrays, strict=True):
                    group[each] = array
        return path
    inner = io.BytesIO()
    with h5py.File(inner, "w") as file:
        for number, (_, name, _, arrays) in enumerate(layers):
            group = file.create_group(f"layers/kind_{number}/vars")
            group.attrs["name"] = name
            for place, array in enumerate(arrays):
                group[str(place)] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", inner.getvalue())
    return path


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_chain_of_layers(suffix, functional, tmp_path):
    model = nfa.load(written(tmp_path / f"net{suffix}", PICTURES, functional))
    X = DRAW.normal(size=(12, 6, 5, 3))
    expected = torch.from_numpy(by_hand(X))
    got = model.net.double()(torch.from_numpy(X))
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
    assert (model.ending, model.notes) == ("softmax", ("The file's network ends in Softmax; logits are its input.",))
    model = nfa.load(tmp_path / f"net{suffix}")
    audit = nfa.audit(model, X.astype("f"))
    assert [layer["name"] for layer in audit] == ["my_conv", "grouped", "hidden", "head"]
    assert tuple(audit["grouped"].weight.shape) == (6, 16)


def refused(path, words):
    with pytest.raises(nfa.InputError, match=words) as caught:
        nfa.load(path)
    assert "\n" not in str(caught.value)


DENSE = [("Dense", "a", {"activation": "relu"}, [draw(4, 5), draw(5)]), ("Dense", "b", {}, [draw(5, 2), draw(2)])]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([*DENSE, ("LSTM", "r", {}, []), ("MaxPooling2D", "p", {}, [])],
         r"has layers that are not read \(LSTM, MaxPooling2D\); export it to ONNX \(model.export\('net.onnx'"),
        ([("Dense", "a", {"activation": "crelu"}, [draw(4, 5), draw(5)])], "a has the activation crelu, which is"),
        ([("Dense", "a", {}, [draw(4, 5)])], r"a has arrays of shapes \[\(4, 5\)\], not those of a Dense"),
        ([("Dense", "a", {}, [draw(4, 5), np.full(5, np.nan, "f")])], "a: nan at row 0; every entry must be finite"),
        ([("Conv1D", "a", {"kernel_size": [2], "padding": "reflect"}, [draw(2, 3, 4), draw(4)])], "padding 'reflect'"),
        ([("Conv1D", "a", {"kernel_size": [2], "strides": 0}, [draw(2, 3, 4), draw(4)])], "sizes"),
        ([("Conv1D", "a", {"kernel_size": [3]}, [draw(2, 3, 4), draw(4)])], r"kernel of shape \(2,\) in 1 groups, not"),
        ([*DENSE, ("ReLU", "r", {"max_value": 6}, [])], "r is a ReLU with a bound"),
        ([*DENSE, ("ReLU", "r", {"max_value": 0.0}, [])], "r is a ReLU with a bound"),
        ([*DENSE, ("ReLU", "r", {"threshold": 0.5}, [])], "r is a ReLU with a bound"),
        ([*DENSE, ("Activation", "r", {"activation": {"class_name": "function", "config": "mine"}}, [])],
         "r has the activation mine, which"),
        ([*DENSE, ("Activation", "r", {"activation": {"class_name": "PReLU", "config": {"name": "p"}}}, [])],
         "r has the activation PReLU, which"),
        ([*DENSE, ("Activation", "r", {"activation": {"module": "x"}}, [])], "r has the activation {'module':"),
        ([*DENSE, ("Softmax", "s", {"axis": 1}, [])], "s is a softmax along axis 1"),
        ([DENSE[0], DENSE[0]], "names two layers alike"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named_with_the_way_round(layers, words, tmp_path):
    refused(written(tmp_path / "net.keras", layers), words)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([["b", 0, 0]], None),
        (["b", 0, 0], None),
        ({"one": ["b", 0, 0]}, None),
        ([["a", 0, 0], ["b", 0, 0]], "a, b"),
        ({"one": ["b", 0, 0], "two": ["a", 0, 0]}, "b, a"),
        ([["b", 0, 0], ["b", 0, 0]], "b, b"),
        (["a", 0, 0], "a"),
    ],
)
def test_a_functional_model_s_only_output_is_its_last_layer_s(outputs, said, tmp_path):
    config = config_of(DENSE, True)
    config["config"] |= {"output_layers": outputs}
    path = written(tmp_path / "net.h5", DENSE, True)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    if said is None:
        assert nfa.load(path).net(torch.zeros(3, 4)).shape == (3, 2)
    else:
        refused(path, f"has the outputs {said}, expected the result of its last layer, b; export it to ONNX")


def test_other_files(tmp_path):
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = draw(4, 5)
    refused(
        tmp_path / "net.weights.h5", r"holds weights alone, or is no file of Keras; model.save\('net.keras'\) keeps"
    )
    (tmp_path / "net.h5").write_bytes(b"something")
    refused(tmp_path / "net.h5", "cannot read .* as Keras: it is truncated or of another kind")
    branched = config_of(DENSE, True)
    branched["config"]["layers"][0]["inbound_nodes"][0]["args"] *= 2
    branched["config"]["layers"][0]["inbound_nodes"][0]["args"][1] = ["other", 0, 0]
    path = written(tmp_path / "net.h5", DENSE, True)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(branched)
    refused(path, r"is no chain of layers \(at a\); export it to ONNX")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(config_of(DENSE, False))
        del file["model_weights/a/net/a/0:0"]
        file["model_weights/a/net/a/0:0"] = h5py.ExternalLink("other.h5", "/secret")
    refused(path, "lacks the array net/a/0:0")


def test_an_array_that_asks_for_memory_is_refused(tmp_path):
    path = written(tmp_path / "net.h5", DENSE)
    with h5py.File(path, "r+") as file:
        del file["model_weights/a/net/a/0:0"]
        file.create_dataset("model_weights/a/net/a/0:0", (1 << 20, 1 << 20), "f", chunks=True)
    refused(path, "net/a/0:0.* a network's file is not compressed so much")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_damaged_files(suffix, tmp_path):
    whole = written(tmp_path / f"whole{suffix}", DENSE).read_bytes()
    assert_survives(whole, suffix, tmp_path, 100, d=4, seed=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_as_keras_itself_with_its_torch_backend(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    L = keras.layers
    layers = [
        L.Conv2D(4, 3, strides=2, padding="same", activation="relu"), L.BatchNormalization(),
        L.Conv2D(6, 2, groups=2, activation="silu"), L.Activation("tanh"), L.Flatten(), L.Dropout(0.2),
        L.Dense(6, activation="gelu"), L.LeakyReLU(0.1), L.ELU(), L.Dense(3),
    ]  # fmt: skip
    inputs = keras.Input((9, 8, 3))
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    X = DRAW.normal(size=(20, 9, 8, 3)).astype("f")
    for number, net in enumerate((keras.Model(inputs, outputs), keras.Sequential([inputs, *layers]))):
        expected = net(X, training=False).detach()
        for suffix in (".keras", ".h5"):
            path = tmp_path / f"net{number}{suffix}"
            net.save(path)
            torch.testing.assert_close(nfa.load(path).net(torch.from_numpy(X)), expected, rtol=1e-5, atol=1e-5)
