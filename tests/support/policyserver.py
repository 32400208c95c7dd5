"""A web server on loopback that has an MTA-STS policy; what it says, and its certificate, a test may change."""

import asyncio
import ssl

import trustme


class PolicyServer:
    """`async with`; `asked` counts requests."""

    def __init__(self, authority: trustme.CA, domain: str, policy: str) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(f"mta-sts.{domain}").configure_cert(self.context)
        self.policy = policy
        self.status = "200 OK"
        self.media_type = "text/plain; charset=utf-8"
        self.asked: list[str] = []
        self.port = 0

    async def __aenter__(self) -> "PolicyServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b" ")[1].decode())
        body = self.policy.encode()
        fields = f"Location: https://else.test/\r\nContent-Type: {self.media_type}\r\nContent-Length: {len(body)}"
        writer.write(f"HTTP/1.1 {self.status}\r\n{fields}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
