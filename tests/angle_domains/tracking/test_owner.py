import os
import platform
import subprocess
import sys
from dataclasses import replace

from angle_domains.tracking.owner import Owner


def test_this_process_lives_and_survives_text() -> None:
    owner = Owner.current()
    assert not owner.dead()
    assert Owner.parse(str(owner)) == owner
    assert Owner.parse("somebody else's tag") is None


def test_a_number_that_another_process_has_now_is_dead() -> None:
    assert replace(Owner.current(), started="1").dead()


def test_a_process_before_the_last_boot_is_dead() -> None:
    assert replace(Owner.current(), boot="another").dead()


def test_a_process_of_another_machine_is_left_alone() -> None:
    assert not replace(Owner.current(), host=f"not-{platform.node()}", pid=1, started="1").dead()


def test_a_process_that_ended_is_dead_even_before_its_parent_looks() -> None:
    code = "from angle_domains.tracking.owner import Owner; print(Owner.current(), flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as process:
        assert process.stdout is not None
        owner = Owner.parse(process.stdout.readline().strip())
        assert owner is not None
        assert not owner.dead()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert owner.dead()
    assert owner.dead()
