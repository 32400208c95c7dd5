"""Other names for people, hosts and addresses, the same ones throughout: what is to be shown to strangers stays readable."""

import ipaddress
import re
from collections.abc import Iterable

_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
# Paths of URLs may be keys: hooks, links that work once. Those that everybody knows say what was asked.
_PATH = re.compile(r"((?:https?|smtps?)://[^/?#\s\"'<>]+)(?:/(?!\.well-known/)[^\s\"'<>?#]+)?(?:[?#][^\s\"'<>]*)?")
_TOKEN = re.compile(r"(?<![\w-])(?=[\w-]*[0-9])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{20,}(?![\w-])")
_MAIL = re.compile(r"[^\s<>\"'(),;:=\[\]{}|\\/@]+@(?:\[[^\]\s]*\]|[\w.-]*\w)")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?:%\w+)?(?![\w:])")
_HOST = re.compile(r"(?<![\w.-])(?:_?[\w-]+\.)+[^\W\d_][\w-]*\.?(?![\w-])")
# Endings of files and names of ours that look like hosts.
_FILES = ("toml", "pem", "key", "sqlite3", "sqlite", "json", "sock", "py", "log", "gz", "service", "md", "conf", "local-part")
# Known to everybody, and named by the program itself.
_PUBLIC = (
    "letsencrypt.org", "api.letsencrypt.org", "gmail.com", "outlook.com", "yahoo.com", "zen.spamhaus.org", "spamhaus.org",
    "bl.spamcop.net", "spamcop.net", "b.barracudacentral.org", "barracudacentral.org", "iana.org", "example.org", "example.com",
    "example.net", "home.test",
)  # fmt: skip


class Pseudonyms:
    """`people`: local parts of accounts, which stand in paths alone, too; `words`: what looks like a host and is none."""

    def __init__(self, people: Iterable[str] = (), words: Iterable[str] = ()) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._words = frozenset(word.lower() for word in words)
        known = sorted({one.lower() for one in people if len(one) > 1}, key=len, reverse=True)
        self._people = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)", re.IGNORECASE) if known else None

    def knows(self, text: str) -> bool:
        """Whether it is the local part of an account."""
        return self._people is not None and self._people.fullmatch(text) is not None

    def hide(self, text: str) -> str:
        text = _USERINFO.sub("***@", text)
        text = _PATH.sub(lambda found: found[1] + ("/…" if len(found[0]) > len(found[1]) else ""), text)
        text = _TOKEN.sub("…", text)
        text = _MAIL.sub(lambda found: self._mail(found[0]), text)
        text = _IPV6.sub(lambda found: self._address(found[0]), text)
        text = _IPV4.sub(lambda found: self._address(found[0]), text)
        text = _HOST.sub(lambda found: self._host(found[0]), text)
        return self._people.sub(lambda found: self._named("user", found[0]), text) if self._people is not None else text

    def _named(self, kind: str, text: str) -> str:
        key = (kind, text.lower())
        if key not in self._given:
            self._given[key] = f"{kind}{1 + sum(1 for one, _ in self._given if one == kind)}"
        return self._given[key]

    def _mail(self, text: str) -> str:
        local, _, domain = text.rpartition("@")
        if local == "***":
            return f"***@{self._host(domain)}"
        return f"{self._named('user', local)}@{self._host(domain)}"

    def _host(self, text: str) -> str:
        name = text.rstrip(".").lower()
        if name in self._words or name in _PUBLIC or name.rpartition(".")[2] in _FILES or name.endswith(".example"):
            return text
        return f"{self._named('host', name)}.example" + ("." if text.endswith(".") else "")

    def _address(self, text: str) -> str:
        try:
            one = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return text if re.fullmatch(r"[\d:]+", text) else self._named("address", text)  # a time of day
        if one.is_loopback or one.is_unspecified:
            return text
        kind = "private-address" if one.is_private else "address"
        return self._named(kind, str(one))
