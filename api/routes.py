"""The routes: what can be asked and done over HTTP, each thin: look up, ask, answer.

Everything about the state of a run is a view (`views`) that a reader works out from facts; VIEWS_OVER_HTTP
says which, under which path, with which query. The rest is about runs, commands and what can be chosen.
"""

import asyncio
import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

from fastapi import Body, Header, Path, Query, Request
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from api import answers, asked, cursors, told
from api.problems import PROBLEMS, Problem, encoded, pointer
from api.registry import Answer, CommandRow, Idempotency, NewCommand, NewRun, Repeated, RunRow
from api.routing import new_router
from api.runs import Run, Runs, Static, Where
from api.security import ADMIN, READ, TRUTH, WRITE
from api.shell import principal_of
from sim.trace import MODEL_VERSION
from sim.words import dotted, near

T = TypeVar("T")

JSON: Final = "application/json"

RunName = Annotated[
    str,
    Path(
        description="a run, or `current`",
        pattern=r"^(current|r[1-9][0-9]{0,17})$",
        examples=["current", "r1"],
    ),
]
IdempotencyKey = Annotated[
    Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")] | SkipJsonSchema[None],
    Header(
        alias="Idempotency-Key",
        description="a text of the client's own: the same request sent again with it is done once",
    ),
]
IfNoneMatch = Annotated[
    str | SkipJsonSchema[None],
    Header(alias="If-None-Match", description="the ETag of what the client has: 304 when that is still so"),
]

_LOCATION: Final = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
_ETAG: Final = {"ETag": {"description": "This version of it.", "schema": {"type": "string"}}}

router = new_router()


# --- answers ---------------------------------------------------------------------------------------------


def runs_of(request: Request) -> Runs:
    """The runs of this server."""
    runs: Runs = request.app.state.runs
    return runs


