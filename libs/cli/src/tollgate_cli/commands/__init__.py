"""What an operator types against a running suite, a file for each noun."""
