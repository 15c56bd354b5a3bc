from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing, OutOfMemory
from mlflow_clfaudit.evidence.forward import forward, serve
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.network import Network
from tests.kit import make_head

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def test_every_row_is_passed_once_and_in_order(keras: Any) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    rows = np.random.default_rng(0).normal(size=(70_000, 3)).astype("float32")
    _, _, outputs = forward(Network(model, None, lambda: model, "", "CPU"), rows)
    assert outputs == pytest.approx(model.predict(rows, batch_size=4096, verbose=0), abs=1e-5)


def test_rows_mapped_from_a_file_are_not_read_at_once(keras: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.ones((50_000, 4), "float32"))
    rows = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    asked: list[int] = []
    ask = model.predict_on_batch
    model.predict_on_batch = lambda chunk: (asked.append(len(chunk)), ask(chunk))[1]
    forward(Network(model, None, lambda: model, "", "CPU"), rows)
    assert max(asked) < len(rows)
    assert sum(asked) == len(rows)


def small_memory(keras: Any, fits: int) -> tuple[Any, list[int]]:
    """A model that cannot take more than so many rows at once, and the sizes of the batches that it took."""
    taken: list[int] = []

    class SmallMemory(keras.Sequential):
        def predict_on_batch(self, chunk: np.ndarray) -> np.ndarray:
            if len(chunk) > fits:
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1073741824 bytes.")
            taken.append(len(chunk))
            return np.asarray(super().predict_on_batch(chunk))

    return SmallMemory([keras.Input((3,)), keras.layers.Dense(2)]), taken


def test_a_batch_that_memory_does_not_hold_is_halved(keras: Any) -> None:
    model, taken = small_memory(keras, fits=300)
    rows = np.random.default_rng(0).normal(size=(1_000, 3)).astype("float32")
    _, _, outputs = forward(Network(model, None, lambda: model, "", "CPU"), rows)
    assert outputs == pytest.approx(model.predict(rows, verbose=0), abs=1e-5)
    assert max(taken) <= 300


def test_a_model_that_no_row_fits_is_not_judged(keras: Any) -> None:
    model, _ = small_memory(keras, fits=0)
    with pytest.raises(OutOfMemory, match="tier static"):
        forward(Network(model, None, lambda: model, "", "CPU"), np.ones((8, 3), "float32"))


def answering(keras: Any, units: int) -> Network:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, "softmax")])
    return Network(model, None, lambda: model, "", "CPU")


def rows_of(labels: np.ndarray) -> Rows:
    return Rows("validation", np.ones((len(labels), 3), "float32"), LabelSet(labels), held_out=True)


def test_rows_of_a_class_that_the_loss_ignores_are_nobodys_mistake(keras: Any) -> None:
    head = make_head(3, "softmax", "sparse_categorical_crossentropy", loss_options={"ignore_class": 2})
    found = serve(answering(keras, 3), rows_of(np.array([0, 1, 2, 2, 1, 0])), head)
    assert found.truth.tolist() == [0, 1, 1, 0]
    assert found.outputs.shape == (4, 3)
    without = serve(answering(keras, 3), rows_of(np.array([0, 1, 1, 0])), head)
    assert without.truth.tolist() == [0, 1, 1, 0]


def test_a_large_set_is_sampled_with_the_shares_of_its_classes(keras: Any) -> None:
    labels = np.repeat([0, 1], [900, 100])
    found = serve(answering(keras, 2), rows_of(labels), make_head(2, "softmax"), limit=100)
    assert np.bincount(found.truth).tolist() == [90, 10]
    assert found.total == 1_000


def test_several_labels_a_row_and_a_decision_a_position_are_not_judged(keras: Any) -> None:
    with pytest.raises(Missing, match="multi-hot"):
        serve(answering(keras, 2), rows_of(np.array([[1, 1], [0, 1]] * 10)), make_head(2))
    model = keras.Sequential([keras.Input((3,)), keras.layers.RepeatVector(2), keras.layers.Dense(2)])
    with pytest.raises(Missing, match="one decision per position"):
        serve(Network(model, None, lambda: model, "", "CPU"), rows_of(np.array([0, 1] * 10)), make_head(2))
