"""Which upstream key is tried, and what a refusal says about it. Pure."""
