"""The description of the API: the OpenAPI document, and pages made from it that need nothing from outside."""

import json
from copy import deepcopy
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from api import told
from api.keys import SCOPES
from sim.scenario import with_limits

router = APIRouter()

DESCRIPTION: Final = """\
meterhouse simulates a robotic store for electricity meters and answers as the store's own systems would.

Every answer about state is **the ledger**, what the records say, at one consistent instant; it names its run,
the simulated time and the number of facts recorded by then, which is its version. `at` asks for any past
instant. `view=truth` shows what is true instead, says so in the answer, and needs the scope `truth:read`.

What is no success is a problem document (RFC 9457). 422 means that a request has not the form described here,
409 that it has and does not fit what is here. Lists go on with the cursor in `next`. State has an `ETag`.
`POST` takes an `Idempotency-Key`. A command is acknowledged when it is in the run's log; whether it was
carried out is asked of the command itself.\
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
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            scope = _SAFE_SCOPE if method == "get" or path == "/allocate" else _CHANGE_SCOPE
            secured = [{"ApiKey": [scope]}, {"Bearer": [scope]}]
            operation["security"] = [] if path in _OPEN else secured if needs_key else [*secured, {}]
            _put_examples(operation, examples.get(operation["operationId"], {}))
    return described


def _scopes_text() -> str:
    lines = "\n".join(f"- `{name}`: {sentence}" for name, sentence in SCOPES.items())
    return f"A key of `meterhouse key create`. Its scopes:\n{lines}"


def _put_examples(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """Put what was really asked and answered once beside the schemas."""
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
    """Requests and answers by operation, as `docs/make_examples.py` has collected them."""
    found: dict[str, Any] = json.loads(files("api").joinpath("examples.json").read_text(encoding="utf-8"))
    return found


# --- pages -----------------------------------------------------------------------------------------------


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The API on one page, without a script and without anything from elsewhere."""
    return Response(
        _page(request.app), media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"}
    )


@router.get("/docs.css", include_in_schema=False)
async def style() -> Response:
    """How that page looks."""
    text = files("api").joinpath("pages/docs.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css; charset=utf-8", headers={"Cache-Control": "no-cache"})


@router.get("/problems/{name}", include_in_schema=False)
async def problem_page(name: str) -> Response:
    """What a kind of problem means."""
    from api.problems import PROBLEMS, Problem

    if name not in PROBLEMS:
        raise Problem(404, "not-found", "there is no such kind of problem; /problems lists them")
    page = _frame(
        f"{PROBLEMS[name]}", f"<h1>{escape(PROBLEMS[name])}</h1><p><code>/problems/{name}</code></p>"
    )
    return Response(page, media_type="text/html; charset=utf-8")


def _page(app: FastAPI) -> str:
    page: str | None = getattr(app.state, "docs_page", None)
    if page is None:
        page = app.state.docs_page = _made_page(app.openapi())
    return page


def _made_page(described: dict[str, Any]) -> str:
    sections = []
    for tag in described["tags"]:
        operations = [
            (path, method, operation)
            for path, by_method in described["paths"].items()
            for method, operation in by_method.items()
            if tag["name"] in operation.get("tags", ())
        ]
        inside = "".join(_operation(described, *each) for each in operations)
        sections.append(
            f'<section id="{escape(tag["name"].replace(" ", "-"))}">'
            f"<h2>{escape(tag['name'].capitalize())}</h2>"
            f"<p>{escape(tag['description'])}</p>{inside}</section>"
        )
    index = "".join(
        f'<li><a href="#{escape(tag["name"].replace(" ", "-"))}">{escape(tag["name"].capitalize())}</a></li>'
        for tag in described["tags"]
    )
    head = (
        f"<header><h1>meterhouse <small>{escape(described['info']['version'])}</small></h1>"
        f"{_paragraphs(described['info']['description'])}"
        '<p><a href="/openapi.json">openapi.json</a> · <a href="/ready">ready</a>'
        ' · <a href="/metrics">metrics</a></p>'
        f"<nav><ul>{index}</ul></nav></header>"
    )
    return _frame("meterhouse API", head + "".join(sections))


