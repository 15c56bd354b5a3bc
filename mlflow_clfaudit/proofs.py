"""Proofs that several checks share."""

from __future__ import annotations

from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.types import Grade, Proof


def better_probe(probe: Probe | None, *, gain: float, significance: float) -> Proof | None:
    """The proof that a probe decides the judged rows better than the model does, or None where it does not."""
    if probe is None or probe.gain < gain or probe.p_value >= significance:
        return None
    return Proof(
        Grade.B,
        f"{probe.name}, judged on the same rows",
        metric="balanced accuracy",
        before=probe.served_balanced_accuracy,
        after=probe.balanced_accuracy,
        n=probe.rows,
        p_value=probe.p_value,
    )
