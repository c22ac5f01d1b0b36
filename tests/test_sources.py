"""What no source of the four packages may do: load what could run code while it is loaded."""

import re
from pathlib import Path

import pytest

import angle_domains
import envs
import feeds
import metalearn

PACKAGES = (angle_domains, envs, feeds, metalearn)
LOADS = re.compile(
    r"^\s*(?:import|from)\s+(?:pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b"
    r"|\b(?:pickle|dill|cloudpickle|joblib|marshal)\.(?:loads?|Unpickler)\b"
    r"|\btorch\.(?:load|jit\.load)\b|\bfrom\s+torch\s+import\s+[^\n]*\bload\b|\bread_pickle\b"
    r"|allow_pickle\s*=\s*True|\byaml\.(?:load|unsafe_load|full_load)\(",
    re.MULTILINE,
)


def sources(package: object) -> list[Path]:
    return sorted(Path(str(package.__file__)).parent.rglob("*.py"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_nothing_is_unpickled(package: object) -> None:
    found = [f"{path.name}: {match[0]}" for path in sources(package) for match in LOADS.finditer(path.read_text())]
    assert found == []
    assert len(sources(package)) > 3


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "    from joblib import load",
        "state = pickle.load(file)",
        "pickle.loads(content)",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "torch.jit.load(path)",
        "from torch import load, save",
        "np.load(path, allow_pickle=True)",
        "pandas.read_pickle(path)",
        "yaml.load(text)",
    ],
)
def test_every_way_of_it_is_found(line: str) -> None:
    assert LOADS.search(line)


@pytest.mark.parametrize("line", ["nothing is unpickled", "torch.load_nothing", "yaml.safe_load(text)", "a pickle"])
def test_what_loads_nothing_is_left_alone(line: str) -> None:
    assert not LOADS.search(line)
