"""Mails of about 10 KB for the benchmarks: the same bytes for every server, made from a seed."""

import random
from email.utils import formatdate
from pathlib import Path

WORDS = tuple(
    "meeting invoice garden harbour Tuesday question answer printer window river budget plan letter holiday "  # noqa: SIM905
    "station coffee report table number travel ticket school music paper market minute reason system people".split()
)


RARE, COMMON, CJK = "zeppelin", "quarterly", "漢字"
TWO_LETTERS = "pp"  # in RARE alone


def text(generator: random.Random, size: int) -> str:
    """Lines of words, about `size` octets with CRLF."""
    lines: list[str] = []
    octets = 0
    while octets < size:
        line = " ".join(generator.choices(WORDS, k=10))
        lines.append(line)
        octets += len(line) + 2
    return "\r\n".join(lines) + "\r\n"


def message(number: int, size: int = 10_000, more: str = "") -> bytes:
    """One multipart/alternative mail with the headers that ordinary mail carries; `more` is a line of its text."""
    generator = random.Random(number)
    boundary = f"=_{number:08x}_part"
    date = formatdate(1_700_000_000 + number * 60)
    sender = generator.choice(WORDS)
    head = (
        f"Received: from mx{number % 7}.example.net (mx{number % 7}.example.net [192.0.2.{number % 250}])\r\n"
        f"\tby mail.a.test with ESMTPS id {number:016x}; {date}\r\n"
        f"Date: {date}\r\n"
        f"From: {sender.title()} Example <{sender}{number % 97}@example.net>\r\n"
        f"To: Alice Example <alice@a.test>, bob@b.test\r\n"
        f"Subject: {' '.join(generator.choices(WORDS, k=5))} {number}\r\n"
        f"Message-ID: <{number}.{generator.getrandbits(48):x}@example.net>\r\n"
        f"In-Reply-To: <{number - 1}.reply@example.net>\r\n"
        f"References: <{number - 2}.reply@example.net> <{number - 1}.reply@example.net>\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'
        "User-Agent: bench\r\n"
        "\r\n"
    )
    rest = max(400, size - len(head) - 400)
    encoding = "7bit" if more.isascii() else "8bit"
    body = (
        f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        f"{text(generator, rest // 2)}{more}"
        f"--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        f"<html><body>\r\n{text(generator, rest // 2)}</body></html>\r\n"
        f"--{boundary}--\r\n"
    )
    return (head + body).encode("utf-8")


def findable(number: int) -> str:
    """A line with what searches look for: RARE in one mail of a thousand, COMMON in half of all, CJK in one of fifty."""
    words = (RARE if number % 1000 == 7 else "", COMMON if number % 2 else "", CJK if number % 50 == 3 else "")
    return " ".join(word for word in words if word) + "\r\n"


def fill_maildir(folder: Path, count: int, size: int = 10_000) -> None:
    """Write `count` mails as another program would: plain Maildir names, no index."""
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        data = message(number, size, findable(number))
        flags = "S" if number % 3 else ""
        path = folder / "cur" / f"{1_700_000_000 + number}.M{number}P1.bench,S={len(data)}:2,{flags}"
        path.write_bytes(data)
