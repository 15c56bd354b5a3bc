"""The data of the corpus: scikit-learn's bundled sets and generators, split and scaled with care."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from tests.corpus.program import Array


@dataclass(frozen=True)
class Split:
    """Rows in three parts; `y_*` are class codes 0..K-1 of shape (n,) unless a program encodes them."""

    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    x_test: Array
    y_test: Array
    classes: tuple[str, ...] = ()

    @property
    def validation(self) -> tuple[Array, Array]:
        return self.x_val, self.y_val

    @property
    def test(self) -> tuple[Array, Array]:
        return self.x_test, self.y_test


def stratified(x: Array, y: Array, seed: int, *, classes: tuple[str, ...] = (), share: float = 0.2) -> Split:
    """Test and validation are each `share` of the rows, stratified and shuffled."""
    x_rest, x_test, y_rest, y_test = train_test_split(x, y, test_size=share, stratify=y, random_state=seed)
    x_train, x_val, y_train, y_val = train_test_split(
        x_rest, y_rest, test_size=share / (1 - share), stratify=y_rest, random_state=seed
    )
    return Split(x_train, y_train, x_val, y_val, x_test, y_test, classes)


def scaled(split: Split) -> Split:
    """Standardise the columns with the statistics of the training rows."""
    scaler = StandardScaler().fit(split.x_train)
    parts = {name: scaler.transform(getattr(split, name)).astype("float32") for name in ("x_train", "x_val", "x_test")}
    return replace(split, **parts)


def one_hot(y: Array, classes: int | None = None) -> Array:
    """Class codes (n,) to float32 rows (n, classes)."""
    return np.eye(classes or int(y.max()) + 1, dtype="float32")[y.astype(int)]


@lru_cache
def digit_images() -> tuple[Array, Array]:
    """The 1,797 digits as images (n, 8, 8, 1) in 0..1 and codes 0..9."""
    bunch = datasets.load_digits()
    return (bunch.images[..., None] / 16).astype("float32"), bunch.target.astype("int64")


def digits(seed: int) -> Split:
    """Digit images, split; ten classes of about 180 rows."""
    x, y = digit_images()
    return stratified(x, y, seed, classes=tuple("0123456789"))


def breast_cancer(seed: int, *, scale: bool = True) -> Split:
    """569 rows, 30 columns, 63 % benign (1)."""
    bunch = datasets.load_breast_cancer()
    split = stratified(
        bunch.data.astype("float32"), bunch.target.astype("int64"), seed, classes=("malignant", "benign")
    )
    return scaled(split) if scale else split


def wine(seed: int, *, scale: bool = True) -> Split:
    """178 rows, 13 columns, 3 classes."""
    bunch = datasets.load_wine()
    split = stratified(
        bunch.data.astype("float32"),
        bunch.target.astype("int64"),
        seed,
        classes=tuple(map(str, bunch.target_names)),
    )
    return scaled(split) if scale else split


def squares(seed: int, *, rows: int = 200) -> tuple[Array, Array]:
    """Two uniform squares, .2 to .4 and .5 to .7, `rows` each, shuffled."""
    random = np.random.default_rng(seed)
    x = np.concatenate([random.uniform(0.2, 0.4, (rows, 2)), random.uniform(0.5, 0.7, (rows, 2))]).astype("float32")
    y = np.repeat([0, 1], rows)
    order = random.permutation(2 * rows)
    return x[order], y[order]


def sequences(seed: int, *, rows: int, positives: int, contrast: float = 0.0045) -> tuple[Array, Array]:
    """Sequences (n, 10, 4) near -1.06 whose class is the sign of a faint trend, readable to about .9."""
    random = np.random.default_rng(seed)
    y = random.permutation((np.arange(rows) < positives).astype(int))
    trend = 1.1 * (2 * y - 1) + random.normal(0, 0.8, rows)
    path = np.linspace(-1, 1, 10)[None, :, None] * trend[:, None, None]
    path = path + random.normal(0, 0.5, (rows, 10, 4)) + random.normal(0, 0.5, (rows, 1, 1))
    return (-1.06 + contrast * path).astype("float32"), y


def ordered_minority(seed: int, *, positives: int = 50, negatives: int = 767) -> tuple[Array, Array]:
    """Five small columns, separable; the positives come first, as they were appended class by class."""
    random = np.random.default_rng(seed)
    x = random.normal(0, 0.02, (positives + negatives, 5))
    x[:positives] += 0.1
    return x.astype("float32"), np.repeat([1, 0], [positives, negatives])


def tabular(
    seed: int,
    *,
    rows: int = 1200,
    columns: int = 20,
    classes: int = 2,
    weights: tuple[float, ...] | None = None,
    separation: float = 1.5,
    noise: float = 0.01,
) -> Split:
    """Gaussian clusters from make_classification, standardised."""
    x, y = datasets.make_classification(
        n_samples=rows,
        n_features=columns,
        n_informative=max(4, columns // 2),
        n_redundant=2,
        n_classes=classes,
        weights=list(weights) if weights else None,
        class_sep=separation,
        flip_y=noise,
        random_state=seed,
    )
    return scaled(stratified(x.astype("float32"), y.astype("int64"), seed))
