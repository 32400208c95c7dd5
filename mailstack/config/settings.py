"""Every setting and its default: a struct a section."""

from pathlib import Path

import msgspec

SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https")
TLS_SERVICES = ("submissions", "imaps", "pop3s", "https")


class Listen(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    smtp: list[str] = msgspec.field(default_factory=lambda: ["[::]:25"])
    submission: list[str] = msgspec.field(default_factory=lambda: ["[::]:587"])
    submissions: list[str] = msgspec.field(default_factory=lambda: ["[::]:465"])
    imap: list[str] = msgspec.field(default_factory=lambda: ["[::]:143"])
    imaps: list[str] = msgspec.field(default_factory=lambda: ["[::]:993"])
    pop3: list[str] = []
    pop3s: list[str] = []
    managesieve: list[str] = msgspec.field(default_factory=lambda: ["[::]:4190"])
    http: list[str] = msgspec.field(default_factory=lambda: ["[::]:80"])
    https: list[str] = msgspec.field(default_factory=lambda: ["[::]:443"])


class Clients(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    host: str = ""
    ports: list[str] = []


class Proxy(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    listeners: list[str] = []
    trusted: list[str] = []


class Tls(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    mode: str = "self-signed"
    certificate: str = ""
    key: str = ""
    hsts: str = "30d"


class Acme(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    contact: list[str] = []
    names: list[str] = []
    challenge: str = "auto"
    ca_file: str = ""
    eab_kid: str = ""
    eab_hmac_file: str = ""
    dns_hook: list[str] = []
    reuse_key: bool = True


class Auth(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    allow_plaintext: bool = False
    scram: str = "auto"
    client_certificates: bool = False
    client_ca: str = ""


class Bans(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    failures: int = 20
    clients: int = 8
    window: str = "1h"
    first: str = "10m"
    longest: str = "7d"
    exempt: list[str] = []


class Sending(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    messages_per_hour: int = 200
    messages_per_day: int = 1000
    new_recipients_per_day: int = 200
    recipients: int = 100
    domain_messages_per_hour: int = 1000
    domain_messages_per_day: int = 5000
    domain_new_recipients_per_day: int = 1000
    stop_at_new_recipients: int = 150
    stop_at_refusals: int = 25
    stop_at_networks: int = 8
    stop_at_overruns: int = 20


class Oauth(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    issuer: str = ""
    jwks: str = ""
    introspection: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    audience: str = ""
    scope: str = ""
    claim: str = "email"

    @property
    def on(self) -> bool:
        return bool(self.issuer or self.jwks or self.introspection)


class Database(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    url: str = ""


class Dns(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    nameservers: list[str] = []
    dnssec: bool = False
    addresses: list[str] = []
    update_server: str = ""
    update_key_file: str = ""


class Authentication(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    check: bool = True
    obey_dmarc: bool = True
    trusted_sealers: list[str] = []


class Relay(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    smarthost: str = ""
    smarthost_password_file: str = ""
    mx_port: int = 25
    retry: list[str] = msgspec.field(default_factory=lambda: ["5m", "15m", "30m", "1h", "2h", "4h"])
    expire: str = "5d"
    source: list[str] = []
    ipv6: str = "auto"
    mta_sts: bool = True
    downgrade: str = "warn"


class Dkim(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    overlap: str = "14d"
    valid: str = "14d"
    unaligned: str = "warn"


class MtaSts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    mode: str = "off"
    max_age: str = "7d"


class Reports(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    take: bool = True
    tls: bool = True
    dmarc: bool = True


class Store(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    index_dir: str = ""
    keep_deleted: str = "14d"
    deleted_size: str = "1GiB"


class Backup(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    dir: str = ""
    at: str = "03:30"
    keep: int = 7
    sample: int = 0


class Watch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    selftest: str = "1h"
    disk_free: str = "1GiB"
    queue_age: str = "4h"
    queue_length: int = 5000


class Metrics(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    readers: list[str] = msgspec.field(default_factory=lambda: ["127.0.0.1", "::1"])
    token_file: str = ""


class Sharing(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    anyone: bool = False


class Imap(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    urlauth: bool = False


class Search(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    index: bool = True
    delay: str = "2s"
    attachment_command: list[str] = []
    attachment_time: str = "10s"
    attachment_size: str = "20MiB"


class Rules(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    subaddress: bool = False
    scripts: int = 64
    script_size: str = "256KiB"
    redirects: int = 4


class Spam(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    judge: bool = True
    junk: float = 5.0
    refuse: float = 12.0
    rejects: str = "7d"
    weights: list[str] = []
    lists: list[str] = []
    domain_lists: list[str] = []
    greylist: str = "5m"
    doubt: float = 2.5
    rspamd: str = ""
    clamd: str = ""
    clamd_down: str = "accept"
    seconds: str = "10s"


class Milter(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    inbound: list[str] = []
    submission: list[str] = []
    down: str = "tempfail"
    seconds: str = "30s"


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    message_size: str = "50MiB"
    connections_per_address: int = 50
    recipients: int = 1000
    messages: int = 0
    connections: int = 10000
    imap_messages: int = 0
    imap_copies: int = 0
    imap_progress: str = "10s"


class Trace(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    subjects: bool = True


class Log(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    format: str = "auto"
    level: str = "info"


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    hostname: str = "localhost"
    data_dir: str = "/var/lib/mailstack"
    postmaster: str = ""
    listen: Listen = Listen()
    clients: Clients = Clients()
    proxy: Proxy = Proxy()
    tls: Tls = Tls()
    acme: Acme = Acme()
    auth: Auth = Auth()
    bans: Bans = Bans()
    sending: Sending = Sending()
    oauth: Oauth = Oauth()
    database: Database = Database()
    dns: Dns = Dns()
    authentication: Authentication = Authentication()
    relay: Relay = Relay()
    dkim: Dkim = Dkim()
    mta_sts: MtaSts = MtaSts()
    reports: Reports = Reports()
    store: Store = Store()
    backup: Backup = Backup()
    watch: Watch = Watch()
    metrics: Metrics = Metrics()
    sharing: Sharing = Sharing()
    imap: Imap = Imap()
    search: Search = Search()
    rules: Rules = Rules()
    spam: Spam = Spam()
    milter: Milter = Milter()
    limits: Limits = Limits()
    trace: Trace = Trace()
    log: Log = Log()

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    def listeners(self) -> list[tuple[str, str]]:
        """(service, "address:port") of every door that is to be opened."""
        services = [name for name in SERVICES if self.tls.mode != "off" or name not in TLS_SERVICES]
        return [(name, text) for name in services for text in getattr(self.listen, name)]
