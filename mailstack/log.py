"""Events with fields. Secrets and message bodies never enter."""

import json
import logging
import sys
from typing import Any

import orjson
import structlog


def get_logger() -> Any:
    """A logger whose events carry what is bound to the running session and transaction."""
    return structlog.get_logger()


class _Forward(logging.Handler):
    """What libraries say, as events, so that every line of the log has one form."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        get_logger().log(max(record.levelno, logging.DEBUG), "library", logger=record.name, text=text, exc_info=record.exc_info)


def _dump(event: Any, **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # half a character, as in the name of somebody's file
        return json.dumps(event, default=str).encode()


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
        # A plain traceback: the library's own one shows local variables, and those hold passwords and mail.
        plain = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain))
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
    # aiosmtpd and asyncio log through the standard library: the latter becomes events, the former says a line a command.
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)
    logging.captureWarnings(True)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
