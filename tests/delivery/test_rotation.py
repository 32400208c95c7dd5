"""DKIM keys are replaced without a message in between that nobody can verify."""

import dataclasses
from pathlib import Path

import orjson
import pytest

from mailstack.delivery.rotation import Rotation, RotationRefused, Seen
from mailstack.delivery.signing import make_keys
from mailstack.store.disk import Disk
from mailstack.store.dkim_keys import KeyState, KeyStore
from mailstack.store.errors import StoreFailed
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer
from tests.support.relay import Relay
from tests.support.signatures import verified

WEEK = 7 * 86400.0


@dataclasses.dataclass
class Rotating:
    relay: Relay
    rotation: Rotation
    dns: DnsServer

    async def selectors(self, state: KeyState) -> list[str]:
        return [one.entry.selector for one in await self.rotation.look("a.test") if one.entry.state is state]

    async def publish(self) -> None:
        for one in await self.rotation.look("a.test"):
            self.dns.add(one.name, TXT=['"' + '" "'.join((one.record[:200], one.record[200:])) + '"'])


@pytest.fixture
async def rotating(relay: Relay, dns: DnsServer) -> Rotating:
    data = relay.data
    make_keys(data.path / "dkim", "a.test", "202601")
    return Rotating(relay, Rotation(KeyStore(data.path / "dkim"), data.signer, relay.resolver, relay.clock, WEEK), dns)


async def test_a_new_key_signs_once_its_record_is_seen(rotating: Rotating, peer: Peer) -> None:
    relay, rotation = rotating.relay, rotating.rotation
    await rotation.rotate("a.test")
    new = await rotating.selectors(KeyState.WAITING)
    await rotation.advance("a.test")
    assert await rotating.selectors(KeyState.SIGNING) == ["202601e", "202601r"]
    await relay.settled(await relay.send("bob@b.test"))
    assert b"s=202601r" in peer.messages[0].data

    await rotating.publish()
    relay.resolver.use([f"127.0.0.1:{rotating.dns.port}"])  # what it knew is forgotten
    await rotation.advance("a.test")
    assert await rotating.selectors(KeyState.SIGNING) == new
    assert await rotating.selectors(KeyState.RETIRED) == ["202601e", "202601r"]
    await relay.settled(await relay.send("bob@b.test"))
    data = peer.messages[1].data
    assert all(b"s=" + selector.encode() in data for selector in new)
    assert verified(data, {one.name: one.record for one in await rotation.look("a.test")}) == [True, True]

    relay.clock.now += WEEK + 1
    await rotation.advance("a.test")
    assert await rotating.selectors(KeyState.RETIRED) == []
    assert not (relay.data.path / "dkim" / "a.test" / "202601r.pem").exists()


async def test_another_record_under_the_name_is_not_it(rotating: Rotating) -> None:
    await rotating.rotation.rotate("a.test")
    first, second = [one for one in await rotating.rotation.look("a.test") if one.entry.state is KeyState.WAITING]
    rotating.dns.add(first.name, TXT=['"v=DKIM1; p=AAAA"', '"something else"'])
    rotating.dns.broken.add(second.name)
    rotating.relay.resolver.use([f"127.0.0.1:{rotating.dns.port}"])
    looks = {one.name: one.seen for one in await rotating.rotation.look("a.test")}
    assert (looks[first.name], looks[second.name]) == (Seen.OTHER, Seen.UNKNOWN)
    await rotating.rotation.advance("a.test")
    assert len(await rotating.selectors(KeyState.WAITING)) == 2


async def test_no_second_pair_while_one_waits_and_never_without_a_key(rotating: Rotating) -> None:
    await rotating.rotation.rotate("a.test")
    with pytest.raises(RotationRefused, match="still wait"):
        await rotating.rotation.rotate("a.test")
    await rotating.rotation.retire("a.test", "202601e")
    with pytest.raises(RotationRefused, match="only key"):
        await rotating.rotation.retire("a.test", "202601r")
    with pytest.raises(RotationRefused, match="no key"):
        await rotating.rotation.retire("a.test", "x")
    await rotating.rotation.retire("a.test", "202601r", at_once=True)
    assert await rotating.selectors(KeyState.SIGNING) == []
    assert [one.selector for one in rotating.relay.signer.keys("a.test")] == []


def test_a_crash_at_any_step_leaves_no_key_that_signs_too_early(tmp_path: Path) -> None:
    class Stops(Disk):
        def __init__(self, steps: int) -> None:
            self.steps = steps

        def rename(self, source: object, target: object) -> None:
            self.steps -= 1
            if self.steps < 0:
                raise OSError(5, "the power went")
            super().rename(source, target)  # type: ignore[arg-type]

    for steps in range(3):
        folder = tmp_path / str(steps)
        KeyStore(folder).add("a.test", {"old": b"x"}, KeyState.SIGNING, 1.0)
        (folder / "a.test" / "keys.json").unlink()  # as older versions left it
        with pytest.raises(StoreFailed):
            KeyStore(folder, Stops(steps)).add("a.test", {"new": b"y"}, KeyState.WAITING, 2.0)
        states = {one.selector: one.state for one in KeyStore(folder).entries("a.test")}
        assert states.pop("old") is KeyState.SIGNING
        assert set(states.values()) <= {KeyState.WAITING}


def test_files_are_the_owners_alone_and_states_that_cannot_be_read_stop_it(tmp_path: Path) -> None:
    make_keys(tmp_path, "a.test", "202601")
    place = tmp_path / "a.test"
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}
    assert set(orjson.loads((place / "keys.json").read_bytes())) == {"202601r", "202601e"}
    for text in ("[]", "{", '{"a": 1}', '{"a": {"state": "x", "since": 1, "until": null}}'):
        (place / "keys.json").write_text(text)
        with pytest.raises(StoreFailed):
            KeyStore(tmp_path).entries("a.test")
