"""Errors that a user can cause, one class for each border that is checked."""

from feeds.errors import AngleError, FeedError, nearest

__all__ = ["AngleError", "CheckpointError", "ConfigError", "FeedError", "TrainingError", "nearest", "other_network"]


class ConfigError(AngleError):
    """A key, value or name that the configuration does not know; the sentence names key and nearest valid one."""


class CheckpointError(AngleError):
    """A checkpoint that is missing, damaged or of another schema; the sentence names the file."""


def other_network(error: RuntimeError) -> CheckpointError:
    """Of the many lines that torch says of a state that does not fit, the first that names a parameter."""
    lines = str(error).splitlines()
    return CheckpointError(f"the checkpoint belongs to another network: {lines[min(1, len(lines) - 1)].strip()}")


class TrainingError(AngleError):
    """Training that cannot go on (not-a-number, exploding loss); the last good checkpoint is kept."""

    exit_code = 1
