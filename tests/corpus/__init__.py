"""Training programs whose faults are known, logged as MLflow runs: what the judgement is measured on."""
