"""What every check promises, asked of each without its author's doing."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from mlflow_clfaudit.evidence import Evidence, providers
from mlflow_clfaudit.examine import examine, examine_one
from mlflow_clfaudit.registry import Check, all_checks
from mlflow_clfaudit.types import AREAS, Severity, Status
from tests.kit import make_fit, make_head, make_history, make_labels, make_served, make_spec
from tests.runs import make_run

CHECKS = list(all_checks().values())
GIVEN = {"run", "overrides", "device", "budget", "output"}
SECTIONS = ("Why it matters", "How it is detected", "Fix", "When it is legitimate")
names = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)


@names
def test_module_function_and_area_are_spelled_alike(check: Check) -> None:
    module = inspect.getmodule(check.function)
    assert module is not None
    *_, area, name = module.__name__.split(".")
    assert (area, name) == (check.area, check.function.__name__)
    assert check.area in AREAS


@names
def test_the_docstring_is_the_page(check: Check) -> None:
    assert check.summary.endswith(".")
    assert len(check.summary) < 160
    for title in SECTIONS:
        assert check.sections.get(title), f"section {title!r} is missing"


@names
def test_it_asks_for_evidence_that_exists(check: Check) -> None:
    known = set(providers()) | GIVEN
    for needs in (check.needs, check.proof_needs):
        assert set(needs.required) | set(needs.optional) <= known


@names
def test_thresholds_are_in_the_signature(check: Check) -> None:
    assert all(value is not inspect.Parameter.empty for value in check.thresholds.values())


@names
def test_what_it_explains_exists(check: Check) -> None:
    assert set(check.explains) <= set(all_checks())


@names
def test_absent_evidence_skips_with_a_reason(check: Check) -> None:
    outcome = examine_one(Evidence({}), check)
    assert outcome.status is Status.SKIPPED
    assert outcome.reason


@names
def test_a_test_of_its_own(check: Check) -> None:
    name = check.function.__name__
    assert (Path(__file__).parent / check.area / f"test_{name}.py").is_file()


def healthy_evidence() -> dict[str, object]:
    """A well-made binary classifier: balanced, shuffled, learnt, calibrated."""
    random = np.random.default_rng(7)
    truth = random.permutation(np.tile([0, 1], 300))
    logits = np.where(truth == 1, 2.5, -2.5) + random.normal(0, 1.5, 600)
    head = make_head()
    falling = np.geomspace(0.7, 0.18, 40)
    return {
        "run": make_run(),
        "spec": make_spec(head),
        "head": head,
        "loss": head.loss,
        "labels": make_labels(train=random.permutation(np.tile([0, 1], 600)), validation=truth),
        "history": make_history(
            loss=falling, accuracy=0.95 - falling / 3, val_loss=falling + 0.02, val_accuracy=0.94 - falling / 3
        ),
        "fit": make_fit(epochs=40, batch_size=32, shuffle=True, optimizer="adam", learning_rate=1e-3),
        "served": make_served(1 / (1 + np.exp(-logits)), truth, head=head, logits=logits[:, None]),
        "output": 0,
        "device": "cpu",
    }


@names
def test_quiet_on_healthy_evidence(check: Check) -> None:
    outcome = examine_one(Evidence(healthy_evidence()), check)
    assert outcome.status is not Status.FAILED, outcome.reason
    loud = [item.message for item in outcome.findings if item.level.at_least(Severity.WARN)]
    assert loud == []


ODD_LABELS = {
    "one row": [1],
    "two rows": [0, 1],
    "one class": [1] * 30,
    "strings": ["cat", "dog"] * 15,
    "NaN": [0.0, 1.0, float("nan")] * 10,
    "negative": [-1, 1] * 15,
    "booleans": [True, False] * 15,
    "floats": list(np.linspace(0, 1, 30)),
    "one-hot": np.eye(3)[[0, 1, 2] * 10],
    "multi-hot": np.tile([[1, 1, 0], [0, 1, 1]], (15, 1)),
    "many classes": list(range(300)),
}


@pytest.mark.parametrize("values", ODD_LABELS.values(), ids=ODD_LABELS.keys())
@names
def test_odd_labels_raise_nothing(check: Check, values: list[object]) -> None:
    for labels in (make_labels(train=values), make_labels(train=values, validation=values, test=values[:1])):
        outcome = examine_one(Evidence({**healthy_evidence(), "labels": labels}), check)
        assert outcome.status is not Status.FAILED, outcome.reason


@pytest.mark.parametrize("loss", [[], [0.5], [float("nan")] * 5, [float("inf"), 1.0], [-3.0] * 6, [0.0] * 6])
@names
def test_odd_histories_raise_nothing(check: Check, loss: list[float]) -> None:
    history = make_history(loss=loss, accuracy=loss, val_loss=loss, val_accuracy=loss)
    outcome = examine_one(Evidence({**healthy_evidence(), "history": history}), check)
    assert outcome.status is not Status.FAILED, outcome.reason


def test_the_same_answer_twice_and_nothing_changed() -> None:
    given = healthy_evidence()
    outputs = given["served"].outputs.copy()  # type: ignore[attr-defined]
    assert examine(Evidence(given), CHECKS) == examine(Evidence(given), CHECKS)
    np.testing.assert_array_equal(outputs, given["served"].outputs)  # type: ignore[attr-defined]


def test_evidence_numbers_are_json() -> None:
    given = {**healthy_evidence(), "head": make_head(1, "softmax"), "labels": make_labels(train=[1, 2] * 30)}
    found = [finding for outcome in examine(Evidence(given), CHECKS) for finding in outcome.findings]
    assert found
    for finding in found:
        json.dumps(dict(finding.evidence), allow_nan=True)
