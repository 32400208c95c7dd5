"""Who waits, and who never does."""

import pytest

from mailstack.policy.limits import LONGEST_WAIT, Crowd, Limits, default_gateways
from mailstack.policy.nat import Nat

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_connections_from_an_address_until_they_log_in() -> None:
    limits = Limits(2)
    assert [limits.connected(HERE) for _ in range(3)] == [None, None, Crowd.ADDRESS]
    assert limits.connected(THERE) is None
    # One logs in: it counts no more, however many do so behind one address.
    for _ in range(20):
        limits.disconnected(HERE)
        assert limits.connected(HERE) is None
    limits.disconnected(HERE)
    limits.disconnected(HERE)
    limits.disconnected(HERE)
    assert [limits.connected(HERE) for _ in range(3)] == [None, None, Crowd.ADDRESS]


def test_all_connections() -> None:
    limits = Limits(100, connections=3)
    assert [limits.connected(peer) for peer in (HERE, THERE, "127.0.0.1", THERE)] == [None, None, None, Crowd.ALL]
    limits.disconnected(HERE)  # logged in: still a connection
    assert limits.connected(HERE) is Crowd.ALL
    limits.closed(HERE)
    assert limits.connected(HERE) is None


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "172.17.0.1", "::ffff:172.17.0.1", "local"]
)
def test_loopback_and_the_gateway_are_exempt(peer: str) -> None:
    limits = Limits(1, Nat(frozenset({"172.17.0.1"})))
    assert [limits.connected(peer) for _ in range(5)] == [None] * 5


def test_gateways() -> None:
    table = (
        "Iface\tDestination\tGateway\tFlags\n"
        "eth0\t00000000\t010011AC\t0003\n"
        "eth0\t000011AC\t00000000\t0001\n"
        "eth1\t00000000\t00000000\t0001\n"
        "short\n"
    )
    assert default_gateways(table) == {"172.17.0.1"}
    assert default_gateways("") == frozenset()


def test_the_pair_is_slowed_and_nobody_else() -> None:
    clock = Clock()
    limits = Limits(10, clock=clock)
    waits = []
    for _ in range(12):
        waits.append(limits.delay(HERE, "alice@a.test"))
        limits.failed(HERE, "Alice@a.test")
    assert waits[:4] == [0.0, 0.0, 0.0, 0.5]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT
    # A household behind one address, and the same account from elsewhere.
    assert limits.delay(HERE, "bob@a.test") == 0.0
    assert limits.delay(THERE, "alice@a.test") == 0.0
    clock.now += LONGEST_WAIT
    assert limits.delay(HERE, "alice@a.test") == 0.0
    limits.failed(HERE, "alice@a.test")
    assert limits.delay(HERE, "alice@a.test") > 0
    limits.succeeded(HERE, "ALICE@a.test")
    assert limits.delay(HERE, "alice@a.test") == 0.0


def test_failures_are_forgotten_and_bounded() -> None:
    clock = Clock()
    limits = Limits(10, clock=clock)
    for _ in range(9):
        limits.failed(HERE, "alice@a.test")
    clock.now += 3700
    assert limits.delay(HERE, "alice@a.test") == 0.0
    for number in range(30_000):
        limits.failed(HERE, f"{number}@a.test")
    assert len(limits._failures) <= 20_000


def test_who_logs_out_of_an_account_counts_as_a_stranger_again() -> None:
    limits = Limits(2)
    assert limits.connected(HERE) is None
    limits.disconnected(HERE)
    limits.logged_out(HERE)
    assert limits.connected(HERE) is None
    assert limits.connected(HERE) is Crowd.ADDRESS
    # Nobody is sent away for it.
    limits.disconnected(HERE)
    limits.logged_out(HERE)
    limits.logged_out(HERE)
    limits.disconnected(HERE)
    limits.disconnected(HERE)
    limits.disconnected(HERE)
    assert limits.connected(HERE) is None
