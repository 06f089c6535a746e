"""Calls between services: mutual TLS, failures, unary calls, sessions of many on one stream."""
