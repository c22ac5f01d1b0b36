"""The exact value of a policy where the process behind the records is known: the log of ICU-Sepsis."""

import numpy as np
from jaxtyping import Float

from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.process import exact_value
from feeds.data.icu_sepsis import HOURS, read_counts

LOG = "icu-sepsis-log"


def known_states(feed: ClinicalFeed) -> Float[np.ndarray, "s d"] | None:
    """The states of the process as the feed shows them; None where there is no such process, or an observation shows
    more of a patient than the state."""
    shown = feed.config.states
    more = shown.masks or shown.since or shown.elapsed or shown.last_action or shown.lag
    if feed.config.path != LOG or more or feed.config.reward.kind != "survival":
        return None
    counts, fitted = read_counts(), feed.coder.fitted
    assert fitted is not None
    (block,) = [block for block in feed.spec.blocks if block.name == "values"]
    columns = [counts.names.index(name) for name in block.features]
    values = counts.features[:, columns].astype(np.float64)
    if shown.scale == "standard":
        scale = dict(zip(fitted.scaler.names, zip(fitted.scaler.mean, fitted.scaler.scale, strict=True), strict=True))
        mean, deviation = np.array([scale.get(name, (0.0, 1.0)) for name in block.features]).T
        values = (values - mean) / deviation
    limit = shown.clip or np.inf
    return np.clip(values, -limit, limit).astype(np.float32)


def true_value(policy: Float[np.ndarray, "s a"], gamma: float = 1.0) -> float:
    """The expected survival of patients who are treated by it, by linear solve; `gamma` is an hour's.

    As everywhere, what is paid at the end of a decision's hours counts in full after the first of them.
    """
    return gamma ** (HOURS - 1) * exact_value(policy, gamma**HOURS)
