"""One console game, as a worker process plays it: an emulator allows but one game a process."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from feeds.errors import FeedError, nearest

_DIRECTIONS = ("UP", "DOWN", "LEFT", "RIGHT")
_IDLE = ("START", "SELECT", "MODE")  # these pause or leave a game
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue, as ITU-R BT.601 has it


@dataclass(frozen=True)
class Preparation:
    """How a game is shown and played; every choice is made."""

    game: str
    state: str | None
    scenario: str | None
    actions: str | tuple[tuple[str, ...], ...]
    sticky: float
    noop_max: int
    frame_skip: int
    maxpool: bool
    clip_rewards: bool
    size: int
    stack: int
    max_frames: int


class RetroGame(gymnasium.Env[Any, Any]):
    """Observations uint8 `[stack, size, size]`, newest frame last, zeros before the first; rewards as they are."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(self, made: Preparation) -> None:
        self.made = made
        self.emulator = start(made)
        self.masks = button_masks(self.emulator, made.actions)  # [A, buttons]
        self.observation_space = spaces.Box(0, 255, (made.stack, made.size, made.size), np.uint8)
        self.action_space = spaces.Discrete(len(self.masks))
        height, width = self.emulator.observation_space.shape[:2]
        self._rows, self._columns = shrinking(height, made.size), shrinking(width, made.size).T
        self._screen = np.zeros((height, width, 3), np.uint8)
        self._frames = np.zeros(self.observation_space.shape, np.uint8)
        self._held = self.masks[0]
        self._count = 0  # frames of this game

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._screen = np.array(self.emulator.reset()[0])
        self._held, self._count = np.zeros_like(self.masks[0]), 0
        for _ in range(int(self.np_random.integers(0, self.made.noop_max + 1))):
            self._frame(self._held)
        self._frames = np.zeros_like(self._frames)
        return self._see(self._look()), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        earned, over, before = 0.0, False, None
        for frame in range(self.made.frame_skip):
            if self.np_random.random() >= self.made.sticky:
                self._held = self.masks[int(action)]
            reward, over = self._frame(self._held)
            earned += reward
            if self.made.maxpool and frame == self.made.frame_skip - 2:
                before = self._look()
            if over:
                break
        screen = self._look()
        seen = screen if before is None else np.maximum(screen, before)
        return self._see(seen), earned, over, self._count >= self.made.max_frames, {}

    def render(self) -> Any:
        """uint8 `[H, W, 3]`, as the console draws it."""
        return self._screen

    def close(self) -> None:
        self.emulator.close()

    def _frame(self, buttons: np.ndarray) -> tuple[float, bool]:
        """One frame of the console: what it earned, and whether the game is over."""
        self._count += 1
        self.emulator.em.set_button_mask(buttons, 0)
        self.emulator.em.step()
        self.emulator.data.update_ram()
        reward, over, _ = self.emulator.compute_step()
        return float(reward), bool(over)

    def _look(self) -> np.ndarray:
        self._screen = np.array(self.emulator.get_screen(apply_rotation=True))
        return self._screen

    def _see(self, screen: np.ndarray) -> np.ndarray:
        """The stack with this picture as its newest."""
        grey = self._rows @ (screen.astype(np.float32) @ _GREY) @ self._columns
        self._frames = np.concatenate([self._frames[1:], np.rint(grey).clip(0, 255).astype(np.uint8)[None]])
        return self._frames


def start(made: Preparation) -> Any:
    """stable-retro's environment with every button free."""
    import stable_retro  # here: an extra

    return stable_retro.make(
        made.game,
        state=made.state or stable_retro.State.DEFAULT,
        scenario=made.scenario,
        use_restricted_actions=stable_retro.Actions.ALL,
        render_mode=None,
    )


def button_masks(emulator: Any, actions: str | tuple[tuple[str, ...], ...]) -> np.ndarray:
    """uint8 `[A, buttons]`: what each discrete action holds down; FeedError names a button that is not there."""
    names = list(emulator.buttons)
    if actions == "all":
        sums = [0]
        for group in emulator.button_combos:
            sums = [held | more for held in sums for more in group]
        rows = [[bits >> place & 1 for place in range(len(names))] for bits in dict.fromkeys(sums)]
        return np.array(rows, np.uint8)
    sets = simple_actions(emulator) if isinstance(actions, str) else actions
    for name in (name for pressed in sets for name in pressed if name not in names):
        raise FeedError(f"this console has no button '{name}': {nearest(name, filter(None, names))}")
    return np.array([[int(name in pressed) for name in names] for pressed in sets], np.uint8)


def simple_actions(emulator: Any) -> list[tuple[str, ...]]:
    """One direction or none, with one button or none, of those that the game's description allows."""
    used = 0
    for group in emulator.button_combos:
        for bits in group:
            used |= bits
    names = [name for place, name in enumerate(emulator.buttons) if name and used >> place & 1]
    fire = [name for name in names if name not in (*_DIRECTIONS, *_IDLE)]
    moves: list[tuple[str, ...]] = [(), *((name,) for name in _DIRECTIONS if name in names)]
    return [(*move, *press) for press in [(), *((name,) for name in fire)] for move in moves]


def shrinking(length: int, size: int) -> np.ndarray:
    """float32 `[size, length]` that averages a line of pixels over the areas of the new ones."""
    edges = np.linspace(0.0, length, size + 1)
    cells = np.arange(length)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.clip(overlap, 0.0, None) * size / length).astype(np.float32)
