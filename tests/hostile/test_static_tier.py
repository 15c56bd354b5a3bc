"""The static tier on files that are made to break it: a reason in bounded time and memory, and nothing acts."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_clfaudit.audit import audit
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.classes import class_lists
from mlflow_clfaudit.evidence.run import LoggedModel
from mlflow_clfaudit.types import Report, Status, Verdict
from tests.hostile import files
from tests.hostile.limits import MEGABYTE, limited
from tests.runs import make_run

SECONDS = 20
MEGABYTES = 1_000


def audit_files(folder: Path) -> Report:
    models = (LoggedModel("models:/m", "model"),) if (folder / "model").exists() else ()
    run = make_run(folder / "artifacts", models=models, fetch_model=lambda _: folder / "model")
    return audit(run, tier="static")


def find_classes(folder: Path) -> Any:
    return Evidence({"run": make_run(folder)}).find("class_lists")


def audited(folder: Path) -> Report:
    """Audit the files under `folder` at the static tier: artifacts/ are the run's, model/ is its model."""
    (folder / "artifacts").mkdir(exist_ok=True)
    used = limited(audit_files, folder, seconds=SECONDS)
    assert used.megabytes < MEGABYTES
    report = used.result
    assert isinstance(report, Report)
    assert report.outcomes_of(Status.FAILED) == []
    return report


def reasons(report: Report) -> str:
    return "\n".join(outcome.reason for outcome in report.outcomes_of(Status.SKIPPED))


# -- model files ------------------------------------------------------------------------------------------------------


def bomb_config(folder: Path) -> None:
    files.model(folder, b'{"config": "' + b" " * (40 * MEGABYTE) + b'"}', compression=zipfile.ZIP_DEFLATED)


def bomb_weights(folder: Path) -> None:
    inner = io.BytesIO(files.zeros(1_500, "model.weights.h5"))
    with zipfile.ZipFile(inner, "a") as archive:
        archive.writestr("config.json", json.dumps(files.faulty()))
        archive.writestr("metadata.json", json.dumps(files.METADATA))
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text(files.MLMODEL)
    (folder / "data" / "model.keras").write_bytes(inner.getvalue())


def declared_config(folder: Path) -> None:
    files.declare(files.model(folder), "config.json", 2**31)


def declared_small_config(folder: Path) -> None:
    files.declare(files.model(folder), "config.json", 10)


def truncated(folder: Path) -> None:
    path = files.model(folder)
    path.write_bytes(path.read_bytes()[:-200])


def damaged_deflate(folder: Path) -> None:
    path = files.model(folder, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.index(b"config.json") + 60
    data[at : at + 40] = bytes(40)
    path.write_bytes(bytes(data))


def encrypted(folder: Path) -> None:
    path = files.model(folder)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("config.json").header_offset + 6] |= 1
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.json")) + 8] |= 1
    path.write_bytes(bytes(data))


def unknown_packing(folder: Path) -> None:
    path = files.model(folder)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("config.json").header_offset + 8] = 99
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.json")) + 10] = 99
    path.write_bytes(bytes(data))


def nested(folder: Path) -> None:
    files.model(folder, b"[" * 1_000_000)


def nested_objects(folder: Path) -> None:
    files.model(folder, b'{"config":' * 300_000 + b"1" + b"}" * 300_000)


def nested_models(folder: Path) -> None:
    config: dict[str, Any] = files.faulty()
    for depth in range(230):
        config = {"class_name": "Sequential", "config": {"name": f"m{depth}", "layers": [config]}}
    files.model(folder, config)


def not_utf8(folder: Path) -> None:
    files.model(folder, b'{"class_name": "\xff\xfe"}')


def no_object(folder: Path) -> None:
    files.model(folder, b"[1, 2, 3]")


