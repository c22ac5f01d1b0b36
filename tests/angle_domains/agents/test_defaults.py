"""What an agent is without settings: the numbers that its paper, or its authors' code, was run with."""

from typing import Any

import pytest
import torch
from pydantic import BaseModel

from angle_domains.agents import dqn, qrdqn, rainbow, sac, td3
from tests.contracts import worlds

# A step is one after frame skip: four frames. What the agents' own notes name as different is theirs here.
ATARI = {"gamma": 0.99, "max_grad_norm": 10.0, "replay.capacity": 1_000_000, "replay.batch": 32}
ATARI |= {"replay.learn_every": 4.0, "epsilon": 1.0, "zeta": None, "anneal_steps": None}
PLAIN = {"double": False, "dueling": False, "n_step": 1, "replay.prioritised": False, "replay.warm_up": 50_000}
PLAIN |= {"target_every": 10_000, "epsilon_steps": 1_000_000, "head_hidden": ()}  # 40,000 frames; 4,000,000
BOX = {"gamma": 0.99, "tau": 0.005, "learning_rate": 3e-4, "n_step": 1, "replay.capacity": 1_000_000}
BOX |= {"replay.batch": 256, "replay.learn_every": 1.0, "replay.prioritised": False}
BOX |= {"network.hidden": (256, 256), "network.activation": "relu"}
PUBLISHED: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (
        dqn.DQNConfig,
        ATARI | PLAIN | {"loss": "squared", "learning_rate": 6.25e-5, "adam_epsilon": 1.5e-4, "epsilon_end": 0.1},
    ),
    (
        qrdqn.QRDQNConfig,
        ATARI
        | PLAIN
        | {"quantiles": 200, "kappa": 1.0, "learning_rate": 5e-5, "adam_epsilon": 0.0003125, "epsilon_end": 0.01},
    ),
    (
        rainbow.RainbowConfig,
        {name: value for name, value in ATARI.items() if name != "zeta"}
        | {"double": True, "dueling": True, "distributional": True, "noisy": True, "n_step": 3}
        | {"atoms": 51, "lowest": -10.0, "highest": 10.0, "sigma": 0.5, "head_hidden": (512,)}
        | {"learning_rate": 6.25e-5, "adam_epsilon": 1.5e-4, "target_every": 8_000, "epsilon_end": 0.01}
        | {"replay.warm_up": 20_000, "replay.prioritised": True, "replay.alpha": 0.5}
        | {"replay.beta": 0.4, "replay.beta_end": 1.0, "replay.beta_steps": 50_000_000},  # of 200,000,000 frames
    ),
    (
        td3.TD3Config,
        BOX
        | {"exploration": 0.1, "target_noise": 0.2, "target_noise_clip": 0.5, "policy_delay": 2}
        | {"start_random": 25_000, "replay.warm_up": 25_000},
    ),
    (
        sac.SACConfig,
        BOX
        | {"temperature": 1.0, "tune_temperature": True, "target_entropy": None, "target_entropy_scale": 0.98}
        | {"start_random": 10_000, "replay.warm_up": 10_000},
    ),
]


@pytest.mark.parametrize(("config", "published"), PUBLISHED, ids=lambda value: getattr(value, "__name__", ""))
def test_the_defaults_are_the_published_ones(config: type[BaseModel], published: dict[str, Any]) -> None:
    given = config().model_dump()
    flat = given | {f"{part}.{name}": v for part in ("replay", "network") for name, v in given[part].items()}
    assert {name: flat.get(name, "missing") for name in published} == published


@pytest.mark.parametrize(
    ("module", "config", "rate", "epsilon"),
    [
        (dqn, dqn.DQNConfig, 6.25e-5, 1.5e-4),
        (qrdqn, qrdqn.QRDQNConfig, 5e-5, 0.0003125),
        (rainbow, rainbow.RainbowConfig, 6.25e-5, 1.5e-4),
    ],
)
def test_adam_is_given_the_published_rate_and_epsilon(module: Any, config: Any, rate: float, epsilon: float) -> None:
    spec = worlds.spec_of(worlds.vector(worlds.Match, 1))
    optimizer = module.build(config(), spec, streams=1, seed=0, device="cpu").optimizer
    assert isinstance(optimizer, torch.optim.Adam)
    [group] = optimizer.param_groups
    assert (group["lr"], group["eps"], group["betas"]) == (rate, epsilon, (0.9, 0.999))
