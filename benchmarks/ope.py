"""Seconds for 1,000 resamples of patients of WIS, DR, WDR and CWPDIS on 50,000 patient-hours; one JSON line.

The time of the clock and that of the processor, from the padded arrays to BCa intervals, the median of three rounds.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when NumPy loads

import json
import platform
import statistics
import time

import numpy as np

from angle_domains.ope.episodes import Episodes
from angle_domains.ope.estimators import ESTIMATORS
from angle_domains.ope.intervals import interval, resample
from angle_domains.ope.weights import log_weights

HOURS, LONGEST, DRAWS = 50_000, 120, 1_000
NAMES = ("WIS", "DR", "WDR", "CWPDIS")


def records(seed: int) -> Episodes:
    """Stays of 1 to 120 hours, 50,000 hours in all, whose target differs from the clinicians a little."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, LONGEST + 1, size=2 * HOURS // LONGEST)
    real = np.arange(LONGEST) < length[:, None]
    behaviour = np.where(real, rng.uniform(0.2, 1.0, real.shape), 1.0)
    target = np.where(real, behaviour * rng.uniform(0.95, 1.0, real.shape), 1.0)
    reward, q, v = (np.where(real, rng.normal(size=real.shape), 0.0) for _ in range(3))
    ends = np.ones(len(length), bool)
    return Episodes(
        reward, real * 1.0, behaviour, target, real, np.arange(len(length)), ends, q, v, np.zeros(len(length))
    )


def once(episodes: Episodes) -> None:
    weight = log_weights(episodes)
    parts = {name: ESTIMATORS[name](episodes, 0.99, weight) for name in NAMES}
    drawn = resample(parts, episodes.patient, count=DRAWS, generator=np.random.default_rng(0))
    for name, ratios in parts.items():
        interval(ratios, episodes.patient, drawn[name], method="bca")


def main() -> None:
    episodes, clock, processor = records(0), [], []
    for _ in range(3):
        begun, worked = time.perf_counter(), time.process_time()
        once(episodes)
        clock.append(time.perf_counter() - begun)
        processor.append(time.process_time() - worked)
    found = {
        "benchmark": "ope",
        "patient_hours": int(episodes.real.sum()),
        "patients": episodes.size,
        "draws": DRAWS,
        "estimators": NAMES,
        "seconds": round(statistics.median(clock), 3),
        "processor_seconds": round(statistics.median(processor), 3),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
