"""Servers under test seen from outside: their processes, what they come to, and a program that is a little other."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.servers import ROOT, Served


def processes_of(server):
    """Those that live in the session of a server, which it began: workers, readers, and whoever leads a group."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group, session = stat.read_text().rpartition(")")[2].split()[:4]
            if session == str(server.process.pid) and state not in "ZX":
                found[int(stat.parent.name)] = int(group)
    return found


def wait_for_processes(server, wanted, timeout_s=30.0):
    """Wait until `wanted` says of the processes of a server that they are right, and give them."""
    until = time.monotonic() + timeout_s
    while not wanted(found := processes_of(server)):
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found


def wait_until(is_so, timeout_s=30.0):
    """Wait until something is so, and give what it is."""
    until = time.monotonic() + timeout_s
    while not (found := is_so()):
        assert time.monotonic() < until, "it has not come to be so"
        time.sleep(0.02)
    return found


def kill_readers(server):
    """Kill every process that answers: forked as the workers are, not nicer than the server, and without children."""
    killed, nice = 0, os.getpriority(os.PRIO_PROCESS, server.process.pid)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            children = (process / "task" / process.name / "children").read_text().split()
            is_ours = int(fields[2]) == server.process.pid and int(fields[16]) == nice
            if is_ours and not children and b"forkserver" in (process / "cmdline").read_bytes():
                os.kill(int(process.name), 9)
                killed += 1
    return killed


class Altered(Served):
    """A server under test whose program is changed before it begins, by a line of Python."""

    def __init__(self, folder, *arguments, change, **more):
        super().__init__(folder, *arguments, **more)
        self.change = change

    def start(self, *, wait=True):
        text = f"import sys, api.runs\n{self.change}\nfrom sim.cli import main\nsys.exit(main())"
        command = [sys.executable, "-c", text, "serve", *self.arguments, "--port", str(self.port)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.folder)], cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        if wait:
            self.wait_ready()
        return self
