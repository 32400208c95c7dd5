"""The HTTP API and hooks, with a running server in this process: a shop's receipts, and what became of them."""

import asyncio
import base64
import email
import email.policy
import hmac
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from mailstack.app import Appliance, Surroundings
from mailstack.config import Auth, Config, Listen
from mailstack.config.settings import Authentication, Relay, Watch
from mailstack.delivery import webhooks
from mailstack.store.disk import Disk
from mailstack.web.api.shapes import Account, Alias, Domain, NewDomain, Queued
from tests.support.sink import CountingSink

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECEIPT = {
    "from": "Shop Ünlimited <shop@a.test>",
    "to": ["Bob <bob@far.test>", "alice@a.test"],
    "bcc": ["secret@far.test"],
    "subject": "Ihre Quittung €",
    "text": "Danke.\n",
    "html": '<p>Danke.</p><img src="cid:logo">',
    "attachments": [
        {"filename": "rechnung.pdf", "type": "application/pdf", "content": base64.b64encode(b"%PDF").decode()},
        {"filename": "logo.png", "type": "image/png", "content": base64.b64encode(b"PNG").decode(), "content_id": "logo"},
    ],
}


@pytest_asyncio.fixture(loop_scope="module")
async def hook_server() -> AsyncIterator[tuple[str, list[tuple[dict[str, str], bytes]], list[int]]]:
    """An URL, the requests that came there, and statuses to answer with (then 204)."""
    came: list[tuple[dict[str, str], bytes]] = []
    statuses: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        came.append((headers, body))
        status = statuses.pop(0) if statuses else 204
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", came, statuses
    server.close()


