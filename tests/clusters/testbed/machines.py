"""Simulated machines: network namespaces, or this machine alone without root.

In a separate namespace each has its own 127.0.0.1, where a task manager finds the worker pool of
its machine and no other. They share this machine's file system, as a cluster shares its storage.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Machine:
    """A machine of a cluster.

    Args:
        address: its address in the cluster.
        prefix: the first words of a command that runs there.
        bind_address: the address that its processes listen at.
        outside: the address at which it reaches processes of this machine.
    """

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    bind_address: str = "127.0.0.1"
    outside: str = "127.0.0.1"

    def command(self, *words: str) -> list[str]:
        """Return a command as it is run on this machine."""
        return [*self.prefix, *words]


def can_make_machines() -> bool:
    """Return whether network namespaces can be made here: it takes Linux, root and `ip`."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"shardmill-{os.getpid()}-try"
    made = _try("ip", "netns", "add", name)
    return made and _try("ip", "netns", "delete", name)


@contextmanager
def open_machines(count: int) -> Iterator[Sequence[Machine]]:
    """Yield machines on a separate network while the block runs; if none can be made, this one."""
    if not can_make_machines():
        yield [Machine()]
        return
    own = os.getpid() % 256
    bridge = f"shardmill{own}"
    with ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_try, "ip", "link", "delete", bridge)
        _ip("address", "add", f"{_address(own, 1)}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        yield [_add(bridge, own, number, stack) for number in range(2, 2 + count)]


def _add(bridge: str, own: int, number: int, stack: ExitStack) -> Machine:
    """Add a namespace that a pair of virtual network cards joins to the bridge."""
    name, here, there = f"shardmill-{own}-{number}", f"mill{own}h{number}", f"mill{own}t{number}"
    address = _address(own, number)
    _ip("netns", "add", name)
    stack.callback(_try, "ip", "netns", "delete", name)
    _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
    _ip("link", "set", here, "master", bridge, "up")
    _ip("-n", name, "address", "add", f"{address}/24", "dev", there)
    _ip("-n", name, "link", "set", there, "up")
    _ip("-n", name, "link", "set", "lo", "up")
    # Whatever address a process listens at, only these machines reach it.
    return Machine(
        address, ("ip", "netns", "exec", name), bind_address="0.0.0.0", outside=_address(own, 1)
    )


def _address(own: int, number: int) -> str:
    return f"10.213.{own}.{number}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _try(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
