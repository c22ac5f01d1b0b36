"""Does the detector of risk tell who dies within a day, and do its chances hold? Against logistic regression.

scikit-learn's regression reads the same features of all rows of the same patients, its penalty chosen by five-fold
cross-validation over patients; the detector keeps a tenth of them to judge itself. Patients to judge by are others.
Sources that are drawn are drawn anew by each seed. Intervals of differences: over seeds, by Student's t, since what was
learned from differs too; `paired` by resampling the patients to judge by. Of few patients two draws make up a seed.
`truth` is the best there is, where the process is known. Prints a JSON line for each source and number of patients.
"""

import argparse
import json
import math
import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from wards import DAY, SOURCES, Ward, some, true_chance, ward

from metalearn.risk.judgement import Foretold, judge_risk, telltales
from metalearn.risk.labels import event_within
from metalearn.risk.measures import measure
from metalearn.risk.resamples import resampled_auroc, times_drawn
from metalearn.risk.substrate import RiskSubstrate
from metalearn.settings import RiskConfig
from metalearn.states import States

DRAWS, TURNS = 200, 2  # resamples; draws of few patients
SHOWN = ("auroc", "auprc", "brier_skill", "ece", "slope")
HEADS = ("detector", "isotonic", "network")


class Rows(NamedTuple):
    """Of which it is known whether a death comes within the day."""

    place: Tensor
    label: Tensor


def rows_of(states: States, horizon: int) -> Rows:
    assert states.event is not None
    label, known, _ = event_within(states.event, states.first, states.terminated, horizon)
    place = ((known > 0) & ~states.last).nonzero().squeeze(-1)
    return Rows(place, label[place])


def features(reader: RiskSubstrate, states: States, places: Tensor) -> np.ndarray:
    """As the detector reads them, some rows at a time."""
    return torch.cat([reader.features(states, some) for some in places.split(4_000)]).numpy()


def regression(x: np.ndarray, label: np.ndarray, patient: np.ndarray) -> Any:
    folds = list(GroupKFold(min(5, len(np.unique(patient)))).split(x, label, patient))
    folds = [(fit, held) for fit, held in folds if label[fit].sum() > 0 and 0 < label[held].sum() < len(held)]
    chosen = {"Cs": np.logspace(-5, 0, 6), "cv": folds, "scoring": "neg_log_loss", "l1_ratios": (0,)}
    return LogisticRegressionCV(max_iter=300, tol=1e-3, use_legacy_attributes=False, **chosen).fit(x, label)


def detector(learn: States, horizon: int, seed: int) -> RiskSubstrate:
    """With both ways to calibrate."""
    config = RiskConfig(horizon=horizon, most_rows=40_000, calibration="isotonic")
    made = RiskSubstrate(config, learn.observation.shape[1], seed)
    made.update(learn, None)
    return made


def network(learn: States, horizon: int, seed: int) -> RiskSubstrate:
    """A hidden layer, which is calibrated on a tenth of the patients."""
    config = RiskConfig(horizon=horizon, most_rows=12_000, hidden=(16,), updates=300)
    made = RiskSubstrate(config, learn.observation.shape[1], seed)
    made.update(learn, None)
    return made


