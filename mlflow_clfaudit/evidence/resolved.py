"""What a compiled metric computes on this head and these labels, where that is not what its name says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Metric


@dataclass(frozen=True)
class Misresolved:
    """A compiled metric that is not what its name says: what it computes in words, and the metric to use."""

    metric: Metric
    computes: str
    use: str


def misresolved(head: Head, form: str | None) -> Iterator[Misresolved]:
    """The compiled metrics of a head that, with labels of this form, compute something else than they say."""
    units = head.units
    if units is None:
        return
    is_softmax = head.activation == "softmax"
    for metric in head.metrics:
        options = metric.options
        if units == 1:
            yield from _on_one_unit(metric)
            continue
        if metric.name in ("precision", "recall") and units == 2 and form == "one-hot":
            if options.get("class_id") is None:
                use = f"keras.metrics.{metric.name.capitalize()}(class_id=1)"
                yield Misresolved(metric, "the accuracy, since both columns are counted", use)
        elif metric.name == "auc" and units == 2 and form == "one-hot" and not options.get("multi_label"):
            use = "keras.metrics.AUC(multi_label=True)"
            yield Misresolved(metric, "the AUC over the pooled columns", use)
        elif metric.name == "binary_accuracy" and form == "one-hot" and head.activation == "softmax":
            floor = f"the share of right entries, which is at least {1 - 1 / units:.2f} for a constant answer"
            yield Misresolved(metric, floor, 'metrics=["accuracy"]')
        elif _plain(metric.name) in ("topkcategoricalaccuracy", "sparsetopkcategoricalaccuracy"):
            if int(options.get("k") or 5) >= units:
                yield Misresolved(metric, f"1.0, since k covers all {units} classes", f"k below {units}")
        # A softmax that meets multi-hot labels has a worse fault than its metric.
        elif metric.name in ("accuracy", "acc") and metric.by_string and form == "multi-hot" and not is_softmax:
            use = "keras.metrics.BinaryAccuracy()"
            yield Misresolved(metric, "whether the largest output is the first of the row's labels", use)


def _plain(name: str) -> str:
    """A metric's name without the underscores, which class names and strings place differently."""
    return name.replace("_", "")


def _on_one_unit(metric: Metric) -> Iterator[Misresolved]:
    options = metric.options
    if metric.name in ("f1_score", "fbeta_score") and options.get("threshold") is None:
        computes = "the score of answering class 1 for every row, since the largest of one column is always it"
        yield Misresolved(metric, computes, "keras.metrics.F1Score(threshold=0.5)")
    elif metric.name == "categorical_accuracy":
        yield Misresolved(metric, "1.0, since the largest of one column is always it", 'metrics=["accuracy"]')


def values(name: str, served: Served) -> Mapping[str, float]:
    """What the metric computes on these outputs and what its name says, under `computed` and `meant`."""
    from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

    truth, decision, outputs = served.truth, served.decision, served.outputs
    one_hot = np.eye(served.width)[np.minimum(truth, served.width - 1)]
    accuracy = served.accuracy
    if name in ("f1_score", "fbeta_score"):
        share = float(np.mean(truth == 1))
        return {"computed": 2 * share / (1 + share), "meant": float(f1_score(truth, decision, zero_division=0))}
    if name == "categorical_accuracy":
        return {"computed": 1.0, "meant": accuracy}
    if name in ("precision", "recall"):
        score = precision_score if name == "precision" else recall_score
        return {"computed": accuracy, "meant": float(score(truth, decision, zero_division=0))}
    if name == "auc" and len(np.unique(truth)) == 2:
        pooled = float(roc_auc_score(one_hot.ravel(), outputs.ravel()))
        return {"computed": pooled, "meant": float(roc_auc_score(truth, outputs[:, 1]))}
    if name == "binary_accuracy":
        return {"computed": float(np.mean((outputs > 0.5) == one_hot)), "meant": accuracy}
    if _plain(name).endswith("topkcategoricalaccuracy"):
        return {"computed": 1.0, "meant": accuracy}
    return {}


def of_labels(labels: Sequence[Served]) -> Mapping[str, float]:
    """The same for "accuracy" on rows with several labels: the match of the largest, and the share of right ones."""
    outputs = np.column_stack([label.outputs[:, 0] for label in labels])
    truth = np.column_stack([label.truth for label in labels])
    decision = np.column_stack([label.decision for label in labels])
    return {
        "computed": float(np.mean(np.argmax(outputs, axis=1) == np.argmax(truth, axis=1))),
        "meant": float(np.mean(decision == truth)),
    }
