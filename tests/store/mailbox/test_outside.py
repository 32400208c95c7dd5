"""Other programs work in the Maildir between our own sessions' commands, at random; a model says what must be there.

Every message has a token. What a step does to the files is known, so what lies in the folders after it is known too: no file
vanishes that nobody removed, no copy appears twice, no UID ever names two messages, and every session's view converges.
"""

import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailstack.imap.selected import Selected
from mailstack.message.flag import Flags, from_letters
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.filename import split
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import How
from tests.store.mailbox.test_account import append, place

FOLDERS = {"INBOX": "", "Archive": ".Archive", "Trash": ".Trash"}
LETTERS = "DFRST"
Disk = Counter[tuple[str, bytes]]  # folder and token -> files


def wire(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def token(data: bytes) -> bytes:
    return wire(data).partition(b"\r\n")[0]


class View:
    """A session: its own view, and the client that knows only the lines."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.selected = Selected(mailbox, False, None)
        self.client = list(self.selected.uids)
        mailbox.users += 1

    def hear(self, may_expunge: bool) -> None:
        # Several may come in one piece.
        for line in b"".join(self.selected.updates(may_expunge=may_expunge, uid=True, rev1=False)).splitlines():
            words = line.split()
            if words[2:3] == [b"EXPUNGE"]:
                del self.client[int(words[1]) - 1]
            elif words[2:3] == [b"EXISTS"]:
                assert int(words[1]) > len(self.client)
                new = list(self.selected.uids[len(self.client) : int(words[1])])
                assert new == sorted(new)
                assert not self.client or new[0] > self.client[-1], "a message between those that the client knows"
                self.client += new
            elif words[2:3] == [b"FETCH"]:
                assert self.client[int(words[1]) - 1] == int(words[4])


@dataclass
class World:
    root: Path
    chance: random.Random
    account: Account
    boxes: dict[str, Mailbox] = field(default_factory=dict)
    views: list[View] = field(default_factory=list)
    owners: dict[tuple[int, int], bytes] = field(default_factory=dict)  # UIDVALIDITY and UID -> token
    saved: list[tuple[str, str, bytes]] = field(default_factory=list)  # folder, name and octets as they once were
    made: int = 0
    steps: list[str] = field(default_factory=list)

    def new_body(self) -> bytes:
        self.made += 1
        return b"Subject: token %d\n\nbody\n" % self.made

    def files(self, folder: str | None = None) -> list[Path]:
        folders = FOLDERS.values() if folder is None else [folder]
        return sorted(path for one in folders for part in ("cur", "new") for path in (self.root / one / part).iterdir())

    def folder_of(self, path: Path) -> str:
        return "" if path.parent.parent == self.root else path.parent.parent.name

    def disk(self) -> Disk:
        """Files with one base name and the same octets are one."""
        found = {(self.folder_of(path), split(os.fsencode(path.name))[0], path.read_bytes()) for path in self.files()}
        return Counter((folder, token(data)) for folder, _, data in found)

    def letters(self) -> str:
        return "".join(sorted(self.chance.sample(LETTERS, self.chance.randrange(4))))

    # What other programs do: the change to what is there ------------------------------------------------------------

    def deliver(self) -> Disk:
        folder, body = self.chance.choice(list(FOLDERS.values())), self.new_body()
        name = f"17{self.made:08}.P{self.made}.elsewhere"
        (self.root / folder / "tmp" / name).write_bytes(body)
        part = self.chance.choice(("new", "cur"))
        (self.root / folder / "tmp" / name).rename(self.root / folder / part / (name + (":2," if part == "cur" else "")))
        return Counter({(folder, token(body)): 1})

    def change_flags(self) -> Disk:
        path = self.chance.choice(self.files())
        target = path.parent.parent / "cur" / (path.name.partition(":")[0] + ":2," + self.letters())
        if not target.exists():
            path.rename(target)
        return Counter()

    def remove(self) -> Disk:
        path = self.chance.choice(self.files())
        base, folder, data = path.name.partition(":")[0], self.folder_of(path), path.read_bytes()
        twins = [one for one in self.files(folder) if one.name.partition(":")[0] == base and one.read_bytes() == data]
        path.unlink()
        return Counter({(folder, token(data)): -1}) if len(twins) == 1 else Counter()

    def put(self, folder: str, name: str, data: bytes) -> Disk:
        path = self.root / folder / "cur" / name
        base = name.partition(":")[0]
        twins = [one for one in self.files(folder) if one.name.partition(":")[0] == base]
        if path.exists() and path.read_bytes() != data:
            return Counter()
        known = any(one.read_bytes() == data for one in twins)
        path.write_bytes(data)
        now = path.stat().st_mtime + 1
        os.utime(path, (now, now))  # younger than what was there, whatever the clock's step
        return Counter() if known else Counter({(folder, token(data)): 1})

    def restore(self) -> Disk:
        folder, name, data = self.chance.choice(self.saved)
        return self.put(folder, name.partition(":")[0] + ":2," + name.partition(":2,")[2], data)

    def copy_elsewhere(self) -> Disk:
        path = self.chance.choice(self.files())
        return self.put(self.chance.choice(list(FOLDERS.values())), path.name.partition(":")[0] + ":2,", path.read_bytes())

    def double(self) -> Disk:
        path = self.chance.choice(self.files())
        body = path.read_bytes() if self.chance.random() < 0.7 else self.new_body()
        return self.put(self.folder_of(path), path.name.partition(":")[0] + ":2," + self.letters(), body)

    def move_by_hand(self) -> Disk:
        path = self.chance.choice(self.files())
        data, source, folder = path.read_bytes(), self.folder_of(path), self.chance.choice(list(FOLDERS.values()))
        change = self.put(folder, f"17{self.made:08}.moved{len(self.steps)}.x:2,", data)
        twins = [one for one in self.files(source) if one.name.partition(":")[0] == path.name.partition(":")[0]]
        path.unlink()
        if not any(one.read_bytes() == data for one in twins if one != path):
            change.subtract({(source, token(data)): 1})
        return change

    def touch(self) -> Disk:
        os.utime(self.chance.choice(self.files()))
        return Counter()

    def keywords(self) -> Disk:
        path = self.root / self.chance.choice(list(FOLDERS.values())) / "dovecot-keywords"
        lines = path.read_text().splitlines() if path.exists() else []
        free = next(number for number in range(26) if not any(line.startswith(f"{number} ") for line in lines))
        path.write_text("\n".join([*lines, f"{free} theirs{free}"]) + "\n")
        return Counter()

    def folder_by_hand(self) -> Disk:
        other = self.root / ".By hand"
        if other.exists():
            shutil.rmtree(other)
        else:
            for part in ("cur", "new", "tmp"):
                (other / part).mkdir(parents=True)
            (other / "cur" / "1.x.y:2,").write_bytes(self.new_body())
        return Counter()

    def other_octets(self) -> bool:
        """Whether a name stands for two messages."""
        found: dict[tuple[str, bytes], bytes] = {}
        for path in self.files():
            key, data = (self.folder_of(path), split(os.fsencode(path.name))[0]), path.read_bytes()
            if found.setdefault(key, data) != data:
                return True
        return False

    # What our own sessions do ---------------------------------------------------------------------------------------

    def some(self, box: Mailbox) -> list[int]:
        return sorted(self.chance.sample(list(box.uids), self.chance.randrange(1, min(4, len(box.uids)) + 1)))

    def tokens(self, folder: str, box: Mailbox, uids: list[int]) -> Disk:
        """Of those whose files are there, by base name, as far as they are one file."""
        found: Disk = Counter()
        for uid in uids:
            base = os.fsdecode(box.loaded.bases[box.position(uid) or 0])
            for data in {one.read_bytes() for one in self.files(folder) if one.name.partition(":")[0] == base}:
                found[(folder, token(data))] += 1
        return found

    async def ours(self) -> Disk | None:
        """None: files with one name and other octets make it unsure which of them an operation meets."""
        name = self.chance.choice(list(FOLDERS))
        box, folder = self.boxes[name], FOLDERS[name]
        kind = self.chance.choice(("append", "store", "store", "expunge", "copy", "move"))
        self.steps.append(f"{kind} in {name}")
        if kind == "append" or not box.uids:
            body = self.new_body()
            await append(self.account, wire(body), name, fresh=self.chance.random() < 0.5)
            return Counter({(folder, token(body)): 1})
        uids = self.some(box)
        bases = [one.name.partition(":")[0] for one in self.files(folder)]
        if kind != "store" and any(bases.count(os.fsdecode(box.loaded.bases[box.position(uid) or 0])) > 1 for uid in uids):
            await self.look()  # an operation takes one file of a name: first they become one
            uids = [uid for uid in uids if box.position(uid) is not None]
        there = self.tokens(folder, box, uids)
        if kind == "store":
            keywords = frozenset({"kw"}) if self.chance.random() < 0.3 else frozenset[str]()
            await box.store(uids, self.chance.choice(list(How)), Flags(self.chance.randrange(32)), keywords)
            change: Disk = Counter()
        elif kind == "expunge":
            await box.expunge(uids, force=True)
            change = Counter({key: -count for key, count in there.items()})
        else:
            target = self.chance.choice([other for other in FOLDERS if other != name])
            await (box.copy if kind == "copy" else box.move)(uids, target)
            change = Counter({(FOLDERS[target], key[1]): count for key, count in there.items()})
            if kind == "move":
                change.subtract(there)
        await self.account.settled()
        return change

    async def look(self) -> None:
        for box in self.boxes.values():
            await self.account.check(box, always=True)
            await self.account.check(box, always=True)

    # Checks ---------------------------------------------------------------------------------------------------------

    async def converged(self) -> None:
        await self.look()
        await self.account.refresh()
        there = self.disk()
        shown: Disk = Counter()
        for name, box in self.boxes.items():
            assert list(box.uids) == sorted(box.uids)
            bodies = await box.read_many(list(box.uids))
            assert set(bodies) == set(box.uids), "a message without its file"
            for uid, body in bodies.items():
                owner = self.owners.setdefault((box.uid_validity, uid), token(body))
                assert owner == token(body), f"{name} {uid} was {owner!r} and is {token(body)!r}"
                shown[(FOLDERS[name], token(body))] += 1
            names = {split(os.fsencode(path.name))[0]: path for path in self.files(FOLDERS[name])}
            assert len(names) == len(self.files(FOLDERS[name])) == len(box.uids), "one file a message"
            for number, base in enumerate(box.loaded.bases):
                assert int(from_letters(names[base].name.partition(":2,")[2])) == box.flags[number]
        assert shown == there
        for view in self.views:
            view.hear(may_expunge=True)
            assert view.client == list(view.selected.mailbox.uids) == list(view.selected.uids)

    async def step(self) -> None:
        outside = (
            self.deliver, self.deliver, self.change_flags, self.change_flags, self.remove, self.restore, self.copy_elsewhere,
            self.double, self.double, self.move_by_hand, self.touch, self.keywords, self.folder_by_hand,
        )  # fmt: skip
        before = self.disk()
        kind = self.chance.random()
        change: Disk | None
        if kind < 0.55:
            act = self.chance.choice(outside)
            self.steps.append(act.__name__)
            change = act() if self.files() and (act != self.restore or self.saved) else self.deliver()
        elif kind < 0.85:
            change = await self.ours()
        else:
            box = self.chance.choice(list(self.boxes.values()))
            self.steps.append(f"look at {box.name}")
            await box.check()
            change = Counter()
        if change is not None:
            before.update(change)
            assert +self.disk() == +before
        if self.other_octets():
            # A file that takes another's name is seen while both are there; what replaced one before is not to be known.
            await self.look()
            assert not self.other_octets()
        for path in self.chance.sample(self.files(), min(2, len(self.files()))):
            self.saved.append((self.folder_of(path), path.name, path.read_bytes()))
        for view in self.views:
            if self.chance.random() < 0.3:
                view.hear(may_expunge=self.chance.random() < 0.5)


async def hold(tmp_path: Path, seed: int, steps: int) -> None:
    mailboxes = Mailboxes("mail.a.test")
    account = await mailboxes.account(place(tmp_path))
    world = World(tmp_path / "account/Maildir", random.Random(seed), account)
    try:
        for name in FOLDERS:
            box = world.boxes[name] = await account.open(name)
            world.views += [View(box), View(box)]
        for number in range(steps):
            await world.step()
            if number % 10 == 9:
                world.steps.append("all is looked at")
                await world.converged()
        await world.converged()
    except AssertionError as problem:
        problem.add_note(f"seed {seed}: " + ", ".join(world.steps[-40:]))
        raise
    await mailboxes.close()
    # After a restart, with the index and without, it is the same.
    known = {name: list(box.uids) for name, box in world.boxes.items()}
    for again in ("with its index", "without it"):
        mailboxes = Mailboxes("mail.a.test")
        account = await mailboxes.account(place(tmp_path))
        for name, uids in known.items():
            got = list((await account.open(name)).uids)
            assert got == uids, (seed, again, name, got, uids)
        await mailboxes.close()
        place(tmp_path).index.unlink()


@pytest.mark.parametrize("seed", range(6))
async def test_outside_and_inside(tmp_path: Path, seed: int) -> None:
    await hold(tmp_path, seed, 60)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
async def test_outside_and_inside_for_long(tmp_path: Path) -> None:
    for seed in range(100, 100 + int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))):
        folder = tmp_path / str(seed)
        folder.mkdir()
        await hold(folder, seed, 120)
        shutil.rmtree(folder)
