"""Configurations: layers, sources, numbers as people write them, and errors that name key, line and nearest."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ConfigDict

from angle_domains import config as module
from angle_domains.config import AgentConfig, Wish, find_config, known_configs, load_config, resolve_config
from angle_domains.config_text import dump
from angle_domains.errors import AngleError, ConfigError
from angle_domains.tables import AGENTS, AgentSpec


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    width: int = 64


class ToyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    learning_rate: float = 3e-4
    gamma: float = 0.99
    torso: Inner = Inner()
    layers: tuple[Inner, ...] = ()


FILE = """\
feed:
  name: market
  path: synthetic-brownian
  symbols: [ON, NO, Y]
  splits: {validation_from: 2012-01-01}
agent:
  name: toy
  learning_rate: 1e-4
training:
  steps: 1e5
"""


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = AgentSpec(summary="toy", config=f"{__name__}:ToyConfig", build="", loop="")
    monkeypatch.setitem(AGENTS, "toy", spec)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(FILE)
    return path


def message(**wish: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(**wish)  # type: ignore[arg-type]
    return str(caught.value)


def edited(file: Path, old: str, new: str) -> Path:
    assert old in FILE
    file.write_text(FILE.replace(old, new))
    return file


def test_numbers_with_exponents_are_numbers_and_tickers_stay_text(file: Path) -> None:
    config = load_config(file=file)
    assert config.agent.learning_rate == 1e-4
    assert config.training.steps == 100_000
    assert config.feed.symbols == ("ON", "NO", "Y")
    assert config.feed.splits.validation_from.year == 2012


def test_later_layers_win_and_leave_their_neighbours(file: Path) -> None:
    config = load_config(
        file=file,
        overrides=["agent.learning_rate=5e-5", "feed.costs.commission=0.002", "training.steps=7"],
        options={"training.steps": 9, "seed": 4, "device": None},
    )
    assert config.agent.learning_rate == 5e-5
    assert config.agent.gamma == 0.99
    assert config.feed.costs.commission == 0.002
    assert config.feed.costs.half_spread == 0.0005
    assert config.feed.path == "synthetic-brownian"
    assert (config.training.steps, config.seed, config.device) == (9, 4, "auto")


def test_sources_say_who_set_each_value(file: Path) -> None:
    overrides = ("agent.gamma=0.9", "feed.symbols=[A]")
    resolved = resolve_config(Wish(agent="toy", file=file, overrides=overrides, options={"tracking.uri": "x"}))
    assert resolved.source(("agent", "learning_rate")) == "line 8"
    assert resolved.source(("agent", "gamma")) == "--set"
    assert resolved.source(("agent", "name")) == "--agent"
    assert resolved.source(("feed", "symbols")) == "--set"
    assert resolved.source(("tracking", "uri")) == "--tracking-uri"
    assert resolved.source(("training", "streams")) == "default"


def test_a_mapping_merges_and_a_list_replaces(file: Path) -> None:
    config = load_config(file=file, overrides=["agent.torso={width: 8}", "agent.layers=[{width: 1}, {width: 2}]"])
    assert config.agent.torso.width == 8
    assert [layer.width for layer in config.agent.layers] == [1, 2]
    assert config.agent.learning_rate == 1e-4


def test_an_unknown_key_names_line_path_and_nearest(file: Path) -> None:
    said = message(file=edited(file, "learning_rate", "learning_rat"))
    assert said == f"{file}, line 8: 'agent.learning_rat' is unknown: did you mean 'agent.learning_rate'?"


def test_an_unknown_key_deep_down(file: Path) -> None:
    said = message(file=file, overrides=["feed.costs.comission=1"])
    assert said == (
        "--set feed.costs.comission=1: 'feed.costs.comission' is unknown: did you mean 'feed.costs.commission'?"
    )


def test_an_unknown_key_in_a_list_of_groups(file: Path) -> None:
    said = message(file=file, overrides=["agent.layers=[{width: 1}, {widht: 2}]"])
    assert "'agent.layers.1.widht' is unknown: did you mean 'agent.layers.1.width'?" in said


def test_a_key_of_another_section_is_found(file: Path) -> None:
    assert "did you mean 'training.steps'?" in message(file=file, overrides=["steps=3"])
    assert "did you mean 'feed.costs.commission'?" in message(file=file, overrides=["agent.commission=3"])


def test_every_wrong_value_gets_its_line(file: Path) -> None:
    lines = message(file=file, overrides=["agent.learning_rate=fast", "agent.torso.width=wide"]).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("--set agent.learning_rate=fast: 'agent.learning_rate' is 'fast': should be a valid")


@pytest.mark.parametrize("name", ["a/b", "a:b", "", " ", "..", "it's", "x" * 201])
def test_a_model_is_registered_under_a_name_that_the_registry_takes(name: str) -> None:
    told = message(feed="market", agent="ppo", options={"tracking.register_as": name})
    assert told.startswith("--register: 'tracking.register_as' is")
    assert "1 to 200 letters" in told
    good = load_config(feed="market", agent="ppo", options={"tracking.register_as": "portfolio v1.2"})
    assert good.tracking.register_as == "portfolio v1.2"


def test_a_wrong_device_names_the_choices(file: Path) -> None:
    said = message(file=file, options={"device": "gpu"})
    assert said.startswith("--device: 'device' is 'gpu'")
    assert "'cuda'" in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1", "line 1"),
        ("a: 1\na: 2", "line 2: this is no valid YAML: 'a' stands here twice"),
        ("a: !!python/object:os.system x", "the tag"),
        ("a: !!python/object/apply:os.system [touch /tmp/never]", "the tag"),
        ("a: &x [1]\nb: *x", "aliases are not used here"),
        ("- 1", "keys and values are wanted"),
        ("\x00", "no valid YAML"),
        ("feed: 3", "'feed' should hold a name and settings, not 3"),
        ("feed: {name: market}\nagent: toy\ntraining: 3", "'training' is 3"),
        ("feed: {path: x}\nagent: toy", "no feed is named"),
    ],
)
def test_broken_files_say_where(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    said = message(file=path)
    assert str(path) in said
    assert told in said


def test_binary_and_absent_files(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in message(file=tmp_path / "binary.yaml")
    assert "no configuration" in message(file=tmp_path / "absent.yaml")


def test_an_empty_section_is_no_section(file: Path) -> None:
    config = load_config(file=edited(file, "training:\n  steps: 1e5", "training:\ntracking:"))
    assert config.training.steps == module.TrainingConfig().steps


def test_the_short_form_names_feed_and_agent(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("feed: market\nagent: toy\n")
    config = load_config(file=path)
    assert (config.feed_name, config.agent_name) == ("market", "toy")


def test_feed_and_agent_must_be_named() -> None:
    assert message(agent="toy").startswith("no feed is named: give --feed (atari")
    assert message(feed="market").startswith("no agent is named: give --agent (a2c")


def test_unknown_names_name_the_nearest() -> None:
    assert message(feed="markte", agent="toy") == "no feed is called 'markte': did you mean 'market'?"
    assert message(feed="market", agent="pop") == "no agent is called 'pop': did you mean 'ppo'?"


def test_a_file_of_another_agent_is_refused(file: Path) -> None:
    said = message(file=file, agent="ppo")
    assert "this file is for the agent 'toy', but --agent asks for 'ppo'" in said


def test_the_environment_names_its_feed() -> None:
    config = load_config(env="angle_domains/Market-v0", agent="toy")
    assert (config.feed_name, config.env) == ("market", "angle_domains/Market-v0")
    assert "is unknown" in message(env="Nonsense-v0", agent="toy")


def test_overrides_need_key_and_value(file: Path) -> None:
    assert "key=value" in message(file=file, overrides=["training.steps"])
    assert "key=value" in message(file=file, overrides=["training.=3"])
    assert "nothing lies below it" in message(file=file, overrides=["agent.learning_rate.x=3"])


def test_an_override_that_is_no_yaml_is_text(file: Path) -> None:
    assert load_config(file=file, overrides=["feed.path=*.parquet"]).feed.path == "*.parquet"
    assert load_config(file=file, overrides=["feed.path=a=b"]).feed.path == "a=b"


def test_round_trip(file: Path) -> None:
    config = load_config(file=file, overrides=["agent.layers=[{width: 3}]"], options={"name": "1e5"})
    plain = config.to_dict()
    assert AgentConfig.from_dict(plain) == config
    again = file.with_name("again.yaml")
    again.write_text(dump(plain))
    assert load_config(file=again) == config
    assert yaml.safe_load(again.read_text())["feed"]["name"] == "market"


def test_a_stored_configuration_with_a_foreign_key(file: Path) -> None:
    plain = load_config(file=file).to_dict()
    plain["agent"]["gama"] = 1.0
    with pytest.raises(ConfigError, match=r"'agent.gama' is unknown: did you mean 'agent.gamma'\?"):
        AgentConfig.from_dict(plain)


def test_flat_is_scalars_by_dotted_key(file: Path) -> None:
    flat = load_config(file=file).flat()
    assert flat["feed.name"] == "market"
    assert flat["agent.learning_rate"] == 1e-4
    assert flat["feed.symbols"] == '["ON", "NO", "Y"]'
    assert flat["name"] == "none"
    assert all(isinstance(value, str | int | float | bool) for value in flat.values())


def test_names_inside_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "market/ppo" in known_configs()
    assert find_config("market/ppo") == find_config("configs/market/ppo.yaml") == find_config("market/ppo.yaml")
    with pytest.raises(ConfigError, match="did you mean 'market/ppo'"):
        find_config("market/ppoo")


def test_configurations_are_frozen(file: Path) -> None:
    config = load_config(file=file)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


def test_errors_are_mistakes_of_the_user() -> None:
    assert issubclass(ConfigError, AngleError)
    assert ConfigError.exit_code == 2
