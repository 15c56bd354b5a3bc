from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served, Trial
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

MAX_TABLE_COLUMNS = 4096
# Of the model and three probes, each by its accuracy, its balanced accuracy and its ranking.
TESTS = 12


@check(
    severity=Severity.WARN,
    explains=("baseline-wins", "majority-accuracy", "constant-prediction", "under-trained", "overfit", "stuck-loss"),
)
def labels_unrelated_to_inputs(
    served: Served,
    trial: Trial,
    input_probe: Probe,
    feature_probe: Probe | None = None,
    *,
    fit_rows: int = 200,
    judge_rows: int = 100,
    chance: float = 0.05,
) -> Iterator[Finding]:
    """Nothing that was tried can tell the classes apart: rows and labels do not seem to belong together.

    ## Why it matters
    Features shuffled without their labels, a join on the wrong key or targets drawn at random leave rows that say
    nothing about their labels. No architecture and no training length helps.

    ## How it is detected
    Neither the model, nor logistic regression on the inputs or on its last features, nor a forest decides
    held-out rows better than chance: the one-sided binomial test against the largest class, a permutation test of the
    balanced accuracy and a rank test of the scores of each class. `chance` is the level of all of these tests
    together (Bonferroni): at that level each, one of them let a third of the shuffled labels pass. At least `fit_rows`
    rows to learn from and `judge_rows` to judge on.

    ## Proof
    The permutation test of the best of them. On tables it is an error, where the rows are enough to tell: the best of
    them surely (95 %) stays within `margin` of the balanced accuracy of guessing.

    ## Fix
    Keep each row's label with it: shuffle with one permutation, `X, y = sklearn.utils.shuffle(X, y)`, join on the id.

    ```diff
    - np.random.shuffle(X)
    - np.random.shuffle(y)
    + X, y = sklearn.utils.shuffle(X, y)
    ```

    ## When it is legitimate
    The classes cannot be told from these inputs, or only by structure that no probe sees, as in sequences and large
    images: there it stays a warning.
    """
    if trial.fit.rows < fit_rows or trial.judge.rows < judge_rows:
        return
    probes = [probe for probe in (input_probe, feature_probe) if probe is not None]
    level = chance / TESTS
    if any(_probe_beats_chance(probe, level) for probe in probes):
        return
    if _beats_chance(served.truth, served.decision, level) or _ranks(served.truth, served.outputs, level):
        return
    yield Finding(
        f"Neither the model nor a linear classifier tells the classes of {trial.judge.where} apart: rows and labels do "
        "not seem to belong together.",
        fix="X, y = sklearn.utils.shuffle(X, y)  # one permutation for both",
        evidence={"rows": trial.judge.rows, "fit_rows": trial.fit.rows},
    )


@labels_unrelated_to_inputs.proof
def no_probe_learns_them(
    finding: Finding, trial: Trial, input_probe: Probe, tree_probe: Probe, *, chance: float = 0.05, margin: float = 0.1
) -> Finding | None:
    if _probe_beats_chance(tree_probe, chance / TESTS):
        return None
    best = max((input_probe, tree_probe), key=lambda probe: probe.balanced_accuracy)
    inputs = trial.fit.inputs
    arrays = list(inputs.values()) if isinstance(inputs, dict) else [inputs]
    is_table = all(array.dtype.kind == "f" and np.prod(array.shape[1:]) <= MAX_TABLE_COLUMNS for array in arrays)
    proof = Proof(
        Grade.C,
        f"{best.name} against shuffled labels",
        metric="balanced accuracy",
        before=best.balanced_accuracy,
        n=best.rows,
        p_value=permutation_p_value(best.truth, best.decision),
    )
    return replace(
        finding,
        message=finding.message.replace("nor a linear classifier", "nor a linear classifier nor a forest"),
        severity=Severity.ERROR if is_table and _surely_within(best, margin) else Severity.WARN,
        proof=proof,
    )


def permutation_p_value(truth: np.ndarray, decision: np.ndarray, *, resamples: int = 500, seed: int = 0) -> float:
    """The share of label permutations under which the decisions reach the balanced accuracy that they have."""
    random = np.random.default_rng(seed)
    reached = measures.balanced_accuracy(truth, decision)
    classes = np.unique(np.concatenate([truth, decision]))
    truth, decision = np.searchsorted(classes, truth), np.searchsorted(classes, decision)
    rows = np.bincount(truth, minlength=len(classes))
    present = rows > 0
    better = 0
    for _ in range(resamples):
        shuffled = random.permutation(truth)
        right = np.bincount(shuffled[shuffled == decision], minlength=len(classes))
        better += float(np.mean(right[present] / rows[present])) >= reached - 1e-12
    return (better + 1) / (resamples + 1)


def _surely_within(probe: Probe, margin: float) -> bool:
    """Whether the balanced accuracy is, with 95 % confidence, no more than `margin` above that of guessing."""
    rows = np.bincount(probe.truth)
    rows = rows[rows > 0]
    share = probe.balanced_accuracy
    deviation = float(np.sqrt(np.sum(share * (1 - share) / rows)) / len(rows))
    return share + 1.645 * deviation <= 1 / len(rows) + margin


def _beats_chance(truth: np.ndarray, decision: np.ndarray, chance: float) -> bool:
    share = float(np.bincount(truth).max() / len(truth))
    if measures.majority_p_value(int(np.sum(truth == decision)), len(truth), share) <= chance:
        return True
    return permutation_p_value(truth, decision) <= chance


def _probe_beats_chance(probe: Probe, chance: float) -> bool:
    if _beats_chance(probe.truth, probe.decision, chance):
        return True
    classes = np.arange(probe.scores.shape[1]) if probe.classes is None else probe.classes
    scores = np.zeros((probe.rows, int(max(probe.truth.max(), classes.max())) + 1))
    scores[:, classes] = probe.scores
    return _ranks(probe.truth, scores, chance)


def _ranks(truth: np.ndarray, scores: np.ndarray, chance: float, *, class_rows: int = 5) -> bool:
    """Whether the scores (N, K) or (N, 1) rank some class, in either direction, as chance would not (Mann-Whitney)."""
    if not np.all(np.isfinite(scores)):
        return False
    if scores.shape[1] == 1:
        scores = np.column_stack([-scores[:, 0], scores[:, 0]])
    counts = np.bincount(truth, minlength=scores.shape[1])
    tested = [c for c in range(scores.shape[1]) if class_rows <= counts[c] <= len(truth) - class_rows]
    p_values = [scipy.stats.mannwhitneyu(scores[truth == c, c], scores[truth != c, c]).pvalue for c in tested]
    return bool(p_values) and min(p_values) * len(p_values) <= chance
