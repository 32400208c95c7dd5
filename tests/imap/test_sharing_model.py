"""An owner's mailboxes live a random life; another sees exactly what a plain model of the rights says."""

import os
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import unused
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "15"))
ORDER = "lrswipkxteacd"
NAMES = st.sampled_from(["A", "B", "A/C", "A/C/D", "B/E"])
RIGHTS = st.text(st.sampled_from("lrswipkxtea"), max_size=6)
STEP = st.one_of(
    st.tuples(st.just("CREATE"), NAMES),
    st.tuples(st.just("DELETE"), NAMES),
    st.tuples(st.just("RENAME"), NAMES, NAMES),
    st.tuples(st.just("SETACL"), NAMES, st.booleans(), st.sampled_from(["", "", "+", "-"]), RIGHTS),
    st.tuples(st.just("DELETEACL"), NAMES, st.booleans()),
    st.tuples(st.just("FRIEND CREATE"), NAMES),
    st.tuples(st.just("FRIEND DELETE"), NAMES),
    st.tuples(st.just("FRIEND RENAME"), NAMES, NAMES),
)
Entry = dict[bool, frozenset[str]]  # by whether it takes rights away


@dataclass
class Model:
    boxes: dict[str, Entry] = field(default_factory=dict)

    def rights(self, name: str) -> frozenset[str]:
        entry = self.boxes.get(name, {})
        return entry.get(False, frozenset()) - entry.get(True, frozenset())

    def above(self, name: str) -> str | None:
        parents = [one for one in self.boxes if name.startswith(one + "/")]
        return max(parents, key=len, default=None)

    def below(self, name: str) -> list[str]:
        return [one for one in self.boxes if one == name or one.startswith(name + "/")]

    def create(self, name: str) -> bool:
        if name in self.boxes:
            return False
        above = self.above(name)
        self.boxes[name] = dict(self.boxes[above]) if above is not None else {}
        return True

    def delete(self, name: str) -> bool:
        return self.boxes.pop(name, None) is not None

    def rename(self, old: str, new: str) -> bool:
        moving = {name: new + name[len(old) :] for name in self.below(old)}
        if not moving or new == old or new.startswith(old + "/") or any(target in self.boxes for target in moving.values()):
            return False
        for name, target in moving.items():
            self.boxes[target] = self.boxes.pop(name)
        return True

    def set(self, name: str, negative: bool, sign: str, letters: str) -> bool:
        if name not in self.boxes:
            return False
        had = self.boxes[name].get(negative, frozenset())
        given = frozenset(letters)
        self.boxes[name][negative] = had | given if sign == "+" else had - given if sign == "-" else given
        return True

    def friend(self, what: str, name: str, new: str = "") -> bool:
        """What the other may do: RFC 4314 4."""
        match what:
            case "FRIEND CREATE":
                above = self.above(name)
                return above is not None and "k" in self.rights(above) and self.create(name)
            case "FRIEND DELETE":
                return "x" in self.rights(name) and self.delete(name)
            case _:
                above = self.above(new)
                may = name in self.boxes and all("x" in self.rights(one) for one in self.below(name))
                return may and above is not None and "k" in self.rights(above) and self.rename(name, new)


def test_another_sees_what_the_model_says(server: Server, account: str) -> None:
    owner, friend = f"{account}@a.test", f"{unused(server)}@a.test"
    prefix = f"Shared/{owner}/"
    with Client(server.ports["imap"]) as mine, Client(server.ports["imap"]) as other:
        mine.login(owner, PASSWORD)
        other.login(friend, PASSWORD)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(STEP, min_size=4, max_size=16))
        def life(steps: list[tuple[object, ...]]) -> None:
            model = Model()
            mine.ok("CREATE Top")
            mine.ok("DELETE Top")
            for step in steps:
                expected, found = run(step, model)
                assert found == ("OK" if expected else "NO"), (step, model)
                compare(model)
            for name in sorted(model.boxes, reverse=True):
                mine.ok(f"DELETE {name}")

        def run(step: tuple[object, ...], model: Model) -> tuple[bool, str]:
            match step:
                case ("CREATE", str(name)):
                    return model.create(name), mine.run(f"CREATE {name}").kind
                case ("DELETE", str(name)):
                    return model.delete(name), mine.run(f"DELETE {name}").kind
                case ("RENAME", str(old), str(new)):
                    return model.rename(old, new), mine.run(f"RENAME {old} {new}").kind
                case ("SETACL", str(name), bool(negative), str(sign), str(letters)):
                    who = "-" * negative + friend
                    return model.set(name, negative, sign, letters), mine.run(f'SETACL {name} {who} "{sign}{letters}"').kind
                case ("DELETEACL", str(name), bool(negative)):
                    return model.set(name, negative, "", ""), mine.run(f"DELETEACL {name} {'-' * negative}{friend}").kind
                case (str(what), str(old), str(new)):
                    return model.friend(what, old, new), other.run(f"RENAME {prefix}{old} {prefix}{new}").kind
                case (str(what), str(name)):
                    return model.friend(what, name), other.run(f"{what.removeprefix('FRIEND ')} {prefix}{name}").kind
            raise AssertionError(step)

        def compare(model: Model) -> None:
            seen = {}
            for line in other.ok('LIST "" "Shared/*" RETURN (MYRIGHTS)'):
                if line.kind == "MYRIGHTS":
                    assert isinstance(line.value, list)
                    name, rights = (word.decode() for word in line.value if isinstance(word, bytes))
                    seen[name.removeprefix(prefix)] = frozenset(rights) - set("cd")
            assert seen == {name: model.rights(name) for name in model.boxes if "l" in model.rights(name)}
            for name in model.boxes:
                may_read = "r" in model.rights(name)
                assert (other.run(f"EXAMINE {prefix}{name}").kind == "OK") == may_read, name
                other.run("UNSELECT")

        life()
