"""The command line: one module a command group; no rules, no SQL."""
