"""One wheel, whole: built, installed outside the checkout, and used from another folder."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = ("angle_domains", "feeds", "envs", "metalearn")
LICENCES = {
    "LICENSE": "Apache License",
    "feeds/data/icu_sepsis/LICENSE": "MIT License",
    "feeds/data/mimic4demo_vaso/LICENSE": "Open Database License",
    "feeds/data/synth_vaso/LICENSE": "Apache License",
}


@dataclass(frozen=True)
class Installed:
    """An environment that holds our wheel; what we depend on lies behind it on the import path."""

    home: Path
    folder: Path  # where commands run

    @property
    def site(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.home)}))

    def run(self, *words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        command = [str(self.home / "bin" / words[0]), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=kept)
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    def python(self, code: str) -> str:
        return self.run("python", "-W", "error", "-c", code).stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("environment")
    venv = Installed(home, tmp_path_factory.mktemp("elsewhere"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    # a plain path: the .pth files that lie there, the checkout's own among them, are not read again
    (venv.site / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv


def test_the_wheel_holds_four_packages_their_data_and_the_configurations(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
    assert tops == {*PACKAGES, info, "_angle_domains_startup.py", "angle_domains.pth"}
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(tracked.stdout.split()) <= names
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {f"angle_domains/_configs/market/{agent}.yaml" for agent in ("ppo", "a2c")} <= names
    assert f"{info}/licenses/LICENSE" in names
    assert not any("__pycache__" in name for name in names)


def test_the_licences_of_code_and_data_are_told(wheel: Path) -> None:
    info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
    with zipfile.ZipFile(wheel) as packed:
        told = packed.read(f"{info}/METADATA").decode().partition("\n\n")[0].splitlines()
        texts = {name: packed.read(f"{info}/licenses/{name}").decode() for name in LICENCES}
    assert "License-Expression: Apache-2.0 AND MIT AND ODbL-1.0" in told
    assert {line.removeprefix("License-File: ") for line in told if line.startswith("License-File: ")} == set(LICENCES)
    for name, words in LICENCES.items():
        assert words in texts[name]


def test_what_is_imported_comes_from_the_wheel(installed: Installed) -> None:
    for package in PACKAGES:
        assert Path(installed.python(f"import {package}; print({package}.__file__)")).is_relative_to(installed.site)


def test_gymnasium_makes_our_environments_without_an_import_of_ours(installed: Installed) -> None:
    shape = installed.python(
        "import gymnasium\n"
        "env = gymnasium.make('angle_domains/Market-v0', path='synthetic-brownian')\n"
        "envs = gymnasium.make_vec('angle_domains/Market-v0', num_envs=3, path='synthetic-brownian')\n"
        "observation, _ = envs.reset(seed=1)\n"
        "print(observation.shape == (3, *env.observation_space.shape), type(env.unwrapped).__module__)\n"
    )
    assert shape == "True envs.feed_env"


def test_the_data_that_come_along_are_read_from_the_wheel(installed: Installed, wheel: Path) -> None:
    heights = installed.python(
        "from feeds.clinical.process import clinician, exact_value\n"
        "from feeds.data import icu_sepsis, mimic4demo_vaso, synth_vaso\n"
        "print(icu_sepsis.load().height, mimic4demo_vaso.load().height, synth_vaso.load(3).height > 3)\n"
        "print(round(exact_value(clinician()), 5))\n"
    )
    assert heights.split() == ["50795", "3761", "True", "0.78184"]
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("icu_sepsis", "mimic4demo_vaso", "synth_vaso"):
        assert {
            f"feeds/data/{folder}/{name}" for name in ("LICENSE", "CITATION", "DATASHEET.md", "schema.yaml")
        } <= names


def test_gymnasium_loads_undisturbed_beside_a_foreign_folder(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import gymnasium\n"
        "gymnasium.make('CartPole-v1').reset(seed=0)\n"
        "print('angle_domains' in sys.modules or any(key.startswith('angle') for key in gymnasium.registry))\n"
    )
    assert installed.python(code) == "False"


def test_starting_an_interpreter_loads_next_to_nothing(installed: Installed) -> None:
    code = "import sys; print(*sorted({'typing', 'importlib.util', 'angle_domains', 'gymnasium'} & set(sys.modules)))"
    assert installed.python(code) == ""


def test_the_command_works_from_another_folder(installed: Installed) -> None:
    shown = installed.run("angle-domains", "configs", "show", "--feed", "market", "--agent", "ppo").stdout
    assert str(installed.site / "angle_domains" / "_configs" / "market" / "ppo.yaml") in shown.splitlines()[0]
    assert yaml.safe_load(shown)["agent"]["name"] == "ppo"
    listed = installed.run("angle-domains", "configs").stdout
    assert {"market/ppo", "market/a2c"} <= set(listed.split())
    refused = installed.run("angle-domains", "train", "--feed", "markt", "--agent", "ppo", ok=False)
    assert refused.returncode == 2
    assert "did you mean 'market'?" in refused.stderr


@pytest.mark.slow
def test_it_trains_from_another_folder(installed: Installed) -> None:
    words = "train --feed market --agent ppo --steps 2048 --streams 8 --name tiny --device cpu"
    sets = ("feed.path=synthetic-brownian", "feed.splits.validation_from=null", "feed.splits.test_from=null")
    done = installed.run("angle-domains", *words.split(), *(word for text in sets for word in ("--set", text)))
    run = installed.folder / "runs" / "tiny"
    assert str(run / "report.html") in done.stdout
    assert (run / "report.html").is_file()
    assert (installed.folder / "runs" / "mlflow.db").is_file()
    assert (run / "best" / "manifest.json").is_file()
    told = installed.run("angle-domains", "play", "--checkpoint", "tiny").stdout
    assert len(told.splitlines()) > 100


def test_every_dependency_has_an_exact_version_and_torch_any_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {normal(text.split(">")[0].split("<")[0].strip()) for text in wanted}
    assert names <= {normal(name) for name in pinned}
    assert pinned["torch"] == "2.13.0"
    assert not any("+" in version for version in pinned.values())


def normal(name: str) -> str:
    return name.lower().replace("_", "-")
