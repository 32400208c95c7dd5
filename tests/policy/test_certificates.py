"""Whose a client's certificate is, and whose it only says it is."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mailstack.mailauth.client_certificate import Authorities, parse_authorities, parse_certificate, vouched_addresses
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.certificates import ClientCertificates
from mailstack.store.users.directory import DirectoryProblem
from tests.policy.test_login import World


def der(leaf: trustme.LeafCert) -> bytes:
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_bytes(Encoding.DER)


def authorities(*cas: trustme.CA) -> Authorities:
    return parse_authorities(b"".join(ca.cert_pem.bytes() for ca in cas))


async def bind(world: World, account: str, label: str, pem: bytes) -> None:
    await world.directory.bind_certificate(account, label, *parse_certificate(pem), 0.0)


async def owner(certificates: ClientCertificates, certificate: bytes, identity: str = "") -> str | None:
    found = await certificates.owner(certificate, identity)
    return found.address if found is not None else None


@pytest.fixture
async def world(folder: Path) -> AsyncIterator[World]:
    one = World(folder)
    await one.directory.add_domain("a.test")
    for name in ("alice", "bob"):
        await one.add(f"{name}@a.test", "sesame")
    yield one
    one.passwords.close()
    await one.behind.close()
    one.database.close()


async def test_bound_to_one_or_to_several(world: World) -> None:
    ca, ours = trustme.CA(), ClientCertificates(world.directory, None)
    laptop, shared = ca.issue_cert("alice@a.test"), ca.issue_cert("x.test")
    assert await owner(ours, der(laptop)) is None
    await bind(world, "alice@a.test", "laptop", laptop.cert_chain_pems[0].bytes())
    for account in ("alice@a.test", "bob@a.test"):
        await bind(world, account, "shared", shared.cert_chain_pems[0].bytes())
    assert await owner(ours, der(laptop)) == "alice@a.test"
    assert await owner(ours, der(laptop), "Alice@A.test") == "alice@a.test"
    assert await owner(ours, der(laptop), "bob@a.test") is None
    assert await owner(ours, der(laptop), "no address") is None
    assert await owner(ours, der(shared)) is None
    assert await owner(ours, der(shared), "bob@a.test") == "bob@a.test"
    await world.directory.set_disabled("bob@a.test", True)
    assert await owner(ours, der(shared), "bob@a.test") is None
    assert await owner(ours, der(shared)) == "alice@a.test"
    ended: list[str] = []
    world.directory.on_revoked.append(ended.append)
    await world.directory.unbind_certificate("alice@a.test", "laptop")
    assert ended == ["alice@a.test"]
    assert await owner(ours, der(laptop)) is None
    for call in (
        world.directory.unbind_certificate("alice@a.test", "laptop"),
        bind(world, "alice@a.test", "shared", laptop.cert_chain_pems[0].bytes()),
        bind(world, "alice@a.test", "other", shared.cert_chain_pems[0].bytes()),
        bind(world, "nobody@a.test", "laptop", laptop.cert_chain_pems[0].bytes()),
        world.directory.certificates("nobody@a.test"),
    ):
        with pytest.raises(DirectoryProblem):
            await call
    await world.directory.remove_account("alice@a.test")
    assert await owner(ours, der(shared)) is None


async def test_an_authority_vouches_for_addresses(world: World) -> None:
    ca, other = trustme.CA(), trustme.CA()
    ours = ClientCertificates(world.directory, authorities(other, ca))
    assert await owner(ours, der(ca.issue_cert("alice@a.test"))) == "alice@a.test"
    assert await owner(ours, der(ca.issue_cert("alice@a.test", "bob@a.test"))) is None
    assert await owner(ours, der(ca.issue_cert("alice@a.test", "bob@a.test")), "bob@a.test") == "bob@a.test"
    assert await owner(ours, der(ca.issue_cert("nobody@a.test"))) is None
    assert await owner(ours, der(ca.issue_cert("a.test"))) is None
    assert await owner(ours, der(trustme.CA().issue_cert("alice@a.test"))) is None


async def test_a_bound_certificate_vouches_for_nobody(world: World) -> None:
    """Alice's own authority: TLS trusts what it signed, and she signs one for bob."""
    ca, hers = trustme.CA(), trustme.CA()
    ours = ClientCertificates(world.directory, authorities(ca))
    await bind(world, "alice@a.test", "mine", hers.cert_pem.bytes())
    assert await owner(ours, der(hers.issue_cert("bob@a.test"))) is None
    # Nor does what the authority's own child signs.
    child = ca.create_child_ca()
    assert await owner(ours, der(child.issue_cert("bob@a.test"))) is None
    # One that is bound is not whose address is in it.
    leaf = ca.issue_cert("bob@a.test")
    await bind(world, "alice@a.test", "leaf", leaf.cert_chain_pems[0].bytes())
    assert await owner(ours, der(leaf)) == "alice@a.test"


@pytest.mark.parametrize("data", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff" * 99])
def test_what_is_no_certificate(data: bytes) -> None:
    for parse in (parse_certificate, parse_authorities):
        with pytest.raises(SyntaxProblem):
            parse(data)
    assert vouched_addresses(data, authorities(trustme.CA())) == ()
    assert vouched_addresses(ssl.PEM_cert_to_DER_cert(trustme.CA().cert_pem.bytes().decode()), authorities(trustme.CA())) == ()
