"""Settings: one clear line for each mistake."""

import re
from pathlib import Path

import msgspec
import pytest

from mailstack.config import (
    MEANINGS,
    Config,
    ConfigProblem,
    Limits,
    Tls,
    changed,
    document,
    duration,
    keep_fixed,
    load,
    render,
    size,
)

ROOT = Path(__file__).parents[1]

ACME = 'hostname = "mail.a.test"\n[tls]\nmode = "acme"\n[acme]\n'
# Those that have a meaning themselves.
SECTIONS = {
    "watch",
    "metrics",
    "backup",
    "clients",
    "listen",
    "proxy",
    "acme",
    "bans",
    "sending",
    "oauth",
    "rules",
    "spam",
    "milter",
}


def test_the_default_file_is_what_the_code_says() -> None:
    assert (ROOT / "etc" / "mailstack.toml").read_text() == render()


def test_the_page_of_settings_is_what_the_code_says() -> None:
    """Made by: python -c "from mailstack.config import document; print(document(), end='')" """
    assert (ROOT / "docs" / "configuration.md").read_text() == document()


def test_every_setting_has_a_meaning() -> None:
    keys = set()
    for name in Config.__struct_fields__:
        inner = getattr(Config(), name)
        keys |= {f"{name}.{key}" for key in inner.__struct_fields__} if hasattr(inner, "__struct_fields__") else {name}
    assert set(MEANINGS) - keys <= SECTIONS
    assert keys <= set(MEANINGS)


@pytest.mark.parametrize("key", sorted(set(MEANINGS) - SECTIONS))
def test_what_needs_a_restart_is_marked(key: str) -> None:
    section, _, name = key.rpartition(".")
    plain = Config()
    owner = getattr(plain, section) if section else plain
    value = getattr(owner, name)
    other = f"{value}x" if isinstance(value, str) else not value if isinstance(value, bool | list) else value + 1
    altered = msgspec.structs.replace(owner, **{name: other if not isinstance(value, list) else [*value, "x"]})
    new = msgspec.structs.replace(plain, **{section: altered}) if section else altered
    taken = key in changed(plain, keep_fixed(plain, new))
    assert (f"| `{key}` * |" in document()) != taken


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = Config(hostname="mail.b.test", data_dir="/x", postmaster="a@b.test")
    (tmp_path / "one.toml").write_text(render(config))
    assert load(tmp_path / "one.toml", {}) == config
    uncommented = re.sub(r"(?m)^# (\w+ = )", r"\1", render())
    (tmp_path / "all.toml").write_text(uncommented)
    assert load(tmp_path / "all.toml", {}) == Config()


