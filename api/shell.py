"""The shell of the server: what every request passes before anything else looks at it.

In order: the name by which the server was called, the key, the limit of the client, the size and form of the
body. The answers that are asked for most (all slots, one slot) are given from here, without a framework in
between; the routes of the application give the same. Whatever happens, the answer has the security headers,
is counted, and is a problem document when it is no success.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote_plus

from api.logs import Log
from api.metrics import Metrics
from api.problems import MEDIA_TYPE, Problem, encoded, pointer
from api.quick import Quick
from api.security import (
    DATA_HEADERS,
    FAILURES,
    FAILURES_S,
    PAGE_HEADERS,
    READ,
    Buckets,
    Keyring,
    Principal,
    host_of,
)
from api.settings import LOOPBACK

if TYPE_CHECKING:
    from api.settings import Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PRINCIPAL: Final = "meterhouse.principal"
"""Where the scope of a request has its Principal."""

OPEN_PATHS: Final = frozenset({"/health", "/ready"})
"""What may be asked without a key anywhere, beside the pages."""

OPEN: Final = Principal("open", frozenset())
"""Who asks for that."""

BODY_S: Final = 10.0
"""Time in which the body of a request has to be here."""

MOST_DEPTH: Final = 32
"""Objects and lists of a body may be nested so deep."""

MOST_NAMES: Final = 50
"""So many names may stand in a query."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON: Final = b"application/json"
_SOCKET_PATH: Final = re.compile(r"/runs/[^/]+/live")
_READABLE_PATH: Final = 300
_MOST_HOSTS: Final = 100


