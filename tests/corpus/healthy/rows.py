"""Rows that several programs are given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.corpus.data import Split, digits, stratified
from tests.corpus.program import Array


def flat_digits(seed: int) -> Split:
    """The digits as 64 columns in 0..1."""
    split = digits(seed)
    flat = {name: getattr(split, name).reshape(-1, 64) for name in ("x_train", "x_val", "x_test")}
    return replace(split, **flat)


def multi_label_split(seed: int) -> Split:
    """Four labels that each depend on a plane through 20 columns, shape (n, 4)."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(1500, 20)).astype("float32")
    y = (x @ random.normal(size=(20, 4)) + 0.3 * random.normal(size=(1500, 4)) > 0.8).astype("float32")
    return Split(x[:900], y[:900], x[900:1200], y[900:1200], x[1200:], y[1200:].astype(int))


def topics(seed: int, *, rows: int = 1200, words: int = 20, vocabulary: int = 500) -> Split:
    """Sentences of word ids (n, 20) from three topics, each with 40 words of its own."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, rows)
    common = random.integers(120, vocabulary, size=(rows, words))
    own = random.integers(0, 40, size=(rows, words)) + 40 * y[:, None]
    x = np.where(random.random((rows, words)) < 0.2, own, common).astype("int32")
    return stratified(x, y, seed)


def signals(seed: int, *, rows: int = 1000) -> Split:
    """Noisy waves (n, 24, 1) of three frequencies and any phase."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, rows)
    phase = random.uniform(0, 2 * np.pi, (rows, 1))
    wave = np.sin(np.arange(24)[None, :] * (0.3 + 0.35 * y[:, None]) + phase)
    x = wave + random.normal(0, 0.3, (rows, 24))
    return stratified(x[..., None].astype("float32"), y, seed)


def two_input_split(seed: int) -> Split:
    """Images of digits beside 3 columns; whether the digit is 5 or more, and a column's sign, make 3 classes."""
    split = digits(seed)
    random = np.random.default_rng(seed)

    def part(x: Array, y: Array) -> tuple[Any, Array]:
        table = random.normal(size=(len(y), 3)).astype("float32")
        return {"image": x, "table": table}, ((y >= 5).astype(int) + (table[:, 0] > 0)).astype("int64")

    (x_train, y_train), (x_val, y_val) = part(split.x_train, split.y_train), part(split.x_val, split.y_val)
    x_test, y_test = part(split.x_test, split.y_test)
    return Split(x_train, y_train, x_val, y_val, x_test, y_test)
