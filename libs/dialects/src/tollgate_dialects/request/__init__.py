"""What a body asks for, as far as money depends on it, and the body that goes on."""
