"""Anthropic's messages as other clouds take them: the same words in each cloud's envelope."""
