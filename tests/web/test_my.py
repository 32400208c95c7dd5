"""The pages of an account's owner, as a browser without scripts uses them."""

import imaplib
import io
import json
import re
import zipfile
from html import unescape

import pyotp
import pytest

from mailstack.web.console.programs import program
from tests.conftest import unused
from tests.support.browser import Browser, hidden, told
from tests.support.server import DOMAIN, PASSWORD, Server

RULE = {
    "name": "Team", "every": "all", "enabled": "yes",
    "what-0": "subject", "how-0": "contains", "value-0": "team",
    "does-0": "move", "target-0": "Lists/Team",
}  # fmt: skip
PAGES = (
    "account",
    "devices",
    "rules",
    "rules/edit",
    "rules/script",
    "away",
    "forwarding",
    "rejected",
    "deleted",
    "security",
    "codes",
)


@pytest.fixture
def browser(server: Server, account: str) -> Browser:
    one = Browser(server)
    assert one.log_in(account).status_code == 303
    return one


def deliver(server: Server, account: str, subject: str, sender: str = "x@far.test") -> None:
    with server.smtp() as client:
        text = f"From: X <{sender}>\r\nTo: {account}@{DOMAIN}\r\nSubject: {subject}\r\n\r\nx\r\n"
        client.sendmail(sender, [f"{account}@{DOMAIN}"], text.encode())


def count(server: Server, account: str, mailbox: str) -> int:
    with server.imap(account) as connection:
        return int(connection.select(f'"{mailbox}"', readonly=True)[1][0] or 0)


def send(browser: Browser, path: str, do: str, **fields: str) -> str:
    """What the page says after a form with its version was sent."""
    version = re.search(r'name="version" value="([^"]*)"', browser.get(path).text)
    return told(browser.submit(path, do, version=version[1] if version else "", **fields))


def test_a_page_is_for_its_owner_alone(server: Server, browser: Browser) -> None:
    stranger = Browser(server)
    for page in PAGES:
        assert stranger.get(f"/my/{page}").headers["location"].startswith("/login"), page
        shown = browser.get(f"/my/{page}")
        assert shown.status_code == 200, page
        assert "<h1>" in shown.text, page
        assert " style=" not in shown.text, page
        assert "onclick" not in shown.text, page


def test_a_rule_is_made_tried_moved_switched_and_removed(server: Server, browser: Browser, account: str) -> None:
    deliver(server, account, "our team")
    deliver(server, account, "hello")
    tried = browser.submit("/my/rules/edit", "try", **RULE)
    assert "Of 2 messages, 1 would have been treated otherwise" in tried.text
    assert "into Lists/Team" in tried.text
    assert count(server, account, "INBOX") == 2
    assert 'value="Team"' in tried.text, "the form is as it was typed"
    assert "“Team” saved" in send(browser, "/my/rules/edit", "save", **RULE)
    send(browser, "/my/rules/edit", "save", **{**RULE, "name": "Second", "does-0": "flag", "target-0": "ignored"})
    deliver(server, account, "team again")
    assert count(server, account, "Lists/Team") == 1
    send(browser, "/my/rules", "down", rule="0")
    page = browser.get("/my/rules").text
    assert page.index("<h2>Second") < page.index("<h2>Team")
    assert "If Subject contains “team”: move to the mailbox Lists/Team." in unescape(page)
    send(browser, "/my/rules", "switch", rule="1")
    assert "off</span>" in browser.get("/my/rules").text
    edited = browser.get("/my/rules/edit?rule=1").text
    assert '<option value="subject" selected>' in edited
    send(browser, "/my/rules", "remove", rule="0")
    assert "Second" not in browser.get("/my/rules").text
    assert "no such rule" in send(browser, "/my/rules", "remove", rule="7")


def test_a_rule_that_is_none_is_shown_again_with_what_was_typed(browser: Browser) -> None:
    refused = browser.submit("/my/rules/edit", "save", **{**RULE, "name": "", "target-0": "", "value-0": "kept <here>"})
    assert refused.status_code == 422
    assert "Name: a rule needs a name" in told(refused)
    assert "Action 1: a mailbox is needed" in told(refused)
    assert 'value="kept &lt;here&gt;"' in refused.text


def test_what_came_in_between_is_not_overwritten(browser: Browser) -> None:
    old = hidden(browser.get("/my/rules/edit").text, "version")
    send(browser, "/my/away", "save", on="yes", text="away", days="7")
    assert "changed meanwhile" in told(browser.submit("/my/rules/edit", "save", version=old, **RULE))


