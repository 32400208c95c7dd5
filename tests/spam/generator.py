"""A labelled corpus, made of a seed: wanted and unwanted mail of one mailbox, in kinds that share words and senders' ways.

What is hard in life is in it: newsletters and shops that a person wants beside advertisements that he does not, notices of
banks beside phishing in their words, a colleague's two lines beside a fraud's two lines, obfuscated words, HTML, base64,
and texts that are padded with ordinary sentences.
"""

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

START = 1_760_000_000


def _pools() -> dict[str, list[str]]:
    text = (Path(__file__).parent / "words.txt").read_text().partition("\n")[2].replace("\n  ", " ")
    return {name: words.split() for name, _, words in (line.partition(": ") for line in text.splitlines())}


POOLS = _pools()
COMMON = POOLS["COMMON"]
OFFICE = POOLS["OFFICE"]
PRIVATE = POOLS["PRIVATE"]
SHOP = POOLS["SHOP"]
BANK = POOLS["BANK"]
ADVERT = POOLS["ADVERT"]
PILLS = POOLS["PILLS"]
FRAUD = POOLS["FRAUD"]
PHISH = POOLS["PHISH"]
ADULT = POOLS["ADULT"]
SEO = POOLS["SEO"]
FIRST = POOLS["FIRST"]
LAST = POOLS["LAST"]


Draft = tuple[str, str, str, bool, list[str]]  # sender, subject, text, whether HTML, more fields


@dataclass(frozen=True, slots=True)
class Labelled:
    junk: bool
    kind: str
    data: bytes


