"""What is known of the weights of classes, and what is said where nothing is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import criterion, weighting
from mlflow_clfaudit.evidence.criterion import Criterion
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.labels import LabelSet

LABELS = LabelSet(np.array([0, 0, 0, 1]))
FILE = Path("data/model.pth")


@pytest.mark.parametrize(
    ("keras_file", "reason"),
    [(Path("model.keras"), r"fit\(\) was given no class weights"), (None, "the run does not say how classes weighed")],
)
def test_only_a_run_with_a_fit_is_said_to_have_given_it_none(keras_file: Path | None, reason: str) -> None:
    with pytest.raises(Missing, match=reason):
        weighting.class_weighting(FitArguments(), LABELS, keras_file=keras_file)


def test_the_weights_of_a_loss_of_pytorch_are_those_of_the_classes() -> None:
    kept = Criterion("CrossEntropyLoss", "self.loss", np.array([1.0, 5.0]))
    found = criterion.class_weighting(FILE, LABELS, kept)
    assert (found.effective.tolist(), found.counts.tolist(), found.library) == ([1.0, 5.0], [3, 1], "PyTorch")


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (None, "neither the run nor model.pth tells the loss"),
        (Criterion("NLLLoss", "self.loss"), "self.loss names no class weights of the NLLLoss"),
        (Criterion("NLLLoss", "self.loss", np.ones(1)), "weighs other classes"),
    ],
)
def test_what_is_not_known_of_a_loss_of_pytorch_is_said(kept: Criterion | None, reason: str) -> None:
    with pytest.raises(Missing, match=reason):
        criterion.class_weighting(FILE, LABELS, kept)
