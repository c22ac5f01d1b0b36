"""Every file of `configs/` holds settings that its agent knows."""

from pathlib import Path

import pytest
import yaml

from angle_domains.config import TrainingConfig, config_root
from angle_domains.tables import AGENTS, resolve

FILES = sorted(config_root().rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(config_root())))
def test_agent_and_training_are_valid(path: Path) -> None:
    text = yaml.safe_load(path.read_text())
    assert text["feed"]["name"] == path.relative_to(config_root()).parts[0]
    assert text["agent"].pop("name") == path.stem
    resolve(AGENTS[path.stem].config)(**text["agent"])
    TrainingConfig(**text["training"])
