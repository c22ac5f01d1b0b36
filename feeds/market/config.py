"""Every setting of the market feed. The defaults are those of the embedded stocks."""

from datetime import date
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from feeds.settings import Settings

Fraction = NonNegativeFloat

# Dates that an embedded set is known by; a setting that is given, even as null, stands.
EMBEDDED_START = {"sp500": date(2000, 1, 1)}
EMBEDDED_SPLITS = {"sp500": {"validation_from": date(2012, 1, 1), "test_from": date(2016, 1, 1)}}


class Columns(Settings):
    """What the columns of a table are called."""

    timestamp: str = "timestamp"  # the end of the bar
    symbol: str = "symbol"
    open: str = "open"
    high: str = "high"
    low: str = "low"
    close: str = "close"
    volume: str = "volume"
    currency: str = "currency"
    extras: tuple[str, ...] = ()  # further numeric columns, known at the close of their bar: they become features


class SideTable(Settings):
    """Dated facts, joined to each bar as of the time they were published."""

    path: str
    published: str = "published"  # column: when the row became known; of days, from their end on
    symbol: str | None = "symbol"  # column; None where a row speaks of all assets
    columns: tuple[str, ...] = ()  # numeric columns to take; empty: all
    max_age_days: PositiveFloat | None = None  # older rows count as missing


class Costs(Settings):
    """Fractions of traded notional unless said otherwise; rates are per year."""

    commission: Fraction = 0.0005
    half_spread: Fraction = 0.0005
    linear_impact: Fraction = 0.0  # times the share of the bar's traded value
    sqrt_impact: Fraction = 0.0  # times daily volatility, times the root of that share
    minimum_fee: NonNegativeFloat = 0.0  # currency, for each asset traded
    cash_rate: float = 0.0  # earned on positive cash
    loan_rate: float = 0.0  # paid on negative cash
    borrow_rate: Fraction = 0.0  # paid on short notional
    initial_wealth: PositiveFloat = 1_000_000.0  # currency


class Actions(Settings):
    """What the agent decides."""

    mode: Literal["weights", "discrete", "portfolios"] = "weights"
    long_only: bool = True
    gross_cap: PositiveFloat = 1.0  # sum of absolute weights
    net_cap: PositiveFloat = 1.0  # absolute value of the sum of weights
    portfolios: tuple[tuple[float, ...], ...] = ()  # rows of weights for mode "portfolios"


class Reward(Settings):
    """`log_wealth` sums to the log of final wealth; penalties are taken off it, wealth itself is always reported."""

    kind: Literal["log_wealth", "differential_sharpe"] = "log_wealth"
    sharpe_decay: PositiveFloat = 0.004  # eta of Moody and Saffell (2001)
    drawdown_penalty: NonNegativeFloat = 0.0  # times the growth of the drawdown
    turnover_penalty: NonNegativeFloat = 0.0  # times the traded share of wealth


class Splits(Settings):
    """Train, validation and test by time; dates begin a part, fractions are used where no date is given."""

    validation_from: date | None = None
    test_from: date | None = None
    train_fraction: float = Field(default=0.6, gt=0, lt=1)
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    embargo: NonNegativeInt = 20  # bars left out after the train and the validation part
    folds: NonNegativeInt = 0  # walk-forward folds; 0: one split
    fold: NonNegativeInt = 0  # which of them


class MarketConfig(Settings):
    path: str = "sp500"  # a file, a folder, "sp500", "sp500-ohlcv" or "synthetic-…"
    columns: Columns = Columns()
    symbols: tuple[str, ...] = ()  # empty: all
    start: date | None = None  # None: all
    end: date | None = None
    policy: Literal["error", "clip", "quarantine"] = "error"  # what becomes of rows that break a rule
    max_jump: PositiveFloat = 5.0  # a close above this multiple (or below its inverse) of the one before breaks a rule
    max_gap_days: PositiveFloat = 14.0  # after so long without a bar an asset counts as delisted
    recovery: float = Field(default=1.0, ge=0, le=1)  # share of the last price that a delisted asset pays
    features: tuple[str, ...] = (
        "log_return_1",
        "log_return_5",
        "log_return_20",
        "volatility_20",
        "momentum_120",
        "drawdown_120",
    )
    calendar: bool = False  # adds day of week and day of year as sines and cosines
    window: NonNegativeInt = 0  # raw closes of the last K bars, divided by their maximum
    scale: Literal["standard", "none"] = "standard"
    side_tables: tuple[SideTable, ...] = ()
    fill: Literal["next_bar", "same_close"] = "next_bar"  # next_bar: its open where the data have one, else its close
    rebalance_every: PositiveInt = 1  # bars between decisions
    holding: PositiveInt = 1  # decisions whose targets are held at once, as equal tranches
    episode_bars: PositiveInt = 252  # of a training episode; validation and test are one episode each
    random_start: bool = True
    periods_per_year: PositiveFloat = 252.0
    ruin: float = Field(default=0.01, ge=0, lt=1)  # share of the initial wealth at which the episode terminates
    splits: Splits = Splits()
    costs: Costs = Costs()
    actions: Actions = Actions()
    reward: Reward = Reward()
    world_seed: int = 0  # of the synthetic worlds

    @model_validator(mode="before")
    @classmethod
    def _dates_of_embedded_sets(cls, given: Any) -> Any:
        """Fills in the dates of an embedded set where none are given: other data are split by fractions."""
        if not isinstance(given, dict):
            return given
        path, splits = given.get("path", "sp500"), given.get("splits", {})
        dates: dict[str, Any] = {"start": EMBEDDED_START[path]} if path in EMBEDDED_START else {}
        if path in EMBEDDED_SPLITS and isinstance(splits, dict):
            return dates | given | {"splits": EMBEDDED_SPLITS[path] | splits}
        return dates | given
