"""What the agents that act by action values share beyond the contract of off-policy agents."""

from typing import Any

import torch
from gymnasium import spaces

from tests.contracts.off_policy_contract import OffPolicyContract


class ValueContract(OffPolicyContract):
    action_spaces = ((spaces.Discrete(3, start=-1), False),)

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.core.expectation(agent.core.online(agent.core.see(obs))).max(-1).values
