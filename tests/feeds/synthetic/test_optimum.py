import numpy as np
import pytest

from feeds.backend import backend
from feeds.errors import FeedError
from feeds.market.accounting import Bar, Portfolio, make_terms, portfolio_step
from feeds.market.config import Actions, Costs, MarketConfig
from feeds.market.feed import MarketFeed
from feeds.synthetic.optimum import BestPolicy, Grid, best_policy, left_after_costs
from feeds.synthetic.worlds import REVERSION
from tests.universe import FREE

CONFIG = MarketConfig(path="synthetic-mean-reverting", world_seed=77)


@pytest.fixture(scope="module")
def policy() -> BestPolicy:
    return best_policy(CONFIG)


@pytest.fixture(scope="module")
def feed() -> MarketFeed:
    """A path that no other test and no training sees."""
    return MarketFeed(CONFIG)


def run(feed: MarketFeed, choose: object) -> np.ndarray:
    """Rewards of the bars of validation and test, one after the other."""
    deviation, total = feed.bars.extras["deviation"][:, 0], []
    for split in ("validation", "test"):
        state, step = feed.reset(np.array([0]), split=split)
        while not step.truncated[0]:
            wanted = choose(deviation[step.info["bar"]], step.info["weights"][:, 0])  # type: ignore[operator]
            state, step = feed.hold(state, np.asarray(wanted)[:, None])
            total.append(float(step.reward[0]))
    return np.array(total)


def test_the_policy_earns_what_it_predicts_on_a_fresh_path(policy: BestPolicy, feed: MarketFeed) -> None:
    earned = run(feed, policy.targets)
    blocks = earned[: len(earned) // 100 * 100].reshape(-1, 100).mean(1)  # longer than the memory of the world
    error = blocks.std(ddof=1) / np.sqrt(len(blocks))
    assert abs(earned.mean() - policy.reward) < 3.0 * error
    assert error < 0.15 * policy.reward  # narrow enough to tell


def test_the_policy_beats_doing_nothing_and_holding(policy: BestPolicy, feed: MarketFeed) -> None:
    best = run(feed, policy.targets).sum()
    assert run(feed, lambda deviation, weight: 0.0 * weight).sum() == 0.0
    assert best > run(feed, lambda deviation, weight: 0.0 * weight + 1.0).sum() + 10.0
    assert best > 10.0


def test_the_policy_beats_the_sign_of_the_deviation() -> None:
    """Which trades at every crossing: at 30 basis points that costs more than one path's luck can hide."""
    config = CONFIG.model_copy(update={"costs": Costs(commission=0.003, half_spread=0.0)})
    feed, policy = MarketFeed(config), best_policy(config)
    gain = run(feed, policy.targets) - run(feed, lambda deviation, weight: (deviation < 0.0).astype(float))
    blocks = gain[: len(gain) // 100 * 100].reshape(-1, 100).mean(1)
    assert blocks.mean() > 4.0 * blocks.std(ddof=1) / np.sqrt(len(blocks))


def test_the_optimum_is_clearly_worth_more_than_its_costs(policy: BestPolicy) -> None:
    assert policy.reward > 0.001  # ten basis points a bar, after ten for each trade


def test_a_finer_grid_says_the_same(policy: BestPolicy) -> None:
    finer = best_policy(CONFIG, grid=Grid(deviations=271, weights=61, nodes=41))
    assert finer.reward == pytest.approx(policy.reward, rel=0.005)


def test_costs_lower_the_optimum_and_widen_the_band_of_no_trade(policy: BestPolicy) -> None:
    free, dear = (
        best_policy(CONFIG.model_copy(update={"costs": Costs(**costs)}))
        for costs in (FREE, {"commission": 0.004, "half_spread": 0.004})
    )
    assert free.reward > policy.reward > dear.reward > 0.0

    def band(found: BestPolicy) -> float:
        out, held = found.target[:, 0] > 0.5, found.target[:, -1] > 0.5
        return float(found.deviation[held].max() - found.deviation[out].max())

    assert band(free) < band(policy) < band(dear)


def test_without_costs_the_policy_is_the_myopic_one(policy: BestPolicy) -> None:
    """Fully invested below a deviation, in cash above it: where a bar's expected growth changes sign."""
    free = best_policy(CONFIG.model_copy(update={"costs": Costs(**FREE)}))
    switch = free.deviation[free.target[:, 0] > 0.5].max()
    # the log return that is decided on is (rho^2 - rho) d; at d = 0 an investment of a half would grow fastest
    assert abs(switch) < 0.1 * REVERSION.deviation
    assert (free.target == free.target[:, :1]).all()  # what is held does not matter


def test_shorts_earn_more(policy: BestPolicy) -> None:
    both = CONFIG.model_copy(update={"actions": Actions(long_only=False)})
    assert best_policy(both).reward > 1.8 * policy.reward


@pytest.mark.parametrize(("held", "wanted"), [(0.0, 1.0), (1.0, 0.0), (0.3, 0.7), (0.9, 0.2), (-0.5, 0.8)])
def test_its_costs_are_those_of_the_books(held: float, wanted: float) -> None:
    terms = make_terms(
        backend("cpu"), Costs(commission=0.002, half_spread=0.0), Actions(), periods=252, same_close=False
    )
    portfolio = Portfolio(np.array([[held]]), np.array([1.0 - held]))
    traded = portfolio_step(terms, portfolio, np.array([[wanted]]), Bar())
    left = left_after_costs(np.array(held), np.array(wanted), 0.002)
    assert traded.wealth[0] == pytest.approx(float(left), abs=1e-7)


@pytest.mark.parametrize("settings", [{"fill": "same_close"}, {"holding": 2}, {"costs": Costs(minimum_fee=1.0)}])
def test_what_it_does_not_cover_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(FeedError, match="the best policy is known for"):
        best_policy(CONFIG.model_copy(update=settings))
