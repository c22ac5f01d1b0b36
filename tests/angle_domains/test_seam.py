"""Actors elsewhere: what a learner publishes decides alike, and the sequences that come in are those it would draw."""

from typing import Any

import pytest
import torch

from angle_domains import loops
from angle_domains.agents import agent57, ngu, r2d2
from angle_domains.chance import seeded
from angle_domains.errors import CheckpointError
from angle_domains.replay import ReplayConfig, SequenceReplay, experienced_sequences
from angle_domains.seam import Actor, Collector, Learner
from angle_domains.types import Window
from tests.contracts import worlds
from tests.contracts.trees import assert_same

STREAMS = 3
SMALL: dict[str, Any] = {
    "network": {"hidden": (16,), "activation": "relu", "recurrent": 8},
    "head_hidden": (16,),
    "burn_in": 2,
    "trace": 6,
    "period": 4,
    "replay": {"capacity": 240, "warm_up": 60, "learn_every": 8, "batch": 8},
}
AGENTS = [
    (r2d2, r2d2.R2D2Config(**SMALL)),
    (ngu, ngu.NGUConfig(**SMALL, policies=3)),
    (agent57, agent57.Agent57Config(**SMALL, policies=10)),
]


def world() -> Any:
    return worlds.vector(worlds.Recall, STREAMS)


def made(module: Any, config: Any, seed: int) -> Any:
    return module.build(config, worlds.spec_of(world()), streams=STREAMS, seed=seed, device="cpu")


@pytest.mark.parametrize(("module", "config"), AGENTS)
def test_an_actor_decides_as_the_learner_would(module: Any, config: Any) -> None:
    """Trained in one place and published, by an actor of another seed; later updates do not reach it by themselves."""
    learner, actor = made(module, config, 0), made(module, config, 9)
    assert isinstance(learner, Learner)
    assert isinstance(actor, Actor)
    envs = world()
    replay = experienced_sequences(learner, streams=STREAMS, steps=10_000, stack=0, seed=0, device="cpu")
    list(loops.off_policy(learner, envs, replay, loops.begin(envs, 0), steps=240))
    published = learner.publish()
    assert published.version == learner.updates > 0
    if module is agent57:  # whose bandits are the actor's own: here they learned nothing
        learner.bandit.load_state_dict(actor.bandit.state_dict())
    percept = loops.begin(world(), 1).percept
    wanted = learner.act(percept, None, explore=False).extras["q"].clone()
    learner.learn(replay.get_batch(8, learner.length))
    actor.adopt(published)
    assert torch.equal(actor.act(percept, None, explore=False).extras["q"], wanted)
    assert not torch.equal(learner.act(percept, None, explore=False).extras["q"], wanted)


@pytest.mark.parametrize(("module", "config"), AGENTS)
def test_what_another_network_published_is_refused(module: Any, config: Any) -> None:
    wide = config.model_copy(update={"network": config.network.model_copy(update={"recurrent": 12})})
    with pytest.raises(CheckpointError, match="another network"):
        made(module, config, 0).adopt(made(module, wide, 0).publish())


@pytest.mark.parametrize(("module", "config"), AGENTS)
def test_sequences_that_come_in_are_those_of_the_replay(module: Any, config: Any) -> None:
    actor, envs = made(module, config, 0), world()
    replay = experienced_sequences(actor, streams=STREAMS, steps=10_000, stack=0, seed=0, device="cpu")
    collector, state, came = Collector(actor.length, actor.period), loops.begin(envs, 0), []
    for _ in range(24):
        decision = actor.act(state.percept, state.memory, explore=True)
        replay.insert(state.percept, decision)
        window = collector.add(state.percept, decision)
        came += [] if window is None else [window]
        loops.advance(envs, state, decision.action, decision.memory)
    assert len(came) == 4  # they begin at ticks 0, 4, 8 and 12
    for number, window in enumerate(came):
        place = number * actor.period * STREAMS + torch.arange(STREAMS)
        drawn = replay._window(replay._gather(place.numpy(), actor.length), window.weight)
        assert_same(tree(drawn), tree(window))


def tree(window: Window) -> dict[str, Any]:
    return {"percept": window.percept._asdict(), "action": window.action, "extras": window.extras}


def test_sequences_are_kept_drawn_and_saved() -> None:
    config = ReplayConfig(prioritised=True, alpha=1.0)
    replay = SequenceReplay(5, config, seeded(0, "replay"))
    with pytest.raises(ValueError, match="no sequence has come in"):
        replay.get_batch(1)
    actor, envs = made(*AGENTS[0], 0), world()
    collector, state = Collector(actor.length, actor.period), loops.begin(envs, 0)
    while replay.added < 9:
        decision = actor.act(state.percept, state.memory, explore=True)
        if (window := collector.add(state.percept, decision)) is not None:
            replay.add(window)
        loops.advance(envs, state, decision.action, decision.memory)
    assert (replay.size, replay.added) == (5, 9)
    batch = replay.get_batch(5)  # one from each fifth of the priorities, which are alike: each once
    assert sorted(replay.sampler._drawn.tolist()) == [0, 1, 2, 3, 4]
    replay.reprioritise(torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]))
    assert torch.equal(replay.get_batch(4).obs, batch.obs[:, 2:3].expand(-1, 4, -1))
    actor.learn(replay.get_batch(4))
    with pytest.raises(ValueError, match="3 sequences came in at once"):
        SequenceReplay(2, config, seeded(0, "replay")).add(replay.get_batch(3))
    with pytest.raises(CheckpointError, match="keeps 5 sequences, here 6"):
        SequenceReplay(6, config, seeded(0, "replay")).load_state_dict(replay.state_dict())
    again = SequenceReplay(5, config, seeded(7, "replay"))
    again.load_state_dict(replay.state_dict())
    assert_same(tree(again.get_batch(3)), tree(replay.get_batch(3)))
    assert_same(again.state_dict(), replay.state_dict())
