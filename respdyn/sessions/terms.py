"""The terms of a call, where commands and sessions look for them."""

from respdyn.cluster.terms import Terms

__all__ = ["Terms"]
