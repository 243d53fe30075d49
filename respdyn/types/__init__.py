"""What a key can hold, one file for each type."""
