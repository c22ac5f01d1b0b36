"""The books of a portfolio over one bar: drift, trade with costs, drift. Every form of the environment uses them.

A portfolio is what its assets are worth (`assets` [B, N], currency, negative where short) and `cash` [B]. Wealth is
their sum by definition, so that nothing is gained or lost but price moves, interest and costs.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from feeds.backend import Backend
from feeds.errors import FeedError
from feeds.market.config import Actions, Costs

Array = Any

_SETTLED = 1e-6  # share of wealth by which the costs of two iterates may differ
_EXACT = 1e-11  # share of wealth that Newton's method leaves
_MOST_STEPS = 100  # of Newton's method, which halves the distance at worst and soon squares it
_DUST = 1e-9  # share of wealth below which an order counts as no trade (for the minimum fee)


class Portfolio(NamedTuple):
    assets: Array  # [B, N] currency
    cash: Array  # [B] currency


class Bar(NamedTuple):
    """What the market does to each stream within one bar; None where it does nothing to any."""

    before: Array | None = None  # [B, N] price relatives up to the fill
    after: Array | None = None  # [B, N] price relatives from the fill to the close
    fills: Array | None = None  # [B, N] 1.0 where orders fill, 0.0 where they are blocked
    stays: Array | None = None  # [B, N] 0.0 where a delisted asset is paid out, else 1.0
    linear: Array | None = None  # [B, N] cost of trading a unit of currency, per unit of currency
    root: Array | None = None  # [B, N] the same per root of a unit of currency


class Traded(NamedTuple):
    portfolio: Portfolio
    wealth: Array  # [B] currency, at the end
    before_costs: Array  # [B] currency, when the orders filled
    notional: Array  # [B] currency, bought plus sold
    cost: Array  # [B] currency


@dataclass(frozen=True)
class Terms:
    """Costs, interest for a bar and caps, as plain floats: what is 0 is tested once and never computed."""

    backend: Backend
    commission: float
    half_spread: float
    minimum_fee: float
    cash_rate: float
    loan_rate: float
    borrow_rate: float
    gross_cap: float
    net_cap: float
    financed_after: bool  # interest accrues after the fill (which is the close before) instead of up to it
    financed: bool  # any of the rates is not 0
    rate: float  # commission and half spread, where there is no minimum fee
    proportional: bool  # costs are the traded notional times `rate`
    rounds: int  # fixed-point iterations for the wealth that is left after costs


def make_terms(backend: Backend, costs: Costs, actions: Actions, *, periods: float, same_close: bool) -> Terms:
    """The terms of a feed whose year has that many bars.

    One iteration leaves an error of (cost rate)^2 in the weights, so proportional costs need two, others four; where
    impact is so strong that those do not settle, the wealth that is left is solved for.
    """
    proportional = not (costs.minimum_fee or costs.linear_impact or costs.sqrt_impact)
    free = proportional and not (costs.commission or costs.half_spread)
    return Terms(
        backend=backend,
        commission=costs.commission,
        half_spread=costs.half_spread,
        minimum_fee=costs.minimum_fee,
        cash_rate=costs.cash_rate / periods,
        loan_rate=costs.loan_rate / periods,
        borrow_rate=costs.borrow_rate / periods,
        gross_cap=actions.gross_cap,
        net_cap=actions.net_cap,
        financed_after=same_close,
        financed=bool(costs.cash_rate or costs.loan_rate or costs.borrow_rate),
        rate=costs.commission + costs.half_spread,
        proportional=proportional,
        rounds=1 if free else 2 if proportional else 4,
    )


def portfolio_step(terms: Terms, portfolio: Portfolio, targets: Array, bar: Bar, kept: Array | None = None) -> Traded:
    """The portfolio at the end of a bar in which `targets` [B, N] (fractions of wealth after costs) are traded.

    `kept` [B, N] is 1.0 where a holding is left alone whatever its target. Blocked and kept positions are carried, and
    the other targets shrink where the caps would break with them. Raises FeedError, which names the stream, where a
    loss exceeds the wealth: nothing is clamped.
    """
    early = not terms.financed_after
    portfolio = drift(terms, portfolio, bar.before, bar.stays if early else None, financed=terms.financed and early)
    traded = trade(terms, portfolio, targets, bar, kept)
    if bar.after is None:
        return traded
    stays = None if early else bar.stays
    portfolio = drift(terms, traded.portfolio, bar.after, stays, financed=terms.financed and not early)
    wealth = solvent(terms, worth(terms, portfolio))
    return Traded(portfolio, wealth, traded.before_costs, traded.notional, traded.cost)


def worth(terms: Terms, portfolio: Portfolio) -> Array:
    """`[B]` currency."""
    return portfolio.cash + terms.backend.row_sum(portfolio.assets)


def solvent(terms: Terms, wealth: Array) -> Array:
    """The same wealth `[B]`; FeedError, which names the stream, where it is not a positive number."""
    if terms.backend.count(wealth > 0.0) == wealth.shape[0]:
        return wealth
    stream, left = next((i, w) for i, w in enumerate(wealth.tolist()) if not w > 0.0)
    raise FeedError(
        f"stream {stream}: wealth is {left:.6g} after a loss larger than the wealth before it; "
        "lower feed.actions.gross_cap or check the prices"
    )


def drift(
    terms: Terms, portfolio: Portfolio, relatives: Array | None, stays: Array | None, *, financed: bool
) -> Portfolio:
    """Holdings grow by the price relatives `[B, N]`, cash by a bar's interest, on what was held when the bar began.

    Where `stays` is 0 the asset is delisted and becomes cash, without costs: it is the issuer who pays.
    """
    assets, cash = portfolio
    if financed:
        cash = cash + interest(terms, portfolio)
    if relatives is not None:
        assets = assets * relatives
    if stays is not None:
        cash = cash + terms.backend.row_sum(assets * (1.0 - stays))
        assets = assets * stays
    return Portfolio(assets, cash)


def interest(terms: Terms, portfolio: Portfolio) -> Array:
    """`[B]` currency for one bar: earned on cash, paid on loans and on short positions."""
    xp = terms.backend.xp
    assets, cash = portfolio
    earned = xp.maximum(cash, 0.0) * terms.cash_rate + xp.minimum(cash, 0.0) * terms.loan_rate
    if terms.borrow_rate:
        earned = earned + terms.backend.row_sum(xp.minimum(assets, 0.0)) * terms.borrow_rate
    return earned


def trade(terms: Terms, portfolio: Portfolio, targets: Array, bar: Bar, kept: Array | None) -> Traded:
    """Orders that reach the targets as fractions of the wealth left *after* their own costs.

    What is left is solved for by fixed-point iteration: from what is left after the orders of one iterate follow those
    of the next; by Newton's method for the streams whose costs do not settle. The last orders are charged exactly what
    they cost, and what they lack in precision stays in cash.
    """
    xp, row_sum = terms.backend.xp, terms.backend.row_sum
    assets = portfolio.assets
    wealth = worth(terms, portfolio)
    carried = None
    if bar.fills is not None or kept is not None:
        targets, carried = _within_caps(terms, assets, solvent(terms, wealth), targets, _free(bar.fills, kept))
    held = targets * wealth[:, None]
    if carried is not None:
        held += carried
    order = held - assets
    cost, notional = charge(terms, xp.abs(order, out=order), wealth, bar)
    spent = cost
    for _ in range(terms.rounds - 1):
        spent = cost if terms.proportional else xp.minimum(cost, wealth)  # where impact is strong, cost can be any sum
        held = targets * (wealth - spent)[:, None]
        if carried is not None:
            held += carried
        xp.subtract(held, assets, out=order)  # a fresh array for each of these would cost as much as the arithmetic
        cost, notional = charge(terms, xp.abs(order, out=order), wealth, bar)
    if not terms.proportional and terms.backend.count(xp.abs(cost - spent) > _SETTLED * wealth):
        fixed = assets if carried is None else assets - carried
        root = affordable(terms, solvent(terms, wealth), targets, fixed, bar)
        held = targets * xp.where(xp.abs(cost - spent) > _SETTLED * wealth, root, wealth - spent)[:, None]
        if carried is not None:
            held += carried
        cost, notional = charge(terms, xp.abs(held - assets), wealth, bar)
    left = solvent(terms, wealth - cost)
    return Traded(Portfolio(held, left - row_sum(held)), left, wealth, notional, cost)


def affordable(terms: Terms, wealth: Array, targets: Array, assets: Array, bar: Bar) -> Array:
    """`[B]` currency: the most that can be left of the wealth once its `targets` are bought and paid for.

    It solves left + cost(left) = wealth from the wealth downwards: costs are convex in what is left, so that Newton's
    steps come down to the first solution and never pass it. FeedError, which names the stream, where there is none.
    """
    xp, backend = terms.backend.xp, terms.backend
    left = wealth
    for _ in range(_MOST_STEPS):
        order = targets * left[:, None] - assets
        size = xp.abs(order)
        lacking = left + charge(terms, size, wealth, bar)[0] - wealth
        open_ = lacking > _EXACT * wealth
        if not backend.count(open_):
            return left
        slope = 1.0 + backend.row_sum(xp.sign(order) * targets * _marginal(terms, size, bar))
        lower = left - lacking / xp.where(slope > 0.0, slope, 1.0)
        _refuse_unaffordable(open_ & ((slope <= 0.0) | (lower <= 0.0)), wealth, bar)
        left = xp.where(open_, lower, left)
    return left


def _marginal(terms: Terms, order: Array, bar: Bar) -> Array:
    """`[B, N]`: what a further unit of currency costs in orders of that size."""
    xp = terms.backend.xp
    rate: Array = terms.rate
    if terms.minimum_fee:
        above = xp.astype(order * terms.commission > terms.minimum_fee, xp.float64)
        rate = above * terms.commission + terms.half_spread
    if bar.linear is not None:
        rate = rate + 2.0 * bar.linear * order
    if bar.root is not None:
        rate = rate + 1.5 * bar.root * xp.sqrt(order)
    return rate


def _refuse_unaffordable(broke: Array, wealth: Array, bar: Bar) -> None:
    if not bool(broke.any()):
        return
    stream = broke.tolist().index(True)
    cause = "feed.costs.minimum_fee"
    if bar.linear is not None or bar.root is not None:
        cause = "market impact (feed.costs.linear_impact, sqrt_impact), too strong for what is traded in a bar"
    raise FeedError(
        f"stream {stream}: its orders cost more than its wealth of {float(wealth[stream]):.6g}, however little of it "
        f"is left to invest; the cause is {cause}: lower it, or change feed.costs.initial_wealth"
    )


def charge(terms: Terms, order: Array, wealth: Array, bar: Bar) -> tuple[Array, Array]:
    """Cost and notional `[B]`, currency, of orders `[B, N]` given as absolute currency."""
    xp, row_sum = terms.backend.xp, terms.backend.row_sum
    notional = row_sum(order)
    if terms.minimum_fee:
        fee = xp.maximum(order * terms.commission, terms.minimum_fee)
        fee = xp.where(order > _DUST * wealth[:, None], fee, 0.0)
        cost = row_sum(fee) + notional * terms.half_spread
    else:
        cost = notional * terms.rate
    if bar.linear is not None:
        cost = cost + row_sum(bar.linear * order * order)
    if bar.root is not None:
        cost = cost + row_sum(bar.root * xp.sqrt(order) * order)
    return cost, notional


def _free(fills: Array | None, kept: Array | None) -> Array:
    """`[B, N]`: 1.0 where a target is traded."""
    if kept is None:
        return fills
    return 1.0 - kept if fills is None else fills * (1.0 - kept)


def _within_caps(terms: Terms, assets: Array, wealth: Array, targets: Array, free: Array) -> tuple[Array, Array]:
    """Targets of free assets, shrunk to the room that the carried positions leave, and the carried positions."""
    xp, row_sum = terms.backend.xp, terms.backend.row_sum
    carried, targets = assets * (1.0 - free), targets * free
    shares = carried / wealth[:, None]
    gross, net = row_sum(xp.abs(targets)), row_sum(targets)
    gross_room = xp.maximum(terms.gross_cap - row_sum(xp.abs(shares)), 0.0)
    # the side of the net cap that the targets move towards; carried positions may stand beyond it already
    net_room = xp.maximum(terms.net_cap - xp.sign(net) * row_sum(shares), 0.0)
    scale = xp.minimum(_share(xp, gross_room, gross), _share(xp, net_room, xp.abs(net)))
    return targets * scale[:, None], carried


def _share(xp: Any, room: Array, wanted: Array) -> Array:
    """`[B]`: which share of what is wanted fits the room, exactly 1 where all of it does but for rounding."""
    return xp.where(wanted > room * (1.0 + 1e-9), room / xp.maximum(wanted, 1e-30), 1.0)
