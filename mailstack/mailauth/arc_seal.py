"""ARC sealing (RFC 8617 5.1): a forwarder's word on what it saw of a message, for those whom it goes on to."""

import base64
import re
from collections.abc import Sequence

from mailstack.mailauth.authres_reading import read
from mailstack.mailauth.canon import relaxed
from mailstack.mailauth.dkim import SigningKey, chosen, folded, signature
from mailstack.message.header import fields, unfold

SETS = 50  # RFC 8617 4.2.1
_INSTANCE = re.compile(rb"\s*(?:[^;]*;)*?\s*i\s*=\s*([0-9]{1,3})\s*(?:;|\Z)")
_SEALED_CHAIN = re.compile(rb"(?:\A|;)\s*cv\s*=\s*([a-z]+)", re.IGNORECASE)
_SET = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")


def seal(header: bytes, body_hash: bytes, key: SigningKey, moment: int, results: Sequence[bytes]) -> bytes:
    """The ARC set to put in front of a message; empty where none may be added.

    `results`: the values of this server's own Authentication-Results fields, "host; spf=pass ...; arc=pass ...", which are
    all that is known of the chain: without its arc= a message that has sets already is not sealed, and without any none is.
    """
    sets = _sets(header)
    instance = len(sets) + 1
    cv = _validity(sets, results)
    if cv is None or instance > SETS or not results:
        return b""
    said = [results[0].strip(), *(one.partition(b";")[2].strip() for one in results[1:])]
    gathered = b" i=%d; " % instance + b";\r\n\t".join(said)
    names, signed = chosen(header, (b"dkim-signature",))
    tags = f"a={key.algorithm}; d={key.domain}; s={key.selector};"
    unsigned = (
        f" i={instance}; {tags}\r\n\tc=relaxed/relaxed; t={moment}; bh={base64.b64encode(body_hash).decode()};"
        f"\r\n\th={folded(names)};\r\n\tb="
    ).encode()
    message = unsigned + signature(key, b"\r\n".join([*signed, relaxed(_SET[1], unsigned)]))
    # RFC 8617 5.1.2: a chain that failed is not sealed again, only the word that it failed.
    before = [value for number in sorted(sets) for value in _in_order(sets[number])] if cv != b"fail" else []
    seal = b" i=%d; %b\r\n\tt=%d; cv=%b;\r\n\tb=" % (instance, tags.encode(), moment, cv)
    covered = [*before, relaxed(_SET[0], gathered), relaxed(_SET[1], message), relaxed(_SET[2], seal)]
    return b"".join(
        (
            b"ARC-Seal:" + seal + signature(key, b"\r\n".join(covered)) + b"\r\n",
            b"ARC-Message-Signature:" + message + b"\r\n",
            b"ARC-Authentication-Results:" + gathered + b"\r\n",
        )
    )


def _sets(header: bytes) -> dict[int, dict[bytes, bytes]]:
    """By instance: the raw values of its fields; of a field that is there twice the last."""
    found: dict[int, dict[bytes, bytes]] = {}
    for name, value in fields(header):
        lower = name.lower()
        if lower in _SET:
            instance = _INSTANCE.match(unfold(value)[:2000])
            found.setdefault(int(instance[1]) if instance is not None else 0, {})[lower] = value
    return found


def _in_order(one: dict[bytes, bytes]) -> list[bytes]:
    return [relaxed(name, one[name]) for name in _SET]


def _validity(sets: dict[int, dict[bytes, bytes]], results: Sequence[bytes]) -> bytes | None:
    """cv= of the new seal; None where there must be no further set, or nobody knows."""
    if not sets:
        return b"none"
    newest = sets.get(max(sets), {}).get(_SET[2])
    if newest is not None:
        sealed = _SEALED_CHAIN.search(unfold(newest))
        if sealed is not None and sealed[1].lower() == b"fail":
            return None
    said = [one.result.encode() for value in results for one in read(value).of("arc")]
    if not said or said[0] not in (b"pass", b"fail"):
        return None
    complete = sorted(sets) == list(range(1, len(sets) + 1)) and all(len(one) == len(_SET) for one in sets.values())
    if not complete:
        return b"fail" if said[0] == b"fail" and 0 not in sets else None
    return said[0]
