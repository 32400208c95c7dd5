"""What is kept of compiled scripts, against a plain model."""

import random

from mailstack.store.sieve.kept import LEAST, Kept

ROOM = 10 * LEAST


def test_those_used_last_are_kept_as_far_as_there_is_room() -> None:
    chance, kept, model = random.Random(3), Kept[int](ROOM), dict[tuple[str, str | None], tuple[int, int]]()
    for step in range(3000):
        account, name = chance.choice("abc"), chance.choice([None, "x", "y", "z"])
        what = chance.randrange(10)
        if what == 0:
            kept.forget(account)
            model = {key: value for key, value in model.items() if key[0] != account}
        elif what < 5:
            assert kept.get(account, name) == model.get((account, name), (None, 0))[0]
            if (account, name) in model:
                model[account, name] = model.pop((account, name))
        else:
            octets = chance.choice([0, LEAST, 3 * LEAST, ROOM])
            kept.keep(account, name, step, octets)
            model.pop((account, name), None)
            if octets + LEAST <= ROOM:
                model[account, name] = step, octets + LEAST
            while sum(size for _, size in model.values()) > ROOM:
                del model[next(iter(model))]
    kept.clear()
    assert all(kept.get(account, name) is None for account, name in model)
    kept.keep("a", None, 1, ROOM - LEAST)
    assert kept.get("a", None) == 1
