import numpy as np
import pytest
import scipy

from mlflow_clfaudit.checks.label_encoding.misaligned_rows import misaligned_rows
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_served, proof_of

HEAD = make_head(4, "softmax", "sparse_categorical_crossentropy")
HISTORY = make_history(loss=[1.0, 0.2], val_loss=[1.0, 0.3], val_accuracy=[0.7, 0.95])


def aligned(rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and decisions that are right in 95 of 100 rows."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, rows)
    return truth, np.where(random.random(rows) < 0.05, (truth + 1) % 4, truth)


def served(truth: np.ndarray, decided: np.ndarray, **fields: object) -> Served:
    return make_served(np.eye(4)[decided], truth, head=HEAD, **fields)


def only(**given: object) -> Finding:
    (finding,) = findings(misaligned_rows, history=HISTORY, **given)
    return finding


@pytest.mark.parametrize(
    ("order", "name"),
    [
        (lambda y: y[::-1], "reversed"),
        (lambda y: np.roll(y, 1), "shifted down by 1 rows"),
        (lambda y: np.roll(y, -32), "shifted up by 32 rows"),
    ],
    ids=["reversed", "by one", "by a batch"],
)
def test_an_order_that_is_found_restores_the_accuracy(order, name: str) -> None:  # type: ignore[no-untyped-def]
    truth, decided = aligned()
    finding = only(served=served(order(truth), decided))
    assert (finding.level, finding.variant) == (Severity.ERROR, name)
    proof = proof_of(finding)
    assert proof.grade is Grade.B
    assert proof.after == pytest.approx(0.95, abs=0.03)


def test_a_shuffle_that_is_not_found_is_a_warning() -> None:
    truth, decided = aligned()
    finding = only(served=served(np.random.default_rng(5).permutation(truth), decided))
    assert finding.level is Severity.WARN
    assert proof_of(finding).grade is Grade.C


def test_quiet_where_the_logged_loss_is_reproduced() -> None:
    truth, decided = aligned()
    loss = np.array([0.5, 0.3])
    exact = Reproduction("validation", 400, 0.3, {}, loss)
    assert findings(misaligned_rows, history=HISTORY, served=served(truth[::-1], decided), reproduction=exact) == ()


@pytest.mark.parametrize("case", ["right", "poor history", "constant", "training rows", "few rows"])
def test_quiet_otherwise(case: str) -> None:
    truth, decided = aligned()
    history = HISTORY
    given = served(truth[::-1], decided)
    if case == "right":
        given = served(truth, decided)
    elif case == "poor history":
        history = make_history(loss=[1.4, 1.3], val_loss=[1.4, 1.4], val_accuracy=[0.25, 0.28])
    elif case == "constant":
        given = served(truth, np.zeros_like(truth))
    elif case == "training rows":
        given = served(truth[::-1], decided, held_out=False)
    else:
        given = served(truth[::-1][:60], decided[:60])
    assert findings(misaligned_rows, history=history, served=given) == ()


def test_quiet_on_a_model_that_got_worse_but_still_knows_something() -> None:
    truth, decided = aligned()
    weak = np.where(np.random.default_rng(1).random(400) < 0.5, decided, np.random.default_rng(2).integers(0, 4, 400))
    assert findings(misaligned_rows, history=HISTORY, served=served(truth, weak)) == ()


def test_test_rows_in_another_order_under_a_model_that_is_right() -> None:
    truth, decided = aligned()
    shuffled = served(np.random.default_rng(5).permutation(truth), decided)
    (finding,) = findings(misaligned_rows, served=served(truth, decided), served_by_split={"test": shuffled})
    assert (finding.level, finding.variant) == (Severity.ERROR, "test rows")
    proof = proof_of(finding)
    assert proof.grade is Grade.B
    assert proof.after == pytest.approx(0.95, abs=0.03)
    assert proof.p_value is not None
    assert proof.p_value < 1e-20


@pytest.mark.parametrize("case", ["right", "weak model", "other shares", "few rows"])
def test_quiet_about_test_rows_otherwise(case: str) -> None:
    truth, decided = aligned()
    model, test = served(truth, decided), served(truth, decided)
    if case == "weak model":
        model = served(np.random.default_rng(5).permutation(truth), decided)
        test = model
    elif case == "other shares":
        test = served(truth, np.minimum(decided, np.random.default_rng(1).integers(0, 4, 400)))
    elif case == "few rows":
        test = served(truth[::-1][:6], decided[:6])
    assert not [
        item for item in findings(misaligned_rows, served=model, served_by_split={"test": test}) if item.variant
    ]


def test_a_shuffle_that_agrees_a_little_by_chance_is_still_one() -> None:
    """One shuffle in twenty has a G-test below .05."""
    truth, decided = aligned()
    random = np.random.default_rng(0)
    shuffles = (random.permutation(len(truth)) for _ in range(200))
    chosen = next(order for order in shuffles if 0.001 < associated(truth[order], decided) < 0.02)
    assert only(served=served(truth[chosen], decided)).level is Severity.WARN


def associated(truth: np.ndarray, decided: np.ndarray) -> float:
    table = np.zeros((int(truth.max()) + 1, int(decided.max()) + 1))
    np.add.at(table, (truth, decided), 1)
    return float(scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue)
