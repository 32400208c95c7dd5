"""Line ends: what leaves to others carries neither bare LF nor bare CR nor NUL."""


class LineEnds:
    """Looks at a stream block by block for bare CR, bare LF and NUL."""

    __slots__ = ("_last_cr", "bare", "nul")

    def __init__(self) -> None:
        self._last_cr = False
        self.bare = False
        self.nul = False

    def look(self, data: bytes) -> None:
        if not data:
            return
        pairs = data.count(b"\r\n")
        line_feeds = data.count(b"\n")
        returns = data.count(b"\r")
        if self._last_cr:
            if data[:1] == b"\n":
                line_feeds -= 1
            else:
                self.bare = True
        self._last_cr = data.endswith(b"\r")
        if self._last_cr:
            returns -= 1
        if not line_feeds == pairs == returns:
            self.bare = True
        if b"\0" in data:
            self.nul = True

    def finish(self) -> None:
        if self._last_cr:
            self.bare = True


class ToCrlf:
    """Makes CRLF of bare LF and of bare CR, block by block."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = False

    def convert(self, data: bytes) -> bytes:
        if self._held:
            data = b"\r" + data
        self._held = data.endswith(b"\r")
        if self._held:
            data = data[:-1]
        if data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r"):
            return data
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        held, self._held = self._held, False
        return b"\r\n" if held else b""
