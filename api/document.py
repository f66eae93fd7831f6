"""The description of the API: the OpenAPI document, and pages made from it that need nothing from outside.

`python -m api.document` writes it to standard output.
"""

import json
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from api import docspage, told
from api.keys import SCOPES
from api.problems import encoded
from api.routing import new_router
from sim.scenario import with_limits

router = new_router()

DESCRIPTION: Final = """\
meterhouse simulates a robotic store for electricity meters and answers as the store's own systems would.

Every answer about state is **the ledger**, what the records say, at one consistent instant; it names its run,
the simulated time and the number of facts recorded by then, which is its version. `at` asks for any past
instant. `view=truth` shows what is true instead, says so in the answer, and needs the scope `truth:read`.

What is no success is a problem document (RFC 9457). 422 means that a request has not the form described here,
409 that it has and does not fit what is here. Lists go on with the cursor in `next`. State has an `ETag`.
`POST` takes an `Idempotency-Key`. A command is acknowledged when it is in the run's log; whether it was
carried out is asked of the command itself. `/runs/{run}/live` is a WebSocket: first the whole state, then ten
times a second what has changed.

Examples are real answers of one run, which docs/make_examples.py collects: long lists are cut short, and what
is of the clock or of the machine is made up.\
"""

TAGS: Final = [
    {
        "name": "current run",
        "description": "Short for /runs/current/...: the run that the server was started for.",
    },
    {"name": "state of a run", "description": "What is where, who does what, what happened."},
    {"name": "runs", "description": "Start, look at, steer, branch and remove runs."},
    {
        "name": "commands",
        "description": "Orders, stops, counts, recalls and changes into a run that goes on.",
    },
    {"name": "allocation", "description": "Which slot a box would get."},
    {"name": "choices", "description": "What can be chosen."},
    {"name": "server", "description": "How the server does."},
]

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait before another attempt.", "schema": {"type": "integer"}}
}
_OPEN: Final = frozenset({"/health", "/ready"})
_SAFE_SCOPE, _CHANGE_SCOPE = "runs:read", "runs:write"


def openapi(app: FastAPI, *, needs_key: bool = True) -> dict[str, Any]:
    """The OpenAPI document of the application, made once."""
    made: dict[str, Any] | None = getattr(app.state, "openapi", None)
    if made is None:
        made = app.state.openapi = _made(app, needs_key=needs_key)
    return made


def _made(app: FastAPI, *, needs_key: bool) -> dict[str, Any]:
    described: dict[str, Any] = with_limits(get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description,
        license_info=app.license_info, routes=app.routes, tags=app.openapi_tags,
    ))  # fmt: skip
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    problem = told.ProblemTold.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemTold"] = problem
    described["components"]["securitySchemes"] = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": _scopes_text()},
        "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
    }
    examples = known_examples()
    if "ProblemTold" in examples:
        problem["examples"] = [examples["ProblemTold"]["response"]]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            scope = _SAFE_SCOPE if method == "get" or path == "/allocate" else _CHANGE_SCOPE
            secured = [{"ApiKey": [scope]}, {"Bearer": [scope]}]
            if method == "get":  # has no body
                for status in ("408", "413", "415"):
                    operation["responses"].pop(status, None)
            for status in ("429", "503"):
                if status in operation["responses"]:
                    operation["responses"][status]["headers"] = _RETRY_AFTER
            operation["security"] = [] if path in _OPEN else secured if needs_key else [*secured, {}]
            _put_examples(operation, examples.get(operation["operationId"], {}))
    _open_answers(described)
    return described


def _open_answers(described: dict[str, Any]) -> None:
    """Leave room in answers for keys to come; what is sent is taken with the keys that are named alone."""
    schemas = described["components"]["schemas"]
    sent: set[str] = set()
    ahead = _named(
        [operation.get("requestBody", {}) for operations in described["paths"].values()
         for operation in operations.values()]
    )  # fmt: skip
    while ahead:
        sent |= ahead
        ahead = set().union(*(_named(schemas[name]) for name in ahead)) - sent
    for name, schema in schemas.items():
        if name not in sent and schema.get("additionalProperties") is False:
            del schema["additionalProperties"]


def _named(part: Any) -> set[str]:
    """The schemas that a part of the document names."""
    if isinstance(part, list):
        return set().union(*map(_named, part))
    if not isinstance(part, dict):
        return set()
    reference = part.get("$ref")
    own = {reference.rpartition("/")[2]} if isinstance(reference, str) else set()
    return own.union(*map(_named, part.values()))


def _scopes_text() -> str:
    lines = "\n".join(f"- `{name}`: {sentence}" for name, sentence in SCOPES.items())
    return f"A key of `meterhouse key create`. Its scopes:\n{lines}"


def _put_examples(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """Put what was really asked and answered once beside the schemas."""
    given = example.get("parameters", {})
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]
    if "request" in example and "requestBody" in operation:
        for content in operation["requestBody"]["content"].values():
            content["examples"] = {
                name: {"summary": name, "value": value} for name, value in example["request"].items()
            }
    for status, response in operation["responses"].items():
        if status.startswith("2") and "response" in example:
            for content in response.get("content", {}).values():
                content["example"] = example["response"]


@cache
def known_examples() -> dict[str, Any]:
    """Parameters, requests and answers by operation, as `docs/make_examples.py` has collected them."""
    found: dict[str, Any] = json.loads(files("api").joinpath("examples.json").read_text(encoding="utf-8"))
    return found


# --- pages -----------------------------------------------------------------------------------------------


@router.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """The document itself."""
    return Response(encoded(request.app.openapi()), media_type="application/json")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The API on one page, without a script and without anything from elsewhere."""
    return Response(
        _page(request.app), media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"}
    )


@router.get("/docs.css", include_in_schema=False)
async def style() -> Response:
    """How that page looks."""
    return _file("docs.css", "text/css; charset=utf-8")


@router.get("/docs.svg", include_in_schema=False)
async def icon() -> Response:
    """What a browser shows beside its name."""
    return _file("docs.svg", "image/svg+xml")


def _file(name: str, media_type: str) -> Response:
    text = files("api").joinpath("pages", name).read_text(encoding="utf-8")
    return Response(text, media_type=media_type, headers={"Cache-Control": "no-cache"})


@router.get("/problems/{name}", include_in_schema=False)
async def problem_page(name: str) -> Response:
    """What a kind of problem means."""
    from api.problems import PROBLEMS, Problem

    if name not in PROBLEMS:
        raise Problem(404, "not-found", "there is no such kind of problem; /problems lists them")
    page = docspage.frame(
        PROBLEMS[name],
        f'<header><p class="kicker">Problem</p><h1>{escape(PROBLEMS[name])}</h1>'
        f'<p class="question"><code>/problems/{name}</code></p></header>'
        '<p><a href="/docs#every-request">What can go wrong</a></p>',
    )
    return Response(page, media_type="text/html; charset=utf-8")


def _page(app: FastAPI) -> str:
    page: str | None = getattr(app.state, "docs_page", None)
    if page is None:
        page = app.state.docs_page = docspage.page(app.openapi())
    return page


def main() -> None:
    """Write the document of a server on this machine to standard output."""
    import sys

    from api.app import Server
    from api.settings import Settings

    described = Server(Settings(data="")).app.openapi()
    sys.stdout.write(json.dumps(described, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
