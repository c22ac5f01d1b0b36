"""Is there something to forecast in patients, and does the forecaster find it? Against the last value, by variable.

MASE is the mean absolute error of the median over that of the last value, on what was measured; pinball, summed over
variables in standard deviations, is held against that of the last value with conformal intervals. The clock is left
out. Intervals resample patients, those of all seeds together: a variable whose interval holds 1 shows no skill.
Horizons are in rows: of 4 hours in ICU-Sepsis, else hours. `best` is what a forecaster reaches that knows ICU-Sepsis
itself, one row ahead. Prints a JSON line for each source.
"""

import argparse
import json
import platform
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from wards import SOURCES, Ward, ward

from feeds.clinical.process import clinician, expected_visits, policy_chances
from feeds.data import icu_sepsis
from metalearn.forecasting.quantiles import MEDIAN, pinball
from metalearn.forecasting.substrate import ForecastSubstrate
from metalearn.settings import ForecastConfig

HORIZONS = (1, 4)
ALIKE = 1e-3  # a difference that is none
DRAWS, LEAST = 400, 200  # resamples; measurements below which a variable is not judged
KINDS: dict[str, dict[str, Any]] = {
    "last value": {"kind": "ridge", "penalty": 1e12},
    "ridge": {"kind": "ridge"},
    "linear": {"kind": "linear"},
    "mixer": {"kind": "mixer"},
    "gru": {"kind": "gru"},
}


class Sums(NamedTuple):
    """Over the measurements of each patient `[p, h, d]`, errors in the variable's standard deviations."""

    error: np.ndarray
    last: np.ndarray  # error of the last value
    pinball: np.ndarray
    inside: np.ndarray  # the interval of 80 %
    width: np.ndarray
    count: np.ndarray


def learned(world: Ward, settings: dict[str, Any], seed: int, rounds: int) -> ForecastSubstrate:
    config = ForecastConfig(
        horizons=HORIZONS, coupling="none", learning_rate=3e-3, slowness=0.5, updates=100, **settings
    )
    made = ForecastSubstrate(config, world.learn.observation.shape[1], seed)
    for _ in range(rounds):
        made.update(world.learn, None)
    return made


def judged(made: ForecastSubstrate, world: Ward, values: int) -> tuple[Int[np.ndarray, " p"], Sums]:
    """By patient; the first `values` entries alone are variables."""
    states, known = world.judge, world.judge.entity.unique()
    sums = [torch.zeros(len(known), len(HORIZONS), values, dtype=torch.float64) for _ in Sums._fields]
    for some in torch.arange(len(states.first)).split(2_000):
        quantiles, last, future, rows = made.foresee(states, some)
        came, seen = future.value[..., :values], future.seen[..., :values].double()
        quantiles, last = quantiles[..., :values, :], last[:, None, :values]
        found = (
            (quantiles[..., MEDIAN] - came).abs(),
            (last - came).abs(),
            pinball(quantiles, came),
            ((came >= quantiles[..., 1]) & (came <= quantiles[..., -2])).double(),
            quantiles[..., -2] - quantiles[..., 1],
            torch.ones_like(came),
        )
        place = torch.searchsorted(known, states.entity[rows])
        for total, each in zip(sums, found, strict=True):
            total.index_add_(0, place, each.double() * seen)
    return known.numpy(), Sums(*(total.numpy() for total in sums))


def joined(parts: list[tuple[np.ndarray, Sums]], *, again: bool) -> Sums:
    """The patients of all seeds; `again`: the same ones come again, and count as one each."""
    sums = Sums(*(np.concatenate(each) for each in zip(*(part for _, part in parts), strict=True)))
    if not again:
        return sums
    _, owner = np.unique(np.concatenate([known for known, _ in parts]), return_inverse=True)
    return Sums(*(np.stack([each[owner == one].sum(0) for one in range(owner.max() + 1)]) for each in sums))


def intervals(sums: Sums) -> Float[np.ndarray, "3 h d"]:
    """MASE and its 95 % interval, by horizon and variable."""
    drawn = np.random.default_rng(0).integers(len(sums.count), size=(DRAWS, len(sums.count)))
    times = np.stack([np.bincount(each, minlength=len(sums.count)) for each in drawn]).astype(float)
    shape = sums.error.shape[1:]
    above, below = (times @ each.reshape(len(each), -1) for each in (sums.error, sums.last))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.nan_to_num(above / below, nan=1.0)  # a resample in which it never changes tells nothing
        low, high = np.quantile(ratio, [0.025, 0.975], axis=0)
        return np.stack([sums.error.sum(0) / sums.last.sum(0), low.reshape(shape), high.reshape(shape)])


