"""Addresses behind which several clients are: found by what they call themselves, never outside."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mailstack.policy.nat import ADDRESSES_KEPT, FORGET_AFTER, Nat
from mailstack.store.disk import Disk
from mailstack.store.hidings import HidingFile, KnownHiding


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def three(nat: Nat, peer: str) -> None:
    for number in range(3):
        nat.seen(peer, f"mx{number}.test", f"d{number}.test")


@pytest.mark.parametrize("peer", ["10.0.0.1", "172.20.0.1", "192.168.1.1", "100.64.3.4", "169.254.1.1", "fd00::1", "fe80::1"])
def test_a_private_address_of_several_hosts_hides_them(peer: str) -> None:
    nat = Nat()
    nat.seen(peer, "mx0.test", "d0.test")
    nat.seen(peer, "MX0.test", "D0.test")
    nat.seen(peer, "mx1.test", "d1.test")
    assert not nat.hides(peer)
    assert not nat.hidings()
    nat.seen(peer, "mx2.test", None)
    assert not nat.hides(peer)
    nat.seen(peer, "mx2.test", "d2.test")
    assert nat.hides(peer)
    (found,) = nat.hidings()
    assert found.address == peer
    assert "mx0.test, mx1.test, mx2.test" in found.text
    assert "network_mode: host" in found.text


@pytest.mark.parametrize(
    "peer", ["198.51.100.7", "203.0.113.9", "2001:db8::1", "127.0.0.1", "::1", "local", "nonsense", "172.32.0.1"]
)
def test_who_comes_from_outside_or_from_this_machine_hides_nobody(peer: str) -> None:
    nat = Nat()
    three(nat, peer)
    assert not nat.hides(peer)


def test_one_host_with_many_domains_is_a_relay_and_hides_nobody() -> None:
    nat = Nat()
    for number in range(9):
        nat.seen("10.0.0.5", "inner.test", f"d{number}.test")
    assert not nat.hides("10.0.0.5")


def test_nothing_is_judged_by_the_default_gateway_from_the_first_on_and_two_hosts_are_reported() -> None:
    nat = Nat(frozenset({"172.17.0.1"}))
    assert nat.hides("172.17.0.1")
    assert not nat.hidings()
    nat.seen("172.17.0.1", "mx0.test", "d0.test")
    assert not nat.hidings()
    nat.seen("172.17.0.1", "mx1.test", "d1.test")
    assert nat.hidings()[0].gateway
    assert "default gateway" in nat.hidings()[0].text


def test_it_is_forgotten_after_a_week_without_mail_and_memory_has_an_end() -> None:
    clock = Clock()
    nat = Nat(clock=clock)
    three(nat, "10.0.0.1")
    clock.now += FORGET_AFTER + 1
    assert not nat.hides("10.0.0.1")
    nat.seen("10.0.0.1", "mx.test", "d.test")
    assert not nat.hides("10.0.0.1")
    for number in range(ADDRESSES_KEPT + 50):
        three(nat, f"10.1.{number >> 8}.{number & 255}")
    assert len(nat._signs) == ADDRESSES_KEPT
    for number in range(50):
        nat.seen("10.9.9.9", f"{number}" * 1000, f"{number}.test")
    assert len(nat._signs["10.9.9.9"].hosts) == 5


def test_what_is_known_lasts_over_a_restart(tmp_path: Path) -> None:
    clock, file = Clock(), HidingFile(tmp_path / "nat.json", Disk())
    clock.now = 1e9
    assert file.read() == []
    nat = Nat(clock=clock)
    written: list[int] = []

    def keep(known: Sequence[KnownHiding]) -> None:
        written.append(len(known))
        file.write(known)

    nat.on_known = keep
    three(nat, "10.0.0.1")
    nat.seen("10.0.0.2", "mx.test", "d.test")  # which hides nobody
    three(nat, "10.0.0.1")
    assert written == [1]
    again = Nat(clock=clock)
    again.restore(file.read())
    assert (again.hides("10.0.0.1"), again.hides("10.0.0.2")) == (True, False)
    assert again.hidings() == nat.hidings()
    # It is kept anew once a day, and forgotten when nothing comes any more.
    clock.now += 86400
    three(nat, "10.0.0.1")
    assert written == [1, 1]
    clock.now += FORGET_AFTER - 1
    assert again.hides("10.0.0.1") is False
    again.restore(file.read())
    assert again.hides("10.0.0.1")
    for bad in (b"", b"[1]", b"{}", b'[{"address": 1}]', b'[{"address": "x", "hosts": 1, "domains": [], "last": 0}]'):
        (tmp_path / "nat.json").write_bytes(bad)
        assert file.read() == []
    (tmp_path / "nat.json").write_bytes(b'[{"address": "192.0.2.1", "hosts": [], "domains": [], "last": 1e9}]')
    again.restore(file.read())
    assert not again.hides("192.0.2.1")
    HidingFile(tmp_path / "none" / "nat.json", Disk()).write([])