def test_the_environment_overrides() -> None:
    config = load(
        None,
        {"MAILSTACK_LISTEN__SMTP": "127.0.0.1:1,127.0.0.1:2", "MAILSTACK_LIMITS__RECIPIENTS": "5", "MAILSTACK_HOSTNAME": "h"},
    )
    assert (config.listen.smtp, config.limits.recipients, config.hostname) == (["127.0.0.1:1", "127.0.0.1:2"], 5, "h")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("foo = 1", "foo"),
        ("[listen]\nfoo = 1", "listen.foo"),
        ('[limits]\nrecipients = "x"', "limits.recipients"),
        ('[tls]\nmode = "x"', "tls.mode"),
        ('[tls]\nmode = "files"', "tls.mode"),
        ('[listen]\nsmtp = ["25"]', "listen.smtp"),
        ('[database]\nurl = "postgresql://x"', "database.url"),
        ('[relay]\nexpire = "soon"', "relay.expire"),
        ('[limits]\nmessage_size = "big"', "limits.message_size"),
        ("not toml", "TOML"),
        ("hostname = 5", "hostname"),
        ('hostname = "a b"', "hostname"),
        ('data_dir = ""', "data_dir"),
        (f'data_dir = "/{"x" * 200}"', "data_dir"),
        ('postmaster = "nobody"', "postmaster"),
        ('[tls]\nmode = "files"\ncertificate = "/x"', "tls.key"),
        ('[tls]\nmode = "acme"', "hostname"),
        (f'{ACME}directory = "http://ca.test/dir"', "acme.directory"),
        (f'{ACME}contact = ["nobody"]', "acme.contact"),
        (f'{ACME}names = ["*.a.test"]', "acme.names"),
        (f'{ACME}challenge = "dns-01"', "acme.challenge"),
        (
            f'{ACME}challenge = "http-01"\n[listen]\nhttp = []',
            "acme.challenge",
        ),
        (f'{ACME}eab_kid = "x"', "acme.eab_hmac_file"),
        ('[auth]\nallow_plaintext = "yes"', "auth.allow_plaintext"),
        ('[auth]\nscram = "maybe"', "auth.scram"),
        ('[proxy]\nlisteners = ["smtp"]', "proxy.trusted"),
        ('[proxy]\nlisteners = ["imap4"]', "proxy.listeners"),
        ('[proxy]\ntrusted = ["10.0.0.1/8"]', "proxy.trusted"),
        ("[bans]\nfailures = -1", "bans.failures"),
        ("[bans]\nclients = 1", "bans.clients"),
        ('[bans]\nfirst = "soon"', "bans.first"),
        ('[bans]\nexempt = ["home"]', "bans.exempt"),
        ("[sending]\nstop_at_networks = -1", "sending.stop_at_networks"),
        ('[oauth]\nissuer = "https://id.test"', "oauth.audience"),
        ('[oauth]\nissuer = "http://id.test"\naudience = "x"', "oauth.issuer"),
        ('[oauth]\nissuer = "https://u:p@id.test"\naudience = "x"', "oauth.issuer"),
        ('[oauth]\nissuer = "https://id.test:x"\naudience = "x"', "oauth.issuer"),
        ('[oauth]\nissuer = "https://[id"\naudience = "x"', "oauth.issuer"),
        ('[oauth]\nissuer = "id.test"\naudience = "x"', "oauth.issuer"),
        ('[oauth]\njwks = "/keys"\naudience = "x"', "oauth.issuer"),
        ('[oauth]\nissuer = "https://id.test"\njwks = "keys"\naudience = "x"', "oauth.jwks"),
        ('[oauth]\nintrospection = "https://id.test/ask"\naudience = "x"', "oauth.introspection"),
        ('[listen]\nimap = ["127.0.0.1:65536"]', "listen.imap"),
        ("[listen]\nhttp = [80]", "listen.http"),
        ('[database]\nurl = "sqlite:///elsewhere"', "database.url"),
        ('[dns]\nnameservers = ["ns.example.org"]', "dns.nameservers"),
        ('[dns]\nnameservers = ["127.0.0.1:0"]', "dns.nameservers"),
        ('[relay]\nsmarthost = "http://relay.test"', "relay.smarthost"),
        ('[relay]\nsmarthost = "smtp://relay.test:99999"', "relay.smarthost"),
        ('[relay]\nsmarthost = "smtp://user@relay.test"', "relay.smarthost"),
        ("[relay]\nmx_port = 0", "relay.mx_port"),
        ("[relay]\nretry = []", "relay.retry"),
        ('[relay]\nretry = ["0s"]', "relay.retry"),
        ('[relay]\nexpire = "-5d"', "relay.expire"),
        ('[relay]\nsource = ["eth0"]', "relay.source"),
        ('[relay]\nipv6 = "maybe"', "relay.ipv6"),
        ('[milter]\ninbound = ["localhost"]', "milter.inbound"),
        ('[milter]\nsubmission = ["inet:127.0.0.1:0"]', "milter.submission"),
        ('[milter]\ninbound = ["unix:milter"]', "milter.inbound"),
        ('[milter]\ndown = "reject"', "milter.down"),
        ('[milter]\nseconds = "0s"', "milter.seconds"),
        ('[limits]\nmessage_size = "0"', "limits.message_size"),
        ("[limits]\nrecipients = 0", "limits.recipients"),
        ("[limits]\nconnections = -1", "limits.connections"),
        ("[limits]\nconnections_per_address = 0", "limits.connections_per_address"),
        ('[log]\nlevel = "loud"', "log.level"),
        ('[log]\nformat = "xml"', "log.format"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(ConfigProblem) as problem:
        load(path, {})
    assert str(path) in str(problem.value)
    assert key in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_password_in_a_refused_url_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('[relay]\nsmarthost = "smtp://user:sesame@relay.test:0"')
    with pytest.raises(ConfigProblem) as problem:
        load(tmp_path / "m.toml", {})
    assert "sesame" not in str(problem.value)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("smtp://user:pass@relay.test\n")
    config = load(None, {"MAILSTACK_RELAY__SMARTHOST_FILE": str(secret), "MAILSTACK_FIRST_PASSWORD_FILE": "/nowhere"})
    assert config.relay.smarthost == "smtp://user:pass@relay.test"
    # A setting that is a file's path itself is not read.
    config = load(None, {"MAILSTACK_RELAY__SMARTHOST_PASSWORD_FILE": str(secret)})
    assert config.relay.smarthost_password_file == str(secret)
    with pytest.raises(ConfigProblem, match=r"MAILSTACK_HOSTNAME_FILE: /nowhere: can't be read: No such file"):
        load(None, {"MAILSTACK_HOSTNAME_FILE": "/nowhere"})
    with pytest.raises(ConfigProblem, match=r"MAILSTACK_LISTEN__FLY_FILE: there is no such setting"):
        load(None, {"MAILSTACK_LISTEN__FLY_FILE": str(secret)})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MAILSTACK_LIMITS__RECIPIENTS", "many", "a number is needed"),
        ("MAILSTACK_LIMITS__RECIPIENTS", "-1", "at least 1"),
        ("MAILSTACK_AUTH__ALLOW_PLAINTEXT", "maybe", "true or false"),
        ("MAILSTACK_TLS__MODE", "loud", "not one of"),
        ("MAILSTACK_LISTEN__SMTP", "25", "address:port"),
        ("MAILSTACK_POSTMASTER", "nobody", "not an address"),
        ("MAILSTACK_LISTEN__POP4", "127.0.0.1:110", "no such setting"),
        ("MAILSTACK_SIEVE__PATH", "x", "no such setting"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, name: str, value: str, reason: str) -> None:
    (tmp_path / "m.toml").write_text('hostname = "mail.a.test"')
    with pytest.raises(ConfigProblem) as problem:
        load(tmp_path / "m.toml", {name: value})
    assert str(problem.value).startswith(f"environment: {name}: ")
    assert reason in str(problem.value)


def test_a_file_that_is_not_there_or_cant_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblem, match=r"none\.toml: there is no such file.*quickstart"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigProblem, match="can't be read: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b'hostname = "\xe9"')
    with pytest.raises(ConfigProblem, match=r"latin\.toml: not TOML"):
        load(tmp_path / "latin.toml", {})


def test_what_a_running_server_keeps() -> None:
    old = Config(hostname="a", tls=Tls(mode="files", certificate="/one", key="/one.key"))
    new = Config(hostname="b", tls=Tls(mode="files", certificate="/two", key="/two.key"), limits=Limits(recipients=5))
    assert changed(old, new) == ["hostname", "tls.certificate", "tls.key", "limits.recipients"]
    kept = keep_fixed(old, new)
    assert (kept.hostname, kept.tls.certificate, kept.limits.recipients) == ("a", "/two", 5)
    assert keep_fixed(old, Config(hostname="a")) == old


def test_sizes_and_durations() -> None:
    assert (size("50MiB"), size("7"), duration("5m"), duration("2d")) == (50 << 20, 7, 300.0, 172800.0)
