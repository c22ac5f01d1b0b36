"""Experience, one row per tick and stream, read back as windows."""

from angle_domains.replay.buffer import ReplayBuffer
from angle_domains.replay.config import ReplayConfig, beside
from angle_domains.replay.factories import experience, rollout
from angle_domains.replay.prioritised import Prioritised
from angle_domains.replay.samplers import Sampler, Uniform

__all__ = ["Prioritised", "ReplayBuffer", "ReplayConfig", "Sampler", "Uniform", "beside", "experience", "rollout"]