def test_a_script_by_hand_stays_until_its_owner_decides(server: Server, browser: Browser, account: str) -> None:
    wrong = browser.submit("/my/rules/script", "save", script="mine", source="keep;\nfly;\n", active="yes")
    assert "Line 2:" in wrong.text
    assert 'class="wrong"' in wrong.text
    assert "fly;" in wrong.text
    source = 'require ["fileinto", "mailbox"];\r\nif header :contains "subject" "team" { fileinto :create "ByHand"; stop; }\r\n'
    assert "“mine” saved" in send(browser, "/my/rules/script", "save", script="mine", source=source, active="yes")
    assert "“mine”" in browser.get("/my/rules").text
    assert "was written by hand" in send(browser, "/my/away", "save", on="yes", text="away", days="7")
    assert "Mail goes by these rules" in send(browser, "/my/rules", "decide", hand="after")
    deliver(server, account, "team")
    assert count(server, account, "ByHand") == 1
    assert "your script “mine” goes on" in browser.get("/my/rules").text
    send(browser, "/my/rules", "decide", hand="rest")
    deliver(server, account, "team")
    assert count(server, account, "ByHand") == 1
    made = browser.get("/my/rules/script").text
    assert "The rules page made this script" in made
    send(browser, "/my/rules/script", "activate", which="mine")
    send(browser, "/my/rules/script", "remove", which="rules")
    assert "“rules”" not in browser.get("/my/rules/script").text


def test_mail_is_answered_while_its_owner_is_away(server: Server, browser: Browser, account: str) -> None:
    other = unused(server)
    assert "Text" in send(browser, "/my/away", "save", on="yes", text=" ", days="7")
    away = {"on": "yes", "text": "Back in <May>.", "first": "2020-01-01", "days": "7", "addresses": "me@old.test"}
    assert "mail is answered" in send(browser, "/my/away", "save", **away)
    page = browser.get("/my/away").text
    assert "Back in &lt;May&gt;." in page
    assert 'value="2020-01-01"' in page
    with server.submission(other) as client:
        text = f"From: {other}@{DOMAIN}\r\nTo: {account}@{DOMAIN}\r\nSubject: hello\r\n\r\nx\r\n"
        client.sendmail(f"{other}@{DOMAIN}", [f"{account}@{DOMAIN}"], text.encode())
    with server.imap(other) as connection:
        while connection.select("INBOX")[1] == [b"0"]:
            pass
        assert b"Back in <May>." in connection.fetch("1", "(BODY.PEEK[])")[1][0][1]  # type: ignore[index]


def test_forwarding(server: Server, browser: Browser, account: str) -> None:
    other = unused(server)
    assert "no mail address" in send(browser, "/my/forwarding", "save", addresses="nobody", keep="yes")
    assert "not sent on to this account" in send(browser, "/my/forwarding", "save", addresses=f"{account}@{DOMAIN}")
    assert "mail is sent on" in send(browser, "/my/forwarding", "save", addresses=f"{other}@{DOMAIN}", keep="no")
    assert f'value="{other}@{DOMAIN}"' in browser.get("/my/forwarding").text
    assert "Messages per day" in browser.get("/my/forwarding").text
    assert "is not sent on" in send(browser, "/my/forwarding", "save", addresses="")


def test_refused_mail_is_rescued(server: Server, browser: Browser, account: str) -> None:
    with server.imap(account) as connection:
        connection.create("Rejects")
        connection.append("Rejects", None, None, b"From: <x@far.test>\r\nSubject: <b>bold</b>\r\n\r\n")
    assert "&lt;b&gt;bold" in browser.get("/my/rejected").text
    assert "choose what" in send(browser, "/my/rejected", "rescue")
    assert "1 moved to the inbox" in send(browser, "/my/rejected", "rescue", uid="1")
    assert count(server, account, "INBOX") == 1


def test_deleted_mail_is_brought_back_or_goes_for_good(server: Server, browser: Browser, account: str) -> None:
    with server.imap(account) as connection:
        for subject in ("one", "two"):
            connection.append("Trash", r"(\Deleted)", None, f"Subject: {subject}\r\n\r\n".encode())  # type: ignore[arg-type]
        connection.select("Trash")
        connection.expunge()
    ids = re.findall(r'name="id" value="([^"]+)"', browser.get("/my/deleted").text)
    assert len(ids) == 2
    assert "choose some" in send(browser, "/my/deleted", "restore")
    assert "1 in Trash" in send(browser, "/my/deleted", "restore", id=unescape(ids[0]))
    assert "not your password" in send(browser, "/my/deleted", "purge", id=unescape(ids[1]), password="wrong")
    assert "1 removed for good" in send(browser, "/my/deleted", "purge", id=unescape(ids[1]), password=PASSWORD)
    assert count(server, account, "Trash") == 1
    assert "Nothing is kept" in browser.get("/my/deleted").text


