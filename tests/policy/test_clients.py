"""What mail programs are told is what listens, as it is reached from outside."""

import pytest

from mailstack.config import Config, ConfigProblem, Listen, load
from mailstack.config.settings import Auth, Clients, Tls
from mailstack.policy.clients import client_settings
from mailstack.wire.client_settings import Kind, Security


def doors(config: Config, ports: dict[str, list[int]] | None = None) -> list[tuple[Kind, int, Security]]:
    return [(one.kind, one.port, one.security) for one in client_settings(config, ports).services]


def test_the_ordinary_doors_tls_from_the_first_octet_on_before_starttls() -> None:
    assert doors(Config(hostname="mail.a.test")) == [
        (Kind.IMAP, 993, Security.TLS), (Kind.IMAP, 143, Security.STARTTLS),
        (Kind.SMTP, 465, Security.TLS), (Kind.SMTP, 587, Security.STARTTLS), (Kind.SIEVE, 4190, Security.STARTTLS),
    ]  # fmt: skip


def test_what_does_not_listen_is_not_told() -> None:
    config = Config(listen=Listen(imap=[], submission=[], managesieve=[], pop3s=["[::]:995"], https=[]))
    assert doors(config) == [
        (Kind.IMAP, 993, Security.TLS), (Kind.POP3, 995, Security.TLS), (Kind.SMTP, 465, Security.TLS),
    ]  # fmt: skip
    assert client_settings(config).web == "http://localhost"
    off = Config(tls=Tls(mode="off"))
    assert doors(off) == [(Kind.IMAP, 143, Security.NONE), (Kind.SMTP, 587, Security.NONE), (Kind.SIEVE, 4190, Security.NONE)]


def test_the_ports_that_were_opened_count_and_those_outside_before_them() -> None:
    config = Config(clients=Clients(host="post.a.test", ports=["imaps:993"]), auth=Auth(scram="on"))
    settings = client_settings(config, {"imaps": [2993], "submissions": [2465], "https": [2443], "pop3": []})
    assert [(one.host, one.port) for one in settings.services] == [("post.a.test", 993), ("post.a.test", 2465)]
    assert settings.web == "https://post.a.test:2443"
    assert "SCRAM-SHA-256" in settings.mechanisms


@pytest.mark.parametrize("text", ["imaps", "imaps:", "imaps:0", "imaps:65536", "fly:1", "imaps:x", "imaps:1:2"])
def test_ports_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigProblem, match=r"clients\.ports|MAILSTACK_CLIENTS__PORTS"):
        load(None, {"MAILSTACK_CLIENTS__PORTS": text})
