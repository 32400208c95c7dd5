"""Upgrades with a net: what fails, or is stopped after any step, leaves the old data as it was, for the old program too."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from mailstack.cli.main import app
from mailstack.store.database import MIGRATIONS, Database, newest_revision, revision_of
from mailstack.store.disk import Disk
from mailstack.store.errors import DataTooNew, StoreFailed
from mailstack.store.upgrading import Upgrade
from tests.support.faults import Stopped, StoppingDisk

HEAD = '"""{text}."""\nfrom alembic import op\nimport sqlalchemy as sa\nrevision = "{revision}"\ndown_revision = "{before}"\n'
GOOD = HEAD + "def upgrade():\n    op.add_column('domain', sa.Column('colour', sa.String))\n"
FAILS = HEAD + "def upgrade():\n    op.create_table('half', sa.Column('x', sa.Integer))\n    raise RuntimeError('planted')\n"
LOSES = HEAD + "def upgrade():\n    op.execute('DELETE FROM setting')\n"
MEANS_IT = HEAD + "COUNTS_CHANGE = ('setting',)\ndef upgrade():\n    op.execute('DELETE FROM setting')\n"
ORPHANS = HEAD + "COUNTS_CHANGE = ('domain',)\ndef upgrade():\n    op.execute('DELETE FROM domain')\n"
FORGETS = HEAD + "def upgrade():\n    op.drop_column('setting', 'value')\n"
BESIDE = (
    HEAD + "import sqlite3\nfrom pathlib import Path\nTOUCHES = ('side.sqlite3',)\ndef upgrade():\n"
    "    with sqlite3.connect(Path(op.get_bind().engine.url.database).with_name('side.sqlite3')) as side:\n"
    "        side.execute('INSERT INTO side VALUES (2)')\n    side.close()\n"
)


def later(folder: Path, *migrations: str) -> Path:
    """The program's migrations, and more behind them."""
    made = folder / "migrations"
    shutil.copytree(MIGRATIONS, made, ignore=shutil.ignore_patterns("__pycache__"))
    before = newest_revision()
    for number, code in enumerate(migrations):
        revision = str(9001 + number)
        filled = code.format(text=f"Planted {revision}", revision=revision, before=before)
        (made / "versions" / f"{revision}_planted.py").write_text(filled)
        before = revision
    return made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    database = Database(folder / "mailstack.sqlite3")
    database.start()
    database.run_blocking(lambda connection: connection.execute(text("INSERT INTO domain (name) VALUES ('a.test')")) and None)
    # Killed: what was committed last is only in the -wal.
    rows = "INSERT INTO account (address, domain, password, disabled, folder, created, capabilities)"
    with sqlite3.connect(folder / "mailstack.sqlite3") as open_:
        open_.execute(f"{rows} VALUES ('alice@a.test', 'a.test', 'x', 0, 'a.test/alice', 1.0, '')")
        open_.execute("INSERT INTO setting VALUES ('k', 'v')")
        open_.commit()
        killed = tmp_path_factory.mktemp("killed")
        for name in ("mailstack.sqlite3", "mailstack.sqlite3-wal"):
            shutil.copy(folder / name, killed / name)
    open_.close()
    database.close()
    assert (killed / "mailstack.sqlite3-wal").stat().st_size
    return killed


@pytest.fixture
def old(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "data")
    return tmp_path / "data" / "mailstack.sqlite3"


def octets(path: Path) -> list[bytes]:
    return [path.with_name(path.name + end).read_bytes() for end in ("", "-wal")]


def start(path: Path, migrations: Path = MIGRATIONS, disk: Disk | None = None) -> None:
    database = Database(path, migrations, disk)
    try:
        database.start()
    finally:
        database.close()


