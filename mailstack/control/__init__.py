"""The door for commands: `<data>/control.sock`, and the same operations without a server."""
