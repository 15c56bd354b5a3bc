"""Text classifiers of transformers: made without a download, logged as MLflow logs them, judged on logged texts."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.inputs import RowHashes, hash_rows
from mlflow_clfaudit.evidence.transformers import head, text_model
from mlflow_clfaudit.types import Report, Status, Verdict
from tests.kit import ran
from tests.table import Table, alarms, audited, log_rows

# Their order is not that of the alphabet.
NAMES = ["wasp", "ant", "bee"]
WORDS = [["nest", "sting", "paper"], ["hill", "march", "leaf"], ["honey", "hive", "flower"]]
COMMON = ["the", "a", "small", "big", "near", "seen", "today", "yellow"]
CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "id2label": {str(number): name for number, name in enumerate(NAMES)},
}
MARKS = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
SETTINGS = {"task": "text-classification", "model_binary": "model", "components": ["tokenizer"]}


def sentences(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts of two telling words among six, one of them of another class now and then, and their classes."""
    random = np.random.default_rng(seed)
    codes = np.arange(rows) % 3
    found = []
    for code in codes:
        words = [*random.choice(COMMON, 4), *random.choice(WORDS[code], 2)]
        if random.random() < 0.2:
            words[0] = random.choice(WORDS[(code + 1) % 3])
        found.append(" ".join(random.permutation(words)))
    return np.array(found), np.array(NAMES)[codes]


def texts() -> Table:
    splits = [sentences(rows, seed) for seed, rows in enumerate((600, 300, 300))]
    return Table(*(array for split in splits for array in split))


