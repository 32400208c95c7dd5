"""Packs that a helper makes ahead: taken when they are there, made here when they are not."""

import asyncio

from mailstack.store.mailbox.ahead import AT_ONCE, Ahead, Made


class Helper:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: dict[int, asyncio.Future[Made | None]] = {}

    async def make(self, number: int) -> Made | None:
        self.asked[number] = asyncio.get_running_loop().create_future()
        return await self.asked[number]


async def begun(helper: Helper, count: int) -> None:
    while len(helper.asked) < count:
        await asyncio.sleep(0)


async def test_every_second_one_is_the_helpers() -> None:
    helper = Helper()
    ahead = Ahead([10, 11, 12, 13, 14, 15], helper.make)
    await begun(helper, AT_ONCE)
    assert list(helper.asked) == [11, 13]
    assert await ahead.take(10) is None
    helper.asked[11].set_result({"envelope": {1: b"x"}})
    await begun(helper, 3)
    assert await ahead.take(11) == {"envelope": {1: b"x"}}
    assert list(helper.asked) == [11, 13, 15]
    ahead.close()


async def test_one_that_is_still_starting_is_not_waited_for() -> None:
    helper = Helper()
    ahead = Ahead([1, 2, 3, 4, 5, 6, 7, 8], helper.make)
    await begun(helper, AT_ONCE)
    assert [await ahead.take(number) for number in (1, 2, 3, 4)] == [None] * 4
    await begun(helper, 4)
    # What was passed is not asked for again.
    assert list(helper.asked) == [2, 4, 6, 8]
    ahead.close()


async def test_one_that_is_late_is_waited_for_a_little(monkeypatch) -> None:
    helper = Helper()
    ahead = Ahead([1, 2, 3, 4], helper.make)
    await begun(helper, 2)
    helper.asked[2].set_result(None)
    assert await ahead.take(2) is None  # it could not
    monkeypatch.setattr("mailstack.store.mailbox.ahead.PATIENCE", 0.0)
    assert await ahead.take(4) is None
    ahead.close()
