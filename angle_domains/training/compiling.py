"""Losses by `torch.compile`: many small steps of the interpreter become few large ones.

What comes out is the same to rounding, not to the bit. On a network of two small layers PPO makes about a fifth more
steps a second (`benchmarks/control.py`), after half a minute in which the compiler works.
"""

import inspect
from typing import Any

import torch

from angle_domains.errors import ConfigError

_COMPILED = ("loss", "target")  # methods of an agent, and of the critics that it may have


def compile_losses(agent: Any, device: str = "cpu") -> None:
    """ConfigError where nothing can be compiled for the device."""
    try:
        torch.compile(_trial)(torch.zeros(1, device=device))
    except Exception as error:  # what a missing compiler raises differs by platform and version
        told = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConfigError(f"training.compile needs a compiler that works, set it to false: {told.strip()}") from error
    for owner in (agent, getattr(agent, "q", None)):
        for name in _COMPILED:
            method = getattr(owner, name, None)
            if inspect.ismethod(method):  # the target of critics is a network: compiled, its weights had other names
                setattr(owner, name, torch.compile(method))


def _trial(x: torch.Tensor) -> torch.Tensor:
    return x + 1.0
