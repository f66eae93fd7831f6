"""Live state: a WebSocket that first tells how the store stands, then ten times a second what has changed.

One broadcaster a run, as long as somebody looks: it reads the board, makes a frame once and puts the same
text into every viewer's queue. A viewer that does not keep up misses frames and is told to ask for the whole
again; nothing ever waits for a browser. The wire is described in docs/http.md.
"""

import asyncio
import contextlib
import json
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from api.board import STATES, Shown
from api.problems import Problem
from api.routing import new_router
from api.runs import Where
from api.security import READ
from api.shell import principal_of
from sim.facts import ACTIVITIES, NONE

if TYPE_CHECKING:
    from api.metrics import Metrics
    from api.runs import Run, Runs, Static

FRAME_S: Final = 0.1
"""Between two frames."""

FIGURES_S: Final = 0.5
"""How often the figures beside the racks are worked out."""

BEAT_S: Final = 1.0
"""A run that stands is heard of so often."""

QUEUE: Final = 20
"""Frames that may wait for a viewer."""

POINTS: Final = 600
"""Points of each line of a chart in the first message."""

CHARTS: Final = (
    "occupancy", "queue", "boxes_in_per_h", "boxes_out_per_h", "lead_time_p50_s", "lead_time_p90_s",
    "lead_time_p95_s", "robot_utilisation",
)  # fmt: skip

MOST_VIEWERS: Final = 500

router = new_router()


class Broadcaster:
    """The viewers of one run, and what they are sent."""

    def __init__(self, run: "Run", runs: "Runs", static: "Static") -> None:
        self.run = run
        self.runs = runs
        self.static = static
        self.viewers: dict[WebSocket, asyncio.Queue[str | None]] = {}
        self.sequence = 0
        self._last: Shown | None = None
        self._figures: dict[str, Any] = {}
        self._figures_sent: dict[str, Any] = {}
        self._figures_of: Where | None = None
        self._sent_at = 0.0
        self._told = ""
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Send frames from now on."""
        self._tasks = [
            asyncio.ensure_future(self._send_frames()),
            asyncio.ensure_future(self._keep_figures()),
        ]

    def end(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        for queue in self.viewers.values():
            _replace(queue, None)

    async def snapshot(self) -> str:
        """The whole state as a message, with the numbers of the frame before it."""
        run, static = self.run, self.static
        slots = run.static.slots if run.static is not None else 0
        points = await self._points()
        await self._work_out_figures()
        shown = run.shown  # only now: frames that were made meanwhile are thrown away, and are in it
        head = self._head(shown)
        return json.dumps(
            {
                "snapshot": {
                    "run": run.id,
                    "name": run.row.name,
                    "scenario": run.row.scenario_name,
                    "start": static.start.isoformat(),
                    "end_s": static.end_ms / 1000,
                    "slots": [
                        {
                            "slot": name,
                            "row": grid[0],
                            "column": grid[1],
                            "level": grid[2],
                            "capacity": capacity,
                        }
                        for name, grid, capacity in zip(
                            static.places[:slots], static.grid, static.capacity, strict=True
                        )
                    ],
                    "fill": [] if shown is None else shown.slots["boxes"].tolist(),
                    "flags": [] if shown is None else shown.slots["flags"].tolist(),
                    "activities": list(ACTIVITIES),
                    "points": points,
                },
                **head,
                "s": [],
                "r": self._robots(shown),
                "k": self._figures,
            },
            ensure_ascii=False,
            allow_nan=False,
        )

    async def _points(self) -> dict[str, Any]:
        where = self.run.where
        if where.t_ms <= 0:
            return {}
        message = await self.runs.ask_else(
            self.run, "charts", names=list(CHARTS), from_ms=0, to_ms=where.t_ms, points=POINTS
        )
        found: dict[str, Any] = json.loads(message.body)
        return found

    async def _keep_figures(self) -> None:
        """Work the figures out again and again, as long as the run moves."""
        while True:
            with contextlib.suppress(Problem):
                await self._work_out_figures()
            await asyncio.sleep(FIGURES_S)

    async def _work_out_figures(self) -> None:
        """The figures of this instant, if those that are there are of another."""
        where = self.run.where
        if where == self._figures_of:
            return
        message = await self.runs.ask_else(self.run, "figures", where=where)
        self._figures, self._figures_of = json.loads(message.body), where

    async def _send_frames(self) -> None:
        while True:
            await asyncio.sleep(FRAME_S)
            text = self._frame()
            if text is not None:
                self.pass_on(text)

    def pass_on(self, text: str) -> None:
        """Give a frame to every viewer; one that has not kept up is told to ask for the whole again."""
        for queue in self.viewers.values():
            if queue.full():
                _replace(queue, '{"resync":1}')
            else:
                queue.put_nowait(text)

    def _frame(self) -> str | None:
        """What has changed since the last frame; None when nothing has, but for a sign of life a second."""
        shown = self.run.shown
        head = self._head(shown)
        last, now = self._last, time.monotonic()
        is_still = (
            last is not None and shown is not None and shown.head["facts"] == last.head["facts"]
            and shown.head["t_ms"] == last.head["t_ms"] and head["state"] == self._told
        )  # fmt: skip
        if (is_still or shown is None) and now - self._sent_at < BEAT_S:
            return None
        changed: list[list[int]] = []
        if shown is not None:
            since = -1 if last is None else last.head["facts"]
            columns = shown.slots
            at = (columns["changed"] > since).nonzero()[0]
            rows = zip(at.tolist(), columns["boxes"][at].tolist(), columns["flags"][at].tolist(), strict=True)
            changed = [[slot, boxes, flags] if flags else [slot, boxes] for slot, boxes, flags in rows]
        self._last, self._sent_at, self._told = shown, now, head["state"]
        self.sequence += 1
        frame = {**head, "seq": self.sequence, "s": changed, "r": self._robots(shown)}
        if self._figures is not self._figures_sent:
            frame["k"] = self._figures_sent = self._figures
        return json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    def _head(self, shown: Shown | None) -> dict[str, Any]:
        run = self.run
        where = run.where if shown is None else Where(shown.head["t_ms"], shown.head["facts"])
        state: str = run.row.state
        if not run.ready.is_set():
            state = "restoring"
        elif shown is not None and not run.is_over and STATES[shown.head["state"]] in ("running", "paused"):
            state = STATES[shown.head["state"]]
        return {
            "seq": self.sequence, "t": where.t_ms / 1000, "ts": time.time_ns() // 1_000_000, "state": state,
            "speed": 0.0 if shown is None else shown.head["reached"] / 1000,
            "want": None if run.row.speed is None else run.row.speed, "facts": where.facts,
        }  # fmt: skip

    def _robots(self, shown: Shown | None) -> list[list[Any]]:
        """Of each robot: column, level, row, load, activity; then its stretch, to draw it smoothly."""
        if shown is None:
            return []
        places, slots = self.static.places, self.static.slots
        found = []
        for (
            activity,
            start,
            goal,
            height,
            since,
            arrive,
            end,
            task,
            load,
            permille,
            down,
        ) in shown.robots.tolist():
            grid = self.static.grid[goal] if 0 <= goal < slots else None
            found.append([
                None if grid is None else grid[1], None if grid is None else grid[2],
                None if grid is None else grid[0], load, "down" if down else ACTIVITIES[activity],
                places[start] if start >= 0 else None, places[goal] if goal >= 0 else None, height / 1000,
                since / 1000, None if arrive < 0 else arrive / 1000, None if end < 0 else end / 1000,
                None if task == NONE else task, permille / 10,
            ])  # fmt: skip
        return found


def _replace(queue: "asyncio.Queue[str | None]", text: str | None) -> None:
    """Empty a queue, and leave one message in it."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(text)


