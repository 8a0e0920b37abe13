"""Exported programs that claim too much, or are of another form than torch writes."""

import copy
import random

import pytest
import torch
from exported import ROWS, edit, edit_graph, old_format, refusal, rewrite, small_program

import nfa

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def path(tmp_path):
    return small_program(tmp_path / "net.pt2")


def node(target, name, **arguments):
    inputs = [{"name": key, "arg": value, "kind": 1} for key, value in arguments.items()]
    kind = {"as_sym_int": {"as_name": name}} if target.startswith("_operator") else {"as_tensor": {"name": name}}
    return {"target": target, "inputs": inputs, "outputs": [kind], "metadata": {}}


ONE, RELU = {"as_int": 1}, {"as_tensor": {"name": "relu"}}
HUGE = {"as_sym_ints": [{"as_name": "huge"}]}


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("torch.ops.aten.full.default", "big", size={"as_ints": [1 << 35]}, fill_value=ONE)], "entries"),
        ([node("torch.ops.aten.repeat.default", "big", self=RELU, repeats={"as_ints": [1 << 30, 1]})], "entries"),
        (
            [
                node("_operator.mul", "huge", a={"as_int": 1 << 61}, b={"as_int": 1 << 61}),
                node("torch.ops.aten.full.default", "big", size=HUGE, fill_value=ONE),
            ],
            "more than 62 bits",
        ),
    ],
)
def test_no_program_takes_more_memory_than_it_can_need(path, nodes, words):
    # What nothing needs is not run; an operator that works in place counts as needed.
    used = node("torch.ops.aten.add_.Tensor", "sum", self={"as_tensor": {"name": "big"}}, other=ONE)
    edit_graph(path, lambda graph: graph["nodes"].extend([*nodes, used]))
    message = refusal(path)
    assert "cannot be run on 3 rows" in message
    assert words in message


SQUARE = {"as_ints": [1, 8000, 8000]}
ROUND = {"as_tensor": {"name": "big"}}


@pytest.mark.parametrize(
    "last",
    [
        node("torch.ops.aten.matmul.default", "end", self=ROUND, other=ROUND),
        node("torch.ops.aten.addbmm.default", "end", self={"as_tensor": {"name": "low"}}, batch1=ROUND, batch2=ROUND),
        node("torch.ops.aten.max_pool2d.default", "end", self=ROUND, kernel_size={"as_ints": [2000, 2000]},
             stride={"as_ints": [1, 1]}),
    ],
)  # fmt: skip
def test_no_program_takes_longer_than_it_can_need(path, last):
    big = node("torch.ops.aten.full.default", "big", size=SQUARE, fill_value={"as_float": 0.5})
    used = node("torch.ops.aten.add_.Tensor", "sum", self={"as_tensor": {"name": "end"}}, other=ONE)
    low = node("torch.ops.aten.full.default", "low", size={"as_ints": [1, 1]}, fill_value={"as_float": 0.5})
    edit_graph(path, lambda graph: graph["nodes"].extend([big, low, last, used]))
    assert "it takes too long for a network of its size" in refusal(path)


def test_reading_without_end_is_refused(path):
    big = node("torch.ops.aten.full.default", "big", size=SQUARE, fill_value={"as_float": 0.5})
    sums = [node("torch.ops.aten.sum.default", f"sum{place}", self=ROUND) for place in range(1200)]
    used = [
        node("torch.ops.aten.add_.Tensor", f"used{place}", self={"as_tensor": {"name": f"sum{place}"}}, other=ONE)
        for place in range(1200)
    ]
    edit_graph(path, lambda graph: graph["nodes"].extend([big, *sums, *used]))
    assert "it takes too long for a network of its size" in refusal(path)


@pytest.mark.parametrize("sizes", [[5, 7], [1 << 40, 6], [-5, 6]])
def test_a_weight_larger_than_its_bytes_is_refused(path, sizes):
    def change(document):
        document["config"]["0.weight"]["tensor_meta"]["sizes"] = [{"as_int": size} for size in sizes]

    edit(path, "data/weights/model_weights_config.json", change)
    refusal(path)


def test_a_weight_repeated_without_end_is_refused(path):
    def change(document):
        meta = document["config"]["0.weight"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 1 << 20}] * 2, [{"as_int": 0}] * 2

    edit(path, "data/weights/model_weights_config.json", change)
    assert "cut short" in refusal(path)


def test_a_weight_that_is_missing_is_noticed(path):
    edit(path, "data/weights/model_weights_config.json", lambda document: document["config"].pop("0.weight"))
    assert "does not follow the format" in refusal(path)
    rewrite(path, lambda name, content: b"" if name == "data/weights/weight_0" else content)
    refusal(path)


def test_flipped_bits_are_found(path):
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"torch.ops.aten.relu") + 16] ^= 1
    path.write_bytes(whole)
    assert "checksum" in refusal(path)


@pytest.mark.parametrize("major", [4, 9, "8\n", None])
def test_other_schema_versions_are_refused(path, major):
    edit(path, "models/model.json", lambda document: document["schema_version"].update(major=major))
    assert "schema version" in refusal(path)


@pytest.mark.parametrize("key", ["graph_module", "schema_version"])
@pytest.mark.parametrize("value", [None, 3, [], {}, "x"])
def test_json_of_another_form_is_refused(path, key, value):
    edit(path, "models/model.json", lambda document: document.update({key: value}))
    assert "does not follow the format" in refusal(path)


def test_deep_json_is_refused(path):
    rewrite(path, lambda name, content: b"[" * 100_000 if name == "models/model.json" else content)
    assert "does not follow the format" in refusal(path)


def test_other_archives_are_refused(path):
    torch.save({"0.weight": torch.ones(2, 2)}, path)
    assert "torch.export.save" in refusal(path)


def test_several_programs_are_refused(path):
    rewrite(path, **{"models/second.json": b"{}"})
    assert "2 programs (model, second)" in refusal(path)


def test_the_old_format_is_read(path):
    module = old_format(path)
    net = nfa.load(path).net
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    torch.testing.assert_close(net(ROWS), module(ROWS))
    assert net(ROWS[:3]).shape == (3, 3)


ODD = (None, -1, 0, 1, 3, 1 << 40, 0.5, float("nan"), "", "x", "linear", True, [], [1], [None], {}, {"as_int": 7})


def places(value, path=()):
    """Every place in a JSON document."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


def tampered(document, draw):
    """Put something odd into one to three places, or take them out."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        found = list(places(document))
        if not found:
            return
        *path, last = draw.choice(found)
        inner = document
        for key in path:
            inner = inner[key]
        if draw.random() < 0.3:
            del inner[last]
        else:
            other = draw.choice(list(inner.values()) if isinstance(inner, dict) else inner)
            inner[last] = copy.deepcopy(draw.choice((*ODD, other)))


def fuzz_json(path, count, seed):
    draw, whole, refused = random.Random(seed), path.read_bytes(), []
    for _ in range(count):
        path.write_bytes(whole)
        member = draw.choice(("models/model.json", "models/model.json", "data/weights/model_weights_config.json"))
        edit(path, member, lambda document: tampered(document, draw))
        try:
            net = nfa.load(path).net
            net(ROWS).sum().backward()
        except nfa.InputError as error:
            refused.append(str(error))
    assert len(refused) > count // 4
    assert not [message for message in refused if "\n" in message]


def test_tampered_json(path):
    fuzz_json(path, 200, 0)


@pytest.mark.slow
def test_much_tampered_json(path):
    fuzz_json(path, 10_000, 1)
