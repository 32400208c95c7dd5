"""Backups: taken while the server runs, proven by restoring them, brought back whole or one account at a time."""
