"""Connections and HTTP/1.1 as clients and attackers speak it."""
