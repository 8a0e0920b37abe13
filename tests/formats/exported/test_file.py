"""Exported programs: the same network as the module, for any number of rows."""

import copy

import pytest
import torch
from damage import assert_survives
from exported import edit_graph, skip_older_archives
from helpers import assert_same_table
from same import assert_same_audit, randomised
from torch import nn

import nfa

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
    "ignore:.*get_attr",  # the last one: torch 2.6
)

ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))
BATCH = ({0: torch.export.Dim("batch")},)


class Branched(nn.Module):
    """A residual network with constants, a buffer that is not saved, and two ways to write a product."""

    def __init__(self):
        super().__init__()
        self.values, self.inner = nn.Linear(6, 5), nn.ModuleDict({"a": nn.Linear(5, 5, bias=False)})
        self.W = nn.Parameter(torch.randn(5, 3))
        self.register_buffer("scale", torch.linspace(1, 2, 5), persistent=False)
        self.shift = torch.full((5,), 0.5)

    def forward(self, x):
        h = torch.tanh(self.values(x)) * self.scale + self.shift + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
        h = h + nn.functional.silu(self.inner["a"](h))
        return h @ self.W


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).relu())


class Flat(nn.Module):
    """Reads the number of rows off its input, in several ways."""

    def __init__(self):
        super().__init__()
        self.fc, self.head, self.start = nn.Linear(6, 4), nn.Linear(8, 2), nn.Parameter(torch.randn(1, 4))

    def forward(self, x):
        h = self.fc(x.view(x.size(0), -1)).relu()
        start = self.start.expand(x.shape[0], -1)
        return self.head(torch.cat([h, start], 1).reshape(x.shape[0], 8))


def sequential(*layers):
    return lambda: nn.Sequential(*(copy.deepcopy(layer) for layer in layers))


NETS = {
    "plain": sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.GELU(approximate="tanh"), nn.Linear(4, 3)),
    "without bias": sequential(nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 3, bias=False)),
    "in place": sequential(nn.Linear(6, 5), nn.LeakyReLU(0.1, inplace=True), nn.Linear(5, 3)),
    "batch norm": sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3)),
    "layer norm": sequential(nn.LayerNorm(6), nn.Linear(6, 5), nn.ELU(), nn.Linear(5, 3)),
    "log softmax": sequential(nn.Linear(6, 5), nn.Hardtanh(), nn.Linear(5, 3), nn.LogSoftmax(1)),
    "branched": Branched,
    "tied": Tied,
    "flat": Flat,
}


def exported(path, net, rows=ROWS[:4], dynamic=None, decomposed=False):
    program = torch.export.export(net, (rows,), dynamic_shapes=dynamic, strict=False)
    torch.export.save(program.run_decompositions() if decomposed else program, path)
    return path


def refusal(path):
    with pytest.raises(nfa.InputError) as caught:
        nfa.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize(
    ("rows", "dynamic", "decomposed"), [(4, BATCH, False), (4, None, False), (1, None, False), (4, BATCH, True)]
)
def test_an_audit_of_the_file_is_that_of_the_module(tmp_path, kind, rows, dynamic, decomposed):
    net = randomised(NETS[kind]())
    model = nfa.load(exported(tmp_path / "net.pt2", net, ROWS[:rows], dynamic, decomposed))
    assert (model.name, model.ending, model.notes) == ("net.pt2", None, ())
    assert [name for name, _ in model.net.named_parameters()] == [name for name, _ in net.named_parameters()]
    torch.testing.assert_close(model.net(ROWS), net(ROWS))
    assert_same_audit(model.net, net, ROWS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes_are_kept(tmp_path, dtype):
    net = randomised(NETS["plain"]().to(dtype))
    model = nfa.load(exported(tmp_path / "net.pt2", net, ROWS[:4].to(dtype)))
    assert {p.dtype for p in model.net.parameters()} == {dtype}
    assert torch.equal(model.net(ROWS.to(dtype)), net(ROWS.to(dtype)))
    assert_same_audit(model.net, net, ROWS.to(dtype))


@pytest.mark.parametrize("rows", [1, 2])
def test_pictures_as_rows_and_rows_as_pictures(tmp_path, rows):
    net = randomised(nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)))
    pictures = ROWS.reshape(40, 1, 2, 3)
    model = nfa.load(exported(tmp_path / "net.pt2", net, pictures[:rows]))
    assert torch.equal(model.net(ROWS), net(pictures))
    assert torch.equal(model.net(pictures), net(pictures))
    with pytest.raises(nfa.InputError, match="rows of shape 7, the network takes 1 x 2 x 3"):
        model.net(torch.ones(3, 7))


