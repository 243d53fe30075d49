"""respdyn held against what its users run: client libraries, their own tests, and Redis itself."""
