"""What the names of Atari games stand for."""

import ale_py.roms
import pytest

from feeds.atari.config import AtariConfig, game_name, knows, listing, parse_name
from feeds.atari.feed import AtariFeed, prepare
from feeds.atari.scores import SCORES, human_normalised
from feeds.errors import FeedError


@pytest.mark.parametrize(
    ("name", "rom", "sticky", "life_loss"),
    [
        ("Pong", "pong", 0.25, False),
        ("Pong-v5", "pong", 0.25, False),
        ("ALE/MsPacman-v5", "ms_pacman", 0.25, False),
        ("PongNoFrameskip-v4", "pong", 0.0, True),
        ("UpNDownDeterministic-v4", "up_n_down", 0.0, True),
        ("PongNoFrameskip-v0", "pong", 0.25, True),
    ],
)
def test_a_name_says_rom_and_protocol(name: str, rom: str, sticky: float, life_loss: bool) -> None:
    protocol = parse_name(name)
    assert (protocol.rom, protocol.sticky, protocol.life_loss) == (rom, sticky, life_loss)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Pnog", "Pong"),
        ("ALE/Breakot-v5", "ALE/Breakout-v5"),
        ("PongNoFrameskip-v5", "PongNoFrameskip-v4"),
        ("PongDeterministic-v5", "PongDeterministic-v4"),
        ("Pong-v4", "Pong"),  # draws its frame skip by lot
        ("ms_pacman", "MsPacman"),
        ("ALE/PongNoFrameskip-v4", "PongNoFrameskip-v4"),
    ],
)
def test_a_wrong_name_is_told_the_nearest(name: str, nearest: str) -> None:
    assert not knows(name)
    with pytest.raises(FeedError, match=f"no Atari game is called '{name}'.*did you mean '{nearest}"):
        AtariFeed(AtariConfig(env=name))


def test_every_rom_has_a_name() -> None:
    for_two = {"combat", "joust", "maze_craze", "warlords"}
    roms = set(ale_py.roms.get_all_rom_ids()) - for_two
    assert {parse_name(name).rom for name in listing()} == roms
    assert {game_name(rom) for rom in roms} <= set(listing())
    assert len(set(listing())) == 4 * len(roms)


def test_settings_go_before_the_name() -> None:
    made = prepare(AtariConfig(env="PongNoFrameskip-v4", sticky=0.1, life_loss=False))
    assert (made.sticky, made.life_loss) == (0.1, False)


def test_the_57_games_are_known_by_their_names() -> None:
    assert len(SCORES) == 57
    assert set(SCORES) <= {parse_name(name).rom for name in listing()}


def test_scores_are_measured_between_chance_and_a_person() -> None:
    assert human_normalised("pong", 14.6) == 1.0
    assert human_normalised("breakout", 1.7) == 0.0
    assert human_normalised("breakout", 16.1) == pytest.approx(0.5)
    assert human_normalised("double_dunk", -20.8) == pytest.approx(-1.0)
    assert human_normalised("tetris", 10.0) is None


def test_the_protocol_says_what_is_done_in_training_alone() -> None:
    protocol = AtariFeed(AtariConfig(env="PongNoFrameskip-v4")).describe()["profile"]["protocol"]
    assert protocol["life_loss_in_training"] is True
    assert protocol["clip_rewards_in_training"] is True
    assert not {"life_loss", "clip_rewards", "threads"} & set(protocol)
