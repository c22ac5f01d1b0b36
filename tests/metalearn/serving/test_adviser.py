"""What is told to an agent: nothing before models know anything, then what they hold, laid out in blocks."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from feeds.base import Block, FeedSpec
from feeds.errors import FeedError
from metalearn.serving.adviser import Adviser
from metalearn.serving.layout import Layout
from metalearn.settings import ForecastConfig, MetaLearningConfig, RiskConfig, ServingConfig
from metalearn.states import States
from metalearn.substrates import build
from metalearn.trainer import MetaLearnerTrainer

CONFIG = MetaLearningConfig(
    on=True,
    serve=ServingConfig(forecast=True, risk=True),
    forecast=ForecastConfig(length=3, horizons=(1, 2)),
    risk=RiskConfig(event="end", horizon=3, length=3),
)
SPEC = FeedSpec(
    name="two",
    observation_space=spaces.Box(-1.0, 1.0, (5,), np.float32),
    action_space=spaces.Discrete(2),
    blocks=(Block("assets", 0, (2, 2), ("a", "b")), Block("account", 4, (1,), ("cash",))),
)


def rows(seed: int, episodes: int = 120) -> States:
    """A wave that comes back, whose first entry says when the end is near."""
    made = torch.Generator().manual_seed(seed)
    lengths = torch.randint(5, 15, (episodes,), generator=made)
    first, ended, left = [], [], []
    for length in lengths.tolist():
        first += [True, *[False] * (length - 1)]
        ended += [*[False] * (length - 1), True]
        left += list(range(length, 0, -1))
    observation = torch.randn(len(first), 5, generator=made)
    observation[:, 0] = torch.tensor(left, dtype=torch.float32)
    action = torch.randint(2, (len(first),), generator=made)
    return States.whole(observation, torch.tensor(first), terminated=torch.tensor(ended), action=action)


def adviser(**serve: object) -> Adviser:
    config = CONFIG.model_copy(update={"serve": ServingConfig(**{"forecast": True, "risk": True, **serve})})
    return Adviser(MetaLearnerTrainer(config, 5, seed=0, actions=2), SPEC)


def test_blocks_of_advice_lie_as_the_observation_does() -> None:
    layout = Layout(SPEC, CONFIG)
    names = [block.name for block in layout.blocks]
    told = [f"assets/{what} in {ahead}" for ahead in (1, 2) for what in ("level", "change", "spread")]
    assert names == [*told, "width", "risk"]
    assert layout.entries == [0, 1, 2, 3], "cash is the agent's own"
    wide = layout.widen(SPEC)
    assert wide.observation_space.shape == (5 + 6 * 4 + 2 + 1,)
    assert [block.start for block in wide.blocks] == [0, 4, 5, 9, 13, 17, 21, 25, 29, 31]


def test_before_training_all_is_0_and_the_width_is_the_same() -> None:
    made = adviser()
    past = made.blank(4).then(torch.randn(4, 5), torch.ones(4, dtype=torch.bool), None)
    before = made.advise(past, keep=True)
    assert before.features.shape == (4, made.layout.size)
    assert not before.features.any()
    assert not before.chance.any()
    made.trainer.update(0, rows(0), None)
    after = made.advise(past, keep=True)
    assert after.features.shape == before.features.shape
    assert after.features.any()


def test_what_is_told_is_what_the_models_hold() -> None:
    made = adviser()
    for seed in range(3):
        made.trainer.update(seed, rows(seed), None)
    states = rows(9)
    told = made.advise_record(states)
    assert torch.equal(told.features[:, -1], told.chance)
    near, far = states.observation[:, 0] <= 3, states.observation[:, 0] >= 8
    assert float(told.chance[near].mean()) > 2 * float(told.chance[far].mean()), "the end can be foreseen"
    change = told.features[:, 4]
    assert float(change[states.observation[:, 0] > 5].mean()) < -0.2, "the first entry falls by one a row"
    perturbed = states._replace(observation=states.observation.clone())
    perturbed.observation[50:] = 7.0
    again = made.advise_record(perturbed)
    assert torch.equal(again.features[:50], told.features[:50]), "nothing is known of what comes"
    assert not torch.equal(again.features[50:], told.features[50:])


def test_what_is_foreseen_is_told_in_the_usual_size_however_small_it_is() -> None:
    """Of an entry a quarter comes back: its forecasts lie a quarter of a deviation apart, what is told a whole."""

    def returning(seed: int) -> States:
        states = rows(seed, episodes=400)
        for row in range(1, len(states.first)):
            if not states.first[row]:
                states.observation[row, 1] += 0.25 * states.observation[row - 1, 1]
        return states

    made = adviser()
    for seed in range(3):
        made.trainer.update(seed, returning(seed), None)
    told = made.advise_record(returning(9)).features
    spread = made.trainer.forecast.spread
    assert spread is not None
    assert 0.15 < float(spread[0, 1]) < 0.4
    assert 0.7 < float(told[:, 1].std()) < 1.4
    other = adviser()
    other.trainer.forecast.load_state_dict(made.trainer.forecast.state_dict())
    assert torch.equal(other.advise_record(returning(9)).features[:, :4], told[:, :4])


def test_shuffled_advice_was_told_at_other_times() -> None:
    made = adviser(control="shuffled")
    made.trainer.update(0, rows(0), None)
    states, plain = rows(3), adviser()
    plain.trainer.load_state_dict(made.trainer.state_dict())
    mine, theirs = made.advise_record(states).features, plain.advise_record(states).features
    assert not torch.equal(mine, theirs)
    assert torch.equal(mine.sort(0).values, theirs.sort(0).values), "the same numbers in another order"
    assert torch.equal(made.advise_record(states).features, mine), "asked again it says the same"


def test_the_shield_learns_which_action_harms() -> None:
    made = adviser(shield=True)
    shield = made.trainer.shield
    assert shield is not None
    for seed in range(4):
        made.trainer.update(seed, harmed(seed), None)
    assert shield.ready
    states = harmed(9)
    chance = torch.cat([shield.chance(p) for p in [past_of(made, states)]])
    assert float((chance[:, 1] - chance[:, 0]).mean()) > 0.1
    safe = made.advise(past_of(made, states), keep=True).safe
    assert safe is not None
    assert bool(safe.any(-1).all()), "something is always left to do"
    assert float(safe[:, 0].float().mean()) > float(safe[:, 1].float().mean())
    made.trainer.update(4, harmed(4, episodes=1_500), None)  # more events to calibrate on
    metrics = shield.judge_record(harmed(5, episodes=1_500))
    assert 0.0 < metrics["shield/would_forbid"] < 1.0
    assert metrics["shield/missed"] <= made.trainer.config.risk.most_missed + 0.1


def past_of(made: Adviser, states: States):  # type: ignore[no-untyped-def]
    from metalearn.serving.memory import pasts

    return pasts(states, torch.arange(states.rows), made.length)


def harmed(seed: int, episodes: int = 300) -> States:
    """Episodes of at most 12 rows that action 1 ends, in half of all rows where it is taken."""
    made = torch.Generator().manual_seed(seed)
    columns: list[tuple[bool, bool, int]] = []
    for _ in range(episodes):
        for row in range(12):
            action = int(torch.rand((), generator=made) < 0.2)
            columns.append((row == 0, False, action))
            if action and float(torch.rand((), generator=made)) < 0.5:
                columns.append((False, True, 0))
                break
    first, ended, action = (list(column) for column in zip(*columns, strict=True))
    observation = torch.randn(len(first), 5, generator=made)
    return States.whole(observation, torch.tensor(first), terminated=torch.tensor(ended), action=torch.tensor(action))


def test_a_further_substrate_is_a_class_in_a_file() -> None:
    name = "tests.metalearn.serving.counting:Counting"
    made = MetaLearnerTrainer(CONFIG.model_copy(update={"also": (name,)}), 5, seed=0)
    assert made.update(0, rows(0), None)["counting/rows"] == rows(0).rows
    other = MetaLearnerTrainer(CONFIG.model_copy(update={"also": (name,)}), 5, seed=0)
    other.load_state_dict(made.state_dict())
    assert other.also[name].state_dict() == made.also[name].state_dict()
    with pytest.raises(FeedError, match="write my_package:MySubstrate"):
        build("nowhere:Nothing", 5, 0)
    with pytest.raises(FeedError, match="lacks update"):
        build("tests.metalearn.serving.counting:Idle", 5, 0)


def test_a_live_control_tells_what_was_told_earlier_and_looking_changes_nothing() -> None:
    made = adviser(control="shuffled")
    made.trainer.update(0, rows(0), None)
    plain = adviser()
    plain.trainer.load_state_dict(made.trainer.state_dict())
    states, earlier = rows(5), []
    past, mine, other = rows(5), made.blank(1), plain.blank(1)
    for row in range(60):
        at = slice(row, row + 1)
        told = (past.observation[at], past.first[at], None)
        mine, other = mine.then(*told), other.then(*told)
        true = plain.advise(other, keep=True).features[0]
        made.advise(mine, keep=False)  # a look
        shown = made.advise(mine, keep=True).features[0]
        assert not shown.any() if not earlier else any(torch.equal(shown, each) for each in earlier)
        earlier.append(true)
    one, two = adviser(control="shuffled"), adviser(control="shuffled")
    for each in (one, two):
        each.trainer.load_state_dict(made.trainer.state_dict())
        each.load_state_dict(made.state_dict())
    assert torch.equal(one.advise(mine, keep=True).features, two.advise(mine, keep=True).features)
    assert states.rows > 60


def test_the_control_shuffles_shaping_and_shield_too() -> None:
    made, plain = adviser(control="shuffled", shield=True), adviser(shield=True)
    for seed in range(4):
        made.trainer.update(seed, harmed(seed), None)
    plain.trainer.load_state_dict(made.trainer.state_dict())
    states = harmed(9)
    past = past_of(plain, states)
    first = made.advise(past, keep=True)
    assert first.safe is not None
    assert (not first.chance.any(), bool(first.safe.all())) == (True, True), "nothing was told yet"
    true, shown = plain.advise(past, keep=True), made.advise(past, keep=True)
    assert true.safe is not None
    assert shown.safe is not None
    told = torch.cat([true.features, true.chance.unsqueeze(1), true.safe.to(torch.float32)], 1)
    again = torch.cat([shown.features, shown.chance.unsqueeze(1), shown.safe.to(torch.float32)], 1)
    known = {tuple(row) for row in told.tolist()}
    assert all(tuple(row) in known for row in again.tolist()), "features, chance and safety of one row each"
    assert not torch.equal(again, told)
    record, plainly = made.advise_record(states), plain.advise_record(states)
    assert not torch.equal(record.chance, plainly.chance)
    assert torch.equal(record.chance.sort().values, plainly.chance.sort().values)


def test_nothing_is_told_of_risk_before_an_event_was_seen() -> None:
    made = adviser()
    states = rows(0)
    made.trainer.update(0, states._replace(terminated=torch.zeros_like(states.terminated)), None)
    past = past_of(made, states)
    assert not made.advise(past, keep=True).chance.any()
    assert not made.trainer.risk.ready
    made.trainer.update(1, states, None)
    assert made.advise(past, keep=True).chance.any()
