"""Settings of the market feed: the dates of embedded sets, and their absence elsewhere."""

from datetime import date

import pytest
from pydantic import ValidationError

from feeds.market.config import MarketConfig, Splits


def test_embedded_stocks_bring_their_dates() -> None:
    config = MarketConfig()
    assert config.start == date(2000, 1, 1)
    assert (config.splits.validation_from, config.splits.test_from) == (date(2012, 1, 1), date(2016, 1, 1))


def test_other_data_are_split_by_fractions() -> None:
    config = MarketConfig(path="mine.parquet")
    assert config.start is None
    assert config.splits == Splits()


def test_what_is_given_stands_even_as_null() -> None:
    config = MarketConfig.model_validate({"start": None, "splits": {"test_from": None, "embargo": 3}})
    assert config.start is None
    assert config.splits == Splits(validation_from=date(2012, 1, 1), test_from=None, embargo=3)
    assert MarketConfig(splits=Splits()).splits == Splits()


def test_a_stored_configuration_comes_back_equal() -> None:
    for config in (MarketConfig(), MarketConfig(path="mine.csv"), MarketConfig(start=None)):
        assert MarketConfig.model_validate(config.model_dump(mode="json")) == config


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="comission"):
        MarketConfig.model_validate({"costs": {"comission": 0.0}})
