"""Every path goes through the feed's own books, whoever decides."""

import numpy as np
import pytest
import torch

from angle_domains.evaluation.baselines import equal_weight
from angle_domains.evaluation.rollout import AgentDriver, PortfolioPath, TargetDriver, episode, rollout
from feeds.market.config import Actions, Costs
from feeds.market.feed import MarketFeed
from tests.portfolios import LONG_SHORT, Rule, fixed, make_bars, make_feed, random_closes, wandering

COSTLY = Costs(commission=0.001, half_spread=0.002, cash_rate=0.02)


def run(feed: MarketFeed, agent: Rule, split: str = "test") -> PortfolioPath:
    return rollout(feed, AgentDriver(feed, agent), split=split, name="agent")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("settings", [{}, {"rebalance_every": 7}, {"holding": 3}, {"fill": "same_close"}])
def test_log_returns_sum_to_the_log_of_final_wealth(split: str, settings: dict[str, object]) -> None:
    feed = make_feed(random_closes(200, 4), costs=COSTLY, **settings)
    ticks = list(episode(feed, AgentDriver(feed, wandering(4)), split=split))
    path = run(feed, wandering(4), split)
    assert path.log_return.sum() == pytest.approx(np.log(ticks[-1].info["wealth"] / 1e6), abs=1e-12)
    assert path.log_return.sum() == pytest.approx(sum(tick.reward for tick in ticks), abs=1e-9)
    assert path.wealth[-1] == pytest.approx(ticks[-1].info["wealth"] / 1e6)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("every", [1, 7])
