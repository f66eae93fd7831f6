"""The application: FastAPI's routes in their shell, with the runs of a data folder behind them.

`from_environment` makes one for uvicorn out of what `meterhouse serve` has left in the environment.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from api import document, live, routes, webpages
from api.logs import Log
from api.metrics import Figures, Metrics
from api.problems import Problem, pointer
from api.processes import Nursery, Readers
from api.quick import Quick
from api.registry import Registry, RegistryError
from api.runs import Runs
from api.security import Keyring
from api.settings import Settings
from api.shell import Shell
from sim.words import show

MOST_MISTAKES: Final = 100
"""So many mistakes of one request are told."""

_LOCK: Final = "server.lock"


class Server:
    """One server: the application in its shell, and what stands behind it."""

    def __init__(self, settings: Settings, *, log: Log | None = None) -> None:
        self.settings = settings
        self.log = log or Log(pretty=settings.pretty_logs)
        self.metrics = Metrics()
        self.keyring = Keyring(settings)
        self.app = self._application()
        self.shell = Shell(self.app, settings, self.keyring, self.metrics, self.log)
        self._lock: int | None = None
        self._accuracy: tuple[float, dict[str, float]] = (0.0, {})

    def _application(self) -> FastAPI:
        app = FastAPI(
            title="meterhouse",
            summary="A robotic store for electricity meters, simulated: slots, stock, assets, live runs.",
            description=document.DESCRIPTION,
            version=version("meterhouse"),
            license_info={"name": "MIT"},
            lifespan=self._lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            openapi_tags=document.TAGS,
        )
        for part in (routes.router, live.router, document.router, webpages.router):
            app.router.routes.extend(part.routes)  # one flat list: a router within is looked through twice
        app.add_exception_handler(Problem, _problem)
        app.add_exception_handler(RequestValidationError, _invalid)
        app.add_exception_handler(HTTPException, _http_problem)
        app.add_exception_handler(Exception, _failure)
        needs_key = self.settings.needs_key
        app.openapi = lambda: document.openapi(app, needs_key=needs_key)  # type: ignore[method-assign]
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        settings = self.settings
        self._lock = lock_folder(settings.folder)
        registry = Registry(settings.registry_url)
        await asyncio.to_thread(registry.open)
        nursery = Nursery()
        readers = Readers(nursery, settings.readers, settings.answer_s, self.log)
        runs = Runs(settings, registry, nursery, readers, self.log)
        app.state.runs, app.state.metrics, app.state.log = runs, self.metrics, self.log
        app.state.before_metrics = self._look_at_records
        self.runs = runs
        try:
            await readers.start()
            self.keyring.learn(await runs.stored(registry.keys))
            self.shell.refresh = self._refresh_keys
            self.metrics.watch(self._figures)
            await runs.start()
            if settings.scenario:
                await self._start_own()
            self.shell.quick = Quick(runs)
            self.log.info(
                "server ready", host=settings.host, port=settings.port, data=str(settings.folder),
                runs=len(runs.all), current=runs.current,
            )  # fmt: skip
            yield
        finally:
            self.log.info("server stopping")
            await live.close_all(app)
            await runs.stop()
            await asyncio.to_thread(registry.close)
            os.close(self._lock)
            self.log.info("server stopped")

    async def _refresh_keys(self) -> None:
        """Read the keys again; while the registry is out of reach those that are known count."""
        self.keyring.read_at = time.monotonic()
        with contextlib.suppress(Problem):
            self.keyring.learn(await self.runs.stored(self.runs.registry.keys))

    async def _start_own(self) -> None:
        """The server's own run: the last one of its scenario goes on, else a new one begins."""
        from api.serve import own_run

        await own_run(self.settings, self.runs, self.log)

    # -- figures

    async def _look_at_records(self) -> None:
        """How much of the current run's records is right, looked at every few seconds at most."""
        runs = self.runs
        then, _ = self._accuracy
        run = runs.all.get(runs.current)
        if time.monotonic() - then < 5.0 or run is None or not run.ready.is_set() or not run.where.facts:
            return
        with contextlib.suppress(Problem):
            message = await runs.ask_else(run, "accuracy")
            self._accuracy = time.monotonic(), message.head["accuracy"]

    def _figures(self) -> Figures:
        runs = self.runs
        by_state: dict[tuple[tuple[str, str], ...], float] = {
            (("state", name),): float(number) for name, number in runs.counts().items()
        }
        pace, queue = 0.0, float(len(runs.queue))
        for run in runs.all.values():
            shown = run.shown if run.row.state == "running" and run.ready.is_set() else None
            pace += 0.0 if shown is None else shown.head["reached"] / 1000
        found: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], float]] = {
            ("meterhouse_runs", "Runs by state."): by_state,
            ("meterhouse_runs_queued", "Runs that wait for a worker."): {(): queue},
            ("meterhouse_simulated_seconds_per_second", "Pace of all runs together."): {(): pace},
            ("meterhouse_runs_restoring", "Runs that are being rebuilt."): {(): float(runs.restoring)},
            ("meterhouse_readers", "Processes that answer about facts."): {(): float(runs.readers.alive)},
            ("meterhouse_registry_up", "Whether the registry can be used."): {(): float(not runs.trouble)},
        }
        current = runs.all.get(runs.current)
        shown = None if current is None or not current.ready.is_set() else current.shown
        if shown is not None and current is not None and current.static is not None:
            places = sum(current.static.capacity)
            boxes = float(shown.slots["boxes"].sum())
            found["meterhouse_slot_occupancy", "Share of box places taken, current run, on record."] = {
                (): boxes / places if places else 0.0
            }
            found["meterhouse_open_orders", "Orders not handed over, current run."] = {
                (): float(shown.head["open_orders"])
            }
        if self._accuracy[1]:
            found["meterhouse_record_accuracy", "Share whose record equals the truth, current run."] = {
                (("of", name),): value for name, value in self._accuracy[1].items()
            }
        return found


