"""The only way out: HTTP to an upstream, at an address that is allowed."""
