"""What the commands `serve`, `key` and `data` do; the command line knows it by its name only."""

import asyncio
import contextlib
import errno
import logging
import os
import re
import shutil
import signal
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from api.keys import make_key
from api.problems import Problem
from api.registry import NewRun, Registry, RegistryError, RunRow, Unavailable
from api.runs import OVER, to_clear
from api.settings import LOCK_FILE
from api.settings import Settings as Settings
from api.settings import is_loopback as is_loopback
from sim.words import near, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from api.logs import Log
    from api.runs import Runs
    from api.shell import App, Receive, Scope, Send
    from sim.scenario import Loaded

BACKLOG: Final = 1024
"""Connections that may wait to be accepted."""

FOLDER: Final = "data"
"""The setting of a registry apart that names the data folder that goes with it."""

_OF_RUN: Final = re.compile(r"\.?(r[1-9][0-9]{0,17})(\..*)?", re.ASCII)
"""What a folder of a run is called, also while it comes into being."""


def serve(settings: Settings, *, certificate: Path | None = None, key: Path | None = None) -> None:
    """Serve until a signal says to stop; raises RegistryError for what has to be mended first."""
    import uvicorn

    _check_certificate(certificate, key)
    with _deaf():
        listening = check_start(settings)
    resource_tracker.ensure_running()  # when it begins it opens the ears again
    with contextlib.closing(listening), _deaf():  # until it has started: `_Start`
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        settings.to_environment()
        start = _Start()
        config = uvicorn.Config(
            start.app(), interface="asgi3", host=settings.host, port=settings.port, http="httptools",
            loop="asyncio", log_config=None, access_log=False, server_header=False, timeout_keep_alive=15,
            timeout_graceful_shutdown=3, ws_per_message_deflate=False, ws_max_size=65_536, lifespan="on",
            proxy_headers=False, backlog=BACKLOG, ssl_certfile=certificate, ssl_keyfile=key,
        )  # fmt: skip
        try:
            with _log_of_others(settings):
                uvicorn.Server(config).run(sockets=[listening])
        except SystemExit:
            start.tell()
            raise


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Let Ctrl-C wait. An import may lose it, and processes that begin with the server must not hear it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Start:
    """The start of the application, and what kept it from it."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def app(self) -> "App":
        """The application."""
        from api.app import from_environment

        shell = from_environment()

        def app(scope: "Scope", receive: "Receive", send: "Send") -> "Awaitable[None]":
            if scope["type"] == "lifespan":
                return self._live(shell, scope, receive, send)
            return shell(scope, receive, send)

        return app

    async def _live(self, shell: "App", scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def sending(message: Any) -> None:
            if message["type"].startswith("lifespan.startup"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            # Why is told by `tell`; here it would be a traceback.
            await send({**message, "message": ""} if message["type"].endswith(".failed") else message)

        try:
            await shell(scope, receive, sending)
        except BaseException as error:
            self._error = error
            raise

    def tell(self) -> None:
        """Raise what kept the application from starting, in words if it has any."""
        error = self._error
        if isinstance(error, Problem):
            lines = [f"{each['pointer']}: {each['detail']}" for each in error.errors] or [error.detail]
            raise RegistryError([f"serve: {line}" for line in lines]) from error
        if isinstance(error, Unavailable):
            raise RegistryError([f"serve: {error}"]) from error
        if error is not None:
            raise error


class _Told(logging.Handler):
    """What libraries have to say, as lines of the server's own log."""

    def __init__(self, log: "Log") -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage().strip()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._log.failure("library", error, by=record.name, words=words)
        else:
            self._log.warning("library", by=record.name, words=words)


@contextlib.contextmanager
def _log_of_others(settings: Settings) -> Iterator[None]:
    """Take what libraries log into the server's log."""
    from api.logs import Log

    told = _Told(Log(pretty=settings.pretty_logs))
    logging.getLogger().addHandler(told)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(told)


