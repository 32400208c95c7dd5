"""Reverse proxies in front of this server: what they need to be told, and whether they do it."""
