"""The tags and folders by which the parts of this package find what others of them left on a run."""

from __future__ import annotations

# What an audit writes.
VERDICT = "clfaudit.verdict"
ROOT_CAUSE = "clfaudit.root_cause"
SEVERITY = "clfaudit.severity"
VERSION = "clfaudit.version"
AUDITED_AT = "clfaudit.audited_at"
EVIDENCE = "clfaudit.evidence"
ERROR = "clfaudit.error"
LEFT_ALONE = "clfaudit.left_alone"
# On the child run of a repair, which is audited as it is written, and on the run of an experiment's summary.
REPAIR_OF = "clfaudit.repair_of"
SUMMARY = "clfaudit.summary"
# What a person says.
IGNORE = "clfaudit.ignore."
GOAL = "clfaudit.goal"
REVIEW = "clfaudit.review"

# What the hook kept of the training, the model where MLflow lost it, and what log_labels() was given.
EVIDENCE_FOLDER = "clfaudit/evidence"
KEPT_MODEL = f"{EVIDENCE_FOLDER}/model"
LOGGED_FOLDER = "clfaudit/logged"
