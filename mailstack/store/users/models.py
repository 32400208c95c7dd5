"""The tables of the user database. Addresses are stored as look-up keys: case folded, domains as A-labels."""

from sqlmodel import Field, SQLModel


class Domain(SQLModel, table=True):
    name: str = Field(primary_key=True)


class Account(SQLModel, table=True):
    address: str = Field(primary_key=True)
    domain: str = Field(foreign_key="domain.name", index=True)
    password: str  # a hash as Dovecot writes it: {SCHEME}...
    quota: int | None = None  # octets
    disabled: bool = False
    folder: str = Field(unique=True)  # below <data>/mail
    created: float
    capabilities: str = ""  # "-NAME +NAME": IMAP capabilities that are hidden, and that are shown on request
    scram: str | None = None  # what SCRAM-SHA-256 needs: "iterations$salt$StoredKey$ServerKey"; None until the password is seen
    admin: bool = False  # runs the server from the console


class WebSession(SQLModel, table=True):
    """Browsers that are logged in: store/users/sessions.py."""

    __tablename__ = "web_session"
    digest: str = Field(primary_key=True)  # SHA-256 of 256 random bits
    account: str = Field(foreign_key="account.address", index=True)
    created: float
    seen: float
    peer: str
    agent: str


class SecondFactorRow(SQLModel, table=True):
    """One-time codes of accounts: store/users/second_factor.py."""

    __tablename__ = "second_factor"
    account: str = Field(primary_key=True, foreign_key="account.address")
    secret: str  # Base32
    since: float | None = None  # None: it is being set up, and does not count yet
    step: int = 0  # of the last code that was taken: each is good once


class RecoveryCode(SQLModel, table=True):
    """Each is good once, in place of a one-time code."""

    __tablename__ = "recovery_code"
    digest: str = Field(primary_key=True)  # SHA-256 of 80 random bits
    account: str = Field(foreign_key="account.address", index=True)


class Alias(SQLModel, table=True):
    source: str = Field(primary_key=True)  # an address, or "@domain" for the catch-all
    target: str = Field(primary_key=True)
    domain: str = Field(foreign_key="domain.name", index=True)


class MailingRow(SQLModel, table=True):
    """What makes a mailing list of an alias: store/users/mailings.py."""

    __tablename__ = "mailing"
    source: str = Field(primary_key=True)
    domain: str = Field(foreign_key="domain.name", index=True)
    posting: str
    posters: str  # addresses, blanks between them
    name: str
    owner: str
    unsubscribe: str


class GatewayRow(SQLModel, table=True):
    """Domains whose mail is passed on: store/users/gateways.py."""

    __tablename__ = "gateway"
    domain: str = Field(primary_key=True)
    host: str  # empty: a backup for the domain's own hosts
    port: int
    knows: str


class GatewayRecipient(SQLModel, table=True):
    __tablename__ = "gateway_recipient"
    domain: str = Field(primary_key=True, foreign_key="gateway.domain")
    address: str = Field(primary_key=True)


class AppPassword(SQLModel, table=True):
    __tablename__ = "app_password"
    digest: str = Field(primary_key=True)  # SHA-256 of 128 random bits
    account: str = Field(foreign_key="account.address", index=True)
    label: str
    created: float
    scram: str | None = None
    scope: str = "all"  # store/users/scope.py
    expires: float | None = None
    last_used: float | None = None
    last_peer: str = ""
    last_client: str = ""


class SetupLink(SQLModel, table=True):
    """Links by which a device is set up: store/users/setup_links.py."""

    __tablename__ = "setup_link"
    digest: str = Field(primary_key=True)  # SHA-256 of 160 random bits
    account: str = Field(foreign_key="account.address", index=True)
    label: str  # of the app password
    sealed: str  # the password, which only the link's secret opens
    ends: float = Field(index=True)


