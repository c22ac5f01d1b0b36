"""Data that come along bring their terms: a licence, who to cite, and a datasheet that names both."""

from pathlib import Path

import pytest

import feeds.data

HOME = Path(feeds.data.__file__).parent
FOLDERS = sorted(path.parent for path in HOME.glob("*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_holds_its_terms(folder: Path) -> None:
    for name in ("LICENSE", "CITATION"):
        assert (folder / name).read_text(encoding="utf-8").strip()
        assert f"`{name}`" in (folder / "DATASHEET.md").read_text(encoding="utf-8")
    assert len(FOLDERS) >= 3


def test_what_is_made_up_here_has_the_licence_of_the_code() -> None:
    assert (HOME / "synth_vaso" / "LICENSE").read_bytes() == (HOME.parents[1] / "LICENSE").read_bytes()
