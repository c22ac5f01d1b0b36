"""Stays played out in a model of patients: values that are known, members apart, states that stay known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.evaluation.foreseen import Foresight, foresee
from angle_domains.types import Decision, Percept
from feeds.base import FeedSpec, Rows
from feeds.errors import FeedError
from metalearn.foresight import Scene, World, play_out, recorded_choice
from metalearn.patient_model import PatientModel
from metalearn.settings import PatientModelConfig
from tests.feeds.clinical.tables import feed as clinical_feed
from tests.feeds.clinical.tables import table
from tests.logs import rows_of

CONFIG = PatientModelConfig(members=2, updates=400, hidden=(32, 32), batch=128, learning_rate=5e-3, pessimism=0.0)
PATIENTS = 400


def walked(treated: float, seed: int, patients: int = PATIENTS) -> Rows:
    """Health walks down, or up where it is treated, until it is lost at -1 or regained, which earns 1, at 1."""
    rng = np.random.default_rng(seed)
    stays = []
    for _ in range(patients):
        health, path, actions = [rng.normal(0.0, 0.3)], [], []
        while abs(health[-1]) < 1.0 and len(actions) < 60:
            actions.append(int(rng.random() < treated))
            health.append(health[-1] + (0.15 if actions[-1] else -0.1) + rng.normal(0.0, 0.25))
        if actions:
            path = [0.0] * (len(actions) - 1) + [float(health[-1] >= 1.0)]
            stays.append({"obs": health, "action": actions, "reward": path, "ended": abs(health[-1]) >= 1.0})
    return rows_of(stays)


def worth(treated: float) -> float:
    rows = walked(treated, seed=9, patients=4_000)
    return float(rows.reward.sum() / len(rows.starts))


def feed() -> Any:
    parts = {part: walked(0.5, seed) for seed, part in enumerate(("train", "validation", "test"))}
    spec = FeedSpec("ward", spaces.Box(-9.0, 9.0, (1,), np.float32), spaces.Discrete(2))
    return SimpleNamespace(spec=spec, episodes=parts.__getitem__)


@pytest.fixture(scope="module")
def model() -> PatientModel:
    return PatientModel(feed(), CONFIG)


def starts(model: PatientModel) -> torch.Tensor:
    return model.starts["test"]


def test_what_is_recorded_is_worth_what_it_earned(model: PatientModel) -> None:
    played = play_out(World(model), starts(model), recorded_choice(model, seed=0), 1.0, seed=0)
    assert played.returns.shape == (2, len(starts(model)))
    assert played.returns.mean().item() == pytest.approx(worth(0.5), abs=0.07)


def test_members_play_their_own_stays_and_a_seed_repeats_them(model: PatientModel) -> None:
    known = torch.linspace(-1.0, 1.0, 21)[:, None].double()

    def treat(scene: Scene) -> torch.Tensor:
        if scene.tick:
            assert torch.isin((scene.obs[:, 0] * 10).round(), torch.arange(-10.0, 11.0)).sum() > len(scene.obs) * 0.9
        assert scene.allowed is None
        return torch.ones(len(scene.obs), dtype=torch.int64)

    world = World(model, known=known)
    one, again, other = (play_out(world, starts(model), treat, 1.0, seed=seed).returns for seed in (0, 0, 1))
    torch.testing.assert_close(one, again)
    assert (one[0] != one[1]).any()
    assert (one != other).any()


def test_a_foreseen_state_is_placed_among_the_known(model: PatientModel) -> None:
    world = World(model, known=torch.tensor([[-1.0], [0.0], [1.0]]).double())
    found = world.placed(torch.tensor([[0.4], [0.6], [-9.0]]).double())
    assert found[:, 0].tolist() == [0.0, 1.0, -1.0]
    assert World(model).placed(found) is found


def test_masks_are_told_where_records_have_them(model: PatientModel) -> None:
    told = []

    def choose(scene: Scene) -> torch.Tensor:
        assert scene.allowed is not None
        told.append(scene.allowed)
        return scene.allowed.int().argmax(1)

    play_out(World(model, masked=True), starts(model)[:5], choose, 1.0, seed=0)
    assert told[0].shape == (10, 2)


class Treats:
    """Always the second action."""

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        assert percept.first.all() == (memory is None)
        q = torch.zeros(len(percept.obs), 2)
        q[:, 1] = 1.0
        return Decision(q.argmax(-1), 1, {"q": q})


def test_a_policy_is_foreseen_near_its_true_value_and_a_model_that_fails_is_not_believed() -> None:
    records = feed()
    found = foresee(records, Treats(), records.episodes("test"), 1.0, Foresight(CONFIG))  # type: ignore[arg-type]
    assert found.credible
    assert found.by_stay.shape == records.episodes("test").starts.shape
    assert found.value == pytest.approx(worth(1.0), abs=0.07)
    assert "2 models say" in found.words()
    few = Foresight(CONFIG.model_copy(update={"updates": 1}))
    unfit = foresee(records, Treats(), records.episodes("test"), 1.0, few)  # type: ignore[arg-type]
    assert not unfit.credible
    assert "is not believed: of the recorded decisions, which earned" in unfit.words()


def test_doses_in_force_are_carried_along_from_those_that_stays_begin_with() -> None:
    """Steps are taken from the dose before, and a drug that is on stays on: both rule what can be chosen next."""
    records = clinical_feed(
        table(60), actions={"codec": "stepwise", "persist": ["action_vaso"], "max_step": 0.1, "timing": "next_row"}
    )
    model = PatientModel(records, CONFIG.model_copy(update={"updates": 5, "support": 0.0, "longest": 6}))
    assert model.dosing is not None
    codec, chance = model.dosing.codec, np.random.default_rng(0)
    doses = model.dosing.starts["test"]
    walked = {"doses": doses.repeat(2, 1).numpy(), "obs": None, "barred": False}
    assert (walked["doses"] > 0).any()

    def choose(scene: Scene) -> torch.Tensor:
        assert scene.allowed is not None
        allowed, held, obs = scene.allowed.numpy(), walked["doses"], scene.obs.numpy()
        np.testing.assert_array_equal(allowed, codec.mask(held))
        here = np.ones(len(obs), bool) if walked["obs"] is None else (obs != walked["obs"]).any(1)
        np.testing.assert_allclose(obs[here][:, model.dosing.place], codec.show(held)[here], atol=1e-6)  # type: ignore[union-attr]
        action = np.array([chance.choice(np.flatnonzero(row)) for row in allowed])
        walked.update(doses=codec.decode(action, held), obs=obs, barred=walked["barred"] or not allowed.all())
        return torch.from_numpy(action)

    play_out(World(model, masked=True), starts(model), choose, 1.0, seed=0, doses=doses)
    assert walked["barred"]
    with pytest.raises(FeedError, match="begin with doses in force"):
        play_out(World(model), starts(model), choose, 1.0, seed=0)
    usual = recorded_choice(model, seed=0)
    only = torch.zeros(len(doses), len(codec.labels), dtype=torch.bool)
    only[:, 3] = True
    assert (usual(Scene(0, starts(model).float(), torch.zeros(len(doses)), only)) == 3).all()
