"""Sessions: what one use pays for, from the answer that opens a download to its settling (docs/decisions/0008)."""
