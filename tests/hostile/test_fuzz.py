"""Broken evidence by the thousand: whatever a run carries, an audit of it is a report, soon, and never wrongly healthy.

CLFAUDIT_FUZZ_CASES says how many cases all tests here try together: 2,000 in `make test`, 20,000 in `make test-long`.
"""

import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mlflow_clfaudit.audit import audit
from mlflow_clfaudit.errors import AuditError
from mlflow_clfaudit.evidence.run import Dataset, LoggedModel, Run
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.json import to_json
from mlflow_clfaudit.report.markdown import description, to_markdown
from mlflow_clfaudit.report.text import to_text
from mlflow_clfaudit.types import Report, Status, Verdict
from tests.hostile import files
from tests.runs import make_run

pytestmark = pytest.mark.slow

CASES = int(os.environ.get("CLFAUDIT_FUZZ_CASES", "2000"))
SECONDS = 10.0  # of one audit; a thousand times what it takes

# The same cases on every machine where there are few of them; new ones with every run where there are many.
fuzzed = settings(
    max_examples=CASES // 4,
    derandomize=CASES <= 2_000,
    phases=[Phase.generate],  # a case that fails is shown as it was found: to make it small takes longer than all
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


tried: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def cases(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Say how many cases a test has tried."""
    before = tried.total()
    yield
    record_property("cases", tried.total() - before)


@pytest.fixture(scope="module")
def faulty_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is faulty whatever the rest of its run says: one softmax unit."""
    folder = tmp_path_factory.mktemp("model")
    files.model(folder)
    return folder


def audited(run: Run) -> Report | None:
    """The report; None where the audit ended with a reason of its own."""
    started = time.process_time()
    try:
        report = audit(run, tier="static")
    except AuditError:
        return None
    assert time.process_time() - started < SECONDS
    failed = [(outcome.check, outcome.reason) for outcome in report.outcomes_of(Status.FAILED)]
    assert not failed, failed
    assert not [finding for finding in report.findings if "the proof failed" in (finding.unproven or "")]
    return report


def shown(report: Report) -> Report:
    """The report, which can be shown in every form."""
    json.loads(to_json(report), parse_constant=lambda value: pytest.fail(f"{value} in report.json"))
    assert to_markdown(report)
    assert description(report)
    assert to_text(report, color=False)
    assert "<html" in to_html(report)
    return report


def must_not_be_healthy(report: Report | None) -> None:
    assert report is None or report.verdict is not Verdict.HEALTHY


def must_be_faulty(run: Run, model: Path) -> None:
    """With a faulty model, whatever else the run carries."""
    report = audited(replace(run, models=(LoggedModel("models:/m", "model"),), fetch_model=lambda _: model))
    assert report is not None
    assert shown(report).verdict is Verdict.FAULTY


# -- values -----------------------------------------------------------------------------------------------------------

MONSTERS = (0.0, -0.0, 1.0, 0.5, 1e-320, 1.7976931348623157e308, -1.7976931348623157e308)
numbers = st.one_of(
    st.sampled_from((*MONSTERS, float("nan"), float("inf"), float("-inf"))), st.floats(0, 1), st.floats()
)
words = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "None", "nan", "True", "1e999", "-1", "0.2", "[1, 2", "{0: 1e400}", "(" * 3_000, "\x00"]),
    st.sampled_from(
        ["9" * 6_000, "x" * 6_000, "[" * 6_000, "-" * 6_000, "1_0", "{'a': 'b'}", "<b>", "٣", "½", "1e-999"]
    ),
    st.floats().map(str),
    st.integers(-(10**30), 10**30).map(str),
)
leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), numbers, st.text(max_size=8))
branches = st.one_of(leaves, st.lists(leaves, max_size=4), st.dictionaries(st.text(max_size=8), leaves, max_size=4))
json_values = st.one_of(
    branches, st.lists(branches, max_size=4), st.dictionaries(st.text(max_size=8), branches, max_size=4)
)


# -- label files ------------------------------------------------------------------------------------------------------

