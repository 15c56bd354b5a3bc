"""The questions that this project was made from: each script trained as its author wrote it, then audited.

The expected lines are the golden ones: the root cause first and proven, the corrected twin healthy.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_clfaudit import Verdict
from mlflow_clfaudit.types import Confidence, Severity
from tests.seeds import audited

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", ["000", "002", "003", "004"])
def test_corrected_twin_is_healthy(seed: str, tracking_uri: str, tmp_path: Path) -> None:
    report = audited(f"seed_{seed}_fixed", tracking_uri, tmp_path)
    assert report.verdict is Verdict.HEALTHY, [finding.message for finding in report.findings]


def test_000_the_learning_rate_is_too_low(tracking_uri: str, tmp_path: Path) -> None:
    report = audited("seed_000_under_trained", tracking_uri, tmp_path)
    first = report.findings[0]
    assert (first.check, first.variant, first.confidence) == ("under-trained", "lr-too-low", Confidence.PROVEN)
    assert first.proof is not None
    assert first.proof.before == pytest.approx(0.5, abs=0.1)
    assert first.proof.after == pytest.approx(1.0, abs=0.02)
    assert report.fired("scored-in-wrong-label-space")
    assert not report.fired("labels-out-of-range")


def test_002_softmax_on_one_unit(tracking_uri: str, tmp_path: Path) -> None:
    report = audited("seed_002_softmax_on_one_unit", tracking_uri, tmp_path)
    first = report.findings[0]
    assert (first.check, first.level, first.confidence) == (
        "softmax-on-one-unit",
        Severity.BLOCKER,
        Confidence.PROVEN,
    )
    assert first.proof is not None
    assert first.proof.before == pytest.approx(0.5)
    assert first.proof.after is not None
    assert first.proof.after > 0.8
    assert {"constant-prediction", "loss-accuracy-divergence"} <= {item.check for item in report.symptoms}
    assert report.fired("test-used-for-validation")
    assert report.fired("misconfigured-callback")


def test_003_as_keras_3_runs_it(tracking_uri: str, tmp_path: Path) -> None:
    report = audited("seed_003_logits_in_probability_loss", tracking_uri, tmp_path)
    assert (report.verdict, report.root_cause) == (Verdict.SUSPECT, "logits-in-probability-loss")
    assert report.findings[0].confidence is Confidence.PROVEN
    frozen = [finding.level for finding in report.findings if finding.check == "frozen-random-layers"]
    assert frozen == [Severity.INFO]


def test_003_with_the_accuracy_of_old_keras(tracking_uri: str, tmp_path: Path) -> None:
    report = audited("seed_003_old_keras_accuracy", tracking_uri, tmp_path)
    assert [finding.check for finding in report.findings[:2]] == [
        "rounded-unbounded-output",
        "logits-in-probability-loss",
    ]
    assert report.findings[0].confidence is Confidence.PROVEN


def test_004_a_constant_predictor(tracking_uri: str, tmp_path: Path) -> None:
    report = audited("seed_004_constant_predictor", tracking_uri, tmp_path)
    named = [finding.check for finding in report.findings]
    assert named[0] == "under-trained"
    assert report.findings[0].confidence is Confidence.PROVEN
    assert named.index("tail-split-of-ordered-data") < named.index("single-class-validation")
    assert {"class-imbalance", "regression-loss"} <= set(named)
    assert "majority-accuracy" in {item.check for item in report.symptoms}
    assert all(f.level is Severity.INFO for f in report.findings if f.check in ("threshold-off", "regression-loss"))
