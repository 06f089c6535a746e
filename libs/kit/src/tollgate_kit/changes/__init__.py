"""What every operator's change has in common, in whatever service."""
