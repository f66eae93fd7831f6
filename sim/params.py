"""The base of every parameter model: frozen, strict about keys and about numbers.

A parameter model stands beside the code that it configures; `scenario` composes them. Each field
states its range where it is declared, and `fact` adds its unit and the origin of its default.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Origin = Literal["sourced", "standard", "derived", "assumption", "setting"]


class Params(BaseModel):
    """A group of scenario values; an unknown key is an error and nothing can be changed later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, defer_build=True
    )


def _refuse_bool_and_text(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticCustomError("number_type", "expected a number")
    return value


JsonInt = Annotated[int, BeforeValidator(_refuse_bool_and_text)]
"""A whole number; unlike pydantic's lax mode it takes neither true nor "3"."""

JsonFloat = Annotated[float, BeforeValidator(_refuse_bool_and_text)]
"""A number; unlike pydantic's lax mode it takes neither true nor "3"."""


def fact(
    default: Any,
    description: str,
    *,
    unit: str = "",
    origin: Origin = "setting",
    live: bool = False,
    **limits: Any,
) -> Any:
    """A field with its default, its sentence, its unit and where its default comes from.

    `live`: a command may change the value in the middle of a run.
    """
    extra: dict[str, Any] = {"origin": origin}
    if unit:
        extra["unit"] = unit
    if live:
        extra["live"] = True
    if isinstance(default, list | dict):
        frozen = default
        return Field(
            default_factory=lambda: type(frozen)(frozen),
            description=description,
            json_schema_extra=extra,
            **limits,
        )
    return Field(default, description=description, json_schema_extra=extra, **limits)
