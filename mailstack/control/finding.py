"""The account that an operation is about."""

from mailstack.control.arguments import OperationProblem, read_address
from mailstack.store.users.directory import AccountRecord, Directory


async def find_account(directory: Directory, text: str, *, to_fill: bool = False) -> AccountRecord:
    """By its address. Raises OperationProblem; `to_fill`: the account is for what comes, and may be yet to be made."""
    key = read_address(text).key
    record = (await directory.entry(key)).account
    if record is None:
        raise OperationProblem(f"there is no account {key}" + (f"; add it first: mailstack user add {key}" if to_fill else ""))
    return record
