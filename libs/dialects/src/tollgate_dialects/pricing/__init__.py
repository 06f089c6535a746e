"""Prices, what a call may cost at most, and what it did cost."""
