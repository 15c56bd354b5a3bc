"""Reports written by hand: faulty, healthy, empty, hostile and large."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np

from mlflow_clfaudit.types import (
    Confidence,
    Finding,
    Grade,
    Outcome,
    Proof,
    Report,
    Review,
    Severity,
    Status,
    Verdict,
    Word,
)

HOSTILE = (
    "\x1b[31mred\x07</style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7 * 7 }} "
    "[link](javascript:alert(3)) ![i](http://evil.test/i.png) <!-- /clfaudit --> `tick` ``` | cell ||\r\n"
    "::error::forged %0A::warning::forged\n# heading\n\u202egnp.exe \ud800 https://evil.test www.evil.test & ]]>"
)

CAUSE = Finding(
    "The output layer applies softmax to one unit, so every prediction is 1.0.",
    check="softmax-on-one-unit",
    area="activation_loss",
    severity=Severity.BLOCKER,
    confidence=Confidence.PROVEN,
    fix='Dense(1, activation="sigmoid")',
    evidence={"layer": "dense_1", "units": 1},
    proof=Proof(Grade.B, "sigmoid on the same weights", "balanced accuracy", 0.5, 0.894, 970, 1e-40),
    explains=("constant-prediction", "loss-accuracy-divergence", "stuck-loss"),
    symptoms=("constant-prediction", "loss-accuracy-divergence"),
)
WARNING = Finding(
    "validation_data is the test set: the logged val_accuracy is not held out.",
    check="test-used-for-validation",
    area="stratification",
    severity=Severity.WARN,
    confidence=Confidence.PROVEN,
    unproven="the two label files were not both read",
)
NOTE = Finding("The inputs vary little.", check="low-contrast-inputs", area="training_dynamics", severity=Severity.INFO)
IGNORED = Finding(
    "Class 1 has 63 % of the rows.",
    check="class-imbalance",
    area="stratification",
    severity=Severity.WARN,
    ignored="the population is like that",
)
SYMPTOMS = (
    Finding("Every output is 1.000.", check="constant-prediction", area="training_dynamics", severity=Severity.SYMPTOM),
    Finding(
        "Accuracy 0.627 is the share of class 1.",
        check="loss-accuracy-divergence",
        area="training_dynamics",
        severity=Severity.SYMPTOM,
    ),
)
OUTCOMES = (
    Outcome("softmax-on-one-unit", "activation_loss", Status.FIRED, (CAUSE,)),
    *(Outcome(f"passed-{place}", "thresholding", Status.PASSED) for place in range(3)),
    *(
        Outcome(
            name,
            "label_encoding",
            Status.SKIPPED,
            reason="no class names",
            how_to_supply="mlflow_clfaudit.log_labels(..., classes=[...])",
        )
        for name in ("names-one", "names-two")
    ),
    Outcome("broken-check", "training_dynamics", Status.FAILED, reason="ValueError: shapes"),
)
FIGURES: dict[str, Any] = {
    "quality": {"balanced_accuracy": 0.5, "accuracy": 0.627, "majority_share": 0.627, "rows": 970, "held_out": True},
    "curves": {
        "epochs": 3,
        "saved_epoch": 2,
        "series": {
            "loss": {"x": [1, 2, 3], "y": [0.64, 0.2, None]},
            "val_loss": {"x": [1, 2, 3], "y": [0.7, 0.4, 0.3]},
            "accuracy": {"x": [1, 2, 3], "y": [0.627, 0.627, 0.627]},
            "learning_rate": {"x": [1, 2, 3], "y": [0.001, 0.001, 0.0001]},
        },
    },
    "confusion": {
        "labels": ["cat", "dog"],
        "indices": [0, 1],
        "matrix": [[0, 362], [0, 608]],
        "right": 608,
        "classes": 2,
        "rows": 970,
    },
    "reliability": {
        "bins": [{"low": 0.9, "confidence": 0.95, "accuracy": 0.6, "rows": 970}],
        "expected_calibration_error": 0.35,
        "rows": 970,
    },
    "scores": {
        "edges": [0.0, 0.5, 1.0],
        "counts": [[0, 362], [0, 608]],
        "labels": ["cat", "dog"],
        "threshold": 0.5,
        "above": [362, 608],
        "beyond": 0,
    },
    "thresholds": {
        "x": [0.0, 0.5, 1.0],
        "balanced_accuracy": [0.5, 0.5, 0.5],
        "recalls": [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]],
        "labels": ["cat", "dog"],
        "threshold": 0.5,
    },
    "layers": {
        "layers": [
            {"layer": "dense", "gradient": 0.001, "activation": "relu", "dead": 0.25, "saturated": None},
            {"layer": "squash", "gradient": None, "activation": "tanh", "dead": None, "saturated": 0.5},
            {"layer": "dense_1", "gradient": 0.0, "activation": None, "dead": None, "saturated": None},
        ],
        "count": 3,
    },
    "shares": {
        "labels": ["cat", "dog"],
        "splits": {"train": [0.4, 0.6], "validation": [0.37, 0.63]},
        "rows": {"train": 2000, "validation": 970},
        "classes": 2,
    },
}


def make_report(**fields: Any) -> Report:
    given = {
        "run_id": "3f2a9c0de0a94c3f9f1c1f0b0d2f7a11",
        "run_name": "cheerful-stork-12",
        "verdict": Verdict.FAULTY,
        "root_cause": "softmax-on-one-unit",
        "findings": (CAUSE, WARNING, NOTE, IGNORED),
        "symptoms": SYMPTOMS,
        "outcomes": OUTCOMES,
        "sources": {"labels of validation": "data/y_val.npy"},
        "environment": {"backend": "tensorflow", "device": "CPU"},
        "seconds": {"read": 0.3, "examine": 5.8, "network": 2.2},
        "figures": FIGURES,
        "experiment_id": "1",
        "url": "http://127.0.0.1:5000/#/experiments/1/runs/3f2a9c0de0a94c3f9f1c1f0b0d2f7a11",
        "headline": "keras · 970 validation rows · TensorFlow, CPU",
        "digest": "0123456789abcdef",
    }
    return Report(**{**given, **fields})


EMPTY = make_report(
    run_name="",
    verdict=Verdict.NOT_AUDITED,
    root_cause=None,
    findings=(),
    symptoms=(),
    outcomes=(
        Outcome(
            "softmax-on-one-unit",
            "activation_loss",
            Status.SKIPPED,
            reason="the run has no logged model",
            how_to_supply='mlflow.keras.log_model(model, name="model")',
        ),
    ),
    sources={},
    environment={},
    seconds={},
    figures={},
    url=None,
    headline="",
)
HEALTHY = make_report(verdict=Verdict.HEALTHY, root_cause=None, findings=(), symptoms=())


def make_hostile() -> Report:
    """A report in which every text that a run can choose is an attack."""
    names = [f"{HOSTILE}{place}" for place in range(2)]
    cause = replace(
        CAUSE,
        message=HOSTILE,
        fix=HOSTILE,
        evidence={HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}},
        proof=Proof(Grade.B, HOSTILE, HOSTILE, 0.5, 0.9, 10, 0.001),
        variant=HOSTILE,
        output=HOSTILE,
    )
    figures = json.loads(json.dumps(FIGURES))
    for figure in ("confusion", "scores", "thresholds", "shares"):
        figures[figure]["labels"] = names
    figures["layers"]["layers"][0]["layer"] = HOSTILE
    return make_report(
        run_id=HOSTILE,
        run_name=HOSTILE,
        experiment_id=HOSTILE,
        url=HOSTILE,
        headline=HOSTILE,
        findings=(cause, replace(IGNORED, ignored=HOSTILE), replace(WARNING, unproven=HOSTILE)),
        symptoms=tuple(replace(symptom, message=HOSTILE) for symptom in SYMPTOMS),
        outcomes=tuple(replace(outcome, reason=HOSTILE, how_to_supply=HOSTILE) for outcome in OUTCOMES),
        sources={HOSTILE: HOSTILE},
        environment={HOSTILE: HOSTILE},
        figures={**figures, "undrawn": {"curves": HOSTILE}},
        review=Review(HOSTILE, Word.ACCEPTED, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: "warn"}),
    )


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


REPORTS = {
    "faulty": make_report(),
    "empty": EMPTY,
    "healthy": HEALTHY,
    "hostile": make_hostile(),
    "reviewed": make_report(review=Review("fixed", Word.FIXED, "in run 7", "ann", "2026-03-01", {CAUSE.check: "warn"})),
    "suspect": make_report(verdict=Verdict.SUSPECT, root_cause="test-used-for-validation", findings=(WARNING,)),
}


def make_large(classes: int = 100) -> Report:
    """What 10,000 rows of 100 classes leave in a report: the aggregates are capped."""
    from mlflow_clfaudit.evidence import Evidence
    from mlflow_clfaudit.report.figures import figures
    from tests.kit import make_history, make_labels, make_served

    random = np.random.default_rng(0)
    truth = random.integers(0, classes, 10_000)
    logits = random.normal(size=(10_000, classes))
    logits[np.arange(10_000), truth] += 2
    outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    curves = {name: random.random(5_000) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    served = make_served(outputs, truth)
    made = figures(
        Evidence(
            {
                "served": served,
                "history": make_history(**curves),
                "labels": make_labels(train=truth, validation=truth, test=truth),
            }
        )
    )
    counted = np.zeros((classes, classes), dtype=int)
    np.add.at(counted, (truth, served.decision), 1)
    cause = replace(CAUSE, evidence={"confusion_after": counted.tolist(), "rows": list(range(10_000))})
    many = [replace(WARNING, check=f"finding-{place}", message="word " * 40) for place in range(40)]
    outcomes = [Outcome(f"check-{place}", "thresholding", Status.PASSED) for place in range(200)]
    return make_report(findings=(cause, *many), figures=made, outcomes=outcomes)
