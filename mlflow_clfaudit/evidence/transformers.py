"""Text classifiers of transformers: their JSON read as data, their weights run in the library's own classes.

Safetensors and tokenizer.json are data. What else a model brings (pickled weights, classes and tokenizers of its own)
is run only where that was allowed. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.inputs import Rows, take
from mlflow_clfaudit.evidence.network import TRUST, Network, not_trained_on
from mlflow_clfaudit.evidence.pytorch import some_outputs
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.evidence.torch_running import Module, Runner
from mlflow_clfaudit.types import Tier

TASKS = ("text-classification", "sentiment-analysis")
DATA = (".safetensors", ".json", ".txt", ".model", ".jinja", ".md")
# What makes a configuration more than numbers: classes of its own, and weights that other libraries unpack.
MORE_THAN_DATA = {"auto_map": "classes of its own", "quantization_config": "quantised weights"}
MAX_CONFIG_BYTES = 16 * 2**20
MAX_TOKENS = 512
BATCH = 32


@dataclass(frozen=True)
class TextModel:
    """What the JSON of a logged pipeline says.

    `classes` (K,) are the names of the outputs in their order. `problem` is why its answers are not judged, `code`
    what it brings that is more than data; None where there is nothing.
    """

    folder: Path
    tokenizer: Path
    architecture: str
    classes: np.ndarray
    problem: str | None = None
    code: str | None = None


@provides()
def text_model(model_folder: Path, flavors: Mapping[str, Any]) -> TextModel:
    """The logged pipeline, read as JSON."""
    settings = flavors.get("transformers")
    if settings is None:
        raise Missing("the logged model is not one of transformers")
    folder = model_folder / str(settings.get("model_binary", "model"))
    tokenizer = model_folder / "components" / "tokenizer"
    try:
        config = _content(folder / "config.json")
        architecture = str((config.get("architectures") or [settings.get("pipeline_model_type", "")])[0])
        names = config.get("id2label") or {str(number): f"LABEL_{number}" for number in range(2)}
        classes = np.array([str(names[number]) for number in sorted(names, key=int)])
        return TextModel(
            folder,
            tokenizer,
            architecture,
            classes,
            problem=_problem(settings, folder, config, architecture, len(classes)),
            code=_code(folder, tokenizer, config),
        )
    except (ValueError, TypeError, AttributeError, KeyError, OSError, RecursionError) as error:
        raise Missing(f"the model's configuration cannot be read: {type(error).__name__}") from None


def _content(path: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one where there is no file."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ValueError(f"{path.name} is too large")
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no object")
    return content


def _problem(
    settings: Mapping[str, Any], folder: Path, config: Mapping[str, Any], architecture: str, classes: int
) -> str | None:
    task = str(settings.get("task"))
    if task == "token-classification":
        return "one decision a token is not judged"
    if task not in TASKS:
        return f"a transformers model for {task} is not judged; those for {TASKS[0]} are"
    if "peft_adaptor" in settings or not (folder / "config.json").is_file():
        return "the model's weights are not among its files, and nothing is downloaded"
    if not architecture.endswith("ForSequenceClassification"):
        return f"a {architecture or 'model without a named architecture'} does not classify texts"
    if config.get("problem_type") == "multi_label_classification":
        return "several labels a text are not judged"
    return "one number a text is not judged: nothing says where class 1 begins" if classes < 2 else None


def _code(folder: Path, tokenizer: Path, config: Mapping[str, Any]) -> str | None:
    """What the model brings besides data, None where all of it is data."""
    files = [path for part in (folder, tokenizer) for path in part.rglob("*") if path.is_file()]
    for path in sorted(files):
        if path.suffix not in DATA or path.name == "adapter_config.json":
            return path.name
    for content in (config, _content(tokenizer / "tokenizer_config.json")):
        for key, what in MORE_THAN_DATA.items():
            if key in content:
                return what
    shards = _content(folder / "model.safetensors.index.json").get("weight_map", {}).values()
    if any(Path(str(name)).name != name or not str(name).endswith(".safetensors") for name in shards):
        return "weights in other files"
    if not any(path.suffix == ".safetensors" for path in files):
        return "no safetensors"
    return None if (tokenizer / "tokenizer.json").is_file() else "a tokenizer that is not in tokenizer.json"


@provides(where="text_model")
def head(text_model: TextModel) -> Head:
    """One logit a class, as every sequence classifier of transformers gives."""
    if text_model.problem is not None:
        raise Missing(text_model.problem)
    units = len(text_model.classes)
    return Head(layer=text_model.architecture, kind="Module", units=units, link="softmax", backend="torch")


@provides(tier=Tier.FORWARD)
def text_classifier(text_model: TextModel, head: Head, model_folder: Path, allow_unsafe: bool | None = None) -> Module:
    """The classifier with its tokenizer, loaded from data alone, or from whatever it brings where that was allowed."""
    allowed = os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in ("false", "0")
    if text_model.code is not None and not (allow_unsafe and allowed):
        raise Missing(f"the model brings {text_model.code}, which may be code", TRUST)
    try:
        torch, library = importlib.import_module("torch"), importlib.import_module("transformers")
        with _quiet(library):
            if text_model.code is None:
                model, tokenizer = _loaded(library, text_model)
            else:
                found = importlib.import_module("mlflow.transformers").load_model(
                    str(model_folder), return_type="components"
                )
                model, tokenizer = found["model"], found["tokenizer"]
        return Module(_runner(torch, model, tokenizer), head)
    except Missing:
        raise
    except ImportError as error:
        raise Missing(f"the model does not load: {error}", "pip install transformers torch") from None
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        raise Missing(f"the model does not load: {first_line(error)}") from None


def _loaded(library: Any, text_model: TextModel) -> tuple[Any, Any]:
    """Model and tokenizer by the library's own classes. The kind of attention could name code to be downloaded."""
    options = {"local_files_only": True, "trust_remote_code": False}
    model, said = library.AutoModelForSequenceClassification.from_pretrained(
        str(text_model.folder), use_safetensors=True, attn_implementation="eager", output_loading_info=True, **options
    )
    if said["missing_keys"]:
        raise Missing(f"the model's file lacks weights, such as {min(said['missing_keys'])}")
    return model, library.PreTrainedTokenizerFast.from_pretrained(str(text_model.tokenizer), **options)


