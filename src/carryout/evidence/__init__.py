"""Evidence: the append-only record of decisions and downloads, and the chain that shows whether it was changed."""
