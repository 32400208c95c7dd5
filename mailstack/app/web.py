"""The HTTP door: which parts it has, and what each is given."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from socket import socket
from typing import TYPE_CHECKING

from mailstack.app.settings import Settings
from mailstack.control.operations import Operation
from mailstack.web.health import Health
from mailstack.web.policies import Policies
from mailstack.web.server import WebServer
from mailstack.web.site import build

if TYPE_CHECKING:
    from mailstack.app.doors import Behind


class Web:
    """listen(), then stop(); use() when settings change."""

    def __init__(
        self, behind: "Behind", settings: Settings, operations: Mapping[str, Operation], ready: Callable[[], bool]
    ) -> None:
        self._policies = Policies(settings.web_texts)
        parts = (Health(ready), self._policies)
        self._server = WebServer(build(route for part in parts for route in part.routes()))

    async def listen(self, sockets: Mapping[str, Sequence[socket]], tls: ssl.SSLContext | None) -> None:
        await self._server.listen(sockets["http"], None)
        if tls is not None:
            await self._server.listen(sockets["https"], tls)

    def use(self, settings: Settings) -> None:
        self._policies.texts = settings.web_texts

    async def stop(self, seconds: float) -> None:
        await self._server.stop(seconds)
