"""The differential machine: random commands, run at Redis and at respdyn alike."""
