"""The model of patients that an agent practises in: fitted once for a run, told of meanwhile, and kept with it."""

from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from angle_domains import checkpoint
from angle_domains.errors import CheckpointError
from feeds.base import LoggedFeed
from metalearn.settings import PatientModelConfig

FOLDER = "patient-model"  # in that of the run: laid out, and checksummed, as a checkpoint is


class Told(Protocol):
    """Who hears how far the fit is."""

    def start(self, total: int, label: str) -> None: ...
    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


class Practice:
    """One model, of one feed by one set of settings, and where it is kept."""

    def __init__(self, feed: LoggedFeed, settings: BaseModel, model: PatientModelConfig, run: Path) -> None:
        self.feed, self.model, self.folder = feed, model, run / FOLDER
        same = settings.model_dump(
            mode="json", exclude={"path"}
        )  # data may move: the digest tells whether they changed
        self.meta = {"data": feed.describe()["digest"], "feed": same, "model": model.model_dump(mode="json")}
        self.made: Any = None

    def open(self, told: Told) -> Any:
        """The model that the run keeps, to the bit; else a new one, of which `told` hears how far its fit is."""
        from metalearn.patient_model import PatientModel, blank_dynamics

        state = self._stored(told)
        if state is not None:
            dynamics = blank_dynamics(self.feed, self.model)
            dynamics.load_state_dict(state)
            self.made = PatientModel(self.feed, self.model, dynamics)
            return self.made
        total = blank_dynamics(self.feed, self.model).updates_in_all
        told.start(total, "fitting the model of patients")
        self.made = PatientModel(self.feed, self.model, tell=lambda update: told.update(update, {}))
        told.close()
        return self.made

    def keep(self) -> None:
        """Writes the model beside the run's checkpoints, unless it is there; what was there of other data goes."""
        if self.made is not None and self._stored(None) is None:
            checkpoint.remove(self.folder)
            checkpoint.save(self.folder, {"dynamics": dict(self.made.dynamics.state_dict())}, self.meta)

    def _stored(self, told: Told | None) -> dict[str, Any] | None:
        """None where there is none of these data and settings, or it is damaged: a new fit gives the same."""
        if not self.folder.is_dir():
            return None
        try:
            state, meta = checkpoint.load(self.folder)
        except CheckpointError as error:
            if told is not None:
                told.line(f"{error}; the model of patients is fitted anew")
            return None
        found: dict[str, Any] = state["dynamics"]
        return found if meta == self.meta else None
