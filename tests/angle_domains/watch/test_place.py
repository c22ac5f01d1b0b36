"""A ladder shown where it was not said how: in a window where there is a display, else filmed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from angle_domains.errors import ConfigError
from angle_domains.evaluation.episodes import Chance
from angle_domains.showing import Showing
from angle_domains.watch import film, window
from angle_domains.watch.games import play
from feeds.errors import FeedError
from tests.games import Camera, LadderFeed


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What windows were shown, where there is a display."""
    shown: list[Any] = []
    monkeypatch.setattr("angle_domains.watch.place.no_window", lambda: None)
    monkeypatch.setattr(window, "no_window", lambda: None)
    monkeypatch.setattr(window.Window, "show", lambda self, picture: shown.append(picture))
    return shown


def played(feed: Any = None, **how: Any) -> list[str]:
    chance = Chance(LadderFeed.spec.action_space, 3)
    return list(play(feed or LadderFeed(), chance, Showing(seed=1, **how)))


@pytest.mark.usefixtures("headless")
@pytest.mark.parametrize("human", [False, True])
def test_without_a_display_a_film_is_made_in_the_folder(
    human: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "find_spec", lambda name: None)  # no encoder
    monkeypatch.setattr(window, "find_spec", lambda name: object())
    first, second, episode, last = played(human=human, folder=tmp_path / "films")
    assert first == "no display is there (DISPLAY is not set): a film is made instead"
    assert second == "it is a .webp: MP4 needs an encoder, `pip install 'angle-domains[video]'`"
    (made,) = (tmp_path / "films").iterdir()
    assert last == f"film: {made}"
    assert re.fullmatch(r"play-[\d-]+\.webp", made.name)
    with Image.open(made) as shown:
        assert shown.n_frames == int(episode.split(" in ")[1].split()[0])


@pytest.mark.usefixtures("headless")
def test_the_encoder_gives_an_mp4(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="pip install 'angle-domains[video]'")
    *_, last = played(folder=tmp_path)
    assert last.endswith(".mp4")


@pytest.mark.parametrize("human", [False, True])
def test_with_a_display_a_window_is_opened(human: bool, tmp_path: Path, windows: list[Any]) -> None:
    (told,) = played(human=human, folder=tmp_path)
    assert len(windows) == int(told.split(" in ")[1].split()[0])
    assert not list(tmp_path.iterdir())


def test_a_film_that_was_asked_for_opens_no_window(tmp_path: Path, windows: list[Any]) -> None:
    *_, last = played(video=tmp_path / "a.gif", folder=tmp_path)
    assert last == f"film: {tmp_path / 'a.gif'}"
    assert not windows
    *_, last = played(video=tmp_path / "b.gif", human=True, folder=tmp_path)  # both were asked for
    assert last == f"film: {tmp_path / 'b.gif'}"
    assert windows


@pytest.mark.usefixtures("headless")
def test_a_film_that_was_asked_for_beside_a_window_is_made_without_it(tmp_path: Path) -> None:
    told = played(video=tmp_path / "a.gif", human=True, folder=tmp_path)
    assert "a film is made instead" in told[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.usefixtures("headless")
def test_a_window_without_a_folder_for_films_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match="--human: .*--video FILE"):
        played(human=True)


def test_a_window_wants_pygame_and_a_display_that_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame", reason="pip install 'angle-domains[play]'")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert "'dummy', which nobody sees" in str(window.no_window())
    monkeypatch.setattr(window, "_UNSEEN", ())
    assert window.no_window() is None
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    assert "no display can be opened" in str(window.no_window())
    monkeypatch.setattr(window, "find_spec", lambda name: None)
    assert "angle-domains[play]" in str(window.no_window())


def test_a_window_shows_the_game_at_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame", reason="pip install 'angle-domains[play]'")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(window, "_UNSEEN", ())
    sizes: list[tuple[int, int]] = []
    flip = pygame.display.flip
    monkeypatch.setattr("pygame.display.flip", lambda: sizes.append(pygame.display.get_surface().get_size()) or flip())
    (told,) = played(folder=tmp_path)
    assert sizes == [(330, 440)] * int(told.split(" in ")[1].split()[0])
    assert not pygame.display.get_init()


class Blind(LadderFeed):
    """Its pictures need a package that is not there."""

    def camera(self, *, split: str, seed: int) -> Camera:
        camera = super().camera(split=split, seed=seed)

        def frame() -> np.ndarray:
            raise FeedError("pictures of the ladder need a package")

        camera.frame = frame  # type: ignore[method-assign]
        return camera


@pytest.mark.usefixtures("headless")
def test_a_game_that_draws_nothing_is_played_without_pictures(tmp_path: Path) -> None:
    first, last = played(Blind(), folder=tmp_path)
    assert first == "pictures of the ladder need a package: this is played without pictures"
    assert last.startswith("episode 1: return")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FeedError, match="need a package"):
        played(Blind(), video=tmp_path / "a.gif", folder=tmp_path)
