"""Certificates from files: Traefik's acme.json, changes that are seen, and the proof that finds a wrong one."""

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from mailstack.certificates.files import AcmeFiles
from mailstack.certificates.proof import Proof, passed, questions
from mailstack.certificates.sources import Sources
from mailstack.certificates.traefik import parse
from mailstack.certificates.watch import Watch, signature
from mailstack.message.errors import SyntaxProblem
from mailstack.net.handshake import Listener
from mailstack.net.tls import Certificates, Chains, TlsProblem
from mailstack.store.disk import Disk
from tests.net.test_tls_served import chain, serving


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def held(authority: trustme.CA, *names: str) -> dict[str, object]:
    one = authority.issue_cert(*names)
    certificate = b"".join(pem.bytes() for pem in one.cert_chain_pems)
    texts = [base64.b64encode(data).decode() for data in (certificate, one.private_key_pem.bytes())]
    return {"domain": {"main": names[0]}, "certificate": texts[0], "key": texts[1], "Store": "default"}


def sources(folder: Path) -> Sources:
    return Sources(folder / "tls", "mail.a.test", AcmeFiles(folder / "tls" / "acme", Disk()), lambda: 1_800_000_000.0)


def test_many_ask_while_our_own_is_made(tmp_path: Path) -> None:
    """A reload and the proof of what is served look at the same time: all find one and the same whole pair."""
    one = sources(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: one.load("self-signed", None)[0].leaf.serial_number, range(32)))
    assert len(set(found)) == 1


def test_what_traefik_holds_for_us(authority: trustme.CA, tmp_path: Path) -> None:
    path = tmp_path / "acme.json"
    others = [held(authority, "shop.b.test"), held(authority, "mta-sts.a.test"), held(authority, "mail.a.test")]
    path.write_text(json.dumps({"le": {"Account": {}, "Certificates": others}, "empty": {"Certificates": None}}))
    found = sources(tmp_path).load("files", (path, path), frozenset({"a.test"}))
    assert [one.names for one in found] == [("mail.a.test",), ("mta-sts.a.test",)]
    # Version 1 has other letters.
    one = held(authority, "*.a.test")
    path.write_text(json.dumps({"Certificates": [{"Certificate": one["certificate"], "Key": one["key"]}]}))
    assert [one.names for one in sources(tmp_path).load("files", (path, path))] == [("*.a.test",)]
    path.write_text(json.dumps({"le": {"Certificates": others[:2]}}))
    with pytest.raises(TlsProblem, match="no certificate for"):
        sources(tmp_path).load("files", (path, path), frozenset({"a.test"}))


def test_a_part_of_an_acme_json(authority: trustme.CA) -> None:
    data = json.dumps({"le": {"Certificates": [held(authority, "a.test")]}}).encode()
    for size in range(0, len(data), 97):
        with pytest.raises(SyntaxProblem):
            parse(data[:size])
    for wrong in (
        b"[]",
        b'{"x":5}',
        b'{"x":{"Certificates":[{"certificate":"QQ==","key":"QQ=="}]}}',
        b'{"x":{"Certificates":[5]}}',
    ):
        with pytest.raises(SyntaxProblem):
            parse(wrong)


async def test_files_behind_links_are_watched(tmp_path: Path) -> None:
    """As certbot does it: a link to a link, which is turned to a new file."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("same length")
    live = tmp_path / "live"
    live.symlink_to(tmp_path / "one")
    seen = []

    async def changed() -> None:
        seen.append(live.resolve().name if live.exists() else None)

    watch = Watch(changed)
    watch.use([live], signature([live]))
    await watch.look()
    live.unlink()
    live.symlink_to(tmp_path / "two")
    await watch.look()
    await watch.look()
    assert seen == ["two"]
    os.utime(tmp_path / "two", ns=(1, 1))
    await watch.look()
    live.unlink()
    await watch.look()
    assert seen == ["two", "two", None]


async def test_the_proof_sees_what_is_really_served(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([chain(authority, tmp_path, "a.test"), chain(authority, tmp_path, "b.test", "*.c.test")])
    wanted = certificates.chains
    nothing_listens = Listener("imaps", "127.0.0.1", 1, tls=True, proxied=False)

    async def nothing() -> None:
        pass

    async with serving(certificates.people) as listener:
        proof = Proof([listener, nothing_listens], lambda: certificates.chains, lambda: wanted, nothing, lambda: 0.0)
        found = await proof.look()
        assert [(one.name, one.problem) for one in found if one.listener is listener] == [
            (None, None), ("a.test", None), ("b.test", None), ("mailstack-proof.c.test", None)
        ]  # fmt: skip
        assert all(one.problem for one in found if one.listener is nothing_listens)
        # On disk is another one than what is served.
        wanted = Chains([chain(authority, tmp_path, "a.test"), wanted.all[1]])
        rows = [row for row in (await proof.look() and proof.rows()) if row["listener"] == str(listener)]
        assert [(row["name"], row["state"]) for row in rows] == [
            (None, "wrong"), ("a.test", "wrong"), ("b.test", "right"), ("mailstack-proof.c.test", "right")
        ]  # fmt: skip


def test_many_names_are_looked_at_in_full_at_https_alone(authority: trustme.CA, tmp_path: Path) -> None:
    chains = Chains([chain(authority, tmp_path, *(f"{letter}.{n}.test" for letter in "abc")) for n in range(70)])
    listeners = [Listener(name, "127.0.0.1", 1, tls=True, proxied=False) for name in ("imaps", "https")]
    asked = questions(listeners, chains)
    assert [sum(one[0].service == name for one in asked) for name in ("imaps", "https")] == [71, 211]


async def test_the_end_is_told_once_a_threshold(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([chain(authority, tmp_path, "a.test")])
    leaf, told = certificates.chains.all[0].leaf, []
    ends, now = leaf.not_valid_after_utc.timestamp(), [0.0]

    async def nothing() -> None:
        pass

    async with serving(certificates.people) as listener:
        proof = Proof([listener], lambda: certificates.chains, lambda: certificates.chains, nothing, lambda: now[0])

        async def tell(expiring: object) -> None:
            told.append(expiring.days)  # type: ignore[attr-defined]

        proof.on_expiring.append(tell)
        for days in (100, 19, 18, 6, 1, 0, -1):
            now[0] = ends - days * 86400
            await proof.look()
    assert told == [20, 7, 2]
    assert passed(leaf, ends - 21 * 86400) is None
