"""Money and rates: whether a call may be paid for, and the books."""
