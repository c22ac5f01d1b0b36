import torch

from angle_domains.memory.episodes import Row, append, ended


def row(key: float, action: int, reward: float, discount: float, value: float, streams: int = 1) -> Row:
    numbers = [torch.full((streams,), number) for number in (reward, discount, value)]
    return Row(
        torch.full((streams, 2), key), torch.full((streams,), action), *numbers, torch.full((streams,), int(key))
    )


def told(rows: list[Row], steps: int) -> tuple[list[int], list[float]]:
    running = None
    for place, each in enumerate(rows):
        running = append(running, each, torch.tensor([place == 0]))
    assert running is not None
    found = ended(running, torch.tensor([True]), steps)
    assert found is not None
    assert found.key[:, 0].tolist() == [each.key[0, 0].item() for each in rows[:-1]]
    assert found.serial.tolist() == [each.serial.item() for each in rows[:-1]]
    return found.action.tolist(), found.value.tolist()


ROWS = [  # the discount of a row is that of what follows it
    row(0.0, 1, 99.0, 0.5, 1.0),
    row(1.0, 0, 2.0, 0.5, 10.0),
    row(2.0, 1, 4.0, 0.5, 20.0),
]


def test_a_truncated_episode_ends_in_the_value_of_what_was_seen_last() -> None:
    rows = [*ROWS, row(3.0, 0, 8.0, 0.5, 40.0)]
    actions, values = told(rows, 2)
    assert actions == [1, 0, 1]
    assert values == [2.0 + 0.5 * 4.0 + 0.25 * 20.0, 4.0 + 0.5 * 8.0 + 0.25 * 40.0, 8.0 + 0.5 * 40.0]


def test_a_terminated_episode_ends_in_nothing() -> None:
    rows = [*ROWS, row(3.0, 0, 8.0, 0.0, 40.0)]
    assert told(rows, 2)[1] == [2.0 + 0.5 * 4.0 + 0.25 * 20.0, 4.0 + 0.5 * 8.0, 8.0]
    assert told(rows, 100)[1] == [2.0 + 0.5 * 4.0 + 0.25 * 8.0, 4.0 + 0.5 * 8.0, 8.0]


def test_an_episode_that_ends_in_the_row_it_began_in_tells_nothing() -> None:
    assert told([row(0.0, 1, 99.0, 0.0, 1.0)], 2) == ([], [])


def test_the_room_of_a_long_episode_is_given_back() -> None:
    running = None
    for tick in range(1_000):
        running = append(running, row(float(tick), 0, 1.0, 1.0, 0.0), torch.tensor([tick == 0]))
    assert running is not None
    assert running["key"].shape[1] == 1_024
    for tick in range(100):
        running = append(running, row(float(tick), 0, 1.0, 1.0, 0.0), torch.tensor([tick == 0]))
        assert running["key"].shape[1] <= max(4 * (tick + 1), 64)
        assert running["key"].untyped_storage().nbytes() == 8 * running["key"].shape[1]
    found = ended(running, torch.tensor([True]), 3)
    assert found is not None
    assert found.key[:, 0].tolist() == list(map(float, range(99)))


def test_streams_end_apart_and_begin_anew() -> None:
    running = None
    for tick in range(200):
        first = torch.tensor([tick % 5 == 0, tick == 0])
        running = append(running, row(float(tick), 0, 1.0, 1.0, 0.0, streams=2), first)
        last = torch.tensor([tick % 5 == 4, False])
        found = ended(running, last, 100)
        assert (found is not None) == bool(last.any())
        if found is not None:
            assert found.key[:, 0].tolist() == [tick - 4.0, tick - 3.0, tick - 2.0, tick - 1.0]
            assert found.value.tolist() == [4.0, 3.0, 2.0, 1.0]
    assert running is not None
    assert running["length"].tolist() == [5, 200]
    found = ended(running, torch.tensor([False, True]), 3)
    assert found is not None
    assert found.key[:, 0].tolist() == list(map(float, range(199)))
