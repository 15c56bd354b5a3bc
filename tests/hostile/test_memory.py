"""A thousand audits in one process take no more memory than a hundred."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlflow_clfaudit.audit import audit
from mlflow_clfaudit.evidence.run import LoggedModel
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.types import Verdict
from tests.hostile import files
from tests.runs import make_run

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def resident() -> float:
    """This process's memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB


@pytest.mark.long
def test_memory_is_flat_over_a_thousand_audits(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    files.model(tmp_path / "model")
    (tmp_path / "artifacts").mkdir()
    np.save(tmp_path / "artifacts" / "y_train.npy", np.arange(100_000) % 2)
    sizes = []
    for count in range(1_000):
        curve = np.linspace(1.0, 0.1, 50 + count % 7).tolist()
        run = make_run(
            tmp_path / "artifacts",
            metrics={"loss": curve, "val_loss": curve},
            models=(LoggedModel("models:/m", "model"),),
            fetch_model=lambda _: tmp_path / "model",
        )
        report = audit(run, tier="static")
        assert report.verdict is Verdict.FAULTY
        to_html(report)
        sizes.append(resident())
    record_property("megabytes_grown", round(sizes[-1] - sizes[99]))
    print(f"{sizes[99]:.0f} MB after a hundred audits, {sizes[-1]:.0f} MB after a thousand")
    assert sizes[-1] - sizes[99] < 20
