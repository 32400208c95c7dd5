"""From the index to a mailbox in memory, and back. Blocking code."""

from array import array
from pathlib import Path

from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.facts import Fact, Head, unpack
from mailstack.store.mailbox.index import Index, Snapshot
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.state import MailboxState, Tombstones

TOMBSTONES_KEPT = 50_000


def load_state(index: Index, marks: Marks, head: Head | None, pending: list[Fact], folder: Path) -> MailboxState:
    """Segments, then the journal's facts. Without a head the index was lost: UIDs and MODSEQs go on at the marks."""
    if head is None or head.uid_validity != marks.uid_validity:
        state = MailboxState(marks.id, marks.uid_validity, uid_next=marks.uid_mark, highest_modseq=marks.modseq_mark)
        state.tombstones.since = marks.modseq_mark
        pending = pending if head is None else []
    else:
        state = MailboxState(marks.id, marks.uid_validity, head.uid_next, head.highest_modseq)
        state.tombstones = Tombstones(
            unpack("I", head.tombstone_uids), unpack("Q", head.tombstone_modseqs), head.tombstones_since
        )
        for segment in index.segments(marks.id):
            state.load_segment(segment)
        state.octets = head.octets
    state.keywords = keywords.read(folder)
    for fact in pending:
        state.apply(fact)
    return state


def snapshot_of(state: MailboxState, folder_times: tuple[int, int], *, unsure: bool) -> Snapshot:
    """What the index must take over; the state's dirty segments."""
    buried = state.tombstones
    if len(buried.uids) > TOMBSTONES_KEPT:
        cut = len(buried.uids) - TOMBSTONES_KEPT // 2
        state.tombstones = buried = Tombstones(
            array("I", buried.uids[cut:]), array("Q", buried.modseqs[cut:]), buried.modseqs[cut - 1]
        )
    head = Head(
        uid_validity=state.uid_validity,
        uid_next=state.uid_next,
        highest_modseq=state.highest_modseq,
        tombstone_uids=buried.uids.tobytes(),
        tombstone_modseqs=buried.modseqs.tobytes(),
        tombstones_since=buried.since,
        folder_times=folder_times,
        octets=state.octets,
        messages=len(state.uids),
        unsure=unsure,
    )
    return Snapshot(state.id, head, {number: state.segment(number) for number in state.dirty})
