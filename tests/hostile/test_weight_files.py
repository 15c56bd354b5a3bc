"""Weights that are made to break the static tier: they cost only themselves, and lead nowhere."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.hostile import files
from tests.hostile.auditing import audited, reasons


def bomb_weights(folder: Path) -> None:
    inner = io.BytesIO(files.zeros(1_500, "model.weights.h5"))
    with zipfile.ZipFile(inner, "a") as archive:
        archive.writestr("config.json", json.dumps(files.faulty()))
        archive.writestr("metadata.json", json.dumps(files.METADATA))
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text(files.MLMODEL)
    (folder / "data" / "model.keras").write_bytes(inner.getvalue())


def hdf5(fill: Callable[[h5py.File], None]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def absurd_shape(file: h5py.File) -> None:
    file.create_dataset("layers/head/vars/0", shape=(10**12,), chunks=(1024,), dtype="float32", fillvalue=1.0)


def packed_zeros(file: h5py.File) -> None:
    file.create_dataset("layers/head/vars/0", shape=(2_000, 2**20), chunks=(1, 2**20), dtype="u1", compression="gzip")
    for row in range(0, 2_000, 100):
        file["layers/head/vars/0"][row] = 0


def deep_groups(file: h5py.File) -> None:
    group = file.create_group("layers")
    for _ in range(1_000):
        group = group.create_group("a")


def many_paths(file: h5py.File) -> None:
    """Sixty levels with two links each to the next: 2^60 paths to one dataset."""
    group = file.create_group("layers")
    for _ in range(60):
        below = group.create_group("a")
        group["b"] = below
        group = below
    group.create_dataset("0", data=np.ones(3, dtype="float32"))


def loop(file: h5py.File) -> None:
    group = file.create_group("layers/head")
    group["vars"] = file["layers"]


@pytest.mark.parametrize("fill", [absurd_shape, packed_zeros, deep_groups, many_paths, loop])
def test_weights_that_are_no_weights_cost_only_themselves(fill: Callable[[h5py.File], None], tmp_path: Path) -> None:
    files.model(tmp_path / "model", members={"model.weights.h5": hdf5(fill)})
    assert audited(tmp_path).root_cause == "softmax-on-one-unit"


@pytest.mark.parametrize("size", [0, 4, 100, 1_500], ids=lambda size: f"{size} bytes")
def test_weights_that_end_early(size: int, tmp_path: Path) -> None:
    files.model(tmp_path / "model", members={"model.weights.h5": files.weights()[:size]})
    report = audited(tmp_path)
    assert report.root_cause == "softmax-on-one-unit"
    assert "the saved weights cannot be read" in reasons(report)


def test_packed_weights_of_gigabytes_are_refused(tmp_path: Path) -> None:
    bomb_weights(tmp_path / "model")
    assert audited(tmp_path).root_cause == "softmax-on-one-unit"


def test_links_out_of_the_weights_are_not_followed(tmp_path: Path) -> None:
    from mlflow_clfaudit.evidence.weights import weights

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file.create_dataset("values", data=np.full(8, 42.0))
    (tmp_path / "raw").write_bytes(np.full(8, 42.0).tobytes())

    def fill(file: h5py.File) -> None:
        group = file.create_group("layers/head/vars")
        group["0"] = h5py.ExternalLink(str(secret), "values")
        group["1"] = h5py.SoftLink("/nowhere")
        group["2"] = h5py.SoftLink("/layers")
        group.create_dataset("3", shape=(8,), dtype="f8", external=[(str(tmp_path / "raw"), 0, 64)])
        layout = h5py.VirtualLayout(shape=(8,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(secret), "values", shape=(8,))
        group.create_virtual_dataset("4", layout)
        group.create_dataset("5", data=np.ones(3))

    path = files.model(tmp_path / "model", members={"model.weights.h5": hdf5(fill)})
    with h5py.File(io.BytesIO(hdf5(fill))) as file:
        assert file["layers/head/vars/3"][0] == 42.0, "h5py itself does open it"
    found = weights(path).variables
    assert list(found) == ["head/vars/5"]
