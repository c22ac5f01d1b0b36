"""Recorded episodes as models beside an agent read them."""

import numpy as np
import torch
from gymnasium import spaces

from feeds.base import FeedSpec, LoggedFeed
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.measured import measured
from metalearn.states import States


def records_of(feed: LoggedFeed, split: str = "train") -> States:
    """The recorded episodes of one part as models read them; actions that are not discrete are left out.

    Of patients it is told which values were measured in a row, and which only carried forward.
    """
    rows = feed.episodes(split)
    discrete = rows.action.ndim == 1 and np.issubdtype(rows.action.dtype, np.integer)
    observation = torch.from_numpy(rows.observation.reshape(len(rows), -1)).to(torch.float32)
    seen, event = torch.ones_like(observation), None
    if isinstance(feed, ClinicalFeed):
        seen, event = torch.from_numpy(measured(feed, split)).to(seen), torch.from_numpy(feed.died(split))
    return States(
        observation=observation,
        seen=seen,
        elapsed=torch.from_numpy(rows.elapsed).to(torch.float32),
        first=torch.from_numpy(rows.first),
        terminated=torch.from_numpy(rows.terminated),
        reward=torch.from_numpy(rows.reward).to(torch.float32),
        action=torch.from_numpy(rows.action).long() if discrete else None,
        entity=torch.from_numpy(rows.entity).long(),
        event=event,
    )


def first_action(spec: FeedSpec) -> int:
    """The number of the first discrete action."""
    return int(spec.action_space.start) if isinstance(spec.action_space, spaces.Discrete) else 0


def as_shown(states: States) -> States:
    """Rows as an agent sees them, whom nobody tells what was measured: so do models that advise it.

    Rows in which nothing was measured stay unseen: they are ends, in which nothing is decided.
    """
    whole = (states.seen > 0).any(-1, keepdim=True).to(states.seen)
    return states._replace(seen=whole.expand_as(states.seen))
