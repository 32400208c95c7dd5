"""Tokens of a provider: who made them, for whom, until when; and what a client hears of those that are not taken."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailstack.mailauth import jwt
from mailstack.message.errors import SyntaxProblem
from mailstack.net.tls import client_context
from mailstack.policy.login import Denial, Outcome
from mailstack.policy.tokens import AGAIN_SECONDS, KEYS_SECONDS, PATIENCE_SECONDS, OAuthSettings, Refused, Tokens, Unavailable
from tests.policy.test_login import CHANNEL, World, name, world
from tests.support.provider import Provider, SigningKey, packed

__all__ = ["world"]
WELL_KNOWN = "/realm/.well-known/openid-configuration"
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Iterator[Provider]:
    one = Provider()
    one.start()
    yield one
    one.stop()


def settings(provider: Provider, **changes: str) -> OAuthSettings:
    return replace(OAuthSettings(provider.issuer, "", "", "mail", "s cret", "mail", "", "email"), **changes)


def tokens(provider: Provider, clock: Clock | None = None, **changes: str) -> Tokens:
    return Tokens(settings(provider, **changes), client_context(verify=True), clock or Clock())


def claims(provider: Provider, **changes: Any) -> dict[str, Any]:
    found = {"iss": provider.issuer, "aud": ["account", "mail"], "exp": NOW + 300, "email": "alice@a.test", **changes}
    return {key: value for key, value in found.items() if value is not None}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_signed_token_names_its_account(provider: Provider, algorithm: str, chunked: bool) -> None:
    provider.keys, provider.chunked = [SigningKey("ES256", "other"), SigningKey(algorithm, "two")], chunked
    one = tokens(provider)
    for _ in range(2):
        assert await one.account(provider.keys[1].token(claims(provider))) == "alice@a.test"
    assert provider.asked == ["/realm/.well-known/openid-configuration", "/realm/keys"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "http://127.0.0.1/other"}, "issuer"), ({"iss": None}, "issuer"), ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"), ({"exp": NOW - 100}, "expired"), ({"exp": None}, "expired"), ({"exp": "x"}, "no time"),
        ({"exp": True}, "no time"), ({"nbf": NOW + 100}, "not valid yet"), ({"email": None}, "no address"),
        ({"email": "alice"}, "no address"), ({"email": 7}, "no address"), ({"email_verified": False}, "not verified"),
    ],
)  # fmt: skip
async def test_what_is_not_taken(provider: Provider, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        await tokens(provider).account(provider.keys[0].token(claims(provider, **changes)))


@pytest.mark.parametrize("changes", [{"aud": "mail"}, {"aud": None, "azp": "mail"}, {"aud": "x", "client_id": "mail"},
                                     {"exp": NOW - 30}, {"nbf": NOW + 30}, {"email_verified": True}])  # fmt: skip
async def test_what_is_taken(provider: Provider, changes: dict[str, Any]) -> None:
    assert await tokens(provider).account(provider.keys[0].token(claims(provider, **changes))) == "alice@a.test"


async def test_a_scope_that_is_asked_for(provider: Provider) -> None:
    key, one = provider.keys[0], tokens(provider, scope="mail offline")
    for good in ({"scope": "offline x mail"}, {"scp": ["mail", "offline"]}):
        assert await one.account(key.token(claims(provider, **good))) == "alice@a.test"
    with pytest.raises(Refused, match="scope") as caught:
        await one.account(key.token(claims(provider, scope="mailbox offline")))
    assert caught.value.status == "insufficient_scope"


async def test_forgeries(provider: Provider) -> None:
    key, one = provider.keys[0], tokens(provider)
    head, body, signature = key.token(claims(provider)).split(".")
    other = packed(json.dumps(claims(provider, email="bob@a.test")).encode())
    none = packed(b'{"alg":"none","kid":"one"}')
    secret = packed(b'{"alg":"HS256","kid":"one"}')
    stranger = SigningKey("ES256", "one")
    for forged in (
        f"{head}.{other}.{signature}", f"{head}.{body}.", f"{none}.{body}.", f"{secret}.{body}.{signature}",
        f"{head}.{body}", f"{head}.{body}.{signature}.x", f"{head}.{body}.%", f"x.{body}.{signature}", "", "ü.ü.ü",
        stranger.token(claims(provider)), key.token(claims(provider), crit=["x"]), key.token(claims(provider), alg="ES384"),
        key.token(claims(provider), alg="RS256"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            await one.account(forged)


async def test_new_keys_are_found_but_not_looked_for_at_each_forgery(provider: Provider) -> None:
    clock = Clock()
    one = tokens(provider, clock)
    await one.account(provider.keys[0].token(claims(provider)))
    provider.keys = [SigningKey("ES256", "new")]
    for _ in range(5):
        with pytest.raises(Refused, match="unknown key"):
            await one.account(provider.keys[0].token(claims(provider)))
    assert len(provider.asked) == 2
    clock.now += AGAIN_SECONDS + 1
    assert await one.account(provider.keys[0].token(claims(provider))) == "alice@a.test"
    provider.status = 500
    clock.now += KEYS_SECONDS + 1
    good = provider.keys[0].token(claims(provider, exp=clock.now + 9))
    assert await one.account(good) == "alice@a.test"  # by the keys that are there


async def test_a_provider_that_is_not_there(provider: Provider, tmp_path: Path) -> None:
    token = provider.keys[0].token(claims(provider))
    provider.status = 503
    with pytest.raises(Unavailable, match="503"):
        await tokens(provider).account(token)
    provider.status = 200
    provider.paths[WELL_KNOWN] = lambda *_: {
        "issuer": "x",
        "jwks_uri": f"{provider.issuer}/keys",
    }
    with pytest.raises(Unavailable, match="not of this issuer"):
        await tokens(provider).account(token)
    provider.paths[WELL_KNOWN] = lambda *_: {"issuer": provider.issuer, "jwks_uri": "http://x/"}
    with pytest.raises(Unavailable, match="trusted"):
        await tokens(provider).account(token)
    with pytest.raises(Unavailable):
        await tokens(provider, jwks="http://127.0.0.1:1/keys").account(token)
    with pytest.raises(Unavailable, match="No such file"):
        await tokens(provider, jwks=str(tmp_path / "none")).account(token)
    (tmp_path / "keys").write_text(json.dumps({"keys": [provider.keys[0].public(), {"kty": "oct"}, 7]}))
    assert await tokens(provider, jwks=str(tmp_path / "keys")).account(token) == "alice@a.test"


async def test_a_provider_that_failed_is_not_asked_by_everybody(provider: Provider) -> None:
    clock = Clock()
    one, token = tokens(provider, clock), provider.keys[0].token(claims(provider))
    provider.status = 503
    for _ in range(3):
        with pytest.raises(Unavailable, match="503"):
            await one.account(token)
    assert len(provider.asked) == 1
    provider.status = 200
    clock.now += PATIENCE_SECONDS
    assert await one.account(token) == "alice@a.test"


async def test_introspection(provider: Provider) -> None:
    clock = Clock()
    one = tokens(provider, clock, introspection=f"{provider.issuer}/introspect")
    provider.active = {"opaque": {"client_id": "mail", "email": "alice@a.test", "exp": NOW + 1000},
                       "late": {"client_id": "mail", "email": "alice@a.test", "exp": NOW - 1},
                       "foreign": {"client_id": "x", "email": "alice@a.test"}}  # fmt: skip
    for _ in range(3):
        assert await one.account("opaque") == "alice@a.test"
    assert len(provider.asked) == 1
    for token, reason in (("late", "expired"), ("foreign", "audience"), ("unknown", "not active")):
        with pytest.raises(Refused, match=reason):
            await one.account(token)
    del provider.active["opaque"]
    assert await one.account("opaque") == "alice@a.test"
    clock.now += AGAIN_SECONDS + 1
    with pytest.raises(Refused, match="not active"):
        await one.account("opaque")
    provider.status = 401
    with pytest.raises(Unavailable, match="401"):
        await one.account("more")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"keys": 7}', b"\xff", b"[" * 100000])
def test_what_is_no_set_of_keys(data: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        jwt.parse_keys(data)


def test_keys_that_prove_nothing_are_passed_over() -> None:
    rows: list[Any] = [{"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "EC", "crv": "P-256"}, {},
                       {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": "OKP", "crv": "Ed25519", "x": 7}, None,
                       {**SigningKey("ES256", "x").public(), "use": "enc"}]  # fmt: skip
    assert jwt.parse_keys(json.dumps({"keys": rows}).encode()) == ()


# The exchange ---------------------------------------------------------------------------------------------------------


async def exchange(world: World, mechanism: str, message: str, answers: list[bytes] | None = None) -> tuple[Outcome, list[Any]]:
    said: list[Any] = []

    async def ask(challenge: bytes) -> bytes:
        said.append(json.loads(base64.b64decode(challenge)))
        return answers.pop(0) if answers else b"AQ=="

    found = await world.logins.sasl(mechanism, base64.b64encode(message.encode()), CHANNEL, ask)
    return found, said


async def test_bearers_log_in(world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(peer: str, account: str) -> None:
        """That who fails again and again waits is others' to test."""

    monkeypatch.setattr(world.limits, "wait_turn", at_once)
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert name((await exchange(world, mechanism, "n,,\1auth=Bearer x\1\1"))[0]) is Denial.UNKNOWN_MECHANISM
    world.logins.tokens = Tokens(settings(provider, scope="mail"), client_context(verify=True), time.time)
    assert world.logins.mechanisms(CHANNEL)[-2:] == ["OAUTHBEARER", "XOAUTH2"]
    await world.add("bob@a.test", "sesame")

    def token(**changes: Any) -> str:
        return provider.keys[0].token(claims(provider, **{"exp": time.time() + 60, "scope": "mail", **changes}))

    async def bearer(user: str, word: str) -> tuple[object, list[Any]]:
        found, said = await exchange(world, "OAUTHBEARER", f"n,{user},\1auth=Bearer {word}\1\1")
        other, heard = await exchange(world, "XOAUTH2", f"user={user[2:]}\1auth=Bearer {word}\1\1", [b""])
        assert name(found) == name(other)
        assert all(one == {"status": "401", "schemes": "bearer", "scope": "mail"} for one in heard)
        return name(found), said

    for user in ("a=alice@a.test", "a=Alice@A.test", ""):
        assert await bearer(user, token()) == ("alice@a.test", [])
    refused = {
        "status": "invalid_token",
        "scope": "mail",
        "openid-configuration": tokens(provider).settings.discovery,
    }
    assert await bearer("a=bob@a.test", token()) == (Denial.WRONG, [refused])
    assert await bearer("a=nobody@a.test", token()) == (Denial.WRONG, [refused])
    assert await bearer("", token(email="nobody@a.test")) == (Denial.WRONG, [refused])
    assert await bearer("", "rubbish") == (Denial.WRONG, [refused])
    assert await bearer("", "") == (Denial.WRONG, [refused])
    assert await bearer("", token(scope="")) == (Denial.WRONG, [{**refused, "status": "insufficient_scope"}])
    assert world.limits.delay(CHANNEL.peer, "") > 0
    await world.directory.set_disabled("alice@a.test", True)
    assert await bearer("a=alice@a.test", token()) == (Denial.WRONG, [refused])
    provider.status = 500
    world.logins.tokens = Tokens(settings(provider), client_context(verify=True), time.time)
    assert await bearer("a=bob@a.test", token()) == (Denial.BUSY, [])
    assert name((await exchange(world, "OAUTHBEARER", "rubbish"))[0]) is Denial.MALFORMED


async def test_a_client_that_gives_up_has_failed(world: World, provider: Provider) -> None:
    world.logins.tokens = tokens(provider)
    found, _ = await exchange(world, "OAUTHBEARER", "n,a=alice@a.test,\1auth=Bearer x\1\1", [b"*"])
    assert name(found) is Denial.WRONG
