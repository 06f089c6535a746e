"""Anthropic's messages, and what those who speak them have made of them."""
