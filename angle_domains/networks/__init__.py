"""Networks: torsos that read observations, heads that choose actions, and the PolicyModel made of both."""

from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.heads import HeadKind
from angle_domains.networks.policy import PolicyModel
from angle_domains.networks.recurrence import Past
from angle_domains.networks.torsos import exchangeable_columns, observation_size

__all__ = ["HeadKind", "NetworkConfig", "Past", "PolicyModel", "exchangeable_columns", "observation_size"]
