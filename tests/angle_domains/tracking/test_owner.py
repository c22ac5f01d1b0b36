import os
import platform
import subprocess
import sys
from dataclasses import replace

import pytest

from angle_domains.tracking import owner as module
from angle_domains.tracking.owner import Owner


def test_this_process_lives_and_survives_text() -> None:
    owner = Owner.current()
    assert not owner.dead()
    assert Owner.parse(str(owner)) == owner
    assert Owner.parse("somebody else's tag") is None


def test_a_number_that_another_process_has_now_is_dead() -> None:
    assert replace(Owner.current(), started="1").dead()


@pytest.mark.parametrize(("namespace", "dead"), [(module._MACHINE, True), ("", True), ("pid:[4026532771]", False)])
def test_a_process_before_the_last_boot_is_dead_unless_it_may_be_of_another_machines_container(
    namespace: str, dead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_namespace", lambda: namespace)
    assert replace(Owner.current(), boot="another").dead() == dead


@pytest.mark.parametrize("ours", [module._MACHINE, "pid:[4026532771]", ""])
def test_a_process_of_another_container_is_left_alone(ours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number is another process here (one that started at another time), or none at all."""
    monkeypatch.setattr(module, "_namespace", lambda: ours)
    gone = replace(Owner.current(), pid=2**22 + 1)
    assert gone.dead()
    for other in (gone, replace(Owner.current(), started="1"), replace(Owner.current(), boot="another")):
        assert not replace(other, namespace="pid:[4026532999]").dead()


@pytest.mark.skipif(not module._NAMESPACE.is_symlink(), reason="this system has no namespaces of processes")
def test_the_namespace_is_the_one_of_this_process() -> None:
    assert Owner.current().namespace == os.readlink(f"/proc/{os.getpid()}/ns/pid")


def test_the_older_form_without_a_namespace_is_read_and_proves_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Owner.parse("trainer|4194305|1|boot")
    assert old == Owner("trainer", 4194305, "1", "boot")
    monkeypatch.setattr(module, "_namespace", lambda: "pid:[4026532771]")
    assert not replace(Owner.current(), pid=old.pid, namespace="").dead()


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
