"""`python -m bench.signing`: DKIM signatures a second on a mail of 10 KB, beside dkimpy; the libraries, without a server."""

import statistics
import time
from collections.abc import Callable

import dkim

from bench.corpus import message
from mailstack.delivery.signing import digested
from mailstack.mailauth.dkim import SIGNED, SigningKey, generate, load, sign

SECONDS = 2.0
ROUNDS = 5


def rate(work: Callable[[], object]) -> float:
    """How often a second; the median of some rounds."""
    found = []
    for _ in range(ROUNDS):
        count, start = 0, time.perf_counter()
        while time.perf_counter() < start + SECONDS / ROUNDS:
            work()
            count += 1
        found.append(count / (time.perf_counter() - start))
    return statistics.median(found)


def ours(data: bytes, keys: list[SigningKey]) -> Callable[[], object]:
    def work() -> object:
        header, digest = digested((data,))
        return sign(header, digest, keys, 1767225600)

    return work


def theirs(data: bytes, pem: bytes) -> Callable[[], object]:
    names = [name for name in SIGNED if b"\r\n" + name in data.lower() or data.lower().startswith(name)]
    return lambda: dkim.sign(data, b"s", b"a.test", pem, include_headers=names, canonicalize=(b"relaxed", b"relaxed"))


def main() -> None:
    data = message(1)
    rsa = generate("rsa")
    keys = [load(rsa, "a.test", "r"), load(generate("ed25519"), "a.test", "e")]
    other = rate(theirs(data, rsa))
    print(f"{len(data)} octets, relaxed/relaxed, signatures a second on one processor:")
    for name, used in (("RSA-2048", keys[:1]), ("RSA-2048 and Ed25519", keys), ("Ed25519", keys[1:])):
        own = rate(ours(data, used))
        print(f"  {name:<22} {own:8.0f}   dkimpy (RSA-2048) {other:6.0f}   {own / other:5.1f} x")


if __name__ == "__main__":
    main()
