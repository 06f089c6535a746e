"""Encrypts and decrypts what a service alone may read: the opener, the seam, and its file."""