def test_a_path_covers_every_bar_of_the_part(every: int, split: str) -> None:
    feed = make_feed(random_closes(200, 3), rebalance_every=every, features=())
    path, part = run(feed, fixed(0.3, 0.3, 0.3), split), feed.parts[split]
    np.testing.assert_array_equal(path.timestamp, feed.bars.timestamp[part.start + 1 : part.stop])
    assert path.start == feed.bars.timestamp[part.start]
    assert len(path.log_return) == len(path.gross_log_return) == len(path.timestamp) == len(part) - 1
    decisions = -(-(len(part) - 1) // every)  # the last step may be cut short
    assert path.weights.shape == (decisions, 3)
    assert len(path.turnover) == len(path.cost) == len(path.projected) == len(path.closed) == decisions
    assert path.closed[0] == every - 1
    assert path.closed[-1] == len(path.timestamp) - 1


def test_gross_less_net_is_the_cost() -> None:
    feed = make_feed(random_closes(120, 3), costs=COSTLY)
    path = run(feed, wandering(3))
    np.testing.assert_allclose(path.gross_log_return - path.log_return, -np.log1p(-path.cost), atol=1e-12)
    assert path.cost.min() > 0.0
    np.testing.assert_allclose(path.cost, path.turnover * 0.003, rtol=1e-9)


def test_an_agent_with_the_rule_of_a_baseline_has_its_path() -> None:
    feed = make_feed(random_closes(150, 4), costs=COSTLY)
    agent = run(feed, fixed(0.25, 0.25, 0.25, 0.25))
    baseline = rollout(feed, TargetDriver(feed, equal_weight(feed)), split="test", name="equal weight")
    np.testing.assert_array_equal(agent.log_return, baseline.log_return)
    np.testing.assert_array_equal(agent.weights, baseline.weights)


def test_the_agent_is_asked_in_earnest_and_remembers() -> None:
    feed = make_feed(random_closes(60, 2))
    agent = fixed(0.5, 0.25)
    path = run(feed, agent)
    assert agent.explored == [False] * len(path.turnover)
    assert agent.memories == [None, *range(1, len(path.turnover))]
    firsts = [bool(percept.first[0]) for percept in agent.percepts]
    assert firsts == [True] + [False] * (len(firsts) - 1)
    assert not any(percept.last[0] for percept in agent.percepts)
    rewards = [float(percept.reward[0]) for percept in agent.percepts]
    np.testing.assert_allclose(rewards[1:], path.log_return[:-1], atol=1e-7)
    np.testing.assert_array_equal(agent.percepts[0].action, [[0.0, 0.0]])
    np.testing.assert_array_equal(agent.percepts[1].action, [[0.5, 0.25]])
    assert agent.percepts[0].obs.dtype == agent.percepts[0].reward.dtype == torch.float32


def test_the_agent_is_told_which_actions_are_allowed() -> None:
    feed = make_feed(random_closes(60, 2), actions=Actions(mode="portfolios", portfolios=((1.0, 0.0), (0.0, 1.0))))
    agent = Rule(lambda obs: 1, torch.int64)
    driver = AgentDriver(feed, agent)
    state, step = feed.reset(np.zeros(1, np.int64), split="test")
    state, step = driver(state, step)
    driver(state, step._replace(info=step.info | {"action_mask": np.array([[False, True]])}))
    free, bound = (percept.mask for percept in agent.percepts)
    assert free is None
    assert bound is not None
    assert (bound.dtype, bound.tolist()) == (torch.bool, [[False, True]])


def test_permuted_assets_permute_weights() -> None:
    close, order = random_closes(150, 4), np.array([2, 0, 3, 1])

    def run_on(close: np.ndarray) -> PortfolioPath:
        feed = make_feed(close, costs=COSTLY, scale="none")  # the scaler is fitted on each asset's history
        block = feed.spec.block("assets")
        assert block is not None

        def softmax(obs: np.ndarray) -> np.ndarray:
            score = np.exp(100.0 * obs[block.start : block.stop].reshape(block.shape)[:, 0])
            return 0.9 * score / score.sum()

        return run(feed, Rule(softmax))

    plain, permuted = run_on(close), run_on(close[:, order])
    assert plain.weights.std(0).min() > 0.0
    np.testing.assert_allclose(permuted.weights, plain.weights[:, order], atol=1e-6)
    np.testing.assert_allclose(permuted.log_return, plain.log_return, atol=1e-8)


def test_ruin_stands_still_to_the_end_of_the_part() -> None:
    close = random_closes(100, 2, risk=0.001)
    close[80:, 0] *= 1.9
    feed = make_feed(close, actions=LONG_SHORT, ruin=0.5)
    path = run(feed, fixed(-0.7, -0.3))
    assert path.ruined
    assert len(path.timestamp) == len(feed.parts["test"]) - 1
    assert len(path.turnover) < len(path.timestamp)
    assert path.closed[-1] == len(path.turnover) - 1 == 80 - feed.parts["test"].start - 1
    assert path.wealth[-1] == pytest.approx(path.wealth[path.closed[-1]])
    assert path.wealth[-1] == pytest.approx(0.37, abs=0.05)  # short 0.7 of what rose by 0.9


def test_ruin_on_the_train_part_stands_still_to_its_end_too() -> None:
    close = random_closes(100, 2, risk=0.001)
    close[25:, 0] *= 1.9
    feed = make_feed(close, actions=LONG_SHORT, ruin=0.5)
    path, part = run(feed, fixed(-0.7, -0.3), "train"), feed.parts["train"]
    assert path.ruined
    assert path.timestamp[path.closed[-1]] == feed.bars.timestamp[25]
    np.testing.assert_array_equal(
        path.timestamp, feed.bars.timestamp[max(part.start, feed.features.first) + 1 : part.stop]
    )


def test_training_keeps_its_short_episodes() -> None:
    feed = make_feed(random_closes(200, 2))
    before = feed.config
    run(feed, fixed(0.5, 0.5), "train")
    assert feed.config is before
    assert feed.config.random_start


@pytest.mark.parametrize(
    ("actions", "answer", "weights"),
    [
        (Actions(mode="discrete"), [1, 0, 1], [0.5, 0.0, 0.5]),
        (Actions(mode="portfolios", portfolios=((1.0, 0.0, 0.0), (0.0, 0.6, 0.4))), 1, [0.0, 0.6, 0.4]),
    ],
)
def test_other_actions_pass_through_too(actions: Actions, answer: object, weights: list[float]) -> None:
    feed = make_feed(random_closes(60, 3), actions=actions)
    path = run(feed, Rule(lambda obs: answer, torch.int64))
    np.testing.assert_allclose(path.weights[0], weights, atol=1e-9)


def test_infeasible_decisions_are_counted() -> None:
    feed = make_feed(random_closes(60, 2))
    assert run(feed, fixed(0.9, 0.9)).projected.all()
    assert not run(feed, fixed(0.5, 0.5)).projected.any()


def test_late_listings_do_not_break_a_path() -> None:
    close = random_closes(100, 3)
    close[:70, 2] = np.nan
    path = run(make_feed(make_bars(close)), fixed(0.3, 0.3, 0.3))
    assert np.isfinite(path.log_return).all()
    assert np.isfinite(path.weights).all()
