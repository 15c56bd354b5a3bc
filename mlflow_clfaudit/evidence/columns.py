"""Rows as a table, under the names of the columns that a model was fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np


def under_names(inputs: Any, names: Any) -> Any:
    """Rows (N, D) as a table with these D names; as the array that they are where the model knows none or others."""
    array = np.asarray(inputs)
    if names is None or array.ndim != 2 or array.shape[1] != len(names):
        return array
    import pandas as pd

    return pd.DataFrame(array, columns=list(names))
