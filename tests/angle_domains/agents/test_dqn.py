from typing import Any, ClassVar

from angle_domains.agents import dqn
from tests.contracts.value_contract import ValueContract


class TestDQN(ValueContract):
    module, config = dqn, dqn.DQNConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 2e-3,
        "target_every": 40,
        "epsilon_steps": 500,
        "replay": {"capacity": 5_000, "warm_up": 200, "learn_every": 2, "batch": 32},
    }
