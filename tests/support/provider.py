"""An identity provider on loopback: discovery, keys, introspection; and tokens that it signs."""

import asyncio
import base64
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return packed(value.to_bytes((value.bit_length() + 7) // 8))


class SigningKey:
    """One private key; `algorithm` as in a token's header."""

    def __init__(self, algorithm: str, id: str) -> None:
        self.algorithm = algorithm
        self.id = id
        self.private: Any = {
            "RS": lambda: rsa.generate_private_key(65537, 2048),
            "PS": lambda: rsa.generate_private_key(65537, 2048),
            "ES": lambda: ec.generate_private_key(ec.SECP256R1()),
            "Ed": ed25519.Ed25519PrivateKey.generate,
        }[algorithm[:2]]()

    def sign(self, data: bytes) -> bytes:
        match self.algorithm[:2]:
            case "RS":
                return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
            case "PS":
                return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
            case "ES":
                r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
                return r.to_bytes(32) + s.to_bytes(32)
            case _:
                return self.private.sign(data)

    def public(self) -> dict[str, str]:
        common = {"kid": self.id, "use": "sig", "alg": self.algorithm}
        if self.algorithm[:2] in ("RS", "PS"):
            numbers = self.private.public_key().public_numbers()
            return {**common, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        if self.algorithm[:2] == "ES":
            numbers = self.private.public_key().public_numbers()
            x, y = (packed(one.to_bytes(32)) for one in (numbers.x, numbers.y))
            return {**common, "kty": "EC", "crv": "P-256", "x": x, "y": y}
        return {**common, "kty": "OKP", "crv": "Ed25519", "x": packed(self.private.public_key().public_bytes_raw())}

    def token(self, claims: dict[str, Any], **header: Any) -> str:
        head = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.id, **header}
        signed = f"{packed(json.dumps(head).encode())}.{packed(json.dumps(claims).encode())}"
        return f"{signed}.{packed(self.sign(signed.encode()))}"


class Provider:
    """In a thread and loop of its own. `paths` says what is answered; `asked` what was asked."""

    def __init__(self) -> None:
        self.keys = [SigningKey("ES256", "one")]
        self.asked: list[str] = []
        self.active: dict[str, dict[str, Any]] = {}  # tokens that introspection knows
        self.chunked = False
        self.status = 200
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.paths: dict[str, Callable[[dict[str, list[str]], str], Any]] = {
            "/realm/.well-known/openid-configuration": lambda *_: {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"},
            "/realm/keys": lambda *_: {"keys": [key.public() for key in self.keys]},
            "/realm/introspect": self._introspect,
        }

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realm"

    def _introspect(self, form: dict[str, list[str]], credentials: str) -> dict[str, Any]:
        assert credentials == "Basic " + base64.b64encode(b"mail:s%20cret").decode(), credentials
        return {"active": True, **self.active[form["token"][0]]} if form["token"][0] in self.active else {"active": False}

    def start(self) -> None:
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop).result(10)
        self.port = server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])}
        body = (await reader.readexactly(int(fields.get("content-length", "0")))).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        answer = json.dumps(self.paths[path](parse_qs(body), fields.get("authorization", ""))).encode()
        if self.chunked:
            cut = len(answer) // 2
            pieces = (answer[:cut], answer[cut:], b"")
            data = b"".join(b"%x;x=y\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            writer.write(b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n" % self.status + data)
        else:
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (self.status, len(answer)) + answer)
        writer.close()
