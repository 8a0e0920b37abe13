"""skops files: what they hold, and what they may not make anybody run or fill the memory with."""

import contextlib
import io
import json
import random
import sys
import warnings
import zipfile

import numpy as np
import pytest
import scipy.sparse
import skops.io
import torch
from damage import assert_survives
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skops.io._utils import get_module
from skops_files import CASES, RNG, TABLE, X, fitted, members, named, perceptron, refusal, several, text, write

import nfa
from nfa.formats.sklearn import skops_file


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("case", CASES)
def test_a_file_is_what_it_was_in_memory(tmp_path, case, compression):
    estimator = CASES[case]()
    skops.io.dump(estimator, tmp_path / "net.skops", compression=compression)
    model, source = nfa.load(tmp_path / "net.skops"), nfa.load(estimator)
    assert model.name == "net.skops"
    for field in ("classes", "features", "settings", "ending", "notes"):
        assert getattr(model, field) == getattr(source, field)
    assert (model.transform is None) == (source.transform is None)
    rows = X if source.transform is None else source.transform(TABLE if case == "table" else X)
    if model.transform is not None:
        np.testing.assert_array_equal(model.transform(TABLE if case == "table" else X), rows)
    ours, theirs = nfa.audit(model.net, rows), nfa.audit(source.net, rows)
    for a, b in zip(ours, theirs, strict=True):
        assert (a["name"], a["cosine"]) == (b["name"], b["cosine"])
        np.testing.assert_array_equal(a.weight, b.weight)


def test_another_version_of_scikit_learn_is_noted(tmp_path):
    schema, content = members(CASES["pipeline"]())
    text = json.dumps(schema).replace(json.dumps(json.dumps(sys.modules["sklearn"].__version__))[1:-1], '\\"1.2.3\\"')
    model = nfa.load(write(tmp_path / "old.skops", text, content))
    assert model.notes[-1] == "The file was written by scikit-learn 1.2.3, another one than reads it."
    assert len(model.notes) == 2


class Own(MLPClassifier):
    pass


def own_function(X):
    return X


def test_types_of_others_are_refused_all_by_name(tmp_path):
    estimator = fitted(make_pipeline(FunctionTransformer(own_function), Own((3,), max_iter=2)))
    skops.io.dump(estimator, tmp_path / "net.skops")
    message = refusal(tmp_path / "net.skops")
    assert f"not read: {__name__}.Own, {__name__}.own_function" in message


def test_what_holds_no_network(tmp_path):
    for source in (fitted(LogisticRegression()), {"a": 1}, [1, 2]):
        skops.io.dump(source, tmp_path / "net.skops")
        assert f"got {type(source).__name__}, expected" in refusal(tmp_path / "net.skops")
    skops.io.dump(perceptron(), tmp_path / "net.skops")
    assert "this MLPClassifier is not fitted" in refusal(tmp_path / "net.skops")


