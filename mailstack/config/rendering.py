"""The settings as a commented file, and as a page of the documentation."""

from typing import Any

from mailstack.config.changes import FIXED
from mailstack.config.meanings import MEANINGS
from mailstack.config.settings import Config


def render(config: Config | None = None) -> str:
    """The commented file: every setting with its meaning; those that are not the default are set."""
    config = config or Config()
    plain = Config()
    lines = ["# mailstack: every setting with its meaning. A line that begins with # shows the default."]

    def put(prefix: str, struct: Any, default: Any) -> None:
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if hasattr(value, "__struct_fields__"):
                continue
            shown = toml(value)
            sign = "" if value != getattr(default, name) else "# "
            lines.extend((f"# {MEANINGS[prefix + name]}", f"{sign}{name} = {shown}"))

    put("", config, plain)
    for name in Config.__struct_fields__:
        value = getattr(config, name)
        if hasattr(value, "__struct_fields__"):
            lines.append("")
            if name in MEANINGS:
                lines.append(f"# {MEANINGS[name]}")
            lines.append(f"[{name}]")
            put(f"{name}.", value, getattr(plain, name))
    return "\n".join(lines) + "\n"


def document() -> str:
    """docs/configuration.md: every setting in tables."""
    lines = [
        "# Settings",
        "",
        "`mailstack config` prints a file with every setting, its meaning and its default, which is also in",
        "[etc/mailstack.toml](../etc/mailstack.toml). A key that is not known is an error, and so is a value that makes no",
        "sense: the server names file, key and reason, and does not start.",
        "",
        "In the environment `MAILSTACK_<SECTION>__<KEY>` overrides a setting (`MAILSTACK_LIMITS__RECIPIENTS=100`, and",
        "`MAILSTACK_HOSTNAME` for those without a section); lists are separated by commas. A name with `_FILE` behind it names",
        "a file that holds the value, as containers get secrets (`MAILSTACK_RELAY__SMARTHOST_FILE=/run/secrets/smarthost`).",
        "",
        "Sizes are written 50MiB or 5GiB, durations 30s, 5m, 4h or 5d. On SIGHUP (`systemctl reload mailstack`) the file is",
        "read again, and the log says what changed. Settings marked with * need a restart. A password is better kept in",
        "`relay.smarthost_password_file` than in a URL here.",
    ]

    def table(prefix: str, struct: Any) -> None:
        lines.extend(("", "| setting | default | meaning |", "|---|---|---|"))
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if not hasattr(value, "__struct_fields__"):
                mark = " *" if {prefix + name, prefix.rstrip(".")} & FIXED else ""
                lines.append(f"| `{prefix}{name}`{mark} | `{toml(value)}` | {MEANINGS[prefix + name]} |")

    plain = Config()
    table("", plain)
    for name in Config.__struct_fields__:
        value = getattr(plain, name)
        if hasattr(value, "__struct_fields__"):
            lines.extend(("", f"## [{name}]"))
            if name in MEANINGS:
                lines.extend(("", MEANINGS[name]))
            table(f"{name}.", value)
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
