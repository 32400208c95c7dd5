"""A small certificate authority (ACME over plain HTTP) that says what pebble can't be made to say. It verifies nothing."""

import asyncio
import base64
import datetime
import itertools
import json
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

URN = "urn:ietf:params:acme:error:"
Answer = tuple[int, dict[str, str], Any]


class FakeAuthority:
    """`async with`; then `url`. `refuses`: names whose challenges fail. `says`: gives an answer of its own, or None."""

    def __init__(self, now: Callable[[], float], *, days: int = 90, renewal: bool = False) -> None:
        self._now, self.days, self._renewal = now, days, renewal
        self.refuses: set[str] = set()
        self.says: Callable[[str, Any], Answer | None] = lambda path, payload: None
        self.window: dict[str, Any] = {}
        self.requests: list[tuple[str, Any]] = []
        self.accounts: dict[str, str] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.challenges: dict[str, dict[str, Any]] = {}
        self.chains: dict[str, str] = {}
        self._numbers = itertools.count()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Fake Authority")])

    async def __aenter__(self) -> "FakeAuthority":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.root = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = f"{self.root}/directory"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                sizes = [line.partition(":")[2] for line in head.splitlines() if line.lower().startswith("content-length")]
                body = await reader.readexactly(int(sizes[0])) if sizes else b""
                status, headers, found = self._answer(method, path, body)
                data = found.encode() if isinstance(found, str) else json.dumps(found).encode()
                kind = "application/pem-certificate-chain" if isinstance(found, str) else "application/json"
                fields = {
                    "Replay-Nonce": f"n{next(self._numbers)}",
                    "Content-Type": kind,
                    "Content-Length": str(len(data)),
                    **headers,
                }
                lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in fields.items() if value)]
                writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else data))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, method: str, path: str, body: bytes) -> Answer:
        jws = json.loads(body) if body else {}
        payload = json.loads(_plain(jws["payload"]) or "null") if jws else None
        self.requests.append((path, payload))
        said = self.says(path, payload)
        if said is not None:
            return said
        kind, _, number = path.strip("/").partition("/")
        match kind:
            case "directory":
                words = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
                more = {"renewalInfo": f"{self.root}/renewalInfo"} if self._renewal else {}
                return 200, {}, {word: f"{self.root}/{word}" for word in words} | more
            case "newNonce":
                return 200, {}, {}
            case "newAccount":
                jwk = json.dumps(json.loads(_plain(jws["protected"]))["jwk"])
                url = self.accounts.setdefault(jwk, f"{self.root}/account/{next(self._numbers)}")
                return 201, {"Location": url}, {"status": "valid"}
            case "account":
                if f"{self.root}{path}" not in self.accounts.values():
                    return 400, {}, {"type": URN + "accountDoesNotExist", "detail": "who?"}
                return 200, {}, {"status": "valid"}
            case "newOrder":
                return self._new_order(payload)
            case "order":
                return 200, {}, self.orders[number]
            case "authorization":
                return 200, {}, self._authorization(number)
            case "challenge":
                one = self.challenges[number]
                one["status"] = "invalid" if one["name"] in self.refuses else "valid"
                return 200, {}, one
            case "finalize":
                return self._finalize(number, payload["csr"])
            case "certificate":
                return 200, {}, self.chains[number]
            case "renewalInfo":
                return 200, {"Retry-After": "7200"}, {"suggestedWindow": self.window}
        return 404, {}, {"type": URN + "malformed", "detail": "no such thing"}

    def _new_order(self, payload: Any) -> Answer:
        number = str(next(self._numbers))
        names = [one["value"] for one in payload["identifiers"]]
        for place, name in enumerate(names):
            self.challenges[f"{number}-{place}"] = {"name": name, "status": "pending"}
        order = self.orders[number] = {
            "status": "pending",
            "identifiers": payload["identifiers"],
            "authorizations": [f"{self.root}/authorization/{number}-{place}" for place in range(len(names))],
            "finalize": f"{self.root}/finalize/{number}",
        }
        return 201, {"Location": f"{self.root}/order/{number}"}, order

    def _authorization(self, number: str) -> dict[str, Any]:
        one = self.challenges[number]
        order = self.orders[number.partition("-")[0]]
        mine = [other for key, other in self.challenges.items() if key.partition("-")[0] == number.partition("-")[0]]
        if order["status"] == "pending" and all(other["status"] == "valid" for other in mine):
            order["status"] = "ready"
        if one["status"] == "invalid":
            order["status"] = "invalid"
        known = {"type": "http-01", "url": f"{self.root}/challenge/{number}", "token": "t" * 43, "status": one["status"]}
        if one["status"] == "invalid":
            known["error"] = {"type": URN + "connection", "detail": f"{one['name']} leads nowhere"}
        # A kind that no library of today knows, without a token.
        unknown = {"type": "dns-persist-01", "url": f"{self.root}/x", "status": "pending", "issuer-domain-names": ["ca.test"]}
        return {"identifier": {"type": "dns", "value": one["name"]}, "status": one["status"], "challenges": [unknown, known]}

    def _finalize(self, number: str, text: str) -> Answer:
        """No Location in this answer: RFC 8555 asks for none."""
        request = x509.load_der_x509_csr(_octets(text))
        self.chains[number] = self.sign(request)
        order = self.orders[number]
        order |= {"status": "valid", "certificate": f"{self.root}/certificate/{number}"}
        return 200, {}, {**order, "status": "processing"}

    def sign(self, request: x509.CertificateSigningRequest) -> str:
        now = datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
        signed = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self.name)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=self.days))
            .add_extension(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def asked(self, word: str) -> list[Any]:
        """The payloads of requests whose path begins so."""
        return [payload for path, payload in self.requests if path.startswith(f"/{word}")]


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _plain(text: str) -> str:
    return _octets(text).decode()
