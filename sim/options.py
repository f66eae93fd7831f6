"""Options that several commands share, and the policies that one of them names."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import typer

ScenarioArgument = Annotated[
    str,
    typer.Argument(metavar="SCENARIO", help="A scenario file, or a name from `meterhouse list scenarios`."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Sets a scenario value; may be given several times."),
]
PoliciesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--policy", metavar="POLICY", help="An allocation policy, or FILE.py:FUNCTION; may be repeated."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Prints one JSON object.")]


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command that is given, for each parameter that is a dataclass of options, these options one by one.

    Options that belong together are so declared once, and stand in the help where the parameter stands.
    """
    groups: dict[str, tuple[type[Any], list[str]]] = {}
    options: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        kind = parameter.annotation
        if not isinstance(kind, type) or not is_dataclass(kind):
            options.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = kind, [each.name for each in fields(kind)]
        options += [
            Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
            for each in fields(kind)
        ]

    @wraps(command)
    def given_one_by_one(**values: Any) -> None:
        made = {
            name: kind(**{each: values.pop(each) for each in names}) for name, (kind, names) in groups.items()
        }
        command(**values, **made)

    given_one_by_one.__signature__ = signature(command).replace(parameters=options)  # type: ignore[attr-defined]
    return given_one_by_one


def rules_of(policies: Sequence[str], option: str = "--policy") -> list[str]:
    """The names of policies that an option gives; those of the user's own, FILE.py:FUNCTION, are loaded."""
    from sim.allocation import ALIASES, POLICIES
    from sim.ownrule import OwnRuleError, is_own, load_rule, short_name
    from sim.words import near, show

    known = [*POLICIES, *ALIASES]
    loaded: dict[str, str] = {}
    lines: list[str] = []
    names = []
    for text in dict.fromkeys(policies):
        name = text
        if not is_own(text):
            if text not in known:
                expected = f"expected {', '.join(known)} or FILE.py:FUNCTION"
                lines.append(f"{option}: {expected}, found {show(text)}{near(text, known)}")
        else:
            # Two files of one name are told apart by their folders.
            name = text if loaded.setdefault(short_name(text), text) != text else short_name(text)
            try:
                load_rule(text, name)
            except OwnRuleError as error:
                lines += error.lines
        names.append(name)
    if lines:
        raise OwnRuleError(lines)
    return names


def set_policy(policy: str, option: str = "--policy") -> str:
    """What --set is given for a policy that a store can follow."""
    import json

    from sim.allocation import OWN_RULES
    from sim.ownrule import OwnRuleError
    from sim.words import show

    (name,) = rules_of([policy], option)
    if name in OWN_RULES and "departures" in OWN_RULES[name].needs:
        found = f"found {show(name)}, which needs to know when boxes leave: only `meterhouse replay` does"
        raise OwnRuleError([f"{option}: expected a rule that a store can follow, {found}"])
    return f"policy.allocation={json.dumps(name, ensure_ascii=False)}"
