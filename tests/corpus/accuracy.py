"""`python -m tests.corpus.accuracy`: train the corpus, audit every run, and write docs/accuracy.md."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

import click

from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.types import Severity
from tests.corpus.__main__ import chosen, numbers
from tests.corpus.audits import ALARM, ERROR, Judged, audit_all
from tests.corpus.program import CALIBRATION_SEEDS, SYMPTOMS
from tests.corpus.store import LIBRARIES, programs, train

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
PEERS = """
The published tools for the same job, on their own benchmarks, one right label being enough to count as a diagnosis:

| tool | what it was measured on | result |
|---|---|---|
| DeepFD (Cao et al., ICSE 2022), DeepDiagnosis (Wardat et al., ICSE 2022), AutoTrainer, UMLAUT and others | \
real faulty programs | 13 to 63 % diagnosed |
| the same | healthy models | an alarm on 36 to 96 % |
| the best of them in the comparison of Humbatova et al. (EMSE 2025) | real and planted faults | \
recall .33, precision .21 |

DEFault (ICSE 2025) is the latest of the line. These tools watch the training; here only the finished run is read.
The programs differ too, so the figures say how hard the task is, not by how much one tool beats another.
"""


def share(part: int, whole: int) -> str:
    """A share as text, with its counts."""
    return f"{part / whole:.1%} ({part}/{whole})" if whole else "none"


def counted(runs: Iterable[Judged], condition: Callable[[Judged], bool]) -> int:
    return sum(map(condition, runs))


def trainings(runs: Sequence[Judged]) -> str:
    """What counterfactual trainings took, in words."""
    taken = [run.report["training_seconds"] for run in runs if run.report.get("training_seconds")]
    if not taken:
        return "No audit needed a counterfactual training."
    totals = [sum(seconds) for seconds in taken]
    return (
        f"{len(taken)} audits ran {sum(map(len, taken))} counterfactual trainings (budget 20 s an audit): "
        f"{median(totals):.1f} s an audit in the median, {max(totals):.1f} s at most."
    )


def named_at_error(planted: tuple[Judged, str]) -> bool:
    """Whether a planted fault was reported at error or above."""
    run, check = planted
    return check in {finding["check"] for finding in run.raised(ERROR)}


def summary(runs: Sequence[Judged]) -> list[tuple[str, str, str]]:
    """The goals and what was measured: what, goal, figure."""
    faulty = [run for run in runs if run.faulty]
    quiet = [run for run in runs if not run.faulty]
    healthy = [run for run in quiet if run.program.healthy]
    errors = [(run, finding) for run in runs for finding in run.raised(ERROR)]
    right = [finding for run, finding in errors if finding["check"] in run.welcome]
    proven = [finding for _, finding in errors if (finding["proof"] or {}).get("grade") in ("A", "B")]
    planted = [(run, check) for run in faulty for check in run.program.truth]
    found = [check for run, check in planted if check in {finding["check"] for finding in run.raised(ALARM)}]
    severe = [
        (run, check) for run, check in planted if all_checks()[check].severity in (Severity.ERROR, Severity.BLOCKER)
    ]
    costly = [(run, check) for run, check in severe if run.costly]
    harmless = [run for run in quiet if not run.program.healthy]
    return [
        ("a planted fault comes first", "95 %", share(counted(faulty, lambda run: run.hit), len(faulty))),
        ("planted faults reported at warn or above", "", share(len(found), len(planted))),
        (
            "those of checks that are an error, reported at error or above",
            "90 %",
            share(sum(map(named_at_error, severe)), len(severe)),
        ),
        (
            "the same where the fault costs decisions",
            "",
            share(sum(map(named_at_error, costly)), len(costly)),
        ),
        ("findings at error or above that are right", "90 %", share(len(right), len(errors))),
        ("findings at error or above with grade A or B", "90 %", share(len(proven), len(errors))),
        (
            "healthy runs with a false alarm at error",
            "0 %",
            share(counted(healthy, lambda run: bool(run.raised(ERROR))), len(healthy)),
        ),
        (
            "healthy runs with a false alarm at warn or above",
            "1 %",
            share(counted(healthy, lambda run: bool(run.raised(ALARM))), len(healthy)),
        ),
        (
            "harmless mutants with a finding at warn or above",
            "0 %",
            share(counted(harmless, lambda run: bool(run.raised(ALARM))), len(harmless)),
        ),
        ("audits that ended in an exception", "0", str(counted(runs, lambda run: "exception" in run.report))),
        (
            "processor seconds an audit, median and worst",
            "",
            " and ".join(f"{figure:.1f}" for figure in spread([run.report["processor_seconds"] for run in runs])),
        ),
    ]


def spread(values: Sequence[float]) -> tuple[float, float]:
    return (median(values), max(values)) if values else (0.0, 0.0)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def by_check(runs: Sequence[Judged]) -> str:
    """Recall and precision of every check that was planted or raised an alarm."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    areas: dict[str, str] = {}
    for run in runs:
        alarms = {finding["check"]: finding for finding in run.raised(ALARM)}
        areas |= {check: finding["area"] for check, finding in alarms.items()}
        for check in run.program.truth if run.faulty else ():
            counts[check]["planted"] += 1
            counts[check]["found"] += check in alarms
            counts[check]["first"] += run.first == check
        for check, finding in alarms.items():
            level = "errors" if finding["severity"] in ERROR else "warns"
            counts[check][level] += 1
            counts[check][f"false {level}"] += check not in run.welcome
    rows = []
    for check, count in sorted(counts.items(), key=lambda item: (areas.get(item[0], "~"), item[0])):
        raised = count["errors"] + count["warns"]
        wrong = count["false errors"] + count["false warns"]
        rows.append(
            (
                areas.get(check, ""),
                check + (" (symptom)" if check in SYMPTOMS else ""),
                count["planted"] or "",
                f"{count['found'] / count['planted']:.2f}" if count["planted"] else "",
                f"{count['first'] / count['planted']:.2f}" if count["planted"] else "",
                raised,
                f"{1 - wrong / raised:.2f}" if raised else "",
                count["false errors"] or "",
                count["false warns"] or "",
            )
        )
    header = ("area", "check", "planted", "recall", "came first", "raised", "precision", "false errors", "false warns")
    return table(header, rows)


