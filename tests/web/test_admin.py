"""The admin's pages: who sees them, what they do, and that nothing that strangers write runs in them."""

import re
import smtplib
import time
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import pytest

from mailstack.store.trace import Trace
from mailstack.web.console.desk import Behind, Desk
from mailstack.web.console.parts import pages_of
from mailstack.web.console.visit import Page
from tests.conftest import unused
from tests.support.browser import Browser, told
from tests.support.server import DOMAIN, PASSWORD, Server
from tests.web.conftest import Operations

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    """All of the console, as it makes its routes."""
    desk = Desk(Behind("h", Path("/"), {}, None, None, None, None, lambda: None), None)  # type: ignore[arg-type]
    for part in pages_of(desk, time.time):
        part.routes()
    return desk.pages


def test_who_is_no_admin_sees_and_does_nothing(browser: Browser, pages: list[Page], server: Server) -> None:
    token, stranger = browser.token(), Browser(server)
    mine = [page for page in pages if page.admin]
    assert len(mine) > 8
    for page in mine:
        assert browser.get(page.path).status_code == 403, page.path
        assert stranger.get(page.path).headers["location"].startswith("/login?next="), page.path
        for do in page.actions:
            assert browser.post(page.path, data={"csrf": token, "do": do}).status_code == 403, (page.path, do)
            assert stranger.post(page.path, data={"csrf": token, "do": do}).status_code == 403, (page.path, do)
    assert not any(f'href="{page.path}"' in browser.get("/logout").text for page in mine)


def test_every_action_wants_the_token(admin: Browser, pages: list[Page]) -> None:
    for page in pages:
        for do in page.actions:
            assert admin.post(page.path, data={"csrf": "0" * 64, "do": do}).status_code == 403, (page.path, do)
            assert admin.post(page.path, data={"do": do}, headers={"origin": "https://evil.test"}).status_code == 403


def test_a_role_that_is_taken_away_is_gone_at_once(browser: Browser, account: str, operate: Operations) -> None:
    operate("user.admin", address=f"{account}@{DOMAIN}")
    assert browser.get("/admin/domains").status_code == 200
    operate("user.admin", address=f"{account}@{DOMAIN}", off=True)
    assert browser.get("/admin/domains").status_code == 403


def test_an_account_from_its_password_to_its_end(admin: Browser, server: Server) -> None:
    address = f"new.one@{DOMAIN}"
    added = admin.submit("/admin/accounts", "add", address=address, quota="5MiB")
    password = re.search(r'class="secret"[^>]*>([^<]+)<', added.text)
    assert password is not None
    place = f"/admin/accounts/of?address={quote(address)}"
    assert Browser(server).log_in("new.one", password[1]).status_code == 303
    assert "5.0 MiB" in admin.get(place).text
    assert "is not a size" in told(admin.submit(place, "quota", quota="much"))
    assert "quota is set" in told(admin.submit(place, "quota", quota=""))
    assert "disabled" in told(admin.submit(place, "disable"))
    assert Browser(server).log_in("new.one", password[1]).status_code == 422
    assert "enabled" in told(admin.submit(place, "enable"))
    assert "limits are set" in told(admin.submit(place, "limits", messages_per_day="7"))
    assert "of its own" in admin.get(place).text
    assert "may send nothing" in told(admin.submit(place, "stop", reason="it sends spam"))
    assert "it sends spam" in admin.get(place).text
    assert "may send again" in told(admin.submit(place, "release"))
    changed = admin.submit(place, "password", password="another good one")
    assert "password is changed" in told(changed)
    assert Browser(server).log_in("new.one", "another good one").status_code == 303
    assert "Type new.one@a.test" in told(admin.submit(place, "remove", typed="something"))
    assert "removed" in told(admin.submit(place, "remove", typed=address))
    assert admin.get(place).status_code == 404
    done = server.events("console.did")
    assert {"user.add", "user.quota", "user.remove"} <= {event["do"] for event in done if event["by"] == f"alice@{DOMAIN}"}
    assert "another good one" not in str(done)


