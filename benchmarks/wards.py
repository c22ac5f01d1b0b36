"""Recorded patients as the benchmarks of substrates read them: one source, one seed, two parts."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from angle_domains.records import records_of
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.process import TELLTALES, action_values, clinician
from feeds.clinical.split import SPLITS
from feeds.data import icu_sepsis
from metalearn.states import States

# where nothing is ever missing, masks and ages tell nothing
PLAIN = {"masks": False, "since": False, "elapsed": False}
SOURCES: dict[str, dict[str, Any]] = {
    "icu-sepsis-log": {"patients": 5_000, "states": {**PLAIN, "drop": TELLTALES}},
    "synth-vaso": {"patients": 500, "states": PLAIN},
    "mimic4demo-vaso": {},
}
DAY = {"icu-sepsis-log": 6, "synth-vaso": 24, "mimic4demo-vaso": 24}  # rows of 24 hours


class Ward(NamedTuple):
    """Patients to learn from, and patients to judge by."""

    feed: ClinicalFeed
    learn: States
    judge: States  # entities number the patients of the whole source
    state: Int[Tensor, " n"] | None  # of the rows to judge by, where a process is known


def ward(source: str, seed: int, *, patients: int | None = None) -> Ward:
    """70 % of the patients to learn from. Each seed draws other patients, or splits those of the demo anew."""
    settings = {"path": source, "splits": {"seed": seed}, **SOURCES[source]}
    if "patients" in settings:
        settings |= {"draw": seed, "patients": patients or settings["patients"]}
    feed = ClinicalFeed(ClinicalConfig.model_validate(settings))
    parts = []
    for split in ("validation", "test"):
        part = records_of(feed, split)
        number = torch.from_numpy(np.flatnonzero(feed.parts == SPLITS.index(split)))
        parts.append(part._replace(entity=number[part.entity]))
    judge = States(*(None if each[0] is None else torch.cat(each) for each in zip(*parts, strict=True)))
    state = None
    if source == "icu-sepsis-log":
        states = icu_sepsis.load(settings["patients"], seed)["state"].to_numpy()
        rows = np.concatenate([feed.part(split).row for split in ("validation", "test")])
        state = torch.from_numpy(states[rows - 1]).long()
    return Ward(feed, records_of(feed), judge, state)


def some(states: States, patients: int, seed: int) -> States:
    """So many patients of them, drawn."""
    known = states.entity.unique()
    drawn = known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))[:patients]]
    return kept(states, torch.isin(states.entity, drawn))


def kept(states: States, rows: Bool[Tensor, " n"]) -> States:
    """Whole episodes alone; entities are numbered anew."""
    part = States(*(None if each is None else each[rows] for each in states))
    return part._replace(entity=part.entity.unique(return_inverse=True)[1])


def true_chance(horizon: int) -> Tensor:
    """Of death within so many decisions, in each state of ICU-Sepsis under its clinicians: nothing can know more."""
    policy, safe = clinician(), np.ones(icu_sepsis.NUM_STATES)
    safe[icu_sepsis.DEATH :] = 0.0
    for _ in range(horizon):
        safe = (policy * action_values(safe)).sum(1)
    return torch.from_numpy(1.0 - safe)
