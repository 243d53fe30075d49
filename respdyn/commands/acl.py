"""ACL: who may do what. The users are those of the whole cluster; `sessions/users.py` keeps them.

Source: Redis `acl.c`.
"""

from respdyn.commands.declare import LOCAL, Command

_ADMIN = "admin noscript loading stale"
_PLAIN = "noscript loading stale"
_EACH = "O(N) with N the number of users"


def _sub(
    words: str, summary: str, flags: str = _ADMIN, complexity: str = "O(1)", arity: int = 0
) -> Command:
    """A subcommand. `words` is its syntax behind ACL."""
    return Command(
        f"acl|{words.split(' ', maxsplit=1)[0].lower()}", f"ACL {words}", summary, since="6.0.0",
        group="server", flags=flags, complexity=complexity, arity=arity, promise="local",
        route=LOCAL,
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        "acl", "ACL", "Looks at users and their rights, and changes them in the whole cluster.",
        since="6.0.0", group="server", flags="", arity=-2, promise="local", route=LOCAL,
        subcommands=(
            _sub("CAT [category]", "Lists the categories, or the commands of one.", _PLAIN),
            _sub("DELUSER username [username ...]",
                 "Deletes users and closes their connections.", complexity=_EACH),
            _sub("DRYRUN username command [arg ...]",
                 "Returns whether a user may run a command, without running it."),
            _sub("GENPASS [bits]", "Makes a password of random hex digits.", _PLAIN),
            _sub("GETUSER username", "Shows a user: flags, hashed passwords, rights."),
            _sub("HELP", "Lists the subcommands of ACL.", "loading stale"),
            _sub("LIST", "Shows all users as lines of an ACL file.", complexity=_EACH),
            _sub("LOAD", "Makes the users of the ACL file those of the cluster.",
                 complexity=_EACH),
            _sub("LOG [count | RESET]", "Shows what was refused at this node, or forgets it."),
            _sub("SAVE", "Writes the users to this node's ACL file.", complexity=_EACH),
            _sub("SETUSER username [rule [rule ...]]", "Makes or changes a user.",
                 complexity="O(N) with N the number of rules"),
            _sub("USERS", "Lists the names of users.", complexity=_EACH),
            _sub("WHOAMI", "Returns the user as which the connection is authenticated.", _PLAIN),
        ),
    ),
)
