"""Causes that stop a move."""


class MoveProblem(Exception):
    """Why it can't be done, in words for the admin."""
