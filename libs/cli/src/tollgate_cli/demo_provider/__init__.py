"""The demo provider: a real HTTP server that speaks every protocol that an upstream may speak.

Gives deterministic answers with true usage, and misbehaves when the model's name asks for it, so
that demos and tests have an upstream whose truth they can read back at `/_demo/stats`. Never part
of a production installation.
"""
