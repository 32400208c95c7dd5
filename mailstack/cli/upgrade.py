"""upgrade: the database to this version, on a copy first."""

from typing import Any

import orjson
import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail

BY_HAND = "a server uses the data; its next start with this version upgrades by itself, so just restart it"


def add_to(app: typer.Typer) -> None:
    app.command()(upgrade)


def upgrade(
    context: typer.Context,
    dry_run: bool = typer.Option(False, "--dry-run", help="try it on a copy, and tell; a server may run meanwhile"),
    json: bool = JSON,
) -> None:
    """Bring the database to this version, as a start does: on a copy, which takes its place only if it is well.

    Example: mailstack upgrade --dry-run
    """
    config = invocation(context).config()
    from mailstack.store.database import MIGRATIONS, newest_revision, revision_of
    from mailstack.store.errors import DataLocked, StoreProblem
    from mailstack.store.lock import DataLock, become_owner
    from mailstack.store.upgrading import Upgrade

    path = config.data / "mailstack.sqlite3"
    lock = DataLock(config.data)
    try:
        become_owner(config.data)
        if not path.exists():
            fail(f"{path}: there is no database yet; the first start makes it")
        if not dry_run:
            lock.acquire()
        one = Upgrade(path, MIGRATIONS)
        if not dry_run:
            one.finish()
        current, newest = revision_of(path), newest_revision()
        report = None
        if current != newest:
            report = one.rehearse(current) if dry_run else one.run(current)
    except DataLocked:
        fail(f"{config.data}: {BY_HAND}")
    except StoreProblem as problem:
        fail(problem.detail)
    except OSError as problem:
        fail(f"{problem.filename}: {problem.strerror}")
    finally:
        lock.release()
    steps = [{"revision": step.revision, "what": step.text} for step in report.steps] if report is not None else []
    found: dict[str, Any] = {"current": current, "newest": newest, "steps": steps, "done": bool(steps) and not dry_run}
    if report is not None:
        found["rows"] = {name: {"before": before, "after": after} for name, (before, after) in report.rows.items()}
        found["kept"] = str(report.kept) if report.kept is not None else None
    if json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    if report is None:
        print(f"{path} is at revision {current}, the newest.")
        return
    print(f"{path}: {'would go' if dry_run else 'went'} from revision {current} to {newest}:")
    for step in steps:
        print(f"  {step['revision']}  {step['what']}")
    tables = sum(1 for before, after in report.rows.values() if before != after)
    print(f"{'Tried on a copy: ' if dry_run else ''}{len(report.rows)} tables read, {tables} of them new or with other rows.")
    if dry_run:
        print("Nothing was changed.")
    else:
        print(f"As it was: {report.kept}")
