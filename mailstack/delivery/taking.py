"""A message that is being taken over: its envelope, who gets it here, and what leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mailstack.delivery.parcels import Parcel
from mailstack.delivery.placing import Message, Place
from mailstack.message.envelope import Envelope, Recipient, TlsWish
from mailstack.message.header import first
from mailstack.policy.judgement import Judgement
from mailstack.policy.routing import Local, Remote, Route, ToList
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content

HEADER_SEEN = 65536  # octets


@dataclass(slots=True)
class Taking:
    """A message that is being taken over, and who gets it."""

    envelope: Envelope
    message: Message
    places: list[Place]
    parcels: list[Parcel]


def _wish(transaction: Transaction, content: Content) -> TlsWish:
    """What the message says of TLS on its way (RFC 8689 3): REQUIRETLS counts more than the field."""
    if transaction.parameters.require_tls:
        return TlsWish.REQUIRED
    header = content.header(HEADER_SEEN)
    return TlsWish.OPTIONAL if (first(header, b"tls-required") or b"").lower() == b"no" else TlsWish.POLICY


def envelope_of(transaction: Transaction, content: Content) -> Envelope:
    parameters = transaction.parameters
    return Envelope(
        id=transaction.id,
        sender=transaction.sender,
        recipients=tuple(recipient for recipient, _ in transaction.recipients),
        received=transaction.received,
        ret=parameters.ret,
        envelope_id=parameters.envelope_id,
        smtputf8=parameters.smtputf8,
        body=parameters.body,
        account=transaction.account.address if transaction.account else None,
        tls=_wish(transaction, content),
    )


def message_of(transaction: Transaction, content: Content, prefix: bytes) -> Message:
    known = transaction.authentication
    name = known.iprev.name if known is not None else None
    return Message(transaction.id, transaction.sender, content, prefix, transaction.peer, name)


@dataclass(frozen=True, slots=True)
class Ways:
    """Accounts here, recipients elsewhere, those elsewhere to whom an alias leads, and mailing lists."""

    places: list[Place]
    remote: list[Recipient]
    forwarded: list[Recipient]
    lists: list[ToList]


def split_routes(transaction: Transaction, judgements: Mapping[str, Judgement]) -> Ways:
    """Each account and each list once."""
    places: dict[str, Place] = {}
    remote: list[Recipient] = []
    forwarded: list[Recipient] = []
    lists: dict[str, ToList] = {}

    def take(recipient: Recipient, route: Route) -> None:
        if isinstance(route, Local):
            address = route.account.address
            unique = f"{transaction.id}.{len(places)}"
            places.setdefault(address, Place(route, recipient, unique, judgements.get(address)))
        elif isinstance(route, ToList):
            lists[route.mailing.address] = route
        elif isinstance(route, Remote):
            target = replace(recipient, address=route.address) if route.address != recipient.address else recipient
            (forwarded if route.forwarded else remote).append(target)

    for recipient, routes in transaction.recipients:
        for route in routes:
            take(recipient, route)
    return Ways(list(places.values()), remote, forwarded, list(lists.values()))
