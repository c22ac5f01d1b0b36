"""First states that are nobody's, and much like everybody's."""

import torch

from metalearn.beginnings import GROUP, mixed


def two_kinds(count: int) -> torch.Tensor:
    """Patients about two middles far apart, with a flag that tells which."""
    drawn = torch.Generator().manual_seed(0)
    flag = torch.arange(count) % 2
    numbers = torch.randn(count, 6, generator=drawn, dtype=torch.float64) + 20.0 * flag.unsqueeze(1)
    return torch.cat([numbers, flag.unsqueeze(1)], 1)


def test_no_row_is_a_patients_and_entries_are_mixed_among_the_like() -> None:
    starts = two_kinds(400)
    made = mixed(starts, seed=1)
    assert made.shape == starts.shape
    assert not (made.unsqueeze(1) == starts).all(-1).any()
    assert torch.isin(made[:, 0], starts[:, 0]).all()
    assert torch.equal(made[:, -1], starts[:, -1])  # nobody is mixed with the other kind
    assert ((made[:, 0] > 10) == (made[:, -1] > 0)).all()
    torch.testing.assert_close(made.mean(0), starts.mean(0), atol=0.2, rtol=0.0)
    assert torch.equal(made, mixed(starts, seed=1))


def test_a_state_that_many_share_stays() -> None:
    starts = torch.tensor([[1.0, 2.0], [5.0, 7.0]], dtype=torch.float64).repeat_interleave(GROUP, 0)
    assert torch.equal(mixed(starts, seed=0), starts)


def test_few_patients_are_mixed_all_together() -> None:
    starts = torch.arange(12.0, dtype=torch.float64).reshape(3, 4)
    made = mixed(starts, seed=3)
    assert all(torch.isin(made[:, k], starts[:, k]).all() for k in range(4))