def test_an_admin_does_not_lock_himself_out(admin: Browser) -> None:
    place = f"/admin/accounts/of?address=alice%40{DOMAIN}"
    for do in ("disable", "no-admin", "remove"):
        answer = admin.submit(place, do, typed=f"alice@{DOMAIN}")
        assert answer.status_code == 422
        assert "lock you out" in told(answer)


def test_what_was_typed_is_there_again_when_it_is_refused(admin: Browser) -> None:
    answer = admin.submit("/admin/domains", "add", domain='no "domain"')
    assert answer.status_code == 422
    assert "is not a domain" in told(answer)
    assert 'value="no &#34;domain&#34;"' in answer.text


def test_domains_and_aliases_come_and_go(admin: Browser) -> None:
    added = admin.submit("/admin/domains", "add", domain="pages.test")
    assert added.url.path == "/admin/domains/of"
    assert "_domainkey.pages.test" in added.text
    assert "info@pages.test leads to" in told(
        admin.submit("/admin/aliases", "add", address="info@pages.test", targets="alice@a.test\r\nfar@b.test")
    )
    place = "/admin/aliases/of?source=info%40pages.test"
    assert "list is set" in told(admin.submit(place, "list", post="anyone", title="News", posters="", owner="", unsubscribe=""))
    assert 'value="News"' in admin.get(place).text
    assert "plain alias" in told(admin.submit(place, "plain"))
    assert admin.submit(place, "remove", target="far@b.test").url.path == "/admin/aliases/of"
    assert admin.submit(place, "remove", target="alice@a.test").url.path == "/admin/aliases"
    admin.submit("/admin/aliases", "add", address="info@pages.test", targets="alice@a.test")
    assert "Tick the box" in told(admin.submit(place, "remove-all"))
    assert "removed" in told(admin.submit(place, "remove-all", sure="yes"))
    assert "Type pages.test" in told(admin.submit("/admin/domains/of?domain=pages.test", "remove", typed=""))
    assert "removed" in told(admin.submit("/admin/domains/of?domain=pages.test", "remove", typed="pages.test"))


def test_a_message_that_waits(admin: Browser, server: Server, operate: Operations) -> None:
    """It is for a host that does not answer."""
    sender = unused(server)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"{sender}@{DOMAIN}", "far@192.0.2.7", f"Offer {EVIL}"
    with server.submission(sender) as client:
        client.sendmail(f"{sender}@{DOMAIN}", ["far@[127.0.0.1]"], message.as_bytes())
    row = next(row for row in operate("queue.list") if row["sender"] == f"{sender}@{DOMAIN}")
    place = f"/admin/queue/of?id={row['id']}"
    assert "is held" in told(admin.submit(place, "hold"))
    listed = admin.get(f"/admin/queue?q={quote(sender)}").text
    assert row["id"] in listed
    assert "held" in listed
    assert row["id"] not in admin.get("/admin/queue?q=nobody-at-all").text
    shown = admin.get(place).text
    assert "Subject: Offer &lt;script&gt;" in shown
    assert EVIL not in shown
    assert "Tick the box" in told(admin.submit(place, "drop"))
    assert "is let go" in told(admin.submit("/admin/queue", "release", id=row["id"]))
    assert "is tried now" in told(admin.submit(place, "retry"))
    assert "is held" in told(admin.submit("/admin/queue", "hold", id=row["id"]))
    # An attempt that was under way ends first.
    while "is being delivered now" in (said := told(admin.submit(place, "drop", sure="yes"))):
        pass
    assert "is gone" in said
    assert "not in the queue any more" in told(admin.get(place, follow_redirects=True))


