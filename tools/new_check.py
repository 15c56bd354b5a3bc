"""Write the module and the test of a new check: `make new-check name=area/name`.

Both pass as they are written. What they say is to be replaced: `make test` fails for as long as a check says
"replace this".
"""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKS = ROOT / "mlflow_clfaudit" / "checks"

MODULE = '''\
from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def @function@(history: History, *, highest: float = 100.0) -> Iterator[Finding]:
    """Replace this: the fault in one sentence, as its author would not have put it.

    ## Why it matters
    Replace this: what goes wrong, and why nobody sees it in the metrics.

    ## How it is detected
    Replace this: the rule. The last logged training loss is above `highest`.

    ## Fix
    Replace this: what to change, and the change as code.

    ```diff
    - model.fit(X, y)
    + model.fit(scaler.fit_transform(X), y)
    ```

    ## When it is legitimate
    Replace this: who does so on purpose, and why the rule is quiet there.
    """
    curve = history.loss
    if curve is None or not len(curve) or not curve[-1] > highest:
        return
    yield Finding(
        f"The training ended at a loss of {curve[-1]:.3g}.",
        fix="model.fit(scaler.fit_transform(X), y)",
        evidence={"last_loss": float(curve[-1])},
        proof=Proof(Grade.D, "the last point of the logged curve"),
    )
'''

TEST = """\
import pytest

from mlflow_clfaudit.checks.@area@.@function@ import @function@
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_history


def test_fires() -> None:
    (finding,) = findings(@function@, history=make_history(loss=[300.0, 250.0]))
    assert finding.level is Severity.INFO
    assert "250" in finding.message
    assert finding.evidence == {"last_loss": 250.0}


@pytest.mark.parametrize(
    "loss",
    [[0.7, 0.2], [300.0, 100.0], [float("nan")] * 3, []],
    ids=["learnt", "at the threshold", "NaN", "no epochs"],
)
def test_quiet_otherwise(loss: list[float]) -> None:
    assert findings(@function@, history=make_history(loss=loss)) == ()
"""


class Refused(Exception):
    """The check cannot be made; the message says why."""


def new_check(wanted: str) -> list[Path]:
    """Write the module and the test of the check `area/name`, dashes or underscores alike; returns their paths."""
    area, _, name = wanted.strip("/").replace("-", "_").rpartition("/")
    areas = sorted(path.parent.name for path in CHECKS.glob("*/__init__.py"))
    if area not in areas:
        raise Refused(f"{wanted!r} is not area/name with one of these areas: {', '.join(areas)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise Refused(
            f"{name!r} is no name for a check: lower-case words with dashes, and the problem, not its absence"
        )
    taken = next(CHECKS.glob(f"*/{name}.py"), None)
    if taken is not None:
        raise Refused(f"there is such a check already: {taken.relative_to(ROOT)}")
    files = {
        CHECKS / area / f"{name}.py": MODULE,
        ROOT / "tests" / "checks" / area / f"test_{name}.py": TEST,
    }
    for path, template in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(template.replace("@area@", area).replace("@function@", name))
    return list(files)


def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("make new-check name=area/name")
    try:
        module, test = new_check(sys.argv[1])
    except (Refused, FileExistsError) as error:
        sys.exit(str(error))
    name = module.stem.replace("_", "-")
    print(
        f"{module.relative_to(ROOT)}\n{test.relative_to(ROOT)}\n\n"
        f"Replace what they say, then:\n"
        f"  .venv/bin/python -m pytest {test.relative_to(ROOT)}\n"
        f"  .venv/bin/python -m pytest tests/checks/test_contract.py -k {name}\n"
        f"  make docs"
    )


if __name__ == "__main__":
    main()