def by_area(runs: Sequence[Judged]) -> str:
    """The same by area: planted faults found and first, alarms and how many of them were right."""
    area_of = {f["check"]: f["area"] for run in runs for f in run.findings}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        alarms = {finding["check"] for finding in run.raised(ALARM)}
        if run.faulty:
            area = area_of.get(run.program.truth[0], "never raised")
            counts[area]["runs"] += 1
            counts[area]["hits"] += run.hit
            counts[area]["found"] += run.program.truth[0] in alarms
        for check in alarms:
            counts[area_of[check]]["raised"] += 1
            counts[area_of[check]]["right"] += check in run.welcome
    rows = (
        (
            area,
            count["runs"],
            share(count["hits"], count["runs"]),
            share(count["found"], count["runs"]),
            share(count["right"], count["raised"]),
        )
        for area, count in sorted(counts.items())
    )
    return table(("area of the first planted fault", "faulty runs", "first", "found", "alarms that are right"), rows)


def misses(runs: Sequence[Judged]) -> str:
    """The faulty runs where something else came first."""
    rows = (
        (run.name, ", ".join(run.program.truth), run.first, run.report["verdict"])
        for run in sorted(runs, key=lambda run: run.name)
        if run.faulty and not run.hit
    )
    return table(("run", "planted", "first finding", "verdict"), rows)


def alarms(runs: Sequence[Judged]) -> str:
    """Every false alarm."""
    rows = (
        (run.name, finding["check"], finding["severity"], (finding["proof"] or {}).get("grade", ""))
        for run in sorted(runs, key=lambda run: (not run.program.healthy, run.name))
        for finding in run.false_alarms
    )
    return table(("run", "check", "severity", "proof"), rows)