def check_start(settings: Settings) -> socket.socket:
    """The socket to listen on; raises what would keep a server from starting, while nothing is made yet."""
    from sim.scenario import load

    if settings.scenario:
        load(settings.scenario, settings.sets)
    listening = _listen(settings)
    try:
        _check_folder(settings)
    except BaseException:
        listening.close()
        raise
    return listening


def _check_folder(settings: Settings) -> None:
    """Have the data folder and the registry there, or raise RegistryError and leave nothing that is new."""
    from api.app import lock_folder

    if (settings.folder / LOCK_FILE).exists():  # in use comes first: nobody changes the schema of another
        os.close(lock_folder(settings.folder))
    url = settings.registry_url
    file = url.removeprefix("sqlite:///")
    is_new = file not in (url, "", ":memory:") and not Path(file).exists()
    if is_new:
        _check_keys(settings, has_key=False)
    if settings.database or not is_new:
        with _opened(url) as registry:
            _check_keys(settings, has_key=_has_key(registry))
    os.close(lock_folder(settings.folder))
    with _opened(url) as registry:
        if settings.database:
            registry.set_setting(FOLDER, str(settings.folder.resolve()))


def _check_keys(settings: Settings, *, has_key: bool) -> None:
    if settings.needs_key and not has_key:
        where = f"--data {settings.data}" if not settings.database else "--database ..."
        make = f"make one with `meterhouse key create NAME --scope runs:read {where}`"
        option = "--require-key" if settings.require_key else f"--host {settings.host}"
        raise RegistryError([f"{option}: expected an API key in the registry, found none: {make}"])


def _has_key(registry: Registry) -> bool:
    now = datetime.now(UTC)
    return any(
        row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
        for row in registry.keys()  # noqa: SIM118 - not a dict
    )


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Registry]:
    """A registry; raises RegistryError also when it goes away while it is used."""
    try:
        with Registry(url) as registry:
            yield registry
    except Unavailable as error:
        place = Registry(url).place
        raise RegistryError([f"{place}: expected a registry that can be used, found: {error}"]) from error


def _check_certificate(certificate: Path | None, key: Path | None) -> None:
    """Raise RegistryError for a certificate that nothing can be served with."""
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise RegistryError(
            ["--ssl-certfile: expected a certificate together with --ssl-keyfile, found one of them"]
        )
    for option, path in (("--ssl-certfile", certificate), ("--ssl-keyfile", key)):
        try:
            path.read_bytes()
        except OSError as error:
            reason = (error.strerror or "an error").lower()
            raise RegistryError([
                f"{option}: expected a file that can be read, found {printable(str(path))!r}: {reason}"
            ]) from None  # fmt: skip
    try:
        # Without a text for the passphrase it would be asked for on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, "")
    except OSError as error:
        names = f"{printable(str(certificate))!r} and {printable(str(key))!r}"
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            line = f"--ssl-keyfile: expected the key of the certificate, found that of another: {names}"
        else:
            wanted = "expected a certificate and its key, in PEM and without a passphrase"
            line = f"--ssl-certfile: {wanted}, found {names}"
        raise RegistryError([line]) from None


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, answers are not held back for the client to acknowledge their heads.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)  # now: two could be bound to a port, and only one may listen on it
    except (OSError, UnicodeError) as error:
        listening.close()
        reason = str(getattr(error, "strerror", None) or "no address").lower()
        if getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES):
            line = f"--port {settings.port}: expected a port that is free, found: {reason}"
        else:
            line = f"--host {printable(settings.host)}: expected an address of this machine, found: {reason}"
        raise RegistryError([line]) from None
    return listening


# --- the run that the server is for ----------------------------------------------------------------------