def test_a_program_for_a_single_vector(tmp_path):
    net = randomised(NETS["plain"]())
    assert_same_audit(nfa.load(exported(tmp_path / "net.pt2", net, ROWS[0])).net, net, ROWS)


@pytest.mark.parametrize("dynamic", [None, ({0: torch.export.Dim("batch"), 1: torch.export.Dim("length")},)])
@pytest.mark.parametrize("decomposed", [False, True])
def test_sequences(tmp_path, dynamic, decomposed):
    net = randomised(nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3)))
    sequences = ROWS.reshape(10, 4, 6)
    model = nfa.load(exported(tmp_path / "net.pt2", net, sequences[:2], dynamic, decomposed))
    torch.testing.assert_close(model.net(sequences), net(sequences))
    if dynamic:
        assert model.net(ROWS.reshape(8, 5, 6)).shape == (8, 5, 3)


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("dynamic", [None, BATCH])
@pytest.mark.parametrize(
    ("last", "ending"), [(nn.Softmax(-1), "softmax"), (nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid")]
)
def test_endings_are_taken_off(tmp_path, last, ending, dynamic, decomposed):
    net = randomised(nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3), last))
    model = nfa.load(exported(tmp_path / "net.pt2", net, dynamic=dynamic, decomposed=decomposed))
    assert model.ending == ending
    assert model.notes == (f"The file's network ends in {ending.capitalize()}; logits are its input.",)
    torch.testing.assert_close(last(model.net(ROWS)), net(ROWS))
    assert_same_audit(model.net, net[:3], ROWS)


def test_an_activation_inside_stays(tmp_path):
    net = randomised(nn.Sequential(nn.Linear(6, 5), nn.Softmax(0), nn.Linear(5, 3)))
    assert "alone and among others" in refusal(exported(tmp_path / "net.pt2", net))
    net = randomised(nn.Sequential(nn.Linear(6, 5), nn.Softmax(1), nn.Linear(5, 3)))
    assert nfa.load(exported(tmp_path / "net.pt2", net)).ending is None


@pytest.mark.parametrize("decomposed", [False, True])
def test_training_mode_is_run_as_evaluation(tmp_path, decomposed):
    net = randomised(NETS["batch norm"]())
    path = exported(tmp_path / "net.pt2", copy.deepcopy(net).train(), decomposed=decomposed)
    model = nfa.load(path)
    assert "training mode" in model.notes[0]
    assert_same_audit(model.net, net, ROWS)


def test_modes_copies_and_devices_do_no_harm(tmp_path):
    net = randomised(NETS["batch norm"]())
    loaded = nfa.load(exported(tmp_path / "net.pt2", net)).net
    twin = copy.deepcopy(loaded).train()
    torch.testing.assert_close(twin(ROWS), net(ROWS))
    with torch.no_grad():
        next(twin.parameters()).zero_()
    torch.testing.assert_close(loaded.eval()(ROWS), net(ROWS))
    torch.testing.assert_close(loaded.double()(ROWS.double()), net.double()(ROWS.double()))
    assert loaded.to("meta")(ROWS.to("meta").double()).shape == (40, 3)


