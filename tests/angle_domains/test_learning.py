"""What the default PPO finds where something can be found, and that it finds nothing where nothing can be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from angle_domains.config import load_config
from angle_domains.evaluation import Terms
from angle_domains.evaluation.market import judge
from angle_domains.evaluation.rollout import AgentDriver, rollout
from angle_domains.policy import load_policy
from angle_domains.runs import RunFolder
from angle_domains.tracking import NullTracker
from angle_domains.training import AgentTrainer
from angle_domains.training.signals import StopSignal
from feeds.base import Step
from feeds.market.feed import MarketFeed
from feeds.synthetic.optimum import BestPolicy, best_policy


class Silent:
    def start(self, total: int, label: str) -> None: ...
    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


def trained(world: str, steps: int, seed: int, folder: Path) -> tuple[MarketFeed, Any]:
    """The world's feed and the best policy, by validation, of `configs/market/ppo.yaml` with this budget."""
    budget = (f"training.steps={steps}", f"training.evaluate_every={steps // 6}")
    overrides = (f"feed.path={world}", f"seed={seed}", "device=cpu", *budget)
    config = load_config(feed="market", agent="ppo", overrides=overrides)
    feed = MarketFeed(config.feed)  # type: ignore[arg-type]
    run = RunFolder(folder / "run")
    run.create(config.to_dict())
    AgentTrainer(config, run, Silent(), feed).train(NullTracker(), StopSignal())
    return feed, load_policy(run.path).agent


class OptimalDriver:
    """Trades to the targets of dynamic programming, which knows deviation and weight."""

    def __init__(self, feed: MarketFeed, best: BestPolicy) -> None:
        self.feed, self.best = feed, best

    def __call__(self, state: Any, step: Step) -> tuple[Any, Step]:
        deviation = self.feed.bars.extras["deviation"][step.info["bar"], 0]
        held = np.asarray(step.info["weights"])[:, 0]
        return self.feed.hold(state, self.best.targets(deviation, held)[:, None])


def share_of_optimum(seed: int, steps: int, folder: Path) -> float:
    """Net growth out of sample over that of the best policy, on the same bars and costs."""
    feed, agent = trained("synthetic-mean-reverting", steps, seed, folder)
    best = best_policy(feed.config)
    ours = rollout(feed, AgentDriver(feed, agent), split="test", name="ppo").log_return
    theirs = rollout(feed, OptimalDriver(feed, best), split="test", name="optimum").log_return
    assert theirs.mean() > 3.0 * theirs.std() / np.sqrt(len(theirs))  # there is something to find
    return float(ours.mean() / theirs.mean())


@pytest.mark.gate
@pytest.mark.timeout(900)
def test_on_mean_reverting_prices_ppo_earns_nine_tenths_of_the_optimum(tmp_path: Path) -> None:
    assert share_of_optimum(seed=0, steps=1_000_000, folder=tmp_path) >= 0.9


@pytest.mark.gate
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_mean_reverting_prices_other_seeds_earn_as_much(tmp_path: Path, seed: int) -> None:
    share = share_of_optimum(seed=seed, steps=2_000_000, folder=tmp_path)
    print(f"seed {seed}: {share:.3f} of the optimum")
    assert share >= 0.9


@pytest.mark.gate
@pytest.mark.timeout(900)
def test_on_martingale_prices_ppo_shows_no_skill(tmp_path: Path) -> None:
    feed, agent = trained("synthetic-brownian", 300_000, 0, tmp_path)
    verdict = judge(feed, agent, Terms("test", trials=1))
    assert verdict.metrics["sharpe_low"] < 0.0 < verdict.metrics["sharpe_high"]
    assert verdict.metrics["excess_sharpe_low"] < 0.0 < verdict.metrics["excess_sharpe_high"]
    assert "No skill shown" in verdict.lines[-1]