def trained(rows: Table) -> dict[str, Any]:
    """A BERT of one layer and its tokenizer, trained for a minute's fraction."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COMMON, *(word for own in WORDS for word in own)]
    numbers = {word: number for number, word in enumerate(words)}
    words_of = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, MARKS["unk_token"]))
    words_of.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words_of.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words_of, model_max_length=32, **MARKS)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=len(words),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=32,
            id2label=dict(enumerate(NAMES)),
            label2id={name: number for number, name in enumerate(NAMES)},
        )
    )
    given = tokenizer(rows.x_train.tolist(), padding=True, return_tensors="pt")
    truth = torch.tensor([NAMES.index(name) for name in rows.y_train])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        model(**given, labels=truth).loss.backward()
        optimizer.step()
    return {"model": model.eval(), "tokenizer": tokenizer}


def log(parts: dict[str, Any], rows: Table, folder: Path) -> str:
    with mlflow.start_run() as run, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.transformers.log_model(
            parts, name="model", task="text-classification", pip_requirements=["transformers"]
        )
        log_rows(rows, folder)
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def fitted() -> tuple[dict[str, Any], Table]:
    rows = texts()
    return trained(rows), rows


def reason_of(report: Report, check: str) -> str | None:
    return next(outcome.reason for outcome in report.outcomes if outcome.check == check)


@pytest.mark.slow
def test_a_healthy_text_classifier_is_judged_on_its_texts(
    fitted: tuple[dict[str, Any], Table], tracking_uri: str, tmp_path: Path
) -> None:
    run_id = log(*fitted, tmp_path)
    report = audited(run_id)
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert report.headline == "transformers · 300 validation rows · transformers, CPU"
    assert not report.outcomes_of(Status.FAILED)
    wanted = {"permuted-labels", "uncalibrated-probabilities", "rows-in-both-splits", "class-imbalance"}
    assert wanted <= ran(report)
    static = audited(run_id, tier="static")
    assert reason_of(static, "permuted-labels") == "needs the forward tier"


@pytest.mark.slow
def test_labels_under_other_names_are_found_of_texts(
    fitted: tuple[dict[str, Any], Table], tracking_uri: str, tmp_path: Path
) -> None:
    parts, rows = fitted
    turned = {name: NAMES[(number + 1) % 3] for number, name in enumerate(NAMES)}
    changed = {name: np.array([turned[item] for item in getattr(rows, name)]) for name in ("y_val", "y_test")}
    shifted = replace(rows, **changed)
    report = audited(log(parts, shifted, tmp_path))
    assert report.root_cause in ("permuted-labels", "encoder-refit", "class-names-misordered")


@pytest.mark.slow
def test_what_is_more_than_data_is_run_only_where_that_was_allowed(
    fitted: tuple[dict[str, Any], Table], tracking_uri: str, tmp_path: Path
) -> None:
    run_id = log(*fitted, tmp_path)
    (config,) = tmp_path.rglob("artifacts/model/config.json")
    (config.parent / "modeling.py").write_text("raise SystemExit\n")
    refused = audited(run_id)
    assert reason_of(refused, "permuted-labels") == "the model brings modeling.py, which may be code"
    assert "300 validation rows" in audited(run_id, allow_unsafe=True).headline


def written(folder: Path, *, settings: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """The files of a text classifier without its numbers, and what its MLmodel file says."""
    (folder / "model").mkdir()
    (folder / "components" / "tokenizer").mkdir(parents=True)
    (folder / "model" / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "model" / "model.safetensors").touch()
    (folder / "components" / "tokenizer" / "tokenizer.json").write_text("{}")
    return {"transformers": SETTINGS | (settings or {})}


def test_the_configuration_tells_the_classes(tmp_path: Path) -> None:
    found = text_model(tmp_path, written(tmp_path))
    assert (found.classes.tolist(), found.code, found.problem) == (NAMES, None, None)
    assert head(found).units == 3


@pytest.mark.parametrize(
    ("settings", "config", "problem"),
    [
        ({"task": "token-classification"}, {}, "one decision a token"),
        ({"task": "summarization"}, {}, "a transformers model for summarization"),
        ({"peft_adaptor": "peft"}, {}, "nothing is downloaded"),
        ({"model_binary": "elsewhere"}, {}, "nothing is downloaded"),
        ({}, {"problem_type": "multi_label_classification"}, "several labels a text"),
        ({}, {"id2label": {"0": "score"}}, "one number a text"),
        ({}, {"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM does not classify"),
    ],
)
def test_what_is_not_judged_is_said(
    settings: dict[str, Any], config: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    found = text_model(tmp_path, written(tmp_path, settings=settings, **config))
    with pytest.raises(Missing, match=problem):
        head(found)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("model/pytorch_model.bin", "", "pytorch_model.bin"),
        ("components/tokenizer/words.py", "", "words.py"),
        ("model/adapter_config.json", "{}", "adapter_config.json"),
        ("model/config.json", json.dumps(CONFIG | {"auto_map": {}}), "classes of its own"),
        ("model/config.json", json.dumps(CONFIG | {"quantization_config": {}}), "quantised weights"),
        ("components/tokenizer/tokenizer_config.json", '{"auto_map": {}}', "classes of its own"),
        ("model/model.safetensors.index.json", '{"weight_map": {"a": "../a.bin"}}', "weights in other files"),
        ("model/model.safetensors", None, "no safetensors"),
        ("components/tokenizer/tokenizer.json", None, "a tokenizer that is not in tokenizer.json"),
    ],
)
def test_what_is_more_than_data_is_seen(name: str, content: str | None, code: str, tmp_path: Path) -> None:
    flavors = written(tmp_path)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content)
    assert text_model(tmp_path, flavors).code == code


def test_equal_texts_are_equal_rows_in_arrays_of_any_width() -> None:
    first, second = np.array(["ab", "b", ""]), np.array(["a long text", "b", "ab"])
    hashes = RowHashes({"train": hash_rows(first), "test": hash_rows(second)})
    assert hashes.shared("train", "test").tolist() == [True, True, False]
    assert len(np.unique(hash_rows(np.array(["ab", "ba", "a b", "aab"])))) == 4
