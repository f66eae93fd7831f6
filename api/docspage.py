"""The page of the API: the OpenAPI document as HTML that needs no script and nothing from elsewhere.

Operations are folded up, by what they are about. Bodies are told field by field where they are sent; answers
by the name of their form, and the forms stand at the end, once each. What any request may be answered with
is told once, too.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from api.problems import PROBLEMS

Json = Mapping[str, Any]

_WIDE: Final = 84
"""Characters of a line of JSON: what fits stands on one."""

_LIMITS: Final = {"minimum": "\u2265", "exclusiveMinimum": ">", "maximum": "\u2264", "exclusiveMaximum": "<"}
_HUGE: Final = 1e12
"""A limit that is no smaller is not worth telling."""


class _Operation(NamedTuple):
    path: str
    method: str
    told: Json

    @property
    def name(self) -> str:
        return str(self.told["operationId"])


def page(described: Json) -> str:
    """The whole page of an OpenAPI document."""
    operations = [
        _Operation(path, method, told)
        for path, by_method in described["paths"].items()
        for method, told in by_method.items()
    ]
    common = set.intersection(*({*each.told["responses"]} for each in operations))
    sections = [
        _section(
            tag["name"].capitalize(), tag["description"],
            "".join(_operation(described, each, common) for each in operations
                    if tag["name"] in each.told["tags"]),
        )
        for tag in described["tags"]
    ]  # fmt: skip
    titles = [*(tag["name"].capitalize() for tag in described["tags"]), _EVERY, _FORMS]
    links = "".join(f'<li><a href="#{_anchor(title)}">{escape(title)}</a></li>' for title in titles)
    info = described["info"]
    head = (
        f'<header><p class="kicker">meterhouse {escape(info["version"])}</p><h1>HTTP API</h1>'
        f'<p class="question">{escape(info["summary"])}</p>{paragraphs(info["description"])}'
        '<p class="facts"><span><a href="/openapi.json">openapi.json</a></span>'
        '<span><a href="/ready">ready</a></span><span><a href="/metrics">metrics</a></span></p>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
    )
    sections += [_every(described, operations[0].told, common), _forms(described, operations)]
    return frame("HTTP API", head + "".join(sections))


def frame(title: str, body: str) -> str:
    """A page around its content."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} · meterhouse</title>"
        '<link rel="icon" href="/docs.svg"><link rel="stylesheet" href="/docs.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )


def paragraphs(text: str) -> str:
    """Paragraphs with `code` and **strong** words."""
    return "".join(f"<p>{_marked(each)}</p>" for each in text.split("\n\n"))


def _marked(text: str) -> str:
    words = escape(" ".join(text.split()))
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", words)


# --- sections --------------------------------------------------------------------------------------------

_EVERY: Final = "Every request"
_FORMS: Final = "Forms of answers"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _section(title: str, lead: str, inside: str) -> str:
    return (
        f'<section id="{_anchor(title)}"><h2>{escape(title)}</h2><p class="lead">{escape(lead)}</p>'
        f"{inside}</section>"
    )


def _folded(name: str, summary: str, inside: str, kind: str = "") -> str:
    """Something folded up; a link to its name unfolds it."""
    of_kind = f' class="{kind}"' if kind else ""
    named = f' id="{escape(name)}"' if name else ""
    return f"<details{of_kind}><summary>{summary}</summary><div{named}>{inside}</div></details>"


def _every(described: Json, told: Json, common: set[str]) -> str:
    """What is so for every request: keys and their scopes, what can go wrong."""
    keys = described["components"]["securitySchemes"]["ApiKey"]["description"]
    intro, *scopes = keys.splitlines()
    listed = "".join(f"<li>{_marked(scope.removeprefix('- '))}</li>" for scope in scopes)
    statuses = "".join(
        f"<li><code>{status}</code> {escape(told['responses'][status]['description'])}</li>"
        for status in sorted(common)
    )
    kinds = "".join(
        f'<li><a href="/problems/{name}"><code>{name}</code></a> {escape(sentence)}</li>'
        for name, sentence in PROBLEMS.items()
    )
    examples = described["components"]["schemas"]["ProblemTold"].get("examples", ())
    inside = (
        _folded("", "Keys and scopes", f"<p>{_marked(intro)}</p><ul>{listed}</ul>", "plain")
        + _folded("", "Answers that any request may get", f'<ul class="answers">{statuses}</ul>', "plain")
        + _folded("", "Kinds of problems", f'<ul class="answers">{kinds}</ul>', "plain")
        + "".join(_folded("", "Example of a problem", _pre(each), "plain") for each in examples)
    )
    return _section(_EVERY, "Who may ask, and what can go wrong whatever was asked.", inside)


