"""The protocols that clients speak, as the edge shows them: how each lists models."""
