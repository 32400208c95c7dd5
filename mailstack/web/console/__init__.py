"""The console: pages for the admin and for each account's owner."""
