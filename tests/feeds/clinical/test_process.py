from collections.abc import Callable

import numpy as np
import pytest

from feeds.clinical import process
from feeds.clinical.process import (
    IcuSepsisFeed,
    ProcessConfig,
    action_values,
    clinician,
    exact_value,
    expected_steps,
    optimal_policy,
    sample_log,
    state_values,
    uniform,
)
from feeds.data.icu_sepsis import DEATH, SURVIVAL, read_counts
from feeds.errors import FeedError

Policy = np.ndarray

# Survival, the same with a discount of .99 a step, and decisions an episode.
KNOWN: dict[str, tuple[Callable[[], Policy], float, float, float]] = {
    "random": (uniform, 0.78007, 0.7191, 9.46),
    "clinician": (clinician, 0.78184, 0.7222, 9.24),
    "optimal": (optimal_policy, 0.87514, 0.7938, 10.99),
    "worst": (lambda: optimal_policy(worst=True), 0.63299, 0.5745, 12.32),
}


def survived(policy: Policy, patients: int, seed: int = 0) -> np.ndarray:
    return 1.0 - sample_log(patients, policy, seed).group_by("stay").last()["death"].to_numpy()


@pytest.mark.parametrize("name", KNOWN)
def test_values_are_those_that_are_known(name: str) -> None:
    make, undiscounted, discounted, steps = KNOWN[name]
    policy = make()
    assert exact_value(policy) == pytest.approx(undiscounted, abs=6e-6)
    assert exact_value(policy, 0.99) == pytest.approx(discounted, abs=6e-5)
    assert expected_steps(policy) == pytest.approx(steps, abs=6e-3)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_sampled_agrees_with_what_is_solved(name: str) -> None:
    policy = KNOWN[name][0]()
    value, got = exact_value(policy), survived(policy, 4_000)
    assert abs(got.mean() - value) < 3 * got.std() / np.sqrt(len(got))


def test_the_best_policy_for_a_discount_is_better_there() -> None:
    assert exact_value(optimal_policy(0.99), 0.99) > exact_value(optimal_policy(), 0.99) + 0.005


def test_no_single_change_improves_the_optimum() -> None:
    best = optimal_policy()
    values = state_values(best)
    assert (action_values(values)[:DEATH].max(1) <= values[:DEATH] + 1e-9).all()
    assert read_counts().admissible[best.astype(bool)].all()


def test_a_policy_must_be_one() -> None:
    with pytest.raises(FeedError, match=r"\[716, 25\]"):
        exact_value(np.ones((713, 25)) / 25)
    with pytest.raises(FeedError, match="sum to 1"):
        exact_value(uniform() * 1.01)


def test_every_row_of_the_table_is_a_distribution() -> None:
    rows = process._rows()
    np.testing.assert_allclose(rows.sum(1), 1.0, rtol=0, atol=1e-12)
    table = process.sampling_table()
    assert (np.diff(table.edges) > 0).all()
    assert table.row_of.max() == rows.shape[0] - 1


def test_steps_follow_the_law_of_their_pair() -> None:
    """A frequent pair of state and action, against its row; chi-square of 20,000 draws."""
    counts = read_counts()
    state = int(np.argmax(counts.clinician[:DEATH].max(1)))
    action = int(np.flatnonzero(counts.admissible[state])[0])
    streams, feed = 20_000, IcuSepsisFeed()
    start, _ = feed.reset(np.arange(streams))
    start = start._replace(place=np.full(streams, state))
    _, step = feed.step(start, np.full(streams, action))
    chance = process._rows()[[process._row_of()[state, action]]].toarray()[0]
    seen = np.bincount(step.info["state"], minlength=716)
    assert not seen[chance == 0].any()
    expected = streams * chance[chance > 0]
    statistic = ((seen[chance > 0] - expected) ** 2 / expected).sum()
    freedom = (chance > 0).sum() - 1
    assert abs(statistic - freedom) < 4 * np.sqrt(2 * freedom)


def test_an_inadmissible_action_leads_where_the_admissible_do_on_average() -> None:
    allowed = read_counts().admissible
    state = int(np.argmax(allowed[:DEATH].sum(1) > 1))
    q = action_values(state_values(uniform()))
    assert allowed[state].sum() > 1
    np.testing.assert_allclose(q[state, ~allowed[state]], q[state, allowed[state]].mean(), atol=1e-12)


