"""`python -m tests.seeds`: trains and audits the questions that this project was made from, for docs/seeds.md."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow_clfaudit import Report, audit_run

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "seeds.md"
# The script as its author wrote it, what its author asked, and its corrected twin.
SEEDS = {
    "seed_000_under_trained": ("Why does a net stay at .5 where logistic regression gets 1.0?", "seed_000_fixed"),
    "seed_002_softmax_on_one_unit": ("Why does a binary Keras CNN always predict 1?", "seed_002_fixed"),
    "seed_003_logits_in_probability_loss": ("Why does the accuracy fall as the loss falls?", "seed_003_fixed"),
    "seed_003_old_keras_accuracy": ("The same, with the accuracy that Keras before 2.3.1 logged.", "seed_003_fixed"),
    "seed_004_constant_predictor": ("Why do fit() and predict() disagree about the same rows?", "seed_004_fixed"),
}
HEAD = """# The questions it was made from

Written by `make seeds`. Five questions about Keras networks that would not learn, with answers that were partly wrong;
000 and 001 are the same network. Each script is in `examples/` as its author wrote it, with its corrected twin; this is
what an audit of the logged run says. The tests hold the first lines to it."""


def train(script: str, tracking_uri: str, folder: Path) -> str:
    """Run an example in a process of its own, as a user does; the id of its run is the last line it prints."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri}
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{script}.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1]


def audited(script: str, tracking_uri: str, folder: Path) -> Report:
    """Train an example and audit its run."""
    return audit_run(train(script, tracking_uri, folder), tracking_uri=tracking_uri)


def page(reports: dict[str, Report]) -> str:
    """docs/seeds.md: what the audit says of each script and of its twin, as the terminal shows it."""
    from mlflow_clfaudit.report.text import to_text

    parts = [HEAD]
    for script, (question, twin) in SEEDS.items():
        said = to_text(reports[script], color=False).rstrip()
        verdict = reports[twin].verdict.upper()
        parts += [f"## {script}", question, f"```\n{said}\n```", f"The corrected twin, `{twin}.py`: **{verdict}**."]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    reports: dict[str, Report] = {}
    with tempfile.TemporaryDirectory() as folder:
        for script in dict.fromkeys([*SEEDS, *(twin for _, twin in SEEDS.values())]):
            sys.stderr.write(f"{script}\n")
            reports[script] = audited(script, f"sqlite:///{folder}/mlflow.db", Path(folder))
    PAGE.write_text(page(reports))


if __name__ == "__main__":
    main()
