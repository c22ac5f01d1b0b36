"""One generator for each purpose, none like another."""

from typing import get_args

import torch

from angle_domains.chance import Purpose, seeded


def test_no_two_purposes_or_seeds_draw_the_same_numbers() -> None:
    drawn = [torch.rand(3, generator=seeded(seed, each)) for seed in (0, 1) for each in get_args(Purpose)]
    drawn.append(torch.rand(3, generator=torch.Generator().manual_seed(0)))
    assert len({tuple(each.tolist()) for each in drawn}) == 2 * len(get_args(Purpose)) + 1


def test_the_same_seed_draws_the_same_numbers() -> None:
    first, again = (torch.rand(3, generator=seeded(2**40, "replay")) for _ in range(2))
    assert first.equal(again)
