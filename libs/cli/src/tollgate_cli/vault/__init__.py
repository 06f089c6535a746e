"""What a Vault must hold for Tollgate, and how an operator brings it there."""
