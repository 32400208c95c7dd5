"""Clients that run beside a measurement, in a process of their own, until standard input ends or says stop.

`load PORT RATE` delivers that many messages a second.
`noop PORT` asks NOOP every millisecond, and prints the longest wait in ms.
"""

import asyncio
import select
import sys
import time

import uvloop

from bench.client import Imap, send_all
from bench.corpus import message
from bench.peers import DOMAIN


async def load(port: int, rate: float) -> None:
    """Twenty connections share the rate."""
    texts = [message(number) for number in range(50)]
    start = time.perf_counter()
    sent = 0
    print("begun", flush=True)
    while not _stopped():
        due = int((time.perf_counter() - start) * rate) - sent
        if due <= 0:
            await asyncio.sleep(0.002)
            continue
        some = min(due, 20)
        batch = [("sender@example.net", f"user{(sent + n) % 10}@{DOMAIN}", texts[(sent + n) % 50]) for n in range(some)]
        await send_all(port, some, batch)
        sent += some


def noop(port: int) -> None:
    connection = Imap(port)
    longest = 0.0
    print("begun", flush=True)
    while not _stopped():
        start = time.perf_counter()
        connection.command(b"NOOP")
        longest = max(longest, time.perf_counter() - start)
        time.sleep(0.001)
    connection.close()
    print(f"{longest * 1000:.2f}")


def _stopped() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


if __name__ == "__main__":
    if sys.argv[1] == "load":
        uvloop.run(load(int(sys.argv[2]), float(sys.argv[3])))
    else:
        noop(int(sys.argv[2]))