class World:
    def __init__(self, appliance: Appliance, sink: CountingSink) -> None:
        self.appliance = appliance
        self.sink = sink
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{appliance.ports['http'][0]}/api/v1")

    async def do(self, name: str, **arguments: Any) -> Any:
        return await self.appliance.data.operations(self.appliance.runner)[name](arguments)

    async def token(self, label: str, **arguments: Any) -> dict[str, str]:
        made = await self.do("api-token.add", label=f"{label}-{secrets.token_hex(4)}", **arguments)
        self.label = made["label"]
        return {"authorization": f"Bearer {made['token']}"}

    async def sent(self, token: dict[str, str], body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.client.post("/messages", json=body, headers=token | headers)


@pytest.fixture(scope="module")
def sink() -> Any:
    with CountingSink() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, sink: CountingSink) -> AsyncIterator[World]:
    tmp_path = tmp_path_factory.mktemp("api")
    config = Config(
        hostname="mail.a.test",
        data_dir=str(tmp_path / "data"),
        listen=Listen(**{name: ["127.0.0.1:0"] for name in Listen.__struct_fields__}),
        auth=Auth(allow_plaintext=True),
        authentication=Authentication(check=False),
        relay=Relay(smarthost=f"smtp://127.0.0.1:{sink.port}"),
        watch=Watch(selftest=""),
    )
    appliance = Appliance(config, Surroundings(Disk()))
    await appliance.start()
    one = World(appliance, sink)
    await one.do("domain.add", domain="a.test")
    for name in ("shop", "alice", "bob", "slow"):
        await one.do("user.add", address=f"{name}@a.test", password="sesame")
    yield one
    await one.client.aclose()
    await one.appliance.stop()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_receipt_is_sent_and_followed(world: World, hook_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "RETRY", (0.1,))
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.1)
    url, came, statuses = hook_server
    hook = await world.do("webhook.add", url=url, events=["message.delivered", "message.received"])
    statuses.append(500)  # the first attempt fails
    token = await world.token("shop", account="shop@a.test")
    answer = await world.sent(token, RECEIPT, **{"idempotency-key": "order-17"})
    assert answer.status_code == 202, answer.text
    id = answer.json()["id"]
    assert answer.json()["message_id"] == f"<{id}@mail.a.test>"
    again = await world.sent(token, RECEIPT, **{"idempotency-key": "order-17"})
    assert (again.status_code, again.json()["id"]) == (202, id)
    other = await world.sent(token, {**RECEIPT, "subject": "x"}, **{"idempotency-key": "order-17"})
    assert other.status_code == 422

    async def states() -> dict[str, str]:
        found = (await world.client.get(f"/messages/{id}", headers=token)).json()
        return {one["address"]: one["state"] for one in found["recipients"]}

    async with asyncio.timeout(20):
        while set((await states()).values()) != {"delivered"}:
            await asyncio.sleep(0.02)
    assert set(await states()) == {"bob@far.test", "secret@far.test", "alice@a.test"}
    data = next(
        data for data in await asyncio.to_thread(_stored, world, "alice@a.test") if b"Quittung" in data or id.encode() in data
    )
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert message["from"] == "Shop Ünlimited <shop@a.test>"
    assert message["subject"] == "Ihre Quittung €"
    assert "secret" not in data.decode()
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "application/pdf",
    ]  # fmt: skip
    for line in data.split(b"\n")[:-1]:
        assert line.endswith(b"\r")
    await until(lambda: len(came) >= 1)
    # What was not taken comes again, under the same id.
    async with asyncio.timeout(30):
        while len({headers["webhook-id"] for headers, _ in came}) < 3:
            await asyncio.sleep(0.05)
    headers, body = came[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(hook["secret"].removeprefix("whsec_"))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    bodies = [json.loads(body) for _, body in came]
    assert {one["type"] for one in bodies} == {"message.delivered", "message.received"}
    await world.do("webhook.remove", id=hook["id"])
    assert {one["data"]["to"] for one in bodies} == set(await states())
    assert all(one["data"]["id"] == id and one["data"]["subject"] == RECEIPT["subject"] for one in bodies)


def _stored(world: World, address: str) -> list[bytes]:
    folder = next((world.appliance.data.path / "mail").glob(f"*/{address.partition('@')[0]}/Maildir"))
    return [path.read_bytes() for path in (*folder.glob("new/*"), *folder.glob("cur/*"))]


async def test_rights_and_limits(world: World) -> None:
    shop, admin = await world.token("shop", account="shop@a.test"), await world.token("boss", admin=True)
    plain = {"to": ["bob@far.test"], "subject": "x", "text": "x"}
    assert (await world.sent({}, plain)).status_code == 401
    assert (await world.sent({"authorization": "Bearer mst_wrong"}, plain)).status_code == 401
    stolen = await world.sent(shop, {**plain, "from": "alice@a.test"})
    assert (stolen.status_code, stolen.json()["reply"][:9]) == (422, "550 5.7.1")
    assert (await world.sent(admin, {**plain, "from": "nobody@a.test"})).status_code == 422
    sent = await world.sent(admin, {**plain, "from": "alice@a.test"})
    assert sent.status_code == 202
    # Another's message is none of a token's business.
    assert (await world.client.get(f"/messages/{sent.json()['id']}", headers=shop)).status_code == 404
    assert (await world.client.get(f"/messages/{sent.json()['id']}", headers=admin)).status_code == 200
    for method, path in (("GET", "/accounts"), ("DELETE", "/accounts/alice@a.test"), ("POST", "/domains"), ("GET", "/queue")):
        assert (await world.client.request(method, path, headers=shop)).status_code == 403, path
    await world.do("user.limit", address="slow@a.test", messages_per_hour="3")
    slow = await world.token("slow", account="slow@a.test")
    for _ in range(3):
        assert (await world.sent(slow, {**plain, "from": "slow@a.test"})).status_code == 202
    late = await world.sent(slow, {**plain, "from": "slow@a.test"})
    assert (late.status_code, late.headers["retry-after"]) == (429, "60")
    await world.do("user.disable", address="slow@a.test")
    assert (await world.client.get("/messages/x", headers=slow)).status_code == 401
    admin = await world.token("boss", admin=True)
    await world.do("api-token.remove", label=world.label)
    assert (await world.client.get("/accounts", headers=admin)).status_code == 401


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"subject": "x\r\nBcc: eve@far.test"}, 422, "subject"),
    ({"from": "shop@a.test\nX: y"}, 422, "from"),
    ({"from": "shop@a.test, alice@a.test"}, 422, "from"),
    ({"to": []}, 422, "empty"),
    ({"to": ["no address"]}, 422, "to"),
    ({"to": "bob@far.test"}, 400, "to"),
    ({"text": None}, 422, "text or html"),
    ({"headers": {"Received": "x"}}, 422, "headers"),
    ({"headers": {"X-Order": "1\n2"}}, 422, "headers"),
    ({"headers": {"bad name": "1"}}, 422, "headers"),
    ({"attachments": [{"filename": "x", "content": "***"}]}, 400, "content"),
    ({"attachments": [{"filename": "x", "content": "", "type": "multipart/mixed"}]}, 422, "attachments"),
    ({"unknown": 1}, 400, "unknown"),
    ({"subject": "\ud800"}, 400, ""),
]


