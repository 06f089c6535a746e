"""Commands that an operator types against a running suite, one file for each noun."""
