"""Patient tables as recorded episodes: `ClinicalFeed`, a LoggedFeed."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from feeds.base import FeedSpec, Rows
from feeds.clinical.border import read_records
from feeds.clinical.codecs import codec_kind, make_codec
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.episodes import Doses, doses_of, make_rows, story_of, terminated
from feeds.clinical.records import DEATH, Records
from feeds.clinical.rewards import Story, components, make_term, pay
from feeds.clinical.split import SPLITS, patient_parts
from feeds.clinical.states import Fitted, StateCoder
from feeds.errors import FeedError, nearest
from feeds.findings import CheckReport


class ClinicalFeed:
    """Recorded decisions of clinicians, one episode a stay.

    In a row the state is what was known by then, the action what was decided in it, the reward what the row before
    led to. `fitted` is the `state_dict` of an earlier feed: its parts, scalers and categories are used as they are.
    """

    def __init__(
        self,
        config: ClinicalConfig,
        *,
        frame: Any = None,
        fitted: Mapping[str, Any] | None = None,
        reward: Callable[[Story], np.ndarray] | None = None,
        records: tuple[Records, CheckReport] | None = None,
    ) -> None:
        self.config = config
        self.records, self.check_report = read_records(config, frame) if records is None else records
        bounds = None if fitted is None else tuple(fitted["bounds"])
        self.parts, self.bounds = patient_parts(self.records, config.splits, bounds, config.least_patients)
        self.codec = make_codec(self.records.schema, config.actions, show=config.states.last_action)
        self.term = make_term(config.reward, reward)
        self._check_reward()
        coder = StateCoder(self.records.schema, config.states)
        if fitted is None:
            self.coder = coder.fit(self.part("train"))
        else:
            self.coder = StateCoder(self.records.schema, config.states, _fitted(fitted["states"], coder))
        self.spec = self._make_spec()

    def part(self, split: str) -> Records:
        """The records of the patients of one part."""
        if split not in SPLITS:
            raise FeedError(f"the records have no split '{split}': {nearest(split, SPLITS)}")
        return self.records.of(self.parts == SPLITS.index(split))

    def episodes(self, split: str) -> Rows:
        """The stays of one part, in the order of the records; `entity` numbers its patients."""
        return self.rows_of(self.part(split))

    def died(self, split: str) -> np.ndarray:
        """Of the rows of `episodes`: in which patients died, as the records tell it and no reward. Last rows alone."""
        records = self.part(split)
        return self.rows_of(records).last & (records.reason == DEATH)[records.stay]

    def rows_of(self, records: Records) -> Rows:
        """Any records of the schema as this feed shows them."""
        return make_rows(records, self.coder, self.codec, self.term, self.config)

    def doses(self, records: Records) -> Doses:
        """What was decided in each row, and what was in force before."""
        return doses_of(records, self.codec, self.config)

    def components(self, split: str) -> dict[str, np.ndarray]:
        """The parts of the reward, each as `Rows.reward` [N]; empty where the reward has none."""
        records = self.part(split)
        story = story_of(records, self.codec, self.config)
        paid = {name: pay(term, story) for name, term in components(self.config.reward).items()}
        return {name: np.where(records.first, 0.0, np.roll(values, 1)) for name, values in paid.items()}

    def state_dict(self) -> dict[str, Any]:
        """Where parts begin and what was fitted on the training part, JSON-ready; no patient is named."""
        assert self.coder.fitted is not None
        return {"bounds": list(self.bounds), "states": self.coder.fitted.state_dict()}

    def describe(self) -> dict[str, Any]:
        said = self.records.describe()
        counts = [int((self.parts == index).sum()) for index in range(len(SPLITS))]
        doses = self.doses(self.records)
        taken = np.diff(self.records.stay, append=-1) == 0
        clipped = self.codec.clipped(doses.decided, doses.before) & taken
        said["profile"] |= {
            "splits": dict(zip(SPLITS, counts, strict=True)),
            "actions": {
                "codec": codec_kind(self.records.schema, self.config.actions),
                "columns": list(self.codec.columns),
                "decisions": int(taken.sum()),
                "clipped": int(clipped.sum()),
                "held_on": doses.held_on,
            },
            "reward": {"kind": self.config.reward.kind, "horizon_hours": self.term.horizon, "flag": self.term.flag},
            "unknown_categories": self._unknown(),
        }
        return said

    def _unknown(self) -> dict[str, int]:
        """Rows of categories that hardly a training patient has, by column."""
        assert self.coder.fitted is not None
        found: dict[str, int] = {}
        for name, known in self.coder.fitted.categories.items():
            coded = self.records.coded[name]
            strange = np.array([text not in known for text in coded.names] or [False])
            count = int((strange[coded.codes] & (coded.codes >= 0)).sum())
            found |= {name: count} if count else {}
        return found

    def _check_reward(self) -> None:
        """A reward that looks ahead, or that tells of this row's action, may not enter the state."""
        settings, schema = self.config.reward, self.records.schema
        if settings.kind == "column" and settings.column in schema.state:
            early = settings.column_at == "arrival" and not self.term.horizon
            if not early and settings.column not in self.config.states.drop:
                raise FeedError(
                    f"feed.reward.column={settings.column} is in the state and tells what comes after it: "
                    "take it out of the state, or name it in feed.states.drop"
                )
        if settings.kind == "survival" and not terminated(self.records, self.config.ends).any():
            raise FeedError("feed.reward.kind=survival is paid where a stay terminates alive, and none terminates")

    def _make_spec(self) -> FeedSpec:
        blocks, limit = self.coder.blocks(self.codec.context), float(np.finfo(np.float32).max)
        units = {name: column.unit for name, column in self.records.schema.state.items() if column.unit}
        return FeedSpec(
            name="clinical",
            observation_space=spaces.Box(-limit, limit, (blocks[-1].stop,), np.float32),
            action_space=self.codec.space,
            blocks=blocks,
            clock="one recorded row a step; elapsed time in hours",
            units=units | self.codec.units | {"reward": self.config.reward.kind, "elapsed": "h"},
            splits=SPLITS,
            ahead=self.term.horizon,
        )


def _fitted(state: Mapping[str, Any], coder: StateCoder) -> Fitted:
    """The fitted parts of an earlier feed; FeedError where they are of other columns."""
    fitted = Fitted.from_state(state)
    wanted = set(coder.scaled()) | {name for name, column in coder.columns.items() if column.kind == "categorical"}
    stored = set(fitted.scaler.names) | set(fitted.categories)
    if wanted != stored:
        differs = sorted(wanted ^ stored)
        raise FeedError(f"the stored scalers and categories are of other columns: {', '.join(differs)}")
    return fitted