class Shell:
    """The application with its shell around it."""

    def __init__(self, app: App, settings: "Settings", keyring: Keyring, metrics: Metrics, log: Log) -> None:
        self._app = app
        self._settings = settings
        self._keyring = keyring
        self._metrics = metrics
        self._log = log
        self._limits = Buckets(settings.rate, settings.burst)
        self._failures = Buckets(FAILURES_S, FAILURES)
        self._names = {*LOOPBACK, settings.host.lower(), *(name.lower() for name in settings.names)}
        self._any_name = "*" in settings.names
        self._good_hosts: set[bytes | None] = set()
        self.quick: Quick | None = None
        """Set when the application has started."""
        self.refresh: Callable[[], Awaitable[None]] | None = None
        """Reads the keys again."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._open_socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    # -- requests -------------------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        method, headers = scope["method"], dict(scope["headers"])
        principal: Principal | None = None
        status, route = 0, ""

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.get("headers", ())
                is_page = (b"content-type", b"text/html; charset=utf-8") in given
                message["headers"] = [*given, *(PAGE_HEADERS if is_page else DATA_HEADERS)]
            await send(message)

        try:
            if method == "HEAD":  # answered as GET; the protocol leaves the body out
                scope = {**scope, "method": "GET"}
            if scope["method"] == "GET" and not scope["query_string"] and self.quick is not None:
                principal = self._known(scope, headers)
                ready = None if principal is None else self.quick.ready(scope["path"])
                if ready is not None and (messages := ready.messages(headers)) is not None:
                    status, start, body = messages
                    route = ready.route
                    await send(start)
                    await send(body)
                    return
            if principal is None:
                principal = await self._admit(scope, headers)
            if scope["query_string"]:
                check_query(scope["query_string"])
            if method not in SAFE:
                receive = await self._with_body(headers, receive)
            await self._app(scope, receive, sending)
        except Problem as problem:
            if status:
                raise
            await _tell(problem, scope, sending)
        except Exception as error:  # noqa: BLE001 - the last resort: a bug is logged, and answered as one
            self._log.failure("request failed", error, method=method, path=scope["path"][:_READABLE_PATH])
            if not status:
                await _tell(
                    Problem(500, "internal", "the server has failed; its log says why"), scope, sending
                )
        finally:
            route = route or getattr(scope.get("route"), "path", None) or "none"
            self._count(method, scope, route, status, time.perf_counter() - begin, principal)

    def _count(
        self,
        method: str,
        scope: Scope,
        route: str,
        status: int,
        seconds: float,
        principal: Principal | None,
    ) -> None:
        """Count a request that was answered, and log it if that is wanted."""
        self._metrics.answered(method if method in _METHODS else "other", route, status, seconds)
        if self._settings.log_requests or (method not in SAFE and status):
            self._log.info(
                "request", method=method, path=scope["path"][:_READABLE_PATH], status=status,
                ms=round(1000 * seconds, 1), by=None if principal is None else principal.name,
            )  # fmt: skip

    def _known(self, scope: Scope, headers: dict[bytes, bytes]) -> Principal | None:
        """Who reads, when all that is to be looked at was found good a moment ago; their limit is charged."""
        if self._keyring.is_old or headers.get(b"host") not in self._good_hosts:
            return None
        principal = self._keyring.at_hand.get(_sent(headers))
        if principal is None or self._limits.take(_client(principal, scope)):
            return None
        scope[PRINCIPAL] = principal
        return principal

    async def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> Principal:
        """Who asks; raises Problem when they are not to be answered."""
        if not scope["path"].startswith("/"):
            raise Problem(400, "bad-request", "expected a path that begins with /")
        if b"host" not in headers:
            raise Problem(400, "bad-request", "expected a header Host, found none")
        host = headers[b"host"].decode("latin-1")
        if not self._any_name and host_of(host) not in self._names:
            detail = f"this server is not {host[:100]!r}; `meterhouse serve --name` tells it its other names"
            raise Problem(421, "wrong-host", detail)
        if len(self._good_hosts) < _MOST_HOSTS:
            self._good_hosts.add(headers.get(b"host"))
        if scope.get("method") not in SAFE or scope["type"] == "websocket":
            origin = headers.get(b"origin", b"").decode("latin-1")
            if origin and origin.rpartition("://")[2].lower() != host.lower():
                raise Problem(403, "forbidden", "another site may not have a browser do this")
        principal = await self._who(headers, scope)
        wait_s = self._limits.take(_client(principal, scope))
        if wait_s:
            raise Problem(
                429, "too-many-requests", f"at most {self._settings.rate:g} requests a second",
                headers={"Retry-After": str(max(1, round(wait_s + 0.5)))},
            )  # fmt: skip
        scope[PRINCIPAL] = principal
        return principal

    async def _who(self, headers: dict[bytes, bytes], scope: Scope) -> Principal:
        text = key_in(headers)
        if self._keyring.is_old and self.refresh is not None:
            await self.refresh()
        principal = self._keyring.who(text)
        if principal is not None:
            if principal.may(READ) and b"sec-websocket-protocol" not in headers:
                self._keyring.remember(_sent(headers), principal)
            return principal
        if text is None and (scope["path"] in OPEN_PATHS or _is_page(scope["path"])):
            return OPEN
        client = scope["client"][0] if scope.get("client") else ""
        wait_s = self._failures.take(client) if text is not None else 0.0
        if wait_s:
            raise Problem(429, "too-many-requests", "too many wrong keys", headers={"Retry-After": "2"})
        found = "found none" if text is None else "found one that is not known here"
        detail = f"expected an API key in the header X-API-Key or Authorization: Bearer, {found}"
        raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="meterhouse"'})

    async def _with_body(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """The body, read and looked at, for whoever reads it next."""
        most = self._settings.most_body
        length = headers.get(b"content-length", b"")
        if length.isdigit() and (len(length) > 18 or int(length) > most):
            raise Problem(
                413, "too-large", f"expected a body of at most {most:,} bytes, found {int(length):,}"
            )
        parts = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "bad-request", "the request ended before its body")
                    parts += message.get("body", b"")
                    if len(parts) > most:
                        raise Problem(
                            413, "too-large", f"expected a body of at most {most:,} bytes, found more"
                        )
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise Problem(408, "timeout", f"the body was not here after {BODY_S:g} s") from None
        if parts:
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != _JSON:
                raise Problem(415, "unsupported-media-type", "expected Content-Type: application/json")
            check_json(bytes(parts))
        body: MutableMapping[str, Any] = {"type": "http.request", "body": bytes(parts), "more_body": False}
        given = False

        async def again() -> MutableMapping[str, Any]:
            nonlocal given
            if given:
                return await receive()
            given = True
            return body

        return again

    # -- sockets --------------------------------------------------------------------------------------

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "websocket.http.response.start":
                message["headers"] = [*message["headers"], *DATA_HEADERS]
            await send(message)

        try:
            await self._admit(scope, dict(scope["headers"]))
            if not _SOCKET_PATH.fullmatch(scope["path"]):
                raise Problem(404, "not-found", "no WebSocket here; a run has one under /runs/{run}/live")
        except Problem as problem:
            await receive()
            await sending({
                "type": "websocket.http.response.start", "status": problem.status, "headers": _head(problem),
            })  # fmt: skip
            document = encoded(problem.document(scope["path"][:_READABLE_PATH]))
            await send({"type": "websocket.http.response.body", "body": document})
            return
        await self._app(scope, receive, sending)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def key_in(headers: dict[bytes, bytes]) -> str | None:
    """The API key of a request: X-API-Key, Authorization: Bearer, or the second word of the subprotocol.

    A browser cannot give a WebSocket headers of its own: it sends the subprotocols `meterhouse` and
    `key.<API key>`.
    """
    text = headers.get(b"x-api-key")
    if text is not None:
        return text.decode("latin-1")
    scheme, _, rest = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip().decode("latin-1")
    for word in headers.get(b"sec-websocket-protocol", b"").split(b","):
        if word.strip().startswith(b"key."):
            return word.strip()[4:].decode("latin-1")
    return None


def _is_page(path: str) -> bool:
    """Whether somebody asks for a page or a part of one, in which there is nothing of the data."""
    return path in ("/", "/ui") or path.startswith(("/ui/", "/static/"))


def _sent(headers: dict[bytes, bytes]) -> bytes | None:
    """The header that decides who asks, as it was sent."""
    return headers.get(b"x-api-key", headers.get(b"authorization"))


def check_query(text: bytes) -> None:
    """Raise Problem for a name that stands twice in a query: one of its values would be passed over."""
    names = [unquote_plus(part.partition("=")[0]) for part in text.decode("latin-1").split("&") if part]
    if len(names) > MOST_NAMES:
        raise Problem(422, "invalid", f"expected at most {MOST_NAMES} names, found {len(names):,}")
    twice = sorted({name[:40] for name in names if names.count(name) > 1})
    if twice:
        errors = [{"pointer": pointer([name]), "detail": "expected once, found again"} for name in twice]
        raise Problem(422, "invalid", f"expected each name once, found {twice[0]!r} again", errors=errors)


def check_json(text: bytes) -> None:
    """Raise Problem for what is no JSON, and for JSON that means different things to different readers."""

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"expected a number, found {word}")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"expected each name once in an object, found {twice[:40]!r} again")
        return found

    try:
        value = json.loads(text.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, "bad-request", "expected JSON in UTF-8, found other bytes") from None
    except UnicodeEncodeError:
        raise Problem(400, "bad-request", "expected text, found half of a surrogate pair") from None
    except RecursionError:
        raise Problem(400, "bad-request", "expected less nesting") from None
    except ValueError as error:
        raise Problem(400, "bad-request", f"expected JSON, found: {str(error)[:200]}") from None
    if _depth(value) > MOST_DEPTH:
        raise Problem(400, "bad-request", f"expected at most {MOST_DEPTH} levels of nesting, found more")


def _depth(value: Any) -> int:
    """How deep objects and lists are nested, looked at no deeper than matters."""
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        level = [
            inner
            for outer in level if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]  # fmt: skip
        depth += 1
    return depth


def _client(principal: Principal, scope: Scope) -> str:
    """Whose limit counts: that of a key, or of the address of somebody who needs none."""
    if principal.name not in ("local", OPEN.name):
        return principal.name
    return scope["client"][0] if scope.get("client") else ""


async def _tell(problem: Problem, scope: Scope, send: Send) -> None:
    """Send a problem document."""
    body = encoded(problem.document(scope["path"][:_READABLE_PATH]))
    await send({
        "type": "http.response.start", "status": problem.status,
        "headers": [*_head(problem), (b"content-length", str(len(body)).encode())],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _head(problem: Problem) -> list[tuple[bytes, bytes]]:
    """The headers of a problem document."""
    more = ((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
    return [(b"content-type", MEDIA_TYPE.encode()), *more]


def principal_of(scope: Scope, *scopes: str) -> Principal:
    """Who asks, when they have these scopes; raises Problem when not."""
    principal: Principal = scope[PRINCIPAL]
    principal.need(*scopes)
    return principal
