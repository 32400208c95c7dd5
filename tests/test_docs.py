"""The documentation says what is."""

import ast
import re
from pathlib import Path

import pytest
import typer

from mailstack.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


def test_each_promise_names_a_test_that_is_there() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (tests/[^|]+) \|$", (ROOT / "docs" / "promises.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    for promise, tests in rows:
        for name in tests.split(", "):
            path = ROOT / name
            assert path.is_file(), f"{promise}: {name} is not there"
            tree = ast.parse(path.read_text())
            found = [
                node.name
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
            ]
            assert found, f"{promise}: {name} holds no test"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_pages_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for name in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|md|toml|sh|service|lock))`", text):
        places = [ROOT / name, ROOT / "mailstack" / name]
        assert any(place.exists() for place in places), f"{page.name} names {name}"


def test_every_command_is_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()

    def walk(group: object, path: str) -> None:
        for name, command in getattr(group, "commands", {}).items():
            if getattr(command, "commands", None):
                walk(command, f"{path} {name}")
            else:
                assert f"{path} {name}" in text, f"{path} {name}"

    walk(typer.main.get_command(app), "mailstack")


def test_the_names_of_the_architecture_are_those_of_the_code() -> None:
    functions, methods, classes = set(), set(), set()
    for path in (ROOT / "mailstack").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.add(node.name)
            elif isinstance(node, ast.ClassDef):
                classes.add(node.name)
                inner = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
                methods |= {f"{node.name}.{one.name}" for one in inner}
            elif isinstance(node, ast.Assign):
                classes |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    text = (ROOT / "docs" / "architecture.md").read_text()
    called = set(re.findall(r"`([\w.]+)\(\)`", text))
    assert called <= functions | methods, called - functions - methods
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", text))
    assert named <= classes, named - classes
