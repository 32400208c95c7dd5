"""What browsers and mail programs say of themselves, in as few words as people need."""

from typing import Final

# Each browser names those before it, too: the first that fits is the one.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("FxiOS", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "Chrome OS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def program(said: str) -> str:
    """A browser with its system; mail programs as they call themselves."""
    if not said.startswith("Mozilla/"):
        return said or "–"
    browser = next((name for sign, name in BROWSERS if sign in said), "A browser")
    system = next((name for sign, name in SYSTEMS if sign in said), "")
    return f"{browser} on {system}" if system else browser
