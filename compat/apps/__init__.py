"""Applications on respdyn: sessions, caches, rate limits, a counter."""
