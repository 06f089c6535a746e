"""The keyring that is Vault: its client, its logins, and what they may do with its keys."""
