"""backup, restore."""

import contextlib
from pathlib import Path
from typing import Any

import orjson
import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.following import follow
from mailstack.cli.invocation import fail, when
from mailstack.cli.progress import bar, following

BACKUPS = typer.Argument(..., help="a folder of backups, or one backup")
LONGEST = 7 * 86400.0  # seconds


def add_to(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    context: typer.Context,
    dir: str = typer.Argument("", help="a folder for backups, best on another disk; empty: backup.dir"),
    keep: int = typer.Option(0, help="keep the newest of so many days and of so many weeks; else backup.keep"),
    sample: int = typer.Option(0, help="of an account with more messages compare only so many octet by octet; 0: all"),
    status: bool = typer.Option(False, "--status", help="only tell of the last one, and of the last that was proven"),
    json: bool = JSON,
) -> None:
    """Back up everything while the server runs, restore it into a scratch place, and compare; exit 1 if anything is not well.

    Example: mailstack backup /mnt/backup
    """
    one = invocation(context)
    if status:
        _status(one.run("backup.last"), json)
        return
    one.patience = LONGEST
    place = str(Path(dir).absolute()) if dir else one.config().backup.dir
    with following(Path(place)) if place and not json else contextlib.nullcontext():
        done = one.run("backup.run", dir=place, keep=keep, sample=sample)
    if json:
        print(orjson.dumps(done, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(done)
    if done["problems"]:
        raise typer.Exit(1)


def _show(done: dict[str, Any]) -> None:
    if done["name"]:
        seconds = done["ended"] - done["begun"]
        print(f"{done['folder']}/{done['name']}: {done['accounts']} accounts, {done['messages']} messages,")
        print(
            f"{_size(done['octets'])}, of which {_size(done['new_octets'])} are new since the backup before; {seconds:.1f} s."
        )
    if done["gone"]:
        print(f"{done['gone']} messages were removed while they were copied, and are not in it.")
    for problem in done["problems"]:
        print(f"NOT WELL: {problem}")
    if done["proven"]:
        print(f"Proven: restored, opened, and {done['compared']} messages compared octet by octet.")
    if done["removed"]:
        print(f"No longer needed, and removed: {', '.join(done['removed'])}")


def _status(state: dict[str, Any], json: bool) -> None:
    if json:
        print(orjson.dumps(state, option=orjson.OPT_INDENT_2).decode())
        return
    last, proven = state["last"], state["proven"]
    if last is None:
        print("No backup was ever made: mailstack backup DIR")
        return
    print(f"Last:   {when(last['begun'])}, {last['folder']}/{last['name']}: {'; '.join(last['problems']) or 'well'}")
    shown = "never"
    if proven is not None:
        shown = f"{when(proven['proven'])}, {proven['folder']}/{proven['name']}, {proven['messages']} messages"
    print(f"Proven: {shown}")


def restore(
    context: typer.Context,
    dir: Path = BACKUPS,
    to: str = typer.Option("", help="the data folder that is to be; else data_dir"),
    account: str = typer.Option("", help="only the mail of one account, while the server runs"),
    backup: str = typer.Option("", help="which one, by its name; else the newest"),
    force: bool = typer.Option(False, "--force", help="data that is there goes aside"),
    send_queue: bool = typer.Option(False, "--send-queue", help="the queue goes on at once: no server ran since the backup"),
    json: bool = JSON,
) -> None:
    """Bring a backup back: all of it where no server runs, or one account's mail beside what it has.

    Example: mailstack restore /mnt/backup --account alice@example.org
    """
    one = invocation(context)
    one.patience = LONGEST
    if account:
        if to or force or send_queue:
            fail("--account brings mail back beside what is there: --to, --force and --send-queue are for all of the data", 2)
        found = follow(one, "backup.bring.begin", dir=str(dir.absolute()), backup=backup, account=account)
        if json:
            print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
            return
        print(f"{found['messages']} messages of {account} are back, from {found['backup']}.")
        for name, count in found["mailboxes"].items():
            print(f"  {name}: {count}")
        if found["there"]:
            print(f"{found['there']} were back already.")
        return
    config = one.config()
    indexes = Path(config.store.index_dir) if config.store.index_dir and not to else None
    _whole(dir, Path(to) if to else config.data, indexes, backup or None, force, not send_queue, json)


def _whole(dir: Path, data: Path, indexes: Path | None, name: str | None, force: bool, hold: bool, json: bool) -> None:
    from mailstack.store.backup.restoring import Restoring, choose
    from mailstack.store.disk import Disk
    from mailstack.store.errors import DataLocked, StoreProblem
    from mailstack.store.lock import become_owner

    try:
        chosen = choose(dir, name)
        become_owner(data)
        with bar("restore") as told:
            restoring = Restoring(chosen, data.absolute(), Disk(), told, indexes)
            made, aside = restoring.run(force=force, hold=hold)
    except DataLocked:
        fail(f"{data}: a server uses it; stop it first, or bring one account back: --account ADDRESS")
    except StoreProblem as problem:
        fail(problem.detail)
    except OSError as problem:
        fail(f"{problem.filename}: {problem.strerror}")
    if json:
        found = {"backup": made.name, "data": str(data), "messages": made.messages, "aside": str(aside) if aside else None}
        found["held"] = restoring.held
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    print(f"{data}: {made.messages} messages of {sum(bool(unit.address) for unit in made.units)} accounts, as of {made.name}.")
    if aside is not None:
        print(f"What was there is in {aside}; remove it when it is needed no more.")
    print(f"The settings of that time: {chosen / 'config' / 'mailstack.toml'}")
    if restoring.held:
        waited = (
            "1 message that waited in the queue then is"
            if restoring.held == 1
            else f"{restoring.held} messages that waited in the queue then are"
        )
        print(f"{waited} held, because they may have left since. Look: mailstack queue list")
        print("Then: mailstack queue release --restored, or mailstack queue drop --restored")


def _size(octets: int) -> str:
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if octets >= 1 << power:
            return f"{octets / (1 << power):.1f} {unit}"
    return f"{octets} octets"
