"""A plugin of pytest that is loaded before all others (addopts in pyproject.toml).

Python before 3.12 fails a parse during which the collector runs another one, and pytest parses plugins and test modules.
"""

import gc

import pytest

gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Other plugins load what they sum up with."""
    gc.disable()
