"""Short trainings of copies of the logged model: what another learning rate or scaled inputs would have given.

Each piece of evidence is one question; `retraining` does the work. All of them together stay within the budget.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.forward import Network, Trial
from mlflow_clfaudit.evidence.history import FitArguments, History
from mlflow_clfaudit.evidence.retraining import Change, Continued, Contrast, Retrainer
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Tier

ANEW = Change("trained anew as logged", start="anew")


class Budget:
    """Seconds that counterfactuals may still use, shared by all of one audit."""

    def __init__(self, seconds: float = 20.0) -> None:
        self.seconds = seconds

    @contextlib.contextmanager
    def spend(self) -> Iterator[float]:
        """Yields the seconds left and takes off what was used; Missing when none are left."""
        if self.seconds <= 0:
            raise Missing("the time for counterfactuals is used up", "--budget SECONDS")
        started = time.perf_counter()
        try:
            yield self.seconds
        finally:
            self.seconds -= time.perf_counter() - started


@provides(tier=Tier.PROBE)
def retrainer(
    network: Network,
    trial: Trial,
    spec: Spec,
    head: Head,
    fit: FitArguments,
    budget: Budget,
    history: History | None = None,
) -> Retrainer:
    """Runs short trainings of copies of the model, each once, within the budget."""
    return Retrainer(network, trial, spec, head, fit, budget, history)


@provides(tier=Tier.PROBE)
def learning_rate_trials(retrainer: Retrainer) -> tuple[Continued, ...]:
    """Training continued from the saved weights for a tenth of the logged epochs at the logged rate ×1, ×10, ×100.

    The later ones are left out when the budget ends.
    """
    done: list[Continued] = []
    for factor in (1.0, 10.0, 100.0):
        try:
            done.append(retrainer.run(Change(f"learning rate ×{factor:g}", factor=factor)))
        except Missing:
            if not done:
                raise
    return tuple(done)


@provides(tier=Tier.PROBE)
def scaled_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew for a tenth of the epochs, on the inputs as they are and on standardised ones."""
    return retrainer.contrast(ANEW, Change("trained anew on standardised inputs", start="anew", scaled=True))


@provides(tier=Tier.PROBE)
def slower_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew for a tenth of the epochs, at the logged learning rate and at a tenth of it."""
    return retrainer.contrast(ANEW, Change("trained anew at learning rate ×0.1", start="anew", factor=0.1))


@provides(tier=Tier.PROBE)
def rectified_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew for a tenth of the epochs, as logged and with relu and He's draw for hidden sigmoids."""
    return retrainer.contrast(ANEW, Change("trained anew with relu for hidden sigmoids", edit="relu"))


@provides(tier=Tier.PROBE)
def redrawn_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew for a tenth of the epochs, from the logged initialisers and from Glorot's."""
    return retrainer.contrast(ANEW, Change("trained anew from Glorot's initial weights", start="glorot"))


@provides(tier=Tier.PROBE)
def wider_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew for a tenth of the epochs, as logged and with the narrowest layers four times as wide."""
    return retrainer.contrast(ANEW, Change("trained anew, narrowest layers ×4", edit="wider"))


@provides(tier=Tier.PROBE)
def unfrozen_trials(retrainer: Retrainer) -> Contrast:
    """Continued for a tenth of the epochs, as logged and with every layer trainable."""
    return retrainer.contrast(Change("learning rate ×1"), Change("continued, every layer trainable", edit="unfrozen"))


@provides(tier=Tier.PROBE)
def unregularised_trials(retrainer: Retrainer) -> Contrast:
    """Continued for a tenth of the epochs, as logged and without dropout and weight penalties."""
    return retrainer.contrast(
        Change("learning rate ×1"), Change("continued without dropout and penalties", edit="unregularised")
    )
