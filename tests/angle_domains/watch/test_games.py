"""Pictures of a ladder, filmed; its height falls with every step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from angle_domains.errors import ConfigError
from angle_domains.evaluation.episodes import Chance
from angle_domains.showing import Showing
from angle_domains.types import Decision, Percept
from angle_domains.watch import film
from angle_domains.watch.games import moments, play
from angle_domains.watch.panel import beside
from angle_domains.watch.window import check_display
from tests.games import LadderFeed


def chance() -> Chance:
    return Chance(LadderFeed.spec.action_space, 3)


def test_moments_tell_steps_rewards_and_sums() -> None:
    camera = LadderFeed().camera(split="validation", seed=2)
    seen = list(moments(chance(), camera.envs, Showing(episodes=3, seed=2), camera))
    assert [moment.episode for moment in seen if moment.over] == [0, 1, 2]
    for episode in range(3):
        own = [moment for moment in seen if moment.episode == episode and moment.step > 0]
        assert [moment.step for moment in own] == list(range(1, len(own) + 1))
        assert own[-1].total == sum(moment.reward for moment in own)


def test_episodes_that_are_cut_begin_anew() -> None:
    camera = LadderFeed().camera(split="validation", seed=2)
    agent = Chance(LadderFeed.spec.action_space, 3)
    seen = list(moments(agent, camera.envs, Showing(episodes=3, seed=2, longest=1), camera))
    played = [moment for moment in seen if moment.step > 0]
    assert [(moment.episode, moment.step, moment.over) for moment in played] == [(k, 1, True) for k in range(3)]
    assert [moment.total for moment in played] == [moment.reward for moment in played]


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_a_film_holds_a_picture_for_every_step(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "films" / f"climb{suffix}"
    lines = list(play(LadderFeed(), chance(), Showing(seed=1, video=path, values=True)))
    steps = int(lines[0].split(" in ")[1].split()[0])
    with Image.open(path) as shown:
        assert shown.n_frames == steps
        assert shown.size[1] >= 320
        assert shown.size[0] > 240  # the panel stands beside the picture
    assert lines[-1] == f"film: {path}"
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_mp4_is_written_where_the_encoder_is(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="pip install 'angle-domains[video]'")
    import imageio_ffmpeg

    path = tmp_path / "climb.mp4"
    list(play(LadderFeed(), chance(), Showing(seed=1, episodes=3, video=path)))
    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert frames > 3


def test_a_film_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Chance):
        def act(self, percept: Percept, memory: Any = None, *, explore: bool = False) -> Decision:
            if percept.last.any():
                raise RuntimeError("the agent broke")
            return super().act(percept, memory)

    with pytest.raises(RuntimeError, match="broke"):
        list(
            play(LadderFeed(), Broken(LadderFeed.spec.action_space, 0), Showing(video=tmp_path / "a.webp", episodes=2))
        )
    assert not list(tmp_path.iterdir())


def test_an_animation_that_cannot_be_saved_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, path: Path, **rest: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        list(play(LadderFeed(), chance(), Showing(video=tmp_path / "a.gif")))
    assert not list(tmp_path.iterdir())


def test_a_film_says_what_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "_MOST_HELD", 2)
    with film.Film(tmp_path / "a.gif", frames_per_second=10.0) as long:
        for shade in range(5):
            long.add(np.full((40, 30, 3), 40 * shade, np.uint8))
    assert "without its last 3 pictures" in long.told


def test_an_ending_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"\.mp4, \.webp, \.gif"):
        film.check_format(tmp_path / "a.avi")
    monkeypatch.setattr(film, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"angle-domains\[video\]"):
        film.check_format(tmp_path / "a.mp4")
    assert film.default_suffix() == ".webp"


def test_small_pictures_are_enlarged_by_a_whole_number() -> None:
    picture = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    large = film.magnified(picture)
    assert large.shape == (320, 320, 3)
    np.testing.assert_array_equal(large[::80, ::80], picture)


def test_the_panel_lights_the_chosen_action() -> None:
    picture = np.zeros((320, 320, 3), np.uint8)
    one, two = (beside(picture, np.array([1.0, 2.0, -np.inf]), chosen, ("a",)) for chosen in (0, 1))
    assert one.shape == (320, 520, 3)
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(one[:, :320], picture)


def test_no_display_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("angle_domains.watch.window.find_spec", lambda name: object())
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ConfigError, match="--video FILE"):
        check_display()


def test_action_values_reach_the_picture() -> None:
    class Thinks(Chance):
        def act(self, percept: Percept, memory: Any = None, *, explore: bool = False) -> Decision:
            return Decision(torch.ones(1, dtype=torch.int64), None, {"q": torch.tensor([[0.5, 2.0]])})

    camera = LadderFeed().camera(split="validation", seed=2)
    agent = Thinks(LadderFeed.spec.action_space, 0)
    first = next(moments(agent, camera.envs, Showing(), camera))
    np.testing.assert_array_equal(first.thoughts, [0.5, 2.0])
