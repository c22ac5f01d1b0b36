"""ICU-Sepsis: a decision process estimated from MIMIC-III, and 5,000 patients sampled from it. See DATASHEET.md."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

FOLDER = Path(__file__).parent
PROCESS, LOG = FOLDER / "process.npz", FOLDER / "log.parquet"
NUM_STATES, NUM_ACTIONS = 716, 25
DEATH, SURVIVAL, AFTER = 713, 714, 715  # the states that are no patient's; nothing comes after the last
HOURS = 4  # of one step
LOGGED = 5_000  # patients of the log


@dataclass(frozen=True)
class Counts:
    """The process as it was counted: r rows, one for each admissible pair of state and action, in their order."""

    admissible: Bool[np.ndarray, "s a"]
    length: Int[np.ndarray, " r"]  # successors of each row
    successor: Int[np.ndarray, " k"]  # of all rows, one row after another
    count: Int[np.ndarray, " k"]  # in lowest terms: divided by its row's sum it is the probability
    initial: Int[np.ndarray, " s"]  # likewise
    clinician: Int[np.ndarray, "s a"]  # likewise, of each row; none where a state is no patient's
    features: Float[np.ndarray, "s f"]  # centroids, float32; 0 where a state is no patient's
    sofa: Float[np.ndarray, " s"]  # mean score, float32
    names: tuple[str, ...]  # of the features


@cache
def read_counts() -> Counts:
    """The embedded process; its arrays are shared and cannot be written to."""
    with np.load(PROCESS, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    for array in arrays.values():
        array.setflags(write=False)
    names = tuple(arrays.pop("names").tolist())
    return Counts(**arrays, names=names)


def load(patients: int | None = None, seed: int = 0) -> pl.DataFrame:
    """The embedded log, one row per patient and four hours, with the 47 features of each state; or another one."""
    if patients is None and not seed:
        return with_features(pl.read_parquet(LOG))
    from feeds.clinical.process import clinician, sample_log

    return with_features(sample_log(patients or LOGGED, clinician(), seed))


def with_features(log: pl.DataFrame) -> pl.DataFrame:
    """The log with the features of each row's state beside it, as float32."""
    counts = read_counts()
    values = counts.features[log["state"].to_numpy()]
    return log.hstack(pl.DataFrame(values, schema=dict.fromkeys(counts.names, pl.Float32)))