def test_what_strangers_write_is_shown_as_text(admin: Browser, server: Server, operate: Operations) -> None:
    """In an address, a subject, a label, the name of a browser, the name of a list: on each page that shows it."""
    user = unused(server)
    address = f"{user}@{DOMAIN}"
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"]) as client:
        client.sendmail(
            '"<script>alert(1)</script>"@far.test', [address], f"Subject: {EVIL}\r\nMessage-ID: <{user}@x>\r\n\r\nx\r\n"
        )
    operate("user.app-password.add", address=address, label=EVIL)
    Browser(server, headers={"user-agent": EVIL}).log_in(user)
    alias = f'"<script>x{user}"@{DOMAIN}'
    operate("alias.add", address=alias, targets=['"<script>y"@far.test', address])
    operate("alias.set", address=alias, title=EVIL)
    alias = next(row["source"] for row in operate("alias.list") if f"x{user}" in row["source"])
    pages = [
        f"/admin/trace?who={quote(address)}",
        f"/admin/trace?who={quote(address)}&words=script",
        f"/admin/trace?who={quote(EVIL)}&words={quote(EVIL)}",
        f"/admin/trace/sent?address={quote(EVIL)}",
        f"/admin/accounts/of?address={quote(address)}",
        f"/admin/accounts/of?address={quote(EVIL)}",
        f"/admin/accounts?q={quote(EVIL)}",
        "/admin/aliases",
        f"/admin/aliases/of?source={quote(alias)}",
        f"/admin/domains/of?domain={quote(EVIL)}",
        f"/admin/queue?q={quote(EVIL)}",
        f"/admin/queue/of?id={quote(EVIL)}",
        "/admin",
    ]
    for page in pages:
        text = admin.get(page, follow_redirects=True).text
        assert re.findall("<script(?! src=)", text) == [], page
    for page in (pages[1], pages[4], pages[7], pages[8]):
        assert "&lt;script&gt;" in admin.get(page).text, page


def test_the_story_of_a_message_is_told(admin: Browser, server: Server) -> None:
    sender, receiver = unused(server), unused(server)
    with server.submission(sender) as client:
        mail = f"From: {sender}@{DOMAIN}\r\nSubject: May invoice\r\nMessage-ID: <inv@x>\r\n\r\nx\r\n"
        client.sendmail(f"{sender}@{DOMAIN}", [f"{receiver}@{DOMAIN}"], mail)
    for query in (f"who={receiver}@{DOMAIN}&words=invoice", "who=%3Cinv%40x%3E"):
        text = admin.get(f"/admin/trace?{query}").text
        assert "May invoice" in text
        assert "delivered" in text
    assert "May invoice" in admin.get(f"/admin/trace/sent?address={sender}@{DOMAIN}").text
    assert "Nothing is known" in admin.get(f"/admin/trace?who={receiver}@{DOMAIN}&words=never").text


def test_a_ban_is_shown_and_lifted(admin: Browser, operate: Operations) -> None:
    assert "203.0.113.0/24" in told(admin.submit("/admin", "ban", network="203.0.113.0/24", seconds="1h"))
    assert "203.0.113.0/24" in admin.get("/admin").text
    assert "may log in again" in told(admin.submit("/admin", "lift", network="203.0.113.0/24"))
    assert "this machine itself" in told(admin.submit("/admin", "ban", network="127.0.0.0/8"))


async def test_deliverability_is_what_hosts_said_last(tmp_path: Path) -> None:
    """Of each message and receiver, by domain; what stayed here is no part of it."""
    trace = Trace(tmp_path / "trace.sqlite3", lambda: 1000.0)
    for moment, id, name, to, more in (
        (10, "old", "failed", "x@far.test", {"reply": "550 too long ago"}),
        (500, "a", "deferred", "x@Far.test", {"host": "mx", "reply": "451 later"}),
        (501, "a", "deferred", "x@far.test", {"host": "mx", "reply": "451 later still"}),
        (502, "a", "delivered", "x@far.test", {"host": "mx", "reply": "250 ok"}),
        (503, "b", "deferred", "y@far.test", {"host": "mx", "reply": "421 busy"}),
        (504, "c", "failed", "y@far.test", {"host": "mx", "reply": "550 5.7.1 no <script>"}),
        (505, "c", "delivered", "z@far.test", {"host": "mx", "reply": "250 ok"}),
        (506, "d", "delivered", "alice@a.test", {"mailbox": "INBOX"}),
        (507, "e", "deferred", "q@other.test", {"reply": None}),
    ):
        trace.record(id, name, float(moment), to=to, **more)
    rows = await trace.receivers(100.0, 10)
    await trace.close()
    numbers = [(row["domain"], row["delivered"], row["deferred"], row["refused"], row["reply"]) for row in rows]
    assert numbers == [("far.test", 2, 1, 1, "550 5.7.1 no <script>"), ("other.test", 0, 1, 0, "")]


