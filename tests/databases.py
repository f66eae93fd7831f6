"""Databases for tests: a SQLite file, and a PostgreSQL server that is thrown away at the end.

METERHOUSE_TEST_PG_URL names a server to use instead, whose user may create databases. Where there is none, tests
that need it are skipped, and under CI they fail. A test module takes the fixtures by name, as `test_registry`
does; the server of a process is started once, when the first test asks for it.
"""

import atexit
import contextlib
import itertools
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

from api.registry import registry_url

_numbers = itertools.count(1)


class Postgres:
    """A PostgreSQL server of our own on the loopback, for as long as the process lives.

    With `durable`, what is committed is on the disk, as in earnest; without it is much quicker.
    """

    def __init__(self, programs: Path, *, durable: bool) -> None:
        self._programs = programs
        # Not in TMPDIR: the path of a socket has room for a hundred characters.
        self._folder = Path(tempfile.mkdtemp(prefix="meterhouse-pg-", dir="/tmp"))
        atexit.register(self._remove)
        self._as: dict = {}
        if os.geteuid() == 0:  # the server refuses root
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.port = _free_port()
        options = [f"-p {self.port}", f"-k {self._folder}", "-c listen_addresses=127.0.0.1"]
        if not durable:
            options += ["-c fsync=off", "-c full_page_writes=off"]
        self._options = " ".join(options)
        self._run("initdb", "-U", "meterhouse", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://meterhouse@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", self._options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends its connections first, `immediate` is as if it had crashed."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, "-D", self._folder / "data", *arguments],
            check=True,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=90,
            **self._as,
        )

    def _remove(self) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    """Below those that systems give to clients: while the server is stopped, one of them could get it."""
    for port in random.sample(range(15_000, 32_000), 100):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port in a hundred")


@cache
def _own_server(*, durable: bool) -> Postgres | None:
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(found, key=lambda path: int(path.parts[4]), default=None)
    return None if newest is None else Postgres(newest.parent, durable=durable)


def _missing(what: str) -> NoReturn:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


def own_server(*, durable: bool) -> Postgres:
    """The server of this process that may be stopped and started."""
    server = _own_server(durable=durable)
    if server is None:
        _missing("no PostgreSQL server under /usr/lib/postgresql: apt-get install -y postgresql")
    return server


def _create(address: str) -> tuple[str, str]:
    """An empty database on the server at an address: its name and its address."""
    try:
        import psycopg
    except ImportError:
        _missing("no psycopg: pip install 'meterhouse[postgres]'")
    name = f"meterhouse_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return name, urlsplit(address)._replace(path=f"/{name}").geturl()


@contextlib.contextmanager
def postgres_database(server: Postgres | None = None) -> Iterator[str]:
    """The URL of an empty database, gone afterwards; without a server on the one that all tests share."""
    address = os.environ.get("METERHOUSE_TEST_PG_URL") if server is None else server.url()
    address = (address or own_server(durable=False).url()).replace("postgresql+psycopg:", "postgresql:")
    name, url = _create(address)
    try:
        yield url
    finally:
        import psycopg

        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        yield registry_url(tmp_path)
        return
    with postgres_database() as url:
        yield url


@pytest.fixture
def durable_postgres() -> Iterator[tuple[Postgres, str]]:
    """A server whose disk is as slow as it must be, that a test may stop and start, and a database on it."""
    server = own_server(durable=True)
    with postgres_database(server) as url:
        yield server, url
