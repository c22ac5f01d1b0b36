"""Pictures of a ladder, filmed; its height falls with every step."""

from collections import deque
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from PIL import Image

from angle_domains.errors import ConfigError
from angle_domains.evaluation.episodes import Chance
from angle_domains.loops import begin
from angle_domains.showing import Showing
from angle_domains.tables import agent_spec, resolve
from angle_domains.types import Decision, Percept
from angle_domains.watch import film, games
from angle_domains.watch.games import moments, play
from angle_domains.watch.panel import Thoughts, beside
from feeds.base import FeedSpec
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


def test_a_strip_shows_pictures_side_by_side() -> None:
    shades = (10, 60, 110)
    seen = film.strip([np.full((40, 30, 3), shade, np.uint8) for shade in shades])
    assert seen.shape == (160, 3 * 120 + 2 * 2, 3)
    for place, shade in enumerate(shades):
        assert (seen[:, 122 * place : 122 * place + 120] == shade).all()


def test_the_ending_holds_the_last_pictures_without_the_panel(tmp_path: Path) -> None:
    ending: deque[np.ndarray] = deque(maxlen=2)
    list(play(LadderFeed(), chance(), Showing(seed=1, video=tmp_path / "a.gif", values=True, ending=ending)))
    assert [picture.shape for picture in ending] == [(40, 30, 3)] * 2
    assert [int((picture[:, 0, 0] > 0).sum()) for picture in ending] == [4, 0]  # one rung is left, then none


BAR, CHOSEN, TRACK = (78, 126, 186), (240, 170, 60), (34, 44, 57)


def bars(thoughts: Thoughts, *chosen: int) -> list[tuple[tuple[int, ...], list[int]]]:
    """Of each bar that the panel shows: its colour, and the columns from the first to the last."""
    panel = beside(np.zeros((320, 320, 3), np.uint8), thoughts, chosen, ("a",))[:, 320:]
    found = []
    for row in panel:
        for colour in (BAR, CHOSEN):
            columns = np.flatnonzero((row == colour).all(-1)).tolist()
            entry = (colour, columns[:1] + columns[-1:])
            if columns and (not found or found[-1] != entry):
                found.append(entry)
    return found


def test_the_panel_lights_the_chosen_action() -> None:
    picture = np.full((320, 320, 3), 9, np.uint8)
    values = Thoughts.of_values(np.array([1.0, 2.0, -np.inf]))
    one = beside(picture, values, (1,), ("a",))
    assert one.shape == (320, 540, 3)
    np.testing.assert_array_equal(one[:, :320], picture)
    assert bars(values, 1) == [(BAR, [36, 37]), (CHOSEN, [36, 150])]  # from the lowest to the highest; none forbidden
    assert bars(values, 0)[0][0] == CHOSEN


def test_probabilities_are_drawn_as_shares_of_the_whole() -> None:
    assert bars(Thoughts.of_probabilities(np.array([0.25, 0.75, -np.inf])), 1) == [(BAR, [36, 64]), (CHOSEN, [36, 121])]


def test_an_action_in_a_box_is_drawn_from_zero_towards_the_edges() -> None:
    space = spaces.Box(np.array([-2.0, 0.0, -np.inf], np.float32), np.array([2.0, 4.0, np.inf], np.float32))
    drawn = bars(Thoughts.of_action(np.array([-1.0, 4.0, 1.5], np.float32), space))
    assert [columns for _, columns in drawn] == [[64, 93], [36, 150], [93, 150]]


def test_equal_values_and_long_titles_do_no_harm() -> None:
    same = Thoughts.of_values(np.full(40, 3.0))
    seen = beside(np.zeros((320, 320, 3), np.uint8), same, (0,), ("w" * 90,))
    assert (seen[:30, -4:] == (18, 24, 32)).all()  # the words end before the edge


def test_action_values_reach_the_picture() -> None:
    class Thinks(Chance):
        def act(self, percept: Percept, memory: Any = None, *, explore: bool = False) -> Decision:
            return Decision(torch.ones(1, dtype=torch.int64), None, {"q": torch.tensor([[0.5, 2.0]])})

    camera = LadderFeed().camera(split="validation", seed=2)
    agent = Thinks(LadderFeed.spec.action_space, 0)
    first = next(moments(agent, camera.envs, Showing(), camera))
    assert first.thoughts is not None
    assert (first.thoughts.what, first.chosen) == ("value", (1,))
    np.testing.assert_array_equal(first.thoughts.numbers, [0.5, 2.0])


