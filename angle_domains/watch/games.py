"""Games played for somebody to see."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from angle_domains.evaluation.episodes import Chance, disturbed
from angle_domains.loops import LoopState, advance, begin, spread
from angle_domains.showing import Showing
from angle_domains.types import Agent, Decision
from angle_domains.watch.film import Film, Picture
from angle_domains.watch.panel import Thoughts, beside
from angle_domains.watch.place import placed
from angle_domains.watch.window import Window
from feeds.errors import FeedError


@dataclass(frozen=True)
class Moment:
    """One step of a game."""

    episode: int
    step: int
    action: np.ndarray
    chosen: tuple[int, ...]  # the place of the action among the choices; of several made side by side, of each
    reward: float
    total: float  # return so far
    over: bool
    thoughts: Thoughts | None  # what the agent thought of each action
    picture: Picture | None


def play(feed: Any, agent: Agent, showing: Showing) -> Iterator[str]:
    """Plays, shows or films as asked, and tells score and length of each episode.

    Where it was not asked how, and there is a folder for films, the game is shown as `placed` has it; a game that draws
    no pictures is played without.
    """
    camera, told = _camera(feed, showing)
    if camera is not None:
        showing, told = placed(showing)
    yield from told
    envs = camera.envs if camera is not None else feed.envs(1, split=showing.split)
    rate = camera.frames_per_second if camera is not None else 1.0
    totals: list[float] = []
    with ExitStack() as stack:
        stack.callback(envs.close)
        film = stack.enter_context(Film(showing.video, frames_per_second=rate)) if showing.video else None
        title = feed.describe()["name"]
        window = stack.enter_context(Window(title, frames_per_second=rate)) if showing.human else None
        for moment in moments(agent, envs, showing, camera):
            if moment.picture is not None:
                if showing.ending is not None:
                    showing.ending.append(moment.picture)
                picture = _drawn(moment, showing, title)
                if film is not None:
                    film.add(picture)
                if window is not None:
                    window.show(picture)
            if moment.over:
                totals.append(moment.total)
                yield f"episode {moment.episode + 1}: return {moment.total:.6g} in {moment.step:,} steps"
            if window is not None and window.closed:
                yield "the window was closed"
                break
    if len(totals) > 1:
        yield f"mean return of {len(totals)} episodes: {np.mean(totals):.6g}"
    if film is not None:
        yield f"film: {film.told}"


def _camera(feed: Any, showing: Showing) -> tuple[Any, list[str]]:
    """A camera where pictures are wanted; without one that was not asked for, the sentence why there is none."""
    if showing.human or showing.video is not None:
        return feed.camera(split=showing.split, seed=showing.seed), []
    if showing.folder is None:
        return None, []
    try:
        camera = feed.camera(split=showing.split, seed=showing.seed)
        camera.frame()
    except FeedError as error:
        return None, [f"{error}: this is played without pictures"]
    return camera, []


def moments(agent: Agent, envs: Any, showing: Showing, camera: Any = None) -> Iterator[Moment]:
    """The steps of whole episodes of one stream, with pictures where there is a camera."""
    state: LoopState = begin(envs, showing.seed)
    space = envs.single_action_space
    chance = Chance(space, showing.seed)
    step = 0
    episode = 0
    while episode < showing.episodes:
        resetting = bool(state.percept.last[0])
        decision = agent.act(state.percept, state.memory, explore=False)
        thoughts = _thoughts(decision, space, state.percept.mask)
        action = disturbed(decision.action.detach(), chance, state.percept.mask, showing.epsilon)
        before = state.returns.clone()
        over, returns, _ = advance(envs, state, action, decision.memory)
        step = 0 if resetting else step + 1
        ended = bool(over[0]) or step >= showing.longest
        yield Moment(
            episode=episode,
            step=step,
            action=action[0].cpu().numpy(),
            chosen=_places(action[0].cpu().numpy(), space),
            reward=float(returns[0] - before[0]),
            total=float(returns[0]),
            over=ended,
            thoughts=thoughts,
            picture=None if camera is None else camera.frame(),
        )
        episode += ended
        if ended and not over[0] and episode < showing.episodes:  # cut: the environments would go on with it
            state, step = begin(envs, spread(showing.seed) ^ episode), 0


def _thoughts(decision: Decision, space: spaces.Space[Any], mask: Tensor | None) -> Thoughts | None:
    """Of the first stream: values or probabilities of choices, or where in its box the action lies."""
    if isinstance(space, spaces.Box):
        return Thoughts.of_action(_array(decision.action), space)
    values, log_probs = decision.extras.get("q"), decision.extras.get("log_probs")
    forbidden = np.zeros(1, bool) if mask is None else ~mask[0].cpu().numpy()
    if isinstance(space, spaces.MultiDiscrete):
        if log_probs is None:
            return None
        shown = Thoughts.of_parts(np.exp(_array(log_probs)), space.nvec.ravel().tolist())
        return replace(shown, numbers=np.where(forbidden.ravel(), -np.inf, shown.numbers))
    if values is not None:
        return Thoughts.of_values(np.where(forbidden, -np.inf, _array(values)))
    if log_probs is not None:
        return Thoughts.of_probabilities(np.where(forbidden, -np.inf, np.exp(_array(log_probs))))
    return None


def _places(action: np.ndarray, space: spaces.Space[Any]) -> tuple[int, ...]:
    if isinstance(space, spaces.Discrete):
        return (int(action) - int(space.start),)
    if not isinstance(space, spaces.MultiDiscrete):
        return ()
    before = np.cumsum([0, *space.nvec.ravel()[:-1]])
    return tuple((before + (action - space.start).ravel()).tolist())


def _array(batch: Tensor) -> np.ndarray:
    return batch[0].detach().to("cpu", torch.float32).numpy()


def _drawn(moment: Moment, showing: Showing, title: str) -> Picture:
    assert moment.picture is not None
    if not showing.values:
        return moment.picture
    words = (title, f"step {moment.step:,}", f"return {moment.total:.5g}", f"reward {moment.reward:.4g}")
    return beside(moment.picture, moment.thoughts, moment.chosen, words)
