"""`mlflow.models.evaluate(…, evaluators=["clfaudit"])`: audits the model with the data that it is evaluated on.

MLflow runs every evaluator that is installed where none is named; this one then stays out of the way.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.models.evaluation.base import EvaluationResult, ModelEvaluator

from mlflow_clfaudit.errors import AuditError, kind_and_first_line
from mlflow_clfaudit.types import Report, Verdict

AUDITED = "clfaudit/audited"
# What changes with the machine is nothing to gate on.
LEFT_OUT = ("clfaudit/seconds",)
OPTIONS = ("split", "tier", "device", "budget", "ignore", "select_checks", "allow_unsafe", "time_limit")

_logger = logging.getLogger(__name__)


class Evaluator(ModelEvaluator):
    """The entry point clfaudit of mlflow.model_evaluator."""

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: Any, **_: Any) -> bool:
        """Whether this evaluator was asked for: by its name or, where none is named, by a config of its own."""
        # The same arguments either way; but only where no name was given does this question come from the resolution.
        named = sys._getframe(1).f_code.co_name == "_evaluate"
        return model_type == "classifier" and (named or bool(evaluator_config))

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any] | None,
        model: Any = None,
        model_id: str | None = None,
        **_: Any,
    ) -> EvaluationResult:
        """Audit the model and leave the verdict on the evaluation's run; never raises.

        The metrics are clfaudit/…, those that an audit leaves on its run; clfaudit/audited is 1 where there was one.
        Where it is 0 the others are missing, so that no threshold can be passed unseen.
        """
        metrics = {AUDITED: 0.0}
        try:
            report = _audited(dataset, run_id, dict(evaluator_config or {}), model, model_id)
            if report.verdict is not Verdict.NOT_AUDITED:
                metrics = {AUDITED: 1.0, **_metrics(report)}
        except Exception as error:  # noqa: BLE001 - the other evaluators go on, whatever it is
            _logger.warning("clfaudit: the model was not audited: %s", kind_and_first_line(error, 300))
        return EvaluationResult(metrics=metrics, artifacts={}, run_id=run_id)  # type: ignore[no-untyped-call]


def _metrics(report: Report) -> dict[str, float]:
    from mlflow_clfaudit.report.tags import metrics

    return {name: value for name, value in metrics(report).items() if name not in LEFT_OUT}


def _audited(dataset: Any, run_id: str, options: dict[str, Any], model: Any, model_id: str | None) -> Report:
    from mlflow_clfaudit import attach
    from mlflow_clfaudit.audit import audit_run
    from mlflow_clfaudit.evidence.reader import read_run, run_of_model
    from mlflow_clfaudit.storage import write_inputs, write_labels
    from mlflow_clfaudit.supply import log_labels

    unknown = set(options) - set(OPTIONS)
    if unknown:
        raise AuditError(f"evaluator_config: {', '.join(sorted(unknown))} is none of {', '.join(OPTIONS)}")
    split = options.pop("split", "test")
    model_id = model_id or getattr(model, "model_id", None)
    if model_id is None:
        # A function, or predictions alone: there is no logged model to look into.
        log_labels(dataset.labels_data, split=split, run_id=run_id)
        return audit_run(run_id, running=True, **options)
    uri = f"models:/{model_id}"
    trained_in = run_of_model(uri)
    with tempfile.TemporaryDirectory() as name:
        labels = Path(name) / f"labels_{split}.parquet"
        write_labels(labels, dataset.labels_data)
        inputs = write_inputs(Path(name), split, dataset.features_data)
        report = audit_run(
            trained_in,
            model_uri=uri,
            labels={split: str(labels)},
            inputs={split: str(inputs)},
            running=True,
            dry_run=trained_in != run_id,
            **options,
        )
    if trained_in != run_id:
        # The verdict of the run that trained the model is not about this data.
        attach.write(read_run(run_id, running=True), report)
    return report