def traps(sprung):
    """Nodes that make a file at `sprung`, or import the module `trap` that does, if anything runs them."""
    shell, command = named("FunctionNode", "os", "system"), text(f"touch {sprung}")
    call = named(
        "PartialNode",
        "functools",
        "partial",
        content={"func": shell, "args": several(command), "kwds": named("DictNode", "builtins", "dict", content={},
        key_types=several(kind="list")), "namespace": text(None)},
    )  # fmt: skip
    state = named("DictNode", "builtins", "dict", content={"a": command}, key_types=several(
        named("TypeNode", "builtins", "str"), kind="list"))  # fmt: skip
    yield shell
    yield call
    yield named("TypeNode", "trap", "Trap")
    yield named("TypeNode", "os", "system")
    yield named("ObjectNode", "trap", "Trap", content=state)
    yield named("ObjectNode", "trap", "Trap")
    yield named("ConstructorFromReduceNode", "os", "system", content=several(command))
    yield named("ConstructorFromReduceNode", "trap", "Trap", content=several())
    yield named("OperatorFuncNode", "operator", "call", attrs=several(shell, command))
    yield named("OperatorFuncNode", "operator", "methodcaller", attrs=several(text("system"), command))
    yield named("MethodNode", "builtins", "str", content={"func": "format", "obj": command})
    yield named("MethodNode", "pathlib", "Path", content={"func": "touch", "obj": named(
        "ConstructorFromReduceNode", "pathlib", "Path", content=several(text(str(sprung))))})  # fmt: skip
    yield named("DictNode", "builtins", "dict", content={f"touch {sprung}": command}, key_types=several(shell))
    yield named("DictNode", "builtins", "dict", content={f"touch {sprung}": command}, key_types=several(
        named("TypeNode", "os", "system")))  # fmt: skip
    yield named("DictNode", "trap", "Trap", content={}, key_types=several())
    yield named("DefaultDictNode", "collections", "defaultdict", content={"main": call, "default_factory": shell})
    for kind in ("ListNode", "SetNode", "TupleNode"):
        yield named(kind, "os", "system", content=[command])
        yield named(kind, "trap", "Trap", content=[])
    yield named("LossNode", "os", "system", __reduce__={"args": several(command)}, content=state)
    yield named("LossNode", "numpy", "dtype", __reduce__={"args": several(text("V8"))}, content=state)
    yield named("TreeNode", "trap", "Trap", __reduce__={"args": several(command)}, content=state)
    yield named("NdArrayNode", "os", "system", type="json", content=[command], shape=several(text(1)))
    yield named("RandomStateNode", "trap", "Trap", content=state)
    yield named("RandomGeneratorNode", "numpy.random._generator", "Generator", content={
        "bit_generator": named("DictNode", "builtins", "dict", key_types=several(named("TypeNode", "builtins", "str")),
        content={"bit_generator": text("seed")}), "seed_seq": state})  # fmt: skip
    yield named("FunctionNode", "os", "system", content={"module_path": "os", "function": "system"})
    yield named("FunctionNode", get_module(np.add), "add", content={"module_path": "os", "function": "system"})


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("number", range(len(list(traps("")))))
def test_nothing_in_a_file_is_run(tmp_path, monkeypatch, number, protocol):
    sprung = tmp_path / "sprung"
    trap = list(traps(sprung))[number]
    (tmp_path / "trap.py").write_text(
        f"open({str(sprung)!r}, 'w')\nclass Trap:\n    def __setstate__(self, state): open({str(sprung)!r}, 'w')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    schema, content = members(CASES["lbfgs"]())
    schema["content"]["content"]["hidden_layer_sizes"] = trap
    refused = trap["__loader__"] != "FunctionNode" or trap["__class__"] != "add" or protocol == 0
    path = write(tmp_path / "net.skops", schema | {"protocol": protocol}, content)
    if refused:
        refusal(path)
    else:
        nfa.load(path)  # numpy.add, and nobody reads the rest
    refusal(write(tmp_path / "net.skops", trap | {"protocol": protocol}, content))
    assert not sprung.exists()
    assert "trap" not in sys.modules


def test_names_of_types_are_shown_in_one_line(tmp_path):
    schema, content = members(CASES["lbfgs"]())
    schema["content"]["content"]["hidden_layer_sizes"] = named("TypeNode", "o\ns", "\x1b[31mä")
    assert r"o\ns.\x1b[31m\xe4" in refusal(write(tmp_path / "net.skops", schema, content))


def test_types_known_to_be_harmless_are_built_in_one_way_only(tmp_path):
    for name, loader in skops_file.TRUSTED.items():
        module, _, kind = name.rpartition(".")
        schema, content = members(CASES["lbfgs"]())
        for other in {"ObjectNode", "TypeNode", "ListNode", "ConstructorFromReduceNode", "LossNode"} - {loader}:
            schema["content"]["content"]["hidden_layer_sizes"] = named(other, module, kind, content=several())
            assert "it is damaged or of another kind" in refusal(write(tmp_path / "net.skops", schema, content))


def test_members_that_inflate_are_refused(tmp_path, monkeypatch):
    schema, content = members(CASES["lbfgs"]())
    monkeypatch.setattr(skops_file, "ALWAYS", 1 << 18)
    path = write(tmp_path / "net.skops", schema, content | {"zeros": bytes(1 << 26)}, zipfile.ZIP_DEFLATED)
    assert "many times its own size" in refusal(path)
    nfa.load(write(path, schema, content | {"noise": RNG.bytes(1 << 20)}, zipfile.ZIP_DEFLATED))
    path = write(tmp_path / "net.skops", schema, content, zipfile.ZIP_BZIP2)
    assert "another method than deflate" in refusal(path)


def test_a_size_that_is_a_lie_is_not_believed(tmp_path):
    schema, content = members(CASES["lbfgs"]())
    path = write(tmp_path / "net.skops", schema, {"zeros": bytes(1 << 26)} | content, zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    true, lie = (size.to_bytes(4, "little") for size in (1 << 26, 10))
    assert whole.count(true) == 2
    path.write_bytes(whole.replace(true, lie))
    assert "damaged or of another kind" in refusal(path)


def test_a_member_read_again_and_again_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(skops_file, "ALWAYS", 1 << 18)
    schema, content = members(CASES["lbfgs"]())
    array = named("NdArrayNode", "numpy", "ndarray", type="numpy", file="noise")
    again = [array | {"__id__": number} for number in range(1, 200)]
    for nodes in (again, [array] * 200, [array | {"__id__": 0}] * 200):
        schema["content"]["content"]["hidden_layer_sizes"] = several(*nodes)
        path = write(tmp_path / "net.skops", schema, content | {"noise": RNG.bytes(1 << 16)})
        monkeypatch.setattr(skops_file, "INFLATION", 10)
        assert "many times its own size" in refusal(path)


@pytest.mark.parametrize("disguised", [True, False])
def test_a_few_lines_for_very_many_objects_are_refused(tmp_path, disguised):
    nested = text("a") | {"__id__": 1}
    for number in range(2, 60):
        again = {"__id__": number - 1} | (several(kind="list") if disguised else {})
        nested = several(nested, again, kind="list") | {"__id__": number}
    schema, content = members(CASES["lbfgs"]())
    schema["content"]["content"]["hidden_layer_sizes"] = nested
    assert "damaged or of another kind" in refusal(write(tmp_path / "net.skops", schema, content))


def test_depth_without_end_is_refused(tmp_path):
    schema, content = members(CASES["lbfgs"]())
    refusal(write(tmp_path / "net.skops", "[" * 100_000, content))
    nested = text("a")
    for _ in range(300):
        nested = several(nested, kind="list")
    schema["content"]["content"]["hidden_layer_sizes"] = nested
    path = write(tmp_path / "net.skops", schema, content)
    with contextlib.suppress(nfa.InputError):  # from Python 3.12 on this is not too deep
        nfa.load(path)


def test_arrays_larger_than_they_are(tmp_path):
    estimator = CASES["lbfgs"]()
    for dtype, shape in (("<f8", (10**12, 5)), ("<U0", (10**10,)), ("<f8", (2**62, 2**62)), ("|O", (3,))):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
        schema, content = members(estimator)
        for attribute in ("classes_", "intercepts_", "feature_names_in_"):
            node = named("NdArrayNode", "numpy", "ndarray", type="numpy", file="large.npy")
            changed = json.loads(json.dumps(schema))
            changed["content"]["content"][attribute] = several(node) if attribute == "intercepts_" else node
            changed["content"]["key_types"]["content"].append(named("TypeNode", "builtins", "str"))
            path = write(tmp_path / "net.skops", changed, content | {"large.npy": header.getvalue()})
            with contextlib.suppress(nfa.InputError):
                model = nfa.load(path)
                assert attribute != "intercepts_"
                assert (model.classes is None, model.features) == (attribute == "classes_", None)


def test_sparse_matrices_and_archives_are_refused(tmp_path):
    schema, content = members(CASES["lbfgs"]())
    inner = io.BytesIO()
    scipy.sparse.save_npz(inner, scipy.sparse.csr_matrix(np.eye(3)))
    path = write(tmp_path / "net.skops", schema, content | {"1.npz": inner.getvalue()})
    assert "holds a sparse matrix or an archive" in refusal(path)


def test_without_skops_and_with_one_that_could_be_made_to_run_things(tmp_path, monkeypatch):
    path = tmp_path / "net.skops"
    skops.io.dump(CASES["lbfgs"](), path)
    monkeypatch.setattr(skops, "__version__", "0.9.0")
    assert "need skops 0.16 or later: pip install 'neural-feature-ansatz[skops]'" in refusal(path)
    monkeypatch.setattr(skops, "__version__", "1.0.dev0")
    nfa.load(path)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    assert "need skops: pip install" in refusal(path)


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "net.skops"
    for content in (b"nothing of that kind", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), bytes(1000)):
        path.write_bytes(content)
        assert "damaged or of another kind" in refusal(path)
    schema, content = members(CASES["lbfgs"]())
    for wrong in ("", "{", "[]", "null", "{}", '{"protocol": 99}', "\xff"):
        assert "damaged or of another kind" in refusal(write(path, wrong, content))
    write(path, schema | {"protocol": 99}, content)
    assert "damaged or of another kind" in refusal(path)
    first = next(iter(content))
    write(path, schema, {name: data for name, data in content.items() if name != first})
    assert "damaged or of another kind" in refusal(path)
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("schema.json", json.dumps(schema))
    assert "damaged or of another kind" in refusal(path)


def whole_file(case="pipeline"):
    return skops.io.dumps(CASES[case](), compression=zipfile.ZIP_DEFLATED)


def test_damaged_files(tmp_path):
    assert_survives(whole_file(), ".skops", tmp_path, 200, d=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_many_damaged_files(tmp_path, seed):
    assert_survives(whole_file(), ".skops", tmp_path, 3000, d=5, seed=seed)
    assert_survives(skops.io.dumps(CASES["adam"]()), ".skops", tmp_path, 1000, d=5, seed=seed)


def places(node, found):
    """Every place in a parsed schema, as container and key."""
    if isinstance(node, (dict, list)):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            found.append((node, key))
            places(child, found)
    return found


def change(schema, draw):
    """Exchange something in a parsed schema: an object for another object, or anything for anything."""
    every = places(schema, [])
    objects = [(holder, key) for holder, key in every if isinstance(holder[key], dict) and "__loader__" in holder[key]]
    chosen = draw.choice((objects, objects, every))
    (holder, key), (other, other_key) = draw.choice(chosen), draw.choice(chosen)
    value = json.dumps(other[other_key])
    if draw.random() < 0.3:
        odd = (None, -1, 0, 2**70, 0.5, "", "numpy", [1], [[1.0]], [None] * 3, {}, True)
        value = json.dumps(text(draw.choice(odd)) if chosen is objects else draw.choice(odd))
    holder[key] = json.loads(value)


def assert_survives_changes(path, case, count, seed):
    """Whole archives whose schema or arrays say something else are refused in one line, or give a network."""
    draw = random.Random(seed)
    schema, content = members(CASES[case]())
    # Without the objects' numbers, which would give most changes away.
    schema = json.loads(json.dumps(schema), object_hook=lambda node: {k: v for k, v in node.items() if k != "__id__"})
    arrays = list(content)
    for number in range(count):
        changed, data = json.loads(json.dumps(schema)), dict(content)
        for _ in range(draw.choice((1, 1, 1, 3))):
            change(changed, draw)
        if draw.random() < 0.3:
            name = draw.choice(arrays)
            array = bytearray(data[name])
            array[draw.choice((draw.randrange(len(array)), draw.randrange(128)))] ^= 1 << draw.randrange(8)
            data[name] = bytes(array)
        write(path, changed, data)
        try:
            model = nfa.load(path)
            rows = X if model.transform is None else model.transform(TABLE if case == "table" else X)
            model.net(torch.as_tensor(rows).to(next(model.net.parameters()).dtype))
        except nfa.InputError as error:
            if "\n" in str(error):
                pytest.fail(f"{number} is refused in several lines: {error}")
        except RuntimeError as error:
            if "shapes cannot be multiplied" not in str(error):  # the steps give other columns than before
                raise


@pytest.mark.parametrize("case", ["adam", "table"])
def test_files_that_say_something_else(tmp_path, case):
    assert_survives_changes(tmp_path / "net.skops", case, 60, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["adam", "pipeline", "search", "table"])
def test_many_files_that_say_something_else(tmp_path, case):
    assert_survives_changes(tmp_path / "net.skops", case, 1500, seed=1)
