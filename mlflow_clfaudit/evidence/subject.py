"""Whether a run trained a classifier at all, told from what it logged: no model is loaded, no code of it runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.files import OWN_FOLDERS
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.names import EVIDENCE, VERDICT
from mlflow_clfaudit.question import Question
from mlflow_clfaudit.types import Tier

CLASSIFYING = re.compile(r"(^|_)(acc|accuracy|auc|roc|f1|precision|recall|log_?loss|logloss|error_rate|merror)(_|$)")
CLASSIFIERS = re.compile(
    r"classif|logisticregression|linearsvc|\.svc|nusvc|naive_bayes|perceptron|discriminant", re.IGNORECASE
)
CLASSIFYING_OBJECTIVES = re.compile(r"^(binary|multi|multiclass|cross_entropy|Logloss|MultiClass)")


def no_classifier(run: Run) -> str | None:
    """Why the run is none that this package is about; None for a run that trained a classifier."""
    if any(path.startswith(OWN_FOLDERS) for path in run.artifacts):
        return None
    measured = measures_classes(run.metrics)
    if not run.models:
        learned = measured and "loss" in run.metrics and len(run.metrics["loss"][1]) > 1
        return None if learned else "the run logged no model"
    if measured or CLASSIFIERS.search(f"{run.tags.get('estimator_class', '')} {run.params.get('objective', '')}"):
        return None
    if CLASSIFYING_OBJECTIVES.search(run.params.get("objective", "")):
        return None
    evidence = Evidence({"run": run, "output": 0}, cap=Tier.STATIC)
    try:
        flavors = evidence.get("flavors")
    except Missing as missing:
        return missing.reason
    spec = evidence.find("spec")
    if isinstance(spec, Spec):
        return None if any(_classifies(head) for head in spec.heads) else "the model is no classifier"
    return None if _flavor_classifies(flavors) else "nothing that the run logged says that its model is a classifier"


def unchanged(run: Run) -> str | None:
    """Why the run need not be audited again; None where it was not audited or has changed since."""
    digests = {Question(tier=tier).digest(run) for tier in Tier}
    if run.tags.get(VERDICT) and run.tags.get(EVIDENCE) in digests:
        return "the run was audited already and has not changed since"
    return None


def measures_classes(metrics: Iterable[str]) -> bool:
    """Whether any of the metrics, by its name, is of classes."""
    return any(CLASSIFYING.search(name.lower()) for name in metrics)


def _classifies(head: Head) -> bool:
    if head.loss is not None and head.loss.known and not head.loss.is_regression:
        return True
    return head.gives_probabilities or any("accuracy" in metric.name for metric in head.metrics)


def _flavor_classifies(flavors: Mapping[str, Any]) -> bool:
    named = [
        f"{name} {settings.get('model_class', '')} {settings.get('task', '')} {settings.get('model_type', '')}"
        for name, settings in flavors.items()
        if isinstance(settings, dict)
    ]
    return any(CLASSIFIERS.search(name) for name in named)
