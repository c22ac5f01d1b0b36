import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from angle_domains.replay import ReplayBuffer
from angle_domains.types import Decision, Percept
from tests.contracts.trees import assert_same

EPISODES = st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=12)


def replay_of(capacity: int, streams: int = 1, seed: int = 0) -> ReplayBuffer:
    return ReplayBuffer(capacity, streams, torch.Generator().manual_seed(seed))


def row(tick: int, *, first: bool = False, last: bool = False, discount: float = 1.0, streams: int = 1) -> Percept:
    """A percept that shows its tick in the observation."""
    whole = torch.ones(streams)
    no = torch.zeros(streams, dtype=torch.bool)
    return Percept(
        obs=tick * whole.unsqueeze(-1) + 0.1 * torch.arange(streams).unsqueeze(-1),
        action=torch.zeros(streams, dtype=torch.long),
        reward=tick * whole,
        discount=discount * whole,
        first=no | first,
        last=no | last,
    )


def decision(tick: int, streams: int = 1) -> Decision:
    return Decision(torch.full((streams,), tick), None, {"log_prob": torch.full((streams,), -float(tick))})


def fill(replay: ReplayBuffer, ticks: int, length: int) -> None:
    """Episodes of `length` actions, the last of them truncated."""
    for tick in range(ticks):
        place = tick % (length + 1)
        replay.insert(
            row(tick, first=place == 0, last=place == length, streams=replay.streams), decision(tick, replay.streams)
        )


@given(EPISODES, st.integers(2, 20))
def test_stays_valid_whatever_is_inserted(episodes: list[tuple[int, bool]], capacity: int) -> None:
    replay, tick = replay_of(capacity), 0
    for length, terminated in episodes:
        for place in range(length + 1):
            last = place == length
            replay.insert(
                row(tick, first=place == 0, last=last, discount=float(not (last and terminated))), decision(tick)
            )
            tick += 1
            replay.check_valid()
    assert replay.size == min(tick, capacity)


def test_an_inconsistent_row_is_found() -> None:
    replay = replay_of(10)
    replay.insert(row(0, first=True), decision(0))
    replay.insert(row(1, first=True), decision(1))
    with pytest.raises(AssertionError, match="begins exactly"):
        replay.check_valid()
    replay = replay_of(10)
    replay.insert(row(0, first=True, discount=0.0), decision(0))
    with pytest.raises(AssertionError, match="discount 0"):
        replay.check_valid()


@pytest.mark.parametrize("discount", [None, 0.0, 1.0])
def test_an_episode_may_end_in_the_row_it_began_in(discount: float | None) -> None:
    """It was cut there, or an emulator ended the game as it went on after a life."""
    replay = replay_of(20)
    fill(replay, 4, 3)
    if discount is None:
        replay.insert(row(4, first=True), decision(4))
        replay.cut()
    else:
        replay.insert(row(4, first=True, last=True, discount=discount), decision(4))
    for tick in range(5, 8):
        replay.insert(row(tick, first=tick == 5), decision(tick))
    replay.check_valid()
    window = replay.get_batch(200, 1)
    assert set(window.action[0].tolist()) == {0, 1, 2, 5, 6}
    assert window.same_episode.all()


@settings(max_examples=30)
@given(st.integers(8, 40), st.integers(1, 5), st.integers(1, 4), st.integers(20, 60))
def test_windows_are_consecutive_rows_that_start_at_a_taken_action(
    capacity: int, episode: int, length: int, ticks: int
) -> None:
    replay = replay_of(2 * capacity, streams=2)
    fill(replay, ticks, episode)
    window = replay.get_batch(64, length)
    start = window.percept.reward[0]
    for step in range(length + 1):
        torch.testing.assert_close(window.percept.reward[step], start + step)
        torch.testing.assert_close(window.extras["log_prob"][step], -(start + step))
    assert torch.equal(window.action, (start + torch.arange(length).unsqueeze(-1)).long())
    stream = (window.obs[..., 0] - window.percept.reward) * 10
    torch.testing.assert_close(stream, stream[:1].round().expand_as(stream), atol=1e-3, rtol=0.0)
    assert (start >= replay.added - replay.size).all()
    assert (start + length < replay.added).all()
    assert not window.percept.last[0].any()
    place = start % (episode + 1)
    assert torch.equal(window.same_episode.sum(0), (episode - place).clamp(max=length))
    assert torch.equal(window.weight, torch.ones(64))


