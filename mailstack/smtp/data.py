"""Message bytes from the wire: DATA up to CRLF.CRLF and BDAT chunks, in blocks."""

from mailstack.message.crlf import LineEnds, ToCrlf
from mailstack.store.content import Content
from mailstack.wire.smtp import Reply

OVERRUN = 8 << 20  # octets behind the limit that are read for the sake of a proper answer at the end
END = b"\r\n.\r\n"


class DataReader:
    """Feed it what comes after DATA. Only CRLF.CRLF ends a message; dots are unstuffed on the way (RFC 5321 4.5.2)."""

    __slots__ = ("_carry", "_virtual", "finished", "rest")

    def __init__(self) -> None:
        self._carry = b"\r\n"  # a virtual line end before the first line
        self._virtual = 2  # octets of it that are still to be taken out again
        self.finished = False
        self.rest = b""  # what came behind the end

    def feed(self, data: bytes) -> bytes:
        """The message's octets that are certain now."""
        data = self._carry + data
        end = data.find(END)
        if end >= 0:
            self.finished = True
            self.rest = data[end + len(END) :]
            out = data[: end + 2]
        else:
            keep = min(4, len(data))
            out, self._carry = data[:-keep], data[-keep:]
            # A cut inside "CRLF dot" would hide the dot from the unstuffing below.
            if out.endswith(b"\r\n") and self._carry.startswith(b"."):
                out, self._carry = out[:-2], b"\r\n" + self._carry
            elif out.endswith(b"\r") and self._carry.startswith(b"\n."):
                out, self._carry = out[:-1], b"\r" + self._carry
        if b"\r\n." in out:
            out = out.replace(b"\r\n.", b"\r\n")
        if self._virtual:
            gone = min(self._virtual, len(out))
            self._virtual -= gone
            out = out[gone:]
        return out


class Receiver:
    """Takes a message's octets into a Content, watching size and line ends. `mend`: bare line ends become CRLF."""

    __slots__ = ("_ends", "_limit", "_mender", "content", "full", "problem", "size")

    def __init__(self, content: Content, limit: int, *, mend: bool) -> None:
        self.content = content
        self._limit = limit
        self._ends = LineEnds()
        self._mender = ToCrlf() if mend else None
        self.size = 0
        self.full = False
        self.problem: OSError | None = None

    @property
    def too_large(self) -> Reply:
        return Reply(552, "5.3.4", f"Messages may have up to {self._limit} octets")

    @property
    def endless(self) -> bool:
        """Whether so much came behind the limit that its end is not waited for."""
        return self.size > self._limit + OVERRUN

    def take(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            if not self.full:
                self.full = True
                self.content.close()
            return
        if self.problem is not None or not data:
            return
        if self._mender is not None:
            data = self._mender.convert(data)
        self._ends.look(data)
        try:
            self.content.write(data)
        except OSError as problem:
            self.problem = problem
            self.content.close()

    def finish(self) -> None:
        if self._mender is not None and not self.full and self.problem is None:
            try:
                self.content.write(self._mender.finish())
            except OSError as problem:
                self.problem = problem
                self.content.close()
        self._ends.finish()

    @property
    def bare(self) -> bool:
        """Whether there was a bare CR, a bare LF or a NUL."""
        return (self._mender is None and self._ends.bare) or self._ends.nul
