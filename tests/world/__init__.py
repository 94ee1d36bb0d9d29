"""What the tests run in: real databases that are thrown away, and the real program as a process."""
