import pytest

from mlflow_clfaudit.checks.label_encoding.class_names_misordered import class_names_misordered
from mlflow_clfaudit.evidence.classes import ClassList
from mlflow_clfaudit.types import Severity
from tests.kit import findings, proof_of

ENCODER = ClassList(("ant", "bee", "cat"), "label_encoder.pkl", is_encoder=True)


@pytest.mark.parametrize(
    ("encoder", "names", "how"),
    [
        (("ant", "bee", "cat"), ("cat", "ant", "bee"), ""),
        (("ant", "bee", "cat"), ("cat", "bee", "ant"), " (it is reversed)"),
        (("1", "2", "10"), ("1", "10", "2"), " (it is sorted as text)"),
        (("1", "10", "2"), ("1", "2", "10"), " (it is sorted by number)"),
    ],
    ids=["any", "reversed", "as text", "by number"],
)
def test_another_order_is_a_warning(encoder: tuple[str, ...], names: tuple[str, ...], how: str) -> None:
    lists = (ClassList(encoder, "encoder.json", is_encoder=True), ClassList(names, "class_names.json"))
    (finding,) = findings(class_names_misordered, class_lists=lists)
    assert finding.level is Severity.WARN
    assert finding.message.endswith(f"another class{how}.")
    assert proof_of(finding).before == sum(one == two for one, two in zip(encoder, names, strict=True))


@pytest.mark.parametrize(
    "other",
    [
        ClassList(("ant", "bee", "cat"), "class_names.json"),
        ClassList(("Ant", "Bee", "Cat"), "class_names.json"),
        ClassList(("cat", "ant"), "class_names.json"),
        ClassList(("cat", "ant", "bee"), "class_names_test.json", split="test"),
    ],
    ids=["same", "other names", "fewer", "of another split"],
)
def test_quiet_otherwise(other: ClassList) -> None:
    assert findings(class_names_misordered, class_lists=(ENCODER, other)) == ()


def test_quiet_without_an_encoder() -> None:
    lists = (ClassList(("b", "a"), "class_names.json"), ClassList(("a", "b"), "labels.txt"))
    assert findings(class_names_misordered, class_lists=lists) == ()
