"""The appliance as its users meet it."""
