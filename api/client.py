"""A client of the HTTP API: one file, the standard library only, to be copied or imported.

    with Client("http://127.0.0.1:8000") as store:
        print(store.get("/slots/2-07-3")["boxes"])
        run = store.start("luoyang", speed="max", seed=7)
        print(store.wait(run["id"])["digest"])
        for meter in store.pages("/meters", "meters", slot="2-07-3"):
            print(meter["asset"], meter["status"])

What fails on its way (a connection that breaks, a server that is restarting, too many requests) is tried
again, with the same idempotency key, so that nothing is done twice. What has no such key and could be (a POST
by `request`, a step of a run) is not sent again when it may have arrived. What the server refuses is a
`Refused` with the problem document. Left out: the WebSocket, for which `websockets` or a browser is the
better client.
"""

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]

AGAIN: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses after which the same request is worth trying again."""

OVER: Final = frozenset({"finished", "stopped", "failed", "interrupted"})

IDLE_S: Final = 10.0
"""A connection that nothing was sent on for so long is not trusted: the server may be about to close it."""


class Refused(Exception):  # noqa: N818 - it is an answer
    """The server's problem document: `status`, `kind` (the last part of its type), `detail`, `errors`."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = dict(document)
        self.kind = str(document.get("type", "")).rpartition("/")[2]
        self.detail = str(document.get("detail", ""))
        errors = document.get("errors")
        listed = errors if isinstance(errors, list) else []
        self.errors: list[Json] = [each for each in listed if isinstance(each, dict)]
        mistakes = "".join(f"\n  {each.get('pointer', '')}: {each.get('detail', '')}" for each in self.errors)
        super().__init__(f"{status} {self.kind}: {self.detail}{mistakes}")


class Unreachable(ConnectionError):  # noqa: N818 - it says what it is
    """The server did not answer, however often it was tried."""


