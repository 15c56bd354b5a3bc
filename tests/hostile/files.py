"""Files that are made to do harm when they are read."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MLMODEL = "flavors:\n  keras:\n    data: data\n    keras_backend: tensorflow\n    save_format: keras\n"
METADATA = {"keras_version": "3.15.0", "date_saved": "2026-01-01@00:00:00"}


def dense(name: str, units: int, activation: str, **fields: Any) -> dict[str, Any]:
    config = {"name": name, "units": units, "activation": activation, "trainable": True, **fields}
    shape = {"input_shape": [None, 4]}
    return {"module": "keras.layers", "class_name": "Dense", "config": config, "build_config": shape}


def sequential(*layers: dict[str, Any], loss: Any = "binary_crossentropy") -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": list(layers)},
        "compile_config": {"optimizer": "adam", "loss": loss, "metrics": ["accuracy"]},
    }


def faulty() -> dict[str, Any]:
    """A model whose fault the static tier names."""
    return sequential(dense("hidden", 8, "relu"), dense("head", 1, "softmax"))


def weights() -> bytes:
    content, random = io.BytesIO(), np.random.default_rng(0)
    with h5py.File(content, "w") as file:
        for name, shape in (("hidden", (4, 8)), ("head", (8, 1))):
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            group.create_dataset("0", data=random.normal(size=shape).astype("float32"))
            group.create_dataset("1", data=np.zeros(shape[-1:], dtype="float32"))
    return content.getvalue()


def model(folder: Path, config: Any = None, members: Mapping[str, bytes] | None = None, **options: Any) -> Path:
    """A logged Keras model in `folder`; `members` replace or add files of the archive."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(MLMODEL)
    path = folder / "data" / "model.keras"
    content: dict[str, bytes] = {
        "metadata.json": json.dumps(METADATA).encode(),
        "config.json": config if isinstance(config, bytes) else json.dumps(config or faulty()).encode(),
        "model.weights.h5": weights(),
        **(members or {}),
    }
    with zipfile.ZipFile(path, "w", options.get("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def declare(path: Path, name: str, size: int) -> None:
    """Let the zip file claim another unpacked size for a member, in both of its headers."""
    with zipfile.ZipFile(path) as archive:
        found = archive.getinfo(name)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, found.header_offset + 22, size)
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    struct.pack_into("<I", data, at + 24, size)
    path.write_bytes(bytes(data))


def zeros(megabytes: int, name: str) -> bytes:
    """A zip archive with one member that unpacks to so many megabytes of zeros, made of one deflated block repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = block * megabytes + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    checksum = 0
    for _ in range(megabytes):
        checksum = zlib.crc32(bytes(2**20), checksum)
    sizes = struct.pack("<HHIII", 0, 0, checksum, len(data), megabytes * 2**20)
    about = struct.pack("<HHH", 20, 0, zipfile.ZIP_DEFLATED) + sizes + struct.pack("<HH", len(name), 0)
    local = b"PK\x03\x04" + about + name.encode() + data
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + about + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    return local + entry + b"PK\x05\x06" + end


def npy_header(shape: str, descr: str = "'<i8'") -> bytes:
    """The header of a .npy file of that shape, without its values."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


class Acts:
    """An object that writes a marker file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "acted")
