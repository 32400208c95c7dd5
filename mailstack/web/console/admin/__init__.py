"""The admin's pages: what the commands do, in a browser."""
