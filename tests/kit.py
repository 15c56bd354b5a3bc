"""Evidence from literals: what unit tests of checks are written with. No MLflow, no Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served, Trial
from mlflow_clfaudit.evidence.spec import Head, Loss, Spec
from mlflow_clfaudit.evidence.trainings import Continued, Contrast
from mlflow_clfaudit.examine import examine_one
from mlflow_clfaudit.registry import Check
from mlflow_clfaudit.types import Finding, Outcome, Proof, Report, Status

# Two classes of a hundred rows and what one sigmoid may say of them: nothing, a little (balanced accuracy .58), all.
TRUTH = np.tile([0, 1], 100)
FLAT = np.full(200, 0.4)
SLIGHT = np.where((TRUTH == 1) & (np.arange(200) < 32), 0.6, 0.4)
GOOD = np.where(TRUTH == 1, 0.95, 0.05)


def outcome(check: Check, **given: Any) -> Outcome:
    """What the check says of this evidence, proof included. Evidence that is not given is computed or missing."""
    return examine_one(Evidence({"output": 0, **given}), check)


def findings(check: Check, **given: Any) -> tuple[Finding, ...]:
    """The check's findings; fails the test where the check was skipped or raised."""
    found = outcome(check, **given)
    assert found.status in (Status.FIRED, Status.PASSED), f"{found.status}: {found.reason}"
    return found.findings


def proof_of(finding: Finding) -> Proof:
    """The finding's proof; fails the test where it has none."""
    assert finding.proof is not None, finding.unproven
    return finding.proof


def ran(report: Report) -> set[str]:
    """The checks of the report that had what they need."""
    return {outcome.check for outcome in report.outcomes if outcome.status in (Status.PASSED, Status.FIRED)}


def make_head(
    units: int = 1, activation: str = "sigmoid", loss: str | None = "binary_crossentropy", **fields: Any
) -> Head:
    """A Dense head; `from_logits=True` and other options of the loss through `loss_options`."""
    options = fields.pop("loss_options", {})
    given = None if loss is None else Loss(loss, from_logits=options.get("from_logits", False), options=options)
    activations = () if activation == "linear" else (activation,)
    size = units if activation == "softmax" else None
    return Head(**{"units": units, "activations": activations, "softmax_size": size, "loss": given, **fields})


def make_spec(*heads: Head, **fields: Any) -> Spec:
    return Spec(**{"kind": "Sequential", "layers": (), "heads": heads or (make_head(),), **fields})


def make_labels(
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    whole: Any = None,
    names: Sequence[str] | None = None,
) -> Labels:
    given: Mapping[str, Any] = {"train": train, "validation": validation, "test": test}
    splits = {name: LabelSet(np.asarray(values)) for name, values in given.items() if values is not None}
    return Labels(splits, LabelSet(np.asarray(whole)) if whole is not None else None, tuple(names) if names else None)


def make_history(**curves: Any) -> History:
    """make_history(loss=[…], accuracy=[…], val_loss=[…])"""
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in curves.items()}
    return History(
        train={name: values for name, values in arrays.items() if not name.startswith("val_")},
        validation={name[4:]: values for name, values in arrays.items() if name.startswith("val_")},
    )


def make_fit(**fields: Any) -> FitArguments:
    return FitArguments(**fields)


def make_served(outputs: Any, truth: Any, *, head: Head | None = None, held_out: bool = True, **fields: Any) -> Served:
    array = np.asarray(outputs, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    codes = np.asarray(truth, dtype=np.int64)
    return Served(
        split="validation" if held_out else "train",
        held_out=held_out,
        head=head or make_head(units=array.shape[1], activation="sigmoid" if array.shape[1] == 1 else "softmax"),
        outputs=array,
        truth=codes,
        classes=max(int(codes.max()) + 1, array.shape[1], 2),
        total=len(codes),
        **fields,
    )


def make_trial(fit: Served, judge: Served) -> Trial:
    return Trial(fit, judge)


def make_probe(truth: Any, *, decision: Any, served: Any, name: str = "the head refitted on frozen features") -> Probe:
    """A probe that decided `decision` where the model decided `served`."""
    decided = np.asarray(decision, dtype=np.int64)
    return Probe(
        name=name,
        decision=decided,
        scores=np.eye(int(max(decided.max(), np.max(truth))) + 1)[decided],
        truth=np.asarray(truth, dtype=np.int64),
        served=np.asarray(served, dtype=np.int64),
        held_out=True,
    )


def make_continued(
    before: Served, outputs: Any, *, factor: float = 1.0, losses: tuple[float, float] = (0.69, 0.6)
) -> Continued:
    """A counterfactual training of five epochs after which the rows of `before` get `outputs` (N,) or (N, C)."""
    array = np.asarray(outputs, dtype=np.float64)
    after = replace(before, outputs=array[:, None] if array.ndim == 1 else array)
    return Continued("trained otherwise", factor, 5, before, after, *losses)


def surer(right: float, wrong: int = 20) -> np.ndarray:
    """Scores (200,) that give the true class this probability, give or take a little; of the first rows the other."""
    wobble = np.random.default_rng(0).uniform(-0.02, 0.02, len(TRUTH))
    named = np.where(np.arange(len(TRUTH)) < wrong, 1 - TRUTH, TRUTH)
    return np.where(named == 1, right + wobble, 1 - right + wobble)


def make_contrast(before: Served, control: Any, changed: Any, *, factor: float = 1.0) -> Contrast:
    """Two such trainings: as logged, after which the rows get `control`, and changed, after which `changed`."""
    return Contrast(make_continued(before, control), make_continued(before, changed, factor=factor))
