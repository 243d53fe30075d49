"""The audit log: who did what to the cluster: logins, users, settings, membership, FLUSHALL.

One line for each such command that its client may run, with the user, the address and what it is
about; never a value, a rule or a password. What is done often is logged once: a login for each user
and address.
"""

from typing import Final

from respdyn.ports import Trace
from respdyn.sessions.session import Session

_LOGGED_MAX: Final = 10_000       # logins remembered as logged
_NAMES_MAX: Final = 200         # characters that are shown of what a command is about

# The commands, and which of their words say what they are about: from the first, every so many.
_AUDITED: Final = {
    "acl|setuser": (2, 100), "acl|deluser": (2, 1), "acl|load": (2, 100), "acl|save": (2, 100),
    "config|set": (2, 2), "config|rewrite": (2, 100), "shutdown": (1, 1), "debug": (1, 100),
    "flushall": (1, 1), "flushdb": (1, 1), "monitor": (1, 100), "bgsave": (1, 100),
    **{
        f"dyn.cluster|{verb}": (2, 1) for verb in (
            "join", "leave", "replace", "force-remove", "change", "commit", "clear", "drain",
            "renew-keys", "repair",
        )
    },
}


class Audit:
    """The audit log: what operators do."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._logged: set[tuple[bytes, str]] = set()

    def logged_in(self, session: Session) -> None:
        """A client has said who it is."""
        address = session.address.rpartition(":")[0]
        if (session.user, address) not in self._logged and len(self._logged) < _LOGGED_MAX:
            self._logged.add((session.user, address))
            self._trace.event("logged_in", user=_shown(session.user), address=address)

    def runs(self, session: Session, name: str, argv: list[bytes]) -> None:
        """A client may run this command, and does, now or at its EXEC."""
        about = _AUDITED.get(name)
        if about is None:
            return
        words = b" ".join(argv[about[0] :: about[1]])
        self._trace.event(
            "audit", user=_shown(session.user), address=session.address, command=name,
            about=_shown(words),
        )

    def user_changed(self, name: bytes, node: str, is_gone: bool) -> None:
        """A statement about a user holds here from now on, wherever it was made."""
        self._trace.event(
            "user_changed", user=_shown(name), said_at=node[:8], deleted="yes" if is_gone else "no"
        )


def _shown(words: bytes) -> str:
    return "".join(
        letter if letter.isprintable() else "?" for letter in words.decode("utf-8", "replace")
    )[:_NAMES_MAX]
