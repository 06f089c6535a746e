"""Rotates the secrets of a running embedded suite, each with one command and no failed call."""
