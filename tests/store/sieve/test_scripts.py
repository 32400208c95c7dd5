"""Scripts as files: names of all kinds, the active one, limits, and what a power cut leaves."""

import random
import tempfile
from pathlib import Path

import pytest

from mailstack.store.errors import NoSuchScript, ScriptExists, ScriptInUse, ScriptTooLarge, TooManyScripts
from mailstack.store.sieve.files import ScriptFiles, file_of
from mailstack.store.sieve.scripts import ScriptLimits, Scripts, acceptable_name
from tests.support.power import PowerDisk

NAMES = ["main", "a/b", "..", ".hidden", "~x", "Ferien Ö", "x" * 128, "\U0001f600" * 128, "%41", "a.sieve", "active", " "]


async def test_all_names_are_kept_as_they_are(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path)
    for name in NAMES:
        await scripts.put("a.test/alice", name, f"# {name}\nkeep;".encode())
    assert set(await scripts.listing("a.test/alice")) == set(NAMES)
    for name in NAMES:
        assert await scripts.read("a.test/alice", name) == f"# {name}\nkeep;".encode()
    long = "\U0001f600" * 128
    await scripts.activate("a.test/alice", long)
    await scripts.rename("a.test/alice", long, "\U0001f601" * 128)
    assert [name for name, active in (await scripts.listing("a.test/alice")).items() if active] == ["\U0001f601" * 128]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a.test/alice/sieve").iterdir()} == {0o600}
    scripts.close()


async def test_what_may_not_be(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path, limits=ScriptLimits(size=100, number=2))
    await scripts.put("x", "one", b"keep;")
    await scripts.put("x", "two", b"keep;")
    for call in (scripts.read, scripts.delete, scripts.activate):
        with pytest.raises(NoSuchScript):
            await call("x", "three")
    with pytest.raises(NoSuchScript):
        await scripts.rename("x", "three", "four")
    with pytest.raises(ScriptExists):
        await scripts.rename("x", "one", "two")
    with pytest.raises(TooManyScripts):
        await scripts.put("x", "three", b"keep;")
    with pytest.raises(ScriptTooLarge):
        await scripts.put("x", "one", b"#" * 101)
    await scripts.put("x", "one", b"discard;")
    await scripts.activate("x", "one")
    with pytest.raises(ScriptInUse):
        await scripts.delete("x", "one")
    await scripts.activate("x", None)
    await scripts.activate("x", None)
    await scripts.delete("x", "one")
    assert await scripts.listing("x") == {"two": False}
    assert await scripts.active("x") is None
    scripts.close()


def test_names_that_are_taken_and_names_that_are_not() -> None:
    assert all(acceptable_name(name) for name in NAMES)
    assert not any(acceptable_name(name) for name in ("", "a\nb", "a\0", "x" * 129, "\x9f", "\u2028", "\x7f"))
    assert file_of("..") != ".."
    assert "/" not in file_of("../../x")


def test_the_power_goes_while_an_active_script_is_renamed() -> None:
    """Under one name or the other, there is always an active script, whole."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        world = Path(place) / "world"
        world.mkdir()
        disk = PowerDisk(world, Path(place) / "vault")
        files = ScriptFiles(disk, world / "sieve")
        files.write("old", b"keep;")
        files.activate("old")
        disk.settle()
        files.rename("old", "new")
        files.write("new", b"discard;")
        disk.recording = False
        chance = random.Random(1)
        for number, image in enumerate(disk.images):
            for choice in (None, chance, chance):
                target = Path(place) / f"{number}-{random.random()}"
                disk.materialise(image, target, choice)
                found = ScriptFiles(disk, target / "sieve").active()
                assert found in (("old", b"keep;"), ("new", b"keep;"), ("new", b"discard;")), image.step
        disk.forget()