class Client:
    """A connection to a server; not to be shared by threads.

    Parameters
    ----------
    url : where the server is, such as http://127.0.0.1:8000.
    key : an API key, where the server needs one.
    timeout_s : how long one answer may take.
    patience_s : how long a request is tried again while the server cannot be reached or is too busy.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8000", key: str | None = None, *, timeout_s: float = 60.0,
        patience_s: float = 30.0, context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected http://HOST:PORT, found {url!r}")
        self._base = parts.path.rstrip("/")
        self._key = key
        self._patience_s = patience_s
        self._etags: dict[str, tuple[str, bytes]] = {}
        self._was_repeated = False
        self._used_at = 0.0
        port = parts.port
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.hostname, port, timeout=timeout_s, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # -- requests -------------------------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> Json:
        """The answer to GET, asked again only when it has changed: an equal version comes from memory."""
        target = _target(path, query)
        known = self._etags.get(target)
        sent = {"If-None-Match": known[0]} if known else {}
        status, headers, text = self._exchange("GET", target, None, sent)
        if status == 304 and known:
            text = known[1]
        elif "etag" in headers:
            if len(self._etags) >= 256:
                self._etags.clear()
            self._etags[target] = headers["etag"], text
        return _document(text, f"GET {target}")

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """The answer to POST, which is done once however often it has to be sent."""
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
        return self.request("POST", path, body or {}, headers=headers)[2]

    def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """The answer to PATCH."""
        return self.request("PATCH", path, body)[2]

    def delete(self, path: str) -> None:
        """DELETE; that it is gone already is no error when the request had to be sent again."""
        try:
            self.request("DELETE", path)
        except Refused as refused:
            if refused.status != 404 or not self._was_repeated:
                raise

    def pages(self, path: str, key: str, **query: Any) -> Iterator[Json]:
        """Every element of a list, page by page, all of the instant of the first page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            yield from page[key]
            cursor = page.get("next")
            if not cursor:
                return

    def request(
        self,
        method: str,
        target: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Json]:
        """Status, headers (lower case) and document of an answer.

        Raises Refused for a problem document, Unreachable when nobody answers for too long, ValueError for an
        answer that is no JSON object.
        """
        status, told, text = self._exchange(method, target, body, headers or {})
        return status, told, _document(text, f"{method} {target}")

    def _exchange(
        self, method: str, target: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and bytes of an answer that is no refusal."""
        sent = {"Accept": "application/json", **headers}
        if self._key:
            sent["X-API-Key"] = self._key
        data = None
        if body is not None:
            data = json.dumps(body, allow_nan=False).encode()
            sent["Content-Type"] = "application/json"
        is_safe = "Idempotency-Key" in sent or (method != "POST" and "step_s" not in (body or {}))
        until = time.monotonic() + self._patience_s
        self._was_repeated = False
        least_s = 0.1
        while True:
            pause_s = least_s
            try:
                status, told, text = self._sent(method, target, data, sent)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                is_final = not is_safe or isinstance(error, ssl.SSLCertVerificationError)
                if is_final or time.monotonic() + pause_s > until:
                    raise Unreachable(f"{method} {target}: {type(error).__name__}: {error}") from error
            else:
                if status < 400:
                    return status, told, text
                refused = Refused(status, _problem(text))
                pause_s = max(pause_s, _seconds(told.get("retry-after", "")))
                # A run that is being set up has not taken the step; after any other answer it may have.
                is_worth_it = status in AGAIN and (
                    is_safe or (method != "POST" and refused.kind in ("restoring", "too-many-requests"))
                )
                if not is_worth_it or time.monotonic() + pause_s > until:
                    raise refused
            self._was_repeated = True
            time.sleep(pause_s)
            least_s = min(2.0, 2 * least_s)

    def _sent(
        self, method: str, target: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """One request, and its answer whatever it is."""
        if time.monotonic() - self._used_at > IDLE_S:
            self.close()
        self._connection.request(method, self._base + target, data, dict(headers))
        response = self._connection.getresponse()
        text = response.read()
        self._used_at = time.monotonic()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, text

    # -- what is done often ---------------------------------------------------------------------------

    def start(self, scenario: str | Mapping[str, Any], **more: Any) -> Json:
        """Start a run of a scenario: its name or its values; `more` as POST /runs takes it."""
        return self.post("/runs", {"scenario": scenario, **more})

    def wait(self, run: str, timeout_s: float = 3600.0) -> Json:
        """The run when it is over; raises TimeoutError when that takes too long."""
        until = time.monotonic() + timeout_s
        pause_s = 0.02
        while True:
            found = self.get(f"/runs/{run}")
            if found["state"] in OVER:
                return found
            if time.monotonic() > until:
                raise TimeoutError(f"run {run} is {found['state']} after {timeout_s:g} s")
            time.sleep(pause_s)
            pause_s = min(0.5, 1.5 * pause_s)

    def steer(self, run: str = "current", **changes: Any) -> Json:
        """Change a run: state, speed, step_s."""
        return self.patch(f"/runs/{run}", changes)

    def command(
        self, type_: str, args: Mapping[str, Any] | None = None, *, run: str = "current", **more: Any
    ) -> Json:
        """Send a command; `more`: external_id, apply_at, expires_at, if_version."""
        return self.post(f"/runs/{run}/commands", {"type": type_, "args": dict(args or {}), **more})

    def settled(self, command: Mapping[str, Any], timeout_s: float = 60.0) -> Json:
        """A command when it has been applied, rejected or has expired."""
        until = time.monotonic() + timeout_s
        while True:
            found = self.get(command["links"]["self"])
            if found["state"] != "accepted":
                return found
            if time.monotonic() > until:
                raise TimeoutError(
                    f"command {found['id']} of {found['run']} is not done after {timeout_s:g} s"
                )
            time.sleep(0.02)

    def allocate(
        self, boxes: Sequence[Mapping[str, Any]], *, run: str = "current", policy: str | None = None
    ) -> Json:
        """Which slots boxes would get, without doing it."""
        body: Json = {"run": run, "boxes": [dict(box) for box in boxes]}
        if policy is not None:
            body["policy"] = policy
        return self.post("/allocate", body)


def _target(path: str, query: Mapping[str, Any]) -> str:
    """A path with its query; names end with _ where Python has the word for itself: class_, from_."""
    given = {
        name.rstrip("_"): str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return quote(path, safe="/") + (f"?{urlencode(given)}" if given else "")


def _document(text: bytes, asked: str) -> Json:
    """The JSON object of an answer; an empty one when it has no body."""
    try:
        document = json.loads(text) if text else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        shown = text[:60].decode("utf-8", "replace")
        raise ValueError(f"{asked}: expected a JSON object, found {shown!r}")
    return document


def _problem(text: bytes) -> Json:
    """A problem document; when somebody on the way has refused, who knows none, what they said."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"detail": text[:300].decode("utf-8", "replace")}


def _seconds(text: str) -> float:
    """The seconds of a Retry-After, which may be a date; 0 when it is neither."""
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
