"""Exported programs that would run code if torch opened them: every door is closed, and nothing runs."""

import contextlib
import json
import pickle
import warnings

import pytest
import torch
from exported import ROWS, Trap, edit, edit_graph, old_format, refusal, rewrite, saved, small_program

import nfa

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def path(tmp_path):
    return small_program(tmp_path / "net.pt2")


@pytest.fixture
def sprung(tmp_path):
    return tmp_path / "sprung"


def opened_by_torch(path):
    """What torch.export.load makes of the file, whatever it is."""
    with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
        torch.export.load(path)  # a trap may spring before torch notices that anything is wrong


def pickled_sample_inputs(path, sprung):
    trap = saved(((Trap(sprung),), {}))
    rewrite(path, lambda name, content: trap if name == "data/sample_inputs/model.pt" else content)


def pickled_weight(path, sprung):
    def change(document):
        document["config"]["0.weight"]["use_pickle"] = True

    edit(path, "data/weights/model_weights_config.json", change)
    rewrite(path, lambda name, content: saved(Trap(sprung)) if name == "data/weights/weight_0" else content)


def pickled_constant(path, sprung):
    def change(document):
        document["config"]["unused"] |= {"use_pickle": True, "path_name": "tensor_9"}

    edit(path, "data/constants/model_constants_config.json", change)
    rewrite(path, **{"data/constants/tensor_9": saved(Trap(sprung))})


def opaque_object(path, sprung):
    def change(document):
        document["config"]["obj"] = {
            "path_name": "opaque_obj_0",
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }

    edit(path, "data/constants/model_constants_config.json", change)
    rewrite(path, **{"data/constants/opaque_obj_0": pickle.dumps(Trap(sprung), protocol=2)})


def legacy_weights(path, sprung):
    rewrite(path, **{"data/weights/model.pt": saved({"0.weight": Trap(sprung)})})


def expression(path, sprung):
    def change(graph):
        graph["tensor_values"]["input"]["sizes"][0]["as_expr"]["expr_str"] = f"__import__('os').mkdir('{sprung}')"

    edit_graph(path, change)


DOORS = [pickled_sample_inputs, pickled_weight, pickled_constant, opaque_object, legacy_weights, expression]


@pytest.mark.parametrize("door", DOORS)
def test_what_torch_would_run_does_not_run(path, sprung, door):
    door(path, sprung)
    if door is expression:  # never evaluated, and not needed
        assert nfa.load(path).net(ROWS).shape == (8, 3)
    else:
        refusal(path)
    assert not sprung.exists()
    if door is not opaque_object or torch.__version__ >= "2.13":  # torch 2.11 has no such door
        opened_by_torch(path)
        assert sprung.exists(), "the trap is no trap"


@pytest.mark.parametrize("name", ["notes.txt", "data/weights/weight_99", "extra/a", "data/constants/custom_obj_0"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_that_needs_code_is_refused_whatever_it_is_called(path, sprung, name, zipped):
    trap = Trap(sprung)
    rewrite(path, **{name: saved(trap) if zipped else pickle.dumps(trap)})
    assert "mkdir" in refusal(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.os.mkdir",
        "torch.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.relu.out",
        "torch.ops.aten.relu.__class__",
        "torch.ops.aten.relu.default.__class__",
        "torch.ops.aten.__class__.mro",
        "torch.ops.load_library",
        "torch.ops.higher_order.cond",
        "torch.ops.mylib.relu.default",
        "_operator.attrgetter",
        "_operator.call",
        "_operator.methodcaller",
        "math.factorial",
        "#ext:op",
        "relu",
        "",
    ],
)
def test_only_known_functions_of_tensors_are_run(path, sprung, target):
    def change(graph):
        graph["nodes"][-1] |= {"target": target}
        graph["nodes"][-1]["inputs"] = [{"name": "self", "arg": {"as_string": str(sprung)}, "kind": 1}]

    edit_graph(path, change)
    assert "none of the operators" in refusal(path)
    assert not sprung.exists()


def test_an_operator_that_makes_files_is_not_run(path, sprung):
    def change(graph):
        arguments = {"filename": {"as_string": str(sprung)}, "shared": {"as_bool": True}, "size": {"as_int": 10}}
        inputs = [{"name": name, "arg": value, "kind": 1} for name, value in arguments.items()]
        outputs = [{"as_tensor": {"name": "made"}}]
        graph["nodes"].append(
            {"target": "torch.ops.aten.from_file.default", "inputs": inputs, "outputs": outputs, "metadata": {}}
        )

    edit_graph(path, change)
    assert "torch.ops.aten.from_file.default" in refusal(path)
    assert not sprung.exists()


@pytest.mark.parametrize("kind", ["as_operator", "as_graph", "as_custom_obj", "as_complex"])
def test_arguments_that_are_no_numbers_are_refused(path, kind):
    def change(graph):
        graph["nodes"][-1]["inputs"][0]["arg"] = {kind: {"name": "x"}}

    edit_graph(path, change)
    assert kind in refusal(path)


def test_names_are_never_code(path, sprung):
    code = f"x\n    __import__('os').mkdir('{sprung}')\n#"
    rewrite(path, lambda name, content: content.replace(b'"linear"', json.dumps(code).encode()))
    net = nfa.load(path).net
    assert net(ROWS).shape == (8, 3)
    assert not sprung.exists()


def test_guards_are_never_run(path, sprung):
    edit(
        path,
        "models/model.json",
        lambda document: document.update(guards_code=[f"__import__('os').mkdir('{sprung}') or True"]),
    )
    nfa.load(path).net(ROWS)
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["data/aotinductor/model/a.wrapper.txt", "data/model.so", "kernel.cubin"])
def test_compiled_code_is_refused(path, name):
    rewrite(path, **{name: b"\x7fELF"})
    assert "compiled code" in refusal(path)


@pytest.mark.parametrize("kind", ["custom_obj", "token"])
def test_inputs_that_are_objects_are_refused(path, kind):
    def change(document):
        spec = {"arg": {"name": "o", "class_fqn": "a.B"}, f"{kind}_name": "o"}
        document["graph_module"]["signature"]["input_specs"].append({kind: spec})

    edit(path, "models/model.json", change)
    assert kind in refusal(path)


@pytest.mark.parametrize("member", ["state_dict", "constants", "example_inputs"])
def test_nothing_in_the_old_format_runs(path, sprung, member):
    old_format(path, Trap(sprung), f"serialized_{member}.pt")
    assert "mkdir" in refusal(path)
    assert not sprung.exists()
