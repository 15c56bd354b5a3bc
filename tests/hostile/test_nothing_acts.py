"""Pickles and YAML that would act when they are loaded: they are read, if at all, without being loaded."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.classes import class_lists
from mlflow_clfaudit.types import Verdict
from tests.hostile import files
from tests.hostile.auditing import SECONDS, audited, find_classes, reasons
from tests.hostile.limits import limited
from tests.runs import make_run


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
