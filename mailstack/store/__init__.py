"""The one place on disk."""
