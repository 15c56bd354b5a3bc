import pytest

from mlflow_clfaudit.checks.label_encoding.scored_in_wrong_label_space import scored_in_wrong_label_space
from mlflow_clfaudit.evidence.scores import LoggedScore, Reading
from mlflow_clfaudit.types import Severity
from tests.kit import findings, proof_of


def reading(
    *matches: str, value: float = 0.0, proper: float = 0.98, kind: str = "accuracy", rows: int = 200
) -> Reading:
    score = LoggedScore("test_accuracy", kind, "test", value)
    return Reading(score, "test", rows, proper, matches, is_proper=not matches)


@pytest.mark.parametrize("space", ["label space", "labels up by one", "labels down by one"])
def test_a_number_that_only_the_wrong_space_gives(space: str) -> None:
    (finding,) = findings(scored_in_wrong_label_space, readings=(reading(space),))
    assert (finding.level, finding.variant) == (Severity.ERROR, space)
    assert (proof_of(finding).before, proof_of(finding).after) == (0.0, 0.98)


def test_a_wide_gap_shows_on_few_rows() -> None:
    assert len(findings(scored_in_wrong_label_space, readings=(reading("label space", rows=36),))) == 1


@pytest.mark.parametrize(
    "found",
    [
        reading(value=0.98),
        reading("argmax", "label space"),
        reading("label space", value=0.97),
        reading("label space", kind="auc"),
        reading("label space", rows=20, value=0.6),
        reading("shuffled"),
    ],
    ids=["right", "argmax first", "no difference", "auc", "few rows", "another mistake"],
)
def test_quiet_otherwise(found: Reading) -> None:
    assert findings(scored_in_wrong_label_space, readings=(found,)) == ()
