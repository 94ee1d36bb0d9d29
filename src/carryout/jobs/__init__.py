"""Jobs: rows of our own table, inserted by the transaction that causes them, claimed and run by `runner.Worker`.

A job runs at least once: after a crash its lease runs out and it runs again, so what it calls must bear repetition.
"""
