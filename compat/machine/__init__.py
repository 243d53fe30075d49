"""The differential machine: random commands, told to Redis and to respdyn alike."""
