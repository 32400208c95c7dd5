"""What types can't say. What would fail later is refused here, so that a server that starts has settings that make sense."""

import ipaddress
import os
import re
from collections.abc import Callable
from typing import NoReturn
from urllib.parse import urlsplit

from mailstack.config.quantities import duration, size, weight
from mailstack.config.settings import SERVICES, Bans, Clients, Config, Dns, Milter, Oauth, Proxy, Relay, Spam
from mailstack.mailauth.dnslist import parse_list
from mailstack.message.address import is_ip, normalise_domain, parse_address
from mailstack.message.errors import SyntaxProblem

_LISTENER = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^:\[\]]+):([0-9]{1,5})")
SELFTEST_LEAST = 60.0  # seconds
SOCKET_NAME_LIMIT = 107  # octets of a path that the system takes for a socket
Refuse = Callable[[str, str], NoReturn]


def check(config: Config, refuse: Refuse) -> None:
    """What types can't say. `refuse` raises with the key and the reason."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", config.hostname) or len(config.hostname) > 253:
        refuse("hostname", f"{config.hostname!r} is not a host name")
    if not config.data_dir or "\0" in config.data_dir:
        refuse("data_dir", "a folder is needed")
    if len(os.fsencode(config.data / "control.sock")) > SOCKET_NAME_LIMIT:
        refuse(
            "data_dir",
            f"longer than {SOCKET_NAME_LIMIT - len('/control.sock')} octets: there is no room for the control socket",
        )
    if config.postmaster:
        try:
            parse_address(config.postmaster)
        except SyntaxProblem as problem:
            refuse("postmaster", f"{config.postmaster!r} is not an address: {problem.reason}")
    for name in SERVICES:
        for text in getattr(config.listen, name):
            found = _LISTENER.fullmatch(text)
            if found is None or int(found[2]) > 65535:
                refuse(f"listen.{name}", f'{text!r} is not "address:port"')
    _check_clients(config.clients, refuse)
    _check_proxy(config.proxy, refuse)
    _one_of(config.tls.mode, ("acme", "files", "self-signed", "off"), "tls.mode", refuse)
    if config.tls.mode == "files":
        for name in ("certificate",) if config.tls.certificate.endswith(".json") else ("certificate", "key"):
            if not getattr(config.tls, name):
                refuse(f"tls.{name}", 'tls.mode = "files" needs it')
    if config.tls.mode == "acme":
        _check_acme(config, refuse)
    if config.oauth.on:
        _check_oauth(config.oauth, refuse)
    _one_of(config.auth.scram, ("auto", "on", "off"), "auth.scram", refuse)
    if config.auth.client_certificates and config.tls.mode == "off":
        refuse("auth.client_certificates", 'needs TLS, and tls.mode is "off"')
    if config.auth.client_ca and not config.auth.client_certificates:
        refuse("auth.client_ca", "needs auth.client_certificates = true")
    _check_bans(config.bans, refuse)
    for name in config.sending.__struct_fields__:
        if getattr(config.sending, name) < 0:
            refuse(f"sending.{name}", "must not be negative; 0 is any number")
    if config.database.url:
        refuse("database.url", "only SQLite in data_dir is built; leave it empty")
    for text in config.dns.nameservers:
        if not _nameserver(text):
            refuse("dns.nameservers", f'{text!r} is not "address" or "address:port"')
    for text in config.authentication.trusted_sealers:
        if not _is_domain(text):
            refuse("authentication.trusted_sealers", f"{text!r} is not a domain, like lists.example.org")
    if config.dns.dnssec and not all(_is_here(_host(text)) for text in config.dns.nameservers):
        refuse("dns.dnssec", "is for name servers on this machine: else anybody between could say that an answer is proved")
    _check_dns(config.dns, refuse)
    _check_relay(config.relay, refuse)
    _one_of(config.relay.downgrade, ("warn", "defer"), "relay.downgrade", refuse)
    _one_of(config.mta_sts.mode, ("off", "testing", "enforce"), "mta_sts.mode", refuse)
    _positive("mta_sts.max_age", [config.mta_sts.max_age], duration, refuse)
    _positive("tls.hsts", [config.tls.hsts] if config.tls.hsts else [], duration, refuse)
    _positive("dkim.overlap", [config.dkim.overlap], duration, refuse)
    _positive("dkim.valid", [config.dkim.valid] if config.dkim.valid else [], duration, refuse)
    _one_of(config.dkim.unaligned, ("warn", "defer"), "dkim.unaligned", refuse)
    _check_spam(config.spam, refuse)
    _check_milter(config.milter, refuse)
    _check_backup(config, refuse)
    _positive("store.keep_deleted", [config.store.keep_deleted] if config.store.keep_deleted else [], duration, refuse)
    _positive("store.deleted_size", [config.store.deleted_size], size, refuse)
    _check_seeing(config, refuse)
    _positive("search.delay", [config.search.delay], duration, refuse)
    _positive("search.attachment_time", [config.search.attachment_time], duration, refuse)
    _positive("search.attachment_size", [config.search.attachment_size], size, refuse)
    _one_of(config.log.format, ("auto", "json", "console"), "log.format", refuse)
    _one_of(config.log.level, ("debug", "info", "warning", "error"), "log.level", refuse)
    _positive("rules.script_size", [config.rules.script_size], size, refuse)
    if config.rules.scripts < 1:
        refuse("rules.scripts", "at least 1 is needed")
    if not 0 <= config.rules.redirects <= 100:
        refuse("rules.redirects", "0 to 100 are possible")
    _positive("limits.message_size", [config.limits.message_size], size, refuse)
    for name in ("connections_per_address", "recipients", "connections"):
        if getattr(config.limits, name) < 1:
            refuse(f"limits.{name}", "must be at least 1")
    for name in ("messages", "imap_messages", "imap_copies"):
        if getattr(config.limits, name) < 0:
            refuse(f"limits.{name}", "must not be negative")
    _positive("limits.imap_progress", [config.limits.imap_progress], duration, refuse)


def _check_clients(clients: Clients, refuse: Refuse) -> None:
    if clients.host and not _is_domain(clients.host):
        refuse("clients.host", f"{clients.host!r} is not a host name")
    for text in clients.ports:
        name, _, port = text.partition(":")
        if name not in SERVICES or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            refuse("clients.ports", f'{text!r} is not a service and its port, like "imaps:993"')


def _check_seeing(config: Config, refuse: Refuse) -> None:
    watch = config.watch
    for name, text, read in (
        ("selftest", watch.selftest, duration),
        ("disk_free", watch.disk_free, size),
        ("queue_age", watch.queue_age, duration),
    ):
        try:
            value = read(text) if text or name != "selftest" else None
        except ValueError as problem:
            refuse(f"watch.{name}", str(problem))
        if name == "selftest" and value is not None and value < SELFTEST_LEAST:
            refuse("watch.selftest", f"at least {SELFTEST_LEAST:.0f} s: each run makes an account and sends a mail")
    if watch.queue_length < 1:
        refuse("watch.queue_length", "at least 1 is needed")
    for text in config.metrics.readers:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            refuse("metrics.readers", f"{text!r} is neither an address nor a network like 10.0.0.0/8")


def _check_backup(config: Config, refuse: Refuse) -> None:
    backup = config.backup
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", backup.at):
        refuse("backup.at", f"{backup.at!r} is not a time like 03:30")
    if backup.keep < 1:
        refuse("backup.keep", "at least 1 is needed")
    if backup.sample < 0:
        refuse("backup.sample", "must not be negative; 0 is all")
    here = os.path.abspath(config.data_dir)
    if backup.dir and (os.path.abspath(backup.dir) + "/").startswith(f"{here}/"):
        refuse("backup.dir", f"it must be outside of data_dir ({here}): what loses the one would lose the other")


def _check_acme(config: Config, refuse: Refuse) -> None:
    acme = config.acme
    if not _is_safe_url(acme.directory):
        refuse("acme.directory", f"{acme.directory!r} is not an https:// URL")
    if "." not in config.hostname or is_ip(config.hostname):
        refuse("hostname", f'{config.hostname!r}: authorities sign for names in the DNS; tls.mode = "self-signed" needs none')
    for text in acme.contact:
        try:
            parse_address(text)
        except SyntaxProblem as problem:
            refuse("acme.contact", f"{text!r} is not an address: {problem.reason}")
    for text in acme.names:
        if not _is_domain(text) or text.startswith("*") or text != text.lower():
            refuse("acme.names", f"{text!r} is not a host name in small letters, like www.example.org")
    _one_of(acme.challenge, ("auto", "http-01", "tls-alpn-01", "dns-01"), "acme.challenge", refuse)
    needs = {"http-01": ("http", config.listen.http), "tls-alpn-01": ("https", config.listen.https)}
    if acme.challenge in needs and not needs[acme.challenge][1]:
        refuse("acme.challenge", f'"{acme.challenge}" needs listen.{needs[acme.challenge][0]}')
    if acme.challenge == "dns-01" and not (acme.dns_hook or config.dns.update_server):
        refuse("acme.challenge", '"dns-01" needs dns.update_server or acme.dns_hook')
    if bool(acme.eab_kid) != bool(acme.eab_hmac_file):
        refuse("acme.eab_hmac_file" if acme.eab_kid else "acme.eab_kid", "acme.eab_kid and acme.eab_hmac_file go together")


def _check_proxy(proxy: Proxy, refuse: Refuse) -> None:
    for name in proxy.listeners:
        _one_of(name, SERVICES, "proxy.listeners", refuse)
    for text in proxy.trusted:
        try:
            ipaddress.ip_network(text)
        except ValueError as problem:
            refuse("proxy.trusted", f"{text!r} is not an address or network, like 10.0.0.1 or 10.0.0.0/8: {problem}")
    if proxy.listeners and not proxy.trusted:
        refuse("proxy.trusted", "is needed with proxy.listeners: the addresses of the proxies, like 10.0.0.1")


def _check_spam(spam: Spam, refuse: Refuse) -> None:
    if spam.junk <= 0:
        refuse("spam.junk", "must be more than 0")
    if spam.refuse < 0 or 0 < spam.refuse < spam.junk:
        refuse("spam.refuse", "must be 0, or not less than spam.junk")
    for name in ("rejects", "greylist"):
        if getattr(spam, name):
            _positive(f"spam.{name}", [getattr(spam, name)], duration, refuse)
    _positive("spam.seconds", [spam.seconds], duration, refuse)
    readers: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("weights", weight), ("lists", parse_list), ("domain_lists", parse_list),
    )  # fmt: skip
    for name, reader in readers:
        for text in getattr(spam, name):
            try:
                reader(text)
            except ValueError as problem:
                refuse(f"spam.{name}", str(problem))
    if spam.rspamd and not _is_url(spam.rspamd):
        refuse("spam.rspamd", f"{spam.rspamd!r} is not http://host:port")
    if spam.clamd and not _LISTENER.fullmatch(spam.clamd):
        refuse("spam.clamd", f'{spam.clamd!r} is not "host:port" (TCPSocket and TCPAddr in clamd.conf)')
    _one_of(spam.clamd_down, ("accept", "defer"), "spam.clamd_down", refuse)


def _check_milter(milter: Milter, refuse: Refuse) -> None:
    for name in ("inbound", "submission"):
        for text in getattr(milter, name):
            found = _LISTENER.fullmatch(text.removeprefix("inet:"))
            if not text.startswith("unix:/") and (found is None or not 0 < int(found[2]) < 65536):
                refuse(f"milter.{name}", f'{text!r} is not "host:port", "inet:host:port" or "unix:/path"')
    _one_of(milter.down, ("tempfail", "accept"), "milter.down", refuse)
    _positive("milter.seconds", [milter.seconds], duration, refuse)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_dns(dns: Dns, refuse: Refuse) -> None:
    for text in dns.addresses:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            refuse("dns.addresses", f"{text!r} is not an address, like 192.0.2.1")
    if dns.update_server and not _nameserver(dns.update_server):
        refuse("dns.update_server", f'{dns.update_server!r} is not "address" or "address:port"')
    if dns.update_key_file and not dns.update_server:
        refuse("dns.update_server", "is needed with dns.update_key_file")


def _check_relay(relay: Relay, refuse: Refuse) -> None:
    if relay.smarthost:
        _check_smarthost(relay, refuse)
    if not 0 < relay.mx_port < 65536:
        refuse("relay.mx_port", f"{relay.mx_port} is not a port")
    if not relay.retry:
        refuse("relay.retry", "at least one duration is needed")
    _positive("relay.retry", relay.retry, duration, refuse)
    _positive("relay.expire", [relay.expire], duration, refuse)
    for text in relay.source:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            refuse("relay.source", f"{text!r} is not an address of this host, like 192.0.2.1")
    _one_of(relay.ipv6, ("auto", "on", "off"), "relay.ipv6", refuse)


def _check_bans(bans: Bans, refuse: Refuse) -> None:
    if bans.failures < 0:
        refuse("bans.failures", "must not be negative; 0 bans nobody")
    if bans.clients < 2:
        refuse("bans.clients", "must be at least 2: a network is more than one client")
    for name in ("window", "first", "longest"):
        _positive(f"bans.{name}", [getattr(bans, name)], duration, refuse)
    for text in bans.exempt:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            refuse("bans.exempt", f"{text!r} is not a network like 192.0.2.0/24")


def _check_oauth(oauth: Oauth, refuse: Refuse) -> None:
    for name in ("issuer", "jwks", "introspection"):
        text = getattr(oauth, name)
        if text and not (name == "jwks" and text.startswith("/")) and not _is_safe_url(text):
            refuse(f"oauth.{name}", f"{text!r} is not an https:// URL; http:// is good for this machine alone")
    if not oauth.audience:
        # Else a token that was issued for any other service would open a mailbox.
        refuse("oauth.audience", "is needed: for whom tokens must be issued")
    if oauth.introspection and not (oauth.client_id and oauth.client_secret_file):
        refuse("oauth.introspection", "needs oauth.client_id and oauth.client_secret_file")
    if not oauth.introspection and not oauth.issuer:
        refuse("oauth.issuer", "is needed: whose signed tokens are taken")


def _is_safe_url(text: str) -> bool:
    """https, or http to this machine itself."""
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False
    if not known or not re.fullmatch(r"[!-~]+", text):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname or ""))


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_smarthost(relay: Relay, refuse: Refuse) -> None:
    """The URL holds a password: it is never shown."""
    try:
        parts = urlsplit(relay.smarthost)
        good = parts.scheme in ("smtp", "smtps") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good or parts.path.strip("/") or parts.query or parts.fragment:
        refuse("relay.smarthost", "not smtp://[user:password@]host[:port] or smtps://...; write odd characters as %XX")
    if parts.username and not parts.password and not relay.smarthost_password_file:
        refuse("relay.smarthost", "a user without a password: put it in the URL or in relay.smarthost_password_file")


def _is_domain(text: str) -> bool:
    try:
        return "[" not in normalise_domain(text)
    except SyntaxProblem:
        return False


def _one_of(value: str, allowed: tuple[str, ...], key: str, refuse: Refuse) -> None:
    if value not in allowed:
        refuse(key, f"{value!r} is not one of " + ", ".join(f'"{one}"' for one in allowed))


def _positive(key: str, texts: list[str], reader: Callable[[str], float], refuse: Refuse) -> None:
    for text in texts:
        try:
            value = reader(text)
        except ValueError as problem:
            refuse(key, str(problem))
        if value <= 0:
            refuse(key, f"{text!r}: more than nothing is needed")


def _host(nameserver: str) -> str:
    """Without its port."""
    if nameserver.startswith("["):
        return nameserver[1:].partition("]")[0]
    return nameserver.partition(":")[0] if nameserver.count(":") == 1 else nameserver


def _nameserver(text: str) -> bool:
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ipaddress.ip_address(host)
        return not port or 0 < int(port) < 65536
    except ValueError:
        return False
