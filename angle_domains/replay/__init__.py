"""Experience, one row per tick and stream, read back as windows."""

from angle_domains.replay.buffer import AT_START, ReplayBuffer
from angle_domains.replay.config import RecordedConfig, ReplayConfig, beside
from angle_domains.replay.factories import experience, experienced_sequences, rollout
from angle_domains.replay.prioritised import Prioritised
from angle_domains.replay.recorded import recorded
from angle_domains.replay.samplers import Sampler, Uniform
from angle_domains.replay.sequences import recorded_sequences
from angle_domains.replay.whole import SequenceReplay

__all__ = [
    "AT_START",
    "Prioritised",
    "RecordedConfig",
    "ReplayBuffer",
    "ReplayConfig",
    "Sampler",
    "SequenceReplay",
    "Uniform",
    "beside",
    "experience",
    "experienced_sequences",
    "recorded",
    "recorded_sequences",
    "rollout",
]