def test_where_backups_go_is_said_in_the_settings(admin: Browser) -> None:
    assert "[backup]" in admin.get("/admin/backups").text
    assert "say where" in told(admin.submit("/admin/backups", "now"))
    assert "Name the account" in told(admin.submit("/admin/backups", "bring", account="", backup=""))


def test_who_an_account_is_and_what_it_may(admin: Browser, server: Server, operate: Operations) -> None:
    """Renamed, allowed another sender, removed, and back with its mail."""
    operate("user.add", address=f"first.name@{DOMAIN}", password="a good password")
    place = f"/admin/accounts/of?address=first.name@{DOMAIN}"
    assert "may send as" in told(admin.submit(place, "grant", sender=f"@{DOMAIN}"))
    assert f"@{DOMAIN}</span>" in admin.get(place).text
    assert "no longer" in told(admin.submit(place, "ungrant", sender=f"@{DOMAIN}"))
    renamed = admin.submit(place, "rename", to=f"last.name@{DOMAIN}", keep="yes")
    assert "logs in by it" in told(renamed)
    assert f"first.name@{DOMAIN}</a>" in renamed.text
    assert "lock you out" in told(admin.submit(f"/admin/accounts/of?address=alice@{DOMAIN}", "rename", to=f"x@{DOMAIN}"))
    operate("user.remove", address=f"last.name@{DOMAIN}")
    back = admin.submit("/admin/accounts", "undelete", removed=f"last.name@{DOMAIN}")
    assert "The account is back" in told(back)
    assert 'class="secret"' in back.text
    operate("user.remove", address=f"last.name@{DOMAIN}")


def test_a_token_and_a_hook_are_shown_once(admin: Browser, operate: Operations) -> None:
    fields = {"label": "Shop <1>", "account": f"alice@{DOMAIN}"}
    assert "not your password" in told(admin.submit("/admin/programs", "token", **fields, password="x"))
    made = admin.submit("/admin/programs", "token", **fields, password=PASSWORD).text
    assert re.search(r"<code id=\"made\">mst_[^<]{20,}", made)
    assert "mst_" not in admin.get("/admin/programs").text
    assert "Shop &lt;1&gt; is void" in admin.submit("/admin/programs", "revoke", label="Shop <1>").text
    hook = {"url": "http://127.0.0.1:9/", "event": "message.bounced", "of": ""}
    assert "not your password" in told(admin.submit("/admin/programs", "hook", **hook, password=""))
    assert "whsec_" in admin.submit("/admin/programs", "hook", **hook, password=PASSWORD).text
    (row,) = operate("webhook.list")
    assert row["events"] == ["message.bounced"]
    assert "127.0.0.1:9" in told(admin.submit("/admin/programs", "test", id=row["id"]))
    assert "nothing more" in told(admin.submit("/admin/programs", "forget", id=row["id"]))


def test_keys_and_limits_of_a_domain(admin: Browser, operate: Operations) -> None:
    operate("domain.add", domain="keys.test")
    place = "/admin/domains/of?domain=keys.test"
    assert "limits are set" in told(admin.submit(place, "limits", messages_per_day="7"))
    assert "of its own" in admin.get(place).text
    assert "New keys are made" in told(admin.submit(place, "rotate"))
    assert len(operate("dkim.list", domain="keys.test")) == 4
    operate("domain.remove", domain="keys.test")


def test_certificates_and_reports(admin: Browser, operate: Operations) -> None:
    operate("tls.served")
    text = admin.get("/admin/certificates").text
    assert "mailstack on mail.a.test" in text
    assert "_25._tcp.mail.a.test. TLSA 3 1 1" in text
    assert "not &#34;acme&#34;" in admin.submit("/admin/certificates", "renew").text
    assert "No report came yet" in admin.get("/admin/reports").text
