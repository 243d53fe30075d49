"""The simulator's tests: what it must find, and that it finds the same again."""
