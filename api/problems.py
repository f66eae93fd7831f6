"""Problem documents: every answer that is no success is one, RFC 9457, application/problem+json.

`type` is a path under /problems/, where a sentence says what it means. `errors` lists the mistakes of a
request, each with a JSON pointer into what was sent.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


class Problem(Exception):  # noqa: N818 - it is an answer
    """A request that is not answered as it was meant.

    Parameters
    ----------
    status : the HTTP status.
    kind : one of PROBLEMS.
    detail : what is wrong in this case, for people.
    errors : one entry a mistake: `pointer` (RFC 6901), `detail`.
    headers : more headers of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def document(self, instance: str = "") -> dict[str, Any]:
        """The problem as JSON."""
        title = PROBLEMS.get(self.kind, HTTPStatus(self.status).phrase)
        told: dict[str, Any] = {
            "type": f"/problems/{self.kind}", "title": title, "status": self.status, "detail": self.detail,
        }  # fmt: skip
        if instance:
            told["instance"] = instance
        if self.errors:
            told["errors"] = self.errors
        return told

    def response(self, instance: str = "") -> Response:
        """The problem as an answer."""
        return Response(
            encoded(self.document(instance)), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def encoded(document: Mapping[str, Any]) -> bytes:
    """A document as JSON text."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def pointer(path: Sequence[str | int]) -> str:
    """A JSON pointer, RFC 6901."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


PROBLEMS: Final[dict[str, str]] = {
    "bad-request": "The request cannot be read",
    "invalid": "The request has mistakes",
    "unauthorized": "An API key is required",
    "forbidden": "The API key does not allow this",
    "not-found": "There is no such thing here",
    "method-not-allowed": "This cannot be done with that",
    "upgrade-required": "This is a WebSocket",
    "conflict": "This cannot be done as things stand",
    "does-not-fit": "The request has the right form and does not fit what is here",
    "precondition-failed": "It has changed meanwhile",
    "too-large": "More than this server takes",
    "unsupported-media-type": "The body must be JSON",
    "wrong-host": "This server is not known under that name",
    "too-many-requests": "More requests than are allowed",
    "queue-full": "No more runs can wait",
    "internal": "The server has failed",
    "unavailable": "The server cannot do this at the moment",
    "storage-full": "No room is left to write",
    "restoring": "The run is being rebuilt",
    "timeout": "The answer took too long",
    "facts-damaged": "The facts of the run are damaged",
    "read-only": "The run can be read and not changed",
}
"""What kinds of problems there are, with their titles."""
