"""Chats told in other protocols, and other protocols told in chats."""
