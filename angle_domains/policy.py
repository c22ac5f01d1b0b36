"""A trained policy, loaded from a checkpoint without its feed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector.utils import create_empty_array

from angle_domains import checkpoint
from angle_domains.advised import Advised, make_agent, make_trainer, restore
from angle_domains.config import AgentConfig
from angle_domains.errors import CheckpointError
from angle_domains.runs import META, check_place, find_checkpoint
from angle_domains.specs import spec_from_dict
from angle_domains.types import Agent, Percept
from feeds.base import FeedSpec
from metalearn.trainer import MetaLearnerTrainer


@dataclass(frozen=True)
class Policy:
    """Maps observations to the actions the agent holds best."""

    agent: Agent
    config: AgentConfig
    spec: FeedSpec
    meta: dict[str, Any]
    beside: MetaLearnerTrainer | None = None  # the models that learned beside it

    def predict(self, observation: np.ndarray) -> np.ndarray:
        """Actions `[B, *act]` for observations `[B, *obs]`, without exploration; each row begins an episode."""
        space = self.spec.observation_space
        obs = torch.as_tensor(np.asarray(observation, dtype=space.dtype))
        if obs.shape[1:] != space.shape:
            raise ValueError(
                f"observations should have shape [B, {', '.join(map(str, space.shape or ()))}], got {tuple(obs.shape)}"
            )
        return self.agent.act(first_percept(obs, self.spec), None, explore=False).action.cpu().numpy()


def first_percept(obs: torch.Tensor, spec: FeedSpec) -> Percept:
    """The percept of streams `[B]` that begin an episode with these observations."""
    streams = len(obs)
    blank = torch.as_tensor(create_empty_array(spec.action_space, streams, fn=np.zeros))
    zero, no = torch.zeros(streams), torch.zeros(streams, dtype=torch.bool)
    return Percept(obs, blank, zero, torch.ones(streams), ~no, no)


def check_observations(trained: FeedSpec, given: FeedSpec) -> None:
    """CheckpointError unless a policy sees and does in one feed what it was trained to see and do."""
    for what, before, now in (
        ("observations", trained.observation_space, given.observation_space),
        ("actions", trained.action_space, given.action_space),
    ):
        if before != now:
            tell = str if _briefly(before) == _briefly(now) else _briefly
            raise CheckpointError(
                f"this policy was trained on {what} that are {tell(before)}, those of '{given.name}' are "
                f"{tell(now)}: it knows no others"
            )


def _briefly(space: Any) -> str:
    """A space without its bounds, which may be long."""
    if isinstance(space, spaces.Box):
        return f"a box of shape {space.shape}, {space.dtype}"
    return str(space)


def load_policy(path: str | Path, root: str | Path = "runs") -> Policy:
    """The policy of a checkpoint folder or of a run (its best checkpoint); CheckpointError where there is none."""
    folder = find_checkpoint(str(path), Path(root))
    state, meta = checkpoint.load(folder, META)
    check_place(folder, meta)
    config, spec = AgentConfig.from_dict(meta["config"]), spec_from_dict(meta["spec"])
    agent = make_agent(config, spec, "cpu")
    agent.load_state_dict(state["agent"])
    beside = None
    if "beside" in state:
        beside = agent.adviser.trainer if isinstance(agent, Advised) else make_trainer(config, spec)
        restore(beside, state["beside"]["trainer"])
    return Policy(agent, config, spec, meta, beside)
