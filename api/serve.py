"""What the commands `serve`, `key` and `data` do; the command line knows it by its name only."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.keys import make_key
from api.registry import NewRun, Registry, RegistryError, RunRow
from api.runs import OVER, to_clear
from api.settings import LOOPBACK as LOOPBACK
from api.settings import Settings as Settings
from sim.words import near, printable

if TYPE_CHECKING:
    from api.logs import Log
    from api.runs import Runs
    from sim.scenario import Loaded


def serve(settings: Settings, *, certificate: Path | None = None, key: Path | None = None) -> None:
    """Serve until a signal says to stop; raises RegistryError for what has to be mended first."""
    import uvicorn

    check_start(settings)
    if (certificate is None) != (key is None):
        raise RegistryError(
            ["--ssl-certfile: expected a certificate together with --ssl-keyfile, found one of them"]
        )
    listening = _listen(settings)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings.to_environment()
    config = uvicorn.Config(
        "api.app:from_environment", factory=True, host=settings.host, port=settings.port, http="httptools",
        loop="asyncio", log_config=None, access_log=False, server_header=False, timeout_keep_alive=15,
        timeout_graceful_shutdown=3, ws_per_message_deflate=False, ws_max_size=65_536, lifespan="on",
        proxy_headers=False, backlog=1024, ssl_certfile=None if certificate is None else str(certificate),
        ssl_keyfile=None if key is None else str(key),
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


def check_start(settings: Settings) -> None:
    """Raise what would keep a server from starting, while it can still be said in a line."""
    from api.app import lock_folder
    from sim.scenario import load

    if settings.scenario:
        load(settings.scenario, settings.sets)
    os.close(lock_folder(settings.folder))
    with Registry(settings.registry_url) as registry:
        if settings.needs_key and not _living_keys(registry):
            where = f"--data {settings.data}" if not settings.database else "--database ..."
            make = f"make one with `meterhouse key create NAME --scope runs:read {where}`"
            option = "--require-key" if settings.require_key else f"--host {settings.host}"
            raise RegistryError([f"{option}: expected an API key in the registry, found none: {make}"])


def _living_keys(registry: Registry) -> bool:
    now = datetime.now(UTC)
    return any(
        row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
        for row in registry.keys()  # noqa: SIM118 - not a dict
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, answers are not held back for the client to acknowledge their heads.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        reason = (error.strerror or "an error").lower()
        raise RegistryError(
            [f"--port {settings.port}: expected a port that is free, found: {reason}"]
        ) from None
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
        log.info("run goes on", run=last.id, t_s=last.row.t_ms / 1000)
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
    with Registry(url) as registry:
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
    with Registry(url) as registry:
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

    with Registry(url) as registry:
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
    with Registry(url) as registry:
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
        "strays": [path.name for path in strays(folder, rows)],
    }  # fmt: skip


def clean_data(
    url: str, folder: Path, *, names: Sequence[str] = (), keep_days: float = 0.0, keep_gb: float = 0.0,
    dry: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Remove runs that are over: those named, those too old, or the oldest until the rest is small enough.

    A run that goes on, waits or is the current one is never touched; neither is anything while a server uses
    the folder. Files of runs that are not in the registry any more go as well.
    """
    from api.app import lock_folder

    lock = lock_folder(folder)
    try:
        with Registry(url) as registry:
            rows, current = registry.runs(), registry.setting("current") or ""
            by_id = {row.id: row for row in rows}
            _refuse(names, by_id, current)
            sized = [_with_size(row, folder) for row in rows]
            gone = [*names, *to_clear(sized, current, datetime.now(UTC), keep_days, keep_gb)]
            gone = list(dict.fromkeys(gone))
            freed = sum(_bytes_of(folder, name) for name in gone)
            stray = strays(folder, rows)
            if not dry:
                for name in gone:
                    registry.delete_run(name)
                    for path in _folders(folder, name):
                        shutil.rmtree(path, ignore_errors=True)
                for path in stray:
                    shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
    return {"removed": gone, "strays": [path.name for path in stray], "bytes": freed, "dry": dry}


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
    if lines:
        raise RegistryError(lines)


def strays(folder: Path, rows: Iterable[RunRow]) -> list[Path]:
    """Folders of runs that are not in the registry: what a crash in the middle of removing has left."""
    known = {row.id for row in rows}
    return [
        path
        for part in ("runs", "work", "inputs") if (folder / part).is_dir()
        for path in sorted((folder / part).iterdir())
        if path.name.strip(".").partition(".")[0] not in known
    ]  # fmt: skip


def _folders(folder: Path, run: str) -> list[Path]:
    return [folder / part / run for part in ("runs", "work", "inputs")]


def _bytes_of(folder: Path, run: str) -> int:
    total = 0
    for path in _folders(folder, run):
        for file in path.rglob("*"):
            with contextlib.suppress(OSError):
                total += file.stat().st_size if file.is_file() else 0
    return total


def _with_size(row: RunRow, folder: Path) -> RunRow:
    from dataclasses import replace

    return replace(row, size_bytes=_bytes_of(folder, row.id))


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
