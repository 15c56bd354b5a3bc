from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.pytorch import ServedModes
from mlflow_clfaudit.evidence.torch_graph import TorchGraph
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.WARN,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "baseline-wins",
        "batchnorm-gap",
        "uncalibrated-probabilities",
    ),
)
def logged_in_training_mode(torch_graph: TorchGraph) -> Iterator[Finding]:
    """The network was exported in training mode: dropout stays on, and batches are normalised by themselves.

    ## Why it matters
    An exported graph keeps the mode that it was traced in, and `eval()` no longer reaches it. With dropout on, the same
    row gets another answer every time; with batch statistics, its answer depends on the rows beside it.

    ## How it is detected
    Dropout or batch normalisation whose training flag is set in the graph of the logged model. No code of it is run.

    ## Proof
    The judged rows pass the graph as it was logged, and with the flags off: an error where balanced accuracy rises by
    .05, p < .01; otherwise a warning, with the share of rows whose answer changes from one pass to the next.

    ## Fix
    `model.eval()` before `mlflow.pytorch.log_model(model, …)`

    ```diff
    + model.eval()
      mlflow.pytorch.log_model(model, name="model", input_example=x[:4])
    ```

    ## When it is legitimate
    Monte Carlo dropout, where the spread of the answers is what is asked for.
    """
    if not torch_graph.trained:
        return
    counts = {name: torch_graph.trained.count(name) for name in dict.fromkeys(torch_graph.trained)}
    shown = " and ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    yield Finding(
        f"The network was exported in training mode: {shown} still behave as in training when it serves.",
        fix="model.eval() before mlflow.pytorch.log_model(model, …)",
        evidence={"operators": counts},
    )


@logged_in_training_mode.proof
def evaluated_with_the_flags_off(
    finding: Finding, served_modes: ServedModes, *, gain: float = 0.05, significance: float = 0.01
) -> Finding:
    served, evaluated = served_modes.served, served_modes.evaluated
    moved = float(np.mean(np.any(np.abs(served_modes.again - served.outputs) > 1e-4, axis=1)))
    before, after = served.balanced_accuracy, evaluated.balanced_accuracy
    p_value = measures.accuracy_p_value(served.truth, served.decision, evaluated.decision)
    worse = after - before >= gain and p_value < significance
    said = f" {moved:.0%} of the rows get another answer in a second pass." if moved else ""
    return replace(
        finding,
        message=f"{finding.message}{said}",
        severity=Severity.ERROR if worse else Severity.WARN,
        evidence={**finding.evidence, "rows_that_change": moved},
        proof=Proof(
            Grade.B if worse else Grade.A,
            "the same weights with the training flags off" if worse else "the training flags in the graph",
            metric="balanced accuracy",
            before=before,
            after=after,
            n=served.rows,
            p_value=p_value if worse else None,
        ),
    )
