"""Inject every fault, kill at every step, fuzz, and write what came of it to docs/reliability.md.

`python -m tests.hostile.reliability` takes a quarter of an hour; CLFAUDIT_FUZZ_CASES says how many cases it tries.
"""

from __future__ import annotations

import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
START, END = "<!-- measured -->", "<!-- /measured -->"
ROWS = {
    "faults": "Faults injected: the server answers 500 or disappears, at every write of a report",
    "kills": "SIGKILL at every step of writing a report",
    "cases": "Broken label files, histories, params and configurations that were fuzzed",
}
FILES = ("test_writing.py", "test_server_faults.py", "test_fuzz.py")


def measured(files: list[Path]) -> tuple[Counter[str], int, int]:
    """What junit files of pytest recorded: the sums of the tests' properties, and the tests that passed and failed."""
    counts: Counter[str] = Counter()
    passed = failed = 0
    for file in files:
        for case in ET.parse(file).iter("testcase"):  # noqa: S314 - pytest's own
            bad = case.find("failure") is not None or case.find("error") is not None
            failed, passed = failed + bad, passed + (not bad)
            for item in case.iter("property"):
                counts[str(item.get("name"))] += int(str(item.get("value")))
    return counts, passed, failed


def table(counts: Counter[str], passed: int, failed: int) -> str:
    rows = "\n".join(f"| {text} | {counts[name]:,} |" for name, text in ROWS.items())
    lost = (
        f"| Tests of these that failed, each a run lost or a mixture of two reports | {failed} of {passed + failed} |"
    )
    return f"{START}\n| | |\n|---|---|\n{rows}\n{lost}\n{END}"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.xml"
        code = pytest.main(
            ["-q", "-o", "junit_family=xunit1", f"--junitxml={file}", *(str(HERE / name) for name in FILES)]
        )
        counts = measured([file])
    text = PAGE.read_text(encoding="utf-8")
    head, tail = text.partition(START)[0], text.partition(END)[2]
    PAGE.write_text(f"{head}{table(*counts)}{tail}", encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
