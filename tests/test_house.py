"""The house: floors, owners, and what may never be committed."""

import ast
import gc
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mailstack"
FLOORS = {
    "message": 0, "wire": 0, "mailauth": 0, "sieve": 0,
    "store": 1, "net": 1,
    "policy": 2, "records": 2, "certificates": 2,
    "delivery": 3, "door": 3.5,
    "smtp": 4, "imap": 4, "pop3": 4, "managesieve": 4, "web": 4, "control": 4,
    "app": 5, "cli": 5, "__main__": 5,
}  # fmt: skip
LEAVES = {"config", "log", "metrics", "__init__"}
OWNERS = {
    "aiosmtpd": {"smtp"}, "dns": {"net"}, "sqlmodel": {"store"}, "sqlalchemy": {"store"},
    "alembic": {"store"}, "spftrace": {"net"}, "publicsuffixlist": {"policy"}, "aioimaplib": {"cli"},
    "uvloop": {"app"}, "argon2": {"store"}, "passlib": {"store"}, "typer": {"cli"}, "aioclamd": {"net"},
    "pyotp": {"store"}, "starlette": {"web"}, "uvicorn": {"web"}, "jinja2": {"web"}, "aioacme": {"net"}, "httpx": {"net"},
    "prometheus_client": {"metrics"},
}  # fmt: skip
NEIGHBOURS = {
    ("store", "net"), ("net", "store"), ("message", "wire"), ("smtp", "imap"), ("imap", "smtp"), ("web", "imap"),
    ("pop3", "imap"), ("pop3", "smtp"), ("imap", "pop3"), ("smtp", "pop3"), ("message", "sieve"), ("wire", "sieve"),
}  # fmt: skip


def imports(path: Path) -> list[str]:
    found = []
    # Python before 3.12 fails a parse during which the collector runs another one (a traceback that is logged).
    gc.disable()
    try:
        tree = ast.parse(path.read_text())
    finally:
        gc.enable()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += [f"{node.module}.{name.name}" for name in node.names if node.module == "mailstack"]
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_a_file_imports_only_from_floors_below_its_own() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        mine = room(path)
        for name in imports(path):
            if not name.startswith("mailstack."):
                continue
            other = name.split(".")[1]
            if other == mine or other == "__version__":
                continue
            if other in LEAVES:
                if FLOORS.get(mine, 9) == 0:
                    wrong.append(f"{path.name}: floor 0 imports {other}")
                continue
            if FLOORS[other] > FLOORS.get(mine, 0) or (mine, other) in NEIGHBOURS:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, wrong


def test_each_library_has_one_owner() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in imports(path)
        if room(path) not in OWNERS.get(name.split(".")[0], {room(path)})
    ]
    assert not wrong, wrong


def test_floor_0_is_pure() -> None:
    for floor in ("message", "wire", "mailauth", "sieve"):
        for path in (PACKAGE / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), path
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id != "open", path


def test_locks_name_no_host() -> None:
    for path in ROOT.glob("requirements*.lock"):
        assert "://" not in path.read_text(), path
        assert "--hash=sha256:" in path.read_text(), path


def test_cited_standards_are_listed() -> None:
    cited = {number for path in PACKAGE.rglob("*.py") for number in re.findall(r"RFC (\d{3,5})", path.read_text())}
    listed = set(re.findall(r"^\| (\d{3,5}) \|", (ROOT / "docs" / "rfc.md").read_text(), re.MULTILINE))
    assert cited == listed, (sorted(cited - listed), sorted(listed - cited))
