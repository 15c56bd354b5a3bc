"""Short trainings as checks see them: what was changed, what came of it, and two that differ in one thing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.types import Grade, Proof


@dataclass(frozen=True)
class Change:
    """What a counterfactual training does differently.

    `start` is where the weights begin: "saved" as logged, "anew" as the logged initialisers draw them, "glorot" with
    every trainable kernel drawn from Glorot's distribution. `edit` names a change of the architecture, one of
    `EDITS`; an edited network whose shapes differ begins anew. `share` is of the logged epochs; of a short training
    that many epochs and steps at least, as far as the logged one had them.
    """

    words: str
    factor: float = 1.0
    start: str = "saved"
    scaled: bool = False
    edit: str = ""
    share: float = 0.1
    least_epochs: int = 3
    least_steps: int = 0


@dataclass(frozen=True)
class Continued:
    """One counterfactual training: what was changed, for how many epochs, and what the judged rows say after it.

    The losses are the means over its first and its last epoch on the training rows.
    """

    change: str
    factor: float
    epochs: float
    before: Served
    after: Served
    loss_before: float
    loss_after: float
    seconds: float = 0.0

    @property
    def duration(self) -> str:
        """The epochs in words: 5 epochs, 1 epoch, 0.4 epochs."""
        number = f"{self.epochs:.0f}" if self.epochs >= 1 else f"{self.epochs:.1f}"
        return f"{number} epoch" if number == "1" else f"{number} epochs"

    @property
    def information_gain(self) -> float:
        return (self.after.information or 0.0) - (self.before.information or 0.0)

    @property
    def gain(self) -> float:
        return self.after.balanced_accuracy - self.before.balanced_accuracy

    @property
    def p_value(self) -> float:
        """That the decisions after the training beat those before it, on the same rows."""
        return measures.accuracy_p_value(self.after.truth, self.before.decision, self.after.decision)

    def decision_proof(self, how: str) -> Proof:
        """The gain in balanced accuracy as the proof of a finding."""
        before, after = self.before.balanced_accuracy, self.after.balanced_accuracy
        return Proof(Grade.B, how, "balanced accuracy", before, after, self.after.rows, self.p_value)

    @property
    def information_p_value(self) -> float:
        """That the probabilities after the training say more than those before it."""
        return information_p_value(self.before, self.after)

    def informs(self, *, information_gain: float = 0.1, significance: float = 0.01) -> bool:
        """Whether the probabilities surely say more after the training, whatever the decisions."""
        return self.information_gain >= information_gain and self.information_p_value < significance

    def information_proof(self, how: str) -> Proof:
        """What `informs` rests on, as the proof of a finding."""
        before, after = self.before.skill, self.after.skill
        return Proof(Grade.B, how, "U", before, after, self.after.rows, self.information_p_value)

    def agrees_with(self, losses: np.ndarray | None, *, above: float = 1.5, below: float = 0.75) -> bool:
        """Whether the first epoch's loss is what the logged training losses (E,) ended with.

        If not, fit() saw other rows, labels or another loss, and this training says nothing about that one. A loss
        that still fell by a fifth in an epoch may begin lower; a net without loss has nothing to compare.
        """
        if losses is None or len(losses) == 0 or not np.isfinite(losses[-1]) or self.factor != 1.0:
            return True
        last = float(losses[-1])
        falling = len(losses) == 1 or losses[-2] > 1.2 * last
        return (
            last >= 0
            and self.loss_before <= above * last + 0.02
            and (falling or self.loss_before >= below * last - 0.02)
        )

    @property
    def summary(self) -> dict[str, float | str | None]:
        """The training in JSON-safe numbers, for a finding's evidence."""
        after = self.after.information
        return {
            "change": self.change,
            "epochs": round(self.epochs, 1),
            "balanced_accuracy": round(self.after.balanced_accuracy, 4),
            "information": None if after is None else round(after, 4),
        }


@dataclass(frozen=True)
class Contrast:
    """Two trainings that differ in one thing: as logged, and changed. Their gains are of the changed one."""

    control: Continued
    changed: Continued

    @property
    def gain(self) -> float:
        return self.changed.after.balanced_accuracy - self.control.after.balanced_accuracy

    @property
    def information_gain(self) -> float:
        """The gain in U; in chance-corrected balanced accuracy where the outputs are no probabilities."""
        return self.changed.after.skill - self.control.after.skill

    @property
    def p_value(self) -> float:
        return measures.accuracy_p_value(
            self.changed.after.truth, self.control.after.decision, self.changed.after.decision
        )

    def decision_proof(self, how: str) -> Proof:
        """The gain in balanced accuracy over the control as the proof of a finding."""
        before, after = self.control.after.balanced_accuracy, self.changed.after.balanced_accuracy
        return Proof(Grade.B, how, "balanced accuracy", before, after, self.changed.after.rows, self.p_value)

    @property
    def information_p_value(self) -> float:
        return information_p_value(self.control.after, self.changed.after)

    def informs(self, *, information_gain: float = 0.1, significance: float = 0.01) -> bool:
        """Whether the changed training's probabilities surely say more than the control's and than the logged net's.

        On few rows this shows what their decisions, which differ in a handful of rows, do not.
        """
        enough = self.information_gain >= information_gain and self.information_p_value < significance
        return enough and self.changed.informs(information_gain=information_gain, significance=significance)

    def information_proof(self, how: str) -> Proof:
        """What `informs` rests on, as the proof of a finding."""
        p_value = max(self.information_p_value, self.changed.information_p_value)
        return replace(self.changed.information_proof(how), before=self.control.after.skill, p_value=p_value)


def information_p_value(before: Served, after: Served) -> float:
    """That the probabilities `after` say more than those `before`, on the same rows; 1 where there are none."""
    if before.probabilities is None or after.probabilities is None:
        return 1.0
    return measures.information_p_value(after.truth, before.probabilities, after.probabilities)
