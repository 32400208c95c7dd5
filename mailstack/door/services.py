"""What a small door needs from the floors below."""

import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from mailstack.policy.limits import Limits
from mailstack.policy.login import Logins
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorServices:
    """Each door adds its own. `allow_plaintext`: passwords may come without TLS, from this machine."""

    hostname: str
    mailboxes: Mailboxes
    directory: Directory
    logins: Logins
    limits: Limits
    trace: Trace
    allow_plaintext: bool
    tls: ssl.SSLContext | None
    randomness: random.Random
    clock: Callable[[], float] = time.time
