from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import ConstantOutput, History, RowCounts
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.splits import KerasCut
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

FIX = "order = np.random.permutation(len(X)); fit(X[order], y[order], validation_split=…)"


@check(
    severity=Severity.ERROR,
    explains=("single-class-validation", "class-missing-from-split", "class-shift", "ordered-batches"),
)
def tail_split_of_ordered_data(
    fit: FitArguments,
    run: Run,
    keras_cut: KerasCut | None = None,
    split_design: str | None = None,
    history: History | None = None,
    constant_output: ConstantOutput | None = None,
    row_counts: RowCounts | None = None,
    *,
    order: float = -5.0,
    significance: float = 0.001,
    floor: float = 0.05,
    multiple: float = 2.0,
    large: float = 0.2,
    chance: float = 0.001,
) -> Iterator[Finding]:
    """`validation_split` cut the end off rows that are ordered by class, so the validation rows are no sample.

    ## Why it matters
    Keras takes the last rows as they were given, before it shuffles anything: `floor(N·(1-f))` onwards. Rows sorted or
    appended class by class therefore put other classes into validation than into training, and every val_ metric
    answers a question that nobody asked.

    ## How it is detected
    A `validation_split` without a separate validation set; labels whose order is far from random (runs test,
    z < -5); and class shares that differ between head and tail by more than sampling explains. Without labels: curves
    that only a validation slice of one class explains, where a random slice would hardly ever be one.

    ## Proof
    The rows cut as Keras cuts them: the class counts of head and tail.

    ## Fix
    Shuffle before `fit`, or split with `train_test_split(..., stratify=y)` and pass `validation_data`.

    ```diff
    - model.fit(X, y, validation_split=0.2)
    + order = np.random.default_rng(0).permutation(len(X))
    + model.fit(X[order], y[order], validation_split=0.2)
    ```

    ## When it is legitimate
    Time series: a column that rises from row to row into the tail, or a split that the run calls temporal, makes it
    information only.

    ## Measured
    z of the runs test: random order 0 ± 1 (standard deviation .98 on 3,000 permutations of four unequal classes),
    seed 004 -28.4, 17 classes sorted -113, 0101… +28. 1,000 random honest splits: 0 alarms.
    """
    if not 0.0 < fit.validation_split < 1.0:
        raise Missing("the run's params name no validation_split")
    if any(dataset.context == "eval" for dataset in run.datasets):
        return
    if keras_cut is None:
        yield from _told_by_curves(history, constant_output, row_counts, chance)
        return
    codes, cut = keras_cut.codes, keras_cut.cut
    classes = int(codes.max()) + 1
    head, tail = (np.bincount(part, minlength=classes) for part in (codes[:cut], codes[cut:]))
    z = measures.runs_test(codes)
    shift = measures.class_shift(head, tail)
    if z >= order or not shift.is_large(significance=significance, floor=floor, multiple=multiple):
        return
    absent = int(np.sum((head > 0) & (tail == 0)) + np.sum((head == 0) & (tail > 0)))
    severity = Severity.ERROR if absent or shift.variation >= large else Severity.WARN
    what = (
        f"{absent} of {int(np.sum(head + tail > 0))} classes are in one part only"
        if absent
        else f"the class shares of the two parts differ by {shift.variation:.0%}"
    )
    yield Finding(
        f"validation_split={keras_cut.fraction:g} took the last {keras_cut.held_out} of {len(codes)} rows, which are "
        f"ordered by class (runs test z = {z:.0f}): {what}.",
        fix=FIX,
        severity=Severity.INFO if split_design == "temporal" else severity,
        evidence={
            "from": "labels",
            "rows": len(codes),
            "cut": cut,
            "runs_z": z,
            "head_counts": head.tolist(),
            "tail_counts": tail.tolist(),
            "total_variation": shift.variation,
            "p_value": shift.p_value,
            "design": split_design,
        },
    )


def _told_by_curves(
    history: History | None, constant: ConstantOutput | None, rows: RowCounts | None, chance: float
) -> Iterator[Finding]:
    """From the curves alone: a validation slice of one class that a random slice would hardly ever be."""
    if history is None:
        raise Missing("the run has neither labels nor curves", 'mlflow.log_artifact("y_train.npy", "data")')
    if constant is None:
        return
    if rows is None or not rows.validation:
        raise Missing("the number of rows is not known")
    # The validation rows are of the majority class where all of them are right, else of another.
    others = round((1.0 - constant.accuracy) * rows.train)
    if constant.validation_accuracy == 1.0:
        probability = measures.chance_of_absence(rows.total, others, rows.validation)
    else:
        probability = measures.chance_of_absence(rows.total, rows.train - others, rows.validation)
    if probability >= chance:
        return
    correct = round(constant.accuracy * rows.train)
    yield Finding(
        f"validation_split took the last {rows.validation} of {rows.total} rows, and by the curves they hold one class "
        f"(training accuracy stands at {correct}/{rows.train}, validation accuracy at "
        f"{constant.validation_accuracy:.1f}). A random slice would do so with probability {probability:.1g}: the rows "
        "are ordered by class.",
        fix=FIX,
        evidence={
            "from": "history",
            "rows": rows.total,
            "cut": rows.train,
            "correct": correct,
            "chance": probability,
            "constant_output": constant.value,
        },
        proof=Proof(Grade.C, f"k/n arithmetic of {rows.how}", p_value=probability),
    )


@tail_split_of_ordered_data.proof
def cut_as_keras_cuts(finding: Finding, keras_cut: KerasCut, served: Served | None = None) -> Finding:
    proof = Proof(
        Grade.A,
        f"the labels cut at row {keras_cut.cut}, as Keras cuts them",
        n=keras_cut.held_out,
        p_value=finding.evidence["p_value"],
    )
    if served is None or served.held_out:
        return replace(finding, proof=proof)
    return replace(
        finding,
        proof=proof,
        evidence={**finding.evidence, "balanced_accuracy_on_every_class": served.balanced_accuracy},
    )
