"""Films of games: MP4 where the encoder is installed, else animated WebP or GIF."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from angle_domains.errors import ConfigError

Picture = UInt8[np.ndarray, "h w 3"]

FORMATS = (".mp4", ".webp", ".gif")
NO_MP4 = "MP4 needs an encoder, `pip install 'angle-domains[video]'`"
_LEAST = 320  # pixels of the shorter side: smaller games are magnified by a whole number
_STRIP, _SEAM = 160, 2  # pixels: height of a strip of pictures, what stands between two of them
_MOST_HELD = 4_000  # pictures of an animation that is encoded at its end


def default_suffix() -> str:
    return ".mp4" if find_spec("imageio_ffmpeg") else ".webp"


def check_format(path: Path) -> Path:
    """The path itself; ConfigError where its ending names no format that can be written here."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"--video {path}: the ending should be one of {', '.join(FORMATS)}")
    if path.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise ConfigError(f"--video {path}: {NO_MP4}; .webp and .gif need none")
    return path


class Film:
    """Takes pictures of equal size one by one; the file is whole once the film is closed."""

    def __init__(self, path: Path, *, frames_per_second: float) -> None:
        self.path, self.rate = check_format(path), frames_per_second
        self.count = 0
        self._draft = path.with_name(f".{path.name}.part{path.suffix}")
        self._encoder: Any = None  # of MP4
        self._held: list[Image.Image] = []

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._encoder is not None:
                self._encoder.close()
            elif self._held and kind is None:
                first, *rest = self._held
                first.save(self._draft, save_all=True, append_images=rest, duration=round(1000 / self.rate), loop=0)
            if kind is None and self._draft.exists():
                self._draft.replace(self.path)
        finally:
            self._draft.unlink(missing_ok=True)

    @property
    def told(self) -> str:
        """The path, and how much of the film is missing where an animation grew too long."""
        left = self.count - len(self._held) if self._encoder is None else 0
        return f"{self.path} (without its last {left:,} pictures: .mp4 holds more)" if left else str(self.path)

    def add(self, picture: Picture) -> None:
        large = magnified(picture)
        if self.path.suffix.lower() == ".mp4":
            self._encode(large)
        elif self.count < _MOST_HELD:
            self._held.append(Image.fromarray(large))
        self.count += 1

    def _encode(self, picture: Picture) -> None:
        if self._encoder is None:
            import imageio_ffmpeg

            height, width, _ = picture.shape
            self._encoder = imageio_ffmpeg.write_frames(
                str(self._draft), (width, height), fps=self.rate, macro_block_size=2, ffmpeg_log_level="error"
            )
            self._encoder.send(None)
        self._encoder.send(np.ascontiguousarray(picture))


def strip(pictures: Sequence[Picture]) -> Picture:
    """Pictures of equal size side by side, small and with a seam between them."""
    seam = np.full((_STRIP, _SEAM, 3), 255, np.uint8)
    parts: list[np.ndarray] = []
    for picture in pictures:
        large = Image.fromarray(magnified(picture))
        parts += [np.asarray(large.resize((round(large.width * _STRIP / large.height), _STRIP))), seam]
    return np.concatenate(parts[:-1], 1)


def magnified(picture: Picture) -> Picture:
    """The picture enlarged by a whole number, so that its pixels stay sharp; sides made even, as encoders want."""
    times = max(1, -(-_LEAST // min(picture.shape[:2])))
    large = picture.repeat(times, 0).repeat(times, 1)
    return large[: large.shape[0] // 2 * 2, : large.shape[1] // 2 * 2]
