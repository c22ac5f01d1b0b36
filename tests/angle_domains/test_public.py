"""`import angle_domains as ad`: light, without side effects, whole, and not to be fooled by foreign folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import angle_domains as ad

ROOT = Path(ad.__file__).parent.parent


def python(code: str, **rest: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **rest}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)


@pytest.mark.parametrize("name", ad.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ad, name) is not None
    assert name in dir(ad)


def test_names_are_typed_as_they_are_loaded() -> None:
    lines = Path(ad.__file__).read_text().splitlines()
    typed = {line.split()[-1]: line.split()[1] for line in lines if line.startswith("    from ")}
    assert typed == ad._HOME


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'PPPO'"):
        ad.PPPO


def test_importing_loads_nothing_heavy_and_changes_nothing() -> None:
    done = python(
        "import random, sys, warnings\n"
        "before = list(warnings.filters), random.getstate(), list(sys.path), list(sys.meta_path)\n"
        "import angle_domains\n"
        "assert before == (list(warnings.filters), random.getstate(), list(sys.path), list(sys.meta_path))\n"
        "assert not {'torch', 'mlflow', 'polars', 'numpy', 'gymnasium', 'pydantic', 'yaml'} & set(sys.modules)\n"
    )
    assert done.returncode == 0, done.stderr


def test_loading_everything_leaves_generators_and_filters_alone() -> None:
    done = python(
        "import random, warnings\n"
        "import matplotlib, mlflow, numpy, polars, torch, gymnasium, skfolio, arch.bootstrap, pandas\n"
        "import sklearn.covariance\n"  # draws a random number as it loads
        "def state():\n"
        "    kind, keys, *rest = numpy.random.get_state()\n"
        "    return random.getstate(), keys.tolist(), rest, torch.get_rng_state().tolist(), list(warnings.filters)\n"
        "before = state()\n"
        "import angle_domains as ad\n"
        "for name in ad.__all__:\n"
        "    getattr(ad, name)\n"
        "import angle_domains.tracking, angle_domains.evaluation.market, angle_domains.report.market\n"
        "assert state() == before\n"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["feeds", "envs", "metalearn"])
def test_a_foreign_folder_is_named(tmp_path: Path, package: str) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", "import angle_domains"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"ImportError: the folder {tmp_path / package} shadows the package '{package}'")


def test_a_folder_without_code_shadows_nothing(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import angle_domains"
    assert python(code).returncode == 0
