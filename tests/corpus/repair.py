"""What repairs are worth: every case of the corpus trained, repaired, and trained again with its fault corrected.

`python -m tests.corpus.repair` writes the table into docs/repair.md; with names of programs, it prints their rows.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.corpus.log import measure
from tests.corpus.networks import compiled, dense, lenet
from tests.corpus.program import Training, keras
from tests.corpus.store import create, programs, tracking_uri, train_one

PAGE = Path(__file__).parents[2] / "docs" / "repair.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
SEED = 0


def normalised(training: Training, stack: Sequence[Any], loss: Any, optimizer: Any, **axis: Any) -> Any:
    """The layers behind a Normalization layer that is adapted to the training rows."""
    layer = keras.layers.Normalization(**axis)
    layer.adapt(training.x)
    return compiled([keras.Input(training.x.shape[1:]), layer, *stack], loss, optimizer)


def same_layers(training: Training, *, last: Any, skip: int = 1) -> list[Any]:
    """The layers of the program, new, with another one in place of the last `skip`."""
    model = training.model.__class__.from_config(training.model.get_config())
    return [*model.layers[: len(model.layers) - skip], last]


def mixed(training: Training, *, share: float = 0.2) -> Training:
    """The rows shuffled and split by class, the validation rows given as such."""
    from sklearn.model_selection import train_test_split

    x, x_val, y, y_val = train_test_split(training.x, training.y, test_size=share, stratify=training.y, random_state=0)
    fit = {name: value for name, value in training.fit.items() if name != "validation_split"}
    return replace(training, x=x, y=y, fit={**fit, "validation_data": (x_val, y_val)})


def seed_000(training: Training) -> Training:
    model = compiled(training.model.layers, "categorical_crossentropy", keras.optimizers.Adam(0.1))
    return replace(training, model=model)


def seed_002(training: Training) -> Training:
    stack = same_layers(training, last=keras.layers.Activation("sigmoid"))
    return replace(training, model=normalised(training, stack, "binary_crossentropy", "adam", axis=None))


def seed_003(training: Training) -> Training:
    layers = same_layers(training, last=keras.layers.Dense(1, activation="sigmoid"))
    return replace(
        training, model=compiled([keras.Input((256,)), *layers], "binary_crossentropy", "adam"), scoring=None
    )


def seed_003_old_accuracy(training: Training) -> Training:
    return replace(seed_003(training), finish=None)


def seed_004(training: Training) -> Training:
    training = mixed(training)
    head = keras.layers.Dense(1, activation="sigmoid")
    return replace(training, model=normalised(training, [head], "binary_crossentropy", keras.optimizers.Adam(0.01)))


def so_31880720(training: Training) -> Training:
    layers = same_layers(training, last=keras.layers.Dense(1, activation="sigmoid"))
    return replace(training, model=compiled([keras.Input((128,)), *layers], "binary_crossentropy", "rmsprop"))


def so_44066044(training: Training) -> Training:
    stack = [*dense(8, 12, 12)[1:], keras.layers.Dense(1, activation="sigmoid")]
    return replace(training, model=normalised(training, stack, "binary_crossentropy", "adam"))


def so_47352366(training: Training) -> Training:
    layers = same_layers(training, last=keras.layers.Dense(10, activation="softmax"))
    stack = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), *layers]
    return replace(training, model=compiled(stack, "categorical_crossentropy", "adam"))


def so_50079585(training: Training) -> Training:
    model = compiled(lenet(keras.layers.Dense(3, activation="softmax")), "sparse_categorical_crossentropy", "adam")
    return replace(training, model=model)


def so_48385830(training: Training) -> Training:
    stack = [*dense(64, 30)[1:], keras.layers.Dense(10, activation="softmax")]
    return replace(training, model=normalised(training, stack, "mse", keras.optimizers.SGD(3.0), axis=None))


def tdc_low_lr(training: Training) -> Training:
    model = compiled(training.model.layers, "sparse_categorical_crossentropy", keras.optimizers.SGD(0.1))
    return replace(training, model=model)


def gradient_vanish(training: Training) -> Training:
    hidden = [keras.layers.Dense(5, activation="relu", kernel_initializer="he_normal") for _ in range(8)]
    stack = [keras.Input((2,)), *hidden, keras.layers.Dense(1, activation="sigmoid")]
    return replace(training, model=compiled(stack, "binary_crossentropy", "adam"))


def so_59325381(training: Training) -> Training:
    x_val, y_val = training.fit["validation_data"]
    labels = np.round(training.y * 255).astype("int64")
    return replace(training, y=labels, fit={**training.fit, "validation_data": (x_val / 255, y_val)})


def so_31627380(training: Training) -> Training:
    stack = [*dense(10, 512)[1:], keras.layers.Dense(2, activation="softmax")]
    return replace(training, model=normalised(training, stack, "categorical_crossentropy", "adam"))


def tdc_unbalanced(training: Training) -> Training:
    from sklearn.utils.class_weight import compute_class_weight

    weights = compute_class_weight("balanced", classes=np.unique(training.y), y=training.y)
    return replace(training, fit={**training.fit, "class_weight": dict(enumerate(weights.tolist()))})


CORRECTED: Mapping[str, Callable[[Training], Training]] = {
    "seed-000": seed_000,
    "seed-002": seed_002,
    "seed-003": seed_003,
    "seed-003-old-accuracy": seed_003_old_accuracy,
    "seed-004": seed_004,
    "SO-31880720": so_31880720,
    "SO-44066044": so_44066044,
    "SO-47352366": so_47352366,
    "SO-50079585": so_50079585,
    "SO-56103207": mixed,
    "SO-48385830": so_48385830,
    "TDC-base-low-lr": tdc_low_lr,
    "AT-demo-gradient-vanish": gradient_vanish,
    "SO-59325381": so_59325381,
    "SO-31627380": so_31627380,
    "TDC-base-unbalanced": tdc_unbalanced,
}
"""Every case that does harm, by name, with what makes its corrected twin of it: the same rows, the fault undone."""


@dataclass(frozen=True)
class Row:
    """One case: balanced accuracy on clean rows that neither it nor its repair ever saw, and what was repaired.

    `repaired` and `proven` count findings at warn or above with a measured proof.
    """

    name: str
    cause: str
    before: float
    after: float | None
    twin: float
    proven: int
    repaired: int
    verdict: str
    did: str
    seconds: float


def row(name: str, root: Path) -> Row:
    """Train the case, repair it in the store under `root`, and train its corrected twin."""
    import mlflow

    from mlflow_clfaudit.repair.mending import repair_run

    program = programs()[name]
    _, _, logged = train_one(name, SEED, root)
    training = program.build(SEED)
    started = time.perf_counter()
    repaired = repair_run(logged.run_id, tracking_uri=tracking_uri(root))
    seconds = time.perf_counter() - started
    after = None
    if repaired.child is not None:
        model = mlflow.keras.load_model(f"runs:/{repaired.child}/model")
        after = quality(replace(training, model=model))
    twin = trained_twin(name)
    return Row(
        name=name,
        cause=repaired.before.root_cause or "none",
        before=logged.balanced_accuracy or 0.0,
        after=after,
        twin=quality(twin),
        proven=len({attempt.check for attempt in repaired.attempts}),
        repaired=len({attempt.check for attempt in repaired.kept}),
        verdict="" if repaired.after is None else f"{repaired.after.verdict}" + cause(repaired.after.root_cause),
        did="; ".join(dict.fromkeys(item.did.rpartition(": ")[2] for item in repaired.kept)) or "no better: not logged",
        seconds=seconds,
    )


def trained_twin(name: str) -> Training:
    """The case with its fault undone, trained on the same rows."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    twin = CORRECTED[name](programs()[name].build(SEED))
    twin.model.fit(twin.x, twin.y, **{"verbose": 0, **twin.fit})
    return twin


