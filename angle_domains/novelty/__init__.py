"""Rewards for what is new: in the episode by an episodic memory, over training by a network that learns to foresee."""

from angle_domains.novelty.curiosity import Curiosity, CuriosityConfig, Lessons
from angle_domains.novelty.episodic import EpisodicConfig

__all__ = ["Curiosity", "CuriosityConfig", "EpisodicConfig", "Lessons"]
