"""What a browser sent of a form: plain fields, of bounded size."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

FIELDS = 500
SECONDS = 30.0


class Form(Mapping[str, str]):
    """The last value of each name, without blanks around it; no KeyError: what was not sent is empty."""

    def __init__(self, pairs: list[tuple[str, str]] | None = None) -> None:
        self._pairs = pairs or []

    def __getitem__(self, name: str) -> str:
        return self.exactly(name).strip()

    def exactly(self, name: str) -> str:
        """With blanks: a password."""
        return next((value for key, value in reversed(self._pairs) if key == name), "")

    def every(self, name: str) -> list[str]:
        """Of several fields with one name, as boxes that are ticked."""
        return [value.strip() for key, value in self._pairs if key == name]

    def words(self, name: str) -> list[str]:
        """What stands between blanks, commas and line ends."""
        return self[name].replace(",", " ").split()

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))


async def read_form(request: Request, limit: int) -> Form:
    """Raises HTTPException: 400, 408, 413, 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    try:
        return Form(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        raise HTTPException(400) from None
