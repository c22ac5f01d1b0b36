"""Prices of one universe as portfolio decisions: costs, cash, no look-ahead. Pure, one code for NumPy and torch.

At the close of bar t the agent sees what was known at t and says which weights it wants. Its orders fill in bar t+1, at
the open where the data have one, else at the close (`fill="same_close"`: at the close of t). See `feeds.market.flow`
for the market's side of a bar and `feeds.market.accounting` for the portfolio's.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from feeds import random
from feeds.backend import Backend, backend
from feeds.base import FeedSpec, Step
from feeds.errors import FeedError, nearest
from feeds.market.accounting import Portfolio, drift, make_terms, portfolio_step, solvent, worth
from feeds.market.actions import action_space, is_simplex, make_decoder
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.features import build_features
from feeds.market.flow import make_flow
from feeds.market.observation import Observer, lay_out, make_panel
from feeds.market.read import read_bars
from feeds.market.rewards import Outcome, make_rewarder, num_moments
from feeds.split import time_splits

Array = Any


class MarketState(NamedTuple):
    """All streams at the close of a bar."""

    bar: Array  # [B] int64 row of the bars
    end: Array  # [B] int64 row at whose close the episode is truncated
    over: Array  # [B] bool: the episode has ended
    assets: Array  # [B, N] currency
    cash: Array  # [B] currency
    wealth: Array  # [B] currency
    peak: Array  # [B] currency, of wealth
    tranches: Array  # [B, holding - 1, N] targets still held, oldest first
    moments: Array  # [B, M] of the reward


class MarketFeed:
    """The market as a DataFeed.

    Info of a step: `wealth` [B] currency; `log_return` and `gross_log_return` [B, k] net and before trading costs, one
    for each bar of the step, 0 after its end; `turnover` and `cost` [B] as fractions of wealth; `weights` [B, N] at the
    step's close; `projected` [B] the action was infeasible; `bar` [B] row of the last bar; `ruined` [B].
    """

    def __init__(self, config: MarketConfig, *, bars: Bars | None = None) -> None:
        self.config = config
        self.check_report = None
        if bars is None:
            bars, self.check_report = read_bars(config)
        self.bars = bars
        self.parts = time_splits(bars.timestamp, config.splits, horizon=config.rebalance_every * config.holding)
        self.features = build_features(bars, config, self.parts["train"])
        self._layout = lay_out(self.features, bars, tranches=config.holding > 1)
        self._panel = make_panel(self._layout, self.features, bars)
        self._flow_tables = make_flow(bars, config)
        self.spec = self._make_spec()
        self._place(backend("cpu"))

    def to(self, device: str) -> "MarketFeed":
        """The same feed computing on "cpu" (NumPy), "torch" (torch on the CPU) or "cuda"."""
        moved = copy.copy(self)
        moved._place(backend(device))
        return moved

    def describe(self) -> dict[str, Any]:
        return self.bars.describe()

    def reset(self, keys: Array, *, split: str = "train") -> tuple[MarketState, Step]:
        """Episodes `[B]` that begin in cash: a random stretch of the train part, the whole of any other part."""
        xp, put = self.backend.xp, self.backend.put
        keys = put(keys)
        bar, end = self._stretch(keys, split)
        zero = xp.zeros_like(bar, dtype=xp.float64)
        streams, (_, assets) = bar.shape[0], self.bars.shape
        state = MarketState(
            bar=bar,
            end=end,
            over=xp.zeros_like(bar, dtype=xp.bool),
            assets=self.backend.zeros(streams, assets),
            cash=zero + self._initial,
            wealth=zero + self._initial,
            peak=zero + self._initial,
            tranches=self.backend.zeros(streams, self.config.holding - 1, assets),
            moments=self.backend.zeros(streams, num_moments(self.config.reward)),
        )
        return state, self._first_step(state)

    def step(self, state: MarketState, action: Array) -> tuple[MarketState, Step]:
        """Trades towards the action's weights. FeedError, which names the stream, where it is not a number.

        Streams that are over trade nothing, whatever their action is.
        """
        action = self.backend.put(action)
        if not self.backend.count(state.over):
            return self._advance(state, *self._decode(action), None)
        xp, over = self.backend.xp, state.over
        allowed = xp.zeros_like(action)  # an action of every mode
        targets, projected = self._decode(xp.where(over.reshape(-1, *[1] * (action.ndim - 1)), allowed, action))
        targets = xp.where(over[:, None], 0.0, targets)
        return self._advance(self._settled(state), targets, projected & ~over, None)

    def hold(self, state: MarketState, targets: Array) -> tuple[MarketState, Step]:
        """Trades towards weights `[B, N]` by the same clock, tranches and costs; NaN leaves a holding as it is."""
        xp = self.backend.xp
        targets = self.backend.to_float(self.backend.put(targets))
        projected = xp.zeros_like(state.over)
        missing = xp.isnan(targets)
        kept = None
        if bool(missing.any()):
            kept = xp.astype(missing, xp.float64)
            last = state.tranches[:, -1] if self.config.holding > 1 else xp.zeros_like(targets)
            targets = xp.where(missing, last, targets)
        targets = xp.where(state.over[:, None], 0.0, targets)
        return self._advance(self._settled(state), targets, projected, kept)

    def _advance(
        self, state: MarketState, targets: Array, projected: Array, kept: Array | None
    ) -> tuple[MarketState, Step]:
        xp, config = self.backend.xp, self.config
        targets, tranches = self._spread(state, targets)
        ahead = state.bar + 1
        bar = self._flow.bar(self.backend, state.bar, ahead)
        traded = portfolio_step(self._terms, Portfolio(state.assets, state.cash), targets, bar, kept)
        spent = traded.cost / traded.before_costs
        log_return = xp.log(traded.wealth / state.wealth)
        returns, gross_returns = log_return[:, None], (log_return - xp.log1p(-spent))[:, None]
        portfolio = traded.portfolio
        moved = MarketState(
            bar=ahead,
            end=self.backend.copy(state.end),
            over=state.over,
            assets=portfolio.assets,
            cash=portfolio.cash,
            wealth=traded.wealth,
            peak=xp.maximum(state.peak, traded.wealth),
            tranches=tranches,
            moments=state.moments,
        )
        if config.rebalance_every > 1:
            moved, later = self._coast(moved)
            returns, gross_returns = xp.concat([returns, *later], axis=1), xp.concat([gross_returns, *later], axis=1)
            log_return = xp.sum(returns, axis=1)
        info = {
            "wealth": self.backend.copy(moved.wealth),
            "log_return": returns,
            "gross_log_return": gross_returns,
            "turnover": traded.notional / traded.before_costs,
            "cost": spent,
            "projected": projected,
            "bar": self.backend.copy(moved.bar),
        }
        return self._finish(state, moved, log_return, info)

    def _finish(
        self, before: MarketState, state: MarketState, log_return: Array, info: dict[str, Array]
    ) -> tuple[MarketState, Step]:
        """Reward, end and observation of a step whose books are closed."""
        config, share = self.config, self.backend.xp.reciprocal(state.wealth)
        drawdown = (state.peak - state.wealth) / state.peak
        earlier = (before.peak - before.wealth) / before.peak if config.reward.drawdown_penalty else drawdown
        reward, moments = self._reward(Outcome(log_return, drawdown, earlier, info["turnover"]), before.moments)
        terminated = state.wealth <= self._ruin
        over = terminated | (state.bar >= state.end)
        info["weights"] = weights = state.assets * share[:, None]
        info["ruined"] = self.backend.copy(terminated)
        pending = state.tranches.sum(1) / config.holding if config.holding > 1 else None
        observation = self._observer.look(state.bar, weights, state.cash * share, drawdown, pending)
        bar, end, _, assets, cash, wealth, peak, tranches, _ = state
        state = MarketState(bar, end, over, assets, cash, wealth, peak, tranches, moments)
        return state, Step(observation, reward, terminated, over ^ terminated, info)

    def _coast(self, state: MarketState) -> tuple[MarketState, list[Array]]:
        """The rest of a step of several bars: no trade, each stream until its end or ruin. Returns of each bar too."""
        xp, rows, terms, flow = self.backend.xp, self.backend.rows, self._terms, self._flow
        returns = []
        for _ in range(self.config.rebalance_every - 1):
            moving = (state.bar < state.end) & (state.wealth > self._ruin)
            ahead = xp.where(moving, xp.minimum(state.bar + 1, self._last), state.bar)
            stays = None if flow.stays is None else rows(flow.stays, ahead)
            drifted = drift(
                terms, Portfolio(state.assets, state.cash), rows(flow.whole, ahead), stays, financed=terms.financed
            )
            assets = xp.where(moving[:, None], drifted.assets, state.assets)
            cash = xp.where(moving, drifted.cash, state.cash)
            wealth = solvent(terms, xp.where(moving, worth(terms, Portfolio(assets, cash)), state.wealth))
            returns.append(xp.log(wealth / state.wealth)[:, None])
            peak = xp.maximum(state.peak, wealth)
            state = state._replace(bar=ahead, assets=assets, cash=cash, wealth=wealth, peak=peak)
        return state, returns

    def _spread(self, state: MarketState, targets: Array) -> tuple[Array, Array]:
        """The mean of the last targets, and the targets to keep for the next decisions."""
        if self.config.holding == 1:
            return targets, state.tranches
        tranches = self.backend.xp.concat([state.tranches[:, 1:], targets[:, None]], axis=1)
        return (state.tranches.sum(1) + targets) / self.config.holding, tranches

    def _settled(self, state: MarketState) -> MarketState:
        """Streams that are over stand in cash, with no orders pending: what is thrown away must not fail."""
        cash = self.backend.xp.where(state.over, self._initial, state.cash)
        wealth = self.backend.xp.where(state.over, self._initial, state.wealth)
        assets = self.backend.xp.where(state.over[:, None], 0.0, state.assets)
        tranches = self.backend.xp.where(state.over[:, None, None], 0.0, state.tranches)
        bar = self.backend.xp.minimum(state.bar, self._last - 1)
        return state._replace(bar=bar, assets=assets, cash=cash, wealth=wealth, tranches=tranches)

    def _stretch(self, keys: Array, split: str) -> tuple[Array, Array]:
        """First and last row `[B]` of the episodes that belong to the keys."""
        if split not in self.parts:
            raise FeedError(f"the market has no split '{split}': {nearest(split, self.parts)}")
        part, xp = self.parts[split], self.backend.xp
        first, last = max(part.start, self.features.first), part.stop - 1
        if last <= first:
            raise FeedError(
                f"the {split} part (bars {part.start} to {part.stop}) holds no step: "
                f"features need {self.features.first} bars of history"
            )
        start = xp.zeros_like(keys) + first
        if split != "train":
            return start, start * 0 + last
        length = min(self.config.episode_bars, last - first)
        if self.config.random_start:
            start = start + random.integers(keys, last - first - length + 1)
        return start, start + length

    def _first_step(self, state: MarketState) -> Step:
        xp = self.backend.xp
        zero = xp.zeros_like(state.wealth)
        no = xp.zeros_like(state.over)
        bars = self.backend.zeros(zero.shape[0], self.config.rebalance_every)
        info = {
            "wealth": state.wealth + 0.0,
            "log_return": bars,
            "gross_log_return": bars + 0.0,
            "turnover": zero + 0.0,
            "cost": zero + 0.0,
            "weights": state.assets + 0.0,
            "projected": no | False,
            "bar": state.bar + 0,
            "ruined": no | False,
        }
        return Step(self._observer.blank(state.bar), zero, no, no | False, info)

    def _place(self, where: Backend) -> None:
        """Puts every table on a device."""
        config, where = self.config, where.sized(len(self.bars.symbols))
        self.backend = where
        self._flow = self._flow_tables.to(where)
        self._observer = Observer(self._layout, self._panel, where)
        self._decode = make_decoder(config.actions, len(self.bars.symbols), where)
        self._reward = make_rewarder(config.reward, where)
        self._terms = make_terms(
            where,
            config.costs,
            config.actions,
            periods=config.periods_per_year,
            same_close=config.fill == "same_close",
        )
        self._last = len(self.bars.timestamp) - 1
        self._initial = config.costs.initial_wealth
        self._ruin = config.ruin * config.costs.initial_wealth

    def _make_spec(self) -> FeedSpec:
        config, limit = self.config, float(np.finfo(np.float32).max)
        fill = "at the same close" if config.fill == "same_close" else "in the next bar"
        return FeedSpec(
            name="market",
            observation_space=spaces.Box(-limit, limit, (self._layout.size,), np.float32),
            action_space=action_space(config.actions, len(self.bars.symbols)),
            blocks=self._layout.blocks,
            simplex=is_simplex(config.actions),
            clock=f"{config.rebalance_every} bar(s) a step; decided at a close, filled {fill}",
            units={
                "reward": "log of the wealth ratio" if config.reward.kind == "log_wealth" else "differential Sharpe",
                "wealth": "currency",
                "turnover": "fraction of wealth",
                "cost": "fraction of wealth",
            },
            splits=tuple(self.parts),
        )
