"""Programs on respdyn: queues, sessions, caches, limiters, locks, messages; and a counter."""
