"""Conservative Q-learning, of choices by one network or two, and in boxes."""

from angle_domains.agents.cql.boxes import BoxCQL
from angle_domains.agents.cql.choices import ChoiceCQL
from angle_domains.agents.cql.config import CQLConfig
from angle_domains.agents.cql.twins import TwinCQL
from angle_domains.types import Agent
from feeds.base import FeedSpec

__all__ = ["BoxCQL", "CQLConfig", "ChoiceCQL", "TwinCQL", "build"]


def build(config: CQLConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> Agent:
    """A CQL for the observations and actions of a feed; ConfigError where network or actions do not fit."""
    choices = TwinCQL if config.critics == 2 else ChoiceCQL
    kind = BoxCQL if type(spec.action_space).__name__ == "Box" else choices
    return kind(config, spec, seed=seed, device=device)
