"""Generations told in the one form of a conversation, and the one form told as generations."""