def _forms(described: Json, operations: Sequence[_Operation]) -> str:
    """The forms of all answers, by name."""
    schemas = described["components"]["schemas"]
    waiting = [
        name
        for each in operations
        for response in each.told["responses"].values()
        for content in response.get("content", {}).values()
        for name in _names_in(content["schema"])
    ]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _names_in(schemas[name])
    inside = "".join(
        _folded(
            f"form-{name}",
            f"<b>{escape(name)}</b> <span>{escape(schemas[name].get('description', ''))}</span>",
            _table(
                _row(_coded(key), _type(field), field) for key, field in schemas[name]["properties"].items()
            ),
            "form",
        )
        for name in sorted(found)
    )
    return _section(_FORMS, "Fields that every answer of a form has, and those that it may have.", inside)


def _names_in(schema: Any) -> list[str]:
    """The schemas that a schema refers to."""
    if isinstance(schema, list):
        return [name for each in schema for name in _names_in(each)]
    if not isinstance(schema, dict):
        return []
    own = [_ref(schema)] if "$ref" in schema else []
    return own + [name for each in schema.values() for name in _names_in(each)]


# --- operations ------------------------------------------------------------------------------------------


def _operation(described: Json, operation: _Operation, common: set[str]) -> str:
    """One operation, folded up."""
    told = operation.told
    first, _, rest = (told.get("description") or told["summary"]).partition("\n\n")
    summary = (
        f'<b class="method {operation.method}">{operation.method.upper()}</b> '
        f"<code>{_broken(operation.path)}</code> <span>{_marked(first)}</span>"
    )
    rows = [_parameter(each) for each in told.get("parameters", ())]
    answers = "".join(
        f"<li><code>{status}</code> {escape(response['description'])} {_form_of(response)}</li>"
        for status, response in told["responses"].items()
        if status not in common
    )
    inside = (
        paragraphs(rest) * bool(rest)
        + f'<p class="scope">{_scope(told)}</p>'
        + _titled("Parameters", _table(rows)) * bool(rows)
        + _body(described, operation)
        + _titled("Answers", f'<ul class="answers">{answers}</ul>')
        + _example(operation)
    )
    return _folded(operation.name, summary, inside, "operation")


def _broken(path: str) -> str:
    """A path that may be broken behind its slashes."""
    return re.sub(
        r"/|{\w+}", lambda found: "/<wbr>" if found[0] == "/" else f"<i>{found[0]}</i>", escape(path)
    )


def _scope(told: Json) -> str:
    if not told["security"]:
        return "Needs no key."
    scopes = " and ".join(f"<code>{escape(scope)}</code>" for scope in told["security"][0]["ApiKey"])
    return f"Scope {scopes}."


def _titled(title: str, inside: str) -> str:
    return f"<h3>{title}</h3>{inside}"


def _form_of(response: Json) -> str:
    """The form of an answer, as a link."""
    schemas = [content["schema"] for content in response.get("content", {}).values()]
    return " ".join(_type(schema) for schema in schemas if "$ref" in schema)


def _parameter(parameter: Json) -> str:
    schema = parameter.get("schema", {})
    where = parameter["in"] + (
        ", required" if parameter.get("required") and parameter["in"] != "path" else ""
    )
    name = f"{_coded(parameter['name'])} <small>{where}</small>"
    return _row(name, _type(schema), {**schema, **parameter}, parameter.get("example"))


def _example(operation: _Operation) -> str:
    """The example of an answer, with what was asked."""
    contents = [
        content
        for status, response in operation.told["responses"].items() if status.startswith("2")
        for content in response.get("content", {}).values() if "example" in content
    ]  # fmt: skip
    asked = escape(f"{operation.method.upper()} {_target(operation)}")
    return "".join(
        _folded("", f"Example: <code>{asked}</code>", _pre(content["example"]), "example")
        for content in contents
    )


def _target(operation: _Operation) -> str:
    """Path and query of the example."""
    given = [each for each in operation.told.get("parameters", ()) if "example" in each]
    path = operation.path
    for each in given:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(str(each["example"])))
    query = urlencode({each["name"]: _plain(each["example"]) for each in given if each["in"] == "query"})
    return f"{path}?{query}" if query else path


# --- bodies ----------------------------------------------------------------------------------------------


def _body(described: Json, operation: _Operation) -> str:
    """The fields of a body and its examples; of a command by kind."""
    content = operation.told.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return ""
    schemas = described["components"]["schemas"]
    examples = {name: each["value"] for name, each in content.get("examples", {}).items()}
    choices = content["schema"].get("oneOf")
    if choices is None:
        fields = _table(_fields(schemas, content["schema"]))
        shown = [
            _folded("", f"Example: {escape(name)}", _pre(value), "example")
            for name, value in examples.items()
        ]
        return _titled("Body", fields + "".join(shown))
    kinds = [schemas[_ref(choice)] for choice in choices]
    alike = {
        name: field for name, field in kinds[0]["properties"].items()
        if all(kind["properties"].get(name) == field for kind in kinds)
    }  # fmt: skip
    told = [
        _folded(
            "", f"<code>{escape(name)}</code> <span>{escape(kind['description'])}</span>",
            _table(_fields(schemas, {**kind, "properties": _without(kind["properties"], alike)}))
            + "".join(_pre(value) for value in examples.values() if value["type"] == name),
            "kind",
        )
        for kind in kinds
        for name in [kind["properties"]["type"]["const"]]
    ]  # fmt: skip
    rows = _fields(schemas, {"properties": alike})
    return _titled("Body", _table(rows)) + _titled("By type", "".join(told))


