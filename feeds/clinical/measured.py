"""Which entries of observations were measured, and which were only carried forward."""

import numpy as np
from jaxtyping import Bool

from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.truth import LOG


def measured(feed: ClinicalFeed, split: str) -> Bool[np.ndarray, "n d"]:
    """Of the rows of `episodes`: False where an entry shows an earlier value, or none.

    What is no value, as masks, ages and doses, counts as measured, and so does what never changes. The last row of a
    patient of the log of ICU-Sepsis is the end itself, in which nobody measured anything.
    """
    records = feed.part(split)
    values = feed.coder.measured(records)
    if feed.config.path == LOG:
        values = values & (np.diff(records.stay, append=-1) == 0)[:, None]
    rest = feed.spec.blocks[-1].stop - values.shape[1]
    return np.concatenate([values, np.ones((len(records), rest), bool)], axis=1)
