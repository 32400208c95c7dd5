"""One file a command family."""
