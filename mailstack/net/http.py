"""A small HTTP client (RFC 9112): one request, one answer, no redirects; for identity providers that the admin names."""

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

SECONDS = 10.0
HEAD_LIMIT = 32768
BODY_LIMIT = 1 << 20


class HttpProblem(Exception):
    """No answer that can be used: why, for the log."""

    def __init__(self, text: str, *, tls: bool = False) -> None:
        super().__init__(text)
        self.tls = tls


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    media_type: str = ""  # lower case, without parameters
    retry_after: str = ""  # as it came
    date: str = ""  # as it came


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask. `address`: connect to this one, not to what the system finds under the name. `octets`: a body, not a form."""

    form: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    accept: str = "application/json"
    address: str | None = None
    limit: int = BODY_LIMIT
    octets: bytes | None = None
    media_type: str = "application/octet-stream"  # of octets


async def fetch(
    url: str, context: ssl.SSLContext, *, form: str | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """GET, or POST of a form. Raises HttpProblem."""
    return await ask(url, context, Asking(form, headers))


async def ask(url: str, context: ssl.SSLContext, asking: Asking) -> Answer:
    """Raises HttpProblem; its `tls` is set where the certificate is not that of the name."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _fetch(url, context, asking)
    except ssl.SSLCertVerificationError as problem:
        raise HttpProblem(str(problem), tls=True) from problem
    except TimeoutError:
        raise HttpProblem("it took too long") from None
    except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as problem:
        raise HttpProblem(str(problem) or type(problem).__name__) from problem
    except ValueError as problem:
        raise HttpProblem("not an answer of HTTP") from problem


async def _fetch(url: str, context: ssl.SSLContext, asking: Asking) -> Answer:
    form = asking.form
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(
        asking.address or host,
        port,
        ssl=context if secure else None,
        server_hostname=host if secure else None,
        limit=HEAD_LIMIT,
    )
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = (form or "").encode() if asking.octets is None else asking.octets
        method = "GET" if form is None and asking.octets is None else "POST"
        lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}",
                 f"Accept: {asking.accept}", "User-Agent: mailstack", "Connection: close"]  # fmt: skip
        if form is not None or asking.octets is not None:
            kind = asking.media_type if form is None else "application/x-www-form-urlencoded"
            lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in asking.headers]
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        await writer.drain()
        return await _answer(reader, asking.limit)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, limit: int) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    media_type = fields.get("content-type", "").partition(";")[0].strip().lower()
    told = fields.get("retry-after", ""), fields.get("date", "")
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return Answer(int(status), await _chunks(reader, limit), media_type, *told)
    length = fields.get("content-length")
    if length is None:
        return Answer(int(status), await _rest(reader, limit), media_type, *told)
    if not 0 <= int(length) <= limit:
        raise HttpProblem("the answer is too large")
    return Answer(int(status), await reader.readexactly(int(length)), media_type, *told)


async def _chunks(reader: asyncio.StreamReader, limit: int) -> bytes:
    """RFC 9112 7.1."""
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        if size < 0 or len(body) + size > limit:
            raise HttpProblem("the answer is too large")
        body += (await reader.readexactly(size + 2))[:-2]
    return body


async def _rest(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = b""
    while piece := await reader.read(65536):
        body += piece
        if len(body) > limit:
            raise HttpProblem("the answer is too large")
    return body
