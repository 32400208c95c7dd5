"""The one place on the network."""