@router.get("/runs/{run}/live", include_in_schema=False)
async def no_watch(request: Request, run: str) -> None:
    """What is no WebSocket cannot watch a run."""
    principal_of(request.scope, READ)
    request.app.state.runs.get(run)
    detail = "expected a WebSocket; what it tells is under /runs/{run}/slots, /robots, /kpis as well"
    raise Problem(426, "upgrade-required", detail, headers={"Upgrade": "websocket"})


@router.websocket("/runs/{run}/live")
async def watch(socket: WebSocket, run: str) -> None:
    """Live state of a run: the whole, then frames; the viewer's `{"resync":1}` asks for the whole again."""
    runs: Runs = socket.app.state.runs
    metrics: Metrics = socket.app.state.metrics
    hall: OrderedDict[str, Broadcaster] = _hall(socket.app)
    try:
        principal_of(socket.scope, READ)
        found = await runs.ready_run(run)
        if sum(len(each.viewers) for each in hall.values()) >= MOST_VIEWERS:
            raise Problem(429, "too-many-requests", f"{MOST_VIEWERS} viewers are here already")
        static = await runs.static_of(found)
    except Problem as problem:
        await socket.send_denial_response(problem.response(socket.url.path[:300]))
        return
    wanted = socket.headers.get("sec-websocket-protocol", "")
    await socket.accept(subprotocol="meterhouse" if "meterhouse" in wanted else None)
    broadcaster = hall.get(found.id)
    if broadcaster is None:
        broadcaster = hall[found.id] = Broadcaster(found, runs, static)
        broadcaster.begin()
    queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE)
    metrics.viewers.inc()
    try:
        broadcaster.viewers[socket] = queue
        # Frames that came while the whole was put together are in it.
        _replace(queue, await broadcaster.snapshot())
        await _serve(socket, queue, broadcaster)
    except Problem:
        await socket.close(1011)
    except WebSocketDisconnect:
        pass
    finally:
        metrics.viewers.dec()
        broadcaster.viewers.pop(socket, None)
        if not broadcaster.viewers:
            broadcaster.end()
            hall.pop(found.id, None)


async def _serve(socket: WebSocket, queue: "asyncio.Queue[str | None]", broadcaster: Broadcaster) -> None:
    """Pass frames on until either side has enough."""

    async def listen() -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            if (text := message.get("text")) is None:
                await socket.close(1003, "expected text")
                raise WebSocketDisconnect(1003)
            if text.replace(" ", "") == '{"resync":1}':
                whole = await broadcaster.snapshot()
                _replace(queue, whole)

    listening = asyncio.ensure_future(listen())
    try:
        while True:
            getting = asyncio.ensure_future(queue.get())
            done, _ = await asyncio.wait({getting, listening}, return_when=asyncio.FIRST_COMPLETED)
            if listening in done:
                getting.cancel()
                listening.result()
                return
            text = getting.result()
            if text is None:
                await socket.close(1001)
                return
            await socket.send_text(text)
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, Exception):
            await listening


def _hall(app: FastAPI) -> "OrderedDict[str, Broadcaster]":
    """The broadcasters by run."""
    hall: OrderedDict[str, Broadcaster] | None = getattr(app.state, "hall", None)
    if hall is None:
        hall = app.state.hall = OrderedDict()
    return hall


async def close_all(app: FastAPI) -> None:
    """Tell every viewer that the server goes."""
    for broadcaster in list(_hall(app).values()):
        broadcaster.end()
    until = time.monotonic() + 1.0
    while any(
        socket.client_state == WebSocketState.CONNECTED
        for each in _hall(app).values()
        for socket in each.viewers
    ):
        if time.monotonic() > until:
            return
        await asyncio.sleep(0.02)
