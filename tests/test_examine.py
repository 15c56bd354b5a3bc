import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from mlflow_clfaudit.audit import quiet
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.examine import examine, examine_one, examine_outputs, examine_repaired
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity, Status, Tier
from tests.kit import make_head, make_served, make_spec
from tests.runs import make_run


@check(severity=Severity.WARN, area="thresholding")
def too_large(number: int, reference: int | None = None, *, limit: int = 3) -> Iterator[Finding]:
    """The number is too large."""
    if number > limit:
        yield Finding(f"{number} > {limit}", evidence={"reference": reference})


@too_large.proof
def with_measurement(finding: Finding, measured: int) -> Finding | None:
    if measured < 0:
        raise ValueError("negative")
    return None if measured == 0 else replace(finding, proof=Proof(Grade.A, "measured"))


@too_large.repair
def smaller(number: int) -> Mapping[str, int]:
    return {"number": number - 10}


@check(severity=Severity.WARN, area="thresholding")
def raises(number: int) -> Iterator[Finding]:
    """A rule with a fault of its own."""
    yield Finding(str(1 // (number - number)))


def test_quiet_fires_and_skips() -> None:
    assert examine_one(Evidence({"number": 1}), too_large).status is Status.PASSED
    assert examine_one(Evidence({"number": 5, "measured": 1}), too_large).status is Status.FIRED
    skipped = examine_one(Evidence({}), too_large)
    assert skipped.status is Status.SKIPPED
    assert "number" in skipped.reason


def test_optional_evidence_is_none_where_it_is_missing() -> None:
    (finding,) = examine_one(Evidence({"number": 5}), too_large).findings
    assert finding.evidence["reference"] is None


def test_a_finding_without_its_proof_says_what_is_missing() -> None:
    (finding,) = examine_one(Evidence({"number": 5}), too_large).findings
    assert "measured" in str(finding.unproven)


def test_a_proof_can_refute_and_its_failure_leaves_the_finding() -> None:
    assert examine_one(Evidence({"number": 5, "measured": 0}), too_large).status is Status.PASSED
    (finding,) = examine_one(Evidence({"number": 5, "measured": -1}), too_large).findings
    assert finding.unproven == "the proof failed: ValueError"


def test_a_rule_that_raises_is_one_failed_outcome() -> None:
    first, second = examine(Evidence({"number": 5, "measured": 1}), [raises, too_large])
    assert {first.status, second.status} == {Status.FAILED, Status.FIRED}


def test_an_ignored_finding_keeps_the_reason() -> None:
    (outcome,) = examine(Evidence({"number": 5, "measured": 1}), [too_large], {"too-large": "on purpose"})
    assert outcome.findings[0].ignored == "on purpose"


def test_the_repair_is_judged_on_repaired_evidence() -> None:
    evidence = Evidence({"number": 12, "measured": 1})
    (outcome,) = examine_repaired(evidence, too_large, [too_large])
    assert outcome.status is Status.PASSED
    assert examine_repaired(evidence, raises, [too_large]) == []


def test_replaced_evidence_drops_what_was_made_from_it() -> None:
    evidence = Evidence({"head": make_head(), "served": make_served([0.1, 0.9], [0, 1])})
    repaired = evidence.replaced(head=make_head(1, "linear"))
    assert repaired.peek("served") is None
    assert evidence.peek("served") is not None


def test_a_tier_above_the_cap_is_missing_with_the_flag_that_allows_it() -> None:
    evidence = Evidence({}, cap=Tier.STATIC)
    with pytest.raises(Missing) as caught:
        evidence.get("served")
    assert caught.value.how_to_supply == "--tier forward"


@check(severity=Severity.WARN, area="thresholding")
def about_the_head(head: Head) -> Iterator[Finding]:
    """A head of one unit."""
    if head.units == 1:
        yield Finding("one unit")


def test_every_output_is_judged_on_its_own() -> None:
    spec = make_spec(make_head(3, "softmax", name="kind"), make_head(1, name="price"))
    fired, quiet = examine_outputs(Evidence({"spec": spec, "output": 0, "number": 1}), [about_the_head, too_large])
    assert [finding.output for finding in fired.findings] == ["price"]
    assert quiet.status is Status.PASSED


def test_a_single_output_is_not_named() -> None:
    (fired,) = examine_outputs(Evidence({"spec": make_spec(make_head(1)), "output": 0}), [about_the_head])
    assert [finding.output for finding in fired.findings] == [None]


def test_after_its_deadline_an_audit_reads_files_only() -> None:
    late = Evidence({"run": make_run()}, deadline=time.monotonic() - 1)
    with pytest.raises(Missing, match="the time for this audit is used up"):
        late.get("network")
    with pytest.raises(Missing, match="the run has no logged model"):
        late.get("flavors")


def test_frameworks_are_quiet_during_an_audit_and_as_before_after_it(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with quiet():
        logger.warning("5 out of the last 7 calls triggered retracing")
        warnings.warn("lbfgs failed to converge", UserWarning, stacklevel=1)
    assert logger.level == level
    assert capfd.readouterr().err == ""
