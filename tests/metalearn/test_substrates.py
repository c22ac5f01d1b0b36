"""Substrates beside an agent: what they learn, what they leave alone, and that they go on to the bit."""

from typing import Any

import pytest
import torch
from torch import nn

from feeds.errors import FeedError
from metalearn.forecasting.histories import Future
from metalearn.forecasting.substrate import ForecastSubstrate, trusted
from metalearn.risk.labels import event_within
from metalearn.risk.measures import highest_before, measure
from metalearn.risk.substrate import RiskSubstrate, balanced, events
from metalearn.settings import ForecastConfig, RiskConfig
from metalearn.states import States, parts_of

KINDS = ["ridge", "linear", "mixer", "gru"]


def lived(seed: int, *, rows: int = 40, episodes: int = 30, pull: float = 0.5) -> States:
    """Three entries that return to their means by `pull`; the reward is the first, and what falls far ends badly."""
    drawn = torch.Generator().manual_seed(seed)
    value = torch.randn(episodes, rows, 3, generator=drawn)
    for row in range(1, rows):
        value[:, row] += (1.0 - pull) * value[:, row - 1]
    first = torch.zeros(episodes, rows, dtype=torch.bool)
    first[:, 0] = True
    reward = torch.where(first, 0.0, value[..., 0])
    return States.whole(
        5.0 + 2.0 * value.flatten(0, 1),
        first.flatten(),
        reward=reward.flatten(),
        action=torch.randint(2, (episodes * rows,), generator=drawn),
    )


def q(states: torch.Tensor) -> torch.Tensor:
    return torch.stack([states[:, 0], 0.5 * states[:, 1]], -1)


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_beat_the_last_value_and_cover(kind: str) -> None:
    made = ForecastSubstrate(ForecastConfig(kind=kind, coupling="none", learning_rate=1e-2, updates=40), 3, seed=0)
    metrics: dict[str, float] = {}
    for seed in range(6):
        metrics = made.update(lived(seed), q)
    assert metrics["forecast/error_against_last"] < 0.95
    assert 0.7 < metrics["forecast/coverage_80"] < 0.9


@pytest.mark.parametrize("kind", ["ridge", "linear"])
def test_white_noise_and_walks_show_no_skill(kind: str) -> None:
    made = ForecastSubstrate(ForecastConfig(kind=kind, coupling="none", learning_rate=1e-2), 3, seed=0)
    metrics: dict[str, float] = {}
    for seed in range(6):
        metrics = made.update(lived(seed, pull=0.0), None)
    assert metrics["forecast/error_against_last"] > 0.97


def test_a_median_is_trusted_as_far_as_it_gains_on_the_last_value() -> None:
    came = torch.tensor([[[1.0, 0.0, 1.0, 1.0]], [[1.0, 0.0, 9.0, 1.0]]])
    seen = torch.tensor([[[1.0, 1.0, 1.0, 1.0]], [[1.0, 1.0, 0.0, 1.0]]])
    median = torch.tensor([1.0, 0.5, 2.0, 0.001]).expand(2, 1, 4)
    # right; worse than to stay at 0; half of it right, by what was seen alone; better by too little
    assert trusted(median, torch.zeros(2, 4), Future(came, seen)).tolist() == [[1.0, 0.0, 0.5, 0.0]]
    nothing = Future(came, torch.zeros_like(seen))
    assert trusted(median, torch.zeros(2, 4), nothing).tolist() == [[0.0] * 4]


def test_what_hardly_changes_stays_at_its_last_value() -> None:
    states = lived(0, pull=1.0)
    still = (torch.rand(states.observation[:, 0].shape, generator=torch.Generator().manual_seed(0)) < 0.02).float()
    states.observation[:, 2] = still.cumsum(0) % 2  # a flag that turns now and then
    made = ForecastSubstrate(ForecastConfig(kind="ridge", coupling="none"), 3, seed=0)
    made.update(states, None)
    assert made.trust[:, 2].tolist() == [0.0, 0.0]
    assert made.trust[:, :2].min() > 0.0


