"""Forecasts and risks of a walk, row by row, and as Parquet."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from angle_domains.errors import ConfigError
from angle_domains.outlook.walk import Walk
from metalearn.forecasting.histories import History
from metalearn.forecasting.quantiles import LEVELS
from metalearn.risk.labels import event_within
from metalearn.serving.memory import Past, pasts
from metalearn.trainer import MetaLearnerTrainer

_CHUNK = 4_096
_UNLEARNED = (
    "the detector of risk of this run never learned: no event came, or nothing else, or models had not begun; "
    "train longer, or set another meta.risk.event or meta.risk.drawdown"
)


class Forecasts(NamedTuple):
    """Of M rows, H horizons and D entries, standardised as the models see them."""

    row: Int[Tensor, " m"]
    quantiles: Float[Tensor, "m h d q"]
    last: Float[Tensor, "m d"]  # the last value seen
    came: Float[Tensor, "m h d"]
    known: Float[Tensor, "m h d"]  # 1 where that was seen
    scale: Float[Tensor, "m d"]  # how far each entry moves in a tick


class Risks(NamedTuple):
    """Of M rows."""

    row: Int[Tensor, " m"]
    chance: Float[Tensor, " m"]
    label: Float[Tensor, " m"]  # 1 where the event came within the horizon
    known: Float[Tensor, " m"]  # 1 where that is known
    event: Int[Tensor, " m"]  # its row; -1 without one


def forecasts(trainer: MetaLearnerTrainer, walk: Walk) -> Forecasts:
    """Of all rows; ConfigError where the forecaster was never trained."""
    substrate, states = trainer.forecast, walk.states
    if substrate.scaler is None:
        raise ConfigError(_untrained(trainer))
    config, made, lasts, scales = trainer.config.forecast, [], [], []
    for rows in torch.arange(states.rows).split(_CHUNK):
        history: History = pasts(states, rows, config.length).history(config.length, substrate.scaler)
        made.append(substrate.quantiles(history))
        lasts.append(history.last())
        scales.append(history.scale(substrate.typical))
    row = torch.arange(states.rows)
    ahead = row.unsqueeze(1) + torch.tensor(config.horizons)
    episode = states.first.long().cumsum(0)
    there = (ahead < states.rows) & (episode[ahead.clamp(max=states.rows - 1)] == episode.unsqueeze(1))
    ahead = ahead.clamp(max=states.rows - 1)
    known = there.unsqueeze(-1) * states.seen[ahead]
    came = substrate.scaler.apply(states.observation)[ahead] * known
    return Forecasts(row, torch.cat(made), torch.cat(lasts), came, known, torch.cat(scales))


def risks(trainer: MetaLearnerTrainer, walk: Walk) -> Risks:
    """Of all rows but last ones; ConfigError where the detector was never trained."""
    substrate, states = trainer.risk, walk.states
    if substrate.scaler is None or not substrate.ready:
        raise ConfigError(_UNLEARNED)
    config = trainer.config.risk
    label, known, event = event_within(substrate.events(states), states.first, states.terminated, config.horizon)
    row = (~states.last).nonzero().squeeze(-1)
    chance = torch.cat(
        [
            substrate.chance(pasts(states, rows, config.length).history(config.length, substrate.scaler))
            for rows in row.split(_CHUNK)
        ]
    )
    return Risks(row, chance, label[row], known[row], event[row])


def foresee(trainer: MetaLearnerTrainer, ticks: Float[np.ndarray, "b l d"]) -> Float[np.ndarray, "b h d q"]:
    """Quantiles after the last ticks of B streams, all measured a unit of time apart, in the feed's units."""
    scaler = trainer.forecast.scaler
    if scaler is None:
        raise ConfigError(_untrained(trainer))
    made = trainer.forecast.quantiles(_past(ticks).history(trainer.config.forecast.length, scaler))
    return scaler.undo(made.movedim(-1, -2)).movedim(-2, -1).numpy()


