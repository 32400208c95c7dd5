"""move: whole accounts, with their UIDs."""

from pathlib import Path
from typing import Any

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.following import follow
from mailstack.cli.invocation import amount, show
from mailstack.control.story import clean

move = typer.Typer(no_args_is_help=True, help="Whole accounts from Dovecot or Courier, and back: clients fetch nothing anew.")

SIEVE = typer.Option(None, "--sieve", help="a folder of scripts, or one; else where Dovecot has them")
INDEXES = typer.Option(None, "--indexes", help="Dovecot's INDEX= folder, where it has one")
HOW = {"linked": "linked", "copied": "copied", "found": "there already"}


@move.command("in")
def move_in(
    context: typer.Context,
    address: str,
    maildir: Path,
    check: bool = typer.Option(False, "--check", help="only say what would be done"),
    copy: bool = typer.Option(False, "--copy", help="copy the files, also where links would do"),
    sieve: Path = SIEVE,
    indexes: Path = INDEXES,
    json: bool = JSON,
) -> None:
    """Take over a Maildir of Dovecot or Courier: UIDs, flags, keywords, dates, subscriptions, Sieve scripts.

    The account must be there, and empty. The files of the Maildir stay as they are: messages are linked where both are on one
    file system (no space is needed twice), else copied. Stop the other server before.

    Example: mailstack move in alice@example.org /var/vmail/example.org/alice/Maildir --check
    """
    done = follow(
        invocation(context),
        "move.in",
        address=address,
        source=str(maildir.absolute()),
        check=check,
        copy=copy,
        sieve=str(sieve.absolute()) if sieve else None,
        indexes=str(indexes.absolute()) if indexes else None,
    )
    if json:
        show([done], True, [])
        return
    _tell(done, check=check)


def _tell(done: dict[str, Any], *, check: bool) -> None:
    rows = [
        {**row, "mailbox": clean(row["mailbox"]), "keywords": clean(" ".join(row["keywords"])) or None}
        for row in done["folders"]
    ]
    show(rows, False, ["mailbox", "use", "messages", "uid_validity", "uid_next", "keywords"])
    for script in done["scripts"]:
        print(f"Sieve script {clean(script['name'])}{' (active)' if script['active'] else ''}")
    for problem in done["problems"]:
        print(f"! {clean(problem)}")
    total = f"{done['messages']} messages, {amount(done['octets'])}, of {done['kind']}"
    if check:
        print(f"{total}: would be taken over. Nothing was changed.")
        return
    how = [f"{done[kind]} {text}" for kind, text in HOW.items() if done[kind]]
    print(f"{total}: taken over ({', '.join(how) or 'nothing to do'}).")


@move.command("out")
def move_out(
    context: typer.Context,
    address: str,
    target: Path,
    link: bool = typer.Option(False, "--link", help="link the messages: no space is needed twice, and one owner has both"),
    json: bool = JSON,
) -> None:
    """Write an account as a home that Dovecot serves: UIDs, flags, keywords, dates, subscriptions, Sieve scripts.

    The account stays as it is; TARGET must not be there yet. What arrives meanwhile may be missing: for the last time, disable
    the account first.

    Example: mailstack move out alice@example.org /var/vmail/example.org/alice
    """
    done = follow(invocation(context), "move.out", address=address, target=str(target.absolute()), link=link)
    if json:
        show([done], True, [])
        return
    print(f"{done['messages']} messages in {done['mailboxes']} mailboxes, {done['scripts']} Sieve scripts: {done['target']}")
    print("For Dovecot: mail_location = maildir:~/Maildir, with these in its namespace:")
    for name, use in sorted(done["uses"].items()):
        print(f'  mailbox "{clean(name)}" {{ special_use = {use} }}')
