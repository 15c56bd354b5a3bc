"""The corpus itself: its truth names real checks, its cache notices changes, its measures count what they say."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import FunctionType

import numpy as np
import pytest

from mlflow_clfaudit.registry import all_checks
from tests.corpus import audits, program, store
from tests.corpus.healthy import rows
from tests.corpus.log import Logged, default_decision
from tests.corpus.program import COMPANIONS, Program, Training, digest, part


def untrained(seed: int) -> Training:
    raise AssertionError(f"nothing is trained here, not even seed {seed}")


FAULTY = Program("a", "f", untrained, truth=("softmax-on-one-unit",), parent="p", measured=True)
GOOD = Logged("1" * 32, 1.0, balanced_accuracy=0.95, accuracy=0.95, brier=0.04, reported=0.94, metrics={"loss": 0.1})


def judged(run: Logged, *findings: tuple[str, str], of: Program = FAULTY) -> audits.Judged:
    listed = [{"check": check, "severity": severity, "area": "activation_loss"} for check, severity in findings]
    report = {"findings": listed, "root_cause": findings[0][0] if findings else None, "verdict": "faulty"}
    return audits.Judged(of, 0, run, GOOD, report)


def test_every_truth_is_a_check() -> None:
    named = {check for each in store.programs().values() for check in (*each.truth, *each.allowed)}
    named |= {check for fault, follows in COMPANIONS.items() for check in (fault, *follows)}
    assert named - set(all_checks()) == set()


def test_sixty_healthy_programs_and_eight_bases() -> None:
    healthy = [each for each in store.programs().values() if each.healthy]
    assert len(healthy) >= 60
    assert len({each.name for each in healthy if each.name.startswith("base-")}) >= 8
    assert all(each.parent in store.programs() for each in store.programs().values() if each.parent)


def test_a_program_is_healthy_or_has_a_truth() -> None:
    with pytest.raises(ValueError, match="healthy or has a truth"):
        Program("a", "f", untrained, truth=("dead-units",), healthy=True)
    with pytest.raises(ValueError, match="healthy or has a truth"):
        Program("a", "f", untrained)


def test_the_seeds_that_rules_were_mended_by_do_not_report() -> None:
    assert {part(seed) for seed in range(5)} == {"calibration"}
    assert part(5) == part(6) == "report"


def test_the_digest_follows_functions_and_values_but_not_names() -> None:
    def doubled(x: int) -> int:
        return 2 * x

    def again(x: int) -> int:
        return 2 * x

    def tripled(x: int) -> int:
        return 3 * x

    assert digest(doubled) == digest(again) != digest(tripled)
    assert digest(lambda: doubled(1)) == digest(lambda: again(1)) != digest(lambda: tripled(1))
    assert digest(np.zeros(3)) != digest(np.ones(3))
    assert digest({"rate": 0.1}) != digest({"rate": 0.2})


def test_the_digest_is_the_same_in_every_file_of_a_package() -> None:
    def digest_in(module: str) -> str:
        moved = FunctionType(rows.signals.__code__, vars(import_module(module)))
        moved.__module__, moved.__kwdefaults__ = module, rows.signals.__kwdefaults__
        # Of what was met already, only the name counts.
        return digest(moved, moved)

    assert digest_in("tests.corpus.healthy.heads") == digest_in(rows.__name__) == digest(rows.signals, rows.signals)
    assert digest_in("tests.corpus.cases") != digest_in(rows.__name__)


def test_two_programs_of_a_base_have_two_keys() -> None:
    keys = {name: store.key(name, 0) for name in ("base-table", "table+single-class-labels", "table+overfit")}
    assert len({key.rpartition("-")[2] for key in keys.values()}) == 3
    assert store.key("base-table", 0) != store.key("base-table", 1)
    assert not [name for name in store.programs() if "/" in store.key(name, 0)]


def test_decisions() -> None:
    assert default_decision(np.array([[0.2], [0.7]])).tolist() == [0, 1]
    assert default_decision(np.array([[0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])).tolist() == [2, 0]


def test_a_mutant_that_equals_its_parent_expects_info_at_most() -> None:
    run = judged(GOOD, ("softmax-on-one-unit", "error"))
    assert run.harmless
    assert [finding["check"] for finding in run.false_alarms] == ["softmax-on-one-unit"]


@pytest.mark.parametrize(
    "harm",
    [
        {"balanced_accuracy": 0.5},
        {"brier": None},
        {"brier": 0.3},
        {"reported": 0.5},
        {"metrics": {"loss": 2.0}},
        {"failed": "ValueError"},
    ],
)
def test_a_mutant_that_differs_does_harm(harm: dict[str, object]) -> None:
    run = judged(replace(GOOD, **harm), ("no-gradient", "error"), ("bottleneck", "warn"), ("overfit", "info"))  # type: ignore[arg-type]
    assert run.faulty
    assert not run.hit
    assert [finding["check"] for finding in run.false_alarms] == ["bottleneck"]
    assert judged(replace(GOOD, **harm), ("softmax-on-one-unit", "error")).hit  # type: ignore[arg-type]


def test_few_held_out_rows_show_what_the_parent_showed() -> None:
    parent = replace(GOOD, reported=0.85)
    assert audits.numbers_true(replace(GOOD, reported=0.83), parent)
    assert not audits.numbers_true(replace(GOOD, reported=0.8), parent)


def test_healthy_runs_expect_silence_but_for_symptoms() -> None:
    healthy = Program("a", "f", untrained, healthy=True)
    run = judged(GOOD, ("bottleneck", "warn"), ("baseline-wins", "error"), of=healthy)
    assert not run.faulty
    assert [finding["check"] for finding in run.false_alarms] == ["bottleneck"]


def test_listing_the_programs_loads_no_tensorflow() -> None:
    assert isinstance(program.keras, program.KerasAtFirstUse)
