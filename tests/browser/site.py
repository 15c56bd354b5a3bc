"""A tracking server with audited runs to look at, and a browser that looks at them as a classification team does."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from mlflow_clfaudit import Report, audit_run
from tests.servers import mlflow_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-component-update",
)
ATTACK = "<script>window.attacked = 1; alert(1)</script><img src=x onerror='window.attacked = 1; alert(2)'>"
# A shared machine is slow at times; what is waited for comes in a second or two on an idle one.
PATIENCE = 60_000
EXPERIMENT = "credit"


@dataclass
class Site:
    """A server at `address`, and the reports of the runs that were logged to it, by name."""

    address: str
    folder: Path
    reports: dict[str, Report] = field(default_factory=dict)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.address)

    def log(self, name: str, labels: np.ndarray, experiment: str = EXPERIMENT, classes: str = "") -> str:
        """A run without a model: seed 004's curves, `labels` (N,) cut by validation_split; returns its id."""
        known = self.client.get_experiment_by_name(experiment)
        experiment_id = known.experiment_id if known else self.client.create_experiment(experiment)
        run_id = str(self.client.create_run(experiment_id, run_name=name).info.run_id)
        params = {"epochs": "50", "validation_split": "0.2", "optimizer_name": "SGD"}
        self.client.log_batch(run_id, metrics=list(_curves()), params=[Param(*item) for item in params.items()])
        data = self.folder / run_id
        data.mkdir()
        np.save(data / "y_train.npy", labels)
        if classes:
            (data / "classes.txt").write_text(classes)
        self.client.log_artifacts(run_id, str(data), "data")
        self.client.set_terminated(run_id)
        return run_id

    def audit(self, run_id: str) -> Report:
        report = audit_run(run_id, tracking_uri=self.address)
        self.reports[report.run_name] = report
        return report


def ordered(positives: int = 50, negatives: int = 767) -> np.ndarray:
    """Labels with every positive first, so that a tail cut off for validation holds none."""
    return np.r_[np.ones(positives, dtype=int), np.zeros(negatives, dtype=int)]


def _curves() -> Iterator[Metric]:
    for epoch, loss in enumerate(np.linspace(0.2, 0.0745, 50)):
        values = {"loss": loss, "accuracy": 603 / 653, "val_loss": loss / 4, "val_accuracy": 1.0}
        yield from (Metric(key, float(value), 0, epoch) for key, value in values.items())


@contextlib.contextmanager
def audited_site(folder: Path) -> Iterator[Site]:
    """A server with a faulty run, one that is not, and one whose names are scripts."""
    with mlflow_server(folder) as address:
        site = Site(address, folder)
        shuffled = np.random.default_rng(0).permutation(ordered(400, 417))
        site.audit(site.log("shuffled", shuffled))
        site.audit(site.log("ordered", ordered()))
        site.audit(site.log(ATTACK, ordered(), classes=f"{ATTACK}\nother\n"))
        yield site


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def open_page(
    browser: Browser,
    *,
    width: int = 1440,
    height: int = 900,
    dark: bool = False,
    storage: Mapping[str, str] | None = None,
) -> Page:
    """A page in a browser of its own, without MLflow's assistant in the way."""
    chosen = {
        "mlflow.assistant.panelOpen_v1": "false",
        "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
        "_mlflow_dark_mode_toggle_enabled": "true" if dark else "false",
        "databricks-dark-mode-pref": "dark" if dark else "light",
        **(storage or {}),
    }
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB"
    )
    context.set_default_timeout(PATIENCE)
    lines = [f"localStorage.setItem({key!r}, {value!r})" for key, value in chosen.items()]
    # Sandboxed frames have no storage, and the script runs in them too.
    context.add_init_script(f"try {{ {'; '.join(lines)} }} catch {{}}")
    return context.new_page()


def open_experiments(page: Page, address: str) -> None:
    """The list of experiments, in the mode of MLflow that trains models: the browser remembers that choice."""
    page.goto(f"{address}/#/experiments")
    page.get_by_text("Model training").click()
    page.get_by_role("link", name=EXPERIMENT, exact=True).wait_for()


def report_frame(page: Page) -> Frame:
    """The sandboxed frame that MLflow shows an HTML artifact in; raises where it does not come up."""
    element = page.wait_for_selector("iframe[sandbox]", state="attached")
    frame = element.content_frame() if element else None
    if frame is None:
        raise AssertionError("the artifact is shown in no frame")
    frame.wait_for_load_state()
    return frame
