"""No relaying without a login, in any spelling."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.message.srs import forward
from mailstack.policy.routing import Local, Remote
from mailstack.policy.verdict import Accept
from mailstack.wire.smtp import parse_rcpt_to
from tests.policy.conftest import World
from tests.support.relay import SECRET

LONG = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "2000"))
# What aliases of the test's directory say themselves.
MAY_LEAVE = {"x@far.test"}
PIECES = st.sampled_from(
    [
        *("x", "alice", "bob", "out", "postmaster", "abuse", "a.test", "A.TEST", "c.test", "far.test", "mail.a.test"),
        *("[127.0.0.1]", "[IPv6:::1]", "[192.0.2.1]", "localhost", "SRS0=", "SRS1=", "a.test.", "xn--a", "%40", "=40"),
        *("@", "%", "!", "+", ":", ",", '"', "\\", ".", "<", ">", " ", "=", "\0", "(", ")", ";", "/"),
        *("\u0430.test", "a\u3002test", "\uff41.test", "\u200b"),
    ]
)
TEXTS = st.lists(PIECES, min_size=1, max_size=9).map("".join) | st.text(max_size=40)


def check(world: World, text: str) -> None:
    try:
        address, _ = parse_rcpt_to(f"<{text}>", smtputf8=True)
    except SyntaxProblem:
        return
    verdict, routes = world.run(world.inbound.recipient(world.transaction(), address))
    if isinstance(verdict, Accept):
        assert routes
        for route in routes:
            assert isinstance(route, Local) or (isinstance(route, Remote) and str(route.address) in MAY_LEAVE), text
    else:
        assert 400 <= verdict.reply.code < 600


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_nothing_leaves_without_a_login(world: World, text: str) -> None:
    check(world, text)


@pytest.mark.fuzz
@settings(max_examples=LONG, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_nothing_leaves_without_a_login_long(world: World, text: str) -> None:
    check(world, text)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_srs_address_that_was_changed_leads_nowhere(world: World, data: st.DataObject) -> None:
    made = str(forward(parse_address("first@other.test"), "a.test", SECRET, int(world.clock() // 86400)))
    place = data.draw(st.integers(5, made.index("@") - 1))
    letter = data.draw(st.sampled_from("abcdefgxyz019=-"))
    changed = made[:place] + letter + made[place + 1 :]
    if changed.lower() == made.lower():
        return
    address, _ = parse_rcpt_to(f"<{changed}>", smtputf8=True)
    verdict, _ = world.run(world.inbound.recipient(world.transaction(), address))
    assert not isinstance(verdict, Accept), changed
