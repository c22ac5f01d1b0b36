"""Conservative Q-learning, of choices and in boxes."""

from angle_domains.agents.cql.boxes import BoxCQL
from angle_domains.agents.cql.choices import ChoiceCQL
from angle_domains.agents.cql.config import CQLConfig
from angle_domains.types import Agent
from feeds.base import FeedSpec

__all__ = ["BoxCQL", "CQLConfig", "ChoiceCQL", "build"]


def build(config: CQLConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> Agent:
    """A CQL for the observations and actions of a feed; ConfigError where network or actions do not fit."""
    kind = BoxCQL if type(spec.action_space).__name__ == "Box" else ChoiceCQL
    return kind(config, spec, seed=seed, device=device)
