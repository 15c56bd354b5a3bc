"""Make the pictures of docs/screenshots: `make screenshots` trains, audits, starts a server and photographs its pages.

The networks are trained and audited for real. Only their dates are set, so that the pictures change when the pages do.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from PIL import Image
from sklearn.datasets import make_classification

from mlflow_clfaudit import Report, audit_run
from mlflow_clfaudit.evidence.audited import read_experiment
from mlflow_clfaudit.review import give
from mlflow_clfaudit.summary import publish, summarise
from mlflow_clfaudit.types import Word
from tests.browser.site import chromium, open_page, report_frame
from tests.servers import mlflow_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
EXPERIMENT = "credit default"
FIRST_DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MAX_BYTES = 200_000
PALETTES = (256, 128, 64, 32)


@dataclass(frozen=True)
class Attempt:
    """A training as somebody would do it. `weight` is that of the rare class in fit()."""

    name: str
    activation: str = "sigmoid"
    rate: float = 0.003
    epochs: int = 25
    weight: float = 1.0
    sort: bool = False
    words: str = ""


ATTEMPTS = (
    Attempt("first-try", activation="softmax"),
    Attempt("tail-as-validation", sort=True),
    Attempt("small-steps", rate=1e-5, epochs=10),
    Attempt("rare-class-weighted", weight=60.0, epochs=8, words="Defaults are rare, so they weigh 60 now.\n\nAnn"),
    Attempt("sigmoid-head"),
)


def train(attempt: Attempt, experiment_id: str, day: datetime) -> str:
    """Log one run: 2,400 rows to fit, 800 to judge, three defaults in twenty loans; returns its id."""
    import keras

    keras.utils.set_random_seed(0)
    inputs, labels = make_classification(
        3_200, 12, n_informative=6, weights=[0.85], flip_y=0.03, class_sep=1.2, random_state=5
    )
    inputs = inputs.astype("float32")
    if attempt.sort:
        order = np.argsort(1 - labels, kind="stable")
        inputs, labels = inputs[order], labels[order]
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1, activation=attempt.activation),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(attempt.rate), loss="binary_crossentropy", metrics=["accuracy"])
    client = mlflow.MlflowClient()
    made = client.create_run(experiment_id, start_time=int(day.timestamp() * 1000), run_name=attempt.name)
    mlflow.keras.autolog(log_models=False)
    with mlflow.start_run(run_id=made.info.run_id), tempfile.TemporaryDirectory() as folder:
        model.fit(
            inputs[:2_400],
            labels[:2_400],
            validation_data=(inputs[2_400:], labels[2_400:]),
            epochs=attempt.epochs,
            class_weight={0: 1.0, 1: attempt.weight} if attempt.weight != 1 else None,
            verbose=0,
        )
        mlflow.keras.log_model(model, name="model")
        arrays = {
            "X_train": inputs[:2_400],
            "y_train": labels[:2_400],
            "X_val": inputs[2_400:],
            "y_val": labels[2_400:],
        }
        for name, array in arrays.items():
            np.save(f"{folder}/{name}.npy", array)
        (Path(folder) / "classes.txt").write_text("repaid\ndefault\n")
        mlflow.log_artifacts(folder, "data")
        if attempt.words:
            mlflow.set_tag("mlflow.note.content", attempt.words)
    run_id = str(made.info.run_id)
    client.set_terminated(run_id, end_time=int((day + timedelta(seconds=41)).timestamp() * 1000))
    return run_id


@contextmanager
def audited_experiment(folder: Path) -> Iterator[tuple[str, dict[str, Report], str]]:
    """A server with every attempt audited: its address, the reports by name, and the summary's address."""
    with mlflow_server(folder) as address:
        mlflow.set_tracking_uri(address)
        experiment_id = mlflow.create_experiment(EXPERIMENT)
        reports: dict[str, Report] = {}
        for place, attempt in enumerate(ATTEMPTS):
            run_id = train(attempt, experiment_id, FIRST_DAY + place * timedelta(days=1))
            reports[attempt.name] = audit_run(run_id, tracking_uri=address)
            found = reports[attempt.name]
            print(f"{attempt.name:20} {found.verdict} {found.root_cause}", flush=True)
        give(reports["small-steps"].run_id, {Word.FIXED: "sigmoid-head learns at 0.003"}, tracking_uri=address)
        experiment = read_experiment(EXPERIMENT, tracking_uri=address)
        yield address, reports, publish(experiment, summarise(experiment))


def photograph(page: Page, name: str, **options: Any) -> None:
    """Keep what the page shows as docs/screenshots/NAME.png, in as few colours as it takes to stay small."""
    page.wait_for_timeout(700)  # MLflow's pages fade in
    picture = Image.open(io.BytesIO(page.screenshot(**options))).convert("RGB")
    for colours in PALETTES:
        content = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
        if content.tell() < MAX_BYTES:
            break
    (FOLDER / f"{name}.png").write_bytes(content.getvalue())
    print(f"{name}.png {content.tell() // 1000} kB", flush=True)


def pages(address: str, reports: dict[str, Report], summary: str) -> Iterator[tuple[str, str, str, bool]]:
    """What is photographed: a name, its address, a text that is there once it is drawn, whether that is in a frame."""
    first, weighted = reports["first-try"], reports["rare-class-weighted"]
    mode = "workflowType=machine_learning"
    runs = f"{address}/#/experiments/{first.experiment_id}/runs"
    yield "runs", f"{runs}?{mode}&viewStateShareKey=clfaudit", "softmax-on-one-unit", False
    yield "run", f"{first.url}?{mode}", "FAULTY", False
    yield "report", f"{weighted.url}/artifacts/clfaudit/report.html?{mode}", "Findings, root cause first", True
    yield "suspicious-rows", f"{weighted.url}/artifacts/clfaudit/suspicious_rows.json?{mode}", "validation", False
    yield "summary", f"{summary}?{mode}", "Verdicts over time", True


def photograph_all(browser: Browser, address: str, reports: dict[str, Report], summary: str) -> None:
    """Every page light at 1440 and dark at 1024 pixels, the report in the other two ways too."""
    for width, dark in ((1440, False), (1024, True), (1440, True), (1024, False)):
        for name, place, sign, framed in pages(address, reports, summary):
            if name != "report" and dark is (width == 1440):
                continue
            page = open_page(browser, width=width, dark=dark)
            page.goto(place)
            shown = report_frame(page) if framed else page
            shown.get_by_text(sign, exact=True).first.wait_for()
            photograph(page, f"{name}-{width}-{'dark' if dark else 'light'}")
            page.context.close()


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        audited_experiment(Path(folder)) as (address, reports, summary),
        chromium() as browser,
    ):
        photograph_all(browser, address, reports, summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