def test_who_survives_earns_one_at_the_end_and_the_others_nothing() -> None:
    feed, streams = IcuSepsisFeed(), 300
    state, step = feed.reset(np.arange(streams), split="test")
    total, over, ends = np.zeros(streams), np.zeros(streams, bool), np.zeros(streams, np.int64)
    for _ in range(200):
        assert not (step.reward[~over] * (step.info["state"][~over] != SURVIVAL)).any()
        total += np.where(over, 0.0, step.reward)
        ends = np.where(over, ends, step.info["state"])
        over |= step.terminated
        state, step = feed.step(state, np.zeros(streams, np.int64))
    assert over.all()
    assert set(ends) == {DEATH, SURVIVAL}
    np.testing.assert_array_equal(total, ends == SURVIVAL)


def test_what_is_shown_follows_the_settings() -> None:
    keys = np.arange(4)
    _, plain = IcuSepsisFeed().reset(keys)
    np.testing.assert_array_equal(plain.observation, read_counts().features[plain.info["state"]])
    np.testing.assert_array_equal(plain.info["action_mask"], read_counts().admissible[plain.info["state"]])
    _, states = IcuSepsisFeed(ProcessConfig(observation="state", mask=False)).reset(keys)
    np.testing.assert_array_equal(states.observation.argmax(1), plain.info["state"])
    assert set(states.info) == {"state"}
    fewer = IcuSepsisFeed(ProcessConfig(leave_out=process.TELLTALES))
    assert fewer.spec.observation_space.shape == (45,)
    assert not set(process.TELLTALES) & set(fewer.spec.blocks[0].features)
    _, step = fewer.reset(keys)
    place = fewer.spec.blocks[0].features.index("SOFA")
    np.testing.assert_array_equal(step.observation[:, place], plain.observation[:, read_counts().names.index("SOFA")])


def test_mistakes_are_named() -> None:
    with pytest.raises(FeedError, match="did you mean 'input_4hourly'"):
        IcuSepsisFeed(ProcessConfig(leave_out=("input_4hourl",)))
    with pytest.raises(FeedError, match="no split 'tset'"):
        IcuSepsisFeed().reset(np.arange(2), split="tset")
    state, _ = IcuSepsisFeed().reset(np.arange(2))
    with pytest.raises(FeedError, match="actions 0 to 24"):
        IcuSepsisFeed().step(state, np.array([0, 25]))


def test_a_log_holds_the_propensity_of_what_was_done() -> None:
    policy = 0.8 * clinician() + 0.2 * uniform()
    log = sample_log(2_000, policy, seed=3)
    decided = log.filter(log["state"] < DEATH)
    np.testing.assert_array_equal(
        decided["propensity"], policy[decided["state"].to_numpy(), decided["action"].to_numpy()]
    )
    state = decided["state"].mode()[0]
    there = decided.filter(decided["state"] == state)
    often = np.bincount(there["action"], minlength=25) / there.height
    assert np.abs(often - policy[state]).max() < 4 * np.sqrt(0.25 / there.height)


def test_importance_weights_average_to_one_and_find_another_policys_value() -> None:
    logged, wanted = clinician(), 0.9 * clinician() + 0.1 * optimal_policy()
    log = sample_log(6_000, logged, seed=1)
    decided = log.filter(log["state"] < DEATH)
    ratio = wanted[decided["state"].to_numpy(), decided["action"].to_numpy()] / decided["propensity"].to_numpy()
    weight = np.exp(np.bincount(decided["stay"], np.log(ratio)))
    alive = 1.0 - log.group_by("stay", maintain_order=True).last()["death"].to_numpy()
    for got, truth in ((weight, 1.0), (weight * alive, exact_value(wanted))):
        assert abs(got.mean() - truth) < 3 * got.std() / np.sqrt(len(got))


def test_a_patient_is_the_same_in_a_log_of_any_length() -> None:
    short, long = sample_log(20, clinician(), seed=5), sample_log(50, clinician(), seed=5)
    assert long.head(short.height).equals(short)
    assert not sample_log(20, clinician(), seed=6).equals(short)
    assert sample_log(0, clinician(), seed=5).height == 0
