"""Counters, /healthz after a self-test that failed, and what the postmaster is told of. The server runs in this process."""

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailstack.app import Appliance, Surroundings
from mailstack.app.seeing_settings import SeeingSettings
from mailstack.config import Auth, Config, ConfigProblem, Listen
from mailstack.config.checks import check
from mailstack.config.settings import Metrics, Watch
from mailstack.store.disk import Disk

NOW = 1_790_000_000.0


def configuration(folder: Path, **settings: Any) -> Config:
    listen = Listen(**{name: ["127.0.0.1:0"] for name in Listen.__struct_fields__})
    auth = Auth(allow_plaintext=True)
    more = {"watch": Watch(selftest=""), **settings}
    return Config(
        hostname="mail.a.test", data_dir=str(folder / "data"), listen=listen, auth=auth, postmaster="alice@a.test", **more
    )


@pytest.fixture
async def appliance(tmp_path: Path) -> AsyncIterator[Appliance]:
    one = Appliance(configuration(tmp_path), Surroundings(Disk(), lambda: NOW))
    await one.start()
    await do(one, "domain.add", domain="a.test")
    await do(one, "user.add", address="alice@a.test", password="sesame")
    yield one
    await one.stop()


async def do(appliance: Appliance, name: str, **arguments: Any) -> Any:
    return await appliance.data.operations(appliance.runner)[name](arguments)


async def get(appliance: Appliance, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{appliance.ports['http'][0]}") as client:
        return await client.get(path, headers=headers)


async def counters(appliance: Appliance) -> dict[tuple[str, ...], float]:
    """By name and values of labels, as a reader of the format finds them."""
    text = (await get(appliance, "/metrics")).text
    return {
        (one.name, *one.labels.values()): one.value for family in text_string_to_metric_families(text) for one in family.samples
    }


def send(appliance: Appliance) -> None:
    with smtplib.SMTP("127.0.0.1", appliance.ports["smtp"][0], timeout=20) as client:
        client.sendmail("s@far.test", ["alice@a.test"], b"Subject: x\r\n\r\nx\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("s@far.test", ["nobody@a.test"], b"Subject: x\r\n\r\nx\r\n")
    with smtplib.SMTP("127.0.0.1", appliance.ports["submission"][0], timeout=20) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("alice@a.test", "wrong")
        client.login("alice@a.test", "sesame")


async def arrived(appliance: Appliance, count: int) -> list[str]:
    """The subjects in the postmaster's INBOX, once there are so many messages."""
    record = await appliance.data.directory.account("alice@a.test")
    assert record is not None
    account = await appliance.data.mailboxes.account(appliance.data.directory.folder(record))
    inbox = await account.open("INBOX")
    try:
        async with asyncio.timeout(20):
            while len(inbox.uids) < count:
                await asyncio.sleep(0.01)
    finally:
        inbox.release()
    folder = appliance.data.directory.folder(record).path / "Maildir"
    texts = [path.read_text() for path in sorted(folder.glob("*/*:2,*")) + sorted((folder / "new").iterdir())]
    return sorted({line for text in texts for line in text.splitlines() if line.startswith("Subject: ")})


async def test_what_happens_is_counted(appliance: Appliance) -> None:
    before = await counters(appliance)
    await asyncio.to_thread(send, appliance)
    after = await counters(appliance)
    grown = {key: value - before.get(key, 0.0) for key, value in after.items() if value != before.get(key, 0.0)}
    for key in (
        ("mailstack_messages_total", "arrived"),
        ("mailstack_messages_total", "accepted"),
        ("mailstack_messages_total", "refused"),
        ("mailstack_refusals_total", "unknown"),
        ("mailstack_logins_total", "ok", "smtp"),
    ):
        assert grown.get(key) == 1.0, (key, grown)
    assert grown[("mailstack_logins_total", "failed", "smtp")] >= 1.0  # a client may try a second mechanism
    assert after[("mailstack_queue_messages", "waiting")] == 0.0
    assert after[("mailstack_disk_free_bytes",)] > 0
    assert ("mailstack_loop_lag_seconds_count",) in after


async def test_counters_are_for_those_who_may_read_them(appliance: Appliance, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open sesame\n")

    def use(**settings: Any) -> None:
        appliance.seeing.use(SeeingSettings.of(configuration(tmp_path, metrics=Metrics(**settings))))

    use(readers=["192.0.2.0/24"])
    assert (await get(appliance, "/metrics")).status_code == 404
    use(token_file=str(token))
    assert (await get(appliance, "/metrics")).status_code == 401
    assert (await get(appliance, "/metrics", authorization="Bearer close sesame")).status_code == 401
    assert (await get(appliance, "/metrics", authorization="Bearer open sesame")).status_code == 200


async def test_a_selftest_that_fails_makes_healthz_red_and_is_told_once(appliance: Appliance) -> None:
    assert (await get(appliance, "/healthz")).status_code == 200
    await do(appliance, "selftest.record", steps=[["IMAP login", 3.5]], problem="submission: 250: no answer")
    red = await get(appliance, "/healthz")
    assert (red.status_code, red.text) == (503, "self-test: submission: 250: no answer\n")
    assert await arrived(appliance, 1) == ["Subject: The self-test fails"]
    await do(appliance, "selftest.record", steps=[], problem="submission: 250: no answer")
    await appliance.seeing.watching.look()
    assert (await counters(appliance))[("mailstack_trouble", "selftest")] == 1.0
    assert (await do(appliance, "selftest.last"))["problem"] == "submission: 250: no answer"
    await do(appliance, "selftest.record", steps=[["IMAP login", 3.5]], problem=None)
    await appliance.seeing.watching.look()
    assert (await get(appliance, "/healthz")).status_code == 200
    assert appliance.seeing.watching.open == []
    assert len(await arrived(appliance, 1)) == 1


async def test_a_full_disk_and_a_long_queue_are_told(appliance: Appliance) -> None:
    watching = appliance.seeing.watching
    settings = SeeingSettings.of(configuration(Path("/x"), watch=Watch(disk_free="1000000GiB", queue_age="1s"))).watch
    watching.settings = type(settings)(settings.disk_free, 1.1, settings.queue_age, settings.queue_length)
    await watching.look()
    assert watching.open == ["disk"]
    assert await arrived(appliance, 1) == ["Subject: The disk is nearly full"]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"watch": Watch(selftest="5s")}, "watch.selftest"),
        ({"watch": Watch(disk_free="much")}, "watch.disk_free"),
        ({"watch": Watch(queue_age="")}, "watch.queue_age"),
        ({"watch": Watch(queue_length=0)}, "watch.queue_length"),
        ({"metrics": Metrics(readers=["everybody"])}, "metrics.readers"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, settings: dict[str, Any], key: str) -> None:
    def refuse(name: str, reason: str) -> Any:
        raise ConfigProblem(f"{name}: {reason}")

    with pytest.raises(ConfigProblem, match=rf"^{key}: "):
        check(configuration(tmp_path, **settings), refuse)


async def test_the_dashboard_asks_for_what_is_there(appliance: Appliance) -> None:
    await do(appliance, "selftest.record", steps=[], problem="x")
    await appliance.seeing.watching.look()
    await asyncio.to_thread(send, appliance)
    there = {key[0] for key in await counters(appliance)}
    dashboard = (Path(__file__).parents[2] / "etc" / "grafana.json").read_text()
    asked = set(re.findall(r"\b(?:mailstack|process)_[a-z_]+", dashboard)) - {"mailstack_loop_lag_seconds"}
    assert asked <= there, asked - there
    assert len(asked) >= 10
