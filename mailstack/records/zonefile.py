"""Rows as lines for a zone file, and as changes that a name server takes."""

from mailstack.net.dns_update import Change
from mailstack.records.record import Record, Row

TTL = 3600


def lines(rows: list[Row]) -> list[str]:
    """What is wanted: records that are missing or wrong stand as they are, those that are there as comments."""
    found = []
    for row in rows:
        sign = "" if row.add else "; is there: "
        for value in row.add or row.wanted:
            if row.kind == "PTR":
                sign = "; not in this zone: "
            elif row.remove:
                found += [f"; in place of: {Record(row.name, row.kind, old)}" for old in row.remove]
            line = str(Record(row.name, row.kind, value)).replace(f". {row.kind} ", f". {TTL} IN {row.kind} ", 1)
            found.append(f"{sign}{line}")
    return found


def changes(rows: list[Row], *, replace: bool = False) -> list[Change]:
    """`replace`: also what leads elsewhere on purpose. An alias stands alone at its name (RFC 1034 3.6.2)."""
    found = []
    for row in rows:
        if not row.add and not row.remove:
            continue
        if row.kind == "PTR" or (row.takes_over and not replace):
            continue
        if row.kind == "CNAME":
            found += [Change(row.name, kind, remove=None) for kind in ("A", "AAAA")]
        found.append(Change(row.name, row.kind, row.add, row.remove, TTL))
    return found