def from_environment() -> Shell:
    """The server that `meterhouse serve` wants, for uvicorn."""
    return Server(Settings.from_environment()).shell


def lock_folder(folder: Path) -> int:
    """Make a data folder and keep it for this process; raises RegistryError when another has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = (error.strerror or "an error").lower()
        raise RegistryError(
            [f"--data: expected a folder that can be used, found {str(folder)!r}: {reason}"]
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        os.close(handle)
        by = f" by process {pid}" if pid.isdigit() else ""
        raise RegistryError(
            [f"--data: expected a folder that no server uses, found {str(folder)!r} in use{by}"]
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


# --- what is no success ----------------------------------------------------------------------------------


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.url.path[:300])


async def _failure(request: Request, _: Exception) -> Response:
    """A bug of ours; the shell logs it."""
    failed = Problem(500, "internal", "the server has failed; its log says why")
    return failed.response(request.url.path[:300])


async def _invalid(request: Request, error: Exception) -> Response:
    """A request that has not the form that the document describes."""
    assert isinstance(error, RequestValidationError)
    mistakes = list(error.errors())
    if any(mistake["loc"][:1] == ("path",) for mistake in mistakes):
        name = next(mistake["loc"][-1] for mistake in mistakes if mistake["loc"][:1] == ("path",))
        return Problem(404, "not-found", f"there is no such {name}").response(request.url.path[:300])
    if any(mistake["type"] == "json_invalid" for mistake in mistakes):
        return Problem(400, "bad-request", "expected JSON").response(request.url.path[:300])
    errors = _errors(mistakes, error.body)
    detail = errors[0]["detail"] if len(errors) == 1 else f"{len(errors):,} mistakes"
    return Problem(422, "invalid", detail, errors=errors[:MOST_MISTAKES]).response(request.url.path[:300])


def _errors(mistakes: Sequence[dict[str, Any]], body: object) -> list[dict[str, str]]:
    """Mistakes as a client reads them: one entry a place, whatever was tried there.

    What may be left out is tried as null as well, and what may be of several kinds as each of them.
    """
    told: dict[str, list[str]] = {}
    for mistake in mistakes:
        if mistake["type"] != "none_required":
            words = told.setdefault(_place(mistake, body), [])
            if (text := _words(mistake)) not in words:
                words.append(text)
    return [{"pointer": place, "detail": ", or ".join(words)[:500]} for place, words in told.items()]


def _place(mistake: dict[str, Any], body: object) -> str:
    """Where a mistake is, a JSON pointer into the body, or the name in a query or header."""
    where, *loc = mistake["loc"]
    kind: str = mistake["type"]
    if where != "body":
        return pointer(loc[:1])
    kept: list[str | int] = []
    value = body
    for part in loc:  # between the names stands what was tried
        if _has(value, part):
            value = value[part]  # type: ignore[index]
        elif not (part == loc[-1] and kind == "missing"):
            continue
        kept.append(part)
    if kind.startswith("union_tag"):
        kept.append("type")
    if kind == "null":
        kept.append(mistake["ctx"]["name"])
    return pointer(kept)


def _has(value: object, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _words(mistake: dict[str, Any]) -> str:
    kind, message = mistake["type"], mistake["msg"]
    if kind == "extra_forbidden":
        return "expected no such name"
    if kind == "missing":
        return "expected a value, found none"
    if kind == "union_tag_invalid":
        return f"expected {mistake['ctx']['expected_tags']}, found {show(mistake['ctx']['tag'])}"
    if kind == "union_tag_not_found":
        return "expected a value, found none"
    text = message.replace("Input should be ", "expected ", 1)
    if not text.startswith("expected "):
        text = f"expected another value: {message[:1].lower()}{message[1:]}"
    return text if "found" in text else f"{text}, found {show(mistake['input'])}"


async def _http_problem(request: Request, error: Exception) -> Response:
    """What the framework itself refuses."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:300]
    if error.status_code == 405:
        allowed = allowed_methods(request)
        detail = f"expected {' or '.join(allowed)}, found {request.method[:20]}"
        return Problem(405, "method-not-allowed", detail, headers={"Allow": ", ".join(allowed)}).response(
            path
        )
    if error.status_code == 404:
        return Problem(
            404, "not-found", "there is nothing under this path; /docs lists what there is"
        ).response(path)
    kinds = {400: "bad-request", 413: "too-large", 415: "unsupported-media-type"}
    return Problem(
        error.status_code,
        kinds.get(error.status_code, "internal"),
        str(error.detail)[:300],
        headers=error.headers,
    ).response(path)


def allowed_methods(request: Request) -> list[str]:
    """Every method that some route has under a path; the framework tells those of the first one only."""
    found: set[str] = set()
    for route in (*routes.router.routes, *document.router.routes, *webpages.router.routes):
        match, _ = route.matches({**request.scope, "type": "http"})
        if match != Match.NONE:
            found |= set(getattr(route, "methods", None) or ())
    if "GET" in found:
        found.add("HEAD")
    return sorted(found)
