"""Words for a value that is wrong: where it is, what was expected, what was found, what was meant.

What is expected of a value is read from its JSON Schema, so that no limit is written down twice.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any, Final

from sim.toml_lines import KeyPath


def dotted(path: KeyPath) -> str:
    """A path as people write it: robots.count, skus[0].share."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part if re.fullmatch(r"[\w-]+", part, re.ASCII) else json.dumps(shortened(part))
            text += f".{plain}" if text else plain
    return text


def show(value: object) -> str:
    """A value as it would stand in the file, short enough for a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{shortened(value)}'"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**40 else "a number of far too many digits"
    if isinstance(value, float):
        return str(value)
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(show, value))}]" if len(value) <= 4 else ""
        return text if text and len(text) <= 40 else f"a list of {len(value):,}"
    return type(value).__name__


def inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema without references and without the choice of having no value."""
    tree: dict[str, Any] = _inlined(schema, schema.get("$defs", {}))
    return tree


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(inner, definitions) for inner in node]
    if not isinstance(node, Mapping):
        return node
    plain = {key: _inlined(value, definitions) for key, value in node.items() if key not in ("$defs", "$ref")}
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return {**_inlined(target, definitions), **plain}
    given = [choice for choice in plain.get("anyOf", ()) if choice.get("type") != "null"]
    if len(given) == 1:
        del plain["anyOf"]
        return {**given[0], **plain}
    if given:
        plain["anyOf"] = given
    return plain


def node_at(tree: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
    """What an inlined schema says of a path; empty where it says nothing."""
    node: Any = tree
    for part in path:
        if isinstance(part, int):
            prefix = node.get("prefixItems", ())
            node = prefix[part] if part < len(prefix) else node.get("items", {})
        else:
            node = _value_node(node, part)
    return dict(node)


def _value_node(node: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What a table's schema says of a key: one that it names, or any where names are free."""
    if key in (named := node.get("properties", {})):
        return dict(named[key])
    of_form = [each for form, each in node.get("patternProperties", {}).items() if re.search(form, key)]
    free = [*of_form, node.get("additionalProperties")]
    return next((each for each in free if isinstance(each, Mapping)), {})


_PATTERNS: Final = {
    r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$": "a time of day as '08:30'",
    r"^[^\x00-\x1f]+$": "text of 1 to {maxLength} characters",
    r"^[^\x00-\x1f\x7f]*$": "text of at most {maxLength} characters on one line",
}


def describe(node: Mapping[str, Any]) -> str:
    """What a value has to be, from its node of an inlined schema: a whole number from 1 to 16."""
    kind = node.get("type")
    if "enum" in node:
        return one_of(node["enum"])
    if "const" in node:
        return show(node["const"])
    if "anyOf" in node:
        return " or ".join(describe(choice) for choice in node["anyOf"])
    if kind == "string":
        return _describe_text(node)
    if kind == "array":
        return _describe_list(node)
    return _KINDS.get(kind, "another value") + _range(node)


_KINDS: Final[dict[object, str]] = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a table",
}


def _describe_text(node: Mapping[str, Any]) -> str:
    if node.get("format") == "date":
        return "a date as 2026-03-02"
    if "pattern" in node:
        return _PATTERNS.get(node["pattern"], "text of the form {pattern}").format_map(node)
    if "maxLength" in node:
        return f"text of at most {node['maxLength']:,} characters"
    return "text"


def _describe_list(node: Mapping[str, Any]) -> str:
    least, most = node.get("minItems"), node.get("maxItems")
    items = node.get("items") or {}
    kinds = {
        "integer": "whole numbers",
        "number": "numbers",
        "string": "texts",
        "object": "tables",
        "array": "lists",
    }
    many = kinds.get(items.get("type", ""), "values")
    if least is not None and least == most:
        return f"a list of {least} {many}"
    if most is not None and (least or 0) <= 1:
        return f"a list of {least or 0} to {most:,} {many}"
    return f"a list of {many}" if not least else f"a list of at least {least} {many}"


def _range(node: Mapping[str, Any]) -> str:
    above, least = node.get("exclusiveMinimum"), node.get("minimum")
    below, most = node.get("exclusiveMaximum"), node.get("maximum")
    if least is not None and most is not None:
        return f" from {_number(least)} to {_number(most)}"
    parts = [
        f"{words} {_number(limit)}"
        for words, limit in (("above", above), ("at least", least), ("below", below), ("at most", most))
        if limit is not None
    ]
    return f" {' and '.join(parts)}" if parts else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def one_of(names: Sequence[str]) -> str:
    """A choice in words: 'a', 'b' or 'c'."""
    shown = [show(name) for name in names]
    return f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else shown[0]


def near(word: object, words: Iterable[str]) -> str:
    """The text ", did you mean 'x'?" for the closest of the words; empty if none is close."""
    folded = {other.lower(): other for other in words}
    match = get_close_matches(str(word)[:100].lower(), folded, n=1, cutoff=0.6)
    return f", did you mean '{shortened(folded[match[0]])}'?" if match else ""


def shortened(text: str) -> str:
    """A text that fits into a line, and can be printed."""
    return printable(text if len(text) <= 60 else f"{text[:57]}...")


def printable(text: str) -> str:
    """A text without characters that would disturb a terminal or break the line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
