"""What those that keep certificates fresh need of the house."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailstack.certificates.controls import ByHandshake, ByHttp, ByRecord
from mailstack.certificates.files import AcmeFiles
from mailstack.certificates.names import Names
from mailstack.certificates.settings import AcmeSettings


@dataclass(frozen=True, slots=True)
class Around:
    """`changed` is called once another certificate is in place."""

    files: AcmeFiles
    names: Names
    by_http: ByHttp
    by_handshake: ByHandshake
    by_record: Callable[[AcmeSettings], ByRecord]
    changed: Callable[[], Awaitable[None]]
    clock: Callable[[], float]
    randomness: random.Random