async def test_bad_input_is_named(world: World) -> None:
    token = await world.token("shop", account="shop@a.test")
    for change, status, words in BAD:
        body = {"from": "shop@a.test", "to": ["bob@far.test"], "subject": "x", "text": "x", **change}
        answer = await world.client.post("/messages", content=json.dumps(body), headers=token)
        assert answer.status_code == status, (change, answer.text)
        assert words in answer.json()["problem"]
    assert not any("bob" in str(one.envelope) for one in world.appliance.data.queue.messages.values())


async def test_a_message_as_it_is(world: World) -> None:
    token = {**await world.token("shop", account="shop@a.test"), "content-type": "message/rfc822"}
    data = b"From: shop@a.test\nTo: bob@a.test\nBcc: eve@far.test\nSubject: raw\nMessage-ID: <1@shop.test>\n\nHello\n"
    answer = await world.client.post("/messages?from=shop@a.test&to=bob@a.test", content=data, headers=token)
    assert answer.status_code == 202, answer.text
    assert answer.json()["message_id"] == "<1@shop.test>"
    stored = next(data for data in await asyncio.to_thread(_stored, world, "bob@a.test") if b"Subject: raw" in data)
    assert b"Bcc" not in stored
    assert stored.endswith(b"\r\n\r\nHello\r\n")
    named = data.replace(b"Message-ID: <1@shop.test>\n", b"").replace(b"raw", b"unnamed")
    again = {**token, "idempotency-key": "unnamed"}
    answers = [await world.client.post("/messages?from=shop@a.test&to=bob@a.test", content=named, headers=again) for _ in "12"]
    first, second = (answer.json() for answer in answers)
    assert first == second
    stored = next(data for data in await asyncio.to_thread(_stored, world, "bob@a.test") if b"Subject: unnamed" in data)
    assert f"Message-ID: {first['message_id']}\r\n".encode() in stored
    for query, status in (("from=shop@a.test", 400), ("to=bob@a.test", 400), ("from=alice@a.test&to=bob@a.test", 422)):
        assert (await world.client.post(f"/messages?{query}", content=data, headers=token)).status_code == status
    bare = await world.client.post("/messages?from=shop@a.test&to=bob@a.test", content=data + b"\rx", headers=token)
    assert bare.status_code == 422


