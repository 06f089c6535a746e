"""Shares of the edge and the pace of refusals. Pure."""