def varying(sums: Sums, names: tuple[str, ...]) -> np.ndarray:
    """Variables [d] that were measured often enough, that change, and that are not the clock."""
    moves = (sums.count.sum(0) >= LEAST) & (sums.last.sum(0) > 1e-3 * sums.count.sum(0))
    return np.asarray(moves.all(0) & (np.array(names) != "time_hour"))


def summed(sums: dict[str, Sums], names: tuple[str, ...]) -> dict[str, Any]:
    shown = varying(sums["last value"], names)
    base = (sums["last value"].pinball.sum(0) / sums["last value"].count.sum(0).clip(1))[:, shown].sum(1)
    told: dict[str, Any] = {"variables": int(shown.sum()), "patients": len(sums["last value"].count)}
    for name, each in sums.items():
        mase, low, high = (part[:, shown] for part in intervals(each))
        count = each.count.sum(0).clip(1)
        crps = (each.pinball.sum(0) / count)[:, shown].sum(1) / base
        told[name] = {
            f"{ahead} rows": {
                "mase": round(float(mase[at].mean()), 4),
                "better, no skill, worse": [
                    int((high[at] < 1 - ALIKE).sum()),
                    int(((low[at] <= 1 + ALIKE) & (high[at] >= 1 - ALIKE)).sum()),
                    int((low[at] > 1 + ALIKE).sum()),
                ],
                "pinball_against_last": round(float(crps[at]), 4),
                "coverage_80": round(float((each.inside.sum(0) / count)[at][shown].mean()), 3),
                "width_80": round(float((each.width.sum(0) / count)[at][shown].mean()), 3),
            }
            for at, ahead in enumerate(HORIZONS)
        }
    made = {name: intervals(each) for name, each in sums.items() if name != "last value"}
    told["by_variable"] = {
        names[at]: {name: np.round(each[:, 0, at], 3).tolist() for name, each in made.items()}
        for at in np.flatnonzero(shown)
    }
    return told


def best(names: tuple[str, ...]) -> dict[str, float]:
    """MASE one row ahead of the median of what comes, in each state of ICU-Sepsis under its clinicians."""
    patients = slice(0, icu_sepsis.DEATH)
    chances = policy_chances(clinician())[:, patients]
    often = expected_visits(clinician())[patients, None] * chances
    counts, found = icu_sepsis.read_counts(), {}
    for name in names:
        value = counts.features[patients, counts.names.index(name)].astype(float)
        order = value.argsort(kind="stable")
        below = chances[:, order].cumsum(1)
        median = value[order[(below >= 0.5 * below[:, -1:]).argmax(1)]]
        errors = [(often * np.abs(value - at[:, None])).sum() for at in (median, value)]
        found[name] = round(float(errors[0] / errors[1]), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--patients", type=int, default=1_000, help="of a seed, where they are drawn")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS)[1:], choices=list(KINDS)[1:])
    parser.add_argument("--rounds", type=int, default=3, help="updates of the forecaster, each of 100 of its network")
    parser.add_argument("--quick", action="store_true", help="300 patients, one seed and one round: that it runs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    seeds, rounds = (asked.seeds[:1], 1) if asked.quick else (asked.seeds, asked.rounds)
    for source in asked.sources:
        kinds = {name: KINDS[name] for name in ("last value", *asked.kinds)}
        parts: dict[str, list[tuple[np.ndarray, Sums]]] = {name: [] for name in kinds}
        for seed in seeds:
            world = ward(source, seed, patients=300 if asked.quick else asked.patients)
            names = world.feed.spec.blocks[0].features
            for name, settings in kinds.items():
                parts[name].append(judged(learned(world, settings, seed, rounds), world, len(names)))
        again = "patients" not in SOURCES[source]
        told = summed({name: joined(each, again=again) for name, each in parts.items()}, names)
        if source == "icu-sepsis-log":
            told["best"] = best(names)
        who = {"benchmark": "forecast_patients", "source": source, "seeds": seeds}
        print(json.dumps({**who, **told, "machine": platform.machine()}), flush=True)


if __name__ == "__main__":
    main()
