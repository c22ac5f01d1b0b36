"""Frames a second that the Nature network trains: float32 as it comes, float32 as we read images, and bfloat16.

One update is a gather of 256 images of bytes, forward, backward and a step of Adam, as PPO does it, in one process.
Prints one JSON line. The forms take turns, so that a busy machine is busy for all of them.
"""

import argparse
import json
import platform
import time

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from angle_domains.networks import NetworkConfig
from angle_domains.networks.precision import has_bfloat16
from angle_domains.networks.torsos import TORSOS
from feeds.base import FeedSpec

SPEC = FeedSpec("atari", spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(6))
BATCH = 256


class Learner:
    """One form of the network, and its optimiser."""

    def __init__(self, precision: str, *, plain: bool) -> None:
        config = NetworkConfig(kind="nature", precision=precision)  # type: ignore[arg-type]
        self.torso = TORSOS["nature"](SPEC, config, torch.Generator().manual_seed(0))
        self.plain = plain
        self.optimizer = torch.optim.Adam(self.torso.parameters(), lr=1e-4, fused=True)

    def update(self, frames: Tensor, index: Tensor) -> None:
        images = frames.index_select(0, index)
        self.optimizer.zero_grad(set_to_none=True)
        self._read(images).square().mean().backward()
        self.optimizer.step()

    def _read(self, images: Tensor) -> Tensor:
        if not self.plain:
            return self.torso(images).whole
        torso = self.torso  # the same layers as they would run on images as they lie in memory
        seen = torso.body(torso.opening.layer(images.float().mul_(1 / 255)))
        return torso.dense(seen.flatten(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads or torch.get_num_threads())
    frames = torch.randint(0, 256, (1024, 4, 84, 84), dtype=torch.uint8)
    forms = {
        "float32": Learner("float32", plain=True),
        "float32_ours": Learner("float32", plain=False),
        "bfloat16": Learner("bfloat16", plain=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(asked.updates + 1):
        for name, learner in forms.items():
            index = torch.randperm(len(frames))[:BATCH]
            begun = time.perf_counter()
            learner.update(frames, index)
            if turn:  # the first is not timed
                seconds[name].append(time.perf_counter() - begun)
    speed = {f"{name}_frames_per_second": round(BATCH / float(np.median(taken))) for name, taken in seconds.items()}
    place = {"processor_has_bfloat16": has_bfloat16("cpu"), "threads": torch.get_num_threads()}
    print(
        json.dumps(
            {"benchmark": "precision", "torch": torch.__version__, "machine": platform.machine(), **place} | speed
        )
    )


if __name__ == "__main__":
    main()
