"""What every test stands on: one thread, and the shapes in annotations checked as the code runs."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores; read when torch loads
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

CHECKED = [
    "angle_domains.actor_critic",
    "angle_domains.bandit",
    "angle_domains.directed",
    "angle_domains.distributions",
    "angle_domains.families",
    "angle_domains.losses",
    "angle_domains.memory",
    "angle_domains.networks",
    "angle_domains.normalise",
    "angle_domains.novelty",
    "angle_domains.ope",
    "angle_domains.q_learning",
    "angle_domains.recurrent_values",
    "angle_domains.replay",
    "angle_domains.support",
    "angle_domains.transitions",
    "angle_domains.value_based",
    "metalearn.forecasting",
    "metalearn.inner",
    "metalearn.meta_learner",
    "metalearn.risk",
    "metalearn.states",
    "metalearn.steering",
    "metalearn.task_sampler",
    "metalearn.volatility",
]

if not os.environ.get("SHAPES_UNCHECKED"):  # as the long gates run: three times as fast
    install_import_hook(CHECKED, "beartype.beartype")
# A busy machine is no failure, and what fails once fails again: the long gates alone look for new examples.
settings.register_profile("house", deadline=None, derandomize=not os.environ.get("NEW_EXAMPLES"))
settings.load_profile("house")


@pytest.fixture(autouse=True)
def no_store_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go where a test says, whatever the user's environment or an earlier test's `set_tracking_uri` says."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty root for runs."""
    root = tmp_path / "runs"
    root.mkdir()
    return root


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a display."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
