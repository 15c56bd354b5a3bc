"""What is tried in an environment, step by step; one that does not do what it promises raises Failed."""

from __future__ import annotations

import json

from tests.matrix.scripts import AUTOLOGGED, KERAS, SKLEARN
from tests.matrix.trial import ROOT, Trial, must
from tests.servers import mlflow_server


def train(trial: Trial) -> None:
    """A network whose one unit has a softmax, and the same network with a sigmoid."""
    trial.runs["faulty"], trial.runs["healthy"] = trial.trained(KERAS)


def audit(trial: Trial) -> None:
    told = trial.call("mlflow", "clfaudit", trial.runs["faulty"], expected=1)
    must(told, "softmax-on-one-unit" in told)


def audit_json(trial: Trial) -> None:
    report = json.loads(trial.call("mlflow-clfaudit", trial.runs["healthy"], "--format", "json"))
    must(report["headline"], report["verdict"] == "healthy" and "200 validation rows" in report["headline"])


def written(trial: Trial) -> None:
    """What the audits left: verdicts as tags, reports as artifacts, and the run FINISHED as it was."""
    for kind, cause in (("faulty", "softmax-on-one-unit"), ("healthy", "none")):
        seen = trial.look(trial.runs[kind])
        must(seen, seen["tags"].get("clfaudit.verdict") == kind)
        must(seen, seen["tags"].get("clfaudit.root_cause") == cause)
        must(seen, {"clfaudit/report.html", "clfaudit/report.json"} <= {*seen["paths"]})
        must(seen, seen["status"] == "FINISHED")


def hook(trial: Trial) -> None:
    """An unchanged script with autologging: nothing but a variable of the environment asks for the audit."""
    (run_id,) = trial.trained(AUTOLOGGED, MLFLOW_CLFAUDIT_AUTO="1")
    seen = trial.look(run_id)
    must(seen, seen["tags"].get("clfaudit.root_cause") == "softmax-on-one-unit")


def doctor(trial: Trial) -> None:
    told = trial.call("mlflow", "clfaudit", "doctor")
    must(told, "broken" not in told)


def fast_tests(trial: Trial) -> None:
    """The tests of the checks, of reading and of reporting that train nothing and start no server."""
    options = ["--config-file", ROOT / "pyproject.toml", "--rootdir", ROOT, "-p", "no:cacheprovider", "--quiet"]
    # What newer versions no longer warn of is no fault of the code under test.
    options += ["-W", "default", "-m", "not slow and not long"]
    folders = [ROOT / "tests" / name for name in ("checks", "evidence", "report")]
    print(trial.call("python", "-m", "pytest", *options, *folders).splitlines()[-1])


def estimator(trial: Trial) -> None:
    """A model of scikit-learn, which MLflow before 3.11 logs as a pickle."""
    audited_estimator(trial)


def audited_estimator(trial: Trial, **environment: str) -> None:
    (run_id,) = trial.trained(SKLEARN, **environment)
    told = trial.call("mlflow-clfaudit", run_id, "--allow-unsafe", "--format", "json", **environment)
    report = json.loads(told)
    must(report["headline"], report["verdict"] == "healthy" and "200 validation rows" in report["headline"])


def server(trial: Trial) -> None:
    """Through this MLflow's own server, which proxies the artifacts."""
    (folder := trial.folder / "server").mkdir()
    with mlflow_server(folder, python=trial.python) as address:
        audited_estimator(trial, MLFLOW_TRACKING_URI=address)


def files(trial: Trial) -> None:
    """A file store, where this MLflow allows one."""
    audited_estimator(trial, MLFLOW_TRACKING_URI=(trial.folder / "files").as_uri(), MLFLOW_ALLOW_FILE_STORE="true")
