"""Who a message is really from: signatures and policies, pure."""
