import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.scale import InputScale, input_scales
from mlflow_clfaudit.evidence.spec import Layer
from tests.kit import make_spec

RANDOM = np.random.default_rng(0)


def scales(inputs: object, *layers: Layer) -> tuple[InputScale, ...]:
    rows = len(next(iter(inputs.values())) if isinstance(inputs, dict) else inputs)  # type: ignore[arg-type]
    given = {"train": Rows("train", inputs, LabelSet(np.zeros(rows, int)), held_out=False)}
    found: tuple[InputScale, ...] = input_scales(given, make_spec(layers=layers))
    return found


def chain(*kinds: str) -> tuple[Layer, ...]:
    return tuple(
        Layer(f"layer_{place}", kind, {}, (f"layer_{place - 1}",) if place else ()) for place, kind in enumerate(kinds)
    )


def test_columns_are_measured_and_constant_ones_left_out() -> None:
    inputs = np.column_stack([RANDOM.normal(50, 2, 500), RANDOM.integers(0, 2, 500), np.ones(500)])
    (found,) = scales(inputs, *chain("InputLayer", "Dense"))
    assert found.deviations == pytest.approx([2, 0.5], rel=0.1)
    assert found.binary.tolist() == [False, True]
    assert found.largest == pytest.approx(inputs.max())
    assert found.spread == 1.0


def test_images_are_measured_by_channel() -> None:
    images = RANDOM.integers(0, 256, (40, 8, 8, 3))
    (found,) = scales(images, *chain("InputLayer", "RandomFlip", "Conv2D"))
    assert found.means.shape == (3,)
    assert found.typical > 200


@pytest.mark.parametrize(
    "kinds",
    [
        ("InputLayer", "Rescaling", "Conv2D"),
        ("InputLayer", "Reshape", "BatchNormalization", "Dense"),
        ("InputLayer", "Normalization", "Dense"),
        ("InputLayer", "Embedding", "LSTM"),
        ("InputLayer", "Lambda", "Dense"),
        ("InputLayer", "SomeoneElse", "Dense"),
        ("InputLayer", "Multiply", "Dense"),
    ],
)
def test_inputs_that_the_model_scales_or_looks_up_are_left_out(kinds: tuple[str, ...]) -> None:
    assert scales(RANDOM.integers(0, 300, (50, 4)), *chain(*kinds)) == ()


def test_of_two_inputs_only_the_quantity_counts() -> None:
    layers = (
        Layer("word", "InputLayer", {}),
        Layer("age", "InputLayer", {}),
        Layer("embedding", "Embedding", {}, ("word",)),
        Layer("joined", "Concatenate", {}, ("embedding", "age")),
        Layer("dense", "Dense", {}, ("joined",)),
    )
    inputs = {"word": RANDOM.integers(0, 900, (50, 1)), "age": RANDOM.normal(40, 9, (50, 1))}
    assert [item.name for item in scales(inputs, *layers)] == ["age"]


def test_a_model_that_describes_no_layers_is_not_judged() -> None:
    with pytest.raises(Missing, match="does not describe its layers"):
        scales(RANDOM.normal(size=(20, 3)))


@pytest.mark.parametrize("inputs", [np.array(["a", "b"]), np.full((5, 2), np.nan), np.ones((5, 2))])
def test_text_nan_and_constants_have_no_scale(inputs: np.ndarray) -> None:
    assert scales(inputs, *chain("InputLayer", "Dense")) == ()
