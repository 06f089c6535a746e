"""Money: the rules of reserve and settle, and the stores that keep them."""
