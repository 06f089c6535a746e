"""A key of a tenant: what proves it, what it may call, and who is told that it is taken away."""
