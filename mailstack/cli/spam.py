"""spam: what accounts taught about unwanted mail."""

import base64
import sys
from pathlib import Path

import orjson
import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, show
from mailstack.control.story import clean

spam = typer.Typer(no_args_is_help=True, help="Unwanted mail: what accounts taught, and why a message looks as it does.")
LOOKED_AT = 131_072  # octets


@spam.command("train")
def train(
    context: typer.Context,
    address: str,
    mailbox: str,
    junk: bool = typer.Option(..., "--junk/--ham", help="unwanted mail, or wanted"),
) -> None:
    """Teach an account with all messages of one of its mailboxes; they stay where they are.

    Example: mailstack spam train alice@example.org Archive --ham
    """
    done = invocation(context).run("spam.train", address=address, mailbox=mailbox, junk=junk)
    learned = f"{done['junk']} unwanted and {done['wanted']} wanted ones"
    print(f"{done['messages']} messages of {mailbox}; {address} has learned {learned}")


@spam.command("stats")
def stats(context: typer.Context, address: str = typer.Argument(""), json: bool = JSON) -> None:
    """Show how many messages accounts have learned, and whether that is enough to judge by words (20 of each).

    Example: mailstack spam stats alice@example.org
    """
    rows = invocation(context).run("spam.stats", address=address or None)
    show(rows, json, ["address", "junk", "wanted", "words", "speaks"])


@spam.command("explain")
def explain(
    context: typer.Context,
    file: str = typer.Argument(metavar="FILE", help="a message; - is standard input"),
    account: str = typer.Option("", "--account", metavar="ADDRESS", help="with the words that this account has learned"),
    json: bool = JSON,
) -> None:
    """Show what its header and its words say of a message, and what was written down when it came.

    Where it came from is known only while it comes: mailstack why tells of that.

    Example: mailstack spam explain message.eml --account alice@example.org
    """
    try:
        data = sys.stdin.buffer.read(LOOKED_AT) if file == "-" else _read(Path(file))
    except OSError as problem:
        fail(f"{file}: can't be read: {problem.strerror}", 2)
    text = base64.b64encode(data).decode()
    found = invocation(context).run("spam.explain", message=text, address=account or None)
    if json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    came = found["when_it_came"]
    if came is not None:
        rules = ", ".join(f"{rule} {weight:+.1f}" for rule, weight, _ in came["findings"]) or "nothing was found"
        print(f"When it came: {came['score']:.1f} of {came['required']:.1f}: {rules}\n")
    show([{**one, "why": clean(one["why"])} for one in found["findings"]], False, ["rule", "weight", "why"])
    if account and found["words"]:
        print()
        show([{**one, "word": clean(one["word"])} for one in found["words"]], False, ["word", "unwanted", "junk", "wanted"])
    elif account:
        print(f"\n{account} has learned none of its words")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LOOKED_AT)
