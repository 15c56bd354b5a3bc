"""What each flavor's evidence allows, measured: a healthy run of every flavor is logged, audited, and written up.

`python -m tests.flavors` writes docs/flavors.md.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mlflow_clfaudit import audit_run
from mlflow_clfaudit.types import AREAS, Outcome, Report, Severity, Status
from tests.evidence import test_boosters, test_estimators, test_portable, test_pytorch
from tests.table import log_curves, log_rows, table

PAGE = Path(__file__).parents[1] / "docs" / "flavors.md"
RAN = (Status.PASSED, Status.FIRED)


@dataclass(frozen=True)
class Flavor:
    """How a run of a flavor is logged, and whether its model is code that has to be allowed."""

    name: str
    log: Callable[[Path], str]
    packages: tuple[str, ...]
    allow_unsafe: bool = False


def keras_run(folder: Path) -> str:
    import keras

    rows = table(2)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1, "sigmoid", name="answer")]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    with mlflow.start_run() as run:
        history = model.fit(
            rows.x_train, rows.y_train, validation_data=(rows.x_val, rows.y_val), epochs=20, batch_size=32, verbose=0
        )
        log_rows(rows, folder)
        mlflow.keras.log_model(model, name="model", pip_requirements=["keras"])
        log_curves(history.history)
    return str(run.info.run_id)


def estimator_run(make: Callable[[], Any]) -> Callable[[Path], str]:
    def log(folder: Path) -> str:
        rows = table(2)
        return test_estimators.log(make().fit(rows.x_train, rows.y_train), rows, folder)

    return log


def booster_run(name: str) -> Callable[[Path], str]:
    def log(folder: Path) -> str:
        flavor, model, rows, metrics = test_boosters.healthy(name)
        return test_boosters.log(flavor, model, rows, folder, metrics=metrics)

    return log


def catboost_run(folder: Path) -> str:
    from tests.evidence import test_catboost

    rows = table(2)
    return test_catboost.log(test_catboost.fitted("CatBoostClassifier", rows), rows, folder)


def lightning_run(*, by_autologging: bool) -> Callable[[Path], str]:
    def log(folder: Path) -> str:
        from tests.evidence import test_lightning

        return test_lightning.logged(
            test_lightning.module(softmax=False), table(3), folder, by_autologging=by_autologging
        )

    return log


def transformers_run(folder: Path) -> str:
    from tests.evidence import test_transformers

    rows = test_transformers.texts()
    return test_transformers.log(test_transformers.trained(rows), rows, folder)


def torch_run(*, pickled: bool) -> Callable[[Path], str]:
    def log(folder: Path) -> str:
        make, loss, _ = test_pytorch.HEALTHY["one logit"]
        model, rows = make(), table(2)
        curves = test_pytorch.train(model, rows, loss, epochs=40)
        return test_pytorch.log(model, rows, folder, curves, pickled=pickled)

    return log


def pyfunc_run(kind: type[test_portable.Labels]) -> Callable[[Path], str]:
    def log(folder: Path) -> str:
        rows = table(2)
        model = kind(LogisticRegression().fit(rows.x_train, rows.y_train))
        return test_portable.logged(folder, rows, "pyfunc", python_model=model)

    return log


def predictions_run(folder: Path) -> str:
    rows = table(2)
    model = LogisticRegression().fit(rows.x_train, rows.y_train)
    with mlflow.start_run() as run:
        for split in ("train", "val", "test"):
            answers = model.predict_proba(getattr(rows, f"x_{split}"))[:, 1]
            for name, values in (("y", getattr(rows, f"y_{split}")), ("y_proba", answers)):
                np.save(folder / f"{name}_{split}.npy", values)
                mlflow.log_artifact(str(folder / f"{name}_{split}.npy"), "data")
        mlflow.log_metric("test_accuracy", float(np.mean(model.predict(rows.x_test) == rows.y_test)))
    return str(run.info.run_id)


def onnx_run(folder: Path) -> str:
    rows = table(3)
    return test_portable.logged(folder, rows, "onnx", onnx_model=test_portable.graph(rows, raw=False))


def margins() -> Any:
    return make_pipeline(StandardScaler(), SVC())


ALL = (
    Flavor("keras", keras_run, ("keras", "tensorflow-cpu")),
    Flavor("sklearn, probabilities", estimator_run(LogisticRegression), ("scikit-learn",)),
    Flavor("sklearn, margins", estimator_run(margins), ("scikit-learn",)),
    Flavor("xgboost, native", booster_run("xgboost"), ("xgboost-cpu",)),
    Flavor("xgboost, XGBClassifier", booster_run("XGBClassifier of two"), ("xgboost-cpu",)),
    Flavor("lightgbm, native", booster_run("lightgbm"), ("lightgbm",)),
    Flavor("lightgbm, LGBMClassifier", booster_run("LGBMClassifier of text labels"), ("lightgbm",)),
    Flavor("catboost, CatBoostClassifier", catboost_run, ("catboost",)),
    Flavor("pytorch, pt2", torch_run(pickled=False), ("torch",)),
    Flavor("pytorch, pickled", torch_run(pickled=True), ("torch",), allow_unsafe=True),
    Flavor("lightning, pt2", lightning_run(by_autologging=False), ("lightning", "pytorch-lightning")),
    Flavor(
        "lightning, autologged",
        lightning_run(by_autologging=True),
        ("lightning", "pytorch-lightning"),
        allow_unsafe=True,
    ),
    Flavor("transformers, text classification", transformers_run, ("transformers", "torch")),
    Flavor("onnx", onnx_run, ("onnx", "onnxruntime")),
    Flavor("pyfunc, probabilities", pyfunc_run(test_portable.Frames), ("mlflow",), allow_unsafe=True),
    Flavor("pyfunc, classes", pyfunc_run(test_portable.Labels), ("mlflow",), allow_unsafe=True),
    Flavor("no model, probabilities", predictions_run, ("mlflow",)),
)


def is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


# CatBoost, Lightning and transformers are not among the tools of the tests.
FLAVORS = tuple(flavor for flavor in ALL if all(map(is_installed, flavor.packages)))


def measure(flavor: Flavor) -> Report:
    """The audit of a healthy run of the flavor, in a store of its own."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Path.cwd()
        os.chdir(folder)
        try:
            mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
            mlflow.set_experiment("flavors")
            return audit_run(flavor.log(Path(folder)), dry_run=True, allow_unsafe=flavor.allow_unsafe)
        finally:
            os.chdir(before)