async def own_run(settings: Settings, runs: "Runs", log: "Log") -> None:
    """Go on with the last run of the server's scenario, or begin one."""
    from api.runs import Static
    from sim.scenario import load, resolved, scenario_id
    from sim.trace import MODEL_VERSION

    loaded = await asyncio.to_thread(load, settings.scenario, settings.sets)
    name = scenario_id(loaded.scenario)
    seed = loaded.scenario.seed if settings.seed is None else settings.seed
    last = next(
        (
            run for run in reversed(runs.all.values())
            if (run.row.scenario_id, run.row.seed, run.row.mode) == (name, seed, "live") and not run.is_over
        ),
        None,
    )  # fmt: skip
    if last is not None and not settings.fresh:
        await runs.make_current(last)
        log.info("run goes on", run=last.id, t_s=last.row.t_ms / 1000, speed=last.row.speed or "max")
        return
    values = resolved(loaded.scenario)
    files = _renamed_files(loaded, values)
    answer = await runs.readers.ask({"op": "describe", "resolved": values, "inputs": ""})
    new = NewRun(
        name=loaded.scenario.name, mode="live", scenario_name=loaded.scenario.name, scenario_id=name,
        seed=seed, resolved=values, model_version=MODEL_VERSION, end_ms=answer.head["end_ms"],
        created_by="serve",
        state="running", speed=settings.speed or None, time_limit_s=None,
        memory_limit_mb=settings.memory_limit_mb or None,
    )  # fmt: skip
    await runs.create(new, Static.of(answer.head), inputs=files, current=True)


def _renamed_files(loaded: "Loaded", values: dict[str, Any]) -> dict[str, Path]:
    """The files of a scenario by the names under which they are kept; its values then have these."""
    kept = {}
    for path, file in loaded.files().items():
        section, key = path.split(".")
        name = f"{section}-{key}{file.suffix}"
        values[section][key] = name
        kept[name] = file
    return kept


# --- keys ------------------------------------------------------------------------------------------------


def create_key(url: str, name: str, scopes: Sequence[str], days: float | None) -> dict[str, Any]:
    """Make a key and store its hash; the text is in the answer and nowhere else."""
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    text, row = make_key(name, scopes, expires)
    with _opened(url) as registry:
        registry.add_key(row)
    return {
        "key": text,
        "id": row.id,
        "name": row.name,
        "scopes": list(row.scopes),
        "expires_at": _iso(expires),
    }


def list_keys(url: str) -> list[dict[str, Any]]:
    """Every key, without its text, which nobody knows."""
    with _opened(url) as registry:
        rows = registry.keys()
    now = datetime.now(UTC)
    return [
        {
            "id": row.id, "name": row.name, "scopes": list(row.scopes), "created_at": _iso(row.created_at),
            "expires_at": _iso(row.expires_at), "revoked_at": _iso(row.revoked_at),
            "state": "revoked" if row.revoked_at is not None
            else "expired" if row.expires_at is not None and row.expires_at <= now else "good",
        }
        for row in rows
    ]  # fmt: skip


def revoke_key(url: str, name: str) -> dict[str, Any]:
    """Revoke a key by its id."""
    from api.registry import NotFound

    with _opened(url) as registry:
        try:
            row = registry.revoke_key(name)
        except NotFound:
            ids = [key.id for key in registry.keys()]  # noqa: SIM118 - not a dict
            raise RegistryError(
                [f"key: expected one of {', '.join(ids) or 'none at all'}, found {name!r}{near(name, ids)}"]
            ) from None
    return {"id": row.id, "name": row.name, "revoked_at": _iso(row.revoked_at)}


# --- data ------------------------------------------------------------------------------------------------


def list_data(url: str, folder: Path) -> dict[str, Any]:
    """The runs of a data folder with their sizes, and how much all of it is."""
    with _opened(url) as registry:
        _check_belongs(registry, folder)
        rows, current = registry.runs(), registry.setting("current")
    runs = [
        {
            "run": row.id, "name": row.name, "state": row.state, "scenario": row.scenario_name,
            "simulated_s": row.t_ms / 1000, "facts": row.facts, "created_at": _iso(row.created_at),
            "ended_at": _iso(row.ended_at), "bytes": _bytes_of(folder, row.id), "keep": row.keep,
            "current": row.id == current,
        }
        for row in rows
    ]  # fmt: skip
    return {
        "data": str(folder), "runs": runs, "bytes": sum(run["bytes"] for run in runs),
        "strays": [_shown(path) for path in strays(folder, rows)],
    }  # fmt: skip


