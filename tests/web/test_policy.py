"""Our own MTA-STS policy is where others look for it."""

import asyncio
import socket

from mailstack.web.policies import Policies
from mailstack.web.server import WebServer
from mailstack.web.site import build
from mailstack.wire.mta_sts import own_policy, parse_policy


async def test_the_policy_is_plain_text_under_its_path() -> None:
    policy = own_policy("enforce", "mail.a.test", 86400)
    server = WebServer(build(Policies({"/.well-known/mta-sts.txt": str(policy).encode()}).routes()))
    with socket.create_server(("127.0.0.1", 0)) as one:
        await server.listen([one], None)
        reader, writer = await asyncio.open_connection("127.0.0.1", one.getsockname()[1])
        writer.write(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.a.test\r\nConnection: close\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await server.stop(1)
    assert b"200 OK" in head
    assert b"content-type: text/plain" in head
    assert parse_policy(body) == policy
