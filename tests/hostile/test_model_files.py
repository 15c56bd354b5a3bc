"""Model files that are made to break the static tier: a reason in bounded time and memory."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflow_clfaudit.types import Verdict
from tests.hostile import files
from tests.hostile.auditing import audited, reasons
from tests.hostile.limits import MEGABYTE


def bomb_config(folder: Path) -> None:
    files.model(folder, b'{"config": "' + b" " * (40 * MEGABYTE) + b'"}', compression=zipfile.ZIP_DEFLATED)


def declared_config(folder: Path) -> None:
    files.declare(files.model(folder), "config.json", 2**31)


def declared_small_config(folder: Path) -> None:
    files.declare(files.model(folder), "config.json", 10)


def truncated(folder: Path) -> None:
    path = files.model(folder)
    path.write_bytes(path.read_bytes()[:-200])


def damaged_deflate(folder: Path) -> None:
    path = files.model(folder, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.index(b"config.json") + 60
    data[at : at + 40] = bytes(40)
    path.write_bytes(bytes(data))


def encrypted(folder: Path) -> None:
    path = files.model(folder)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("config.json").header_offset + 6] |= 1
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.json")) + 8] |= 1
    path.write_bytes(bytes(data))


def unknown_packing(folder: Path) -> None:
    path = files.model(folder)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("config.json").header_offset + 8] = 99
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.json")) + 10] = 99
    path.write_bytes(bytes(data))


def nested(folder: Path) -> None:
    files.model(folder, b"[" * 1_000_000)


def nested_objects(folder: Path) -> None:
    files.model(folder, b'{"config":' * 300_000 + b"1" + b"}" * 300_000)


def nested_models(folder: Path) -> None:
    config: dict[str, Any] = files.faulty()
    for depth in range(230):
        config = {"class_name": "Sequential", "config": {"name": f"m{depth}", "layers": [config]}}
    files.model(folder, config)


def not_utf8(folder: Path) -> None:
    files.model(folder, b'{"class_name": "\xff\xfe"}')


def no_object(folder: Path) -> None:
    files.model(folder, b"[1, 2, 3]")


def long_number(folder: Path) -> None:
    files.model(folder, b'{"config": ' + b"9" * 100_000 + b"}")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (bomb_config, "config.json is larger than 32 MB"),
        (declared_config, "config.json is larger than 32 MB"),
        (declared_small_config, "the model file cannot be read"),
        (truncated, "File is not a zip file"),
        (damaged_deflate, "the model file cannot be read"),
        (encrypted, "is encrypted"),
        (unknown_packing, "That compression method is not supported"),
        (nested, "maximum recursion depth exceeded"),
        (nested_objects, "maximum recursion depth exceeded"),
        (nested_models, "models nested too deeply"),
        (not_utf8, "the model file cannot be read: 'utf-8' codec"),
        (no_object, "config.json is not a JSON object"),
        (long_number, "Exceeds the limit"),
    ],
    ids=lambda value: getattr(value, "__name__", "says"),
)
def test_a_broken_model_file_is_a_reason(build: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    build(tmp_path / "model")
    report = audited(tmp_path)
    assert reason in reasons(report)
    assert report.verdict is Verdict.NOT_AUDITED


def test_ten_thousand_layers_are_read(tmp_path: Path) -> None:
    hidden = [files.dense(f"hidden_{number}", 8, "relu") for number in range(10_000)]
    files.model(tmp_path / "model", files.sequential(*hidden, files.dense("head", 1, "softmax")))
    assert audited(tmp_path).root_cause == "softmax-on-one-unit"


@pytest.mark.parametrize("kind", ["Dropout", "Activation"])
def test_layers_that_read_each_other_in_a_circle(kind: str, tmp_path: Path) -> None:
    twice = {"class_name": kind, "config": {"name": "twice", "rate": 0.5, "activation": "linear"}}
    layers = [files.dense("hidden", 8, "relu"), twice, twice, files.dense("head", 8, "linear")]
    files.model(tmp_path / "middle" / "model", files.sequential(*layers))
    audited(tmp_path / "middle")
    files.model(tmp_path / "end" / "model", files.sequential(*layers, twice, twice))
    assert "its layers read each other in a circle" in reasons(audited(tmp_path / "end"))


def test_no_name_in_an_archive_leads_anywhere(tmp_path: Path) -> None:
    names = ("../../escaped", "/tmp/escaped-absolutely", "data/../../../escaped", "C:\\escaped", "assets/../../escaped")  # noqa: S108
    files.model(tmp_path / "model", members=dict.fromkeys(names, b"acted"))
    before = sorted(path for path in tmp_path.rglob("*"))
    assert audited(tmp_path).root_cause == "softmax-on-one-unit"
    (tmp_path / "artifacts").rmdir()
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert not Path("/tmp/escaped-absolutely").exists()  # noqa: S108
