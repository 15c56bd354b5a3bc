"""Short trainings of copies of the logged model: what another learning rate or scaled inputs would have given.

Each piece of evidence is one question; `retraining` does the work. All of them together stay within the budget.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.budget import Budget
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.retraining import Retrainer
from mlflow_clfaudit.evidence.served import Trial
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.evidence.trainings import Change, Continued, Contrast
from mlflow_clfaudit.types import Tier

CONTINUED = Change("learning rate ×1")
ANEW = Change("trained anew as logged", start="anew", share=0.3, least_epochs=10, least_steps=200)
LONGER = replace(ANEW, words=CONTINUED.words, start="saved")


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
def continuation_trial(retrainer: Retrainer) -> Continued:
    """Training continued from the saved weights for a tenth of the logged epochs, at the logged learning rate."""
    return retrainer.run(CONTINUED)


@provides(tier=Tier.PROBE)
def learning_rate_trials(continuation_trial: Continued, retrainer: Retrainer) -> tuple[Continued, ...]:
    """The same at the logged learning rate ×1, ×10 and ×100; the later ones are left out when the budget ends."""
    done = [continuation_trial]
    for factor in (10.0, 100.0):
        with contextlib.suppress(Missing):
            done.append(retrainer.run(replace(CONTINUED, words=f"learning rate ×{factor:g}", factor=factor)))
    return tuple(done)


@provides(tier=Tier.PROBE)
def scaled_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew on the inputs as they are and on standardised ones."""
    return retrainer.contrast(ANEW, replace(ANEW, words="trained anew on standardised inputs", scaled=True))


@provides(tier=Tier.PROBE)
def slower_trials(retrainer: Retrainer) -> tuple[Contrast, ...]:
    """Trained anew at the logged learning rate and at a tenth, a hundredth, a thousandth of it, until one learns."""
    done: list[Contrast] = []
    for factor in (0.1, 0.01, 0.001):
        slower = replace(ANEW, words=f"trained anew at learning rate ×{factor:g}", factor=factor)
        try:
            done.append(retrainer.contrast(ANEW, slower))
        except Missing:
            if not done:
                raise
            break
        if done[-1].changed.after.has_learnt():
            break
    return tuple(done)


@provides(tier=Tier.PROBE)
def rectified_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew as logged and with relu and He's draw for hidden sigmoids."""
    return retrainer.contrast(ANEW, replace(ANEW, words="trained anew with relu for hidden sigmoids", edit="relu"))


@provides(tier=Tier.PROBE)
def redrawn_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew from the logged initialisers and from Glorot's."""
    return retrainer.contrast(ANEW, replace(ANEW, words="trained anew from Glorot's weights", start="glorot"))


@provides(tier=Tier.PROBE)
def wider_trials(retrainer: Retrainer) -> Contrast:
    """Trained anew as logged, and with the narrowest hidden layers at least four times and as wide as the head."""
    return retrainer.contrast(ANEW, replace(ANEW, words="trained anew, narrowest layers widened", edit="wider"))


@provides(tier=Tier.PROBE)
def unfrozen_trials(retrainer: Retrainer) -> Contrast:
    """Continued from the saved weights as logged and with every layer trainable."""
    return retrainer.contrast(LONGER, replace(LONGER, words="continued, every layer trainable", edit="unfrozen"))


@provides(tier=Tier.PROBE)
def unregularised_trials(retrainer: Retrainer) -> Contrast:
    """Continued from the saved weights as logged and without dropout and weight penalties."""
    without = replace(LONGER, words="continued without dropout and penalties", edit="unregularised")
    return retrainer.contrast(LONGER, without)
