"""Whole episodes of a ladder: the policy that climbs earns the number of its rungs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.config import load_config
from angle_domains.evaluation import Terms
from angle_domains.evaluation.episodes import Chance, disturbed, play_episodes
from angle_domains.evaluation.games import judge, standing
from angle_domains.training.verdicts import terms_of
from angle_domains.types import Decision, Percept
from tests.games import SEEDS, Ladder, LadderFeed, SeededEnvs


class Always:
    """Does one thing."""

    def __init__(self, action: int) -> None:
        self.action = action

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        assert not explore
        return Decision(torch.full((len(percept.last),), self.action))


def test_returns_are_those_of_whole_episodes_and_lengths_their_actions() -> None:
    played = play_episodes(Always(1), LadderFeed().envs(4, split="test"), episodes=10, seed=0)
    assert len(played.returns) == 10
    np.testing.assert_array_equal(played.returns, played.lengths)
    assert len(set(played.returns)) > 2
    assert (play_episodes(Always(0), LadderFeed().envs(4, split="test"), episodes=10, seed=0).returns == 0.0).all()


def test_short_episodes_do_not_push_long_ones_out() -> None:
    """Counting the first ten that end would favour short ones: the mean of the drawn lengths is 5."""
    played = [play_episodes(Always(1), LadderFeed().envs(16, split="test"), episodes=16, seed=s) for s in range(40)]
    mean = np.concatenate([p.returns for p in played]).mean()
    assert abs(mean - 5.0) < 4 * 2.6 / np.sqrt(640)


class Tower(Ladder):
    """A ladder without end where the drawn number is more than 5; what it says is left stays as it is."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.height <= 5:
            return super().step(action)
        return self._see(), float(action), False, False, {}


class TowerFeed(LadderFeed):
    def envs(self, streams: int, *, split: str) -> SeededEnvs:
        return SeededEnvs(streams, SEEDS[split], Tower)


def test_episodes_without_an_end_are_cut_and_counted() -> None:
    played = play_episodes(Always(1), TowerFeed().envs(4, split="test"), episodes=40, seed=0, limit=20)
    assert len(played.returns) == 40
    assert played.cut == (played.returns == 20).sum() == (played.lengths == 20).sum()
    assert set(played.returns) == {1, 2, 3, 4, 5, 20}
    assert 10 < played.cut < 25  # of 40 four in nine: none of them is dropped, and none drawn in another's place


def test_an_episode_that_ends_at_the_limit_is_whole() -> None:
    tall = play_episodes(Always(1), LadderFeed().envs(4, split="test"), episodes=40, seed=0, limit=9)
    assert (tall.cut, tall.lengths.max()) == (0, 9)


def test_a_verdict_says_how_many_episodes_were_cut() -> None:
    full = judge(TowerFeed(), Always(1), Terms("test", episodes=30, episode_limit=20))
    told = [line for line in full.lines if "no end within 20 steps" in line]
    assert told == [f"{full.detail.cut} of 30 episodes had no end within 20 steps and were cut there: "
                    "what came after is in no return."]  # fmt: skip
    quick = judge(TowerFeed(), Always(1), Terms("validation", full=False, episodes=10, episode_limit=20))
    assert "of 10 episodes had no end" in quick.lines[0]
    whole = judge(LadderFeed(), Always(1), Terms("test", episodes=30))
    assert not any("no end" in line for line in whole.lines)


def test_games_that_were_cut_are_not_set_beside_a_persons() -> None:
    whole = judge(LadderFeed(), Always(1), Terms("test", episodes=30)).detail
    known = replace(whole, reference={"random": 0.0, "human": 2.0 * whole.intervals["mean"].estimate})
    assert known.human_normalised == pytest.approx(0.5)
    assert replace(known, cut=1).human_normalised is None


def test_parts_have_seeds_of_their_own_and_a_seed_repeats_itself() -> None:
    def returns(split: str, seed: int) -> list[float]:
        return play_episodes(Always(1), LadderFeed().envs(8, split=split), episodes=8, seed=seed).returns.tolist()

    assert returns("test", 0) == returns("test", 0)
    assert returns("test", 0) != returns("validation", 0)
    assert returns("test", 0) != returns("test", 1)