def clean_data(
    url: str, folder: Path, *, names: Sequence[str] = (), keep_days: float = 0.0, keep_gb: float = 0.0,
    dry: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Remove runs that are over: those named, those too old, or the oldest until the rest is small enough.

    A run that goes on, waits, is the current one or is to be kept is never touched; neither is anything while
    a server uses the folder. Files of runs that are not in the registry any more go as well.
    """
    from api.app import lock_folder

    if not folder.is_dir():
        raise RegistryError(
            [f"--data: expected the folder of a server, found none under {printable(str(folder))!r}"]
        )
    with _opened(url) as registry:
        _check_belongs(registry, folder)
        with _held(lock_folder(folder)):
            rows, current = registry.runs(), registry.setting("current") or ""
            _refuse(names, {row.id: row for row in rows}, current)
            sized = [_with_size(row, folder) for row in rows]
            gone = [*names, *to_clear(sized, current, datetime.now(UTC), keep_days, keep_gb)]
            gone = list(dict.fromkeys(gone))
            freed = sum(_bytes_of(folder, name) for name in gone)
            stray = strays(folder, rows)
            freed += sum(_bytes_in(path) for path in stray)
            if not dry:
                for name in gone:
                    registry.delete_run(name)
                    for path in _folders(folder, name):
                        shutil.rmtree(path, ignore_errors=True)
                for path in stray:
                    shutil.rmtree(path, ignore_errors=True)
    return {"removed": gone, "strays": [_shown(path) for path in stray], "bytes": freed, "dry": dry}


@contextlib.contextmanager
def _held(lock: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(lock)


def _check_belongs(registry: Registry, folder: Path) -> None:
    """Raise RegistryError when a registry that stands apart goes with another data folder."""
    known = registry.setting(FOLDER)
    if known is not None and known != str(folder.resolve()):
        wanted = f"expected the folder that goes with the registry, {printable(known)!r}"
        raise RegistryError([f"--data: {wanted}, found {printable(str(folder))!r}"])


def _refuse(names: Iterable[str], rows: dict[str, RunRow], current: str) -> None:
    lines = []
    for name in names:
        row = rows.get(name)
        if row is None:
            lines.append(f"run: expected one of this folder, found {printable(name)!r}{near(name, rows)}")
        elif row.state not in OVER:
            lines.append(f"run: expected one that is over, found {name}, which is {row.state}")
        elif name == current:
            lines.append(f"run: expected another than the current one, found {name}")
        elif row.keep:
            lines.append(f"run: expected one that is not to be kept, found {name}")
    if lines:
        raise RegistryError(lines)


def strays(folder: Path, rows: Iterable[RunRow]) -> list[Path]:
    """Folders of runs that are not in the registry: what a crash in the middle of removing has left."""
    known = {row.id for row in rows}
    found = [
        (path, _OF_RUN.fullmatch(path.name))
        for part in ("runs", "work", "inputs") if (folder / part).is_dir()
        for path in sorted((folder / part).iterdir())
    ]  # fmt: skip
    return [path for path, match in found if match is not None and match[1] not in known]


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _folders(folder: Path, run: str) -> list[Path]:
    return [folder / part / run for part in ("runs", "work", "inputs")]


def _bytes_of(folder: Path, run: str) -> int:
    return sum(_bytes_in(path) for path in _folders(folder, run))


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _with_size(row: RunRow, folder: Path) -> RunRow:
    from dataclasses import replace

    return replace(row, size_bytes=_bytes_of(folder, row.id))


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
