"""What the demo provider hears and says, a module per protocol; none knows another.

`conversation` is what is asked and said in no protocol's words, `speech` what every protocol can
do, `protocols` which there are.
"""