def test_the_gate_opens_as_far_as_q_explains_returns() -> None:
    config = ForecastConfig(kind="linear", gamma=0.0, return_steps=1)
    states = lived(0, episodes=300)
    knows, guesses = ForecastSubstrate(config, 3, seed=0), ForecastSubstrate(config, 3, seed=0)
    # the next reward is 0.5 (x - 5) / 2 and noise of variance 1, of a whole variance of 4 / 3
    known = knows.update(states, lambda s: (0.25 * (s[:, :1] - 5.0)).expand(-1, 2))
    guessed = guesses.update(states, lambda s: s[:, 1:2].expand(-1, 2))
    assert known["forecast/heard"] == pytest.approx(0.25, abs=0.1)
    assert guessed["forecast/heard"] < 0.05


@pytest.mark.parametrize("coupling", ["gradient", "values", "gated", "shuffled"])
def test_q_is_read_alone(coupling: str) -> None:
    network = nn.Linear(3, 2)
    before = [parameter.clone() for parameter in network.parameters()]
    ForecastSubstrate(ForecastConfig(kind="linear", coupling=coupling), 3, seed=0).update(lived(0), network)
    RiskSubstrate(RiskConfig(drawdown=4.0), 3, seed=0).update(lived(0), network)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("episodes", [30, 1])
@pytest.mark.parametrize("kind", ["ridge", "linear"])
def test_what_is_held_out_is_never_fitted(kind: str, episodes: int) -> None:
    states = lived(0, rows=1_200 // episodes, episodes=episodes)
    kept = parts_of(states, 4).judge
    other = states._replace(observation=states.observation.clone())
    other.observation[kept] = 1e3 * torch.randn(int(kept.sum()), 3)
    made = [ForecastSubstrate(ForecastConfig(kind=kind, coupling="none"), 3, seed=0) for _ in range(2)]
    risks = [RiskSubstrate(RiskConfig(drawdown=4.0), 3, seed=0) for _ in range(2)]
    for one, risk, seen in zip(made, risks, (states, other), strict=True):
        one.update(seen, None)
        risk.update(seen, None)
    for name in ("ridge", "network", "conformal", "typical"):
        assert_alike(*(one.state_dict().get(name) for one in made))
    assert_alike(*(risk.network.state_dict() for risk in risks))
    assert risks[0].line == risks[1].line


def assert_alike(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        for name, value in one.items():
            assert_alike(value, other[name])
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_events_by_hand() -> None:
    first = torch.tensor([True, False, False, False, True, False])
    reward = torch.tensor([0.0, 1.0, -0.5, -0.6, 0.0, -1.0])
    ended = torch.tensor([False, False, False, False, False, True])
    states = States.whole(torch.zeros(6, 1), first, terminated=ended, reward=reward)
    fell = events(states, RiskConfig(event="drawdown", drawdown=1.0))
    assert fell.tolist() == [False, False, False, True, False, True]
    assert torch.equal(events(states, RiskConfig(event="end")), ended)
    assert torch.equal(events(states, RiskConfig(drawdown=1.0)), fell)
    told = states._replace(event=first)
    assert torch.equal(events(told, RiskConfig(drawdown=1.0)), first)
    with pytest.raises(FeedError, match="tells of events"):
        events(states, RiskConfig(event="told"))


def falls(seed: int, *, known: bool = True, rows: int = 40, episodes: int = 60) -> States:
    """Episodes that end badly with a chance that the second entry tells; unless it is another's."""
    drawn = torch.Generator().manual_seed(seed)
    level = torch.randn(episodes, 1, generator=drawn)
    observation = torch.stack([torch.randn(episodes, rows, generator=drawn), level.expand(-1, rows)], -1)
    lasts = torch.rand(episodes, rows, generator=drawn) >= 0.04 * torch.exp(1.5 * level)
    alive = torch.cat([torch.ones(episodes, 1), torch.cumprod(lasts[:, 1:].float(), 1)], 1)
    there = torch.cat([torch.ones(episodes, 1), alive[:, :-1]], 1) > 0
    bad = there & (alive == 0)
    first = torch.zeros(episodes, rows, dtype=torch.bool)
    first[:, 0] = True
    if not known:
        observation[..., 1] = level[torch.randperm(episodes, generator=drawn)]
    entity = torch.arange(episodes).unsqueeze(1).expand(-1, rows)
    return States.whole(
        observation[there], first[there], terminated=bad[there], reward=-bad[there].float(), entity=entity[there]
    )


def test_risk_is_told_apart_where_it_can_be_and_its_chances_hold() -> None:
    made, blind = (RiskSubstrate(RiskConfig(event="end", horizon=5), 2, seed=0) for _ in range(2))
    for seed in range(4):
        made.update(falls(seed, episodes=600), None)
        control = blind.update(falls(seed, known=False, episodes=600), None)
    assert 0.0 < made.threshold < 0.5
    assert control["risk/auroc"] < 0.65
    states = falls(99, episodes=600)
    label, known, _ = event_within(events(states, made.config), states.first, states.terminated, made.config.horizon)
    rows = ((known > 0) & ~states.last).nonzero().squeeze(-1)
    found = measure(made.chances(states, rows), label[rows])
    assert found.auroc > 0.75
    assert found.ece < 0.06


def test_weights_lift_rows_where_actions_matter_and_keep_the_kinds_balanced() -> None:
    made = RiskSubstrate(RiskConfig(steering=2.0, most_weight=3.0), 3, seed=0)
    states, rows = lived(0), torch.arange(4)
    label = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert made._lift(states, rows, None).tolist() == [1.0, 1.0, 1.0, 1.0]
    assert balanced(torch.ones(4), label).tolist() == pytest.approx([2.0, 2.0 / 3, 2.0 / 3, 2.0 / 3])

    def apart(observation: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 9.0]])

    lift = made._lift(states, rows, apart)
    assert lift.mean().item() == pytest.approx(1.0)
    lifted = balanced(lift, label)
    assert lifted[label > 0].sum().item() == pytest.approx(2.0)
    assert lifted[label == 0].sum().item() == pytest.approx(2.0)
    assert (lifted[3] / lifted[2]).item() == pytest.approx(1.0 + 2.0 * min(3.0, 9.0 / apart(label).std().item()))


