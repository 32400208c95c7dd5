"""Whose an OAuth 2.0 access token is: by its signature (JWT, RFC 9068), or by asking the provider (introspection, RFC 7662)."""

import asyncio
import base64
import hashlib
import json
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from mailstack.log import get_logger
from mailstack.mailauth import jwt
from mailstack.message.errors import SyntaxProblem
from mailstack.net.http import HttpProblem, fetch

log = get_logger()
KEYS_SECONDS = 3600.0  # how long a set of keys is believed in
AGAIN_SECONDS = 60.0  # between two looks for a newer set, and how long an answer of the provider holds
PATIENCE_SECONDS = 5.0  # before a provider that failed is asked again
QUESTIONS = 10  # at once
REMEMBERED = 5000


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """One provider. With `introspection` each token is asked about; else it must be a JWT signed by the provider's keys."""

    issuer: str
    jwks: str  # a file or an URL; empty: what the issuer's configuration names
    introspection: str
    client_id: str
    client_secret: str
    audience: str  # for whom, or to whom, tokens must be issued
    scope: str  # what tokens must allow; empty: nothing special
    claim: str  # what names the account

    @property
    def discovery(self) -> str:
        """OpenID Connect Discovery 4, RFC 8414 5."""
        return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration" if self.issuer else ""


class Refused(Exception):
    """A token that lets nobody in. The reason is for the log."""

    def __init__(self, reason: str, status: str = "invalid_token") -> None:
        super().__init__(reason)
        self.status = status


class Unavailable(Exception):
    """The provider does not answer, or not as it should."""


class Tokens:
    """On the event loop."""

    def __init__(self, settings: OAuthSettings, context: ssl.SSLContext, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._context = context
        self._clock = clock
        self._keys: tuple[jwt.Key, ...] | None = None
        self._looked = 0.0
        self._failed: str | None = None  # why there are no keys
        self._turn = asyncio.Lock()
        self._questions = asyncio.Semaphore(QUESTIONS)
        self._answers: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    async def account(self, token: str) -> str:
        """The address that a token was issued for. Raises Refused, Unavailable."""
        claims = await (self._asked(token) if self.settings.introspection else self._proved(token))
        return self._judge(claims)

    def _judge(self, claims: jwt.Claims) -> str:
        settings = self.settings
        if settings.audience not in (*jwt.names(claims, "aud"), claims.get("azp"), claims.get("client_id")):
            raise Refused("audience")
        allowed = {scope for name in ("scope", "scp") for one in jwt.names(claims, name) for scope in one.split(" ")}
        if not set(settings.scope.split()) <= allowed:
            raise Refused("scope", "insufficient_scope")
        if settings.claim == "email" and claims.get("email_verified") is False:
            # Its owner may have written any address into the profile.
            raise Refused("email not verified")
        found = claims.get(settings.claim)
        if not isinstance(found, str) or "@" not in found:
            raise Refused(f"no address in {settings.claim}")
        return found

    # By signature ---------------------------------------------------------------------------------------------------

    async def _proved(self, token: str) -> jwt.Claims:
        try:
            parsed = jwt.parse(token)
            keys = await self._some_keys()
            try:
                jwt.verify(parsed, keys)
            except jwt.UnknownKey:
                jwt.verify(parsed, await self._some_keys(newer=True))
            jwt.check(parsed.claims, self._clock(), self.settings.issuer)
        except SyntaxProblem as problem:
            raise Refused(problem.reason) from problem
        except jwt.UnknownKey:
            raise Refused("unknown key") from None
        except jwt.Invalid as problem:
            raise Refused(str(problem)) from problem
        return parsed.claims

    async def _some_keys(self, *, newer: bool = False) -> tuple[jwt.Key, ...]:
        async with self._turn:
            age = self._clock() - self._looked
            if self._keys is None and self._failed is not None and age < PATIENCE_SECONDS:
                raise Unavailable(self._failed)
            if self._keys is None or age > KEYS_SECONDS or (newer and age > AGAIN_SECONDS):
                try:
                    keys = jwt.parse_keys(await self._key_set())
                except (Unavailable, SyntaxProblem) as problem:
                    log.warning("oauth.no_keys", problem=str(problem))
                    self._failed = str(problem)
                else:
                    self._keys = keys
                self._looked = self._clock()
            if self._keys is None:
                raise Unavailable(self._failed)
            return self._keys

    async def _key_set(self) -> bytes:
        where = self.settings.jwks
        if where and "://" not in where:
            try:
                return await asyncio.to_thread(Path(where).read_bytes)
            except OSError as problem:
                raise Unavailable(f"{where}: {problem.strerror}") from problem
        return await self._get(where or await self._discovered())

    async def _discovered(self) -> str:
        try:
            found = json.loads(await self._get(self.settings.discovery))
        except (ValueError, RecursionError):
            raise Unavailable(f"{self.settings.discovery}: not JSON") from None
        # RFC 8414 3.3: another issuer's configuration would bring another's keys.
        if not isinstance(found, dict) or found.get("issuer") != self.settings.issuer:
            raise Unavailable(f"{self.settings.discovery}: not of this issuer")
        where = found.get("jwks_uri")
        if not isinstance(where, str) or not where.startswith(("https://", self.settings.issuer)):
            raise Unavailable(f"{self.settings.discovery}: no jwks_uri that can be trusted")
        return where

    async def _get(self, url: str) -> bytes:
        try:
            answer = await fetch(url, self._context)
        except HttpProblem as problem:
            raise Unavailable(f"{url}: {problem}") from problem
        if answer.status != 200:
            raise Unavailable(f"{url}: status {answer.status}")
        return answer.body

    # By asking ------------------------------------------------------------------------------------------------------

    async def _asked(self, token: str) -> jwt.Claims:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._answers.get(digest)
        if known is not None and known[0] > self._clock():
            return _claims(known[1])
        async with self._questions:
            text = await self._question(token)
        claims = _claims(text)
        now = self._clock()
        if claims.get("active") is not True:
            raise Refused("not active")
        expires = claims.get("exp")
        if isinstance(expires, int | float) and expires < now:
            raise Refused("expired")
        if self.settings.issuer and claims.get("iss", self.settings.issuer) != self.settings.issuer:
            raise Refused("issuer")
        until = min(now + AGAIN_SECONDS, expires) if isinstance(expires, int | float) else now + AGAIN_SECONDS
        self._answers[digest] = (until, text)
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return claims

    async def _question(self, token: str) -> str:
        """RFC 7662 2.1, with the client's name and secret as RFC 6749 2.3.1 has them."""
        settings = self.settings
        credentials = f"{quote(settings.client_id, safe='')}:{quote(settings.client_secret, safe='')}"
        header = ("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
        form = urlencode({"token": token, "token_type_hint": "access_token"})
        try:
            answer = await fetch(settings.introspection, self._context, form=form, headers=(header,))
        except HttpProblem as problem:
            log.warning("oauth.no_answer", problem=str(problem))
            raise Unavailable(str(problem)) from problem
        if answer.status != 200:
            log.warning("oauth.no_answer", problem=f"status {answer.status}")
            raise Unavailable(f"status {answer.status}")
        return answer.body.decode("utf-8", "replace")


def _claims(text: str) -> jwt.Claims:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Unavailable("not JSON") from None
    if not isinstance(found, dict):
        raise Unavailable("not an object of JSON")
    return found
