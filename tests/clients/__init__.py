"""Real mail programs from Debian packages."""
