"""SPF records as they should be, made of those that are there (RFC 7208)."""

VERSION = "v=spf1"


def is_spf(text: str) -> bool:
    """RFC 7208 4.5: the version stands alone."""
    return text.lower() == VERSION or text.lower().startswith(VERSION + " ")


def terms(text: str) -> list[str]:
    return text.split()[1:]


def allows_all(text: str) -> bool:
    """Whether it lets the whole world send."""
    return any(term.lower().removeprefix("+") in ("all", "ip4:0.0.0.0/0") for term in terms(text))


def has(text: str, wanted: tuple[str, ...]) -> bool:
    """Whether each of these terms is there, with a plus or without."""
    there = {term.lower().removeprefix("+") for term in terms(text)}
    return all(term.lower() in there for term in wanted)


def merge(found: list[str], wanted: tuple[str, ...]) -> str:
    """One record for what several say, and for us: a second record would spoil both (RFC 7208 4.5).

    Ours stands first: what comes behind ten terms that ask the DNS is never reached (RFC 7208 4.6.4).
    """
    kept: list[str] = []
    last, redirect = "", ""
    for text in found:
        for term in terms(text):
            low = term.lower().removeprefix("+")
            if low.lstrip("-~?") == "all":
                last = last or term
            elif low.startswith("redirect="):
                redirect = redirect or term
            elif low not in (one.lower().removeprefix("+") for one in kept) and low not in (one.lower() for one in wanted):
                kept.append(term)
    if redirect and last:
        redirect = ""  # it was not looked at beside "all" (RFC 7208 6.1)
    elif redirect and len(found) > 1:
        kept.append(f"include:{redirect.partition('=')[2]}")
        redirect, last = "", "~all"
    end = redirect or last or "-all"
    if end.lower() in ("all", "+all"):
        end = "~all"
    return " ".join((VERSION, *wanted, *kept, end))