def _frame(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f'<link rel="stylesheet" href="/docs.css"></head><body><main>{body}</main></body></html>'
    )


def _operation(described: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    """One operation, folded up."""
    parameters = "".join(_parameter(each) for each in operation.get("parameters", ()))
    table = f"<table><tbody>{parameters}</tbody></table>" if parameters else ""
    body = _body(described, operation)
    answers = "".join(
        f"<li><code>{status}</code> {escape(response['description'])}</li>"
        for status, response in operation["responses"].items()
    )
    example = next(
        (
            content["example"]
            for status, response in operation["responses"].items() if status.startswith("2")
            for content in response.get("content", {}).values() if "example" in content
        ),
        None,
    )  # fmt: skip
    shown = f"<h4>Example answer</h4>{_json(example)}" if example is not None else ""
    summary = operation.get("description") or operation.get("summary", "")
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b class="{method}">{method.upper()}</b> '
        f"<code>{escape(path)}</code> <span>{escape(summary)}</span></summary>"
        f"{table}{body}<h4>Answers</h4><ul>{answers}</ul>{shown}</details>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter.get("schema", {})
    required = " (required)" if parameter.get("required") and parameter["in"] != "path" else ""
    words = escape(parameter.get("description", ""))
    return (
        f"<tr><th><code>{escape(parameter['name'])}</code></th><td>{escape(parameter['in'])}{required}</td>"
        f"<td>{escape(_type(schema))}</td><td>{words}</td></tr>"
    )


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return _ref(schema)
    limits = [
        f"{sign} {schema[key]:g}" for key, sign in _LIMITS.items() if isinstance(schema.get(key), int | float)
    ]
    kind = schema.get("format") or schema.get("type", "any")
    return f"{kind} {', '.join(limits)}".strip()


_LIMITS: Final = {"minimum": "\u2265", "maximum": "\u2264", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}


def _body(described: dict[str, Any], operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return ""
    examples = "".join(
        f"<h4>Body: {escape(name)}</h4>{_json(example['value'])}"
        for name, example in content.get("examples", {}).items()
    )
    return _fields(described, content["schema"]) + examples


def _fields(described: dict[str, Any], schema: dict[str, Any]) -> str:
    """The fields of a body; of a command the kinds that there are."""
    schemas = described["components"]["schemas"]
    if "$ref" in schema:
        schema = schemas[_ref(schema)]
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices:
        return "".join(
            f"<h4>{escape(schemas[_ref(each)].get('description', ''))}</h4>{_fields(described, each)}"
            for each in choices if "$ref" in each
        )  # fmt: skip
    rows = "".join(
        f"<tr><th><code>{escape(name)}</code></th>"
        f"<td>{'required' if name in schema.get('required', ()) else ''}</td>"
        f"<td>{escape(_type(field))}</td><td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _ref(schema: dict[str, Any]) -> str:
    """The name of the schema that is referred to."""
    return str(schema["$ref"]).rpartition("/")[2]


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(_shortened(deepcopy(value)), ensure_ascii=False, indent=1))}</pre>"


def _shortened(value: Any) -> Any:
    """An example with no more than a few elements in each list."""
    if isinstance(value, list):
        short = [_shortened(each) for each in value[:2]]
        return [*short, f"... and {len(value) - 2:,} more"] if len(value) > 2 else short
    if isinstance(value, dict):
        return {key: _shortened(each) for key, each in value.items()}
    return value


def _paragraphs(text: str) -> str:
    import re

    parts = []
    for paragraph in text.split("\n\n"):
        words = escape(" ".join(paragraph.split()))
        words = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
        words = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", words)
        parts.append(f"<p>{words}</p>")
    return "".join(parts)
