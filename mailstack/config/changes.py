"""What a reload may change."""

import msgspec

from mailstack.config.settings import Config

FIXED = frozenset(
    {"hostname", "data_dir", "listen", "proxy", "tls.mode", "database", "store", "search", "trace"}
)  # keep_fixed()


def changed(old: Config, new: Config) -> list[str]:
    """The keys that differ: "relay.expire", and "listen.smtp"."""
    found = []
    for name in Config.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if hasattr(before, "__struct_fields__"):
            found += [f"{name}.{key}" for key in before.__struct_fields__ if getattr(before, key) != getattr(after, key)]
        elif before != after:
            found.append(name)
    return found


def keep_fixed(old: Config, new: Config) -> Config:
    """`new`, with what only a restart can change as it is in `old`: sockets, and where and whose the data is."""
    return msgspec.structs.replace(
        new,
        hostname=old.hostname,
        data_dir=old.data_dir,
        listen=old.listen,
        proxy=old.proxy,
        tls=new.tls if new.tls.mode == old.tls.mode else old.tls,
        database=old.database,
        store=old.store,
        search=old.search,
        trace=old.trace,
    )
