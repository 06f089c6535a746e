"""Reads requests and writes answers, one module for each protocol; none imports another.

`conversation` is what is asked and said in no protocol's words, `speech` what every protocol can
do, `protocols` which there are.
"""
