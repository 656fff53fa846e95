"""Where other packages plug in: what is registered by name, here or by an entry point of theirs."""
