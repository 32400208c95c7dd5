"""Domains, accounts, aliases and their passwords."""