def page(runs: Sequence[Judged]) -> str:
    """docs/accuracy.md."""
    from importlib.metadata import version

    parts = {name: [run for run in runs if run.part == name] for name in ("calibration", "report")}
    figures = zip(summary(parts["calibration"]), summary(parts["report"]), strict=True)
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    faulty = sum(run.faulty for run in runs)
    counts = sorted(Counter(run.seed for run in runs).items())
    measured = ", ".join(f"{count} with seed {seed}" for seed, count in counts)
    healthy = sum(run.program.healthy for run in runs)
    chosen_by = ", ".join(map(str, sorted(CALIBRATION_SEEDS)))
    return f"""# How right the audit is

Written by `make accuracy`: {len(runs)} training runs of {len({run.program.name for run in runs})} programs, {faulty} of
them with a planted fault that does harm, {healthy} healthy ones chosen to look suspicious to a simple rule, the rest
mutants whose fault does no harm. The programs are in `tests/corpus`, their truth is known by construction. Of
{len(programs())} programs were measured: {measured}. Rules and
thresholds were chosen on the calibration part, seeds {chosen_by}, as far as they are measured here, and not on the
report part. Pickled scikit-learn models are audited with `--allow-unsafe`. {versions}.

{table(("", "goal", "calibration", "report"), [(a[0], a[1], a[2], b[2]) for a, b in figures])}
A finding counts as right when it names a planted fault, or what such a fault brings with it. Healthy and harmless runs
expect info at most. The severity of a finding follows the harm that is measured on the run: a linear output under a
cross-entropy is a warning where the rows that it leaves without a gradient are right all the same, else an error. So
the table says how often a fault of a check that is an error was reported at error, over all runs and over those whose
balanced accuracy on clean held-out rows is more than .03 below that of the same program without the fault (of cases
without such a twin, all).

## Beside the published tools
{PEERS}
## By area, report part

{by_area(parts["report"])}
## By check, report part

{by_check(parts["report"])}
## What came first instead, report part

{misses(parts["report"])}
## False alarms, report part

{alarms(parts["report"])}
## Cost

Training took {sum(run.run.seconds for run in runs):.0f} processor seconds in all, a median of
{median(run.run.seconds for run in runs):.1f} a run; the audits took
{sum(run.report["processor_seconds"] for run in runs):.0f}. {trainings(runs)}
"""


@click.command()
@click.option("--family", help="Only this family.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this program; may be repeated.")
@click.option("--seeds", default="0,1,2,3,4,5", callback=numbers, help="Comma-separated seeds.")
@click.option("--jobs", default=2, help="Processes.")
@click.option("--trained", is_flag=True, help="Only what is trained already.")
@click.option("--part", type=click.Choice(["calibration", "report"]), help="Print the details of this part.")
def accuracy(
    family: str | None, only: tuple[str, ...], seeds: list[int], jobs: int, trained: bool, part: str | None
) -> None:
    """Audit the corpus and print what was measured; over the whole corpus, write docs/accuracy.md as well."""
    started = time.perf_counter()
    names = [program.name for program in chosen(family, only)]
    if not trained:
        for _ in train(names, seeds, jobs=jobs):
            pass
    runs = []
    for run in audit_all(names, seeds, jobs=jobs):
        runs.append(run)
        wrong = ", ".join(f"{finding['check']} {finding['severity']}" for finding in run.false_alarms)
        state = ("hit " if run.hit else "MISS") if run.faulty else "    "
        click.echo(f"{state} {run.name:56s} {run.first:28s} {'FALSE ' + wrong if wrong else ''}")
    shown = [run for run in runs if part is None or run.part == part]
    for what, goal, figure in summary(shown):
        click.echo(f"{what:52s} {figure:20s} {f'goal {goal}' if goal else ''}")
    click.echo(by_check(shown))
    if not (family or only):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(runs))
    click.echo(f"{len(runs)} runs in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    accuracy()
