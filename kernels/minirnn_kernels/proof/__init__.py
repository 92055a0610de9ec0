"""The proof that a record computes what the contract says."""