async def test_admins_do_what_commands_do(world: World) -> None:
    admin = await world.token("boss", admin=True)

    async def ask(method: str, path: str, status: int, body: Any = None) -> Any:
        answer = await world.client.request(method, path, headers=admin, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    made = await ask("POST", "/accounts", 201, {"address": "carol@a.test", "quota": "1GiB"})
    assert len(made["password"]) > 12
    assert (await ask("GET", "/accounts/carol@a.test", 200))["address"] == "carol@a.test"
    await ask("PATCH", "/accounts/carol@a.test", 204, {"disabled": True, "quota": None, "admin": False})
    assert (await ask("GET", "/accounts/carol@a.test", 200))["disabled"]
    assert (await ask("POST", "/accounts/carol@a.test/password", 200, {}))["password"]
    await ask("POST", "/aliases", 201, {"address": "info@a.test", "targets": ["carol@a.test"]})
    assert any(row["address"] == "info@a.test" for row in await ask("GET", "/aliases", 200))
    await ask("DELETE", "/aliases/info@a.test", 204)
    await ask("DELETE", "/accounts/carol@a.test", 204)
    await ask("GET", "/accounts/carol@a.test", 404)
    added = await ask("POST", "/domains", 201, {"domain": "b.test"})
    assert msgspec.to_builtins(msgspec.convert(added, NewDomain)) == added
    await ask("DELETE", "/domains/b.test", 204)
    assert isinstance(await ask("GET", "/queue", 200), list)
    await ask("POST", "/queue/x/burn", 404)
    for path in ("/queue/x/retry", "/nothing"):
        assert (await ask("POST", path, 404))["problem"]
    for path in ("/aliases/info@a.test", "/domains/b.test", "/accounts/carol@a.test"):
        assert "there is no" in (await ask("DELETE", path, 404))["problem"]
    assert (await ask("PUT", "/accounts", 405))["problem"]
    for path, shape in (("accounts", Account), ("aliases", Alias), ("domains", Domain), ("queue", Queued)):
        for row in await ask("GET", f"/{path}", 200):
            # What is described is what comes.
            assert msgspec.to_builtins(msgspec.convert(row, shape)) == row


async def test_every_endpoint_is_described_and_asks_for_a_token(world: World) -> None:
    found = (await world.client.get("/openapi.json")).json()
    assert found["openapi"].startswith("3.1")
    count = 0
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            count += 1
            url = path.removeprefix("/api/v1").replace("{", "").replace("}", "")
            assert (await world.client.request(method, url)).status_code == 401, (method, path)
            assert operation["summary"]
    assert count >= 16
    refs = set(json.dumps(found).split('"#/components/schemas/')[1:])
    assert {ref.partition('"')[0] for ref in refs} <= found["components"]["schemas"].keys()


async def test_nobody_on_the_way_reads_along(world: World) -> None:
    token = await world.token("shop", account="shop@a.test")
    answer = await world.client.get("/messages/x", headers={**token, "host": "mail.a.test"})
    assert answer.status_code == 403
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with httpx.AsyncClient(verify=context) as client:
        url = f"https://127.0.0.1:{world.appliance.ports['https'][0]}/api/v1/messages/x"
        assert (await client.get(url, headers={**token, "host": "mail.a.test"})).status_code == 404


async def test_hooks_are_for_their_account_and_tell_of_alarms(world: World, hook_server: Any) -> None:
    url, came, _ = hook_server
    shop = await world.do("webhook.add", url=url, account="shop@a.test", events=["message.received"])
    boss = await world.do("webhook.add", url=url, events=["server.alarm"])
    await world.do("webhook.test", id=boss["id"])
    assert json.loads(came.pop()[1])["type"] == "test"
    await world.do("selftest.record", steps=[], problem="IMAP login: x")
    await until(lambda: came)
    assert json.loads(came[0][1])["data"]["subject"] == "The self-test fails"
    token = await world.token("alice", account="alice@a.test")
    for to in ("alice@a.test", "shop@a.test"):
        assert (await world.sent(token, {"from": "alice@a.test", "to": [to], "text": "x"})).status_code == 202
    await until(lambda: len(came) == 2)
    assert json.loads(came[1][1])["data"]["to"] == "shop@a.test"
    ours = {shop["id"], boss["id"]}
    async with asyncio.timeout(20):
        # What came there is done once its answer is written down.
        while any(row["waiting"] for row in await world.do("webhook.list") if row["id"] in ours):
            await asyncio.sleep(0.01)
    for id in ours:
        await world.do("webhook.remove", id=id)
    assert not ours & {row["id"] for row in await world.do("webhook.list")}


async def test_what_was_not_told_is_told_after_a_restart(world: World, hook_server: Any) -> None:
    url, came, statuses = hook_server
    hook = await world.do("webhook.add", url=url, events=["message.received"])
    statuses += [503]
    token = await world.token("alice", account="alice@a.test")
    await world.sent(token, {"from": "alice@a.test", "to": ["alice@a.test"], "text": "x"})
    await until(lambda: came)
    async with asyncio.timeout(20):
        while [row["problem"] for row in await world.do("webhook.list") if row["id"] == hook["id"]] != ["HTTP 503"]:
            await asyncio.sleep(0.01)
    config = world.appliance.config
    await world.appliance.stop()
    later = [0.0]
    world.appliance = Appliance(config, Surroundings(Disk(), lambda: time.time() + later[0]))
    later[0] = 60.0
    await world.appliance.start()
    world.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.appliance.ports['http'][0]}/api/v1")
    await until(lambda: len(came) == 2)
    assert came[0][0]["webhook-id"] == came[1][0]["webhook-id"]
    assert came[0][1] == came[1][1]
    await world.do("webhook.remove", id=hook["id"])
