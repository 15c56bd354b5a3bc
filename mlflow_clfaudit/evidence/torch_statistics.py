"""What a network of PyTorch would decide with batch statistics that fit the rows it is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.batchnorm import BATCHES, NormalizationModes, SavedStatistics, batches
from mlflow_clfaudit.evidence.inputs import take
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.served import Served, Trial
from mlflow_clfaudit.evidence.torch_running import Module
from mlflow_clfaudit.types import Tier


@provides(tier=Tier.FORWARD, where="torch_file")
def saved_statistics(torch_module: Module) -> SavedStatistics:
    """The layers of a network of PyTorch that normalise by running statistics."""
    return SavedStatistics(
        "BatchNorm", torch_module.normalising, "the default momentum of BatchNorm, 0.1, and standardised inputs"
    )


@provides(tier=Tier.PROBE, where="torch_file")
def normalization_modes(torch_module: Module, network: Network, trial: Trial) -> NormalizationModes:
    """The judged rows by the statistics of each batch, and by running statistics measured anew; dropout stays off."""
    if not torch_module.normalising or torch_module.measured_anew is None:
        raise Missing("the network has no BatchNorm with running statistics")
    random = np.random.default_rng(0)
    learnt_from = batches(random.permutation(trial.fit.rows))[:BATCHES]
    try:
        anew = torch_module.measured_anew([take(trial.fit.inputs, rows) for rows in learnt_from])
        by_batch = _passed(
            replace(network.model, training={"batch_norm": True}), trial.judge, random.permutation(trial.judge.rows)
        )
        recalibrated = _passed(
            replace(network.model, run=anew, training={"batch_norm": False}), trial.judge, np.arange(trial.judge.rows)
        )
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        text = first_line(error, 160)
        raise Missing(f"the network does not run with other batch statistics: {text}") from None
    bare = replace(trial.judge, logits=None, features=None, inputs=None)
    return NormalizationModes(trial.judge, replace(bare, outputs=by_batch), replace(bare, outputs=recalibrated))


def _passed(model: Module, served: Served, order: np.ndarray) -> np.ndarray:
    """The outputs (N, C) of the rows, passed in batches of this order."""
    plain = replace(model, taps=False)
    outputs = np.empty_like(served.outputs)
    for rows in batches(order):
        outputs[rows] = plain.predict_on_batch(take(served.inputs, rows))
    return outputs
