"""How a memory begins, and where it is blank."""

import pytest
import torch

from angle_domains.chance import seeded
from angle_domains.networks.recurrence import Past, Recurrence


@pytest.mark.parametrize(("inputs", "size"), [(6, 8), (48, 8)])
def test_weights_begin_orthogonal_and_biases_at_zero(inputs: int, size: int) -> None:
    made = dict(Recurrence(inputs, size, seeded(3, "network")).lstm.named_parameters())
    assert {name: tuple(part.shape) for name, part in made.items() if "weight" in name} == {
        "weight_ih_l0": (4 * size, inputs),
        "weight_hh_l0": (4 * size, size),
    }
    for name, part in made.items():
        if "bias" in name:
            assert not part.any()
            continue
        narrow = part.detach() if part.shape[0] >= part.shape[1] else part.detach().T
        torch.testing.assert_close(narrow.T @ narrow, torch.eye(narrow.shape[1]), atol=1e-5, rtol=0.0)


def test_weights_follow_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (Recurrence(6, 8, seeded(seed, "network")) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.lstm.weight_hh_l0, other.lstm.weight_hh_l0)


def test_a_memory_is_blank_where_an_episode_begins() -> None:
    recurrence = Recurrence(6, 8, seeded(3, "network"))
    x = torch.randn(5, 2, 6, generator=torch.Generator().manual_seed(0))
    first = torch.zeros(5, 2, dtype=torch.bool)
    first[3, 0] = True
    read, memory = recurrence(x, Past(first, recurrence.blank(2)))
    anew, fresh = recurrence(x[3:], Past(torch.zeros(2, 2, dtype=torch.bool), recurrence.blank(2)))
    torch.testing.assert_close(read[3:, 0], anew[:, 0])
    torch.testing.assert_close(memory[0], fresh[0])
    assert not torch.allclose(read[3:, 1], anew[:, 1])
