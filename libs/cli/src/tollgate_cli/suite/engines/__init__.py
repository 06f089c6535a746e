"""PostgreSQL and Redis as the embedded suite runs them."""
