"""The log: what may enter, its order, its tree, its signature, its checks."""
