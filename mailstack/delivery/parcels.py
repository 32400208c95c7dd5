"""What a delivery sends away: forwards and redirects under a sender of ours, answers, and words to a sender who is refused."""

import enum
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from mailstack.delivery.placing import Message, Place, body_alone
from mailstack.delivery.plan import REDIRECTED, Redirect
from mailstack.log import get_logger
from mailstack.message.address import Address, parse_address
from mailstack.message.envelope import Envelope, Notify, Recipient, derived_id, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import authors, split_header
from mailstack.message.report import Action, RecipientReport, delivery_status
from mailstack.message.srs import forward
from mailstack.policy.inbound import HEADER_LIMIT
from mailstack.policy.leaving import Leaving
from mailstack.policy.lists import list_fields, passed
from mailstack.policy.routing import Router, ToList
from mailstack.store.content import Content
from mailstack.store.users.directory import Directory
from mailstack.store.users.mailings import Mailing

log = get_logger()
HEADER_SHOWN = 65536  # octets of a refused message's header that go back


class Kind(enum.Enum):
    """Why something goes into the queue."""

    QUEUED = enum.auto()  # the message itself, to recipients elsewhere or owed to a mailbox here
    REDIRECTED = enum.auto()
    ANSWERED = enum.auto()
    REFUSED = enum.auto()


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file of the queue."""

    envelope: Envelope
    prefix: bytes
    content: Content
    kind: Kind = Kind.QUEUED
    account: str | None = None  # whose plan made it
    word: str = ""  # the kind of answer


class Parcels:
    """One for the server."""

    def __init__(
        self,
        router: Router,
        directory: Directory,
        hostname: str,
        clock: Callable[[], float],
        randomness: random.Random,
        leaving: Leaving | None = None,
    ) -> None:
        """`leaving`: who makes links by which members leave lists."""
        self._leaving = leaving
        self._router = router
        self._directory = directory
        self._hostname = hostname
        self._clock = clock
        self._random = randomness

    async def forwards(
        self, envelope: Envelope, remote: list[Recipient], forwarded: list[Recipient], message: Message
    ) -> list[Parcel]:
        """Recipients elsewhere: forwarded mail leaves with a sender of ours, so that SPF holds and bounces come back."""
        parcels = []
        if remote:
            recipients = tuple(dict.fromkeys(remote))
            parcels.append(Parcel(replace(envelope, recipients=recipients), message.prefix, message.content))
        if forwarded:
            id = new_id(self._clock(), self._random) if remote else envelope.id
            recipients = tuple(dict.fromkeys(forwarded))
            sender = await self._sender(envelope)
            away = replace(envelope, id=id, sender=sender, recipients=recipients, forwarded=_of_others(envelope))
            parcels.append(Parcel(away, message.prefix, message.content))
        return parcels

    async def of_lists(self, envelope: Envelope, lists: list[ToList], message: Message) -> list[Parcel]:
        """A list's mail leaves for all its members; what it brings back is the owner's. What went there before goes nowhere.

        Members who have a link of their own, by which they leave the list, have a mail of their own.
        """
        parcels = []
        header = message.prefix + split_header(message.content.head(HEADER_SHOWN))[0]
        for to in lists:
            if passed(header, to.mailing):
                log.warning("list.loop", id=envelope.id, list=to.mailing.address)
                continue
            together: list[Recipient] = []
            for target in to.targets:
                if (address := _readable(target)) is None:
                    continue
                link = await self._leaving.link(to.mailing, target) if self._leaving is not None else None
                if link is None:
                    together.append(Recipient(address))
                else:
                    parcels.append(_for_list(envelope, to.mailing, (Recipient(address),), message, link))
            if together:
                parcels.append(_for_list(envelope, to.mailing, tuple(together), message, None))
        return parcels

    async def of_plan(self, envelope: Envelope, place: Place, message: Message) -> list[Parcel]:
        """What one account's plan sends, and did not send before. Raises StoreProblem.

        The same message, account and receiver make the same id, however often it is tried and whatever the plan is by then.
        """
        plan = place.plan
        if plan.plain:
            return []
        ids = _Ids(envelope, place)
        parcels = [await self._redirect(envelope, place, message, one, ids) for one in plan.redirects]
        for answer in plan.replies:
            id = ids.next(answer.kind, answer.to)
            utf8 = not answer.data.isascii() and answer.to.needs_smtputf8
            recipient = Recipient(answer.to, Notify.NEVER)
            away = Envelope(id, None, (recipient,), self._clock(), smtputf8=utf8, own=True)
            parcels.append(Parcel(away, b"", Content.of(answer.data), Kind.ANSWERED, place.address, answer.kind))
        if plan.reject is not None and envelope.sender is not None and not (place.judgement and place.judgement.junk):
            id = ids.next("refused", envelope.sender)
            parcels.append(self._refusal(envelope, place, message, plan.reject.reason, id))
        return [parcel for parcel in parcels if parcel.envelope.id not in envelope.sent]

    async def _redirect(self, envelope: Envelope, place: Place, message: Message, one: Redirect, ids: "_Ids") -> Parcel:
        id = ids.next("redirect", one.address)
        recipient = replace(place.recipient, address=one.address)
        away = replace(envelope, id=id, sender=await self._sender(envelope), recipients=(recipient,))
        away = replace(away, forwarded=_of_others(envelope), origin=None, sent=(), after=None, signed_as=None)
        prefix, content = message.prefix, message.content
        if one.header is not None and await self._in_own_name(place, message, one.header):
            prefix, content = one.header, await body_alone(message.content, one.body)
        mark = f"{REDIRECTED}: {place.address}\r\n".encode()
        return Parcel(away, mark + prefix, content, Kind.REDIRECTED, place.address)

    async def _in_own_name(self, place: Place, message: Message, edited: bytes) -> bool:
        """Whether a message that a script changed may leave so: it says nothing in the name of others here, nor in one that
        it did not bring along. Else it goes on as it came.
        """
        account = place.route.account
        brought = {one.key for one in authors(split_header(message.content.head(HEADER_LIMIT))[0]) if one is not None}
        named = authors(edited)
        for one in named:
            if one is None:
                break
            if await self._directory.owns(account, one):
                continue
            if one.key not in brought or await self._directory.is_local_domain(one.domain):
                break
        else:
            if named:
                return True
        log.warning("sieve.redirected_as_it_came", account=account.address, authors=[str(one) for one in named[:10]])
        return False

    def _refusal(self, envelope: Envelope, place: Place, message: Message, reason: str, id: str) -> Parcel:
        """RFC 5429 2.1.2: a notice of failure, where the SMTP dialog was no place for it."""
        assert envelope.sender is not None
        now = self._clock()
        header, _ = split_header(message.content.head(HEADER_SHOWN))
        report = RecipientReport(place.recipient.address, Action.FAILED, "5.7.1", reason, place.recipient.original)
        data = delivery_status(
            id=id, host=self._hostname, sender=envelope.sender, recipients=[report], moment=now, arrived=envelope.received,
            envelope_id=envelope.envelope_id, original_header=header, original=None, about=envelope.id,
        )  # fmt: skip
        utf8 = envelope.smtputf8 or not data.isascii()
        away = Envelope(id, None, (Recipient(envelope.sender, Notify.NEVER),), now, smtputf8=utf8, own=True)
        return Parcel(away, b"", Content.of(data), Kind.REFUSED, place.address)

    async def _sender(self, envelope: Envelope) -> Address | None:
        """The sender of what is passed on."""
        sender = envelope.sender
        if sender is None or await self._directory.is_local_domain(sender.domain):
            return sender
        return forward(sender, await self._domain(envelope), self._router.srs_secret, int(self._clock() // 86400))

    async def _domain(self, envelope: Envelope) -> str:
        """The domain in whose name a message is passed on: that of its first recipient here."""
        local = await self._directory.domains()
        return next((one.address.domain for one in envelope.recipients if one.address.domain in local), min(local))


class _Ids:
    """Of what one account sends because of a message."""

    def __init__(self, envelope: Envelope, place: Place) -> None:
        self._origin = envelope.origin or envelope.id
        self._account = place.address
        self._given: Counter[tuple[str, str]] = Counter()

    def next(self, kind: str, to: Address) -> str:
        self._given[kind, to.key] += 1
        return derived_id(self._origin, self._account, kind, to.key, str(self._given[kind, to.key]))


def _for_list(
    envelope: Envelope, mailing: Mailing, recipients: tuple[Recipient, ...], message: Message, link: str | None
) -> Parcel:
    alone = (recipients[0].address.key,) if link is not None else ()
    away = replace(
        envelope, id=derived_id(envelope.id, "list", mailing.address, *alone), sender=parse_address(mailing.bounces),
        recipients=recipients, ret=None, envelope_id=None, forwarded=_of_others(envelope), signed_as=mailing.domain,
    )  # fmt: skip
    return Parcel(away, list_fields(mailing, link) + message.prefix, message.content)


def _readable(text: str) -> Address | None:
    try:
        return parse_address(text)
    except SyntaxProblem:
        return None


def _of_others(envelope: Envelope) -> bool:
    """Whether nobody here wrote it: it goes on under a seal, not under a signature."""
    return envelope.account is None and not envelope.own
