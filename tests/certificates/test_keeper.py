"""The keeper against an authority that says what real ones say now and then: one attempt, restarts, failures, renewal."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509

from mailstack.certificates.ari import certificate_id
from mailstack.certificates.around import Around
from mailstack.certificates.controls import ByHttp
from mailstack.certificates.files import AcmeFiles, State
from mailstack.certificates.keeper import Keeper
from mailstack.certificates.names import Wanted
from mailstack.certificates.settings import AcmeSettings, Control
from mailstack.net.tls import Chain, names_of
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreFailed
from tests.support.authority import URN, FakeAuthority

DAY = 86400.0
NOW = 1_800_000_000.0


class GivenNames:
    def __init__(self, wanted: list[Wanted]) -> None:
        self._wanted = wanted

    async def wanted(self, _: AcmeSettings) -> list[Wanted]:
        return self._wanted


class World:
    """Everything around a keeper, with a clock that is moved by hand."""

    def __init__(self, folder: Path, authority: FakeAuthority) -> None:
        self.files = AcmeFiles(folder, Disk())
        self.authority = authority
        self.now = NOW
        self.wanted = [Wanted("mail.a.test", ("mail.a.test",))]
        self.changes = 0
        self.by_http = ByHttp()
        self.reuse_key = True

    def keeper(self) -> Keeper:
        """As after a start."""
        settings = AcmeSettings(
            directory=self.authority.url, contact=("alice@a.test",), names=(), controls=(Control.HTTP,),
            context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), binding=None, updater=None, hook=(), reuse_key=self.reuse_key,
            addresses=(),
        )  # fmt: skip
        nothing: Any = None
        names: Any = GivenNames(self.wanted)
        around = Around(
            self.files, names, self.by_http, nothing, lambda _: nothing, self._changed, lambda: self.now, random.Random(1)
        )
        return Keeper(settings, around)

    async def _changed(self) -> None:
        self.changes += 1

    def certificate(self, name: str = "mail.a.test") -> x509.Certificate:
        found = self.files.certificate(name)
        assert found is not None
        return found


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    one: list[World] = []
    async with FakeAuthority(lambda: one[0].now, renewal=True) as authority:
        one.append(World(tmp_path / "acme", authority))
        yield one[0]


async def test_the_first_one(world: World) -> None:
    """Kinds of challenges that nobody knows yet and a finalized order without Location are no hindrance."""
    await world.keeper().look()
    assert names_of(world.certificate()) == ("mail.a.test",)
    assert world.changes == 1
    assert world.by_http.tokens == {}
    path = world.files.pair("mail.a.test")
    assert Chain.load(path, path).names == ("mail.a.test",)
    assert {one.stat().st_mode & 0o777 for one in world.files.folder.iterdir()} == {0o600}
    await world.keeper().look()
    assert len(world.authority.asked("newOrder")) == 1


async def test_renewal_when_a_third_is_left_with_the_same_key_and_in_place_of_the_old_one(world: World) -> None:
    await world.keeper().look()
    first = world.certificate()
    world.authority.window = {"start": "2027-03-15T00:00:00Z", "end": "2027-03-14T00:00:00Z"}  # nonsense counts for nothing
    for days, certificates in ((56, 1), (60.1, 2)):
        world.now = NOW + days * DAY
        await world.keeper().look()
        assert world.changes == certificates
    second = world.certificate()
    assert second.serial_number != first.serial_number
    assert second.public_key() == first.public_key()
    assert world.authority.asked("newOrder")[-1]["replaces"] == certificate_id(first)
    assert len(world.authority.accounts) == 1


async def test_another_key_is_there_before_it_is_used(world: World) -> None:
    world.reuse_key = False
    await world.keeper().look()
    served, following = world.files.public_keys("mail.a.test")
    world.now += 61 * DAY
    await world.keeper().look()
    now_served, after = world.files.public_keys("mail.a.test")
    assert (now_served, len({served, following, after})) == (following, 3)


async def test_the_authority_wants_it_earlier(world: World) -> None:
    await world.keeper().look()
    world.authority.window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    world.now += 3600
    await world.keeper().look()
    assert world.changes == 1  # a new one is not asked about at once: an authority in trouble would have us renew for ever
    world.now += 6 * 3600
    await world.keeper().look()
    assert world.changes == 2


async def test_failures_are_remembered_over_a_restart(world: World) -> None:
    world.authority.refuses.add("mail.a.test")
    tried = []
    for minute in range(0, 24 * 60, 5):
        world.now = NOW + minute * 60
        before = len(world.authority.asked("newOrder"))
        await world.keeper().look()
        if len(world.authority.asked("newOrder")) > before:
            tried.append(minute)
    assert len(tried) <= 6
    assert sum(minute < 60 for minute in tried) <= 2
    rows = await world.keeper().status()
    assert (rows[0]["state"], rows[0]["problem"]) == ("waits", "mail.a.test leads nowhere")
    world.authority.refuses.clear()
    await world.keeper().look(now=True, name="mail.a.test")
    assert (await world.keeper().status())[0]["state"] == "served"


async def test_one_name_fails_and_the_rest_does_not(world: World) -> None:
    world.wanted.append(Wanted("a.test", ("mta-sts.a.test", "autoconfig.a.test")))
    world.authority.refuses.add("mta-sts.a.test")
    await world.keeper().look()
    assert names_of(world.certificate("a.test")) == ("autoconfig.a.test",)
    states = {row["name"]: row["state"] for row in await world.keeper().status()}
    assert states == {"mail.a.test": "served", "mta-sts.a.test": "refused", "autoconfig.a.test": "served"}
    orders = len(world.authority.asked("newOrder"))
    world.now += 3600
    await world.keeper().look()
    assert len(world.authority.asked("newOrder")) == orders
    world.authority.refuses.clear()
    world.now += DAY
    await world.keeper().look()
    assert names_of(world.certificate("a.test")) == ("mta-sts.a.test", "autoconfig.a.test")


async def test_it_refuses_what_nobody_asked_for(world: World) -> None:
    said = {"type": URN + "rejectedIdentifier", "detail": "no", "identifier": {"type": "dns", "value": "x.test"}}
    world.wanted[0] = Wanted("a.test", ("mta-sts.a.test", "autoconfig.a.test"))
    world.authority.says = lambda path, _: (400, {}, said) if path == "/newOrder" else None
    await asyncio.wait_for(world.keeper().look(), 20)
    assert world.files.state("a.test").failures == 1


async def test_a_disk_that_takes_nothing_is_no_reason_to_ask_again_and_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise StoreFailed("read-only")

    monkeypatch.setattr(world.files, "install", fails)
    keeper = world.keeper()
    for _ in range(3):
        with contextlib.suppress(StoreFailed):
            await keeper.look()
    assert len(world.authority.asked("finalize")) == 1


async def test_too_many_requests(world: World) -> None:
    limited = (429, {"Retry-After": "90000"}, {"type": URN + "rateLimited", "detail": "too many"})
    world.authority.says = lambda path, _: limited if path == "/newOrder" else None
    await world.keeper().look()
    world.authority.says = lambda path, _: None
    world.now += 89000
    await world.keeper().look()
    assert world.changes == 0
    world.now += 1100
    await world.keeper().look()
    assert world.changes == 1


@pytest.mark.parametrize(
    "said",
    [
        (503, {"Replay-Nonce": "", "Content-Type": "text/html"}, "<html>busy</html>"),
        (400, {}, {"type": URN + "badNonce", "detail": "no"}),
        (400, {}, {"type": URN + "malformed"}),
        (400, {}, [1]),
        (200, {"Location": ""}, {"status": "pending"}),
        (200, {}, {"status": ["x"], "identifiers": 5}),
    ],
)
async def test_whatever_it_says_is_told_and_tried_again(world: World, said: Any) -> None:
    world.authority.says = lambda path, _: said if path == "/newOrder" else None
    await asyncio.wait_for(world.keeper().look(), 20)
    state = world.files.state("mail.a.test")
    assert state.problem
    assert state.failures == 1
    world.authority.says = lambda path, _: None
    world.now = state.next_attempt
    await world.keeper().look()
    assert world.changes == 1


@pytest.mark.parametrize("path", ["/newOrder", "/authorization", "/challenge", "/finalize", "/order", "/certificate"])
@pytest.mark.parametrize("reuse_key", [True, False])
async def test_a_stop_at_any_step_doubles_nothing(world: World, path: str, reuse_key: bool) -> None:
    """The process ends where the request has been carried out and its answer never came."""
    world.reuse_key = reuse_key
    world.authority.says = _ends(asyncio.current_task(), path)
    with pytest.raises(asyncio.CancelledError):
        await world.keeper().look()
    task = asyncio.current_task()
    assert task is not None
    while task.cancelling():
        task.uncancel()
    keys = world.files.public_keys("mail.a.test")
    world.authority.says = lambda path, _: None
    await world.keeper().look()
    assert world.changes == 1
    assert len(world.authority.accounts) == 1
    assert len(world.authority.asked("newOrder")) == (2 if path == "/newOrder" else 1)
    assert keys[0] == world.files.public_keys("mail.a.test")[0]


async def test_a_stop_between_the_certificate_and_the_note_of_it(world: World) -> None:
    """What was ordered then is no renewal."""
    await world.keeper().look()
    first, order = world.certificate(), next(iter(world.authority.orders))
    noted = State(order=f"{world.authority.root}/order/{order}", names=["mail.a.test"])
    world.files.keep("mail.a.test", noted)
    world.now += 61 * DAY
    await world.keeper().look()
    assert world.certificate().serial_number != first.serial_number
    assert len(world.authority.asked("newOrder")) == 2


def _ends(task: "asyncio.Task[Any] | None", at: str) -> Any:
    assert task is not None

    def says(path: str, _: Any) -> None:
        if path.startswith(at):
            task.cancel()

    return says


async def test_half_of_a_certificate_is_none(world: World) -> None:
    """As a backup may bring it back: what can't be served is asked for again."""
    await world.keeper().look()
    path = world.files.pair("mail.a.test")
    path.write_bytes(path.read_bytes()[200:])
    world.now += DAY
    await world.keeper().look()
    assert world.changes == 2
    assert Chain.load(path, path).names == ("mail.a.test",)


async def test_nothing_answers(world: World) -> None:
    world.authority.url = "http://127.0.0.1:1/directory"
    await world.keeper().look()
    assert world.files.state("mail.a.test").failures == 1


async def test_a_lost_account_is_made_again(world: World) -> None:
    await world.keeper().look()
    world.now += 61 * DAY
    world.authority.accounts.clear()
    await world.keeper().look()
    assert world.changes == 2


async def test_what_leads_here_no_more_is_put_away_before_its_end_is_an_alarm(world: World) -> None:
    world.wanted.append(Wanted("a.test", ("mta-sts.a.test",)))
    await world.keeper().look()
    world.wanted[1] = Wanted("a.test", (), {"mta-sts.a.test": "leads elsewhere"})
    for days, there in ((60, True), (70, False)):
        world.now = NOW + days * DAY
        await world.keeper().look()
        assert world.files.pair("a.test").exists() == there
