"""One certificate from an authority, from the order to the chain (RFC 8555 7.4). What is under way survives a restart."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailstack.certificates.controls import ControlProblem, Shown
from mailstack.certificates.settings import Control
from mailstack.log import get_logger
from mailstack.net.acme_values import AcmeProblem, Authorization, Challenge, Order

if TYPE_CHECKING:
    from mailstack.net.acme import Acme

log = get_logger()
PATIENCE = 300.0  # seconds until an authority has looked, or has signed
FIRST_LOOK, LONGEST_LOOK = 0.5, 30.0
T = TypeVar("T", Order, Authorization)
GONE = ("malformed", "notFound", "orderNotFound", "unauthorized", "answer")  # what authorities say of an order they forgot


class NameRefused(Exception):
    """An authority did not find what it asked for at this name, or does not sign for it."""

    def __init__(self, names: Sequence[str], reason: str, *, checked: bool) -> None:
        super().__init__(reason)
        self.names = tuple(names)
        self.reason = reason
        self.checked = checked  # it looked: another way to show it may do


@dataclass(frozen=True, slots=True)
class Ordering:
    """obtain() for one conversation. `keep`: the order's URL, on disk before anything else happens; None: there is none.

    Raises AcmeProblem, NameRefused, ControlProblem.
    """

    acme: "Acme"
    shown: Mapping[Control, Shown]
    keep: Callable[[str | None], Awaitable[None]]

    async def obtain(
        self,
        names: Sequence[str],
        key: ec.EllipticCurvePrivateKey,
        control: Control,
        under_way: str | None,
        replaces: str | None,
    ) -> bytes:
        """The chain, PEM. `under_way`: the URL of an order that was begun for these names."""
        order = await self._resumed(under_way, names)
        if order is None:
            order = await self._begun(names, replaces)
            await self.keep(order.url)
        if order.status == "pending":
            for url in order.authorizations:
                await self._prove(url, control)
            order = await self._settled(order, ("pending",))
        if order.status == "ready":
            await self.acme.finalize(order, _request(names, key))
            order = await self._settled(order, ("ready", "processing"))
        elif order.status == "processing":
            order = await self._settled(order, ("processing",))
        if order.status != "valid" or order.certificate is None:
            raise AcmeProblem(order.problem or f"the order is {order.status}", "order")
        chain = await self.acme.certificate(order.certificate)
        _check(chain, names, key)
        return chain

    async def _resumed(self, url: str | None, names: Sequence[str]) -> Order | None:
        if url is None:
            return None
        try:
            order = await self.acme.order(url)
        except AcmeProblem as problem:
            if problem.kind not in GONE:
                raise
            log.info("tls.order_forgotten", order=url, problem=str(problem))
            return None
        if order.status == "invalid" or set(order.names) != set(names):
            return None
        log.info("tls.order_resumed", order=url, status=order.status)
        return order

    async def _begun(self, names: Sequence[str], replaces: str | None) -> Order:
        try:
            return await self.acme.new_order(names, replaces)
        except AcmeProblem as problem:
            if replaces is not None and problem.kind in ("alreadyReplaced", "malformed", "unauthorized"):
                return await self._begun(names, None)  # RFC 9773 5: an order without it is as good
            if problem.names and problem.kind != "rateLimited":
                raise NameRefused(problem.names, str(problem), checked=False) from problem
            raise

    async def _prove(self, url: str, control: Control) -> None:
        found = await self.acme.authorization(url)
        if found.status == "valid":
            return
        if found.status != "pending":
            raise NameRefused([found.name], found.problem or f"its authorization is {found.status}", checked=True)
        challenge = next((one for one in found.challenges if one.kind == control), None)
        if challenge is None:
            raise NameRefused([found.name], f"the authority offers no {control} for it", checked=True)
        await self._show(found, challenge, url, self.shown[control])

    async def _show(self, found: Authorization, challenge: Challenge, url: str, shown: Shown) -> None:
        answer, digest = self.acme.key_authorization(challenge.token), self.acme.dns_value(challenge.token)
        words = (found.name, challenge.token, answer, digest)
        try:
            await shown.show(*words)
            if challenge.status == "pending":
                await self.acme.answer(challenge)
            found = await self._judged(url)
        finally:
            with contextlib.suppress(ControlProblem):
                await shown.hide(*words)
        if found.status != "valid":
            raise NameRefused([found.name], found.problem or f"its authorization is {found.status}", checked=True)

    async def _judged(self, url: str) -> Authorization:
        return await self._poll(lambda: self.acme.authorization(url), ("pending",), "the authority does not look")

    async def _settled(self, order: Order, waiting: Sequence[str]) -> Order:
        order = await self._poll(lambda: self.acme.order(order.url), waiting, "the authority does not sign")
        if order.status == "invalid":
            raise AcmeProblem(order.problem or "the order is invalid", "order")
        return order

    async def _poll(self, ask: Callable[[], Awaitable[T]], waiting: Sequence[str], problem: str) -> T:
        """Ask as often as the authority says (RFC 8555 7.5.1), or ever less often. Raises AcmeProblem when patience ends."""
        loop = asyncio.get_running_loop()
        end, wait = loop.time() + PATIENCE, FIRST_LOOK
        while (found := await ask()).status in waiting:
            if loop.time() > end:
                raise AcmeProblem(problem, "timeout")
            await asyncio.sleep(min(max(self.acme.retry_after or 0.0, wait), LONGEST_LOOK))
            wait = min(wait * 1.5, LONGEST_LOOK)
        return found


def _request(names: Sequence[str], key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """RFC 8555 7.4: exactly the order's names. A common name has room for 64 letters only, and needs not be there."""
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if len(names[0]) <= 64 else []
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    return builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())


def _check(chain: bytes, names: Sequence[str], key: ec.EllipticCurvePrivateKey) -> None:
    """Whether it is what was ordered: an order that was resumed may have had another key."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except (ValueError, IndexError, x509.ExtensionNotFound):
        raise AcmeProblem("what it signed is no certificate", "answer") from None
    if leaf.public_key() != key.public_key():
        raise AcmeProblem("what it signed is for another key", "key")
    missing = sorted(set(names) - {name.lower() for name in found})
    if missing:
        raise AcmeProblem(f"what it signed is not for {', '.join(missing)}", "answer")