shapes = st.one_of(
    st.tuples(st.integers(0, 60)),
    st.tuples(st.integers(0, 60), st.integers(0, 4)),
    st.sampled_from([(), (1, 1, 1), (3, 0, 2), (0,), (2, 2, 2)]),
)
kinds = st.sampled_from(["i1", "u1", "i8", "u8", "f2", "f4", "f8", "?", "U3", "S3", "c8", "M8[s]", "V4", "i4,f8"])


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """An array of any kind and shape: mostly what could be labels, sometimes any bytes at all."""
    shape = draw(shapes)
    size = int(np.prod(shape, dtype=int))
    if draw(st.booleans()):
        few = draw(st.lists(st.one_of(st.integers(-3, 12), numbers), min_size=1, max_size=4))
        picks = draw(st.lists(st.integers(0, len(few) - 1), min_size=size, max_size=size))
        return np.array([few[pick] for pick in picks], dtype="f8").reshape(shape)
    kind = np.dtype(draw(kinds))
    content = draw(st.binary(min_size=size * kind.itemsize, max_size=size * kind.itemsize))
    if kind.kind == "U":
        return np.array([f"{byte:c}" for byte in content[:size]], dtype=kind).reshape(shape)
    return np.frombuffer(content, dtype=kind).reshape(shape)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    columns = draw(st.lists(st.sampled_from(["label", "y", "a", "b", "", "0", "id", "Ünamed", "label "]), max_size=4))
    rows = draw(st.integers(0, 30))
    cells = st.one_of(st.integers(-2, 9), numbers, st.text(max_size=5), st.none(), st.integers(-(2**70), 2**70))
    return pd.DataFrame(
        {
            place: draw(
                st.lists(draw(st.sampled_from([cells, st.integers(0, 2), numbers])), min_size=rows, max_size=rows)
            )
            for place in range(len(columns))
        }
    ).set_axis(columns, axis=1)


@st.composite
def label_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file's path among the artifacts and its content."""
    folder = draw(st.sampled_from(["", "data/", "labels/", "clfaudit/evidence/", "clfaudit/logged/"]))
    stem = draw(
        st.sampled_from(
            ["y_train", "y_val", "y_test", "labels", "y", "train", "data", "classes", "class_names", "y_pred"]
        )
    )
    suffix = draw(st.sampled_from([".npy", ".npz", ".csv", ".tsv", ".parquet", ".json", ".txt"]))
    content = io.BytesIO()
    if suffix == ".npy":
        np.save(content, draw(arrays()))
    elif suffix == ".npz":
        np.savez(content, **draw(st.dictionaries(st.sampled_from(["y", "X", "y_val", "a"]), arrays(), max_size=3)))
    elif suffix == ".json":
        content.write(json.dumps(draw(json_values)).encode())
    elif suffix == ".parquet":
        frame = draw(tables())
        frame = frame.loc[:, ~frame.columns.duplicated()]
        frame.astype({name: str for name in frame.columns if frame[name].dtype == object}).to_parquet(content)
    else:
        text = draw(st.one_of(st.text(max_size=60), tables().map(lambda frame: frame.to_csv(index=True))))
        if draw(st.booleans()):
            text = text.partition("\n")[2]
        encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"]))
        content.write(text.encode(encoding, errors="replace"))
    data = content.getvalue()
    if draw(st.integers(0, 3)) == 0 and data:
        place = draw(st.integers(0, len(data) - 1))
        data = data[:place] + draw(st.sampled_from([b"", b"\x00", b"\xff\xff", data[place:][::-1]]))
    return f"{folder}{stem}{suffix}", data


def written(folder: Path, found: list[tuple[str, bytes]]) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for name, data in found:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@fuzzed
@given(found=st.lists(label_files(), max_size=4), params=st.dictionaries(st.just("validation_split"), words))
def test_label_files(
    found: list[tuple[str, bytes]], params: Mapping[str, str], faulty_model: Path, tmp_path: Path
) -> None:
    tried["label_files"] += 1
    folder = tmp_path / "artifacts"
    folder.mkdir(exist_ok=True)
    written(folder, found)
    run = make_run(folder, params=params)
    alone = audited(run)
    if not any(data for _, data in found):
        must_not_be_healthy(alone)
    must_be_faulty(run, faulty_model)


# -- histories --------------------------------------------------------------------------------------------------------

