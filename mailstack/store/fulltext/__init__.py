"""Search in the text of messages: an index beside each account's own, filled and asked by helper processes."""
