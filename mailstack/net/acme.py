"""Asking a certificate authority (RFC 8555). aioacme signs, keeps nonces and knows the words; what it can't read is read here.

Its own readers refuse an authorization that has a kind of challenge which they don't know (authorities add some), and a
finalized order without Location; it repeats a request whose nonce is bad without end. It brings 20 MiB with it: this
module is loaded once there is something to ask.
"""

import base64
import hashlib
import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aioacme
import httpx
import orjson
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack import __version__
from mailstack.net.acme_values import AcmeProblem, Authorization, Binding, Challenge, Order

BAD_NONCES = 20  # one after another
SECONDS = 60.0  # for an answer
TEXT_LIMIT = 500  # characters of a reason
URN = "urn:ietf:params:acme:error:"


class _Client(aioacme.Client):
    """One request at a time; an answer's headers are kept for the next who asks."""

    retry_after: float | None = None
    _bad_nonces = 0

    async def directory(self) -> Mapping[str, Any]:
        response = await self._client.get(self.directory_url)
        response.raise_for_status()
        found = orjson.loads(response.content)
        return dict(found)

    async def send(self, url: str, data: Mapping[str, Any] | bytes = b"") -> tuple[httpx.Response, Any]:
        """POST, or POST-as-GET; the answer as it is, and read as JSON."""
        self._bad_nonces = 0
        response = await self._request(url, data=data)
        seconds = response.headers.get("Retry-After", "")
        self.retry_after = float(seconds) if seconds.isdigit() else None
        return response, orjson.loads(response.content) if "json" in response.headers.get("Content-Type", "") else None

    def _add_nounce(self, response: httpx.Response) -> None:
        if "Replay-Nonce" in response.headers:  # an error that a proxy in between makes has none
            super()._add_nounce(response)
        if response.status_code == 400 and b":badNonce" in response.content:
            self._bad_nonces += 1
            if self._bad_nonces > BAD_NONCES:
                raise AcmeProblem("it takes none of its own nonces", "badNonce")


class Acme:
    """One conversation with an authority, as `async with`. Every method raises AcmeProblem."""

    def __init__(
        self,
        directory: str,
        key: ec.EllipticCurvePrivateKey,
        context: ssl.SSLContext,
        account: str | None = None,
        binding: Binding | None = None,
    ) -> None:
        given = aioacme.ExternalAccountBinding(binding.kid, binding.key) if binding is not None else None
        self._client = _Client(
            account_key=key, directory_url=directory, account_uri=account, external_account_binding=given, ssl=context
        )
        self._thumbprint = self._client._account_key_jwk_thumbprint
        http = self._client._client  # what it speaks with
        http.headers.update({"User-Agent": f"mailstack/{__version__}", "Accept-Language": "en"})  # RFC 8555 6.1
        http.timeout = httpx.Timeout(SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None) -> None:
        await self._client.close()

    @property
    def retry_after(self) -> float | None:
        """How long the last answer asks to wait until it is asked again; seconds."""
        return self._client.retry_after

    async def renewal_info(self) -> str | None:
        """Where the authority says when to renew (RFC 9773 3); None: it does not."""
        with _causes():
            found = (await self._client.directory()).get("renewalInfo")
            return found if isinstance(found, str) else None

    async def account(self, contact: Sequence[str]) -> str:
        """Register, or find the account of this key again; its URL."""
        with _causes():
            found = await self._client.get_account()
            wanted = [f"mailto:{one}" for one in contact]
            if found.status is not aioacme.AccountStatus.valid:
                raise AcmeProblem(f"the account is {found.status.value}", "unauthorized")
            if wanted and sorted(found.contact or ()) != sorted(wanted):
                await self._client.update_account(contact=wanted)
            return found.uri

    async def new_order(self, names: Sequence[str], replaces: str | None = None) -> Order:
        """`replaces`: the certificate's id (RFC 9773 5)."""
        with _causes():
            data: dict[str, Any] = {"identifiers": [{"type": "dns", "value": name} for name in names]}
            if replaces is not None:
                data["replaces"] = replaces
            url = str((await self._client.directory())["newOrder"])
            response, found = await self._client.send(url, data)
            return _order(str(response.headers["Location"]), found)

    async def order(self, url: str) -> Order:
        with _causes():
            return _order(url, (await self._client.send(url))[1])

    async def authorization(self, url: str) -> Authorization:
        with _causes():
            return _authorization((await self._client.send(url))[1])

    async def answer(self, challenge: Challenge) -> None:
        """Say that the authority may look."""
        with _causes():
            await self._client.send(challenge.url, {})

    async def finalize(self, order: Order, request: x509.CertificateSigningRequest) -> None:
        with _causes():
            await self._client.send(order.finalize, {"csr": _base64(request.public_bytes(serialization.Encoding.DER))})

    async def certificate(self, url: str) -> bytes:
        """The chain, PEM."""
        with _causes():
            return (await self._client.send(url))[0].content

    def key_authorization(self, token: str) -> str:
        """RFC 8555 8.1."""
        return f"{token}.{self._thumbprint}"

    def dns_value(self, token: str) -> str:
        """RFC 8555 8.4."""
        return _base64(hashlib.sha256(self.key_authorization(token).encode()).digest())


class _causes:
    """Whatever goes wrong inside is an AcmeProblem: what comes from an authority may be anything."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, _: object) -> None:
        match problem:
            case None | AcmeProblem():
                return
            case aioacme.AcmeError():
                raise _said(problem) from problem
            case httpx.HTTPStatusError():
                raise AcmeProblem(f"HTTP {problem.response.status_code}", "connection") from problem
            case httpx.HTTPError() | httpx.InvalidURL() | OSError() | ssl.SSLError():
                raise AcmeProblem(str(problem) or type(problem).__name__, "connection") from problem
            case Exception():  # serpyco_rs's and orjson's own, KeyError of a header that is not there
                raise AcmeProblem(f"an answer that can't be read: {type(problem).__name__}", "answer") from problem


def _said(problem: aioacme.AcmeError) -> AcmeProblem:
    error = problem.error
    parts = [error, *(error.subproblems or ())]
    names = [part.identifier.value for part in parts if part.identifier is not None]
    text = " ".join("; ".join(part.detail for part in parts if part.detail).split())[:TEXT_LIMIT]
    seconds = None
    if isinstance(problem, aioacme.RateLimitedError) and problem.retry_after is not None:
        now = problem.retry_after.now(problem.retry_after.tzinfo)
        seconds = max((problem.retry_after - now).total_seconds(), 0.0)
    return AcmeProblem(text, error.type.removeprefix(URN), names, seconds)


def _order(url: str, found: Any) -> Order:
    return Order(
        url,
        str(found["status"]),
        tuple(str(one["value"]).lower() for one in found["identifiers"]),
        tuple(str(one) for one in found["authorizations"]),
        str(found["finalize"]),
        str(found["certificate"]) if found.get("certificate") else None,
        _problem(found),
    )


def _authorization(found: Any) -> Authorization:
    known = [one for one in found["challenges"] if isinstance(one.get("token"), str)]
    challenges = tuple(Challenge(str(one["type"]), str(one["url"]), one["token"], str(one["status"])) for one in known)
    texts = [text for one in known if (text := _problem(one)) is not None]
    return Authorization(str(found["identifier"]["value"]).lower(), str(found["status"]), challenges, "; ".join(texts) or None)


def _problem(found: Any) -> str | None:
    error = found.get("error")
    return str(error.get("detail") or error.get("type") or "no reason is given") if isinstance(error, dict) else None


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
