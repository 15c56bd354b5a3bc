"""How the hook behaves, as the environment or autolog() says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MODE, CHILDREN, INPUTS = "MLFLOW_CLFAUDIT_MODE", "MLFLOW_CLFAUDIT_CHILDREN", "MLFLOW_CLFAUDIT_INPUTS"
MAX_INPUT_MB, TIME_LIMIT = "MLFLOW_CLFAUDIT_MAX_INPUT_MB", "MLFLOW_CLFAUDIT_TIME_LIMIT"
MODES = ("inprocess", "detached", "deferred")


@dataclass(frozen=True)
class Settings:
    """How the hook behaves. `time_limit` are the seconds that an audit within the training process may take."""

    mode: str = "inprocess"
    inputs: str = "sample"
    max_input_mb: float = 64.0
    children: bool = False
    time_limit: float = 30.0
    silent: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r}: it is one of {', '.join(MODES)}")
        if self.inputs not in ("sample", "all", "none"):
            raise ValueError(f"inputs={self.inputs!r}: it is one of sample, all, none")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings that the environment variables give; ValueError where one of them makes no sense."""
        return cls(
            mode=environment.get(MODE, cls.mode).strip().lower(),
            inputs=environment.get(INPUTS, cls.inputs).strip().lower(),
            max_input_mb=float(environment.get(MAX_INPUT_MB, cls.max_input_mb)),
            children=environment.get(CHILDREN, "").strip().lower() in ("1", "true"),
            time_limit=float(environment.get(TIME_LIMIT, cls.time_limit)),
        )


def problem_of_environment(environment: Mapping[str, str]) -> str | None:
    """Why the settings of the environment make no sense; None where they do."""
    try:
        Settings.from_environment(environment)
    except ValueError as error:
        return str(error)
    return None
