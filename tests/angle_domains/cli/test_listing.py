"""What there is to choose from: feeds, data that are looked at, agents, configurations."""

from pathlib import Path

import pytest

from angle_domains.cli import main
from angle_domains.config import AgentConfig, load_config
from angle_domains.errors import ConfigError


def run(*words: str) -> int:
    return main(list(words))


def test_feeds_agents_and_configs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for words, names in ((["feeds"], ["market"]), (["agents"], ["a2c", "ppo"]), (["configs"], ["market/ppo"])):
        assert run(*words) == 0
        head, *rows = capsys.readouterr().out.splitlines()
        assert head.split()[0] in ("feed", "agent", "configuration")
        assert set(names) <= {row.split()[0] for row in rows}
        assert all(len(row.split()) > 1 for row in rows)  # each says what it is


def test_data_that_are_refused_are_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = [f"2020-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(280)]
    rows = [f"{day},A,{100 + index % 7}" for index, day in enumerate(days)]
    rows[50] = f"{days[50]},A,-1"
    (tmp_path / "prices.csv").write_text("\n".join(["timestamp,symbol,close", *rows]))
    words = ["feeds", "check", "prices.csv", "--set", "feed.splits.embargo=1"]
    assert run(*words) == 1
    said = capsys.readouterr()
    assert "verdict   refused: 1 finding" in said.out
    assert said.err == ""
    assert run(*words, "--set", "feed.policy=quarantine") == 0


def test_configs_show_prints_yaml_that_gives_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["configs", "show", "--feed", "market", "--agent", "ppo", "--set", "agent.gamma=.5", "--set"]
    assert run(*words, "feed.side_tables=[{path: 'x, # y.csv'}]") == 0
    text = capsys.readouterr().out
    assert run("configs", "show", "--config", "market/ppo") == 0
    (tmp_path / "shown.yaml").write_text(text)
    overrides = ["agent.gamma=0.5", "feed.side_tables=[{path: 'x, # y.csv'}]"]
    assert load_config(file="shown.yaml") == load_config(feed="market", agent="ppo", overrides=overrides)
    assert text.splitlines()[0].endswith("configs/market/ppo.yaml")
    gamma = next(line for line in text.splitlines() if "gamma:" in line)  # the agent's; others come after it
    assert gamma.split() == ["gamma:", "0.5", "#", "--set"]
    (patience,) = (line for line in text.splitlines() if "patience:" in line)
    assert patience.endswith("# default")


def test_every_configuration_that_comes_along_is_whole() -> None:
    from angle_domains.config import known_configs

    for name in known_configs():
        config = load_config(file=name)
        feed, _, agent = name.partition("/")  # beside `dqn_default`, which names a feed inside
        if name != "clinical/vaso_rl":  # named after whose pipeline it is
            assert not agent or (feed, agent.rpartition("/")[2]) == (config.feed_name, config.agent_name)
        assert AgentConfig.from_dict(config.to_dict()) == config


def test_play_tells_a_misspelled_environment_from_one_of_another_feed() -> None:
    from angle_domains.cli.judging import _settings_for

    config = load_config(env="CartPole-v1", agent="dqn")
    with pytest.raises(ConfigError, match="did you mean 'Acrobot-v1'"):
        _settings_for("Acrobott-v1", config)
    with pytest.raises(ConfigError, match="trained on the feed 'classic'"):
        _settings_for("Pong", config)
