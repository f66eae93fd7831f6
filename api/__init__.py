"""The HTTP API lives here."""