def test_no_autograd_is_lost(tmp_path):
    net = randomised(NETS["branched"]())
    loaded = nfa.load(exported(tmp_path / "net.pt2", net)).net
    for one in (net, loaded):
        one(ROWS).square().sum().backward()
    for a, b in zip(net.parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.skipif(torch.__version__ < "2.7", reason="torch 2.6 exports no compiled module")
def test_a_compiled_module(tmp_path):
    net = randomised(NETS["plain"]())
    path = exported(tmp_path / "net.pt2", nn.Sequential(torch.compile(net, backend="eager")))
    names = [name for name, _ in nfa.load(path).net.named_parameters()]
    assert names[0] == "0.0.weight"


class Several(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.fc = how, nn.Linear(6, 3)

    def forward(self, x, other=None):
        f = self.fc(x if other is None else x + other)
        return {"two": (f, f * 2), "one": {"f": f, "class": f.argmax(1)}}.get(self.how, f)


def test_several_inputs_are_named(tmp_path):
    torch.export.save(torch.export.export(Several(""), (ROWS, ROWS)), tmp_path / "net.pt2")
    assert "takes 2 inputs (x, other)" in refusal(tmp_path / "net.pt2")


def test_several_outputs_are_named_unless_one_alone_is_real(tmp_path):
    message = refusal(exported(tmp_path / "net.pt2", Several("two")))
    assert "gives 2 floating-point outputs (linear, mul)" in message
    net = Several("one")
    assert torch.equal(nfa.load(exported(tmp_path / "net.pt2", net)).net(ROWS), net(ROWS)["f"])


def test_whole_numbers_are_no_rows(tmp_path):
    net = nn.Sequential(nn.Embedding(5, 6), nn.Linear(6, 3))
    assert "expected floating-point rows" in refusal(exported(tmp_path / "net.pt2", net, torch.tensor([1, 2])))


class Odd(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.fc = how, nn.Linear(6, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        if self.how == "no_grad":
            with torch.no_grad():
                x = x * 2
        if self.how == "noise":
            x = x + torch.rand_like(x)
        if self.how == "counts":
            self.calls += 1
        if self.how == "mixes":
            x = x - x.mean(0)
        if self.how == "squeezes":
            return self.fc(x.reshape(2, 12)[:, :6])
        return self.fc(x)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no_grad", "torch.ops.higher_order.wrap_with_set_grad_enabled"),
        ("noise", "torch.ops.aten.rand_like.default"),
        ("counts", "changes its own calls"),
        ("mixes", "alone and among others"),
        ("squeezes", "dynamic_shapes"),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path, how, words):
    assert words in refusal(exported(tmp_path / "net.pt2", Odd(how)))


def test_weights_that_are_not_finite_are_named(tmp_path):
    net = NETS["plain"]()
    with torch.no_grad():
        net[2].weight[1, 3] = float("nan")
    assert "2.weight: nan at row 1, column 3" in refusal(exported(tmp_path / "net.pt2", net))


def fuzz(tmp_path, count, seed):
    net = randomised(NETS["batch norm"]())
    whole = exported(tmp_path / "whole.pt2", net, dynamic=BATCH).read_bytes()
    assert_survives(whole, ".pt2", tmp_path, count, d=6, seed=seed)


def test_damaged_files(tmp_path):
    fuzz(tmp_path, 200, 0)


@pytest.mark.slow
def test_many_damaged_files(tmp_path):
    fuzz(tmp_path, 3000, 1)


def test_convolutions_are_layers(tmp_path):
    net = randomised(nn.Sequential(nn.Conv2d(1, 2, (1, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)))
    pictures = ROWS.reshape(40, 1, 2, 3)
    for decomposed in (False, True):
        model = nfa.load(exported(tmp_path / "net.pt2", net, pictures[:2], BATCH, decomposed))
        assert_same_table(nfa.audit(model.net, pictures), nfa.audit(net, pictures))
        copy.deepcopy(model.net)(pictures)


def test_what_is_passed_over_has_the_name_of_its_class(tmp_path):
    net = randomised(nn.Sequential(nn.LayerNorm((2, 3)), nn.Flatten(), nn.Linear(6, 3)))
    rows = ROWS.reshape(40, 2, 3)
    model = nfa.load(exported(tmp_path / "net.pt2", net, rows[:2], BATCH))
    assert nfa.audit(model.net, rows).skipped == [{"name": "0", "kind": "LayerNorm"}]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))

    def forward(self, x):
        return self.head(self.encoder(x))


@pytest.mark.parametrize("decomposed", [False, True])
def test_a_transformer_encoder(tmp_path, decomposed):
    net = randomised(Encoder())
    sequences = torch.randn(10, 3, 8, generator=torch.Generator().manual_seed(2))
    model = nfa.load(exported(tmp_path / "net.pt2", net, sequences[:4], BATCH, decomposed))
    torch.testing.assert_close(model.net(sequences), net(sequences))
    packed = nfa.audit(model, sequences)["encoder.self_attn.in_proj_weight"]  # q, k and v are one product here
    torch.testing.assert_close(packed.weight, net.encoder.self_attn.in_proj_weight.detach())
    # With sequences first inside, a fixed batch stands among other sizes, where nothing tells it from them.
    exported(tmp_path / "net.pt2", net, sequences[:4], None, decomposed)
    assert "export it with dynamic_shapes=" in refusal(tmp_path / "net.pt2")


def test_views_of_memory_that_lies_in_another_order_here(tmp_path):
    """As torch 2.6 exported attention; newer versions write that they reshape."""
    net = randomised(Encoder())
    sequences = torch.randn(10, 3, 8, generator=torch.Generator().manual_seed(2))
    path = exported(tmp_path / "net.pt2", net, sequences[:4], BATCH)
    skip_older_archives(path)
    changed = []

    def change(graph):
        for node in graph["nodes"]:
            if node["target"] == "torch.ops.aten.reshape.default":
                node["target"] = "torch.ops.aten.view.default"
                node["inputs"][1]["name"] = "size"
                changed.append(node)

    edit_graph(path, change)
    if not changed:
        pytest.skip("this torch exports attention in another way")
    torch.testing.assert_close(nfa.load(path).net(sequences), net(sequences))
