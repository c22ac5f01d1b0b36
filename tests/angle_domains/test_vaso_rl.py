"""The preset of the public vasopressor pipeline: what it reproduces, and that its mistakes are its own."""

import re
from typing import Any

import numpy as np
import pytest

from angle_domains.agents.cql import CQLConfig, TwinCQL, build
from angle_domains.agents.rcql import RCQLConfig
from angle_domains.config import find_config, load_config
from angle_domains.evaluation.patients.subgroups import subgroups
from angle_domains.ope.settings import JudgingConfig
from angle_domains.replay import recorded
from feeds.clinical.config import Actions, Ends, Reward, States
from feeds.clinical.episodes import deaths
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.rewards import make_term

STATE = (
    *("time_hour", "mbp", "lactate", "bun", "creatinine", "fluid", "total_fluid", "uo_h", "ventil", "rrt", "sofa"),
    *("cortico", "height", "weight", "ethnicity", "age", "gender"),
)
VASO = ("feed.actions.codec=binary", "feed.actions.columns=[action_vaso]", "feed.states.drop=[]")


def made(*overrides: str) -> ClinicalFeed:
    config: Any = load_config(file="clinical/vaso_rl", overrides=["feed.patients=60", *overrides]).feed
    return ClinicalFeed(config)


@pytest.mark.parametrize(
    ("overrides", "actions", "width"),
    [
        ((), 18, 27),  # 17 columns and ten bins of the current dose
        (("feed.actions.max_step=0.1",), 10, 27),
        (VASO, 2, 18),
        (("feed.actions.codec=block", "feed.actions.bins=3"), 6, 17),
        (("feed.actions.codec=block", "feed.actions.bins=5"), 10, 17),
        (("feed.actions.codec=block", "feed.actions.bins=10"), 20, 17),
        (("feed.actions.codec=block", "feed.actions.edges.norepinephrine=[0, .05, .1, .2, .5]"), 8, 17),
    ],
)
def test_states_and_actions(overrides: tuple[str, ...], actions: int, width: int) -> None:
    feed = made(*overrides)
    assert feed.spec.action_space.n == actions  # type: ignore[attr-defined]
    assert feed.spec.observation_space.shape == (width,)
    assert feed.spec.blocks[0].features[:17] == STATE


