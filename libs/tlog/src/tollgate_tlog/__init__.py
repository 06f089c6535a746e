"""The verifiable log: Merkle tree, notes, tiles, and their offline check. Standard library only."""
