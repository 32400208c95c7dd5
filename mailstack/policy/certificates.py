"""Whose a client's certificate is: it is bound to accounts, or an authority that the admin trusts put an address into it."""

import hashlib

from mailstack.mailauth.client_certificate import Authorities, vouched_addresses
from mailstack.store.users.directory import AccountRecord, Directory


class ClientCertificates:
    """`authorities` None: only what is bound counts."""

    def __init__(self, directory: Directory, authorities: Authorities | None) -> None:
        self._directory = directory
        self._authorities = authorities

    async def owner(self, der: bytes, identity: str) -> AccountRecord | None:
        """The account of a certificate; of several, the one that the client names. None: nobody's, or switched off."""
        keys = await self._directory.certificate_accounts(hashlib.sha256(der).hexdigest())
        if not keys and self._authorities is not None:
            keys = list(vouched_addresses(der, self._authorities))
        found: dict[str, AccountRecord] = {}
        for key in keys:
            record = await self._directory.account(key)
            if record is not None and not record.disabled:
                found[record.address] = record
        if not identity:
            return next(iter(found.values())) if len(found) == 1 else None
        named = await self._directory.account(identity)
        return found.get(named.address) if named is not None else None
