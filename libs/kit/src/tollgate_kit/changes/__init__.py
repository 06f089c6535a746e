"""Code that every operator's change goes through, in each service."""
