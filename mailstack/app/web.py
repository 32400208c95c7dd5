"""The HTTP door: which parts it has, and what each is given."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from socket import socket
from typing import TYPE_CHECKING

from mailstack.app.settings import Settings
from mailstack.control.operations import Operation
from mailstack.net.proxied import Proxies
from mailstack.net.signed_profile import sign
from mailstack.net.tls import Certificates
from mailstack.web.acme import AcmeAnswers
from mailstack.web.api.accounts import Administration
from mailstack.web.api.messages import Messages, Submitting
from mailstack.web.api.parts import Api, explaining
from mailstack.web.authority import AuthorityFile
from mailstack.web.console.desk import Behind as ConsoleBehind
from mailstack.web.console.parts import Console
from mailstack.web.console.templates import Templates
from mailstack.web.health import Health
from mailstack.web.leaving import LeavingPages
from mailstack.web.policies import Policies
from mailstack.web.seen import Seen
from mailstack.web.server import WebServer
from mailstack.web.setup.autoconfig import Autoconfig
from mailstack.web.setup.autodiscover import Autodiscover
from mailstack.web.setup.domains import Domains
from mailstack.web.setup.pages import SetupPages
from mailstack.web.site import build
from mailstack.web.tls_reports import TlsReportsTaken
from mailstack.wire.client_settings import ClientSettings

if TYPE_CHECKING:
    from mailstack.app.data import Data
    from mailstack.app.doors import Behind


class Web:
    """listen(), then stop(); use() when settings change."""

    def __init__(
        self,
        behind: "Behind",
        settings: Settings,
        operations: Mapping[str, Operation],
        certificates: Certificates | None,
        ready: Callable[[], bool],
    ) -> None:
        self._policies = Policies(settings.web_texts, behind.data.directory.is_local_domain)
        self._proxies = Proxies.of(behind.data.config.proxy.trusted)
        self.console = self._console(behind, operations)
        tls = behind.tls
        own = (AcmeAnswers(tls.by_http.tokens), AuthorityFile(tls.authority)) if tls is not None else ()
        self._takes_reports = settings.reporting.takes
        take = behind.data.report_mail.take_posted
        reports = TlsReportsTaken(lambda: take if self._takes_reports else None, behind.data.surroundings.clock)
        seeing = behind.seeing

        def trouble() -> str | None:
            return seeing.trouble() if ready() else "not ready"

        parts = (
            Health(trouble),
            seeing.page,
            Seen(),
            self._policies,
            reports,
            LeavingPages(behind.data.leaving, self.console.templates),
            *own,
            *_setting_up(behind.data, certificates, self.console.templates),
            self._api(behind, operations, settings.message_size),
            self.console,
        )
        routes = (route for part in parts for route in part.routes())
        hsts = tls.hsts if tls is not None else lambda _: None
        site = build(routes, explaining(self.console.explain), lambda: self._proxies, hsts)
        self._server = WebServer(site, lambda peer: self._proxies.trusts(peer))

    def _api(self, behind: "Behind", operations: Mapping[str, Operation], size: int) -> Api:
        data, surroundings = behind.data, behind.data.surroundings
        submitting = Submitting(
            hostname=data.config.hostname,
            policy=behind.submission,
            acceptor=behind.acceptor,
            trace=data.trace,
            spool=data.path / "spool",
            directory=data.directory,
            tokens=data.api_tokens,
            clock=surroundings.clock,
            randomness=surroundings.randomness,
        )
        self._messages = Messages(submitting, size)
        endpoints = [*self._messages.endpoints(), *Administration(operations).endpoints()]
        return Api(endpoints, data.api_tokens, data.directory, behind.logins, surroundings.clock)

    def _console(self, behind: "Behind", operations: Mapping[str, Operation]) -> Console:
        data = behind.data
        has = ConsoleBehind(
            data.config.hostname,
            data.path,
            operations,
            data.directory,
            data.sessions,
            data.codes,
            behind.logins,
            lambda: data.clients.web,
        )
        return Console(has, data.surroundings.clock)

    async def listen(self, sockets: Mapping[str, Sequence[socket]], tls: ssl.SSLContext | None) -> None:
        await self._server.listen(sockets["http"], None)
        if tls is not None:
            await self._server.listen(sockets["https"], tls)

    def use(self, settings: Settings) -> None:
        self._policies.texts = settings.web_texts
        self._messages.size = settings.message_size
        self._takes_reports = settings.reporting.takes

    async def stop(self, seconds: float) -> None:
        await self._server.stop(seconds)


def _setting_up(
    data: "Data", certificates: Certificates | None, templates: Templates
) -> tuple[Autoconfig, Autodiscover, SetupPages]:
    """How mail programs set themselves up."""

    def settings() -> ClientSettings:
        return data.clients

    def own() -> frozenset[str]:
        return frozenset({data.config.hostname.lower(), data.clients.host.lower()})

    domains = Domains(data.directory.domains, own)
    signer = (lambda profile: sign(profile, *certificates.pair)) if certificates is not None else None
    return (
        Autoconfig(domains, settings),
        Autodiscover(domains, settings, data.surroundings.clock),
        SetupPages(domains, settings, data.setup_links, signer, templates),
    )