METRICS = (
    *("loss", "accuracy", "val_loss", "val_accuracy", "lr", "learning_rate", "auc", "val_auc", "f1", "val_f1_score"),
    *("validation_loss", "restored_epoch", "stopped_epoch", "test_accuracy", "acc", "train/loss", "eval_accuracy", "ü"),
)
steps = st.one_of(st.none(), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=40, max_size=40))


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values: of every length, with gaps, repeated and backward steps, constants and monsters."""
    values = draw(
        st.one_of(
            st.lists(numbers, max_size=40),
            st.builds(lambda value, count: [value] * count, numbers, st.integers(0, 40)),
            st.builds(
                lambda start, count: list(np.geomspace(start, 1e-3, count)), st.floats(0.1, 9), st.integers(2, 40)
            ),
        )
    )
    at = draw(steps)
    places = np.arange(len(values)) if at is None else np.sort(np.array(at[: len(values)], dtype=np.int64))
    return places.astype(np.int64), np.array(values, dtype=np.float64)


@fuzzed
@given(
    metrics=st.dictionaries(st.sampled_from(METRICS), curves(), max_size=8),
    params=st.dictionaries(st.sampled_from(["epochs", "batch_size", "validation_split", "patience"]), words),
)
def test_histories(
    metrics: dict[str, tuple[np.ndarray, np.ndarray]], params: Mapping[str, str], faulty_model: Path
) -> None:
    tried["histories"] += 1
    run = replace(make_run(params=params), metrics=metrics)
    alone = audited(run)
    losses = [values for name, (_, values) in metrics.items() if name == "loss"]
    if not any(len(values) for _, values in metrics.values()) or any(
        len(values) and not np.isfinite(values).any() for values in losses
    ):
        must_not_be_healthy(alone)
    must_be_faulty(run, faulty_model)


# -- params, tags and datasets ----------------------------------------------------------------------------------------

PARAMS = (
    *("epochs", "batch_size", "validation_split", "shuffle", "class_weight", "sample_weight", "optimizer_name"),
    *("optimizer_learning_rate", "opt_learning_rate", "learning_rate", "monitor", "patience", "restore_best_weights"),
    *(
        "min_delta",
        "mode",
        "factor",
        "min_lr",
        "loss",
        "threshold",
        "num_classes",
        "random_state",
        "optimizer",
        "ü",
        "",
    ),
)
TAGS = ("mlflow.autologging", "clfaudit.ignore.class-shift", "clfaudit.review", "estimator_name", "clfaudit.goal", "x")


@fuzzed
@given(
    params=st.dictionaries(st.one_of(st.sampled_from(PARAMS), st.text(max_size=8)), words, max_size=8),
    tags=st.dictionaries(st.sampled_from(TAGS), words, max_size=4),
    profile=st.dictionaries(st.sampled_from(["features_shape", "targets_shape", "num_rows", "x"]), json_values),
    name=words,
)
def test_params_tags_and_datasets(
    params: Mapping[str, str], tags: Mapping[str, str], profile: dict[str, Any], name: str, faulty_model: Path
) -> None:
    tried["params_tags_and_datasets"] += 1
    datasets = (Dataset(name, "train", "0", "code", profile), Dataset(name, "eval", "1", "code", profile))
    run = make_run(params=params, tags=tags, datasets=datasets, name=name)
    report = audited(run)
    assert report is None or report.verdict in (Verdict.NOT_AUDITED, Verdict.FAULTY, Verdict.SUSPECT)
    curves = {"loss": [0.7, 0.6, 0.5, 0.4], "accuracy": [0.5, 0.6, 0.7, 0.8]}
    audited(make_run(params=params, tags=tags, datasets=datasets, metrics=curves))
    must_be_faulty(run, faulty_model)


# -- the configuration of a model -------------------------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a JSON document but the document itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in ((*path, key), *places(item, (*path, key)))]


CONFIG = json.dumps(
    files.sequential(
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "input"}},
        files.dense("hidden", 8, "relu", kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": None}}),
        {"class_name": "Dropout", "config": {"name": "dropout", "rate": 0.5}},
        {"class_name": "BatchNormalization", "config": {"name": "norm", "axis": -1, "momentum": 0.99}},
        files.dense("head", 3, "softmax"),
        loss={"class_name": "CategoricalCrossentropy", "config": {"from_logits": False, "label_smoothing": 0.0}},
    )
)
WORDS_OF_CONFIGS = (
    *("Sequential", "Functional", "Dense", "Lambda", "softmax", "sigmoid", "linear", "relu", "keras", "__lambda__"),
    *("binary_crossentropy", "sparse_categorical_crossentropy", "mse", "hinge", "Softmax", "Activation", "ü", ""),
)


@st.composite
def configs(draw: st.DrawFn) -> Any:
    """The configuration of a healthy model with up to three places of it replaced, removed or doubled."""
    config = json.loads(CONFIG)
    for _ in range(draw(st.integers(1, 3))):
        found = places(config)
        if not found:
            break
        *above, last = draw(st.sampled_from(found))
        parent = config
        for key in above:
            parent = parent[key]
        act = draw(st.sampled_from(["replace", "replace", "word", "remove", "double"]))
        if act == "remove":
            del parent[last]
        elif act == "double" and isinstance(parent, list):
            parent.insert(last, parent[last])
        else:
            parent[last] = draw(st.sampled_from(WORDS_OF_CONFIGS) if act == "word" else json_values)
    return config


@fuzzed
@given(config=configs(), data=st.data())
def test_configurations(config: Any, data: st.DataObject, tmp_path: Path) -> None:
    tried["configurations"] += 1
    files.model(tmp_path / "model", json.dumps(config).encode())
    (tmp_path / "artifacts").mkdir(exist_ok=True)
    np.save(tmp_path / "artifacts" / "y_train.npy", np.arange(60) % data.draw(st.integers(1, 4)))
    models = (LoggedModel("models:/m", "model"),)
    report = audited(make_run(tmp_path / "artifacts", models=models, fetch_model=lambda _: tmp_path / "model"))
    assert report is not None
    shown(report)