def test_every_taken_action_is_drawn_equally_often() -> None:
    replay = replay_of(100)
    fill(replay, 12, 2)  # ticks 2, 5, 8 and 11 are resets; 11 also has no row after it
    drawn = replay.get_batch(8_000, 1).action[0]
    counts = torch.bincount(drawn, minlength=12)
    assert counts[[2, 5, 8, 11]].sum() == 0
    assert ((counts[counts > 0] - 1_000).abs() < 130).all()
    assert (counts > 0).sum() == 8


def test_newest_gives_views_where_rows_lie_side_by_side() -> None:
    replay = replay_of(5)
    fill(replay, 4, 9)
    window = replay.newest(4, row(4))
    assert window.percept.reward[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert window.action[:, 0].tolist() == [0, 1, 2, 3]
    assert window.extras["log_prob"][:, 0].tolist() == [0, -1, -2, -3, 0]
    assert window.obs.untyped_storage().data_ptr() == replay._columns["percept/obs"].untyped_storage().data_ptr()


def test_newest_without_a_pending_percept_ends_at_the_last_row() -> None:
    replay = replay_of(10)
    fill(replay, 6, 9)
    window = replay.newest(3)
    assert window.percept.reward[:, 0].tolist() == [2, 3, 4, 5]
    assert window.action[:, 0].tolist() == [2, 3, 4]


def test_newest_across_the_seam_of_the_ring() -> None:
    replay = replay_of(5)
    fill(replay, 7, 9)
    assert replay.newest(4).percept.reward[:, 0].tolist() == [2, 3, 4, 5, 6]
    assert replay.newest(3, row(7)).percept.reward[:, 0].tolist() == [4, 5, 6, 7]
    assert replay.size == 4  # the pending percept took the place of the oldest tick
    replay.check_valid()


def test_a_window_longer_than_what_is_held_is_refused() -> None:
    replay = replay_of(5)
    fill(replay, 3, 9)
    with pytest.raises(ValueError, match="no window of 4"):
        replay.newest(4, row(3))
    with pytest.raises(ValueError, match="no window of 3"):
        replay.get_batch(1, 3)
    with pytest.raises(ValueError, match="no window of 5"):
        replay.newest(5)
    with pytest.raises(ValueError, match="too small"):
        replay_of(3, streams=2)


def test_rows_without_a_taken_action_are_refused() -> None:
    replay = replay_of(5)
    replay.insert(row(0, last=True), decision(0))
    replay.insert(row(1, first=True), decision(1))
    with pytest.raises(ValueError, match="no action was taken"):
        replay.get_batch(1, 1)


def test_rows_of_another_shape_are_refused() -> None:
    replay = replay_of(5)
    replay.insert(row(0, first=True), decision(0))
    with pytest.raises(ValueError, match="rows before hold"):
        replay.insert(row(1), Decision(torch.zeros(1, dtype=torch.long)))


def test_masks_are_rows_too() -> None:
    replay = replay_of(5)
    for tick in range(3):
        replay.insert(row(tick, first=tick == 0)._replace(mask=torch.tensor([[True, tick == 1]])), decision(tick))
    mask = replay.newest(2).percept.mask
    assert mask is not None
    assert mask[:, 0, 1].tolist() == [False, True, False]


@given(st.integers(0, 30), st.integers(1, 12))
def test_a_loaded_replay_goes_on_to_the_bit(before: int, after: int) -> None:
    one = replay_of(16, streams=2, seed=1)
    fill(one, before, 3)
    other = replay_of(16, streams=2, seed=2)
    other.load_state_dict(one.state_dict())
    for replay in (one, other):
        for tick in range(before, before + after):
            place = tick % 4
            replay.insert(row(tick, first=place == 0, last=place == 3, streams=2), decision(tick, 2))
        replay.check_valid()
    assert_same(one.state_dict(), other.state_dict())
    if one.size > 2:
        first, second = one.get_batch(5, 1), other.get_batch(5, 1)
        assert_same(list(first.percept), list(second.percept))


def test_clear_forgets_rows_and_saves_nothing_of_them() -> None:
    replay = replay_of(16)
    fill(replay, 10, 3)
    replay.clear()
    assert replay.size == 0
    assert replay.state_dict()["rows"] == [{}]
    fill(replay, 3, 9)
    assert replay.newest(2).percept.reward[:, 0].tolist() == [0, 1, 2]
