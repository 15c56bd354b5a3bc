"""`mlflow clfaudit explain` shows the fix of every cause as code before and after it."""

from __future__ import annotations

import ast
import re

import pytest
from click.testing import CliRunner

from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.registry import Check, all_checks
from mlflow_clfaudit.report.html import prose
from mlflow_clfaudit.types import Severity

CAUSES = [check for check in all_checks().values() if check.severity is not Severity.SYMPTOM]
BLOCK = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("check", CAUSES, ids=lambda check: check.name)
def test_every_cause_shows_its_fix_as_code_before_and_after(check: Check) -> None:
    (block,) = BLOCK.findall(check.sections["Fix"])
    lines = block.splitlines()
    assert {line[:2] for line in lines} <= {"- ", "+ ", "  "}
    before, after = ("\n".join(line[2:] for line in lines if line[0] in kept) for kept in ("- ", "+ "))
    assert before != after
    for code in (before, after):
        assert ast.parse(code).body


def test_explain_prints_the_code_without_its_fence() -> None:
    told = CliRunner().invoke(cli, ["explain", "softmax-on-one-unit"]).stdout
    assert '\n    - model.add(keras.layers.Dense(1, activation="softmax"))\n' in told
    assert '\n    + model.add(keras.layers.Dense(1, activation="sigmoid"))\n' in told
    assert "```" not in told


def test_the_page_shows_code_as_a_block_and_escapes_it() -> None:
    text, code = prose('Use `a < b`.\n\n```diff\n- a < "b"\n+ b\n```')
    assert text == "<p>Use <code>a &lt; b</code>.</p>"
    assert code == "<pre><code>- a &lt; &#34;b&#34;\n+ b</code></pre>"
