"""What is written down of a delivery: docs/trace.md has the names."""

from mailstack.delivery.parcels import Kind, Parcel
from mailstack.delivery.placing import Place
from mailstack.delivery.taking import Taking
from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.header import first
from mailstack.store.trace import Trace

log = get_logger()


def tell(trace: Trace, taking: Taking, delivered: list[Place], parcels: list[Parcel]) -> None:
    """A message that was taken over, for the log and the trace."""
    # An attempt may have been made before this is written down.
    envelope, message = taking.envelope, taking.message
    at = envelope.received
    header = message.prefix + message.content.header(16384)
    message_id = (first(header, b"message-id") or b"").decode("ascii", "replace")[:300]
    sender = text(envelope.sender)
    to = [str(one.address) for one in envelope.recipients]
    size = message.content.size
    log.info("message.accepted", id=envelope.id, sender=sender, to=to, size=size, queued=len(parcels))
    trace.record(envelope.id, "accepted", at, sender=sender, to=to, message_id=message_id, size=size)
    for place in delivered:
        record_place(trace, envelope.id, place)
    for parcel in parcels:
        record_parcel(trace, envelope.id, parcel, at)


def record_parcel(trace: Trace, id: str, parcel: Parcel, moment: float | None = None) -> None:
    """What went into the queue because of a message."""
    away = parcel.envelope
    to = [str(one.address) for one in away.recipients]
    match parcel.kind:
        case Kind.QUEUED:
            trace.record(id, "queued", moment, to=to, queued_as=away.id if away.id != id else None)
        case Kind.REDIRECTED:
            trace.record(id, "redirected", moment, account=parcel.account, to=to, queued_as=away.id)
        case Kind.REFUSED:
            trace.record(id, "bounced", moment, to=to[0], notice=away.id, action="failed")
        case Kind.ANSWERED:
            trace.record(id, "replied", moment, account=parcel.account, to=to[0], kind=parcel.word, queued_as=away.id)


def record_place(trace: Trace, id: str, place: Place) -> None:
    """What became of a message in one account."""
    for keep in place.plan.keeps:
        trace.record(id, "delivered", to=place.address, mailbox=keep.mailbox)
    if not place.plan.keeps and not place.plan.reject and not place.plan.redirects:
        trace.record(id, "discarded", to=place.address)


def text(address: Address | None) -> str | None:
    """None is the null sender."""
    return str(address) if address is not None else None
