"""Our own MTA-STS policy is where others look for it."""

import asyncio
import socket

from mailstack.web.policies import Policies
from mailstack.web.server import WebServer
from mailstack.web.site import build
from mailstack.wire.mta_sts import own_policy, parse_policy


async def test_the_policy_is_plain_text_under_its_path() -> None:
    """For our domains, and for a web server that passes the question on under its own name."""
    policy = own_policy("enforce", "mail.a.test", 86400)

    async def is_ours(domain: str) -> bool:
        return domain == "a.test"

    server = WebServer(build(Policies({"/.well-known/mta-sts.txt": str(policy).encode()}, is_ours).routes()))
    answers = {}
    with socket.create_server(("127.0.0.1", 0)) as one:
        await server.listen([one], None)
        for host in ("mta-sts.a.test", "127.0.0.1:8080", "mta-sts.b.test"):
            reader, writer = await asyncio.open_connection("127.0.0.1", one.getsockname()[1])
            writer.write(f"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answers[host] = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
        await server.stop(1)
    for head, _, body in (answers["mta-sts.a.test"], answers["127.0.0.1:8080"]):
        assert b"200 OK" in head
        assert b"content-type: text/plain" in head
        assert parse_policy(body) == policy
    assert b"404" in answers["mta-sts.b.test"][0]