def test_states_are_scaled_on_training_patients_and_nothing_else_is_shown() -> None:
    feed = made()
    rows, binary = feed.episodes("train"), [STATE.index(name) for name in ("ventil", "rrt", "cortico")]
    values = np.delete(rows.observation[:, :17], binary, axis=1)
    np.testing.assert_allclose(values.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(values.std(0), 1.0, atol=1e-3)
    assert set(np.unique(rows.observation[:, binary])) <= {0.0, 1.0}
    assert len(np.unique(rows.observation[:, STATE.index("ethnicity")])) <= 5  # numbers of sorted labels


def test_a_block_means_its_centre_and_none_means_no_dose() -> None:
    """VP2 usage of 100 per cent, as published, whatever is chosen."""
    codec = made("feed.actions.codec=block", "feed.actions.bins=5").codec
    doses = codec.decode(np.arange(10), np.zeros((10, 2)))
    np.testing.assert_allclose(doses[:5, 1], [0.05, 0.15, 0.25, 0.35, 0.45])
    assert (doses[:, 1] > 0).all()


def test_ends_and_parts() -> None:
    """One stay a patient, 70/15/15 of patients; the task ends two rows before none is left, for whatever reason."""
    feed = made()
    assert feed.describe()["profile"]["splits"] == {"train": 42, "validation": 9, "test": 9}
    for split in ("train", "validation", "test"):
        rows = feed.episodes(split)
        assert rows.terminated[rows.last].all()
        assert not rows.terminated[~rows.last].any()
    kept = made("feed.roles.end_reason=traj_end_reason", "feed.ends={hour_cap: truncated, transfer: truncated}")
    cut = kept.episodes("train")
    assert not cut.terminated[cut.last].all()  # what the record says, where it is read


def test_age_gender_and_ethnicity_make_groups_and_of_few_patients_nothing_is_told() -> None:
    feed = made("feed.patients=400")
    found = subgroups(feed, "train", None, JudgingConfig())
    assert {group.column for group in found} == {"age", "gender", "ethnicity"}
    named = {group.label for group in found if group.column == "ethnicity"}
    assert {"Asian", "Black", "Hispanic", "Other", "White"} >= named - {"other"} >= {"Black", "Other", "White"}
    records = feed.part("train")
    white = records.coded["ethnicity"].codes[records.starts] == records.coded["ethnicity"].names.index("White")
    assert [group.patients for group in found if group.label == "White"] == [int(white.sum())]
    few = subgroups(made(), "test", None, JudgingConfig())  # nine patients
    assert few
    assert all(group.patients is group.deaths is group.value is None for group in few)
    told = made("feed.roles.static=[gender]")
    assert {group.column for group in subgroups(told, "train", None, JudgingConfig())} == {"gender"}


def test_simple_reward_by_hand() -> None:
    feed = made()
    rows, records = feed.episodes("train"), feed.part("train")
    dose = records.values["action_vaso"] + 2.0 * records.values["norepinephrine"]
    end = np.where(records.died[records.stay], -10.0, 10.0) * rows.last
    before = np.where(rows.first, 0.0, np.roll(-0.1 * np.maximum(0.0, dose - 1.0), 1))
    np.testing.assert_allclose(rows.reward, before + end, atol=1e-12)


@pytest.mark.parametrize(("kind", "sign", "flagged"), [("mortality_only", 1.0, True), ("mortality", -1.0, False)])
def test_the_sign_of_deaths(kind: str, sign: float, flagged: bool) -> None:
    feed = made(f"feed.reward.kind={kind}")
    rows, records = feed.episodes("train"), feed.part("train")
    np.testing.assert_array_equal(rows.reward, sign * rows.last * records.died[records.stay])
    assert bool(feed.term.flag) == flagged


@pytest.mark.parametrize("kind", ["simple", "oviss", "mortality_only", "mortality", "oviss_base"])
def test_who_died_is_told_by_the_record_and_never_by_the_reward(kind: str) -> None:
    """Where deaths are paid for, where nobody's is paid for, and whatever the sign."""
    feed = made(f"feed.reward.kind={kind}")
    rows, records = feed.episodes("train"), feed.part("train")
    assert 0 < records.died.sum() < len(records.died)
    assert deaths(rows, records) == (int(records.died.sum()), int(records.died.sum()))


def test_the_learner_is_the_published_one() -> None:
    config = load_config(file="clinical/vaso_rl")
    agent = build(config.agent, made().spec, streams=1, seed=0, device="cpu")  # type: ignore[arg-type]
    assert isinstance(agent, TwinCQL)
    assert [tuple(weight.shape[1:]) for weight in agent.q.online.layers.weights] == [
        *((27, 128), (128, 128), (128, 64)),
        (64, 18),
    ]
    told = config.agent.model_dump()
    assert {name: told[name] for name in ("gamma", "tau", "learning_rate", "max_grad_norm")} == {
        "gamma": 0.95,
        "tau": 0.8,
        "learning_rate": 1e-3,
        "max_grad_norm": 1.0,
    }
    assert (told["replay"]["batch"], told["replay"]["prioritised"], config.seed) == (128, False, 42)
    replay = recorded(made().episodes("train"), agent, seed=0, device="cpu")
    metrics = agent.learn(replay.get_batch(128, agent.length)).metrics
    assert all(np.isfinite(float(value)) for value in metrics.values())


def test_the_recurrent_learner_differs_in_what_the_preset_says() -> None:
    """What the file calls alike are the published settings; what it does not is told with the value that is ours."""
    told = RCQLConfig().model_dump()
    published = {"sequence": 20, "burn_in": 8, "stride": 10, "gamma": 0.95, "learning_rate": 1e-3, "max_grad_norm": 1.0}
    assert {name: told[name] for name in published} == published
    assert (told["network"]["hidden"], told["network"]["recurrent"]) == ((64,), 64)
    assert {name: told["replay"][name] for name in ("batch", "prioritised", "alpha", "beta")} == {
        "batch": 32,
        "prioritised": True,
        "alpha": 0.6,
        "beta": 0.4,
    }
    text = find_config("clinical/vaso_rl").read_text()
    differing = text.split("What differs:")[1].split("# Rewards that are learned")[0]
    assert re.findall(r"^#   (\w+) ", differing, re.MULTILINE) == ["memory", "priorities", "tau", "target", "critics"]
    assert f"tau         {told['tau']:g};" in differing
    assert not {"critics", "layers", "dropout"} & {*told, *told["network"]}  # which it says cannot be set


def test_its_mistakes_are_not_our_defaults() -> None:
    assert (Ends().transfer, Ends().hour_cap, Ends().late_death) == ("truncated", "truncated", "censored")
    assert Actions().zero
    assert not States().drop
    assert make_term(Reward()).horizon == 0.0
    assert make_term(Reward(kind="oviss", causal=True)).horizon == 0.0
    assert make_term(Reward(kind="oviss")).horizon == 6.0
    assert (CQLConfig().tau or 0.005) <= 0.01


def test_norepinephrine_in_the_state_is_that_of_the_hour_before() -> None:
    feed = made("feed.states.drop=[]", "feed.actions.codec=block", "feed.states.scale=none")
    rows, dose = feed.episodes("train"), feed.part("train").values["norepinephrine"]
    assert feed.spec.blocks[0].features[-1] == "norepinephrine_before"
    np.testing.assert_allclose(
        rows.observation[:, -1], np.where(rows.first, 0.0, np.roll(dose, 1)).astype(np.float32), atol=1e-7
    )
