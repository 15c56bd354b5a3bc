"""Why is this classifier wrong? Audits of finished MLflow runs, with proof."""

__version__ = "0.1.0"
