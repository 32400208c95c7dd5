"""Unwanted mail: what is known of a message becomes findings, and their sum says tagged, Junk, or refused."""
