"""user.certificate.*: client certificates that are bound to accounts."""

from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address, read_label
from mailstack.control.operations import Operation
from mailstack.mailauth.client_certificate import parse_certificate
from mailstack.message.errors import SyntaxProblem
from mailstack.store.users.directory import Directory


class CertificateOperations:
    def __init__(self, directory: Directory, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {
            "user.certificate.add": self.add,
            "user.certificate.list": self.list_,
            "user.certificate.remove": self.remove,
        }

    async def add(self, arguments: Arguments) -> Any:
        key, label = read_address(arguments["address"]).key, read_label(arguments["label"])
        try:
            fingerprint, pem, subject = parse_certificate(str(arguments["pem"]).encode())
        except SyntaxProblem as problem:
            raise OperationProblem(problem.reason) from None
        await self._directory.bind_certificate(key, label, fingerprint, pem, subject, self._clock())
        return {"address": key, "label": label, "fingerprint": fingerprint, "subject": subject}

    async def list_(self, arguments: Arguments) -> Any:
        return await self._directory.certificates(read_address(arguments["address"]).key)

    async def remove(self, arguments: Arguments) -> Any:
        await self._directory.unbind_certificate(read_address(arguments["address"]).key, arguments["label"])
