"""The account that an operation is about."""

from mailstack.control.arguments import OperationProblem, read_address
from mailstack.store.users.directory import AccountRecord, Directory


async def find_account(directory: Directory, text: str) -> AccountRecord:
    """By its address. Raises OperationProblem."""
    key = read_address(text).key
    record = (await directory.entry(key)).account
    if record is None:
        raise OperationProblem(f"there is no account {key}")
    return record
