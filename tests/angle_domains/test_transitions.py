import pytest
import torch

from angle_domains.networks import NetworkConfig
from angle_domains.replay import RecordedConfig, recorded
from angle_domains.transitions import Sight, read
from angle_domains.types import Percept, Window
from tests.logs import rows_of

FLAT = NetworkConfig()
SIGHT = Sight(FLAT, "cpu")


def window(mask: torch.Tensor | None = None) -> Window:
    """Two actions of three streams: one that goes on, one truncated after its first action, one that ended there."""
    last = torch.tensor([[0, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=torch.bool)
    discount = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    obs = torch.arange(9, dtype=torch.float64).reshape(3, 3, 1)
    reward = torch.tensor([[9.0, 9.0, 9.0], [1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    percept = Percept(obs, torch.zeros(3, 3), reward, discount, torch.zeros_like(last), last, mask)
    return Window(percept, torch.tensor([[0, 1, 0], [1, 1, 1]]), {}, torch.tensor([1.0, 0.5, 0.25]))


def test_rows_that_go_on_are_cut_and_end_by_hand() -> None:
    mask = torch.arange(9).reshape(3, 3, 1) > 4
    found = read(window(mask), 0.5, Sight(FLAT, "cpu"))
    torch.testing.assert_close(found.reward, torch.tensor([1.0 + 0.5 * 10.0, 2.0, 3.0]))
    torch.testing.assert_close(found.discount, torch.tensor([0.25, 0.5, 0.0]))
    assert found.obs.flatten().tolist() == [0.0, 1.0, 2.0]
    assert found.next_obs.flatten().tolist() == [6.0, 4.0, 5.0]
    assert found.action.tolist() == [0, 1, 0]
    assert found.mask is not None
    assert found.next_mask is not None
    assert found.next_mask.flatten().tolist() == [True, False, True]
    assert found.weight.tolist() == [1.0, 0.5, 0.25]
    assert found.obs.dtype == torch.float32


def test_the_time_that_actions_took_discounts_by_hand() -> None:
    elapsed = torch.tensor([[7.0, 7.0, 7.0], [2.0, 1.0, 1.0], [3.0, 5.0, 5.0]])
    given = window()
    found = read(Window(given.percept._replace(elapsed=elapsed), given.action, {}, given.weight), 0.5, SIGHT)
    torch.testing.assert_close(found.reward, torch.tensor([0.5 * 1.0 + 0.5**4 * 10.0, 2.0, 3.0]))
    torch.testing.assert_close(found.discount, torch.tensor([0.5**5, 0.5, 0.0]))


def test_steps_that_took_one_unit_each_are_those_without_a_time() -> None:
    given = window()
    timed = Window(given.percept._replace(elapsed=torch.ones(3, 3)), given.action, {}, given.weight)
    for one, same in zip(read(given, 0.99, SIGHT), read(timed, 0.99, SIGHT), strict=True):
        assert (one is None and same is None) or torch.equal(one, same)


@pytest.mark.parametrize("coarse", [2, 4, 12])
def test_values_are_the_same_whatever_the_length_of_rows(coarse: int) -> None:
    """Rows of 1 h joined to rows of several, the rewards in each grown to its end: V is the same."""
    gamma, hours = 0.95, 24
    reward = torch.rand(hours, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    within = (gamma ** torch.arange(1 - coarse, 1)).to(torch.float64)
    joined = (reward.unflatten(0, (-1, coarse)) * within).sum(-1)
    found = [value_of(reward, 1.0, gamma), value_of(joined, float(coarse), gamma)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] == pytest.approx(float((reward * gamma ** torch.arange(hours)).sum()), rel=1e-5)


def value_of(reward: torch.Tensor, elapsed: float, gamma: float) -> float:
    """Of the first row of one terminated episode, backed up from its end by single transitions."""
    episode = {"obs": range(len(reward) + 1), "action": [0] * len(reward), "reward": reward, "ended": True}
    rows = rows_of([episode | {"elapsed": [elapsed] * len(reward)}])
    replay = recorded(rows, Taught(), seed=0, device="cpu")
    value = torch.zeros(len(rows))
    for _ in range(len(rows)):
        batch = read(replay.get_batch(200, 1), gamma, SIGHT)
        here, there = batch.obs.flatten().long(), batch.next_obs.flatten().long()
        value[here] = batch.reward + batch.discount * value[there]
    return float(value[0])


class Taught:
    replay = RecordedConfig()


def test_actions_are_counted_from_the_first_there_is() -> None:
    assert read(window(), 0.5, Sight(FLAT, "cpu"), first=-1).action.tolist() == [1, 2, 1]


def test_images_are_seen_as_they_are_and_all_else_flat() -> None:
    frames = NetworkConfig(kind="minatar")
    for kind in (torch.uint8, torch.float32):
        image = torch.zeros(2, 4, 8, 8, dtype=kind)
        assert Sight(frames, "cpu")(image) is image
    assert Sight(FLAT, "cpu")(torch.zeros(2, 3, 4)).shape == (2, 12)


def test_a_scale_is_for_what_is_no_image() -> None:
    scale = torch.tensor([[1.0, 0.0], [2.0, 1.0]])
    seen = Sight(FLAT, "cpu", scale)(torch.tensor([[3.0, 5.0]], dtype=torch.float64))
    torch.testing.assert_close(seen, torch.tensor([[1.0, 5.0]]))
    image = torch.zeros(2, 4, 8, 8, dtype=torch.uint8)
    assert Sight(NetworkConfig(kind="minatar"), "cpu", scale)(image) is image
