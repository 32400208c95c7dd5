"""What is logged, and what never is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from mailstack.log import configure, get_logger
configure(sys.argv[1], "info")
def fail(password):
    raise ValueError("broken")
try:
    fail("hunter" + "2")
except ValueError:
    get_logger().exception("some.failure", id="x")
"""


HALF = """
from mailstack.log import configure, get_logger
configure("json", "info")
get_logger().info("some.file", path="x\\udcff", line="a\\nb\\x1b[2J")
"""


def test_half_a_character_stops_nothing_and_no_value_begins_a_line() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    found = subprocess.run([sys.executable, "-c", HALF], env=environment, capture_output=True, check=True).stderr
    (line,) = found.splitlines()
    event = json.loads(line)
    assert (event["event"], event["line"]) == ("some.file", "a\nb\x1b[2J")
    assert b"\x1b" not in line


@pytest.mark.parametrize("format", ["json", "console"])
def test_stacks_show_no_values(format: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, format]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    assert "some.failure" in found
    assert "ValueError: broken" in found
    assert "hunter2" not in found
