"""Options that commands share: declared once, given one by one."""

import inspect
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from sim.options import rules_of, spread
from sim.ownrule import OwnRuleError


@dataclass(frozen=True)
class Amount:
    runs: Annotated[int, typer.Option("--runs", min=1, help="How many.")] = 10
    seed: int | None = None


@pytest.fixture
def heard():
    """A command that takes a group of options, and what it was given."""
    given = []

    @spread
    def command(name: Annotated[str, typer.Argument()], *, amount: Amount, loud: bool = False) -> None:
        """Says it."""
        given.append((name, amount, loud))

    app = typer.Typer(add_completion=False)
    app.command()(command)
    return get_command(app), given


def test_group_is_given_one_by_one(heard):
    """A command line gives the options of a group by their names; those it leaves out have their defaults."""
    command, given = heard
    command(["a", "--runs", "3", "--loud"], standalone_mode=False)
    command(["b", "--seed", "7"], standalone_mode=False)
    assert given == [("a", Amount(3, None), True), ("b", Amount(10, 7), False)]


def test_group_stands_where_its_parameter_stands(heard):
    """The options of a group are shown in place of it, with their limits."""
    command, _ = heard
    assert [each.name for each in command.params if each.name != "help"] == ["name", "runs", "seed", "loud"]
    assert command.help == "Says it."
    with pytest.raises(typer.BadParameter, match="greater than or equal to 1"):
        command(["a", "--runs", "0"], standalone_mode=False)


def test_command_without_a_group_stays(heard):
    """A command without a group of options takes what it took."""

    @spread
    def command(name: str, loud: bool = False) -> None: ...

    assert list(inspect.signature(command).parameters) == ["name", "loud"]


def test_unknown_policy_names_its_option():
    """A policy that does not exist is refused under the option that named it, with the near miss."""
    with pytest.raises(OwnRuleError, match=r"^--rule: expected .*, found 'randon', did you mean 'random'\?$"):
        rules_of(["randon"], "--rule")