def long_number(folder: Path) -> None:
    files.model(folder, b'{"config": ' + b"9" * 100_000 + b"}")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (bomb_config, "config.json is larger than 32 MB"),
        (declared_config, "config.json is larger than 32 MB"),
        (declared_small_config, "the model file cannot be read"),
        (truncated, "File is not a zip file"),
        (damaged_deflate, "the model file cannot be read"),
        (encrypted, "is encrypted"),
        (unknown_packing, "That compression method is not supported"),
        (nested, "maximum recursion depth exceeded"),
        (nested_objects, "maximum recursion depth exceeded"),
        (nested_models, "models nested too deeply"),
        (not_utf8, "the model file cannot be read: 'utf-8' codec"),
        (no_object, "config.json is not a JSON object"),
        (long_number, "Exceeds the limit"),
    ],
    ids=lambda value: getattr(value, "__name__", "says"),
)
def test_a_broken_model_file_is_a_reason(build: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    build(tmp_path / "model")
    report = audited(tmp_path)
    assert reason in reasons(report)
    assert report.verdict is Verdict.NOT_AUDITED


def test_ten_thousand_layers_are_read(tmp_path: Path) -> None:
    hidden = [files.dense(f"hidden_{number}", 8, "relu") for number in range(10_000)]
    files.model(tmp_path / "model", files.sequential(*hidden, files.dense("head", 1, "softmax")))
    assert audited(tmp_path).root_cause == "softmax-on-one-unit"


@pytest.mark.parametrize("kind", ["Dropout", "Activation"])
def test_layers_that_read_each_other_in_a_circle(kind: str, tmp_path: Path) -> None:
    twice = {"class_name": kind, "config": {"name": "twice", "rate": 0.5, "activation": "linear"}}
    layers = [files.dense("hidden", 8, "relu"), twice, twice, files.dense("head", 8, "linear")]
    files.model(tmp_path / "middle" / "model", files.sequential(*layers))
    audited(tmp_path / "middle")
    files.model(tmp_path / "end" / "model", files.sequential(*layers, twice, twice))
    assert "its layers read each other in a circle" in reasons(audited(tmp_path / "end"))


def test_no_name_in_an_archive_leads_anywhere(tmp_path: Path) -> None:
    names = ("../../escaped", "/tmp/escaped-absolutely", "data/../../../escaped", "C:\\escaped", "assets/../../escaped")  # noqa: S108
    files.model(tmp_path / "model", members=dict.fromkeys(names, b"acted"))
    before = sorted(path for path in tmp_path.rglob("*"))
    assert audited(tmp_path).root_cause == "softmax-on-one-unit"
    (tmp_path / "artifacts").rmdir()
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert not Path("/tmp/escaped-absolutely").exists()  # noqa: S108


# -- weights ----------------------------------------------------------------------------------------------------------


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


# -- label files ------------------------------------------------------------------------------------------------------


def npz(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return content.getvalue()


def parquet(**columns: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def constant_rows(rows: int) -> bytes:
    """A parquet file of a constant column: a few kB whatever its rows are."""
    content = io.BytesIO()
    schema = pa.schema([("label", pa.int64())])
    with pq.ParquetWriter(content, schema) as writer:
        group = pa.table({"label": pa.array(np.zeros(2**24, dtype=np.int64))}, schema=schema)
        for _ in range(rows // 2**24):
            writer.write_table(group, row_group_size=2**24)
    return content.getvalue()


def long_text() -> bytes:
    """Two thousand rows of one text of a megabyte."""
    values = pa.DictionaryArray.from_arrays(np.zeros(2_000, dtype=np.int32), pa.array(["x" * MEGABYTE]))
    content = io.BytesIO()
    pq.write_table(pa.table({"label": values}), content, store_schema=False)
    return content.getvalue()


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64 :]


@pytest.mark.parametrize(
    ("name", "build", "reason"),
    [
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(1000000000000,)"),
            "cannot be read: mmap length is greater",
            id="npy longer than the file",
        ),
        pytest.param("y_train.npy", lambda: files.npy_header("(-5,)"), "cannot be read", id="npy negative"),
        pytest.param(
            "y_train.npy", lambda: files.npy_header(f"({'1, ' * 2_000})"), "cannot be read", id="npy many axes"
        ),
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(9999999999, 9999999999, 9999999999)"),
            "cannot be read",
            id="npy overflow",
        ),
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(3,)", "'|O'"),
            "holds Python objects, which are not loaded",
            id="npy objects",
        ),
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(3,)", "__import__('os').getcwd()"),
            "cannot be read",
            id="npy code in the header",
        ),
        pytest.param(
            "y_train.npy", lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "cannot be read", id="npy header of gigabytes"
        ),
        pytest.param("y_train.npz", lambda: files.zeros(1_500, "y.npy"), "unpacks from", id="npz bomb"),
        pytest.param(
            "y_train.npz",
            lambda: npz(y=files.npy_header("(10000000000,)", "'|i1'")),
            "cannot be read",
            id="npz longer than the file",
        ),
        pytest.param(
            "y_train.npz", lambda: npz(y=files.npy_header("(3,)", "'|O'")), "holds Python objects", id="npz objects"
        ),
        pytest.param(
            "y_train.npz", lambda: npz(y=files.npy_header("(3,)"))[:-30], "cannot be read", id="npz truncated"
        ),
        pytest.param("y_train.parquet", lambda: constant_rows(2**28), "declare 268435456 values", id="parquet bomb"),
        pytest.param(
            "y_train.parquet", long_text, "2000 rows of text of up to 1048576 characters", id="parquet long text"
        ),
        pytest.param(
            "y_train.parquet", lambda: parquet(label=[1, 2] * 9_000)[:-9], "cannot be read", id="parquet truncated"
        ),
        pytest.param(
            "y_train.parquet",
            lambda: damaged(parquet(label=list(range(9_000)))),
            "cannot be read",
            id="parquet damaged",
        ),
        pytest.param("y_train.parquet", lambda: b"PAR1\xff\xff\xff\x7fPAR1", "cannot be read", id="parquet header"),
        pytest.param(
            "y_train.csv", lambda: b"x" * (40 * MEGABYTE), "its first line is too long for a table", id="csv one line"
        ),
        pytest.param(
            "y_train.csv",
            lambda: b"a," * 3_000_000 + b"\n1\n",
            "its first line is too long for a table",
            id="csv columns",
        ),
        pytest.param(
            "y_train.csv",
            lambda: b"label\n" + b"x" * (20 * MEGABYTE) + b"\n" + b"a\n" * 50,
            "characters are no labels",
            id="csv long line",
        ),
        pytest.param(
            "y_train.csv",
            lambda: b'label\n"unclosed' + b"\n1" * 1_000_000,
            "cannot be read",
            id="csv open quote",
        ),
        pytest.param("y_train.csv", lambda: bytes(range(256)) * 100, "holds no text", id="csv binary"),
        pytest.param(
            "y_train.json", lambda: b"[" * 500_000, "cannot be read: maximum recursion depth", id="json nested"
        ),
        pytest.param("y_train.json", lambda: b'{"a": ' + b"[0," * 3 + b"1", "cannot be read", id="json truncated"),
        pytest.param("y_train.json", lambda: b"[1" + b"0" * 50_000 + b"]", "cannot be read", id="json long number"),
    ],
)
def test_a_broken_label_file_is_a_reason(name: str, build: Callable[[], bytes], reason: str, tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / name).write_bytes(build())
    report = audited(tmp_path)
    assert reason in reasons(report)
    assert report.verdict is Verdict.NOT_AUDITED


