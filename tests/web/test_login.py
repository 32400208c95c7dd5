"""Who gets into the console, how long, and from where."""

import time

import httpx
import pyotp
import pytest

from tests.support.browser import Browser, hidden, told
from tests.support.server import DOMAIN, Server
from tests.web.conftest import Operations


@pytest.mark.parametrize("tls", [False, True])
def test_a_login_leads_back_to_the_page_that_was_asked_for(server: Server, account: str, tls: bool) -> None:
    browser = Browser(server, tls=tls)
    asked = browser.get("/logout?a=b")
    assert asked.headers["location"] == "/login?next=%2Flogout%3Fa%3Db"
    after = hidden(browser.get(asked.headers["location"]).text, "next")
    entered = browser.log_in(account, next=after)
    assert entered.headers["location"] == "/logout?a=b"
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert ("Secure" in cookie) == cookie.startswith("__Host-") == tls
    page = browser.get("/logout")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert browser.submit("/logout", "logout").url.path == "/login"
    assert browser.get("/logout").status_code == 303


@pytest.mark.parametrize("after", ["//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:alert(1)", "/a\r\nb: c"])
def test_a_login_leads_nowhere_else(server: Server, account: str, after: str) -> None:
    assert Browser(server).log_in(account, next=after).headers["location"] == "/"


def test_a_wrong_password_and_an_unknown_account_look_alike(server: Server, account: str) -> None:
    known, unknown = Browser(server).log_in(account, "wrong"), Browser(server).log_in("nobody-here", "wrong")
    assert known.status_code == unknown.status_code == 422
    assert known.text.replace(account, "x") == unknown.text.replace("nobody-here", "x")


def test_an_app_password_is_not_for_the_console(server: Server, operate: Operations, account: str) -> None:
    made = operate("user.app-password.add", address=f"{account}@{DOMAIN}", label="phone")
    refused = Browser(server).log_in(account, made["password"])
    assert refused.status_code == 422
    assert "app password" in told(refused)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(server: Server, browser: Browser, headers: dict[str, str], account: str) -> None:
    token = browser.token()
    form = {"csrf": token, "do": "logout"}
    assert browser.post("/logout", data=form, headers=headers).status_code == 403
    assert Browser(server, headers=headers).log_in(account).status_code == 403
    assert browser.get("/logout").status_code == 200


def test_a_form_without_the_token_of_its_session_is_refused(server: Server, browser: Browser, account: str) -> None:
    other = Browser(server)
    other.log_in(account)
    for token in ("", "0" * 64, other.token(), "ä"):
        assert browser.post("/logout", data={"csrf": token, "do": "logout"}).status_code == 403
    assert browser.get("/logout").status_code == 200


def test_a_form_that_is_odd_is_refused(browser: Browser) -> None:
    token = browser.token()
    assert browser.post("/logout", data={"csrf": token, "do": "no such"}).status_code == 400
    assert browser.post("/logout", data={"csrf": token, "do": "x" * 70_000}).status_code == 413
    assert browser.post("/logout", json={"csrf": token, "do": "logout"}).status_code == 415
    assert browser.put("/logout").status_code == 405


@pytest.mark.parametrize("ends", ["user.passwd", "user.disable", "user.remove", "user.session.end"])
def test_a_session_ends_with_the_password(
    server: Server, operate: Operations, browser: Browser, account: str, ends: str
) -> None:
    assert browser.get("/logout").status_code == 200
    operate(ends, address=f"{account}@{DOMAIN}")
    assert browser.get("/logout").status_code == 303


def test_a_revoked_app_password_ends_no_session_of_a_browser(
    server: Server, operate: Operations, browser: Browser, account: str
) -> None:
    address = f"{account}@{DOMAIN}"
    operate("user.app-password.add", address=address, label="phone")
    operate("user.app-password.remove", address=address, label="phone")
    assert browser.get("/logout").status_code == 200


