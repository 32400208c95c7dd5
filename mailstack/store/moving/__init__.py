"""Whole accounts come in from other servers' Maildirs, and leave as such, with their UIDs."""