def test_a_takeout_asks_for_the_password(server: Server, browser: Browser, account: str) -> None:
    deliver(server, account, "to take")
    assert "that is not your password" in send(browser, "/my/account", "takeout", password="wrong")
    taken = browser.submit("/my/account", "takeout", password=PASSWORD)
    assert re.fullmatch(r'attachment; filename="user[0-9]+@a.test-[0-9-]+.zip"', taken.headers["content-disposition"])
    with zipfile.ZipFile(io.BytesIO(taken.content)) as found:
        (row,) = json.loads(found.read("manifest.json"))["messages"]
        assert b"Subject: to take" in found.read(row["file"])
    assert browser.submit("/my/account", "takeout", password=PASSWORD).status_code == 200, "the next one may be made"


def test_the_password_is_changed_by_who_knows_it(server: Server, browser: Browser, account: str) -> None:
    other = Browser(server)
    other.log_in(account)
    new = "a much better one"
    for wrong in ({"old": "wrong", "new": new, "again": new}, {"old": PASSWORD, "new": new, "again": "x"},
                  {"old": PASSWORD, "new": "short", "again": "short"}):  # fmt: skip
        assert "Not done" in send(browser, "/my/security", "password", **wrong)
    assert "password is changed" in send(browser, "/my/security", "password", old=PASSWORD, new=new, again=new)
    assert browser.get("/my/security").status_code == 200, "who changed it stays"
    assert other.get("/my/security").status_code == 303
    assert Browser(server).log_in(account, new).status_code == 303


def test_logins_and_browsers_are_shown_and_ended(server: Server, browser: Browser, account: str) -> None:
    with server.imap(account):
        pass
    other = Browser(server, headers={"user-agent": "Other/<1>"})
    other.log_in(account)
    page = browser.get("/my/security").text
    assert "Other/&lt;1&gt;" in page
    assert ">IMAP<" in page
    id_ = re.findall(r'name="id" value="([0-9a-f]+)"', page)[0]
    assert "logged out" in send(browser, "/my/security", "end", id=id_)
    assert other.get("/my/security").status_code == 303
    other.log_in(account)
    assert "1 other browser is logged out" in send(browser, "/my/security", "end-others")


def test_one_time_codes_are_set_up_and_taken_away(browser: Browser) -> None:
    assert "not your password" in told(browser.submit("/my/codes", "begin", password="wrong"))
    begun = browser.submit("/my/codes", "begin", password=PASSWORD).text
    assert "data:image/svg" in begun
    secret, uri = hidden(begun, "secret"), hidden(begun, "uri")
    wrong = browser.submit("/my/codes", "confirm", code="12", secret=secret, uri=uri)
    assert wrong.status_code == 422
    assert secret in wrong.text
    done = browser.submit("/my/codes", "confirm", code=pyotp.TOTP(secret).now(), secret=secret, uri=uri).text
    assert len(re.findall(r"<li><code>[a-z0-9-]{19}</code>", done)) == 10
    assert "10 recovery codes are left" in browser.get("/my/codes").text
    renewed = browser.submit("/my/codes", "recovery", password=PASSWORD).text
    assert len(re.findall(r"<li><code>", renewed)) == 10
    assert "codes are off" in told(browser.submit("/my/codes", "off", password=PASSWORD))


def test_a_device_gets_a_password_that_is_shown_once(server: Server, browser: Browser, account: str) -> None:
    made = browser.submit("/my/devices", "add", label="My <phone>", scope="read", expires="90d", password=PASSWORD).text
    password = re.search(r'class="secret">([^<]+)<', made)
    assert password is not None
    assert password[1] not in browser.get("/my/devices").text
    assert "My &lt;phone&gt;" in made
    assert "not your password" in told(browser.submit("/my/devices", "add", label="Other"))
    assert "Not done" in told(browser.submit("/my/devices", "add", label="My <phone>", password=PASSWORD))
    with imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=20) as connection:
        connection.login(f"{account}@{DOMAIN}", password[1])
    assert "imap" in browser.get("/my/devices").text
    assert "can't log in any more" in send(browser, "/my/devices", "remove", label="My <phone>")


PROGRAMS = [
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        "Chrome on Linux",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36 Edg/130.0",
        "Edge on Windows",
    ),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
    ("Mozilla/5.0 (Android 15; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0", "Firefox on Android"),
    ("Mozilla/5.0", "A browser"),
    ("Thunderbird 128.4", "Thunderbird 128.4"),
    ("", "–"),
]


@pytest.mark.parametrize(("said", "shown"), PROGRAMS)
def test_a_program_is_named_in_few_words(said: str, shown: str) -> None:
    assert program(said) == shown
