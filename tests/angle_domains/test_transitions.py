import torch

from angle_domains.networks import NetworkConfig
from angle_domains.transitions import Sight, read
from angle_domains.types import Percept, Window

FLAT = NetworkConfig()


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
