"""Reinforcement learning for decisions: everything a user imports, loaded when first asked for.

`import angle_domains as ad` costs milliseconds; `ad.train` or `ad.PPOConfig` then loads what it needs.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angle_domains.agents.a2c import A2CConfig as A2CConfig
    from angle_domains.agents.agent57 import Agent57Config as Agent57Config
    from angle_domains.agents.dqn import DQNConfig as DQNConfig
    from angle_domains.agents.nec import NECConfig as NECConfig
    from angle_domains.agents.ngu import NGUConfig as NGUConfig
    from angle_domains.agents.ppo import PPOConfig as PPOConfig
    from angle_domains.agents.qrdqn import QRDQNConfig as QRDQNConfig
    from angle_domains.agents.r2d2 import R2D2Config as R2D2Config
    from angle_domains.agents.rainbow import RainbowConfig as RainbowConfig
    from angle_domains.agents.sac import SACConfig as SACConfig
    from angle_domains.agents.td3 import TD3Config as TD3Config
    from angle_domains.config import AgentConfig as AgentConfig
    from angle_domains.config import load_config as load_config
    from angle_domains.errors import AngleError as AngleError
    from angle_domains.errors import CheckpointError as CheckpointError
    from angle_domains.errors import ConfigError as ConfigError
    from angle_domains.errors import FeedError as FeedError
    from angle_domains.errors import TrainingError as TrainingError
    from angle_domains.networks import PolicyModel as PolicyModel
    from angle_domains.policy import Policy as Policy
    from angle_domains.policy import load_policy as load_policy
    from angle_domains.q_learning import QLearning as QLearning
    from angle_domains.replay import ReplayBuffer as ReplayBuffer
    from angle_domains.tables import AGENTS as AGENTS
    from angle_domains.tables import FEEDS as FEEDS
    from angle_domains.tables import AgentSpec as AgentSpec
    from angle_domains.tables import FeedEntry as FeedEntry
    from angle_domains.training import AgentTrainer as AgentTrainer
    from angle_domains.training import evaluate as evaluate
    from angle_domains.training import train as train
    from angle_domains.types import Agent as Agent
    from angle_domains.types import Decision as Decision
    from angle_domains.types import LearnResult as LearnResult
    from angle_domains.types import Percept as Percept
    from angle_domains.types import Report as Report
    from angle_domains.types import Window as Window
    from envs.feed_env import FeedEnv as FeedEnv
    from envs.vector import FeedVectorEnv as FeedVectorEnv
    from feeds.base import DataFeed as DataFeed
    from feeds.base import FeedSpec as FeedSpec
    from feeds.base import Step as Step
    from feeds.market.config import MarketConfig as MarketConfig
    from feeds.market.feed import MarketFeed as MarketFeed

__version__ = "0.1.0"

_HOMES = {  # module: the public names that live there
    "angle_domains.agents.a2c": "A2CConfig",
    "angle_domains.agents.agent57": "Agent57Config",
    "angle_domains.agents.dqn": "DQNConfig",
    "angle_domains.agents.nec": "NECConfig",
    "angle_domains.agents.ngu": "NGUConfig",
    "angle_domains.agents.ppo": "PPOConfig",
    "angle_domains.agents.qrdqn": "QRDQNConfig",
    "angle_domains.agents.r2d2": "R2D2Config",
    "angle_domains.agents.rainbow": "RainbowConfig",
    "angle_domains.agents.sac": "SACConfig",
    "angle_domains.agents.td3": "TD3Config",
    "angle_domains.config": "AgentConfig load_config",
    "angle_domains.errors": "AngleError CheckpointError ConfigError FeedError TrainingError",
    "angle_domains.networks": "PolicyModel",
    "angle_domains.policy": "Policy load_policy",
    "angle_domains.q_learning": "QLearning",
    "angle_domains.replay": "ReplayBuffer",
    "angle_domains.tables": "AGENTS FEEDS AgentSpec FeedEntry",
    "angle_domains.training": "AgentTrainer evaluate train",
    "angle_domains.types": "Agent Decision LearnResult Percept Report Window",
    "envs.feed_env": "FeedEnv",
    "envs.vector": "FeedVectorEnv",
    "feeds.base": "DataFeed FeedSpec Step",
    "feeds.market.config": "MarketConfig",
    "feeds.market.feed": "MarketFeed",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # asked once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def _check_siblings() -> None:
    """Raises ImportError where a foreign folder stands before one of our own packages on the import path.

    Their names are generic, and somebody's `envs/` in the working directory would otherwise fail much later.
    """
    ours = Path(__file__).resolve().parent.parent
    for name in ("feeds", "envs", "metalearn"):
        spec = find_spec(name)
        places = (
            [Path(place).resolve() for place in (spec.submodule_search_locations or [spec.origin or ""])]
            if spec
            else []
        )
        if places and places[0] == ours / name:
            continue
        if not places:
            raise ImportError(
                f"angle_domains needs its own package '{name}' in {ours}, and none is there: install again"
            )
        raise ImportError(
            f"the folder {places[0]} shadows the package '{name}' of angle_domains ({ours / name}): "
            "rename it, start elsewhere, or take it out of PYTHONPATH",
            name=name,
        )


_check_siblings()
