"""Real servers for tests: the command `meterhouse serve` in a process group of its own, on a free port."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from api.client import Client, Refused, Unreachable

ROOT = Path(__file__).resolve().parents[1]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Served:
    """A server under test: `client()` talks to it, `kill()` is kill -9 of all its processes."""

    def __init__(self, folder, *arguments, port=None, key=None, env=None):
        self.folder = Path(folder)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = key
        self.arguments = arguments
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.log_path = self.folder.parent / f"{self.folder.name}.log"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, *, wait=True):
        """Start the server, and wait until it is ready."""
        command = [sys.executable, "-m", "sim.cli", "serve", *self.arguments, "--port", str(self.port)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.folder)], cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, env=self.env,
            )  # fmt: skip
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s=60.0):
        """Wait until the server says that all is in order."""
        until = time.monotonic() + timeout_s
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()}")
            with contextlib.suppress(Refused, Unreachable, ValueError), self.client(patience_s=0.0) as client:
                if client.get("/ready")["ready"]:
                    return
            if time.monotonic() > until:
                raise AssertionError(f"the server is not ready after {timeout_s:g} s:\n{self.log()}")
            time.sleep(0.05)

    def client(self, **more):
        return Client(self.url, self.key, **more)

    def kill(self):
        """Kill -9 every process of the server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self._wait_gone()

    def _wait_gone(self):
        """The fork server and its children are of the same group: none of them is left."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.02)
        raise AssertionError("processes of the server are left")

    def stop(self):
        """Stop the server as a service manager would; gives the seconds that it took."""
        if self.process is None or self.process.poll() is not None:
            return 0.0
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        took = time.monotonic() - begin
        self._wait_gone()
        return took

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def log_lines(self):
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
