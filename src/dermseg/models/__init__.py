"""The networks: one file per system, the contract they share, their registry and their weight files."""
