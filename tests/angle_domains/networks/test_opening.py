"""The opening reads images as a plain convolution would read them divided by their scale."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from angle_domains.networks.opening import Opening


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "shape"),
    [
        (8, 4, 0, (4, 84, 84)),
        (8, 4, 0, (3, 86, 88)),  # rows that the convolution does not reach
        (8, 4, 0, (1, 50, 91)),  # and columns; no four bytes to a word
        (4, 2, 0, (2, 21, 20)),
        (3, 1, 1, (4, 10, 10)),
        (8, 4, 2, (4, 84, 84)),  # padded: not by blocks
        (5, 2, 0, (4, 20, 20)),  # the stride does not divide the kernel
    ],
)
def test_equals_the_plain_convolution(
    kernel: int, stride: int, padding: int, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(shape[0], 32, kernel, stride=stride, padding=padding, dtype=torch.float64)
    images = torch.randint(0, 256, (3, *shape)).to(dtype)
    wanted = F.conv2d(images.double() / 255, layer.weight, layer.bias, stride, padding)
    found = Opening(layer, 1 / 255)(images, torch.float64)
    torch.testing.assert_close(found, wanted)
    gradient = torch.randn_like(wanted)
    weights = list(layer.parameters())
    for mine, plain in zip(
        torch.autograd.grad(found, weights, gradient), torch.autograd.grad(wanted, weights, gradient), strict=True
    ):
        torch.testing.assert_close(mine, plain)


def test_stacks_may_share_frames() -> None:
    stacks = torch.randint(0, 256, (3, 5, 84, 84), dtype=torch.uint8).unfold(1, 4, 1).permute(1, 0, 4, 2, 3)[1]
    assert not stacks.is_contiguous()
    opening = Opening(nn.Conv2d(4, 32, 8, stride=4), 1 / 255)
    assert torch.equal(opening(stacks, torch.float32), opening(stacks.contiguous(), torch.float32))


def test_images_are_left_as_they_were() -> None:
    images = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    before = images.clone()
    Opening(nn.Conv2d(4, 32, 8, stride=4), 1 / 255)(images, torch.float32)
    assert torch.equal(images, before)


def test_what_it_gives_has_its_channels_innermost() -> None:
    found = Opening(nn.Conv2d(4, 32, 8, stride=4), 1.0)(torch.zeros(2, 4, 84, 84), torch.float32)
    assert found.is_contiguous(memory_format=torch.channels_last)
