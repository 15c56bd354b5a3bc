"""Reads members of zip archives that others wrote: bounded in size, and every way of being damaged is one error."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

# Arrays of labels and weights pack well; a member that is far beyond both bounds is there to fill the memory.
MAX_UNPACKED_BYTES = 2**30
MAX_RATIO = 100
DAMAGED = (OSError, EOFError, KeyError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def read_member(archive: zipfile.ZipFile, name: str, limit: int = MAX_UNPACKED_BYTES * 4) -> bytes:
    """The bytes of a member; nothing is written to disk, so its name cannot lead anywhere.

    Raises:
        ValueError: it is larger than `limit`, or packed so tightly that it is no data.
        One of DAMAGED otherwise, where the archive is damaged.
    """
    found = archive.getinfo(name)
    if found.file_size > limit:
        raise ValueError(f"{name} is larger than {limit // 2**20} MB")
    check_packing(found)
    return archive.read(found)


def check_packing(found: zipfile.ZipInfo) -> None:
    """ValueError for a member that would unpack to more than 1 GB and a hundred times its size."""
    if found.file_size > MAX_UNPACKED_BYTES and found.file_size > MAX_RATIO * found.compress_size:
        raise ValueError(f"{found.filename} unpacks from {found.compress_size} to {found.file_size} bytes")


def check_archive(path: Path) -> None:
    """The same for every member of an archive that another library is about to read."""
    with zipfile.ZipFile(path) as archive:
        for found in archive.infolist():
            check_packing(found)
