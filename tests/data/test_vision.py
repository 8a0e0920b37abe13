"""Picture sets, from tiny files in the formats that others define."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
from scipy.io import savemat

from nfa import InputError, load_data
from nfa.data.vision import import_torchvision


def idx(array):
    """An array in the IDX format of the MNIST files: magic, sizes, bytes."""
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(rng):
    for part, n in (("train", 12), ("t10k", 5)):
        yield f"{part}-images-idx3-ubyte", idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        yield f"{part}-labels-idx1-ubyte", idx(rng.integers(0, 10, n, dtype=np.uint8))


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_and_fashion_mnist_in_torchvision_s_layout(tmp_path, name, folder):
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    for file, content in idx_files(np.random.default_rng(0)):
        (raw / file).write_bytes(content)
    data = load_data(name, folder=tmp_path)
    assert (data.n, data.d, data.feature_shape) == (17, 784, (28, 28))
    assert len(data.class_names) == 10
    assert [len(data.split[part]) for part in ("train", "test")] == [12, 5]


def test_fashion_mnist_as_four_bare_files(tmp_path):
    pictures = {}
    for file, content in idx_files(np.random.default_rng(0)):
        pictures[file] = content
        (tmp_path / f"{file}.gz").write_bytes(gzip.compress(content))
    data = load_data("fashion-mnist", folder=tmp_path)
    assert data.n == 17
    first = np.frombuffer(pictures["train-images-idx3-ubyte"][16 : 16 + 784], dtype=np.uint8)
    np.testing.assert_array_equal(data.X[0], first)


def test_svhn(tmp_path, monkeypatch):
    SVHN = import_torchvision().datasets.SVHN
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (32, 32, 3, 6), dtype=np.uint8)
    checked = dict(SVHN.split_list)
    for part in ("train", "test"):
        path = tmp_path / f"{part}_32x32.mat"
        savemat(path, {"X": pictures, "y": np.array([[10], [1], [2], [3], [4], [5]], dtype=np.uint8)})
        checked[part] = [*SVHN.split_list[part][:2], md5(path)]
    monkeypatch.setattr(SVHN, "split_list", checked)
    data = load_data("svhn", folder=tmp_path)
    assert data.feature_shape == (3, 32, 32)
    assert data.y[:3].tolist() == [0, 1, 2]  # the file calls the digit 0 ten
    np.testing.assert_array_equal(data.X[0].reshape(3, 32, 32), pictures[:, :, :, 0].transpose(2, 0, 1))


def test_cifar10(tmp_path, monkeypatch):
    CIFAR10 = import_torchvision().datasets.CIFAR10
    base = tmp_path / CIFAR10.base_folder
    base.mkdir()
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (4, 3072), dtype=np.uint8)

    def write(name, content):
        (base / name).write_bytes(pickle.dumps(content))
        return [name, md5(base / name)]

    monkeypatch.setattr(CIFAR10, "train_list", [write("data_batch_1", {"data": rows, "labels": [0, 1, 2, 3]})])
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", {"data": rows[:2], "labels": [4, 5]})])
    name, digest = write("batches.meta", {"label_names": [f"class {i}" for i in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": digest})
    data = load_data("cifar10", folder=tmp_path)
    np.testing.assert_array_equal(data.X[1], rows[1])
    assert data.y.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.class_names[3] == "class 3"


def test_stl10(tmp_path, monkeypatch):
    STL10 = import_torchvision().datasets.STL10
    base = tmp_path / STL10.base_folder
    base.mkdir()
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 3, 96, 96), dtype=np.uint8)

    def write(name, content):
        (base / name).write_bytes(content)
        return [name, md5(base / name)]

    for part, attribute in (("train", "train_list"), ("test", "test_list")):
        files = [write(f"{part}_X.bin", pictures.tobytes()), write(f"{part}_y.bin", bytes([1, 2, 10]))]
        if part == "train":
            files.append(write("unlabeled_X.bin", pictures.tobytes()))
        monkeypatch.setattr(STL10, attribute, files)
    (base / STL10.class_names_file).write_text("\n".join(f"class {i}" for i in range(10)))
    data = load_data("stl10", folder=tmp_path)
    assert data.feature_shape == (3, 96, 96)
    assert data.y.tolist() == [0, 1, 9, 0, 1, 9]


def test_celeba(tmp_path, monkeypatch):
    from PIL import Image

    CelebA = import_torchvision().datasets.CelebA
    base = tmp_path / CelebA.base_folder
    (base / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 6)]
    for name in names:
        Image.new("RGB", (178, 218), (200, 10, 10)).save(base / "img_align_celeba" / name)
    (base / "list_eval_partition.txt").write_text(
        "".join(f"{n} {p}\n" for n, p in zip(names, (0, 0, 0, 2, 2), strict=True))
    )
    (base / "identity_CelebA.txt").write_text("".join(f"{n} {i}\n" for i, n in enumerate(names)))
    (base / "list_bbox_celeba.txt").write_text(
        "5\nimage_id x_1 y_1 width height\n" + "".join(f"{n} 1 2 3 4\n" for n in names)
    )
    (base / "list_landmarks_align_celeba.txt").write_text(
        "5\nlefteye_x lefteye_y\n" + "".join(f"{n} 1 2\n" for n in names)
    )
    signs = zip(names, ("1 -1", "-1 1", "1 1", "-1 -1", "1 1"), strict=True)
    (base / "list_attr_celeba.txt").write_text("5\nSmiling Young\n" + "".join(f"{n} {s}\n" for n, s in signs))
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    data = load_data("celeba", folder=tmp_path)
    assert data.feature_shape == (3, 96, 96)
    assert data.d == 27648
    assert data.y.tolist() == [1, 0, 1, 0, 1]
    assert load_data("celeba", target="Young", folder=tmp_path).y.tolist() == [0, 1, 1, 0, 1]
    with pytest.raises(InputError, match="did you mean 'Young'"):
        load_data("celeba", target="Yung", folder=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "svhn", "stl10", "celeba"])
def test_a_folder_without_the_set_is_one_line(tmp_path, name):
    with pytest.raises(InputError, match=f"cannot read {name} in .*; name its folder, or download it") as caught:
        load_data(name, folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_truncated_archive_is_one_line(tmp_path):
    for file, content in idx_files(np.random.default_rng(0)):
        (tmp_path / f"{file}.gz").write_bytes(gzip.compress(content)[:60])
    with pytest.raises(InputError, match="cannot read fashion-mnist"):
        load_data("fashion-mnist", folder=tmp_path)
