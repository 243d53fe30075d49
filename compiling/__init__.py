"""What compiles respdyn (docs/builds.md). Not part of what users install."""
