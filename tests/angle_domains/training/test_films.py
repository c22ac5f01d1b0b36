"""Films of a run that learns: the best policy so far, in the run's folder and in the store."""

from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from angle_domains.config import load_config
from angle_domains.runs import RunFolder
from angle_domains.tracking import resolve_store
from angle_domains.tracking.store import connect
from angle_domains.training import train
from tests.angle_domains.training.test_off_policy import GAME, LEARNING
from tests.angle_domains.training.worlds import Lines, the_run

SHAPE = ("training.steps=512", "training.evaluate_every=256", "feed.max_steps=30", "training.films=1")


def test_a_film_of_the_best_policy_is_an_artifact_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("angle_domains.training.films.default_suffix", lambda: ".webp")  # which can be read back
    overrides = (*LEARNING, *GAME, *SHAPE, "tracking.uri=null")
    console = Lines()
    train(load_config(env="CartPole-v1", agent="dqn", overrides=overrides), console=console, root=tmp_path)
    run, client, kept = (
        RunFolder(tmp_path / "one"),
        connect(resolve_store(None, tmp_path)),
        the_run(tmp_path).info.run_id,
    )
    [film] = (run.path / "films").iterdir()
    assert film.stem == f"step-{256:012d}"  # the first look is the best so far, and the budget is one film
    assert [item.path for item in client.list_artifacts(kept, "films")] == [f"films/{film.name}"]
    fetched = Path(client.download_artifacts(kept, f"films/{film.name}", str(tmp_path)))
    assert fetched.read_bytes() == film.read_bytes()
    with Image.open(fetched) as shown:
        pictures = [picture.convert("RGB").tobytes() for picture in ImageSequence.Iterator(shown)]
    assert 5 <= len(pictures) <= 30
    assert len(set(pictures)) > 3  # the pole falls
    assert not [line for line in console.told if line.startswith("no film")]
