"""DKIM beside dkimpy: the libraries alone, on mails of 10 KB, the key at hand."""

import itertools
import time
from collections.abc import Callable

import dkim

from bench.corpus import message
from bench.judging import MOMENT, World
from bench.peers import Server
from mailstack.delivery.signing import digested
from mailstack.mailauth.dkim import SIGNED, SigningKey, generate, load, sign
from mailstack.mailauth.dkim_verify import Signature, body_hashes, signatures
from mailstack.mailauth.questions import Answer
from mailstack.mailauth.results import Result
from mailstack.mailauth.signed import Fields
from mailstack.message.header import split_header


def signings(kinds: tuple[str, ...], count: int) -> Callable[[Server], float]:
    """Mails signed a second, with a key of each kind; dkimpy with RSA-2048 alone, which is what it does best."""

    def measure(server: Server) -> float:
        data = message(1)
        pem = generate("rsa")
        keys = [load(pem if kind == "rsa" else generate(kind), "a.test", kind) for kind in kinds]
        work = _signed_by_dkimpy(data, pem) if server.name == "dkimpy" else _signed(data, keys)
        start = time.perf_counter()
        for _ in range(count):
            work()
        return count / (time.perf_counter() - start)

    return measure


def _signed(data: bytes, keys: list[SigningKey]) -> Callable[[], object]:
    def work() -> object:
        header, digest = digested((data,))
        return sign(header, digest, keys, MOMENT)

    return work


def _signed_by_dkimpy(data: bytes, pem: bytes) -> Callable[[], object]:
    names = [name for name in SIGNED if b"\r\n" + name in data.lower() or data.lower().startswith(name)]
    return lambda: dkim.sign(data, b"s", b"a.test", pem, include_headers=names, canonicalize=(b"relaxed", b"relaxed"))


def verifications(count: int) -> Callable[[Server], float]:
    """Signatures verified a second."""

    def measure(server: Server) -> float:
        world = World(generate("rsa"))
        mails = [world.signed(number) for number in range(50)]
        verify = _dkimpy if server.name == "dkimpy" else _ours
        start = time.perf_counter()
        for mail in itertools.islice(itertools.cycle(mails), count):
            if not verify(mail, world.record):
                raise RuntimeError("a good signature did not verify")
        return count / (time.perf_counter() - start)

    return measure


def _ours(mail: bytes, record: str) -> bool:
    header, body = split_header(mail)
    fields = Fields(header)
    (one,) = (found for found in signatures(fields) if isinstance(found, Signature))
    bodies = body_hashes([one])
    for each in bodies.values():
        each.update(body)
    return one.judge(fields, bodies, Answer((record,)), MOMENT).result is Result.PASS


def _dkimpy(mail: bytes, record: str) -> bool:
    return bool(dkim.verify(mail, dnsfunc=lambda name, timeout=5: record.encode()))