def test_sessions_are_listed_and_ended_one_by_one(server: Server, operate: Operations, browser: Browser, account: str) -> None:
    other = Browser(server, headers={"user-agent": "Other/1"})
    other.log_in(account)
    rows = operate("user.session.list", address=f"{account}@{DOMAIN}")
    assert isinstance(rows, list)
    found = next(row for row in rows if row["agent"] == "Other/1")
    operate("user.session.end", address=f"{account}@{DOMAIN}", id=found["id"])
    assert (other.get("/logout").status_code, browser.get("/logout").status_code) == (303, 200)


def codes_around(totp: pyotp.TOTP, now: float) -> list[str]:
    return [totp.at(now + 30 * step) for step in range(-2, 6)]


def test_one_time_codes_are_asked_for_and_good_once(server: Server, operate: Operations, account: str) -> None:
    address = f"{account}@{DOMAIN}"
    secret = operate("user.totp.begin", address=address)["secret"]
    totp, now = pyotp.TOTP(secret), time.time()
    # That of the next half minute is good, too, and for longer than this takes.
    first, second = totp.at(now), totp.at(now + 30)
    wrong = next(text for text in ("000000", "111111", "222222", "333333", "444444") if text not in codes_around(totp, now))
    recovery = operate("user.totp.confirm", address=address, code=first)["recovery"]
    assert operate("user.totp.show", address=address)["recovery_left"] == len(recovery) == 10
    browser = Browser(server)

    def code(text: str) -> httpx.Response:
        ticket = hidden(browser.log_in(account).text, "ticket")
        return browser.post("/login", data={"ticket": ticket, "code": text})

    asked = browser.log_in(account)
    assert asked.status_code == 200
    assert browser.get("/logout").status_code == 303
    assert code(first).status_code == 422, "it was used to confirm"
    assert code(wrong).status_code == 422
    assert code(f"{second[:3]} {second[3:]}").status_code == 303
    assert browser.get("/logout").status_code == 200
    assert code(second).status_code == 422
    assert code(recovery[3]).status_code == 303
    assert code(recovery[3]).status_code == 422
    operate("user.totp.off", address=address)
    assert browser.log_in(account).status_code == 303


def test_a_ticket_is_good_for_a_few_tries(server: Server, operate: Operations, account: str) -> None:
    address = f"{account}@{DOMAIN}"
    secret = operate("user.totp.begin", address=address)["secret"]
    operate("user.totp.confirm", address=address, code=pyotp.TOTP(secret).now())
    browser = Browser(server)
    ticket = hidden(browser.log_in(account).text, "ticket")
    answers = [browser.post("/login", data={"ticket": ticket, "code": "x"}).text for _ in range(6)]
    assert ["not right" in text for text in answers] == [True] * 5 + [False]


def test_http_is_for_this_machine_alone(server: Server, account: str) -> None:
    browser = Browser(server)
    sent = browser.get("/login?next=/x", headers={"host": "mail.a.test:80"})
    assert sent.status_code == 307
    assert sent.headers["location"] == f"https://mail.a.test:{server.ports['https']}/login?next=/x"
    assert browser.get("/", headers={"host": "mail.a.test"}).headers["location"].startswith("https://")
    # A proxy that nobody trusts stands between: a way back to it would have no end.
    refused = browser.get("/login", headers={"x-forwarded-proto": "https"})
    assert refused.status_code == 403
    assert "proxy.trusted" in refused.text
    assert browser.post("/login", headers={"x-forwarded-for": "192.0.2.1"}, data={"user": "a"}).status_code == 403


def test_what_is_not_there(server: Server) -> None:
    browser = Browser(server)
    page = browser.get("/no/<script>such")
    assert page.status_code == 404
    assert "<h1>Not Found</h1>" in page.text
    assert "<script>such" not in page.text
    assert browser.get("/no", headers={"accept": "*/*"}).text == "Not Found\n"
    assert browser.get("/static/x/../console.css").status_code == 404
    assert browser.get("/static/x/console.css").headers["cache-control"] == "no-cache"
