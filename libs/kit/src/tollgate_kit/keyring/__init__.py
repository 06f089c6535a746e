"""Encrypts and decrypts what a service alone may read: the seam, and its file."""
