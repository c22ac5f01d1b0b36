"""Memory between a torso and what is decided on it."""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn


class Past(NamedTuple):
    """What a recurrent network must know of a sequence beside its observations."""

    first: Bool[Tensor, "t b"]  # an episode begins here
    memory: Float[Tensor, "b 2 n"]  # before the first row
    rows: Tensor | None = None  # of the t · b rows those that are asked for; None: all


class Recurrence(nn.Module):
    """An LSTM (Hochreiter and Schmidhuber 1997) whose memory, output and cell, is blank where an episode begins.

    Weights are orthogonal and biases 0 (Huang et al. 2022, LSTM details 1 and 2).
    """

    def __init__(self, inputs: int, size: int, generator: Generator) -> None:
        super().__init__()
        self.size = size
        self.lstm = nn.LSTM(inputs, size, device="meta").to_empty(device="cpu")  # no global generator is asked
        for parameter in self.lstm.parameters():
            if parameter.ndim > 1:
                nn.init.orthogonal_(parameter, generator=generator)
            else:
                nn.init.zeros_(parameter)

    def blank(self, streams: int) -> Float[Tensor, "b 2 n"]:
        return torch.zeros(streams, 2, self.size, device=next(self.lstm.parameters()).device)

    def forward(self, x: Float[Tensor, "t b i"], past: Past) -> tuple[Float[Tensor, "t b n"], Float[Tensor, "b 2 n"]]:
        """The outputs of all rows and the memory after the last; rows between two beginnings are read in one go."""
        begins = [0, *(past.first[1:].any(1).nonzero().squeeze(-1) + 1).tolist(), len(x)]
        memory, outputs = past.memory, []
        for begin, end in pairwise(begins):
            memory = memory * ~past.first[begin, :, None, None]
            output, cell = (part.contiguous().unsqueeze(0) for part in memory.unbind(1))
            read, (output, cell) = self.lstm(x[begin:end], (output, cell))
            memory = torch.stack([output[0], cell[0]], 1)
            outputs.append(read)
        return torch.cat(outputs), memory