def told(learn: States, world: Ward, horizon: int, seed: int) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Chances of the rows to judge by, of each way to tell them; and entries that know too much of them."""
    judged, rows = rows_of(world.judge, horizon), rows_of(learn, horizon)
    made, other = detector(learn, horizon, seed), network(learn, horizon, seed)
    read, shown = (features(made, *each) for each in ((learn, rows.place), (world.judge, judged.place)))
    varies = read.std(0) > 1e-6
    scaler = StandardScaler().fit(read[:, varies])
    model = regression(scaler.transform(read[:, varies]), rows.label.numpy(), learn.entity[rows.place].numpy())
    with torch.no_grad():
        logit = made.network(torch.from_numpy(shown)).squeeze(-1)
    chances = {
        "detector": made.line(logit),
        "isotonic": torch.sigmoid(logit) if made.steps is None else made.steps(logit),  # None: of too few events
        "not calibrated": torch.sigmoid(logit),
        "network": torch.cat([other.chances(world.judge, some) for some in judged.place.split(4_000)]),
        "logistic": torch.from_numpy(model.predict_proba(scaler.transform(shown[:, varies]))[:, 1]),
    }
    if world.state is not None:
        chances["truth"] = true_chance(horizon)[world.state[judged.place]]
    entries = [name for block in world.feed.spec.blocks for name in block.features]
    last = torch.from_numpy(shown[:, : len(entries)])
    return {name: chance.double() for name, chance in chances.items()}, telltales(last, judged.label, entries)


def between(numbers: list[float]) -> list[float]:
    """The mean over seeds and its 95 % interval."""
    mean = float(np.mean(numbers))
    if len(numbers) < 2:
        return [mean, -math.inf, math.inf]
    wide = float(student.ppf(0.975, len(numbers) - 1) * np.std(numbers, ddof=1) / math.sqrt(len(numbers)))
    return [mean, mean - wide, mean + wide]


def measured(world: Ward, learn: States, horizon: int, seed: int) -> dict[str, Any]:
    """Measures of every way to tell, and resamples of the differences to logistic regression."""
    chances, leaks = told(learn, world, horizon, seed)
    judged = rows_of(world.judge, horizon)
    found: dict[str, Any] = {name: measure(chance, judged.label)._asdict() for name, chance in chances.items()}
    known, patient = world.judge.entity[judged.place].unique(return_inverse=True)
    times = times_drawn(len(known), DRAWS, seed)
    draws = {name: resampled_auroc(chances[name], judged.label, patient, times) for name in (*HEADS, "logistic")}
    found["draws"] = {name: draws[name] - draws["logistic"] for name in HEADS}
    found["telltales"] = leaks
    found["alarms"] = alarms(world, chances["detector"], judged, horizon)
    return found


def at_seed(source: str, seed: int, counts: list[int | None], quick: bool) -> list[list[dict[str, Any]]]:
    """By how many patients there are to learn from: of few several are drawn."""
    world, horizon = ward(source, seed, patients=300 if quick else None), DAY[source]
    runs = []
    for count in counts:
        drawn = [world.learn] if count is None else [some(world.learn, count, turn) for turn in range(TURNS)]
        runs.append([measured(world, learn, horizon, seed) for learn in drawn])
    return runs


def alarms(world: Ward, chance: Tensor, judged: Rows, horizon: int) -> dict[str, float]:
    """Of the detector at a recall of .8, and its net benefit at the prevalence."""
    states = world.judge
    assert states.event is not None
    whole = torch.zeros(len(states.first), dtype=torch.float64)
    whole[judged.place] = chance
    verdict = judge_risk(Foretold(whole, states.event, states.first, states.terminated, states.elapsed), horizon)
    if verdict.alarms is None:
        return {}
    near = min(verdict.decision, key=lambda benefit: abs(benefit.threshold - verdict.measures.prevalence))
    return {
        "per_day": verdict.alarms.per_day,
        "precision": verdict.alarms.precision,
        "lead_hours": float(verdict.alarms.lead.median()),
        "net_benefit": near.model,
        "net_benefit_always": near.always,
    }


def summed(runs: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Of the runs of each seed: means over seeds, and intervals."""

    def over(read: Callable[[dict[str, Any]], float]) -> list[float]:
        return [round(n, 4) for n in between([float(np.mean([read(run) for run in turns])) for turns in runs])]

    one, told = runs[0][0], {}
    for name in (name for name in one if name not in ("draws", "telltales", "alarms")):
        told[name] = {each: over(lambda run, n=name, e=each: run[n][e]) for each in SHOWN}
    for name in HEADS:
        pooled = np.nanmean(np.stack([run["draws"][name] for turns in runs for run in turns]), 0)
        told[name] |= {
            "auroc_against_logistic": over(lambda run, n=name: run[n]["auroc"] - run["logistic"]["auroc"]),
            "paired": np.nanquantile(pooled, [0.025, 0.975]).round(4).tolist(),
        }
    told |= {each: round(float(np.mean([t[0]["detector"][each] for t in runs])), 4) for each in ("rows", "prevalence")}
    told["telltales"] = sorted({name for turns in runs for run in turns for name in run["telltales"]})
    if all(run["alarms"] for turns in runs for run in turns):
        told["alarms"] = {each: over(lambda run, e=each: run["alarms"][e]) for each in one["alarms"]}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--few", type=int, default=100, help="patients to learn from, beside all of them; 0: no")
    parser.add_argument("--few-alone", action="store_true")
    parser.add_argument("--quick", action="store_true", help="300 patients and one seed: that it runs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    seeds = asked.seeds[:1] if asked.quick else asked.seeds
    for source in asked.sources:
        drawn = "patients" in SOURCES[source]  # the demo has few enough
        counts: list[int | None] = [asked.few] if drawn and asked.few else []
        counts = counts if asked.few_alone else [None, *counts]
        runs = [at_seed(source, seed, counts, asked.quick) for seed in seeds]
        for count, found in zip(counts, zip(*runs, strict=True), strict=True):
            who = {"benchmark": "risk_patients", "source": source, "patients": count or "all", "seeds": seeds}
            print(json.dumps({**who, **summed(list(found)), "machine": platform.machine()}), flush=True)


if __name__ == "__main__":
    main()
