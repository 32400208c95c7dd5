"""What an attempt came to, for one recipient."""

from dataclasses import dataclass

from mailstack.wire.smtp import Reply


@dataclass(frozen=True, slots=True)
class Delivered:
    """Taken over. `confirms`: the next host sends success notices itself (DSN), or it is in a mailbox here."""

    reply: Reply
    host: str | None = None
    confirms: bool = False
    final: bool = False  # in a mailbox
    tls: str | None = None  # version and proof: "TLSv1.3, DANE"


@dataclass(frozen=True, slots=True)
class Failed:
    """Refused for good, or for now."""

    reply: Reply
    host: str | None = None
    tls: str | None = None

    @property
    def permanent(self) -> bool:
        return self.reply.permanent


Outcome = Delivered | Failed


def later(text: str, enhanced: str = "4.4.1", host: str | None = None) -> Failed:
    return Failed(Reply(451, enhanced, text), host)


def never(text: str, enhanced: str = "5.4.4", host: str | None = None) -> Failed:
    return Failed(Reply(550, enhanced, text), host)
