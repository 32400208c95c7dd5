"""user.device.add: a device with its own password, what to type into it, and a link that sets it up. clients: the settings."""

from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments
from mailstack.control.devices import DeviceOperations
from mailstack.control.operations import Operation
from mailstack.store.users.setup_links import SetupLinks
from mailstack.wire.client_settings import ClientSettings


class SetupOperations:
    """`links`: None where no server runs that could answer them."""

    def __init__(self, devices: DeviceOperations, settings: Callable[[], ClientSettings], links: SetupLinks | None) -> None:
        self._devices = devices
        self._settings = settings
        self._links = links

    def table(self) -> dict[str, Operation]:
        return {"clients": self.clients, "user.device.add": self.add}

    async def clients(self, _: Arguments) -> Any:
        """The settings for mail programs of this server."""
        settings = self._settings()
        services = [
            {"kind": one.kind.value.lower(), "host": one.host, "port": one.port, "security": one.security.value}
            for one in settings.services
        ]
        return {"host": settings.host, "services": services, "mechanisms": list(settings.mechanisms), "web": settings.web}

    async def add(self, arguments: Arguments) -> Any:
        """An app password, as user.app-password.add makes it, with the settings and the link (None: there is none)."""
        made = await self._devices.add(arguments)
        web = self._settings().web
        link = None
        if self._links is not None and web is not None:
            link = f"{web}/setup/{await self._links.offer(made['address'], made['label'], made['password'])}"
        return {**made, **await self.clients({}), "link": link}
