"""Pages from templates; everything that is put into one is escaped."""

import asyncio
import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from mailstack.control.story import clean
from mailstack.web.console.programs import program

FOLDER = Path(__file__).parent.parent / "templates"
# Of forms a browser tells the origin only with this one; pages with what is private are kept nowhere.
HEADERS = {"referrer-policy": "same-origin", "cache-control": "no-store"}


class Templates:
    """`shared`: what every template knows."""

    def __init__(self, **shared: Any) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(shared, zone=zone)
        self._environment.filters.update(moment=moment, day=day, octets=octets, clean=clean, program=program)
        self._ready: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Before the first page: all templates are compiled, beside the loop, since each takes it longer than a turn may."""
        if self._ready is None:
            self._ready = asyncio.create_task(asyncio.to_thread(self._compile))
        if not self._ready.done():
            await asyncio.shield(self._ready)

    def _compile(self) -> None:
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def answer(self, name: str, status: int, values: dict[str, Any]) -> Response:
        return HTMLResponse(self._environment.get_template(name).render(values), status, headers=HEADERS)


def moment(seconds: float | None) -> str:
    """A time for people; the server's time zone."""
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M") if seconds else "–"


def zone() -> str:
    """In which all times are."""
    return datetime.datetime.now().astimezone().strftime("%Z")


def day(seconds: float | None) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d") if seconds else "–"


def octets(number: int | None) -> str:
    """A size for people: 1.5 GiB."""
    if number is None:
        return "–"
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