def addresses(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return [row[0] for row in connection.execute("SELECT address FROM account ORDER BY address")]


def test_it_goes_on_with_all_that_was_there_and_keeps_what_it_was(old: Path, tmp_path: Path) -> None:
    start(old, later(tmp_path, GOOD, GOOD.replace("colour", "shape")))
    assert revision_of(old) == "9002"
    assert addresses(old) == ["alice@a.test"]
    (kept,) = (old.parent / "upgrade").glob("from-*/mailstack.sqlite3")
    assert revision_of(kept) == newest_revision()
    assert addresses(kept) == ["alice@a.test"]
    assert not (old.parent / "upgrade" / "making").exists()


@pytest.mark.parametrize(
    ("code", "why"),
    [(FAILS, "planted"), (LOSES, "setting had 1 rows"), (ORPHANS, "belong"), (FORGETS, "setting can't be read"), ("", "9001")],
    ids=["fails", "loses rows", "leaves orphans", "is not what the program reads", "is no program"],
)
def test_a_failing_one_changes_no_octet_and_says_what_to_do(old: Path, tmp_path: Path, code: str, why: str) -> None:
    before = octets(old)
    migrations = later(tmp_path, GOOD, code or HEAD + "def upgrade():\n    op.nonsense()\n")
    with pytest.raises(StoreFailed) as found:
        start(old, migrations)
    assert octets(old) == before
    for words in (why, "9002 (Planted 9002.)" if code == FAILS else "9002", "Nothing was changed", "version before starts"):
        assert words in found.value.detail or (why == "9001" and words == why)
    start(old)
    assert addresses(old) == ["alice@a.test"]


def test_rows_may_go_where_the_migration_says_so(old: Path, tmp_path: Path) -> None:
    start(old, later(tmp_path, MEANS_IT))
    assert revision_of(old) == "9001"


def test_files_beside_it_are_upgraded_with_it(old: Path, tmp_path: Path) -> None:
    with sqlite3.connect(old.with_name("side.sqlite3")) as side:
        side.execute("CREATE TABLE side (x)")
    side.close()
    with pytest.raises(StoreFailed):
        start(old, later(tmp_path, BESIDE, FAILS))
    assert _side(old) == []
    shutil.rmtree(tmp_path / "migrations")
    start(old, later(tmp_path, BESIDE))
    assert _side(old) == [(2,)]


def _side(old: Path) -> list[object]:
    with sqlite3.connect(old.with_name("side.sqlite3")) as side:
        return side.execute("SELECT x FROM side").fetchall()


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.crash)])
def test_stopped_after_each_step(template: Path, tmp_path: Path, stride: int) -> None:
    migrations = later(tmp_path, GOOD)
    for steps in range(6, 60, stride):
        path = tmp_path / str(steps) / "mailstack.sqlite3"
        shutil.copytree(template, path.parent)
        disk, before = StoppingDisk(steps), octets(path)
        try:
            start(path, migrations, disk)
            break
        except Stopped:
            pass
        if path.with_name("mailstack.sqlite3-wal").exists():
            assert octets(path) == before, disk.done
        if revision_of(path) != "9001":
            # The old program goes on with it; what it writes is not lost to what was made of the data before.
            other = tmp_path / f"{steps}-old" / "mailstack.sqlite3"
            shutil.copytree(path.parent, other.parent)
            start(other)
            with sqlite3.connect(other) as connection:
                connection.execute("UPDATE account SET address = 'bob@a.test'")
            connection.close()
            start(other, migrations)
            assert (revision_of(other), addresses(other)) == ("9001", ["bob@a.test"]), disk.done
        start(path, migrations)
        assert (revision_of(path), addresses(path)) == ("9001", ["alice@a.test"]), disk.done
    assert 12 < steps < 59


def test_a_newer_database_is_refused_with_one_line_and_not_touched(old: Path, tmp_path: Path) -> None:
    start(old, later(tmp_path, GOOD))
    before = old.read_bytes()
    with pytest.raises(DataTooNew, match=r"newer version of mailstack \(revision 9001, this one knows 00..\)"):
        start(old)
    assert old.read_bytes() == before


def test_a_rehearsal_changes_nothing(old: Path, tmp_path: Path) -> None:
    before = octets(old)
    report = Upgrade(old, later(tmp_path, GOOD)).rehearse(revision_of(old))
    assert [step.text for step in report.steps] == ["Planted 9001."]
    assert report.rows["account"] == (1, 1)
    assert octets(old) == before
    assert not (old.parent / "upgrade" / "making").exists()


def test_the_command_says_what_would_be_done(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.store.database.MIGRATIONS", later(tmp_path, GOOD))
    monkeypatch.setattr("mailstack.store.database.newest_revision", lambda: "9001")
    monkeypatch.setenv("MAILSTACK_DATA_DIR", str(old.parent))
    (tmp_path / "m.toml").write_text("")
    tried = CliRunner().invoke(app, ["-c", str(tmp_path / "m.toml"), "upgrade", "--dry-run"])
    assert "Nothing was changed" in tried.output
    assert revision_of(old) == newest_revision(MIGRATIONS)
    done = CliRunner().invoke(app, ["-c", str(tmp_path / "m.toml"), "upgrade"])
    assert "9001  Planted 9001." in done.output
    assert revision_of(old) == "9001"
    again = CliRunner().invoke(app, ["-c", str(tmp_path / "m.toml"), "upgrade"])
    assert "the newest" in again.output


def test_another_programs_database_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mailstack.sqlite3"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
        other.execute("INSERT INTO mine VALUES (1)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreFailed, match="no database of mailstack"):
        start(path)
    assert path.read_bytes() == before
