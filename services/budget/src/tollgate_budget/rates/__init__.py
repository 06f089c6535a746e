"""Request and token rates: the rules, and the stores that keep them."""