def test_one_hot_labels_that_would_fill_the_memory(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "clfaudit" / "evidence"
    folder.mkdir(parents=True)
    about = {b"mlflow_clfaudit": json.dumps({"schema": 1, "one_hot": 20_000, "dtype": "float64"}).encode()}
    table = pa.table({"label": np.zeros(5_000_000, dtype=np.int32)}).replace_schema_metadata(about)
    pq.write_table(table, folder / "labels_train.parquet")
    assert "5000000 rows of 20000 classes" in reasons(audited(tmp_path))


# -- what would act ---------------------------------------------------------------------------------------------------


def test_no_pickle_acts(tmp_path: Path) -> None:
    """Pickles wherever one could be expected: encoders, class lists, labels, a scikit-learn and a Keras model."""
    marker = tmp_path / "acted"
    payload = pickle.dumps(files.Acts(marker))
    folder = tmp_path / "artifacts"
    folder.mkdir()
    for name in ("label_encoder.pkl", "classes.pkl", "class_names.pickle", "y_train.npy", "y_val.npz", "classes.npy"):
        (folder / name).write_bytes(payload)
    np.save(folder / "y_test.npy", np.array([files.Acts(marker)], dtype=object), allow_pickle=True)
    np.savez(folder / "data_train.npz", y=np.array([files.Acts(marker)], dtype=object))
    (tmp_path / "model" / "data").mkdir(parents=True)
    files.model(tmp_path / "model")
    (tmp_path / "model" / "model.pkl").write_bytes(payload)
    (tmp_path / "model" / "data" / "custom_objects.cloudpickle").write_bytes(payload)
    (tmp_path / "model" / "MLmodel").write_text(
        files.MLMODEL + "  sklearn:\n    pickled_model: model.pkl\n  tensorflow:\n    data: data\n"
    )
    report = audited(tmp_path)
    assert report.root_cause == "softmax-on-one-unit"
    assert not marker.exists()
    pickle.loads(payload)
    assert marker.exists(), "the pickle does act when it is loaded"


def test_yaml_of_a_model_constructs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "acted"
    files.model(tmp_path / "model")
    (tmp_path / "model" / "MLmodel").write_text(
        f"flavors: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]\n"
    )
    assert "the MLmodel file cannot be read" in reasons(audited(tmp_path))
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"flavors:\n" + b"  a: &a [1]\n" * 100_000,
        b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 121)),
        b"[" * 3_000,
        b"flavors: 3\n",
        b"flavors: {keras: 7, sklearn: [1]}\n",
        b"flavors: [keras]\n",
        b"\x00\x01\x02",
        b"",
    ],
    ids=["large", "aliases", "nested", "number", "flavors of no settings", "list", "binary", "empty"],
)
def test_a_broken_mlmodel_file_is_a_reason(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_bytes(content)
    report = audited(tmp_path)
    assert report.verdict is Verdict.NOT_AUDITED
    assert "model" in reasons(report)


# -- a pickled encoder is read without being loaded -------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("labels", [["dog", "cat"], [7, 3], ["ü", "é"]], ids=["text", "numbers", "accents"])
def test_the_classes_of_a_pickled_encoder(protocol: int, labels: list[Any], tmp_path: Path) -> None:
    from sklearn.preprocessing import LabelEncoder

    encoder = LabelEncoder().fit(np.array(labels))
    (tmp_path / "label_encoder.pkl").write_bytes(pickle.dumps(encoder, protocol=protocol))
    (found,) = class_lists(make_run(tmp_path))
    assert found.names == tuple(str(name) for name in sorted(labels))


def test_pickles_are_not_even_read_where_mlflow_forbids_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "classes.pkl").write_bytes(pickle.dumps(["a", "b"]))
    assert class_lists(make_run(tmp_path))
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with pytest.raises(Missing, match="names no classes"):
        class_lists(make_run(tmp_path))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x80\x04r\xff\xff\xff\x7fN.",  # a memo of two thousand million places
        b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x40.",  # a bytearray of 4 EB
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"(" * 1_000_000,
        b"\x80\x04](" + b"h\x00" * 10,
        pickle.dumps(np.ones(3)),
        pickle.dumps(pd.Series([1, 2])),
    ],
    ids=["memo", "bytearray", "bytes", "marks", "no memo", "an array", "pandas"],
)
def test_a_hostile_pickle_is_no_list_of_classes(payload: bytes, tmp_path: Path) -> None:
    (tmp_path / "label_encoder.pkl").write_bytes(payload)
    used = limited(find_classes, tmp_path, seconds=SECONDS)
    assert used.result is None
    assert used.megabytes < 200