def page(reports: dict[str, Report]) -> Iterator[str]:
    """The page's lines."""
    yield "# Flavors"
    yield ""
    yield "What the evidence of each flavor allows: how many checks of each area ran on a healthy run that logged its"
    yield "inputs and labels, which could not, and why. Written by `make flavors`, which trains, logs and audits them."
    yield ""
    yield "| flavor | " + " | ".join(area.replace("_", " ") for area in AREAS) + " | alarms |"
    yield "|---|" + "---|" * (len(AREAS) + 1)
    for name, report in reports.items():
        cells = []
        for area in AREAS:
            of_area = [outcome for outcome in report.outcomes if outcome.area == area]
            cells.append(f"{sum(outcome.status in RAN for outcome in of_area)} of {len(of_area)}")
        alarms = sum(finding.level.at_least(Severity.WARN) for finding in report.findings)
        yield f"| {name} | " + " | ".join(cells) + f" | {alarms} |"
    yield ""
    yield "Where a flavor is not in the table, its run is judged by its labels, its history and its logged predictions."
    yield "Models of more than 2,000 classes are not searched for permuted labels; one decision per position (token"
    yield "classification, segmentation), several labels a row and estimators of several outputs are skipped with that"
    yield "reason."
    yield ""
    packages = sorted({package for flavor in FLAVORS for package in flavor.packages} | {"mlflow"})
    yield "Measured with " + ", ".join(f"{package} {version(package)}" for package in packages) + "."
    for flavor in FLAVORS:
        yield ""
        yield f"## {flavor.name}"
        yield ""
        if flavor.allow_unsafe:
            yield "Its model is code or a pickle, which runs with `--allow-unsafe` only, as here."
            yield ""
        groups: dict[str, list[Outcome]] = {}
        for outcome in reports[flavor.name].outcomes_of(Status.SKIPPED):
            groups.setdefault(outcome.reason, []).append(outcome)
        for reason, outcomes in sorted(groups.items(), key=lambda item: -len(item[1])):
            names = ", ".join(f"[{outcome.check}](checks/{outcome.check}.md)" for outcome in outcomes)
            yield f"- {reason}: {names}"


def main() -> None:
    reports = {}
    for flavor in FLAVORS:
        reports[flavor.name] = measure(flavor)
        print(flavor.name, reports[flavor.name].headline, flush=True)
    PAGE.write_text("\n".join(page(reports)) + "\n")
    print(f"docs/{PAGE.name}")


if __name__ == "__main__":
    main()
