from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

UNSET = ("", "None", "null")


@check(severity=Severity.WARN, area="reproduction")
def no_seed_logged(run: Run, *, names: tuple[str, ...] = ("seed", "random_state", "random_seed")) -> Iterator[Finding]:
    """No random seed is among the run's params, so the run cannot be made again.

    ## Why it matters
    We compare runs that differ in one thing. Without the seed they differ in two.

    ## How it is detected
    No param is named seed, random_state or random_seed, with or without a prefix, or all of them are unset.

    ## Fix
    Draw from one seed, and log it.

    ```diff
    - model.fit(X, y)
    + keras.utils.set_random_seed(7)
    + mlflow.log_param("seed", 7)
    + model.fit(X, y)
    ```

    ## When it is legitimate
    Repeated runs of one program that are meant to differ: tag their experiment with
    `clfaudit.ignore.no-seed-logged`.
    """
    seeds = {key: value for key, value in run.params.items() if key.lower().endswith(names)}
    if any(value not in UNSET for value in seeds.values()):
        return
    yield Finding(
        "No random seed was logged." if not seeds else f"{', '.join(sorted(seeds))} is logged, but was not set.",
        fix='keras.utils.set_random_seed(7); mlflow.log_param("seed", 7)',
        evidence={"params": len(run.params), "unset": sorted(seeds)},
        proof=Proof(Grade.A, "the params of the run"),
    )
