"""Certificates by themselves: asked for, renewed, watched, and proved by handshakes with this server."""