def _without(properties: Json, names: Json) -> Json:
    return {name: field for name, field in properties.items() if name not in names}


def _fields(schemas: Json, schema: Json, before: str = "") -> Iterator[str]:
    """The rows of the fields of a body, those of objects in it under dotted names."""
    if "$ref" in schema:
        schema = schemas[_ref(schema)]
    for name, field in schema.get("properties", {}).items():
        required = " <small>required</small>" if name in schema.get("required", ()) else ""
        inner = field.get("items", field)
        if "$ref" not in field:
            kind = "list" if "$ref" in inner else _type(field)
            yield _row(_coded(before + name) + required, kind, field)
        if "$ref" in inner:
            yield from _fields(schemas, inner, f"{before}{name}{'' if inner is field else '[]'}.")


# --- rows and types --------------------------------------------------------------------------------------


def _coded(name: str) -> str:
    return f"<code>{escape(name)}</code>"


def _row(name: str, kind: str, field: Json, example: Any = None) -> str:
    """A row of a table: a name, what can stand there, what it means."""
    words = [_marked(field.get("description", ""))]
    if isinstance(field.get("default"), str | int | float) and field["default"] not in ("", False):
        words.append(f"{_coded(_plain(field['default']))} if not given")
    if example is not None:
        words.append(f"such as {_coded(_plain(example))}")
    told = "; ".join(word for word in words if word)
    return f'<tr><th scope="row">{name}</th><td class="type">{kind}</td><td>{told}</td></tr>'


def _plain(value: object) -> str:
    """A value as it stands in a query."""
    return value if isinstance(value, str) else json.dumps(value)


def _table(rows: "Iterator[str] | Sequence[str]") -> str:
    inside = "".join(rows)
    return f"<table><tbody>{inside}</tbody></table>" if inside else ""


def _type(schema: Json) -> str:
    """What can stand somewhere, in a few words."""
    if "$ref" in schema:
        name = escape(_ref(schema))
        return f'<a href="#form-{name}">{name}</a>'
    if "enum" in schema:
        return " | ".join(_coded(str(value)) for value in schema["enum"])
    if "const" in schema:
        return _coded(str(schema["const"]))
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    limits = [
        f"{sign} {schema[key]:,.10g}" for key, sign in _LIMITS.items()
        if isinstance(schema.get(key), int | float) and abs(schema[key]) < _HUGE
    ]  # fmt: skip
    kind = schema.get("format") or schema.get("type", "anything")
    return escape(f"{kind} {', '.join(limits)}".strip())


def _ref(schema: Json) -> str:
    """The name of the schema that is referred to."""
    return str(schema["$ref"]).rpartition("/")[2]


# --- JSON ------------------------------------------------------------------------------------------------


def _pre(value: object) -> str:
    """An example: text as it is, all else as JSON."""
    return f'<pre tabindex="0">{escape(value.rstrip() if isinstance(value, str) else laid_out(value))}</pre>'


def laid_out(value: object, before: int = 0, indent: str = "") -> str:
    """JSON in as few lines as fit: what is short stands on one, plain values stand side by side.

    `before` characters stand on the line already.
    """
    text = json.dumps(value, ensure_ascii=False)
    if len(indent) + before + len(text) <= _WIDE or not isinstance(value, dict | list) or not value:
        return text
    deeper = indent + "  "
    if isinstance(value, dict):
        heads = [json.dumps(key, ensure_ascii=False) + ": " for key in value]
        parts = [
            head + laid_out(each, len(head), deeper) for head, each in zip(heads, value.values(), strict=True)
        ]
        first, last = "{", "}"
    else:
        parts = [laid_out(each, 0, deeper) for each in value]
        first, last = "[", "]"
    lines = _filled([f"{part}," for part in parts[:-1]] + parts[-1:], _WIDE - len(deeper))
    inside = f"\n{deeper}".join(lines)
    return f"{first}\n{deeper}{inside}\n{indent}{last}"


def _filled(parts: Sequence[str], width: int) -> list[str]:
    """Parts joined to lines; one that has several lines stands alone."""
    lines: list[str] = []
    is_open = False
    for part in parts:
        is_plain = "\n" not in part
        if is_open and is_plain and len(lines[-1]) + 1 + len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
        is_open = is_plain
    return lines
