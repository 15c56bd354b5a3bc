from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.SYMPTOM, unexplained=Severity.WARN)
def baseline_wins(served: Served, *, good: float = 0.95) -> Iterator[Finding]:
    """A model without any tuning decides better than the network, from the same rows.

    ## Why it matters
    Something keeps the network from what the inputs plainly hold: another finding says what.

    ## How it is detected
    The net decides less than .95 of the judged rows rightly (balanced).

    ## Proof
    Logistic regression and a forest on the inputs, fitted on the training rows: one of them beats the served
    decision by .10 in balanced accuracy, p < .01 for two tries. Otherwise nothing is reported: from .05
    to .10, a healthy network of 412 was warned of.

    ## Fix
    Ship the baseline until the model beats it; see the finding that this is listed under.

    ## When it is legitimate
    Little data, where intervals overlap. A model that is simple by choice: for those that are no networks of Keras it
    is information.
    """
    if served.inputs is None and served.head.is_known_by_answers:
        raise Missing("the inputs that a baseline would be fitted on are not at hand")
    if served.balanced_accuracy < good and served.tells_classes:
        yield Finding("The network leaves room for a baseline.", evidence={"served": served.balanced_accuracy})


@baseline_wins.proof
def fitted_on_the_same_rows(
    finding: Finding,
    input_probe: Probe,
    served: Served,
    tree_probe: Probe | None = None,
    *,
    gain: float = 0.1,
    significance: float = 0.01,
) -> Finding | None:
    probes = [input_probe, tree_probe] if tree_probe is not None else [input_probe]
    best = max(probes, key=lambda probe: probe.gain)
    p_value = min(best.p_value * len(probes), 1.0)
    if best.gain < gain or p_value >= significance:
        return None
    chosen = served.head.is_known_by_answers
    where = f"{best.rows} {'held-out' if best.held_out else 'kept-aside'} rows"
    return replace(
        finding,
        message=f"{best.name[:1].upper()}{best.name[1:]} reaches balanced accuracy {best.balanced_accuracy:.2f}, the "
        f"{'model' if chosen else 'network'} {best.served_balanced_accuracy:.2f}, on {where}.",
        fix="ship the baseline until the model beats it",
        severity=Severity.INFO if chosen else finding.severity,
        evidence={probe.name: probe.balanced_accuracy for probe in probes} | {"served": best.served_balanced_accuracy},
        proof=Proof(
            Grade.B,
            best.name,
            metric="balanced accuracy",
            before=best.served_balanced_accuracy,
            after=best.balanced_accuracy,
            n=best.rows,
            p_value=p_value,
        ),
    )
