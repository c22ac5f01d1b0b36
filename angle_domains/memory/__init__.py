"""Episodic memories: what was met, and what came of it."""

from angle_domains.memory.config import DictionaryConfig
from angle_domains.memory.dictionaries import Dictionaries, Recalled
from angle_domains.memory.dictionary import Dictionary, Neighbours

__all__ = ["Dictionaries", "Dictionary", "DictionaryConfig", "Neighbours", "Recalled"]
