"""The pool of connections, and migrations."""
