"""Orders: what was bought, its lines, and where it stands."""
