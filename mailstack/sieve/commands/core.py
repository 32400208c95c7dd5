"""keep, discard, redirect (RFC 5228 4)."""

from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.sieve.actions import Discard, Keep, Redirect
from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Command, Kind
from mailstack.sieve.flagging import flags_of
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.questions import Asks, ListMembers
from mailstack.sieve.state import Run
from mailstack.sieve.step import Asking, Step


def _keep(bound: Bound) -> Step:
    flags, line = flags_of(bound), bound.line

    def keep(run: Run) -> None:
        run.keeps = False
        run.act(Keep(line, flags(run), run.edits))

    return keep


def _discard(bound: Bound) -> Step:
    line = bound.line

    def discard(run: Run) -> None:
        run.keeps = False
        run.act(Discard(line))

    return discard


def address(text: str, line: int) -> str:
    """An address in normal form, alone or as `Name <address>`. Raises SieveProblem."""
    inner = text.strip()
    if inner.endswith(">") and "<" in inner:
        inner = inner[inner.rindex("<") + 1 : -1]
    try:
        return str(parse_address(inner))
    except SyntaxProblem as problem:
        raise SieveProblem(line, f"{text[:100]!r} is no mail address: {problem.reason}") from None


def _redirect(bound: Bound) -> Step:
    if bound.has("list"):
        return _to_list(bound)
    to = bound.text(0)
    if to.constant is not None:
        address(to.constant, bound.line)
    copies, line = bound.has("copy"), bound.line

    def redirect(run: Run) -> None:
        if not copies:
            run.keeps = False
        run.act(Redirect(line, address(to(run), line), run.sent_edits))

    return redirect


def _to_list(bound: Bound) -> Step:
    """RFC 6134 2.5: to all addresses of a list; the limit of redirects holds."""
    name, copies, line = bound.text(0), bound.has("copy"), bound.line

    def redirect(run: Run) -> Asks[None]:
        members = yield from run.ask(ListMembers(name(run)))
        if not isinstance(members, tuple):
            raise SieveProblem(line, f"there is no list {name(run)[:100]!r} to redirect to")
        if not copies:
            run.keeps = False
        for member in members:
            run.act(Redirect(line, address(member, line), run.sent_edits))

    return Asking(redirect)


COMMANDS = {
    "keep": Command(_keep),
    "discard": Command(_discard),
    "redirect": Command(_redirect, (Kind.STRING,)),
}
