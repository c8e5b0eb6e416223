"""Archives whose bytes depend on nothing but their content: times, order, owners and modes are fixed."""

from __future__ import annotations

import gzip
import io
import pathlib
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

# The earliest time that a zip can store.
EARLIEST = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class File:
    # Its path in the archive.
    name: str
    content: bytes
    executable: bool = False

    @property
    def mode(self) -> int:
        return 0o755 if self.executable else 0o644


def tar_gz(path: pathlib.Path, files: Iterable[File], seconds: int, compression: int = 9) -> None:
    """Writes the whole archive or nothing. Its files are of root, and from `seconds` since 1970."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(files, key=lambda one: one.name):
            entry = tarfile.TarInfo(file.name)
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, seconds
            archive.addfile(entry, io.BytesIO(file.content))
    write(path, compressed(plain.getvalue(), compression))


def compressed(data: bytes, compression: int = 9) -> bytes:
    """As gzip, without a name and a time."""
    return gzip.compress(data, compresslevel=compression, mtime=0)


def zipped(path: pathlib.Path, files: Iterable[File], compression: int = 9) -> None:
    """Writes the whole archive or nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted(files, key=lambda one: one.name):
            entry = zipfile.ZipInfo(file.name, date_time=EARLIEST)
            entry.create_system = 3
            entry.external_attr = (0o100000 | file.mode) << 16
            # A zip in a zip gets no smaller.
            is_zip = file.name.endswith(".zip")
            entry.compress_type = zipfile.ZIP_STORED if is_zip else zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.content, compresslevel=compression)
    write(path, buffer.getvalue())


def filled(template: pathlib.Path, **words: str) -> bytes:
    """A text with a word for each name in braces."""
    text = template.read_text("utf-8")
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text.encode()


def write(path: pathlib.Path, data: bytes) -> None:
    """Writes the whole file or nothing."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(data)
    unfinished.replace(path)
