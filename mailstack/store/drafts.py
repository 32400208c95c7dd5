"""Files that are written and flushed under a name that counts for nothing yet. Blocking code."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.store.content import Content
from mailstack.store.disk import Disk


@dataclass(frozen=True, slots=True)
class Draft:
    """A file to write: `data`, then what the spool file of `rest` holds."""

    path: bytes
    data: bytes
    rest: Content | None = None

    @property
    def size(self) -> int:
        """Octets."""
        return len(self.data) + (self.rest.size if self.rest is not None else 0)


def draft_of(path: bytes, head: bytes, content: Content) -> Draft:
    """`head` and a content behind it."""
    if content.descriptor is None:
        return Draft(path, head + content.bytes())
    return Draft(path, head, content)


def write_drafts(disk: Disk, drafts: Sequence[Draft]) -> list[OSError | None]:
    """All of them written, then all of them flushed. For each, why it could not be; then nothing is left of it."""
    results: list[OSError | None] = [None] * len(drafts)
    descriptors: dict[int, int] = {}
    for number, draft in enumerate(drafts):
        try:
            descriptors[number] = _create(disk, draft)
        except OSError as problem:
            results[number] = problem
    if len(descriptors) > 1:
        for descriptor in descriptors.values():
            disk.start_sync(descriptor)
    for number, descriptor in descriptors.items():
        try:
            disk.sync(descriptor)
        except OSError as problem:
            results[number] = problem
            _forget(disk, drafts[number])
        finally:
            disk.close(descriptor)
    return results


def _create(disk: Disk, draft: Draft) -> int:
    descriptor = disk.create(draft.path)
    try:
        disk.write(descriptor, draft.data)
        if draft.rest is not None and draft.rest.descriptor is not None:
            disk.copy(draft.rest.descriptor, descriptor, draft.rest.size)
    except BaseException:
        disk.close(descriptor)
        _forget(disk, draft)
        raise
    return descriptor


def _forget(disk: Disk, draft: Draft) -> None:
    with contextlib.suppress(OSError):
        disk.unlink(draft.path)
