"""The pages: HTML, style sheets and ES modules as they stand in api/web, for a browser.

They need no key, since a browser cannot send one when it opens an address, and have nothing of the data in
them: what they then ask for needs one as ever.
"""

import gzip
import hashlib
from collections.abc import Callable, Coroutine
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response

from api.problems import Problem
from api.routing import Route

PAGES: Final = {"": "index", "compare": "compare", "runs": "runs", "help": "help"}
"""What stands under /ui/, and the file of each."""

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}
"""What a file may be, by the end of its name."""


class _PageRoute(Route):
    """A route that leaves the query alone: it is for the page, which reads it in the browser."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return APIRoute.get_route_handler(self)


router = APIRouter(route_class=_PageRoute, generate_unique_id_function=lambda route: route.name)


def _file(request: Request, name: str) -> Response:
    """A file of the pages; a browser asks each time whether it has changed."""
    folder = files("api").joinpath("web")
    if name not in {each.name for each in folder.iterdir() if each.is_file()}:
        raise Problem(404, "not-found", "there is no such file of the pages")
    return _sent(request, folder.joinpath(name).read_bytes(), TYPES[name.rpartition(".")[2]])


def _sent(request: Request, body: bytes, kind: str) -> Response:
    """What a browser has not yet in this version."""
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag, "Vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        # With its type it gets the headers of that type: a browser puts these in the place of the old ones.
        return Response(status_code=304, headers={**headers, "Content-Type": kind})
    if kind != TYPES["png"] and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(_packed(body), headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
    return Response(body, headers=headers, media_type=kind)


@lru_cache(maxsize=100)
def _packed(body: bytes) -> bytes:
    """A file as it is sent: a third of its size."""
    return gzip.compress(body, mtime=0)


@router.get("/", include_in_schema=False)
@router.get("/ui", include_in_schema=False)
async def to_page(request: Request) -> Response:
    """The live page, wherever one looks for it."""
    query = request.url.query
    return RedirectResponse(f"/ui/?{query}" if query else "/ui/", 307, headers={"Cache-Control": "no-cache"})


@router.get("/ui/", include_in_schema=False)
async def live_page(request: Request) -> Response:
    """The live page."""
    return _file(request, "index.html")


@router.get("/ui/{name}", include_in_schema=False)
async def page(request: Request, name: str) -> Response:
    """Another page."""
    if not PAGES.get(name):
        raise Problem(404, "not-found", f"there is no such page; the pages are /ui/{', /ui/'.join(PAGES)}")
    return _file(request, f"{PAGES[name]}.html")


@router.get("/static/questions/{name}.svg", include_in_schema=False)
async def question_picture(request: Request, name: str) -> Response:
    """The picture of an answer to one of the twenty questions."""
    from api.questions import picture

    path = picture(name)
    if path is None:
        raise Problem(404, "not-found", "there is no picture of such a question")
    return _sent(request, path.read_bytes(), TYPES["svg"])


@router.get("/static/{name}", include_in_schema=False)
async def part(request: Request, name: str) -> Response:
    """A style sheet, a module or a picture of the pages."""
    return _file(request, name)
