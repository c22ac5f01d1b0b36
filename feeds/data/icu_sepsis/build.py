"""Makes `process.npz` and `log.parquet` from the wheel of icu-sepsis: `python -m feeds.data.icu_sepsis.build WHEEL`.

The wheel is read as an archive: to import the package would pull `gym`, which nobody maintains. Every probability in it
is a count over a count, so integers keep the process exactly, in a seventh of the space.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from feeds.clinical.process import clinician, sample_log
from feeds.data.icu_sepsis import LOG, NUM_ACTIONS, NUM_STATES, PROCESS
from feeds.data.wheels import Wheel
from feeds.errors import FeedError

WHEEL = Wheel(
    file="icu_sepsis-2.0.1-py3-none-any.whl",
    sha256="7f55ff190f11b252593000814b6cd56ecf9b5de6fdca256e4966c0a0dc369466",
)
ASSETS = "icu_sepsis/envs/assets/"
PATIENTS, SEED = 5_000, 0  # of the log

# The order in which the authors' helpers (create_rl_table.py of github.com/icu-sepsis/icu-sepsis) put the columns.
_COLUMNS = """
gender mechvent max_dose_vaso re_admission
age Weight_kg GCS HR SysBP MeanBP DiaBP RR Temp_C FiO2_1 Potassium Sodium Chloride Glucose Magnesium Calcium Hb
WBC_count Platelets_count PTT PT Arterial_pH paO2 paCO2 Arterial_BE HCO3 Arterial_lactate SOFA SIRS Shock_Index
PaO2_FiO2 cumulated_balance
SpO2 BUN Creatinine SGOT SGPT Total_bili INR input_total input_4hourly output_total output_4hourly
"""
NAMES = _COLUMNS.split()

_LARGEST = 50_000  # denominator that is tried
_EXACT = 1e-12


def as_counts(shares: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The smallest whole numbers that are to each other as the shares, which sum to 1."""
    given = shares[shares > 0]
    for smallest in range(1, int(_LARGEST * given.min()) + 1):
        total = round(smallest / given.min())
        count = np.rint(given * total)
        if count.sum() == total and np.abs(count / total - given).max() < _EXACT:
            return np.rint(shares * total).astype(np.int64)
    raise FeedError(f"no denominator below {_LARGEST} gives the shares {given[:5].tolist()} … of the process")


def read_admissible(text: str) -> np.ndarray:
    """Which actions are admissible `[S, A]`: a line of how many each state has, then a line of them for each."""
    lengths, *lines = [[int(word) for word in line.split()] for line in text.splitlines() if line.strip()]
    allowed = np.zeros((len(lengths), NUM_ACTIONS), bool)
    for state, actions in enumerate(lines[: len(lengths)]):
        allowed[state, actions] = True
    return allowed


def compact(dynamics: dict[str, np.ndarray], admissible: np.ndarray) -> dict[str, np.ndarray]:
    """What `process.npz` holds. FeedError where an inadmissible action is not the mean of the admissible ones."""
    chances = dynamics["tx_mat"]
    patients = np.flatnonzero(chances[:, :, NUM_STATES - 1].max(1) == 0)
    for state in patients:
        mean = chances[state, admissible[state]].mean(0)
        if np.abs(chances[state, ~admissible[state]] - mean).max(initial=0.0) > _EXACT:
            raise FeedError(
                f"state {state}: an inadmissible action does not lead where the admissible ones do on average"
            )
    rows = [as_counts(row) for row in chances[patients][admissible[patients]]]
    successor = np.concatenate([np.flatnonzero(row) for row in rows])
    clinician = np.zeros((NUM_STATES, NUM_ACTIONS), np.int64)
    clinician[patients] = [as_counts(row) for row in dynamics["expert_policy"][patients]]
    features = np.zeros((NUM_STATES, len(NAMES)), np.float32)
    features[patients] = dynamics["state_cluster_centers"][patients]
    sofa = np.zeros(NUM_STATES, np.float32)
    sofa[patients] = dynamics["sofa_scores"][patients]
    return {
        "admissible": admissible,
        "length": np.array([np.count_nonzero(row) for row in rows], np.uint16),
        "successor": successor.astype(np.uint16),
        "count": np.concatenate([row[row > 0] for row in rows]).astype(np.uint16),
        "initial": as_counts(dynamics["d_0"]).astype(np.uint16),
        "clinician": clinician.astype(np.uint16),
        "features": features,
        "sofa": sofa,
        "names": np.array(NAMES),
    }


def read_wheel(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(archive.read(ASSETS + "dynamics.npz")), allow_pickle=False) as stored:
        dynamics = {name: stored[name] for name in stored.files}
    return compact(dynamics, read_admissible(archive.read(ASSETS + "admissible_actions.txt").decode()))


def write_log(path: Path) -> None:
    """Patients sampled from the process that was written before, treated by its clinicians."""
    log = sample_log(PATIENTS, clinician(), seed=SEED)
    log = log.with_columns(pl.col("subject", "stay", "time", "state").cast(pl.UInt16), pl.col("action").cast(pl.UInt8))
    log.write_parquet(path, compression="zstd", compression_level=19, statistics=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    np.savez_compressed(PROCESS, allow_pickle=False, **read_wheel(WHEEL.open(parser.parse_args().wheel)))
    write_log(LOG)


if __name__ == "__main__":
    main()