def quality(training: Training) -> float:
    """Balanced accuracy on the clean rows that were held out."""
    found = measure(training)["balanced_accuracy"]
    assert found is not None
    return found


def cause(check: str | None) -> str:
    return f", {check}" if check else ""


def rows(names: Sequence[str]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        create(root)
        for name in names:
            yield row(name, root)


def table(found: Sequence[Row]) -> str:
    """The measured part of the page."""
    lines = [
        "| case | root cause | before | repaired | corrected twin | proven findings repaired | audit of the repair |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in found:
        after = "not logged" if item.after is None else f"{item.after:.3f}"
        lines.append(
            f"| {item.name} | {item.cause} | {item.before:.3f} | {after} | {item.twin:.3f} | "
            f"{item.repaired} of {item.proven} | {item.verdict or '–'} |"
        )
    proven, mended = sum(item.proven for item in found), sum(item.repaired for item in found)
    better = [item for item in found if item.after is not None]
    gained = [item for item in better if item.after is not None and item.after >= item.twin - 0.02]
    seconds = float(np.median([item.seconds for item in found]))
    told = f"{mended} of {proven} proven findings were repaired. {len(better)} of {len(found)} runs have a repaired "
    told += f"model, and {len(gained)} of those are as good as the corrected twin to within .02, or better. A repair "
    told += f"took {seconds:.0f} s in the median on two busy cores, its two audits included."
    lines += ["", told, "", "What was done:", "", *(f"- {item.name}: {item.did}" for item in found)]
    return "\n".join(lines)


def main() -> None:
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    names = sys.argv[1:] or list(CORRECTED)
    found = []
    for item in rows(names):
        found.append(item)
        print(json.dumps(item.__dict__), flush=True)
    if not sys.argv[1:]:
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
        PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{table(found)}\n{END}", page), encoding="utf-8")


if __name__ == "__main__":
    main()
