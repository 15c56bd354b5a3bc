"""`python -m tests.corpus.before COMMIT`: the fault matrix as that commit saw it, beside today's, in docs/before.md.

The package of that commit audits the same trained runs; the truths and the judging are today's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import click

from mlflow_clfaudit.registry import all_checks
from tests.corpus.accuracy import counted, share, table
from tests.corpus.audits import ALARM, Judged, audit_all, judged
from tests.corpus.store import ROOT as CORPUS
from tests.corpus.store import key, load, programs, tracking_uri

ROOT = CORPUS.parent
PAGE = ROOT / "docs" / "before.md"
AREAS = ("activation_loss", "label_encoding")
AUDIT = """
import json, sys
from tests.corpus.audits import audit_all, judgement_digest
names, seed, jobs = json.load(sys.stdin)
for run in audit_all(names, [seed], jobs=jobs):
    print(run.name, file=sys.stderr)
print(judgement_digest())
"""


def wanted() -> list[str]:
    """The healthy programs, and those whose first planted fault is one of these areas'."""
    area_of = {name: check.area for name, check in all_checks().items()}
    return [
        name for name, program in programs().items() if program.healthy or area_of.get([*program.truth, ""][0]) in AREAS
    ]


def audited_by(commit: str, names: list[str], seed: int, jobs: int) -> list[Judged]:
    """What the package of a commit says of the runs that are trained, asked in processes of its own."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--detach", "--quiet", str(tree), commit], check=True)
        try:
            shutil.rmtree(tree / "tests")
            for name in ("tests", ".corpus"):
                (tree / name).symlink_to(ROOT / name)
            digest = subprocess.run(
                [sys.executable, "-c", AUDIT],
                input=json.dumps([names, seed, jobs]),
                cwd=tree,
                env=os.environ | {"PYTHONPATH": str(tree), "MLFLOW_TRACKING_URI": tracking_uri()},
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout.split()[-1]
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    runs = []
    for name in names:
        run, path = load(name, seed), CORPUS / "audits" / digest / f"{key(name, seed)}.json"
        if run is not None and path.exists():
            runs.append(judged(name, seed, run, json.loads(path.read_text()), CORPUS))
    return runs


def page(commit: str, seed: int, before: list[Judged], after: list[Judged]) -> str:
    """docs/before.md."""
    area_of = {name: check.area for name, check in all_checks().items()}
    counts: dict[str, dict[str, Counter[str]]] = {}
    for when, runs in (("before", before), ("after", after)):
        counts[when] = defaultdict(Counter)
        for run in runs:
            raised = {finding["check"] for finding in run.raised(ALARM)}
            for check in run.program.truth if run.faulty else ():
                counts[when][check].update(planted=1, found=int(check in raised), first=int(run.first == check))
            for finding in run.false_alarms:
                counts[when][finding["check"]]["false"] += 1
    checks = sorted(
        (area_of[check], check) for check in set(counts["before"]) | set(counts["after"]) if area_of.get(check) in AREAS
    )
    rows = []
    for area, check in checks:
        was, now = counts["before"][check], counts["after"][check]
        figures = [f"{was[figure]} → {now[figure]}" for figure in ("found", "first", "false")]
        rows.append((area, check, now["planted"] or "", *figures))
    healthy = [[run for run in runs if run.program.healthy] for runs in (before, after)]
    faulty = [[run for run in runs if run.faulty] for runs in (before, after)]
    totals = [
        ("a planted fault comes first", *(share(counted(runs, lambda run: run.hit), len(runs)) for runs in faulty)),
        (
            "healthy runs with a false alarm at warn or above",
            *(share(counted(runs, lambda run: bool(run.false_alarms)), len(runs)) for runs in healthy),
        ),
        (
            "audits that ended in an exception",
            *(counted(runs, lambda r: "exception" in r.report) for runs in (before, after)),
        ),
    ]
    return f"""# The fault matrix before and after

Written by `python -m tests.corpus.before {commit}`: the runs of seed {seed} whose first planted fault is one of
activation and loss or of label encoding, and the healthy runs, audited by the package as it was at that commit and by
today's. Truths, training runs and judging are the same.

{table(("", "before", "after"), totals)}
By check: planted faults reported at warn or above, those that came first, and false alarms of the check on all of these
runs.

{table(("area", "check", "planted", "found", "first", "false alarms"), rows)}"""


@click.command()
@click.argument("commit")
@click.option("--seed", default=1, help="Of the training runs.")
@click.option("--jobs", default=2, help="Processes.")
def main(commit: str, seed: int, jobs: int) -> None:
    """Audit trained runs with the package of COMMIT and with today's."""
    names = wanted()
    before = audited_by(commit, names, seed, jobs)
    after = list(audit_all(names, [seed], jobs=jobs))
    PAGE.write_text(page(commit, seed, before, after))
    click.echo(f"{PAGE}: {len(after)} runs")


if __name__ == "__main__":
    main()
