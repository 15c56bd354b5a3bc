import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.permuted_labels import permuted_labels
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_labels, make_served, proof_of

SOFTMAX = make_head(5, "softmax", "sparse_categorical_crossentropy")


def outputs_for(
    decided: np.ndarray, classes: int, *, sure: float = 0.8, errors: float = 0.1, seed: int = 0
) -> np.ndarray:
    """Probabilities that favour `decided`, with a share of random errors."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(decided)) < errors
    decided = np.where(wrong, random.integers(0, classes, len(decided)), decided)
    outputs = np.full((len(decided), classes), (1 - sure) / (classes - 1))
    outputs[np.arange(len(decided)), decided] = sure
    return outputs


def rows(classes: int = 5, each: int = 60, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), each))


def only(**given: object) -> Finding:
    (finding,) = findings(permuted_labels, **given)
    return finding


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (lambda c: (c + 1) % 5, "shifted by one"),
        (lambda c: (c - 1) % 5, "shifted by one"),
        (lambda c: 4 - c, "in reverse order"),
        (lambda c: np.array([3, 0, 2, 4, 1])[c], None),
    ],
    ids=["up", "down", "reversed", "any"],
)
def test_a_permuted_model_fires_and_the_order_is_named(order, why: str | None) -> None:  # type: ignore[no-untyped-def]
    truth = rows()
    finding = only(served=make_served(outputs_for(order(truth), 5), truth, head=SOFTMAX))
    assert finding.level is Severity.ERROR
    assert finding.variant == why
    proof = proof_of(finding)
    assert proof.grade is Grade.B
    assert proof.before is not None
    assert proof.after is not None
    assert proof.after - proof.before > 0.5


def test_text_order_of_numbers_is_named() -> None:
    truth = rows(12, 30)
    text = np.array(sorted(range(12), key=str))
    head = make_head(12, "softmax", "sparse_categorical_crossentropy")
    finding = only(served=make_served(outputs_for(text[truth], 12), truth, head=head))
    assert finding.variant == "sorted as text in one place and as numbers in the other"


def test_order_of_appearance_and_of_frequency_are_named() -> None:
    truth = rows()
    appearance = np.array([2, 4, 0, 1, 3])
    train = make_labels(train=np.concatenate([appearance, rows()]))
    head = SOFTMAX
    # Unit u stands for the class that appeared u-th.
    outputs = outputs_for(np.argsort(appearance)[truth], 5)
    assert (
        only(served=make_served(outputs, truth, head=head), labels=train).variant == "numbered in order of appearance"
    )
    frequent = make_labels(train=np.repeat([2, 4, 0, 1, 3], [90, 80, 70, 60, 50]))
    frequent_first = make_labels(train=np.sort(np.asarray(frequent.splits["train"].values)))
    assert only(served=make_served(outputs, truth, head=head), labels=frequent_first).variant == "numbered by frequency"


def test_two_classes_exchanged() -> None:
    truth = rows(2, 200)
    outputs = np.clip(0.9 - 0.8 * truth + np.random.default_rng(0).normal(0, 0.1, 400), 0.02, 0.98)
    finding = only(served=make_served(outputs, truth))
    assert finding.variant == "the two classes are exchanged"


def test_quiet_on_a_good_model() -> None:
    truth = rows()
    assert findings(permuted_labels, served=make_served(outputs_for(truth, 5), truth, head=SOFTMAX)) == ()


def test_quiet_on_a_weak_or_random_model() -> None:
    truth = rows()
    for seed in range(20):
        outputs = np.random.default_rng(seed).dirichlet(np.ones(5), len(truth))
        assert findings(permuted_labels, served=make_served(outputs, truth, head=SOFTMAX)) == ()


def test_quiet_on_an_under_trained_net_whose_direction_is_luck() -> None:
    truth = rows(2, 200)
    outputs = 0.5 + 0.004 * (0.5 - truth)
    served = make_served(outputs, truth)
    assert served.accuracy == 0.0
    assert findings(permuted_labels, served=served) == ()


def test_quiet_where_only_the_held_out_labels_were_encoded_anew() -> None:
    truth = rows()
    held_out = make_served(outputs_for((truth + 1) % 5, 5), truth, head=SOFTMAX)
    train = make_served(outputs_for(truth, 5), truth, head=SOFTMAX, held_out=False)
    assert findings(permuted_labels, served=held_out, served_train=train) == ()
    both = make_served(outputs_for((truth + 1) % 5, 5), truth, head=SOFTMAX, held_out=False)
    assert findings(permuted_labels, served=held_out, served_train=both) != ()


def test_classes_of_few_rows_are_not_matched() -> None:
    truth = np.concatenate([rows(3, 100), [3, 3, 3, 4, 4]])
    swapped = np.where(truth == 3, 4, np.where(truth == 4, 3, truth))
    served = make_served(outputs_for(swapped, 5, errors=0.0), truth, head=SOFTMAX)
    assert findings(permuted_labels, served=served) == ()
