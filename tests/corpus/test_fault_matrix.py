"""Which checks speak on which planted fault and on which healthy run: a small part of the corpus, as a golden file.

A diff in fault_matrix.json shows at once that a check went quiet, or also speaks on someone else's fault. After a
change that is meant, `python -m tests.corpus matrix` writes the file anew.
"""

from __future__ import annotations

import json

import pytest

from tests.corpus.matrix import GOLDEN, measured


@pytest.mark.slow
def test_the_fault_matrix_is_as_it_was() -> None:
    assert measured() == json.loads(GOLDEN.read_text())
