"""How the first convolution reads images."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F


class Opening(nn.Module):
    """A convolution that reads images `[n, C, H, W]` as they are, and divides them by what they go up to.

    Its weights are divided, not the images: bytes are exact in bfloat16, their fractions of 255 are not. Where the
    stride s divides the kernel, each block of s times s pixels becomes one pixel of C s s channels, and the kernel
    shrinks by s: the same products, which a processor sums twice as fast as those of few channels.
    """

    def __init__(self, layer: nn.Conv2d, scale: float) -> None:
        super().__init__()
        self.layer, self.scale = layer, scale
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        self.kernel, self.stride = kernel, stride
        self.by_blocks = stride > 1 and kernel % stride == 0 and layer.padding == (0, 0)

    def forward(self, images: Shaped[Tensor, "n c h w"], dtype: torch.dtype) -> Float[Tensor, "n k y x"]:
        """Computes in `dtype`, with the channels innermost in memory."""
        layer = self.layer
        weight = layer.weight if self.scale == 1.0 else layer.weight * self.scale
        if self.by_blocks:
            blocks = _blocks(images, self.kernel, self.stride).to(dtype)
            return F.conv2d(blocks, _fold(weight, self.stride), layer.bias)
        frames = images.to(dtype).contiguous(memory_format=torch.channels_last)  # both at once take twice as long
        return F.conv2d(frames, weight, layer.bias, layer.stride, layer.padding)


def _blocks(images: Shaped[Tensor, "n c h w"], kernel: int, stride: int) -> Shaped[Tensor, "n d p q"]:
    """Blocks of stride times stride pixels as channels, as many as the convolution would reach."""
    n, channels, height, width = images.shape
    rows, columns = ((side - kernel) // stride * stride + kernel for side in (height, width))
    reached = images[:, :, :rows, :columns]
    if stride == 4 and width % 4 == 0 and _lies_in_words(images):
        words = images.view(torch.int32)[:, :, :rows, : columns // 4]  # four bytes at once take a quarter of the time
        block = words.unflatten(2, (-1, 4)).permute(0, 2, 4, 1, 3).contiguous()
        return block.view(torch.uint8).view(n, rows // 4, columns // 4, -1).permute(0, 3, 1, 2)
    split = reached.reshape(n, channels, rows // stride, stride, columns // stride, stride)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(n, rows // stride, columns // stride, -1).permute(0, 3, 1, 2)


def _lies_in_words(images: Tensor) -> bool:
    """True of bytes whose lines begin at every fourth one, whether images share frames in memory or not."""
    *steps, inner = images.stride()
    return images.dtype == torch.uint8 and inner == 1 and not any(n % 4 for n in (*steps, images.storage_offset()))


def _fold(weight: Float[Tensor, "k c h w"], stride: int) -> Float[Tensor, "k d y x"]:
    """The kernel that sums over blocks what `weight` sums over pixels."""
    split = weight.unflatten(3, (-1, stride)).unflatten(2, (-1, stride))  # [k, c, y, s, x, s]
    return split.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
