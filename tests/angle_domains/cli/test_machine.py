"""What a process asks of the machine: once, early, and never against what the user set."""

import subprocess
import sys

import pytest

_TELL = """
import os
from angle_domains.cli.machine import settle
settle()
print(os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY"))
"""
_FAULTS = """
import resource, sys
import numpy as np
from angle_domains.cli.machine import keep_memory
if sys.argv[1] == "kept" and not keep_memory():
    raise SystemExit("no glibc")
def update():
    np.empty(40 << 20, np.uint8).fill(1)  # more than glibc ever keeps by itself
for _ in range(3):
    update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    update()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(code: str, *arguments: str, **env: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env, timeout=60)
    if "no glibc" in done.stderr:
        pytest.skip("this system has another C library")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_wait_a_little_unless_the_user_says_how():
    assert _run(_TELL) == "10000 PASSIVE"
    assert _run(_TELL, OMP_WAIT_POLICY="ACTIVE") == "None ACTIVE"
    assert _run(_TELL, GOMP_SPINCOUNT="5") == "5 PASSIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults as Linux does")
def test_memory_of_one_update_serves_the_next():
    assert int(_run(_FAULTS, "given back")) > 1_000
    assert int(_run(_FAULTS, "kept")) < 100


def test_ctrl_c_while_libraries_load_is_a_sentence() -> None:
    stopped = (
        "import builtins, sys\n"
        "from angle_domains.cli import main\n"
        "known = builtins.__import__\n"
        "def stop(name, *rest):\n"
        "    if name == 'angle_domains.cli.app':\n"
        "        raise KeyboardInterrupt\n"
        "    return known(name, *rest)\n"
        "builtins.__import__ = stop\n"
        "sys.exit(main(['train']))\n"
    )
    done = subprocess.run([sys.executable, "-c", stopped], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (130, "error: interrupted before anything began")