def _answer(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(encoded(document), status, headers=dict(headers or {}), media_type=JSON)


def _as_known(etag: str, wanted: str | None) -> Response | None:
    """304 when a client has this version already."""
    if wanted is None:
        return None
    names = [name.strip().removeprefix("W/") for name in wanted.split(",")]
    if etag.removeprefix("W/") in names or "*" in names:
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache"})
    return None


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What can go wrong, for the document."""
    return {
        status: {
            "description": _WRONG[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemTold"}}},
        }
        for status in sorted({400, 401, 403, 405, 408, 413, 415, 421, 422, 429, 500, 503, *statuses})
    }


_WRONG: Final = {
    400: "The request cannot be read.",
    401: "An API key is required.",
    403: "The API key does not allow this.",
    404: "There is no such thing here.",
    405: "This cannot be done with that.",
    408: "The body came too slowly.",
    409: "The request has the right form and does not fit what is here.",
    412: "It has changed meanwhile.",
    413: "More than this server takes.",
    415: "The body must be JSON.",
    421: "This server is not known under that name.",
    422: "The request has not the form that is described here.",
    429: "More than is allowed at once.",
    500: "The server has failed.",
    503: "The server cannot do this at the moment.",
    507: "No room is left.",
}
_STATE_PROBLEMS: Final = _problems(404, 409, 507)
_ETAGGED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The client has this version already."}
}


def _ok(model: type[BaseModel] | None, sentence: str, **more: Any) -> dict[str, Any]:
    content = {} if model is None else {"model": model}
    return {"description": sentence, **content, **more}


# --- the state of a run ----------------------------------------------------------------------------------


class View(NamedTuple):
    """A view over HTTP: its path below a run, its name in `views.VIEWS`, query, answer and sentence."""

    path: str
    view: str
    query: type[asked.StateQuery]
    answer: type[BaseModel]
    sentence: str
    keys: tuple[str, ...] = ()
    """Names of the path's own parameters."""
    short: bool = False
    """Whether it is also there without a run, for the current one."""
    by: Literal["facts", "day", "time"] = "time"
    """What changes the answer: nothing but new facts; also every new day; or time itself."""


_KEYS: Final = {
    "slot": ("a slot by its name, row-column-level", "2-07-3"),
    "asset": ("the asset number of a meter, 22 digits", "9930001000000000000155"),
    "box": ("a box by its number, or the name of its stock list", "12"),
    "lot": ("a lot by its number, or the name of its stock list", "3"),
    "task": ("a task by its number", "7"),
    "robot": ("a robot by its number, from 0", "0"),
    "order": ("an order by its number", "2"),
    "count": ("a count by its number", "0"),
}


async def _state(
    request: Request,
    run_name: str,
    spec: View,
    query: asked.StateQuery,
    keys: Mapping[str, str],
    known: str | None,
) -> Response:
    """The answer of a view."""
    scopes = (READ, TRUTH) if query.view == "truth" else (READ,)
    principal_of(request.scope, *scopes)
    runs = runs_of(request)
    run = await runs.ready_run(run_name)
    await runs.commands_of(run)
    at_ms, now = None if query.at is None else round(query.at * 1000), run.where
    cursor = getattr(query, "cursor", None)

    def etag_of(where: Where, changes: int | None = None) -> str:
        if at_ms is not None and (at_ms < now.t_ms or run.is_over):
            return f'W/"{run.version_at(at_ms, changes)}"'
        return f'W/"{run.version(spec.by, where, changes)}"'

    is_there = not keys or (spec.view == "slot" and keys["slot"] in runs.slot_names(run))
    if cursor is None and is_there and (at_ms is None or at_ms <= now.t_ms):
        same = _as_known(etag_of(now), known)
        if same is not None:
            return same
    left_out = {"at", "view", "cursor", "limit", "after_seq"}
    filters = query.model_dump(exclude=left_out, mode="json") | dict(keys)
    if "task_class" in filters:
        filters["class"] = filters.pop("task_class")
    is_plain = at_ms is None and cursor is None and query.view == "records"
    etag = etag_of(run.where)
    if (
        is_plain
        and (text := _at_once(runs, run, spec, query, filters)) is not None
        and etag == etag_of(run.where)  # the run may have gone on meanwhile
    ):
        return Response(text, headers={"ETag": etag, "Cache-Control": "no-cache"}, media_type=JSON)
    asking = {**filters, "limit": getattr(query, "limit", None), "after": getattr(query, "after_seq", None)}
    of = {**filters, "w": query.view, **({"s": asking["after"]} if asking["after"] is not None else {})}
    mark = {"r": run.id, "v": spec.view, "h": cursors.mark(of)}
    where: Where | None = None
    if cursor is not None:
        found = cursors.decoded(cursor, mark, instant=True, after=str if spec.view == "meters" else int)
        where, at_ms, asking["after"] = Where(found["t"], found["f"]), None, found["a"]
    message = await runs.ask(run, spec.view, asking, where=where, at_ms=at_ms, side=query.view, cursor=mark)
    headers = {"Cache-Control": "no-cache"}
    if cursor is None:
        told_of = Where(message.head["t_ms"], message.head["facts"])
        headers["ETag"] = etag_of(told_of, message.head["changes"])  # those of before, if one came meanwhile
        if is_plain and spec.view == "slot":
            runs.keep_slot_text(run, keys["slot"], told_of, message.body)
        same = _as_known(headers["ETag"], known)
        if same is not None:
            return same
    return Response(message.body, headers=headers, media_type=JSON)


def _at_once(
    runs: Runs, run: Run, spec: View, query: asked.StateQuery, filters: Mapping[str, Any]
) -> bytes | None:
    """The answer when the board has it, or it was given at this instant before."""
    if (
        spec.view == "slots"
        and getattr(query, "limit", None) is None
        and all(v is None for v in filters.values())
    ):
        return runs.slots_text(run)
    return runs.slot_text(run, filters["slot"]) if spec.view == "slot" else None


def _handler(spec: View, *, short: bool) -> Callable[..., Awaitable[Response]]:
    """The function behind a path; its signature is what the document and the checks are made from."""

    async def handler(**values: Any) -> Response:
        keys = {key: values[key] for key in spec.keys}
        return await _state(
            values["request"],
            values.get("run", "current"),
            spec,
            values["query"],
            keys,
            values["if_none_match"],
        )

    def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    own = [
        parameter(
            key,
            Annotated[
                str,
                Path(
                    description=_KEYS[key][0], min_length=1, max_length=100, examples=[_KEYS[key][1]],
                    pattern=r"^[^\x00-\x1f\x7f/]+$",
                ),
            ],
        )
        for key in spec.keys
    ]  # fmt: skip
    signature = [
        parameter("request", Request),
        *([] if short else [parameter("run", RunName)]),
        *own,
        parameter("query", Annotated[spec.query, Query()]),
        parameter("if_none_match", IfNoneMatch, None),
    ]
    handler.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    handler.__name__ = f"{'current_' if short else ''}{spec.view}"
    handler.__doc__ = spec.sentence
    return handler


VIEWS_OVER_HTTP: Final[tuple[View, ...]] = (
    View("/slots", "slots", asked.SlotsQuery, answers.Slots,
         "Every slot: what stands in it, what is kept for boxes on their way, and what it is for put-aways.",
         short=True, by="facts"),
    View("/slots/{slot}", "slot", asked.StateQuery, answers.Slot,
         "One slot with the boxes in it.", ("slot",), short=True, by="day"),
    View("/slots/{slot}/history", "slot_history", asked.HistoryQuery, answers.SlotHistory,
         "What came to a slot and left it, and what was counted, held and blocked.", ("slot",), short=True),
    View("/racks", "racks", asked.RacksQuery, answers.Racks,
         "One value for each slot, in the order of the slots, by which to colour racks.", by="day"),
    View("/stock", "stock", asked.StockQuery, answers.Stock,
         "Stock by SKU, lot or zone: on hand, reserved, held, overdue, usable, on order; and what to act on.",
         short=True, by="day"),
    View("/meters", "meters", asked.MetersQuery, answers.Meters, "Meters by asset number.", short=True,
         by="day"),
    View("/meters/{asset}", "meter", asked.StateQuery, answers.Meter,
         "Where a meter is, and what it is.", ("asset",), short=True, by="day"),
    View("/meters/{asset}/history", "meter_history", asked.HistoryQuery, answers.MeterHistory,
         "Everything that happened to a meter.", ("asset",), short=True),
    View("/boxes", "boxes", asked.BoxesQuery, answers.Boxes, "Boxes by number.", short=True, by="day"),
    View("/boxes/{box}", "box", asked.StateQuery, answers.Box, "A box with its meters.", ("box",),
         short=True, by="day"),
    View("/boxes/{box}/history", "box_history", asked.HistoryQuery, answers.BoxHistory,
         "Everything that happened to a box.", ("box",), short=True),
    View("/lots", "lots", asked.LotsQuery, answers.Lots, "Lots by number.", by="day"),
    View("/lots/{lot}", "lot", asked.StateQuery, answers.Lot,
         "A lot: what is here of it, and how its recall goes.", ("lot",), by="day"),
    View("/lots/{lot}/history", "lot_history", asked.HistoryQuery, answers.LotHistory,
         "Everything that happened to a lot and its boxes.", ("lot",)),
    View("/tasks", "tasks", asked.TasksQuery, answers.Tasks, "Pieces of robot work by number."),
    View("/tasks/{task}", "task", asked.StateQuery, answers.Task, "A task and its life.", ("task",)),
    View("/robots", "robots", asked.StateQuery, answers.Robots,
         "Every robot: what it does, where, and until when."),
    View("/robots/{robot}", "robot", asked.StateQuery, answers.RobotAnswer,
         "A robot with its load, its battery and its last tasks.", ("robot",)),
    View("/robots/{robot}/history", "robot_history", asked.HistoryQuery, answers.RobotHistory,
         "What a robot did.", ("robot",)),
    View("/orders", "orders", asked.OrdersQuery, answers.Orders, "Orders by number."),
    View("/orders/{order}", "order", asked.StateQuery, answers.Order,
         "An order with its lines and the boxes promised to it.", ("order",)),
    View("/orders/{order}/history", "order_history", asked.HistoryQuery, answers.OrderHistory,
         "What happened to an order.", ("order",)),
    View("/counts", "counts", asked.CountsQuery, answers.Counts, "Counts by number."),
    View("/counts/{count}", "count", asked.StateQuery, answers.Count,
         "A count with what it found.", ("count",)),
    View("/kpis", "kpis", asked.StateQuery, answers.Kpis,
         "Every KPI as it stands, and what limits the store."),
    View("/events", "events", asked.EventsQuery, answers.Events,
         "Facts in the order of recording, as far as the records know them."),
    View("/search", "search", asked.SearchQuery, answers.Search,
         "Meters, boxes, slots, lots, orders and robots by a few characters."),
)  # fmt: skip

for _spec in VIEWS_OVER_HTTP:
    for _short in (False, True) if _spec.short else (False,):
        _path = _spec.path if _short else f"/runs/{{run}}{_spec.path}"
        router.add_api_route(
            _path,
            _handler(_spec, short=_short),
            methods=["GET"],
            summary=_spec.sentence,
            name=f"{'current_' if _short else ''}{_spec.view}",
            tags=["current run" if _short else "state of a run"],
            responses={200: _ok(_spec.answer, _spec.sentence, headers=_ETAG), **_ETAGGED, **_STATE_PROBLEMS},
        )


@router.get(
    "/runs/{run}/series",
    tags=["state of a run"],
    responses={200: _ok(told.SeriesTold, "The series."), **_STATE_PROBLEMS},
)
async def series(request: Request, run: RunName, query: Annotated[asked.SeriesQuery, Query()]) -> Response:
    """A figure over a stretch of the run's past, for a chart: the least and the greatest of each bucket."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    asked_run = await runs.ready_run(run)
    to_ms = None if query.to_s is None else round(query.to_s * 1000)
    from_ms = 0 if query.from_s is None else round(query.from_s * 1000)
    now_ms = asked_run.where.t_ms
    if from_ms > (now_ms if to_ms is None else min(to_ms, now_ms)):
        detail = f"expected `from` up to `to` and up to {now_ms / 1000:g} s, which the run has reached"
        raise Problem(409, "does-not-fit", detail, errors=[{"pointer": "/from", "detail": detail}])
    message = await runs.ask_else(
        asked_run, "series", name=query.name, from_ms=from_ms, to_ms=to_ms, points=query.points
    )
    return Response(message.body, headers={"Cache-Control": "no-cache"}, media_type=JSON)


@router.get(
    "/runs/{run}/tasks/{task}/why",
    tags=["state of a run"],
    responses={200: _ok(told.WhyTold, "The decisions."), **_STATE_PROBLEMS},
)
async def why(
    request: Request,
    run: RunName,
    task: Annotated[
        str,
        Path(description=_KEYS["task"][0], min_length=1, max_length=18, pattern="^[0-9]+$", examples=["7"]),
    ],
    query: Annotated[asked.WhyQuery, Query()],
) -> Response:
    """Why a task got its slot, its box and its robot, from what, and what else would have come of it."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    found = await runs.ready_run(run)
    message = await _while_wanted(request, runs.why(found, int(task), consequences=query.consequences))
    return Response(message.body, headers={"Cache-Control": "no-cache"}, media_type=JSON)


@router.get(
    "/runs/{run}/scenario",
    tags=["state of a run"],
    responses={200: _ok(told.ValuesTold, "The values."), **_STATE_PROBLEMS},
)
async def scenario_of_run(request: Request, run: RunName) -> Response:
    """Every value of a run's scenario: as it began, as it is now, and what commands have changed."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    message = await runs.ask_else(await runs.ready_run(run), "values")
    return Response(message.body, headers={"Cache-Control": "no-cache"}, media_type=JSON)


@router.get(
    "/runs/{run}/report",
    tags=["state of a run"],
    response_class=HTMLResponse,
    responses={200: {"description": "The report."}, **_STATE_PROBLEMS},
)
async def report(request: Request, run: RunName, query: Annotated[asked.ReportQuery, Query()]) -> Response:
    """The report of a run that is over: one HTML page with its answer, charts, KPIs and inputs."""
    principal_of(request.scope, *((READ, TRUTH) if query.view == "truth" else (READ,)))
    runs = runs_of(request)
    found = await runs.ready_run(run)
    if not found.is_over:
        detail = f"run {found.id} is {found.state}: there is a report when it is over"
        raise Problem(409, "conflict", detail)
    message = await _while_wanted(request, runs.report(found, query.view))
    headers = {
        "Cache-Control": "no-cache",
        "Content-Disposition": f'attachment; filename="{found.id}-report.html"',
    }
    return HTMLResponse(message.body, headers=headers)


async def _while_wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What costly work gives; it is given up when the client has gone."""
    working = asyncio.ensure_future(work)
    going = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, going}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Problem(503, "unavailable", "nobody waits for the answer any more")
        return working.result()
    finally:
        for task in (working, going):
            task.cancel()
        await asyncio.gather(working, going, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Ends when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


# --- runs ------------------------------------------------------------------------------------------------


@router.get("/runs", tags=["runs"], responses={200: _ok(told.RunsTold, "Runs."), **_problems(409)})
async def list_runs(request: Request, query: Annotated[asked.RunsQuery, Query()]) -> Response:
    """Runs, the newest first."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    mark = {"v": "runs", "h": cursors.mark(query.model_dump(exclude={"cursor", "limit"}))}
    before = None
    if query.cursor is not None:
        before = cursors.decoded(query.cursor, mark)["a"]
    chosen = [
        run
        for run in reversed(runs.all.values())
        if (before is None or run.row.number < before)
        and (query.state is None or run.state == query.state)
        and (query.scenario is None or run.row.scenario_name == query.scenario)
        and (query.mode is None or run.row.mode == query.mode)
    ]
    page = chosen[: query.limit]
    more = cursors.encoded({**mark, "a": page[-1].row.number}) if len(chosen) > len(page) else None
    return _answer({"runs": [told.run_told(run, runs, run.static) for run in page], "next": more})


@router.post(
    "/runs",
    status_code=202,
    tags=["runs"],
    responses={202: _ok(told.RunTold, "The run is taken in.", headers=_LOCATION), **_problems(404, 409, 507)},
)
async def start_run(
    request: Request, body: asked.RunBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a run: a batch run in its turn, a live run now. When this is answered it will not be lost."""
    principal = principal_of(request.scope, WRITE, *([ADMIN] if body.current else []))
    runs = runs_of(request)
    repeated = await _repeated(request, runs, principal.name, idempotency_key, body)
    if repeated is not None:
        return repeated
    _fits_mode(body)
    base: str | None
    if isinstance(body.scenario, str):
        base, values = body.scenario, {}
    else:
        values = dict(body.scenario)
        base = values.pop("extends", None)
    found = await _composed(runs, base, values, body.set, is_named=isinstance(body.scenario, str))
    speed = _speed(body.speed, body.mode)
    new = NewRun(
        name=body.name or found["name"],
        mode=body.mode,
        scenario_name=found["name"],
        scenario_id=found["scenario_id"],
        seed=found["seed"] if body.seed is None else body.seed,
        resolved=found["resolved"],
        model_version=MODEL_VERSION,
        end_ms=found["end_ms"],
        created_by=principal.name,
        state=_first_state(body.mode, body.state),
        speed=speed or None,
        time_limit_s=_least(body.limits.time_s, runs.settings.time_limit_s),
        memory_limit_mb=_least(body.limits.memory_mb, runs.settings.memory_limit_mb),
        keep=body.keep,
    )
    return await _taken_in(
        request, runs, new, Static.of(found), principal.name, idempotency_key, body, current=body.current
    )


async def _composed(
    runs: Runs, base: object, values: Mapping[str, Any], sets: Mapping[str, Any], *, is_named: bool
) -> dict[str, Any]:
    """A scenario that somebody sent, looked at by a reader; raises Problem with every mistake."""
    if base is not None and not isinstance(base, str):
        detail = "expected the name of a scenario"
        raise Problem(
            409, "does-not-fit", detail, errors=[{"pointer": "/scenario/extends", "detail": detail}]
        )
    question = {
        "op": "scenario",
        "base": base,
        "values": dict(values),
        "sets": dict(sets),
        "most_places": runs.settings.most_places,
    }
    try:
        message = await runs.readers.ask(question)
    except Problem as problem:
        problem.errors = [
            {"pointer": _place(error["path"], sets, is_named=is_named), "detail": error["detail"]}
            for error in problem.errors
        ]
        raise
    return message.head


def _place(path: Sequence[str | int], sets: Mapping[str, Any], *, is_named: bool) -> str:
    """Where in the body a mistake of a scenario was made."""
    text = dotted(tuple(path))
    for key in sorted(sets, key=len, reverse=True):
        is_key = text == key or list(path) == [key]
        if is_key or text.startswith((f"{key}.", f"{key}[")):
            rest = [] if is_key else path[key.count(".") + 1 :]
            return pointer(["set", key, *rest])
    if is_named and any(key.startswith(f"{text}.") for key in sets):
        return pointer(["set"])
    return pointer(["scenario", *([] if is_named else path)])


def _fits_mode(body: asked.RunBody | asked.BranchBody) -> None:
    if body.mode == "batch" and body.state == "paused":
        detail = "a batch run goes to its end: expected mode live for one that stands, found batch"
        raise Problem(409, "does-not-fit", detail, errors=[{"pointer": "/state", "detail": detail}])


def _first_state(mode: str, state: str) -> Any:
    return "queued" if mode == "batch" else state


def _speed(speed: Any, mode: str) -> float:
    """A wanted pace as a number, 0 for as fast as possible."""
    if speed is None:
        return 0.0 if mode == "batch" else 60.0
    return 0.0 if speed == "max" else float(speed)


def _least(wanted: Any, allowed: Any) -> Any:
    return min((value for value in (wanted, allowed) if value), default=None)


async def _repeated(
    request: Request, runs: Runs, principal: str, key: str | None, body: BaseModel
) -> Response | None:
    """The answer that the same request got before, if it had an idempotency key."""
    if key is None:
        return None
    from api.registry import Conflict

    try:
        stored = await runs.stored(runs.registry.idempotent, principal, key, _fingerprint(request, body))
    except Conflict as error:
        raise Problem(409, "conflict", str(error)) from None
    return None if stored is None else _again(stored)


def _again(stored: Answer) -> Response:
    return Response(
        stored.body, stored.status, headers={**stored.headers, "Idempotent-Replayed": "true"}, media_type=JSON
    )


def _fingerprint(request: Request, body: BaseModel) -> str:
    text = json.dumps(body.model_dump(mode="json", exclude_unset=True), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(f"{request.method} {request.url.path} {text}".encode()).hexdigest()


async def _taken_in(
    request: Request,
    runs: Runs,
    new: NewRun,
    static: Static,
    principal: str,
    key: str | None,
    body: BaseModel,
    *,
    current: bool = False,
    commands: tuple[NewCommand, ...] = (),
    inputs: Mapping[str, FilePath] | None = None,
) -> Response:
    """Store a run with the answer to its request, start it, and answer."""

    def answer(row: RunRow) -> Answer:
        run = Run(row)
        return Answer(202, {"Location": f"/runs/{row.id}"}, encoded(told.run_told(run, runs, static)))

    idempotency = None
    if key is not None:
        idempotency = Idempotency(principal, key, _fingerprint(request, body), answer)
    try:
        run = await runs.create(
            new, static, idempotency=idempotency, commands=commands, current=current, inputs=inputs
        )
    except Repeated as repeated:
        return _again(repeated.stored)
    return _answer(told.run_told(run, runs, static), 202, {"Location": f"/runs/{run.id}"})


@router.get(
    "/runs/{run}",
    tags=["runs"],
    responses={200: _ok(told.RunTold, "The run.", headers=_ETAG), **_ETAGGED, **_problems(404)},
)
async def get_run(request: Request, run: RunName, if_none_match: IfNoneMatch = None) -> Response:
    """A run: what it is, how far it has come, and how it ended."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    body, etag = await _told_run(runs, runs.get(run))
    return _as_known(etag, if_none_match) or Response(
        body, headers={"ETag": etag, "Cache-Control": "no-cache"}, media_type=JSON
    )


async def _told_run(runs: Runs, run: Run) -> tuple[bytes, str]:
    """A run as JSON text, and its ETag."""
    body = encoded(told.run_told(run, runs, await runs.static_of(run)))
    return body, f'"{hashlib.sha256(body).hexdigest()[:20]}"'


@router.patch(
    "/runs/{run}",
    tags=["runs"],
    responses={
        200: _ok(told.RunTold, "The run as it is then.", headers=_ETAG),
        **_problems(404, 409, 412, 507),
    },
)
async def change_run(request: Request, run: RunName, body: asked.RunPatch) -> Response:
    """Pause, go on, stop, step, or change the pace of a run; it is so when this is answered.

    With `If-Match` and the ETag of the run as the client knows it, 412 when the run is not so any more.
    """
    principal = principal_of(request.scope, WRITE)
    runs = runs_of(request)
    if body.current:
        principal.need(ADMIN)
    found = runs.get(run)
    await _unchanged(runs, found, request.headers.get("if-match"))
    changes = {name: getattr(body, name) for name in ("name", "keep") if getattr(body, name) is not None}
    if body.state is not None or body.speed is not None or body.step_s is not None:
        if body.state is not None and body.step_s is not None:
            detail = "expected a state or a step, found both"
            raise Problem(409, "does-not-fit", detail, errors=[{"pointer": "/step_s", "detail": detail}])
        await runs.steer(
            found,
            state=body.state,
            speed=None if body.speed is None else _speed(body.speed, "live"),
            step_ms=None if body.step_s is None else max(1, round(body.step_s * 1000)),
        )
    if changes:
        await runs.note(found, **changes)
    if body.current:
        await runs.make_current(found)
    told_body, etag = await _told_run(runs, found)
    return Response(told_body, headers={"ETag": etag, "Cache-Control": "no-cache"}, media_type=JSON)


async def _unchanged(runs: Runs, run: Run, if_match: str | None) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    _, etag = await _told_run(runs, run)
    if etag not in [name.strip() for name in if_match.split(",")]:
        raise Problem(412, "precondition-failed", f"run {run.id} is not as the client knows it: {etag}")


@router.delete(
    "/runs/{run}",
    status_code=204,
    tags=["runs"],
    responses={204: {"description": "It is gone."}, **_problems(404, 412, 507)},
)
async def delete_run(request: Request, run: RunName) -> Response:
    """Remove a run and all that it left; one that goes on, or waits, is broken off.

    With `If-Match` and the ETag of the run as the client knows it, 412 when the run is not so any more.
    """
    principal = principal_of(request.scope, WRITE)
    runs = runs_of(request)
    found = runs.get(run)
    if found.row.created_by != principal.name:
        principal.need(ADMIN)
    await _unchanged(runs, found, request.headers.get("if-match"))
    await runs.delete(found)
    return Response(status_code=204)


@router.post(
    "/runs/{run}/branch",
    status_code=202,
    tags=["runs"],
    responses={
        202: _ok(told.RunTold, "The branch is taken in.", headers=_LOCATION),
        **_problems(404, 409, 507),
    },
)
async def branch_run(
    request: Request, run: RunName, body: asked.BranchBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a run that is the same up to an instant, and different from then on."""
    principal = principal_of(request.scope, WRITE)
    runs = runs_of(request)
    repeated = await _repeated(request, runs, principal.name, idempotency_key, body)
    if repeated is not None:
        return repeated
    _fits_mode(body)
    parent = await runs.ready_run(run)
    if parent.row.model_version != MODEL_VERSION:
        raise Problem(
            409,
            "read-only",
            f"run {parent.id} is of model version {parent.row.model_version}, this is {MODEL_VERSION}",
        )
    now_ms = parent.where.t_ms
    at_ms = now_ms if body.at is None else round(body.at * 1000)
    if at_ms > now_ms:
        detail = f"expected a time up to {now_ms / 1000:g} s, which run {parent.id} has reached"
        detail += f", found {at_ms / 1000:g} s"
        raise Problem(409, "does-not-fit", detail, errors=[{"pointer": "/at", "detail": detail}])
    if body.set:
        await _examine_set(runs, parent, body.set)
    static = await runs.static_of(parent)
    log = await runs.branch_log(parent, at_ms)
    if body.set:
        log.append(
            NewCommand(type="set", args={"values": dict(body.set)}, created_by=principal.name, t_ms=at_ms)
        )
    row = parent.row
    new = NewRun(
        name=body.name or f"{row.name} from {at_ms / 1000:g} s",
        mode=body.mode,
        scenario_name=row.scenario_name,
        scenario_id=row.scenario_id,
        seed=row.seed,
        resolved=row.resolved,
        model_version=MODEL_VERSION,
        end_ms=row.end_ms,
        created_by=principal.name,
        state=_first_state(body.mode, body.state),
        speed=_speed(body.speed, body.mode) or None,
        parent=row.id,
        parent_t_ms=at_ms,
        time_limit_s=row.time_limit_s,
        memory_limit_mb=row.memory_limit_mb,
        keep=body.keep,
    )
    return await _taken_in(
        request, runs, new, static, principal.name, idempotency_key, body, commands=tuple(log),
        inputs=runs.inputs(parent),
    )  # fmt: skip


async def _examine_set(runs: Runs, run: Run, values: Mapping[str, Any]) -> None:
    try:
        await runs.examine(run, "set", {"values": dict(values)})
    except Problem as problem:
        problem.errors = [
            {**error, "pointer": error["pointer"].replace("/args/values", "/set", 1)}
            for error in problem.errors
        ]
        raise


# --- commands --------------------------------------------------------------------------------------------


@router.post(
    "/runs/{run}/commands",
    status_code=202,
    tags=["commands"],
    responses={
        202: _ok(told.CommandTold, "The command is in the log.", headers=_LOCATION),
        **_problems(404, 409, 507),
    },
)
async def send_command(
    request: Request,
    run: RunName,
    body: Annotated[asked.CommandBody, Body(discriminator="type")],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Send a command into a run. When this is answered it is in the run's log, not done: ask for it later."""
    principal = principal_of(request.scope, WRITE)
    runs = runs_of(request)
    repeated = await _repeated(request, runs, principal.name, idempotency_key, body)
    if repeated is not None:
        return repeated
    if body.apply_at is not None and body.expires_at is not None and body.expires_at < body.apply_at:
        detail = "expected an end not before `apply_at`"
        raise Problem(409, "does-not-fit", detail, errors=[{"pointer": "/expires_at", "detail": detail}])
    found = runs.get(run)
    if not found.is_over:
        found = await runs.ready_run(run) if found.row.state != "queued" else found
    args = body.args.model_dump(mode="json", exclude_unset=True)
    await runs.examine(found, body.type, args)
    new = NewCommand(
        type=body.type,
        args=args,
        created_by=principal.name,
        external_id=body.external_id,
        apply_at_ms=_ms(body.apply_at),
        expires_at_ms=_ms(body.expires_at),
        if_version=body.if_version,
    )
    static = await runs.static_of(found)

    def answer(row: CommandRow) -> Answer:
        return Answer(
            202, {"Location": f"/runs/{row.run}/commands/{row.id}"}, encoded(told.command_told(row, static))
        )

    idempotency = None
    if idempotency_key is not None:
        idempotency = Idempotency(principal.name, idempotency_key, _fingerprint(request, body), answer)
    try:
        row = await runs.command(found, new, idempotency=idempotency)
    except Repeated as repeated_:
        return _again(repeated_.stored)
    return _answer(told.command_told(row, static), 202, {"Location": f"/runs/{row.run}/commands/{row.id}"})


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


@router.get(
    "/runs/{run}/commands",
    tags=["commands"],
    responses={200: _ok(told.CommandsTold, "The log."), **_problems(404, 409)},
)
async def list_commands(
    request: Request, run: RunName, query: Annotated[asked.CommandsQuery, Query()]
) -> Response:
    """The command log of a run, by sequence."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    found = runs.get(run)
    mark = {"r": found.id, "v": "commands", "h": cursors.mark(query.model_dump(exclude={"cursor", "limit"}))}
    after = 0 if query.cursor is None else cursors.decoded(query.cursor, mark)["a"]
    static = await runs.static_of(found)
    chosen = [
        row
        for row in await runs.commands_of(found)
        if row.sequence > after
        and (query.state is None or row.state == query.state)
        and (query.type is None or row.type == query.type)
        and (query.external_id is None or row.external_id == query.external_id)
    ]
    page = chosen[: query.limit]
    more = cursors.encoded({**mark, "a": page[-1].sequence}) if len(chosen) > len(page) else None
    return _answer(
        {
            "run": found.id,
            "commands": [told.command_told(row, static) for row in page],
            "next": more,
        }
    )


@router.get(
    "/runs/{run}/commands/{command}",
    tags=["commands"],
    responses={200: _ok(told.CommandTold, "The command."), **_problems(404)},
)
async def get_command(
    request: Request,
    run: RunName,
    command: Annotated[
        str, Path(description="a command of the run", pattern=r"^c[1-9][0-9]{0,17}$", examples=["c1"])
    ],
) -> Response:
    """A command: accepted, then applied, rejected with a reason, or expired; when, and what it caused."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    found = runs.get(run)
    await runs.commands_of(found)
    row = found.commands.get(command)
    if row is None:
        raise Problem(404, "not-found", f"no command {command!r} of run {found.id}")
    return _answer(told.command_told(row, await runs.static_of(found)))


# --- allocation ------------------------------------------------------------------------------------------


@router.post(
    "/allocate",
    tags=["allocation"],
    responses={200: _ok(told.AllocateTold, "Slots in the order of the boxes."), **_STATE_PROBLEMS},
)
async def allocate(request: Request, body: asked.AllocateBody) -> Response:
    """Which slots boxes would get now, one after the other, without doing it."""
    principal_of(request.scope, READ)
    runs = runs_of(request)
    run = await runs.ready_run(body.run)
    static = await runs.static_of(run)
    numbers = {name: k for k, name in enumerate(static.skus)}
    boxes, mistakes = [], []
    for at, box in enumerate(body.boxes):
        sku = numbers.get(box.sku)
        if sku is None:
            mistakes.append(
                {
                    "pointer": f"/boxes/{at}/sku",
                    "detail": f"expected a SKU of run {run.id}{near(box.sku, numbers)}",
                }
            )
            continue
        day = -1 if box.verified_on is None else box.verified_on.toordinal()
        lot = -1 if box.lot is None else runs.lot_of(run, box.lot)
        boxes.append([sku, -1 if box.meters is None else box.meters, lot, day])
    if mistakes:
        raise Problem(409, "does-not-fit", "the boxes do not fit the run", errors=mistakes)
    head = await runs.allocate(run, boxes, body.policy)
    names = static.places
    times = head["port_times_ms"]
    return _answer(
        {
            "run": run.id,
            "t_s": head["t_ms"] / 1000,
            "time": static.time_at(head["t_ms"]),
            "facts": head["facts"],
            "view": "records",
            "policy": head["policy"],
            "slots": [
                {
                    "slot": None if slot < 0 else names[slot],
                    "column": None if slot < 0 else column + 1,
                    "port_time_s": None if slot < 0 else time / 1000,
                }
                for (slot, column), time in zip(head["slots"], times, strict=True)
            ],
        }
    )


# --- what can be chosen ----------------------------------------------------------------------------------


async def _catalogue(request: Request, part: str, name: str = "") -> Response:
    principal_of(request.scope, READ)
    message = await runs_of(request).readers.ask({"op": "catalogue", "part": part, "name": name})
    return Response(message.body, media_type=JSON, headers={"Cache-Control": "no-cache"})


@router.get(
    "/scenarios", tags=["choices"], responses={200: _ok(told.ScenariosTold, "Scenarios."), **_problems()}
)
async def list_scenarios(request: Request) -> Response:
    """The scenarios that ship, with the questions that they answer."""
    return await _catalogue(request, "scenarios")


@router.get(
    "/scenarios/{name}",
    tags=["choices"],
    responses={200: _ok(told.ScenarioTold, "The scenario."), **_problems(404)},
)
async def get_scenario(
    request: Request,
    name: Annotated[
        str, Path(description="a scenario that ships", pattern=r"^[a-z0-9_]{1,60}$", examples=["luoyang"])
    ],
) -> Response:
    """A scenario with all its values, and which file sets them."""
    return await _catalogue(request, "scenario", name)


@router.get(
    "/questions", tags=["choices"], responses={200: _ok(told.QuestionsTold, "Questions."), **_problems()}
)
async def list_questions(request: Request) -> Response:
    """The twenty questions that the studies answer, and what came of them."""
    return await _catalogue(request, "questions")


@router.get(
    "/scenario-schema",
    tags=["choices"],
    responses={
        200: {
            "description": "JSON Schema, draft 2020-12.",
            "content": {JSON: {"schema": {"type": "object", "additionalProperties": True}}},
        },
        **_problems(),
    },
)
async def scenario_schema(request: Request) -> Response:
    """The JSON Schema of a scenario, with unit, range, origin and sentence of every value."""
    return await _catalogue(request, "schema")


@router.get(
    "/policies", tags=["choices"], responses={200: _ok(told.PoliciesTold, "Policies."), **_problems()}
)
async def list_policies(request: Request) -> Response:
    """What can be chosen: rules of allocation, retrieval, dispatch and dwell, counting plans and methods."""
    return await _catalogue(request, "policies")


@router.get("/kpis", tags=["choices"], responses={200: _ok(told.KpisKnown, "KPIs."), **_problems()})
async def list_kpis(request: Request) -> Response:
    """Every KPI, what it is and in which unit."""
    return await _catalogue(request, "kpis")


@router.get(
    "/commands", tags=["choices"], responses={200: _ok(told.CommandsKnown, "Commands."), **_problems()}
)
async def list_command_kinds(request: Request) -> Response:
    """Every kind of command that a run takes."""
    return await _catalogue(request, "commands")


@router.get(
    "/problems", tags=["choices"], responses={200: _ok(told.ProblemsKnown, "Problems."), **_problems()}
)
async def list_problems(request: Request) -> Response:
    """Every kind of problem that an answer can be."""
    principal_of(request.scope, READ)
    return _answer({"problems": [{"name": name, "sentence": title} for name, title in PROBLEMS.items()]})


# --- the server itself -----------------------------------------------------------------------------------


@router.get(
    "/health", tags=["server"], responses={200: _ok(told.HealthTold, "The process answers."), **_problems()}
)
async def health(request: Request) -> Response:
    """Whether the process answers."""
    return _answer({"status": "ok", "version": request.app.version, "model_version": MODEL_VERSION})


@router.get(
    "/ready",
    tags=["server"],
    responses={
        200: _ok(told.ReadyTold, "All is in order."),
        **_problems(),
        503: _ok(told.ReadyTold, "Not all is in order."),
    },
)
async def ready(request: Request) -> Response:
    """Whether the database, its schema, the readers and the runs of before are in order."""
    checks = await runs_of(request).checks()
    is_ready = all(check["ok"] for check in checks)
    return _answer({"ready": is_ready, "checks": checks}, 200 if is_ready else 503)


@router.get(
    "/metrics",
    tags=["server"],
    response_class=PlainTextResponse,
    responses={200: {"description": "Figures."}, **_problems()},
)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    principal_of(request.scope, READ)
    await request.app.state.before_metrics()
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
