"""A plain message of this server's own: what its people must know."""

from email.utils import formatdate

from mailstack.message.address import Address


def notice(*, id: str, host: str, sender: Address, to: Address, subject: str, text: str, moment: float) -> bytes:
    """A whole message, whose words are ASCII or UTF-8; `text` has lines of a bearable length (RFC 3834 for Auto-Submitted)."""
    plain = text.isascii() and subject.isascii()
    lines = [
        f"Date: {formatdate(moment)}",
        f"From: Mail server <{sender}>",
        f"To: <{to}>",
        f"Subject: {subject}",
        f"Message-ID: <{id}@{host}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=" + ("us-ascii" if plain else "utf-8"),
        "Content-Transfer-Encoding: " + ("7bit" if plain else "8bit"),
        "",
        *text.splitlines(),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()
