"""One mail transaction: what is known of it so far."""

from dataclasses import dataclass, field

from mailstack.mailauth.results import Authentication
from mailstack.message.address import Address
from mailstack.message.envelope import Recipient
from mailstack.policy.routing import Route
from mailstack.store.users.directory import AccountRecord
from mailstack.wire.smtp import MailParameters


@dataclass(slots=True)
class Transaction:
    """From MAIL to the final dot."""

    id: str
    peer: str
    helo: str
    protocol: str  # "ESMTPSA" and its like (RFC 3848)
    tls: str | None
    account: AccountRecord | None
    received: float
    sender: Address | None = None
    parameters: MailParameters = field(default_factory=MailParameters)
    recipients: list[tuple[Recipient, tuple[Route, ...]]] = field(default_factory=list)
    # False where the peer's address is that of a gateway: SPF and iprev would judge the wrong host, and are not asked.
    peer_known: bool = True
    fresh: set[str] = field(default_factory=set)  # recipients to whom the account never wrote before
    outside: dict[str, int] = field(default_factory=dict)  # addresses elsewhere that get it, by recipient
    overran: bool = False  # a limit of the account stopped it
    mechanism: str | None = None  # of SASL, by which the account logged in
    authentication: Authentication | None = None  # known once the message is here
