"""Events with fields. Secrets and message bodies never enter."""

import logging
import sys
from typing import Any

import orjson
import structlog


def get_logger() -> Any:
    """A logger whose events carry what is bound to the running session and transaction."""
    return structlog.get_logger()


def _dump(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def configure(format: str = "auto", level: str = "info") -> None:
    """Set the format ("json", "console", or "auto": console on a terminal) and the lowest level, once or again on reload."""
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    number = getattr(logging, level.upper())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
        factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dump)]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    # aiosmtpd and asyncio log through the standard library, a line a command.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
