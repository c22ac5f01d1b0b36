"""Files and links that change in one atomic step: whoever reads finds the old or the new, and no draft is left."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from angle_domains.errors import CheckpointError


def point(link: Path, folder: Path) -> None:
    """Lets a symbolic link point to a folder, in one atomic step."""
    draft = link.with_name(f".{link.name}-{os.getpid()}")
    with _drafted(draft, link):
        draft.unlink(missing_ok=True)
        draft.symlink_to(os.path.relpath(folder, link.parent))


def replace(path: Path, text: str) -> None:
    """Writes a file in one atomic step."""
    draft = path.with_suffix(".tmp")
    with _drafted(draft, path):
        draft.write_text(text)


def sweep(*links: Path) -> None:
    """Removes drafts of these links that a killed process left behind."""
    for link in links:
        for draft in link.parent.glob(f".{link.name}-*"):
            draft.unlink(missing_ok=True)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """CheckpointError in place of what the disk says where it refuses `path`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} could not be written: {error}") from error


@contextmanager
def _drafted(draft: Path, path: Path) -> Iterator[None]:
    """Puts the draft that is made within in its place; CheckpointError where the disk refuses, and no draft is left."""
    with written(path):
        try:
            yield
            os.replace(draft, path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
