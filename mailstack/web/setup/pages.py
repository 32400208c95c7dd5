"""/setup: the settings for people to read, profiles for Apple's devices, and the links that set up one device."""

import asyncio
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mailstack.store.users.setup_links import PROFILE_SECONDS, Offer, SetupLinks
from mailstack.web.console.my.qr import picture
from mailstack.web.console.privacy import is_private
from mailstack.web.console.templates import Templates
from mailstack.web.setup.domains import Domains, address_of, host_of
from mailstack.wire import apple_profile, thunderbird_mobile
from mailstack.wire.client_settings import ClientSettings

Signer = Callable[[bytes], bytes]  # blocking
# An answer with a secret in it is nobody's to keep.
SECRET = {"cache-control": "no-store"}


class SetupPages:
    """`sign`: what puts a signature around a profile; None: there is no certificate."""

    def __init__(
        self,
        domains: Domains,
        settings: Callable[[], ClientSettings],
        links: SetupLinks,
        sign: Signer | None,
        templates: Templates,
    ) -> None:
        self._domains = domains
        self._settings = settings
        self._links = links
        self._sign = sign
        self._templates = templates

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/setup", self._public),
            Route("/setup/mail.mobileconfig", self._public_profile),
            Route("/setup/profile/{token}.mobileconfig", self._profile),
            Route("/setup/{token}", self._link),
            Route("/setup/{token}/profile", self._take_profile, methods=["POST"]),
            Route("/setup/{token}/settings", self._take_settings, methods=["POST"]),
        ]

    # For everybody ------------------------------------------------------------------------------------------------------

    async def _public(self, request: Request) -> Response:
        asked = await self._domains.of(host_of(request), None)
        domain = asked if await self._domains.serves(asked) else None
        return await self._page("public.html", settings=self._settings(), domain=domain)

    async def _public_profile(self, request: Request) -> Response:
        """Without a password; the same for every address of a domain, whether there is such an account or not."""
        address = address_of(request.query_params.get("emailaddress", ""))
        if address is None or await self._domains.of(host_of(request), address) is None:
            raise HTTPException(404, "This server has no mail for that address's domain.")
        return await self._profile_answer(str(address), "", None, {})

    # For one device -----------------------------------------------------------------------------------------------------

    async def _link(self, request: Request) -> Response:
        """What a link leads to is not given yet: programs that show a preview of a link look at it, too."""
        _need_privacy(request)
        offer = await self._links.look(request.path_params["token"])
        if offer is None:
            return await self._page("over.html", 404)
        return await self._page("link.html", offer=offer, token=request.path_params["token"])

    async def _take_settings(self, request: Request) -> Response:
        _need_privacy(request)
        offer = await self._links.take(request.path_params["token"])
        if offer is None:
            return await self._page("over.html", 404)
        settings = self._settings()
        code = await asyncio.to_thread(_mobile_code, settings, offer)
        return await self._page("settings.html", settings=settings, offer=offer, code=code)

    async def _take_profile(self, request: Request) -> Response:
        """Devices take a profile from a plain GET: there is one, once, within a minute."""
        _need_privacy(request)
        offer = await self._links.take(request.path_params["token"])
        if offer is None:
            return await self._page("over.html", 404)
        token = await self._links.offer(offer.address, offer.label, offer.password, PROFILE_SECONDS)
        return RedirectResponse(f"/setup/profile/{token}.mobileconfig", 303, SECRET)

    async def _profile(self, request: Request) -> Response:
        _need_privacy(request)
        token = request.path_params["token"]
        offer = await self._links.look(token) if request.method == "HEAD" else await self._links.take(token)
        if offer is None:
            return await self._page("over.html", 404)
        return await self._profile_answer(offer.address, offer.label, offer.password, SECRET)

    # --------------------------------------------------------------------------------------------------------------------

    async def _profile_answer(self, address: str, label: str, password: str | None, headers: dict[str, str]) -> Response:
        try:
            profile = apple_profile.write(self._settings(), address, label, password)
        except ValueError:
            raise HTTPException(404, "This server has no door for mail programs.") from None
        if self._sign is not None:
            profile = await asyncio.to_thread(self._sign, profile)
        named = {"content-disposition": 'attachment; filename="mail.mobileconfig"', **headers}
        return Response(profile, media_type=apple_profile.MEDIA_TYPE, headers=named)

    async def _page(self, name: str, status: int = 200, **values: object) -> Response:
        await self._templates.ready()
        return self._templates.answer(f"setup/{name}", status, values)


def _need_privacy(request: Request) -> None:
    """A password goes over TLS, or stays on this machine."""
    if not is_private(request):
        raise HTTPException(403, "This page holds a password: open it with https.")


def _mobile_code(settings: ClientSettings, offer: Offer) -> str | None:
    """The code for Thunderbird on Android, as a picture."""
    text = thunderbird_mobile.write(settings, offer.address, offer.address.rpartition("@")[0], offer.password)
    return picture(text) if text is not None else None