@contextlib.contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without what the library prints while it loads."""
    before = library.logging.get_verbosity()
    library.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        library.logging.set_verbosity(before)


def _runner(torch: Any, model: Any, tokenizer: Any) -> Runner:
    """How the classifier is run on texts (N,) or token numbers (N, L), its last linear layer read on the way."""
    model.eval()
    taken = set(inspect.signature(model.forward).parameters)
    linear = [item for item in model.modules() if isinstance(item, torch.nn.Linear)]
    longest = getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS
    # A tokenizer that was given no limit says 10^30.
    limit = tokenizer.model_max_length if tokenizer.model_max_length <= longest else min(longest, MAX_TOKENS)

    def encoded(inputs: Any) -> dict[str, Any]:
        array = np.asarray(inputs)
        if array.dtype.kind in "iu" and array.ndim == 2:
            numbers = torch.as_tensor(np.ascontiguousarray(array)).long()
            padding = tokenizer.pad_token_id
            return {
                "input_ids": numbers,
                **({} if padding is None else {"attention_mask": (numbers != padding).long()}),
            }
        if array.dtype.kind != "U" or array.size != len(array):
            raise ValueError("the model reads texts, one a row, or input_ids")
        found = tokenizer(array.ravel().tolist(), padding=True, truncation=True, max_length=limit, return_tensors="pt")
        return {name: tensor for name, tensor in found.items() if name in taken}

    def run(inputs: Any, training: Mapping[str, bool]) -> Any:
        del training
        kept: list[tuple[Any, ...]] = []
        hook = (
            linear[-1].register_forward_hook(lambda _, read, given: kept.append((read[0], given)))
            if linear
            else contextlib.nullcontext()
        )
        with hook, torch.no_grad():
            starts = range(0, len(inputs), BATCH)
            outputs = [model(**encoded(take(inputs, slice(start, start + BATCH)))).logits for start in starts]
        tapped = len(kept) == len(outputs) and all(item.ndim == 2 for pair in kept for item in pair)
        features, logits = zip(*kept, strict=True) if tapped else (None, None)
        return tuple(
            None if parts is None else torch.cat(list(parts)).float().cpu().numpy()
            for parts in (features, logits, outputs)
        )

    return run


@provides(tier=Tier.FORWARD, where="text_model")
def network(text_classifier: Module, text_model: TextModel, head: Head, evaluation_rows: Rows) -> Network:
    """The classifier as a model whose texts can be judged."""
    if head.activations:
        raise Missing("the activation of a model of transformers is not exchanged")

    _, logits, outputs = some_outputs(text_classifier, evaluation_rows)
    taps = logits is not None and logits.shape == outputs.shape
    model = replace(text_classifier, taps=taps)
    return Network(
        model=model,
        tapped=model if taps else None,
        reload=not_trained_on("models of transformers are not trained on"),
        backend="transformers",
        device="CPU",
        classes=text_model.classes,
        head=head,
    )
