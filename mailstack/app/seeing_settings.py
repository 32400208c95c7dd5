"""What is watched, and who may read the counters."""

from dataclasses import dataclass
from pathlib import Path

from mailstack.app.surroundings import StartProblem
from mailstack.app.watching import WatchSettings
from mailstack.config import Config, duration, size
from mailstack.net.proxied import Proxies
from mailstack.web.metrics import MetricsSettings

DISK_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class SeeingSettings:
    selftest: float | None  # seconds between two runs
    watch: WatchSettings
    metrics: MetricsSettings

    @classmethod
    def of(cls, config: Config) -> "SeeingSettings":
        """Raises StartProblem."""
        one = config.watch
        every = duration(one.selftest) if one.selftest else None
        watch = WatchSettings(size(one.disk_free), DISK_SHARE, duration(one.queue_age), one.queue_length)
        token = _token(config.metrics.token_file) if config.metrics.token_file else None
        return cls(every, watch, MetricsSettings(Proxies.of(config.metrics.readers), token))


def _token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not ASCII"
        raise StartProblem(f"metrics.token_file: {path}: can't be read: {reason}") from problem
    if not token:
        raise StartProblem(f"metrics.token_file: {path}: it is empty")
    return token
