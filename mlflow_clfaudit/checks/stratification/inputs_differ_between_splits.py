from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.forward import serve
from mlflow_clfaudit.evidence.inputs import Inputs, Rows, Transform, count, take
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.evidence.splits import Comparison
from mlflow_clfaudit.evidence.transforms import onto_training
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

SAMPLE = 2_000
MAX_COLUMNS = 2_000


@check(severity=Severity.ERROR)
def inputs_differ_between_splits(
    logged_inputs: Inputs,
    split_comparisons: tuple[Comparison, ...] | None = None,
    split_design: str | None = None,
    input_transform: Transform | None = None,
    *,
    ratio: float = 10.0,
    most: float = 0.5,
    significance: float = 0.001,
    distance: float = 0.3,
    minimum_rows: int = 20,
) -> Iterator[Finding]:
    """The held-out inputs are on another scale or at another place than the training inputs.

    ## Why it matters
    A net that learnt on scaled inputs is asked about raw ones, or the other way round: the training curve is fine and
    the validation loss is enormous, and more training does not help.

    ## How it is detected
    On most columns that vary, the standard deviation differs tenfold; or a two-sample Kolmogorov–Smirnov test,
    Benjamini–Hochberg adjusted over the columns, gives p < .001 and a distance above .3, which is asked only where the
    class shares of the splits agree.

    ## Proof
    A transform that maps one onto the other (x / 255, x * 255, the training rows' mean and deviation), applied to the
    held-out rows: the served accuracy on them rises.

    ## Fix
    One `Normalization` or `Rescaling` layer in the model, or one fitted scaler for every split.

    ```diff
    - model.fit(X_train / 255, y_train, validation_data=(X_val, y_val))
    + model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Rescaling(1 / 255), ...])
    + model.fit(X_train, y_train, validation_data=(X_val, y_val))
    ```

    ## When it is legitimate
    Splits by time or by group drift: information only. Inputs that were logged raw but given to fit() transformed are
    inputs-transformed-differently.
    """
    train = logged_inputs.splits.get("train")
    if train is None or isinstance(train, dict) or train.dtype.kind not in "fiub":
        raise Missing(
            "the run has no training inputs in one array of numbers", 'mlflow.log_artifact("X_train.npy", "data")'
        )
    if input_transform is not None:
        return
    shifted = {
        comparison.second
        for comparison in split_comparisons or ()
        if comparison.first == "train" and comparison.shift.is_large(significance=0.001, floor=0.05, multiple=2.0)
    }
    reference = _table(train)
    for split in ("validation", "test"):
        array = logged_inputs.splits.get(split)
        if (
            array is None
            or isinstance(array, dict)
            or array.dtype.kind not in "fiub"
            or array.shape[1:] != train.shape[1:]
            or count(array) < minimum_rows
        ):
            continue
        other = _table(array)
        scales = _scale_ratios(reference, other)
        by_scale = len(scales) > 0 and float(np.mean(scales >= ratio)) > most
        apart = 0.0 if by_scale or split in shifted else _apart(reference, other, significance, distance)
        if not by_scale and apart <= most:
            continue
        what = (
            f"{float(np.median(scales)):.3g} times the scale on the median column"
            if by_scale
            else f"another distribution on {apart:.0%} of the columns"
        )
        yield Finding(
            f"Between the training and the {split} inputs lies {what}: no random split does that.",
            fix="keras.layers.Normalization() adapted to X_train as the first layer, for every split alike",
            severity=Severity.INFO if split_design and not by_scale else Severity.ERROR,
            evidence={
                "split": split,
                "median_scale_ratio": float(np.median(scales)) if len(scales) else None,
                "columns_apart": apart,
                "largest_magnitude": [float(np.abs(reference).max()), float(np.abs(other).max())],
                "design": split_design,
            },
        )
        return


def _table(array: np.ndarray) -> np.ndarray:
    """A sample of the rows as a table of float64 columns."""
    step = max(1, len(array) // SAMPLE)
    rows = np.asarray(take(array, slice(None, None, step)), dtype=np.float64)
    table = rows.reshape(len(rows), -1)
    columns = max(1, table.shape[1] // MAX_COLUMNS)
    return np.nan_to_num(table[:, ::columns])


def _scale_ratios(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The ratio of the deviations, whichever way round it is above 1, of the columns that vary in both."""
    deviations = first.std(axis=0), second.std(axis=0)
    varies = (deviations[0] > 0) & (deviations[1] > 0)
    if not varies.any():
        return np.zeros(0)
    spread = deviations[0][varies] / deviations[1][varies]
    return np.asarray(np.maximum(spread, 1 / spread))


def _apart(first: np.ndarray, second: np.ndarray, significance: float, distance: float) -> float:
    """The share of the columns that vary whose distributions differ."""
    varies = np.flatnonzero((np.ptp(first, axis=0) > 0) | (np.ptp(second, axis=0) > 0))
    if len(varies) == 0:
        return 0.0
    farthest = np.array([_distance(first[:, column], second[:, column]) for column in varies])
    if not np.any(farthest > distance):
        return 0.0
    tested = scipy.stats.ks_2samp(first[:, varies], second[:, varies], method="asymp")
    adjusted = measures.adjusted(np.asarray(tested.pvalue).tolist())
    return float(np.mean((adjusted < significance) & (farthest > distance)))


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Kolmogorov–Smirnov distance of two samples: of most columns it tells enough, without a test."""
    values = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (first, second)]
    return float(np.max(np.abs(shares[0] - shares[1])))


@inputs_differ_between_splits.proof
def the_same_transform_for_both(
    finding: Finding, inputs: Inputs, network: Network, head: Head, rows: dict[str, Rows], *, significance: float = 0.01
) -> Finding:
    split = finding.evidence["split"]
    if split not in rows:
        raise Missing(f"the {split} inputs have no labels")
    held_out = rows[split]
    counted = Proof(Grade.C, "the columns of both splits, compared", n=held_out.count)
    before = serve(network, held_out, head)
    candidates = list(onto_training(np.asarray(held_out.inputs), np.asarray(inputs.splits["train"])))
    tried = (
        (name, serve(network, replace(held_out, inputs=change(np.asarray(held_out.inputs))), head))
        for name, change in candidates
    )
    name, after = max(tried, key=lambda pair: pair[1].balanced_accuracy)
    p_value = min(1.0, len(candidates) * measures.accuracy_p_value(before.truth, before.decision, after.decision))
    if p_value >= significance or after.balanced_accuracy <= before.balanced_accuracy:
        return replace(finding, proof=counted)
    return replace(
        finding,
        evidence={**finding.evidence, "transform": name},
        proof=Proof(
            Grade.B,
            f"{name} on the {split} inputs",
            metric="balanced accuracy",
            before=before.balanced_accuracy,
            after=after.balanced_accuracy,
            n=before.rows,
            p_value=p_value,
        ),
    )