def test_rows_before_one_event_are_one_event() -> None:
    chance, label = torch.tensor([0.1, 0.7, 0.4, 0.2, 0.9]), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    assert highest_before(chance, label, torch.tensor([8, 8, 20, 20, -1])).tolist() == pytest.approx([0.7, 0.4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_forecaster_goes_on_to_the_bit(kind: str) -> None:
    def make() -> ForecastSubstrate:
        return ForecastSubstrate(ForecastConfig(kind=kind), 3, seed=3)

    _goes_on(make, [lived(seed) for seed in range(4)])


@pytest.mark.parametrize("settings", [{}, {"calibration": "isotonic"}, {"hidden": (4,)}])
def test_a_detector_goes_on_to_the_bit(settings: dict[str, Any]) -> None:
    config = RiskConfig(event="end", horizon=5, **settings)
    _goes_on(lambda: RiskSubstrate(config, 2, seed=3), [falls(seed) for seed in range(4)])


def test_steps_take_the_place_of_the_line() -> None:
    made = RiskSubstrate(RiskConfig(event="end", horizon=5, calibration="isotonic"), 2, seed=0)
    states = falls(0, episodes=600)
    found = made.update(states, None)
    assert made.steps is not None
    chance = made.chances(states, torch.arange(200))
    assert made.steps.chance.min() <= chance.min() <= chance.max() <= made.steps.chance.max()
    assert found["risk/auroc"] > 0.7


def _goes_on(make: Any, batches: list[States]) -> None:
    straight, first, second = make(), make(), make()
    told = [straight.update(states, q) for states in batches]
    for states in batches[:2]:
        first.update(states, q)
    second.load_state_dict(first.state_dict())
    assert [second.update(states, q) for states in batches[2:]] == told[2:]