def foresee_risk(trainer: MetaLearnerTrainer, ticks: Float[np.ndarray, "b l d"]) -> Float[np.ndarray, " b"]:
    """The chance of the event after the last ticks of B streams."""
    scaler = trainer.risk.scaler
    if scaler is None or not trainer.risk.ready:
        raise ConfigError(_UNLEARNED)
    return trainer.risk.chance(_past(ticks).history(trainer.config.risk.length, scaler)).numpy()


def _past(ticks: Float[np.ndarray, "b l d"]) -> Past:
    observation = torch.from_numpy(np.array(ticks, np.float32))
    known = torch.ones(observation.shape[:2])
    return Past(observation, torch.ones_like(observation), known, known.clone())


def signatures(trainer: MetaLearnerTrainer) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Types and shapes of batches that trained models take and give, by kind."""
    config, entries, found = trainer.config, trainer.entries, {}
    if trainer.forecast.ready:
        made = [-1, len(config.forecast.horizons), entries, len(LEVELS)]
        found["forecaster"] = (_floats([-1, config.forecast.length, entries]), _floats(made))
    if trainer.risk.ready:
        found["detector"] = (_floats([-1, config.risk.length, entries]), _floats([-1]))
    return found


def _floats(shape: list[int]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": shape}


def write_forecasts(path: Path, trainer: MetaLearnerTrainer, walk: Walk) -> int:
    """A line for each row, entry and horizon, in the feed's units; the number of lines."""
    found, scaler, states = forecasts(trainer, walk), trainer.forecast.scaler, walk.states
    assert scaler is not None
    horizons = trainer.config.forecast.horizons
    count, entries = len(found.row), len(walk.names)
    shape = (count, len(horizons), entries)

    def spread(column: np.ndarray, axis: int) -> np.ndarray:
        """Over all lines, from one axis of [rows, horizons, entries]."""
        places: list[int | None] = [None, None, None]
        wide = column.reshape([len(column) if each == axis else 1 for each in range(len(places))])
        return np.broadcast_to(wide, shape).ravel()

    raw = scaler.undo(found.quantiles.movedim(-1, -2)).movedim(-2, -1)
    came = scaler.undo(found.came).where(found.known > 0, torch.nan)
    last = scaler.undo(found.last).unsqueeze(1).expand(*shape)
    columns = {
        "episode": spread(states.entity.numpy(), 0),
        "tick": spread(walk.tick, 0),
        "when": spread(walk.when, 0),
        "entry": spread(np.array(walk.names), 2),
        "ahead": spread(np.array(horizons), 1),
        "last": last.numpy().ravel(),
        "came": came.numpy().ravel(),
    }
    columns |= {f"q{round(100 * level):02d}": raw[..., i].numpy().ravel() for i, level in enumerate(LEVELS)}
    _write(path, columns)
    return count * len(horizons) * entries


def write_risks(path: Path, trainer: MetaLearnerTrainer, walk: Walk) -> int:
    """A line for each row; the number of lines. `came` is empty where it is not known whether the event came."""
    found, states = risks(trainer, walk), walk.states
    row, known = found.row.numpy(), found.known.numpy() > 0
    columns = {
        "episode": states.entity.numpy()[row],
        "tick": walk.tick[row],
        "when": walk.when[row],
        "horizon": np.full(len(row), trainer.config.risk.horizon),
        "chance": found.chance.numpy(),
        "alarm": found.chance.numpy() >= trainer.risk.threshold,
        "came": np.where(known, found.label.numpy(), np.nan),
    }
    _write(path, columns)
    return len(row)


def _write(path: Path, columns: dict[str, np.ndarray]) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {path.parent}")
    pl.DataFrame(columns).fill_nan(None).write_parquet(path)


def _untrained(trainer: MetaLearnerTrainer) -> str:
    return (
        f"the forecaster of this run was never trained: models begin to learn at step meta.warm_up="
        f"{trainer.config.warm_up:,}, train longer or set it lower"
    )
