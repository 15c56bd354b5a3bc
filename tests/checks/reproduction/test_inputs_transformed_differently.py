import numpy as np
import pytest

from mlflow_clfaudit.checks.reproduction.inputs_transformed_differently import inputs_transformed_differently
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.compiled import Compiled
from mlflow_clfaudit.evidence.inputs import Inputs, Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.transforms import before_fit
from mlflow_clfaudit.types import Confidence, Grade, Status
from tests.kit import findings, make_labels, outcome

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.uniform(20, 200, (60, 6)) * np.array([1, 2, 3, 1, 0.5, 1])
TRAIN = RANDOM.uniform(10, 250, (300, 6)) * np.array([1, 2, 3, 1, 0.5, 1])
IMAGES = RANDOM.integers(0, 256, (60, 5, 4, 3)).astype(float)
IMAGES_TRAIN = RANDOM.integers(0, 256, (200, 5, 4, 3)).astype(float)


class Distance:
    """A stand-in for a compiled net whose loss tells every input apart: the distance to what fit() was given."""

    inputs = ()
    output_shape = (None, 1)

    def __init__(self, given: np.ndarray) -> None:
        self.given = given

    def test_on_batch(self, inputs: np.ndarray, labels: np.ndarray, **options: object) -> dict[str, float]:
        del labels, options
        if inputs.shape != self.given.shape:
            raise ValueError("shape")
        return {"loss": 0.3 + float(np.mean(np.abs(inputs.astype(np.float64) - self.given)))}


def evidence(name: str, inputs: np.ndarray, train: np.ndarray) -> dict[str, object]:
    """A run whose fit() was given the transformed inputs and which logged them raw."""
    given = next(change(inputs) for found, change in before_fit(inputs, train) if found == name)
    rows = {
        "train": Rows("train", train, LabelSet(np.zeros(len(train), int)), held_out=False),
        "validation": Rows("validation", inputs, LabelSet(np.zeros(len(inputs), int)), held_out=True),
    }
    raw = Reproduction("validation", len(inputs), 99.0, {}, np.array([0.9, 0.3]))
    return {"compiled": Compiled(Distance(given), "CPU"), "logged_rows": rows, "reproduction": raw}


TABLE_TRANSFORMS = (
    "x / 255",
    "x / 127.5 - 1",
    "z-scores by the training rows",
    "z-scores by each split's own rows",
    "z-scores by the all rows",
    "min-max by the training rows",
    "one z-score for all columns",
    "rows scaled to length 1",
)
IMAGE_TRANSFORMS = (
    "x / 255",
    "channels moved first",
    "channels moved last",
    "RGB to BGR",
    "less the mean of the training rows",
)


@pytest.mark.parametrize("name", TABLE_TRANSFORMS)
def test_recovers_the_transform_of_a_table(name: str) -> None:
    (finding,) = findings(inputs_transformed_differently, **evidence(name, TABLE, TRAIN))
    assert finding.evidence["transform"] == name
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A
    assert finding.confidence is Confidence.SUSPECTED


@pytest.mark.parametrize("name", IMAGE_TRANSFORMS)
def test_recovers_the_transform_of_images(name: str) -> None:
    (finding,) = findings(inputs_transformed_differently, **evidence(name, IMAGES, IMAGES_TRAIN))
    assert finding.evidence["transform"] == name


def test_float16_is_told_from_the_raw_inputs() -> None:
    fine = TABLE / 3
    (finding,) = findings(inputs_transformed_differently, **evidence("rounded to float16", fine, TRAIN))
    assert finding.evidence["transform"] == "rounded to float16"


def test_skipped_where_the_inputs_reproduce_the_loss_or_nothing_does() -> None:
    given = evidence("x / 255", TABLE, TRAIN)
    same = Reproduction("validation", 60, 0.3, {}, np.array([0.9, 0.3]))
    assert outcome(inputs_transformed_differently, **given | {"reproduction": same}).status is Status.SKIPPED
    other = Reproduction("validation", 60, 99.0, {}, np.array([5.0]))
    assert outcome(inputs_transformed_differently, **given | {"reproduction": other}).status is Status.SKIPPED


def test_everything_else_is_judged_on_the_inputs_that_fit_was_given() -> None:
    given = evidence("z-scores by the training rows", TABLE, TRAIN)
    logged = Inputs({"train": TRAIN, "validation": TABLE}, {}, {})
    labels = make_labels(np.zeros(300, int), np.zeros(60, int))
    found = Evidence(given | {"logged_inputs": logged, "labels": labels})
    scaled = found.get("rows")["validation"].inputs
    assert np.allclose(scaled, (TABLE - TRAIN.mean(axis=0)) / TRAIN.std(axis=0), atol=1e-5)
    assert np.allclose(found.get("inputs").splits["train"].mean(axis=0), 0, atol=1e-5)
    same = Reproduction("validation", 60, 0.3, {}, np.array([0.9, 0.3]))
    as_logged = Evidence(given | {"logged_inputs": logged, "labels": labels, "reproduction": same})
    assert as_logged.get("inputs") is logged
