"""All that is one account's in a zip file: docs/takeout.md."""
