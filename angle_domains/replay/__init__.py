"""Experience, one row per tick and stream, read back as windows."""

from angle_domains.replay.buffer import ReplayBuffer
from angle_domains.replay.samplers import Sampler, Uniform

__all__ = ["ReplayBuffer", "Sampler", "Uniform"]
