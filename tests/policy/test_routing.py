"""Where an address leads."""

import pytest

from mailstack.message.address import Address, parse_address
from mailstack.message.srs import DAYS, forward
from mailstack.policy.routing import Disabled, Local, Remote, Route, Unknown
from mailstack.policy.verdict import Accept, Defer, Reject
from mailstack.store.content import Content
from mailstack.store.users.mailings import Mailing
from tests.policy.conftest import World
from tests.support.relay import SECRET


def words(routes: tuple[Route, ...]) -> list[str]:
    found = []
    for route in routes:
        match route:
            case Local(account, tag):
                found.append(account.address.partition("@")[0] + (f"+{tag}" if tag else ""))
            case Remote(address, forwarded):
                found.append(f"{'forwarded' if forwarded else 'remote'} {address}")
            case Unknown() | Disabled():
                found.append(type(route).__name__)
    return sorted(found)


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("alice@a.test", ["alice"]),
        ("ALICE@A.Test", ["alice"]),
        ('"alice"@a.test', ["alice"]),
        ("alice+x+y@a.test", ["alice+x+y"]),
        ("sales@a.test", ["alice"]),
        ("sales+tag@a.test", ["alice"]),
        ("tagged@a.test", ["alice+sales"]),
        ("chain@a.test", ["alice"]),
        ("both@a.test", ["alice", "bob"]),
        ("out@a.test", ["forwarded x@far.test"]),
        ("mixed@a.test", ["bob", "forwarded x@far.test"]),
        ("ring@a.test", ["Unknown"]),
        ("self@a.test", ["bob"]),
        ("gone@a.test", ["Unknown"]),
        ("asleep@a.test", ["Disabled"]),
        ("half@a.test", ["bob"]),
        ("off@a.test", ["Disabled"]),
        ("off+x@a.test", ["Disabled"]),
        ("nobody@a.test", ["Unknown"]),
        ("+x@a.test", ["Unknown"]),
        ("anything@c.test", ["carol"]),
        ("anything+x@c.test", ["carol"]),
        ("dan@c.test", ["dan"]),
        ("postmaster@a.test", ["bob"]),
        ("PostMaster@c.test", ["bob"]),
        ("abuse@a.test", ["bob"]),
        ("abuse+x@a.test", ["bob"]),
        ("abuse@c.test", ["bob"]),
        ("x@far.test", ["remote x@far.test"]),
    ],
)
def test_route(world: World, address: str, leads: list[str]) -> None:
    assert words(world.route(address)) == leads


def test_postmaster_without_a_domain(world: World) -> None:
    assert words(world.run(world.router.route(Address("postmaster", "")))) == ["bob"]


@pytest.mark.parametrize("postmaster", ["", "off@a.test", "nobody@a.test", "postmaster@a.test"])
def test_postmaster_is_answered_whatever_the_setting(world: World, postmaster: str) -> None:
    before, world.router.postmaster = world.router.postmaster, postmaster
    try:
        assert words(world.route("postmaster@a.test")) == ["alice"]
    finally:
        world.router.postmaster = before


def test_postmaster_elsewhere(world: World) -> None:
    before, world.router.postmaster = world.router.postmaster, "me@far.test"
    try:
        assert words(world.route("abuse@a.test")) == ["forwarded me@far.test"]
    finally:
        world.router.postmaster = before


def test_bounces_of_forwarded_mail_find_back_for_three_weeks(world: World) -> None:
    day = int(world.clock() // 86400)
    sender = parse_address("first@far.test")
    for age, leads in ((0, ["remote first@far.test"]), (DAYS - 1, ["remote first@far.test"]), (DAYS, ["Unknown"])):
        assert words(world.route(str(forward(sender, "a.test", SECRET, day - age)))) == leads
    assert words(world.route("SRS0=AAAAAA=AA=far.test=first@a.test")) == ["Unknown"]
    assert words(world.route("SRS1=AAAAAA=far.test==x@a.test")) == ["Unknown"]


# Port 25's verdict on recipients ----------------------------------------------------------------------------------------


def reply(world: World, address: str, **more: int) -> str:
    verdict = world.judge(address, **more)  # type: ignore[arg-type]
    return "yes" if isinstance(verdict, Accept) else f"{verdict.reply.code} {verdict.reply.enhanced}"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("alice@a.test", "yes"),
        ("out@a.test", "yes"),
        ("nobody@a.test", "550 5.1.1"),
        ("off@a.test", "550 5.2.1"),
        ("x@far.test", "550 5.7.1"),
        ("x@[127.0.0.1]", "550 5.7.1"),
        ("x@[IPv6:::1]", "550 5.7.1"),
        ("x%far.test@a.test", "550 5.1.1"),
        ('"x@far.test"@a.test', "550 5.1.1"),
        ("far.test!x@a.test", "550 5.1.1"),
        ("x@a.test.far.test", "550 5.7.1"),
        ("x@sub.a.test", "550 5.7.1"),
    ],
)
def test_recipient(world: World, address: str, said: str) -> None:
    assert reply(world, address) == said


@pytest.mark.parametrize(("size", "said"), [(None, "yes"), (999, "yes"), (1000, "yes"), (1001, "452 4.2.2")])
def test_quota_is_judged_with_size(world: World, size: int | None, said: str) -> None:
    assert reply(world, "full@a.test", size=size) == said  # type: ignore[arg-type]
    assert reply(world, "bob@a.test", size=10**9) == "yes"


def test_too_many_recipients_are_for_another_transaction(world: World) -> None:
    assert reply(world, "alice@a.test", have=4) == "yes"
    verdict = world.judge("alice@a.test", have=5)
    assert isinstance(verdict, Defer)
    assert (verdict.reply.code, verdict.reply.enhanced) == (452, "4.5.3")


def test_fifty_received_fields_and_no_more(world: World) -> None:
    for count, kind in ((50, Accept), (51, Reject)):
        assert isinstance(world.submit("Received: x\r\n" * count + "From: alice@a.test"), kind)
    looped = world.run(world.inbound.body(world.transaction(), Content.of(b"reCeived : x\r\n" * 51 + b"\r\n")))
    assert isinstance(looped, Reject)
    assert looped.reply.enhanced == "5.4.6"


def test_an_srs_address_with_other_letters_is_only_unknown(world: World) -> None:
    assert words(world.route("SRS0=\u00e9=AA=far.test=x@a.test")) == ["Unknown"]
    assert words(world.route("SRS1=\u00e9=far.test==x@a.test")) == ["Unknown"]


def test_how_many_get_it_elsewhere(world: World) -> None:
    """Members of lists, and of lists and aliases in lists; those that are here do not count, nor do rings have an end."""

    async def ask() -> dict[str, int]:
        directory = world.data.directory
        await directory.add_alias("in@a.test", ["X@far.test", "alice@a.test", "out@a.test", "outer@a.test"])
        await directory.add_alias("outer@a.test", ["in@a.test", "y@far.test", "outer@a.test"])
        for name in ("in@a.test", "outer@a.test"):
            await directory.set_mailing(Mailing(name))
        names = ("in", "outer", "mixed", "alice")
        routes = [await world.router.route(parse_address(f"{name}@a.test")) for name in names]
        try:
            return {name: await world.router.outside(some) for name, some in zip(names, routes, strict=True)}
        finally:
            for name in ("in@a.test", "outer@a.test"):
                await directory.remove_alias(name)

    assert world.run(ask()) == {"in": 3, "outer": 3, "mixed": 1, "alice": 0}
