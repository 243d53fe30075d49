"""The ACL file (`aclfile`): users that a node begins with, and what is wrong with the file.

It has one user a line, with the rules as they were given; ACL LIST shows shorter ones. Files are
the process's, so they are read through the `Host` that the node was given.

Source: Redis 7.0 `acl.c` (ACLLoadFromFile).
"""

from typing import Final

from respdyn.config_values import ConfigError
from respdyn.host import Host, HostError
from respdyn.sessions.acl_rules import UNKNOWN, RuleError, User, has_spaces, merged
from respdyn.sessions.users import Users

_UNCHANGED: Final = (
    "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
)


def begin_users(users: Users, aclfile: str, host: Host) -> None:
    """At start: the users of the file, then what was said of users since.

    Raises `ConfigError` when there is anything wrong with the file: half of it is no protection.
    """
    try:
        users.begin(parse_file(aclfile, host.read_text(aclfile)) if aclfile else [])
    except (HostError, RuleError) as wrong:
        raise ConfigError(f"aclfile {aclfile}: {wrong}") from None


def parse_file(name: str, content: str) -> list[User]:
    """The users of an ACL file. Raises `RuleError` with all that is wrong with it, in one line."""
    found: dict[bytes, User] = {}
    wrongs: list[str] = []
    for number, line in enumerate(content.split("\n"), 1):
        words = line.strip(" \t\r\n").encode("utf-8", "surrogateescape").split(b" ")
        if words == [b""]:
            continue
        if words[0] != b"user" or len(words) < 2:
            wrongs.append(
                f"{name}:{number} should start with user keyword followed by the username. "
            )
            continue
        user = words[1]
        shown = user.decode("latin-1")
        if has_spaces(user):
            wrongs.append(
                f"'{name}:{number}: username '{shown}' contains invalid characters. "
            )
        elif user in found:
            wrongs.append(f"WARNING: Duplicate user '{shown}' found on line {number}. ")
        else:
            found[user] = User(user)
            try:
                found[user] = found[user].changed(merged(words[2:]))
            except RuleError as wrong:
                wrongs.append(f"{name}:{number}: {_reason(wrong)}. ")
    if wrongs:
        raise RuleError("".join(wrongs) + _UNCHANGED)
    return list(found.values())


def _reason(wrong: RuleError) -> str:
    """Only names of commands are shown: what else is wrong may be a password."""
    reason, rule = wrong.args
    if reason == UNKNOWN:
        return f"Error in applying operation '{rule.decode('latin-1')}': {reason}"
    if reason.startswith("Unmatched"):
        return "Unmatched parenthesis in selector definition"
    return str(reason)
