"""Downloads: the door that decides and the bytes that follow."""
