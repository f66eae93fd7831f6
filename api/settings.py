"""What a server is started with: `meterhouse serve` gives it, one JSON text in the environment carries it."""

import ipaddress
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "METERHOUSE_SERVE"
"""The environment variable that `app.from_environment` reads."""

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

LOCK_FILE: Final = "server.lock"
"""Whoever uses a data folder holds this file of it."""


@dataclass(frozen=True)
class Settings:
    """How a server behaves; sizes in bytes, times in seconds, 0 for no limit unless it says otherwise."""

    data: str
    """Folder for the registry, the results and what is under way."""
    database: str = ""
    """URL of the registry; SQLite in `data` when empty."""
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    """Names under which the server may be addressed, beside its own address; "*" for any."""
    scenario: str = ""
    """The scenario to be run when the server starts: a file or a name."""
    sets: tuple[str, ...] = ()
    seed: int | None = None
    speed: float = 60.0
    """Pace of that run, simulated seconds a second; 0: as fast as possible."""
    fresh: bool = False
    """Whether it begins anew, though the data folder has one that could go on."""
    require_key: bool = False
    """Whether a key is needed on the loopback, too."""
    truth: bool = False
    """Whether whoever needs no key may look at the truth."""
    workers: int = 2
    """Batch runs at a time."""
    live: int = 8
    """Live runs at a time, and runs that are paused or held."""
    queue: int = 1000
    """Runs that may wait."""
    readers: int = 1
    """Processes that answer what is asked of facts."""
    rate: float = 0.0
    """Requests a second that a client may make in the long run."""
    burst: int = 200
    """Requests that it may make at once."""
    most_body: int = 1_000_000
    most_places: int = 200_000
    """Places of the grid of a store that may be sent."""
    time_limit_s: float = 3600.0
    """Clock time that a run may compute, unless it asks for less."""
    memory_limit_mb: int = 4096
    """Memory that a run may take, unless it asks for less."""
    answer_s: float = 30.0
    """Time that an answer about facts may take."""
    keep_days: float = 0.0
    """Age at which runs that are over are removed."""
    keep_gb: float = 0.0
    """Size of all results from which the oldest are removed."""
    log_requests: bool = False
    pretty_logs: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)

    @property
    def needs_key(self) -> bool:
        """Whether every request needs a key."""
        return self.require_key or not self.is_local

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def registry_url(self) -> str:
        """Where the registry is."""
        return self.database or f"sqlite:///{(self.folder / 'registry.db').absolute()}"

    def to_environment(self) -> None:
        """Hand the settings on to the server in this process."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> "Settings":
        """The settings that `to_environment` gave."""
        # Taken out: the address of a database may have a password, which no process needs that starts here.
        values: dict[str, Any] = json.loads(os.environ.pop(VARIABLE))
        for name in ("names", "sets"):
            values[name] = tuple(values[name])
        return cls(**values)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is one that only this machine reaches; of names only `localhost` is."""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
