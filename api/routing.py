"""Routes that are passed over quickly: most requests are for another one."""

from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Match

from api.shell import Scope


class Route(APIRoute):
    """A route that looks at how a path begins, and how deep it is, before it takes it apart."""

    def __init__(self, path: str, *positional: Any, **named: Any) -> None:
        super().__init__(path, *positional, **named)
        self._start = path.partition("{")[0]
        self._depth = path.count("/")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route."""
        path = scope["path"]
        if scope["type"] != "http" or not path.startswith(self._start) or path.count("/") != self._depth:
            return Match.NONE, {}
        return super().matches(scope)


def new_router() -> APIRouter:
    """A router of such routes; an operation is called as its function."""
    return APIRouter(route_class=Route, generate_unique_id_function=lambda route: route.name)
