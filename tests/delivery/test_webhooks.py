"""What is logged of hooks that do not answer."""

import ssl
from typing import Any

import pytest
from structlog.testing import capture_logs

from mailstack.delivery.webhooks import Webhooks
from mailstack.store.users.webhooks import Due, Hook


class Table:
    async def again(self, *_: Any) -> None: ...
    async def done(self, *_: Any) -> None: ...


async def test_the_path_of_a_hook_is_a_secret_and_stays_out_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> str:
        return "HTTP 500"

    monkeypatch.setattr(Webhooks, "_post", refuse)
    hooks = Webhooks(Table(), None, ssl.create_default_context(), lambda: 100_000.0)  # type: ignore[arg-type]
    hook = Hook("abcd", "https://u:p4ss@hooks.far.test/services/T0/k3y?x=k3y", "whsec_", frozenset(), None)
    with capture_logs() as events:
        await hooks._tell(hook, [Due("one", "abcd", "{}", 99_999.0), Due("old", "abcd", "{}", 0.0)])
    assert [event["event"] for event in events] == ["webhook.failed", "webhook.given_up"]
    assert all(event["host"] == "hooks.far.test" for event in events)
    assert not any(word in str(events) for word in ("k3y", "p4ss"))