class Generator:
    """The same messages for the same seed. `stream`: other messages of the same mailbox, whose people are the same."""

    def __init__(self, seed: int, stream: int = 0) -> None:
        r = random.Random(seed)
        domains = ["partner.example", "firma.example", "post.example"]
        self._people = [(f"{r.choice(FIRST)}.{r.choice(LAST)}", r.choice(domains)) for _ in range(25)]
        self._random = random.Random(seed * 1000 + stream)
        self._number = 0
        # (share, name, junk, maker)
        self._kinds: list[tuple[int, str, bool, Callable[[], Draft]]] = [
            (30, "office", False, self._office), (14, "private", False, self._private), (8, "short", False, self._short),
            (14, "shop", False, self._shop), (12, "newsletter", False, self._newsletter), (8, "bank", False, self._bank),
            (14, "list", False, self._list),
            (22, "advert", True, self._advert), (14, "pills", True, self._pills), (14, "fraud", True, self._fraud),
            (18, "phish", True, self._phish), (10, "adult", True, self._adult), (14, "seo", True, self._seo),
            (8, "quick", True, self._quick),
        ]  # fmt: skip

    def messages(self, junk: bool) -> Iterator[Labelled]:
        """Without end."""
        kinds = [one for one in self._kinds if one[2] is junk]
        shares = [one[0] for one in kinds]
        while True:
            _, name, _, make = self._random.choices(kinds, shares)[0]
            sender, subject, body, html, extra = make()
            yield Labelled(junk, name, self._write(sender, subject, body, html, extra))

    # Text -----------------------------------------------------------------------------------------------------------

    def _sentence(self, pool: list[str], share: float, length: int) -> str:
        r = self._random
        words = [r.choice(pool) if r.random() < share else r.choice(COMMON) for _ in range(length)]
        return " ".join(words).capitalize() + r.choice([".", ".", ".", "?", "!"])

    def _text(self, pool: list[str], share: float, sentences: tuple[int, int], other: list[str] | None = None) -> str:
        r = self._random
        lines = [self._sentence(pool if other is None or r.random() < 0.75 else other, share, r.randint(5, 16))
                 for _ in range(r.randint(*sentences))]  # fmt: skip
        return "\r\n".join(lines)

    def _title(self, pool: list[str], words: int) -> str:
        return " ".join(self._random.choice(pool) for _ in range(words)).capitalize()

    def _known(self) -> str:
        name, domain = self._random.choice(self._people)
        return f"{name.replace('.', ' ').title()} <{name}@{domain}>"

    def _stranger(self, name: str | None = None) -> str:
        r = self._random
        domain = "".join(r.choice("abcdefghiklmnoprstuvz") for _ in range(r.randint(5, 11))) + r.choice([".example", ".test"])
        local = r.choice([r.choice(FIRST), r.choice(FIRST) + str(r.randint(1, 999)), "info", "contact", "sales"])
        return f"{name or r.choice(FIRST).title() + ' ' + r.choice(LAST).title()} <{local}@{domain}>"

    def _link(self) -> str:
        r = self._random
        host = "".join(r.choice("abcdefghiklmnoprstuvz0123456789") for _ in range(r.randint(6, 14)))
        return f"http://{host}.{r.choice(['example', 'test'])}/{r.randint(100, 99999)}"

    def _obscure(self, text: str) -> str:
        """Some words with signs in the place of letters."""
        r = self._random
        table = str.maketrans("aeios", "@310$")
        return " ".join(one.translate(table) if r.random() < 0.2 else one for one in text.split(" "))

    # Kinds ----------------------------------------------------------------------------------------------------------

    def _office(self) -> Draft:
        subject = ("Re: " if self._random.random() < 0.5 else "") + self._title(OFFICE, 4)
        extra = ["In-Reply-To: <a@firma.example>", "References: <a@firma.example>"] if subject.startswith("Re") else []
        return self._known(), subject, self._text(OFFICE, 0.35, (2, 14)), self._random.random() < 0.3, extra

    def _private(self) -> Draft:
        return self._known(), self._title(PRIVATE, 3), self._text(PRIVATE, 0.3, (2, 10)), False, []

    def _short(self) -> Draft:
        sender = self._known() if self._random.random() < 0.7 else self._stranger()
        return sender, "Re: " + self._title(OFFICE + PRIVATE, 2), self._text(OFFICE + PRIVATE, 0.3, (1, 2)), False, []

    def _shop(self) -> Draft:
        shop = self._random.choice(["bookshop", "shoes", "tickets", "garden-centre", "electronics"])
        sender = f"{shop.title()} <orders@{shop}.example>"
        return sender, f"Your order {self._random.randint(10000, 99999)}", self._text(SHOP, 0.5, (5, 15)), True, []

    def _newsletter(self) -> Draft:
        shop = self._random.choice(["bookshop", "shoes", "cinema", "railways", "museum", "weekly"])
        extra = [f"List-Unsubscribe: <https://{shop}.example/leave>", "Precedence: bulk"]
        body = self._text(SHOP + ADVERT, 0.5, (8, 25), PRIVATE) + f"\r\nhttps://www.{shop}.example/news"
        return f"{shop.title()} <news@{shop}.example>", self._title(SHOP + ADVERT, 5), body, True, extra

    def _bank(self) -> Draft:
        body = self._text(BANK, 0.5, (4, 10)) + "\r\nhttps://www.townbank.example/"
        return "Town Bank <service@townbank.example>", self._title(BANK, 4), body, True, []

    def _list(self) -> Draft:
        sender = self._stranger() if self._random.random() < 0.5 else self._known()
        extra = ["List-Id: <users.software.example>", "Precedence: list"]
        return sender, "[users] " + self._title(OFFICE, 4), self._text(OFFICE, 0.4, (4, 25)), False, extra

    def _advert(self) -> Draft:
        body = self._text(ADVERT, 0.5, (4, 20), SHOP if self._random.random() < 0.4 else None) + "\r\n" + self._link()
        extra = [f"List-Unsubscribe: <{self._link()}>"] if self._random.random() < 0.4 else []
        return self._stranger(), self._title(ADVERT, 5), body, self._random.random() < 0.8, extra

    def _pills(self) -> Draft:
        body = self._obscure(self._text(PILLS, 0.5, (3, 8))) + "\r\n" + self._link()
        if self._random.random() < 0.3:  # padded with ordinary sentences
            body += "\r\n\r\n" + self._text(PRIVATE + OFFICE, 0.4, (10, 25))
        return self._stranger(), self._obscure(self._title(PILLS, 3)), body, self._random.random() < 0.6, []

    def _fraud(self) -> Draft:
        return self._stranger(), self._title(FRAUD, 3).upper(), self._text(FRAUD, 0.45, (8, 25)), False, [
            f"Reply-To: {self._stranger()}"]  # fmt: skip

    def _phish(self) -> Draft:
        name = self._random.choice(["Town Bank", "Account Service", "Mail Administrator", "Security Team"])
        return (
            self._stranger(name),
            self._title(PHISH + BANK, 5),
            self._text(PHISH, 0.5, (3, 9), BANK) + "\r\n" + self._link(),
            True,
            [],
        )

    def _adult(self) -> Draft:
        return (
            self._stranger(),
            self._title(ADULT, 4),
            self._text(ADULT, 0.45, (2, 6), PRIVATE) + "\r\n" + self._link(),
            False,
            [],
        )

    def _seo(self) -> Draft:
        return (
            self._stranger(),
            "Re: " + self._title(SEO, 3),
            self._text(SEO, 0.4, (4, 12), OFFICE),
            self._random.random() < 0.3,
            [],
        )

    def _quick(self) -> Draft:
        """A few ordinary words and a link, or an advance to a longer fraud: little to go by."""
        body = self._text(PRIVATE + FRAUD, 0.25, (1, 2))
        if self._random.random() < 0.5:
            body += "\r\n" + self._link()
        return self._stranger(), self._title(COMMON + PRIVATE, 2), body, False, []

    # Writing --------------------------------------------------------------------------------------------------------

    def _write(self, sender: str, subject: str, body: str, html: bool, extra: list[str]) -> bytes:
        r = self._random
        self._number += 1
        domain = sender.rpartition("@")[2].rstrip(">")
        lines = [f"From: {sender}", "To: user@home.example", f"Subject: {subject}",
                 f"Date: {formatdate(START + self._number * 900)}", f"Message-ID: <{r.getrandbits(60):x}@{domain}>",
                 "MIME-Version: 1.0", *extra]  # fmt: skip
        kind = "text/plain"
        if html:
            kind = "text/html"
            body = "<html><body><p>" + body.replace("\r\n", "</p>\r\n<p>") + "</p></body></html>"
        lines.append(f"Content-Type: {kind}; charset=utf-8")
        text = body.encode() + b"\r\n"
        if r.random() < 0.2:
            lines.append("Content-Transfer-Encoding: base64")
            text = base64.encodebytes(text).replace(b"\n", b"\r\n")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + text
