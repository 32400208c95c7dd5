"""The evaluations of mailauth/, with the DNS as a table."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from mailstack.mailauth.arc import Chain, read_chain
from mailstack.mailauth.dkim_verify import Signature, body_hashes, signatures
from mailstack.mailauth.questions import Answer, Evaluation, Question
from mailstack.mailauth.results import Arc, Dkim
from mailstack.mailauth.signed import Fields
from mailstack.message.header import split_header

NOW = 1_700_000_000
T = TypeVar("T")
Records = Mapping[str, str | None]  # TXT by name; None: no answer


def answer(records: Records, question: Question) -> Answer:
    if question.name not in records or question.kind != "TXT":
        return Answer()
    found = records[question.name]
    return Answer(trouble=True) if found is None else Answer((found,))


def drive(evaluation: Evaluation[T], records: Records) -> T:
    try:
        questions = next(evaluation)
        while True:
            questions = evaluation.send(tuple(answer(records, one) for one in questions))
    except StopIteration as end:
        value: T = end.value
        return value


def judged(data: bytes, records: Records, now: float = NOW, block: int = 1 << 20) -> tuple[tuple[Dkim, ...], Arc]:
    header, body = split_header(data)
    fields = Fields(header)
    found, chain = signatures(fields), read_chain(fields)
    signed = [one for one in found if isinstance(one, Signature)]
    bodies = body_hashes(signed + (chain.signatures if isinstance(chain, Chain) else []))
    for place in range(0, len(body), block):
        for one in bodies.values():
            one.update(body[place : place + block])
    results = tuple(
        one.judge(fields, bodies, answer(records, one.question), now) if isinstance(one, Signature) else one for one in found
    )
    if isinstance(chain, Chain):
        return results, chain.judge(fields, bodies, {one: answer(records, one) for one in chain.questions}, now)
    return results, chain


def dkim_words(data: bytes, records: Records, now: float = NOW) -> list[str]:
    return [str(one.result) for one in judged(data, records, now)[0]]


def asker(records: Records, names: list[str] | None = None) -> object:
    """What dkimpy asks with."""

    def ask(name: bytes, timeout: int = 5) -> bytes:
        return (records.get(name.decode().rstrip(".")) or "").encode()

    return ask


def joined(parts: Iterable[bytes]) -> bytes:
    return b"\r\n".join(parts) + b"\r\n"