class LoginRow(SQLModel, table=True):
    """Ways in that were used: store/users/logins.py."""

    __tablename__ = "login"
    account: str = Field(primary_key=True, foreign_key="account.address")
    protocol: str = Field(primary_key=True)
    peer: str = Field(primary_key=True)
    device: str = Field(primary_key=True)  # the label of an app password; empty: the account's own
    client: str
    first: float
    last: float


class Setting(SQLModel, table=True):
    name: str = Field(primary_key=True)
    value: str


class BoundCertificate(SQLModel, table=True):
    """Client certificates by which accounts log in."""

    __tablename__ = "bound_certificate"
    account: str = Field(primary_key=True, foreign_key="account.address")
    label: str = Field(primary_key=True)
    fingerprint: str = Field(index=True)  # SHA-256 of the certificate
    pem: str
    subject: str
    created: float


class SendAs(SQLModel, table=True):
    """As whom an account may send although mail for that address does not come to it."""

    __tablename__ = "send_as"
    account: str = Field(primary_key=True, foreign_key="account.address")
    address: str = Field(primary_key=True)  # or "@domain"


class SendingLimit(SQLModel, table=True):
    """How much may be sent, where it is not what the settings say: None there, 0 for any number."""

    __tablename__ = "sending_limit"
    subject: str = Field(primary_key=True)  # an account, or "@domain"
    hour: int | None = None
    day: int | None = None
    fresh: int | None = None
    recipients: int | None = None


class Sent(SQLModel, table=True):
    """How much was sent, in slots of time."""

    subject: str = Field(primary_key=True)
    slot: int = Field(primary_key=True)
    messages: int
    fresh: int


class KnownRecipient(SQLModel, table=True):
    """To whom an account wrote."""

    __tablename__ = "known_recipient"
    account: str = Field(primary_key=True)
    recipient: str = Field(primary_key=True)


class Stopped(SQLModel, table=True):
    """Accounts that may not send."""

    account: str = Field(primary_key=True)
    since: float
    sign: str
    text: str


class Banned(SQLModel, table=True):
    """Networks from which nobody may log in."""

    __tablename__ = "ban"
    network: str = Field(primary_key=True)
    since: float
    until: float | None = None  # None: until it is lifted
    level: int
    reason: str
    failures: int


class SieveMemory(SQLModel, table=True):
    """What an account's scripts remember: store/sieve/memory.py."""

    __tablename__ = "sieve_memory"
    account: str = Field(primary_key=True, foreign_key="account.address")
    digest: str = Field(primary_key=True)
    at: float
    expires: float = Field(index=True)


class Share(SQLModel, table=True):
    """Folders of accounts. The grants themselves lie beside the mailboxes."""

    owner: str = Field(primary_key=True)
    grantee: str = Field(primary_key=True, index=True)  # empty: everybody


class ApiToken(SQLModel, table=True):
    """Who may use the HTTP API. Without an account: an admin."""

    __tablename__ = "api_token"
    digest: str = Field(primary_key=True)
    label: str = Field(unique=True)
    account: str | None = Field(default=None, foreign_key="account.address")
    created: float
    last_used: float | None = None
    last_peer: str | None = None


class ApiSent(SQLModel, table=True):
    """What was sent under a key of the sender's choice, so that a second try sends nothing."""

    __tablename__ = "api_sent"
    digest: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body: str  # a hash
    id: str
    time: float = Field(index=True)


class Webhook(SQLModel, table=True):
    """An URL that is told of events. Without an account: of all accounts."""

    id: str = Field(primary_key=True)
    url: str
    secret: str
    events: str  # with blanks between
    account: str | None = Field(default=None, foreign_key="account.address")
    created: float


class WebhookDue(SQLModel, table=True):
    """An event that a hook is to be told of."""

    __tablename__ = "webhook_due"
    id: str = Field(primary_key=True)
    hook: str = Field(foreign_key="webhook.id")
    body: str
    created: float
    attempts: int
    due: float = Field(index=True)
    problem: str | None = None
