"""What a plan sends, into the queue."""

from collections.abc import Sequence

from mailstack.delivery.parcels import Parcel
from mailstack.delivery.story import record_parcel
from mailstack.store.errors import StoreProblem
from mailstack.store.queue.queue import Queue
from mailstack.store.trace import Trace


async def post(queue: Queue, trace: Trace, id: str, parcels: Sequence[Parcel]) -> None:
    """Durably queued when it returns, all or none. `id`: of the message that they follow from. Raises StoreProblem."""
    prepared = []
    try:
        for parcel in parcels:
            prepared.append(await queue.prepare(parcel.envelope, parcel.prefix, parcel.content))
    except StoreProblem:
        for waiting in prepared:
            queue.discard(waiting)
        raise
    if prepared:
        await queue.commit(*prepared)
    for parcel in parcels:
        record_parcel(trace, id, parcel)
