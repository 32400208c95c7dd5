"""import: mail from files."""

from pathlib import Path

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.following import follow
from mailstack.cli.invocation import show
from mailstack.control.story import clean


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_mail)


def import_mail(
    context: typer.Context,
    address: str,
    source: Path,
    mailbox: str = typer.Option("", "--mailbox", help="where it goes, and below which folders go; else by their own names"),
    json: bool = JSON,
) -> None:
    """Take mail out of a file or folder: mbox, Maildir, .eml, zip and tar files of them, Google's and our own takeouts.

    Flags, dates, keywords and Gmail's labels come with it. Each message comes once, however often this is run. Messages get new
    UIDs; to keep those of a Dovecot use: mailstack move in.

    Example: mailstack import alice@example.org Archive.mbox --mailbox Old
    """
    done = follow(invocation(context), "import.mail", address=address, source=str(source.absolute()), mailbox=mailbox or None)
    if json:
        show([done], True, [])
        return
    rows = [{"mailbox": clean(name), "messages": count} for name, count in sorted(done["mailboxes"].items())]
    if rows:
        show(rows, False, ["mailbox", "messages"])
    for reason in done["skipped"]:
        print(f"! {clean(reason)}")
    if done["more_skipped"]:
        print(f"! and {done['more_skipped']} more")
    if done["without_keywords"]:
        print(f"! {done['without_keywords']} messages lost keywords: a mailbox has 26")
    print(f"{done['messages']} messages came in; {done['there']} were there already.")
