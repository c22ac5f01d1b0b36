import pytest

from angle_domains.errors import ConfigError
from angle_domains.variants import Variant, of_seeds, only_seeds, swept


def test_names_are_what_was_written_and_values_are_numbers() -> None:
    found = swept(["agent.alpha=0,1e-6,1e-2"])
    assert [variant.label for variant in found] == ["alpha-0", "alpha-1e-6", "alpha-1e-2"]
    assert [variant.settings["agent.alpha"] for variant in found] == [0, 1e-6, 1e-2]


def test_every_combination_under_every_seed() -> None:
    found = swept(["a.b=1,2", "c=[x, y],[z]"], [3])
    assert [variant.label for variant in found] == [
        "b-1-c-x-y-seed-3",
        "b-1-c-z-seed-3",
        "b-2-c-x-y-seed-3",
        "b-2-c-z-seed-3",
    ]
    assert found[1] == Variant("b-1-c-z-seed-3", {"a.b": 1, "c": ["z"], "seed": 3})


def test_a_mean_is_for_seeds_alone() -> None:
    assert only_seeds(of_seeds([1, 2]))
    assert not only_seeds(swept(["a=1"], [1, 2]))


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=[1", "a=1,1"])
def test_a_mistake_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="--sweep"):
        swept([text])
    with pytest.raises(ConfigError, match="stands twice"):
        of_seeds([1, 1])


def test_one_setting_is_swept_once() -> None:
    with pytest.raises(ConfigError, match="stands once"):
        swept(["seed=1,2"], [3])
