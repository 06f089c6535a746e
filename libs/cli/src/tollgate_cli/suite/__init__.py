"""The embedded suite: what is started, in which order, and how it is looked after."""
