"""The model of the store, and what is computed from it."""
