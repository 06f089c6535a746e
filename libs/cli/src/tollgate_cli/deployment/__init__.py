"""What runs where and who may call whom, and all that follows from it."""
