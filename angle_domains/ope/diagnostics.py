"""Whether the records can speak of the target policy at all: weights, support and calibration of the behaviour policy.

A good effective sample size alone says little. A deterministic policy far from the clinicians' can have one of 70 while
three patients in four have weight 0 and weights average .4 where they should average 1.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from angle_domains.interval import limited
from angle_domains.ope.episodes import RARE, Episodes
from angle_domains.ope.weights import effective_size, log_weights

NOTHING = 1e-6  # of a weight, where the average should be 1: as good as none
_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Of estimated probabilities against the decisions that were taken."""

    error: float  # expected calibration error of the likeliest action
    log_loss: float  # mean of minus the logarithm of the probability of what was taken


@dataclass(frozen=True)
class Diagnostics:
    """Of the weights before anything is cut. Patients are the unit where independence matters."""

    patients: int
    episodes: int
    decisions: int
    effective: float  # Kish's sample size of the patients' weights at the end
    effective_by_step: tuple[float, ...]
    mean_weight: float  # of episodes; 1 but for chance where propensities are right and support is there
    top_share: float  # of all weight, of the patient with the most
    zero_share: float  # of episodes, with a weight below a millionth
    rare_share: float  # of decisions, to which behaviour gave less than .01
    outside_mass: float | None  # of the target, on actions less probable than that; None: only recorded ones are known
    cut_share: float  # of episodes, whose record stopped before their end
    matched_by_step: tuple[float, ...] = ()  # share of episodes that have weight still after so many decisions
    calibration: Calibration | None = None  # of an estimated behaviour policy; None: propensities were known

    def lines(self) -> tuple[str, ...]:
        """For a terminal."""
        outside = "unknown" if self.outside_mass is None else f"{self.outside_mass:.1%}"
        lines = (
            f"{self.patients:,} patients, {self.episodes:,} episodes, {self.decisions:,} decisions; "
            f"effective sample size {self.effective:.1f}, {min(self.effective_by_step):.1f} at the worst step",
            f"weights: mean {limited(self.mean_weight, 3)}, top share {self.top_share:.1%}, zero {self.zero_share:.1%}",
            f"stays that the target policy might have led to: {self._matched()}",
            f"support: {self.rare_share:.1%} of decisions less probable than {RARE:g}, target outside of it {outside}",
        )
        if self.calibration is None:
            return lines
        found = self.calibration
        return *lines, f"behaviour: calibration error {found.error:.3f}, log loss {found.log_loss:.3f}"

    def _matched(self) -> str:
        """Of the curve a few points: after 1, 2, 4, … decisions, and at the end."""
        steps = [step for step in (1, 2, 4, 8, 16, 32, 64) if step < len(self.matched_by_step)]
        told = [f"{self.matched_by_step[step - 1]:.0%} after {step}" for step in steps]
        return ", ".join([*told, f"{1.0 - self.zero_share:.0%} at the end"])


def diagnose(episodes: Episodes, calibration: Calibration | None = None) -> Diagnostics:
    """All of it, from the episodes as they are; the calibration comes from whoever estimated the behaviour."""
    weight = log_weights(episodes)
    grouped = by_patient(weight, episodes.patient)
    last, real = weight[:, -1], episodes.real
    decided = int(real.sum())
    outside = None if episodes.outside is None else float(episodes.outside[real].mean())
    return Diagnostics(
        patients=len(grouped),
        episodes=episodes.size,
        decisions=decided,
        effective=float(effective_size(grouped[:, -1])),
        effective_by_step=tuple(np.asarray(effective_size(grouped)).tolist()),
        mean_weight=float(np.exp(last).mean()),
        top_share=_top_share(grouped[:, -1]),
        zero_share=float((last < np.log(NOTHING)).mean()),
        rare_share=float((episodes.behaviour[real] < RARE).mean()),
        outside_mass=outside,
        cut_share=float((~episodes.terminated).mean()),
        matched_by_step=tuple((weight >= np.log(NOTHING)).mean(0).tolist()),
        calibration=calibration,
    )


def by_patient(log_weight: Float[np.ndarray, "e t"], patient: Int[np.ndarray, " e"]) -> Float[np.ndarray, "p t"]:
    """Logarithms of the summed weights of each patient's episodes."""
    order = np.argsort(patient, kind="stable")
    starts = np.flatnonzero(np.diff(patient[order], prepend=patient[order][0] - 1))
    return np.logaddexp.reduceat(log_weight[order], starts, 0)


def _top_share(log_weight: Float[np.ndarray, " p"]) -> float:
    """1 where nobody has weight: nothing is shared then."""
    top = log_weight.max()
    return 1.0 if np.isneginf(top) else float(1.0 / np.exp(log_weight - top).sum())


def calibrate(probability: Float[np.ndarray, "n a"], action: Int[np.ndarray, " n"]) -> Calibration:
    """Expected calibration error of the likeliest action over ten equal bins (Guo et al. 2017), and log loss."""
    sure, right = probability.max(1), (probability.argmax(1) == action).astype(np.float64)
    number = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    size = np.bincount(number, minlength=_BINS)
    gap = np.abs(np.bincount(number, sure, _BINS) - np.bincount(number, right, _BINS))  # times the bin's size
    taken = probability[np.arange(len(action)), action]
    with np.errstate(divide="ignore"):
        return Calibration(float(gap.sum() / size.sum()), float(-np.log(taken).mean()))
