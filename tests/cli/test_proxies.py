"""What a proxy is told of this instance: which port leads where, and which settings that needs here."""

import tomllib

import pytest

from mailstack.cli.proxies.passages import plan
from mailstack.cli.proxies.snippets import SNIPPETS
from mailstack.config import Config, Listen
from mailstack.config.settings import Clients
from mailstack.policy.clients import client_settings


def of(config: Config, backend: str = "127.0.0.1", proxy: str = "127.0.0.1"):  # type: ignore[no-untyped-def]
    return plan(config, client_settings(config), ["a.test"], backend, proxy)


def test_doors_make_room_for_a_proxy_on_the_same_machine_and_the_settings_are_then_right() -> None:
    config = Config(hostname="mail.a.test", listen=Listen(pop3s=["[::]:995"]))
    first = of(config)
    assert {one.service: (one.outside, one.inside) for one in first.mail}["imaps"] == (993, "127.0.0.1:10993")
    settings = tomllib.loads("\n".join(first.settings()))
    assert settings["listen"]["http"] == ["127.0.0.1:10080"]
    assert settings["listen"]["https"] == ["127.0.0.1:10443"]
    assert settings["proxy"]["listeners"] == ["smtp", "submission", "submissions", "imap", "imaps", "pop3s", "managesieve"]
    assert first.names == ("mail.a.test", "autoconfig.a.test", "autodiscover.a.test", "mta-sts.a.test")
    obeyed = Config(
        hostname="mail.a.test", listen=Listen(**settings["listen"]), clients=Clients(ports=settings["clients"]["ports"])
    )
    again = of(obeyed)
    assert [(one.service, one.outside, one.inside) for one in again.mail] == [
        (one.service, one.outside, one.inside) for one in first.mail
    ]
    assert {(one.kind, one.port) for one in client_settings(obeyed).services} == {
        (one.kind, one.port) for one in client_settings(config).services
    }
    assert client_settings(obeyed).web == "https://mail.a.test"


def test_a_proxy_elsewhere_finds_the_doors_where_they_are() -> None:
    found = of(Config(), "fd00::2", "fd00::/64")
    assert {one.inside for one in found.mail} >= {"[fd00::2]:993", "[fd00::2]:25"}
    settings = tomllib.loads("\n".join(found.settings()))
    assert "listen" not in settings
    assert settings["proxy"]["trusted"] == ["fd00::/64"]
    assert tomllib.loads("\n".join(found.settings(mail=False)))["proxy"] == {"trusted": ["fd00::/64"]}


@pytest.mark.parametrize("name", SNIPPETS)
def test_every_passage_is_in_the_snippet(name: str) -> None:
    found = of(Config(hostname="mail.a.test"))
    text = "\n".join(SNIPPETS[name](found))
    assert "127.0.0.1:10080" in text
    assert "autoconfig.a.test" in text
    for one in found.mail if name != "caddy" else ():
        assert one.inside in text
        assert f":{one.outside}" in text or f"listen {one.outside};" in text
    no_web = of(Config(listen=Listen(http=[])))
    assert "127.0.0.1:10080" not in "\n".join(SNIPPETS[name](no_web))