SMALL = {"network": {"hidden": (8,)}}
MADE = {"streams": 1, "seed": 3, "device": "cpu"}


@pytest.mark.parametrize("name", ["ppo", "a2c", "sac"])
def test_agents_that_draw_their_actions_show_probabilities(name: str) -> None:
    spec, settings = agent_spec(name), {**SMALL, "start_random": 0} if name == "sac" else SMALL
    agent = resolve(spec.build)(resolve(spec.config)(**settings), LadderFeed.spec, **MADE)
    assert "log_probs" not in agent.act(begin(LadderFeed().envs(1, split="train"), 0).percept, explore=True).extras
    seen = list(moments(agent, LadderFeed().envs(1, split="validation"), Showing()))
    for moment in seen:
        assert moment.thoughts is not None
        assert moment.thoughts.what == "probability"
        assert moment.thoughts.numbers.sum() == pytest.approx(1.0)
        assert (moment.thoughts.numbers.argmax(),) == moment.chosen == (moment.action,)


@pytest.mark.parametrize("name", ["ppo", "td3", "sac"])
def test_agents_that_act_in_a_box_show_what_they_do(name: str) -> None:
    envs = SyncVectorEnv([lambda: gym.make("Pendulum-v1")], autoreset_mode=AutoresetMode.NEXT_STEP)
    spec = agent_spec(name)
    world = FeedSpec("pendulum", envs.single_observation_space, envs.single_action_space)
    agent = resolve(spec.build)(resolve(spec.config)(**SMALL), world, **MADE)
    first = next(moments(agent, envs, Showing(epsilon=1.0)))
    assert first.thoughts is not None
    assert (first.thoughts.what, first.chosen) == ("action", ())
    assert (first.thoughts.low.tolist(), first.thoughts.high.tolist()) == ([-2.0], [2.0])
    wanted = agent.act(begin(envs, 0).percept, explore=False).action[0]
    assert first.thoughts.numbers == pytest.approx(wanted.numpy())  # not what chance put in its place
    assert first.action != pytest.approx(wanted.numpy())


class Pair(gym.Env[Any, Any]):
    """Two choices at once, of two and of three, the second counted from 5; an episode is one step."""

    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.MultiDiscrete([2, 3], start=[0, 5])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 0.0, True, False, {}


def test_choices_side_by_side_have_bars_each() -> None:
    envs = SyncVectorEnv([Pair], autoreset_mode=AutoresetMode.NEXT_STEP)
    spec = agent_spec("ppo")
    world = FeedSpec("pair", envs.single_observation_space, envs.single_action_space)
    agent = resolve(spec.build)(resolve(spec.config)(**SMALL), world, **MADE)
    first = next(moments(agent, envs, Showing()))
    assert first.thoughts is not None
    assert first.thoughts.names == ("0.0", "0.1", "1.0", "1.1", "1.2")
    halves = np.split(first.thoughts.numbers, [2])
    assert [half.sum() for half in halves] == pytest.approx([1.0, 1.0])
    assert first.chosen == (halves[0].argmax(), 2 + halves[1].argmax()) == (first.action[0], 2 + first.action[1] - 5)
    mask = torch.tensor([[True, False, True, True, False]])
    decision = agent.act(begin(envs, 0).percept._replace(mask=mask), explore=False)
    thoughts = games._thoughts(decision, envs.single_action_space, mask)
    assert thoughts is not None
    assert np.isneginf(thoughts.numbers).tolist() == (~mask[0]).tolist()
    lit = beside(np.zeros((320, 320, 3), np.uint8), first.thoughts, first.chosen, ("a",))
    assert (lit == CHOSEN).all(-1).any(1).sum() > (
        beside(np.zeros((320, 320, 3), np.uint8), first.thoughts, first.chosen[:1], ("a",)) == CHOSEN
    ).all(-1).any(1).sum()


def test_forbidden_actions_have_no_bar() -> None:
    percept = begin(LadderFeed().envs(1, split="train"), 0).percept._replace(mask=torch.tensor([[False, True]]))
    spec = agent_spec("ppo")
    agent = resolve(spec.build)(resolve(spec.config)(**SMALL), LadderFeed.spec, **MADE)
    for extras in (agent.act(percept, explore=False).extras, {"q": torch.tensor([[5.0, 1.0]])}):
        thoughts = games._thoughts(Decision(torch.ones(1), None, extras), LadderFeed.spec.action_space, percept.mask)
        assert thoughts is not None
        assert thoughts.numbers.tolist() == pytest.approx([-np.inf, 1.0])
