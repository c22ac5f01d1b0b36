"""Sentences of errors that other libraries raise in many lines."""

import pytest
from torch import nn

from angle_domains.errors import CheckpointError
from angle_domains.networks.loading import load_network


def test_a_state_of_another_network_is_refused_in_one_line() -> None:
    with pytest.raises(CheckpointError, match=r"belongs to another network: size mismatch for weight") as told:
        load_network(nn.Linear(2, 2), nn.Linear(3, 2).state_dict())
    assert "\n" not in str(told.value)