def test_random_actions_stand_in_as_often_as_asked_and_heed_masks() -> None:
    chance, wanted = Chance(LadderFeed.spec.action_space, 0), torch.zeros(10_000, dtype=torch.int64)
    share = disturbed(wanted, chance, None, 0.4).float().mean().item()
    assert abs(share - 0.2) < 0.02  # half of the random actions are what was wanted
    mask = torch.tensor([[True, False]]).expand(10_000, 2)
    assert not disturbed(wanted, chance, mask, 1.0).any()


def test_random_choices_of_several_parts_heed_the_mask_of_each() -> None:
    space = spaces.MultiDiscrete([2, 3], start=[0, 5])
    mask = torch.tensor([[True, False, False, True, True]]).expand(1_000, 5)
    drawn = Chance(space, 0).draw(1_000, mask)
    assert set(map(tuple, drawn.tolist())) == {(0, 6), (0, 7)}
    assert abs((drawn[:, 1] == 6).float().mean().item() - 0.5) < 0.07


def test_a_full_verdict_stands_beside_chance_and_people() -> None:
    verdict = judge(LadderFeed(), Always(1), Terms("test", episodes=12, seeds=(5, 6)))
    found = verdict.detail
    assert found.episodes == 24
    assert [len(r) for r in found.returns] == [12, 12]
    assert verdict.score == verdict.metrics["return"] == pytest.approx(np.concatenate(found.returns).mean())
    assert verdict.metrics["return_low"] < verdict.score < verdict.metrics["return_high"]
    assert verdict.metrics["human_normalised"] == pytest.approx((verdict.score - 2.5) / 2.5)
    assert found.over_chance.low > 0.0
    assert verdict.lines[-1].startswith("Better than random play")
    assert any("24 whole episodes, seeds 5, 6" in line for line in verdict.lines)


def test_chance_shows_no_skill() -> None:
    verdict = judge(LadderFeed(), Chance(LadderFeed.spec.action_space, 9), Terms("test", episodes=30))
    assert verdict.lines[-1].startswith("No skill shown")


def test_a_quick_verdict_is_of_the_agent_alone() -> None:
    verdict = judge(LadderFeed(), Always(0), Terms("validation", full=False, episodes=3))
    assert (verdict.score, verdict.detail) == (0.0, None)
    assert verdict.metrics.keys() == {"return", "length"}


def test_a_few_episodes_show_nothing() -> None:
    verdict = judge(LadderFeed(), Always(1), Terms("test", episodes=4))
    assert verdict.lines[-1] == "Too few episodes to tell: 4, at least 5 are needed."


def test_episodes_that_are_all_alike_have_no_interval() -> None:
    never = judge(LadderFeed(), Always(0), Terms("test", episodes=30))
    assert "no interval" in never.lines[2]
    assert never.lines[-1].startswith("Worse than random play")  # whose episodes differ

    class Still(Ladder):
        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
            return self._see(), 1.0, True, False, {}

    class StillFeed(LadderFeed):
        def envs(self, streams: int, *, split: str) -> SeededEnvs:
            return SeededEnvs(streams, SEEDS[split], Still)

    alike = judge(StillFeed(), Always(0), Terms("test", episodes=30))
    assert alike.lines[-1].startswith("No interval can be had: within each seed all episodes returned the same")
    assert standing(alike.detail) == "alike"


@pytest.mark.parametrize("full", [True, False])
def test_random_actions_of_the_configuration_reach_the_games_that_are_judged(full: bool) -> None:
    """Where every action is drawn it is all one what the agent would do; by default none is."""
    found = {}
    for epsilon in (None, 0.0, 1.0):
        texts = () if epsilon is None else (f"training.evaluation_epsilon={epsilon}",)
        terms = terms_of(load_config(feed="classic", agent="dqn", overrides=texts), "test", full=full)
        assert terms.epsilon == (epsilon or 0.0)
        found[epsilon] = [judge(LadderFeed(), Always(action), terms).score for action in (0, 1)]
    assert found[None] == found[0.0]
    assert found[0.0][0] == 0.0 < found[1.0][0] == found[1.0][1] < found[0.0][1]
