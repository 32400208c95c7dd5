#!/usr/bin/python3
"""The compose files as a compose parser reads them (Debian's docker-compose, python3-yaml): as they are, on the host's network, and
with the lines that stand there as comments. What Docker's own Compose adds to the language (!reset) is done here before."""

import pathlib
import re
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).parents[1]


class Reset:
    """What a later file takes away."""


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!reset", lambda *_: Reset())


def merged(under: dict, over: dict) -> dict:
    found = dict(under)
    for key, value in over.items():
        if isinstance(value, Reset):
            found.pop(key, None)
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = merged(found[key], value)
        else:
            found[key] = value
    return found


def parsed(name: str, document: dict) -> dict:
    """What the parser makes of it; it ends with an error where the document breaks the schema."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "compose.yaml")
        path.write_text(yaml.safe_dump(document))
        done = subprocess.run(["docker-compose", "-f", path, "config"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr}")
    print(f"compose: {name} is right")
    return yaml.safe_load(done.stdout)["services"]["mailstack"]


def main() -> None:
    text = (ROOT / "compose.yaml").read_text()
    plain = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    trial = parsed("compose.yaml", plain)
    assert len(trial["ports"]) == 8 and trial["read_only"] and trial["cap_drop"] == ["ALL"]
    assert isinstance(plain["services"]["mailstack"]["sysctls"], list)  # podman-compose 1.0 knows no mapping there
    host = parsed("compose.host.yaml", merged(plain, yaml.load((ROOT / "compose.host.yaml").read_text(), Loader)))  # noqa: S506
    assert host["network_mode"] == "host" and "ports" not in host and "sysctls" not in host
    # The lines that make a real server: they are YAML and not words.
    settings = re.sub(r"^( *)# (?=environment:|  MAILSTACK_|secrets:|  first_password:|    file:)", r"\1", text, flags=re.MULTILINE)
    real = parsed("compose.yaml with its first account", yaml.load(settings, Loader))  # noqa: S506
    assert real["environment"]["MAILSTACK_FIRST_PASSWORD_FILE"] == "/run/secrets/first_password" and real["secrets"]


main()
