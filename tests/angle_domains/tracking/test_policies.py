import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from angle_domains import checkpoint
from angle_domains.config import load_config
from angle_domains.outlook.foreseen import foresee, foresee_risk, signatures
from angle_domains.policy import load_policy
from angle_domains.specs import spec_to_dict
from angle_domains.tables import agent_spec, make_feed, resolve
from angle_domains.tracking import MlflowTracker, resolve_store
from angle_domains.tracking.store import connect, load_mlflow
from feeds.base import Block, FeedSpec
from tests.angle_domains.tracking.worlds import ROOT, get_run, info
from tests.angle_domains.training.test_beside import settings, trained

SPEC = FeedSpec(
    name="market",
    observation_space=spaces.Box(-np.inf, np.inf, (6,), np.float32),
    action_space=spaces.Box(0.0, 1.0, (2,), np.float32),
    blocks=(Block("assets", 0, (2, 2)), Block("weights", 4, (2,))),
    simplex=True,
)
LOAD = """
import json, pickle, sys
def refuse(*args, **keywords):
    raise AssertionError("something was unpickled")
pickle.load = pickle.loads = refuse
from angle_domains.tracking.store import load_mlflow
mlflow = load_mlflow()
mlflow.set_tracking_uri(sys.argv[1])
import numpy as np
rows = np.array(json.loads(sys.argv[3]), np.float32)
for uri in sys.argv[2].split(","):
    print(json.dumps(mlflow.pyfunc.load_model(uri).predict(rows).tolist()))
"""


def saved(folder: Path) -> Path:
    """The checkpoint of a PPO that was never trained."""
    config = load_config(feed="market", agent="ppo", overrides=["training.streams=2", "device=cpu"])
    agent = resolve(agent_spec("ppo").build)(config.agent, SPEC, streams=2, seed=0, device="cpu")
    meta = {"step": 5, "agent": "ppo", "config": config.to_dict(), "spec": spec_to_dict(SPEC), "data": ""}
    return checkpoint.save(folder, {"agent": agent.state_dict()}, meta)


def test_a_policy_is_a_registered_model_that_loads_without_pickle(runs: Path, tmp_path: Path) -> None:
    best = saved(tmp_path / "best")
    tracker = MlflowTracker(resolve_store(None, runs), runs / "a", register="portfolio", interval=0.1)
    tracker.start(info("a"))
    tracker.log_policy(best, SPEC, step=5)
    tracker.finish(patience=60)

    client = connect(tracker.store)
    (output,) = get_run(tracker).outputs.model_outputs
    assert output.step == 5
    (version,) = client.search_model_versions("name = 'portfolio'")
    assert version.run_id == tracker.run_id
    assert version.source == client.get_logged_model(output.model_id).artifact_location
    files = [path for path in (runs / "artifacts").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}
    (model,) = [path for path in files if path.name == "MLmodel"]
    assert '"float32", "shape": [-1, 6]' in model.read_text().replace("\n   ", "")

    uris = [f"models:/{output.model_id}", "models:/portfolio/1", f"runs:/{tracker.run_id}/policy"]
    rows = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    words = [sys.executable, "-c", LOAD, tracker.store.uri, ",".join(uris), json.dumps(rows.tolist())]
    strict = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=strict, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    wanted = load_policy(best).predict(rows)
    assert wanted.shape == (3, 2)
    for line in done.stdout.splitlines():
        np.testing.assert_allclose(json.loads(line), wanted, rtol=1e-6)
    assert len(done.stdout.splitlines()) == len(uris)


def test_after_a_refused_name_the_next_policy_is_a_model_of_its_own(runs: Path, tmp_path: Path) -> None:
    tracker = MlflowTracker(resolve_store(None, runs), runs / "a", register="a/b", interval=0.1)
    tracker.start(info("a"))
    tracker.log_policy(saved(tmp_path / "best"), SPEC, step=5)
    tracker.log_policy(tmp_path / "best", SPEC, step=6)
    tracker.finish(patience=60)
    assert tracker.writer is not None
    assert len(tracker.writer.courier.refused) == 2
    assert len({output.model_id for output in get_run(tracker).outputs.model_outputs}) == 2
    assert tracker.journal.load().model_id is None


def test_a_checkpoint_that_is_gone_is_told_and_keeps_nothing_else_back(runs: Path, tmp_path: Path) -> None:
    tracker = MlflowTracker(resolve_store(None, runs), runs / "a", interval=0.1)
    tracker.start(info("a"))
    tracker.log_policy(tmp_path / "nowhere", SPEC, step=5)
    tracker.log({"loss": 1.0}, 6)
    tracker.finish()
    assert tracker.writer is not None
    assert "nowhere" in tracker.writer.courier.refused[0]
    assert get_run(tracker).info.status == "FINISHED"
    assert get_run(tracker).data.metrics == {"loss": 1.0}


def test_what_learned_beside_it_are_models_of_the_run(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings("ppo", **{"meta.on": True, "meta.risk.event": "end", "training.steps": 1_024})
    trained(config, tmp_path / "one")
    best = (tmp_path / "one" / "last").resolve()
    trainer = load_policy(best).beside
    assert trainer is not None
    tracker = MlflowTracker(resolve_store(None, runs), runs / "a", interval=0.1)
    tracker.start(info("a"))
    tracker.log_policy(best, make_feed("classic", config.feed).spec, 5, signatures(trainer))
    tracker.finish(patience=60)
    client = connect(tracker.store)
    models = [client.get_logged_model(each.model_id) for each in get_run(tracker).outputs.model_outputs]
    assert {model.name for model in models} == {"policy", "forecaster", "detector"}
    ticks = np.random.default_rng(0).normal(size=(4, config.meta.forecast.length, 4)).astype(np.float32)
    mlflow = load_mlflow()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.store.uri)
    forecaster = mlflow.pyfunc.load_model(f"runs:/{tracker.run_id}/forecaster")
    np.testing.assert_allclose(forecaster.predict(ticks), foresee(trainer, ticks), rtol=1e-6)
    assert forecaster.predict(ticks).shape == (4, 2, 4, 7)
    longer = np.random.default_rng(0).normal(size=(4, config.meta.risk.length, 4)).astype(np.float32)
    chance = mlflow.pyfunc.load_model(f"runs:/{tracker.run_id}/detector").predict(longer)
    np.testing.assert_allclose(chance, foresee_risk(trainer, longer), rtol=1e-6)
    assert ((chance >= 0.0) & (chance <= 1.0)).all()
