"""External lists of Sieve (RFC 6134): files beside scripts, `<name>.list`, one value a line. Blocking: from a thread."""

from pathlib import Path

from mailstack.store.sieve.files import END, file_of

LIST_END = ".list"
LIST_LIMIT = 1 << 20  # octets that are read


def read_list(folder: Path, name: str) -> tuple[str, ...] | None:
    """The values of a list in their order, None where there is none. A line with # in front is a remark. Raises OSError."""
    try:
        with (folder / (file_of(name).removesuffix(END) + LIST_END)).open("rb") as file:
            text = file.read(LIST_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    lines = [line.strip() for line in text.splitlines()]
    return tuple([line for line in lines if line and not line.startswith("#")])


def first_on(values: tuple[str, ...], members: tuple[str, ...]) -> str | None:
    """The first value that is a member, whatever its case; `@example.org` stands for all addresses there."""
    known = frozenset([member.casefold() for member in members])
    for value in values:
        folded = value.casefold()
        _, at, domain = folded.rpartition("@")
        if folded in known or (at and f"@{domain}" in known):
            return value
    return None
