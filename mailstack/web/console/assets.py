"""Style sheets, scripts and pictures: from memory, and kept by browsers until they change."""

import hashlib
import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent.parent / "static"
KEPT = "public, max-age=31536000, immutable"


class Assets:
    def __init__(self) -> None:
        files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in (".css", ".js", ".svg")}
        self._files = {name: (data, hashlib.sha256(data).hexdigest()[:12]) for name, data in files.items()}

    def routes(self) -> list[BaseRoute]:
        return [Route("/static/{digest}/{name}", self._answer)]

    def path(self, name: str) -> str:
        """With what it holds in its path: a browser asks for one that changed."""
        return f"/static/{self._files[name][1]}/{name}"

    async def _answer(self, request: Request) -> Response:
        data, digest = self._files.get(request.path_params["name"], (b"", ""))
        if not digest:
            raise HTTPException(404)
        kind = mimetypes.guess_type(request.path_params["name"])[0]
        kept = KEPT if digest == request.path_params["digest"] else "no-cache"
        return Response(data, headers={"cache-control": kept}, media_type=kind)
