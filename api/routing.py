"""Routes that are passed over quickly, since most requests are for another one, and that ignore nothing."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match

from api.problems import Problem, pointer
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

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers; where a query has no model that refuses unknown names, none is taken."""
        handler = super().get_route_handler()
        if self.dependant.query_params:
            return handler

        async def without_query(request: Request) -> Response:
            if request.scope["query_string"]:
                query = request.scope["query_string"].decode("latin-1")
                names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
                errors = [{"pointer": pointer([name[:100]]), "detail": "expected no query"} for name in names]
                raise Problem(422, "invalid", "expected no query", errors=errors)
            return await handler(request)

        return without_query


def new_router() -> APIRouter:
    """A router of such routes; an operation is called as its function."""
    return APIRouter(route_class=Route, generate_unique_id_function=lambda route: route.name)
