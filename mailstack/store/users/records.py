"""What the doors are told of accounts and other addresses."""

from dataclasses import dataclass

from mailstack.store.users.mailings import Mailing


class DirectoryProblem(Exception):
    """A change that can't be made; the text says why, for the admin."""


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account as the doors need it."""

    address: str  # its key
    password: str
    quota: int | None
    disabled: bool
    folder: str
    capabilities: str = ""
    scram: str | None = None
    admin: bool = False  # may do in the console what the commands do
    second_factor: bool = False  # the password alone is not enough

    @property
    def hidden(self) -> frozenset[str]:
        """IMAP capabilities that this account's clients are not told of, in upper case."""
        return frozenset(name[1:] for name in self.capabilities.split() if name.startswith("-"))

    @property
    def asked(self) -> frozenset[str]:
        """IMAP capabilities that are announced only on request, and were requested, in upper case."""
        return frozenset(name[1:] for name in self.capabilities.split() if name.startswith("+"))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one exact address is: an account, an alias, both or nothing."""

    account: AccountRecord | None
    targets: tuple[str, ...]
    send_as: frozenset[str] = frozenset()  # what an account was granted to send as: addresses, or "@domain"
    mailing: Mailing | None = None  # what makes a mailing list of the alias


NOTHING = Entry(None, ())
