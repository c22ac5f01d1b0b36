"""What no source of ours may do: fill backward, centre a window, pickle, or touch global chance and warnings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import feeds

ROOT = Path(feeds.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

FORBIDDEN = {
    "backward fill": r"bfill|backward_fill|backfill|fill_null\(strategy=.backward|strategy=.next|fillna\(",
    "centred window": r"center\s*=\s*True|filtfilt|savgol",
    "forward as-of join": r"strategy\s*=\s*.(forward|nearest)",
    "pickle": r"import (pickle|joblib)|pickle\.(load|dump)|allow_pickle\s*=\s*True|torch\.load",
    "global chance": r"np\.random\.(seed|rand|randn|normal|choice|shuffle|uniform)\b|^import random$|random\.seed\(",
    "global warnings": r"warnings\.(filterwarnings|simplefilter|resetwarnings)",
}


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_sources_of_feeds_keep_to(rule: str) -> None:
    pattern = re.compile(FORBIDDEN[rule], re.MULTILINE)
    found = [f"{path.name}: {match[0]}" for path in SOURCES for match in pattern.finditer(path.read_text())]
    assert found == []
    assert len(SOURCES) > 10


def test_the_patterns_find_what_they_forbid() -> None:
    examples = {
        "backward fill": "frame.bfill()",
        "centred window": "x.rolling(5, center=True)",
        "forward as-of join": 'join_asof(b, strategy="nearest")',
        "pickle": "import pickle",
        "global chance": "np.random.seed(0)",
        "global warnings": 'warnings.filterwarnings("ignore")',
    }
    for rule, example in examples.items():
        assert re.search(FORBIDDEN[rule], example)


def test_importing_feeds_changes_neither_warnings_nor_chance() -> None:
    """Third-party packages are loaded first: what they do on import is theirs."""
    modules = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in SOURCES]
    script = f"""
import random, warnings
import ale_py.vector_env, array_api_compat.torch, gymnasium, jaxtyping, numpy, polars, pydantic, scipy.stats, torch
before = list(warnings.filters), random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()
for name in {modules!r}:
    __import__(name)
after = list(warnings.filters), random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()
assert before == after, [one == other for one, other in zip(before, after)]
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
