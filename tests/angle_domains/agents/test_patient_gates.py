"""What is learned from recorded patients, held against the process that made them: long, run by `make gates`.

The logs are of seeds that no setting was chosen on.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.config import load_config
from angle_domains.policy import first_percept
from angle_domains.runs import RunFolder
from angle_domains.tracking import MemoryTracker
from angle_domains.training import AgentTrainer
from angle_domains.training.signals import StopSignal
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.truth import known_states, true_value
from tests.angle_domains.training.worlds import Lines

CLINICIANS = 0.7823
DRAWS = (20, 21, 22)


def learned(folder: Path, patients: int, draw: int, **more: Any) -> tuple[float, float]:
    """The true value of the greedy policy of `vi`, and what it believes of its first decisions."""
    small = {"feed.patients": patients, "feed.draw": draw, "training.judging.checkpoint": "last", "device": "cpu"}
    one = AgentTrainer(load_config(feed="clinical", agent="vi", options={**small, **more}), RunFolder(folder), Lines())
    one.train(MemoryTracker(), StopSignal())
    assert isinstance(one.feed, ClinicalFeed)
    states, spec = known_states(one.feed), one.feed.spec
    assert states is not None
    chosen = one.agent.act(first_percept(torch.from_numpy(states), spec), None, explore=False).action.numpy()
    rows = one.feed.episodes("train")
    begun = torch.from_numpy(rows.observation[rows.starts])
    believed = one.agent.act(first_percept(begun, spec), None, explore=False).extras["q"].max(-1).values.mean()
    return true_value(np.eye(int(spec.action_space.n))[chosen - int(spec.action_space.start)]), float(believed)  # type: ignore[attr-defined]


@pytest.mark.gate
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(("patients", "least"), [(57_143, 0.845), (14_286, 0.808)])  # seven in ten train
def test_the_default_agent_does_better_than_clinicians(tmp_path: Path, patients: int, least: float, draw: int) -> None:
    true, believed = learned(tmp_path, patients, draw)
    print(f"{patients} patients, log {draw}: true {true:.4f}, believed {believed:.4f}")
    assert true >= least
    assert believed < true + 0.05


@pytest.mark.gate
def test_what_is_learned_of_actions_hardly_ever_taken_is_believed_and_wrong(tmp_path: Path) -> None:
    naive = {"agent.least": 1, "agent.share": 0.0, "agent.prior": 0.0}
    true, believed = learned(tmp_path, 14_286, DRAWS[0], **naive)
    assert believed > 0.95
    assert true < CLINICIANS + 0.02
