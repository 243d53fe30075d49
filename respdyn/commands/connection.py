"""Commands about the connection itself: who the client is, what it speaks, which database.

They are answered by `local/connection.py` on the client's session.

Source: Redis `networking.c`, `acl.c`, `db.c`. CLIENT SETINFO and NO-TOUCH are those of Redis 7.2:
today's client libraries send them on every connection.
"""

from respdyn.commands.declare import LOCAL, Command

_ALWAYS = "noscript loading stale fast no_auth allow_busy"
_ADMIN = "admin noscript loading stale"
_PLAIN = "noscript loading stale"
_VARIES = ("nondeterministic_output",)
_EACH = "O(N) with N the number of connections"

_CLIENT_SUBCOMMANDS = (
    Command(
        "client|caching", "CLIENT CACHING <YES | NO>",
        "Says whether the client will cache what the next command reads.",
        since="6.0.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|getredir", "CLIENT GETREDIR",
        "Returns the id of the connection that gets the invalidations in this one's place.",
        since="6.0.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|tracking",
        "CLIENT TRACKING <ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]]"
        " [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        "Notifies this client when something that it has read may have changed, at any node.",
        since="6.0.0", group="connection", flags=_PLAIN, arity=-3,
        promise="local", route=LOCAL,
    ),
    Command(
        "client|trackinginfo", "CLIENT TRACKINGINFO", "Returns how this connection tracks.",
        since="6.2.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|getname", "CLIENT GETNAME", "Gives the name of the connection.",
        since="2.6.9", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|help", "CLIENT HELP", "Lists the subcommands of CLIENT.",
        since="5.0.0", group="connection", flags="loading stale", promise="local", route=LOCAL,
    ),
    Command(
        "client|id", "CLIENT ID", "Gives the number of the connection.",
        since="5.0.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|info", "CLIENT INFO", "Describes this connection.",
        since="6.2.0", group="connection", flags=_PLAIN, tips=_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "client|kill",
        "CLIENT KILL <ip:port | [ID client-id] [TYPE type] [USER username] [ADDR ip:port]"
        " [LADDR ip:port] [SKIPME yes/no]>",
        "Closes connections: one by its address, or all that every filter fits.",
        since="2.4.0", group="connection", flags=_ADMIN, complexity=_EACH, arity=-3,
        promise="local", route=LOCAL,
    ),
    Command(
        "client|list",
        "CLIENT LIST [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>]"
        " [ID client-id [client-id ...]]",
        "Describes the connections of this node, one a line.",
        since="2.4.0", group="connection", flags=_ADMIN, complexity=_EACH, tips=_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "client|maint_notifications",
        "CLIENT MAINT_NOTIFICATIONS <ON | OFF> [MOVING-ENDPOINT-TYPE <none | internal-ip"
        " | external-ip | internal-fqdn | external-fqdn>]",
        "Has this node push, in RESP3, where to connect when it is about to stop.",
        since="7.2.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|no-evict", "CLIENT NO-EVICT <ON | OFF>",
        "Notes that the connection should not be closed for memory's sake.",
        since="7.0.0", group="connection", flags=_ADMIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|no-touch", "CLIENT NO-TOUCH <ON | OFF>",
        "Notes that reads should not count as use. Nothing is evicted here, so it changes nothing.",
        since="7.2.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|pause", "CLIENT PAUSE timeout [WRITE | ALL]",
        "Makes clients of this node wait for some milliseconds: all, or those that write.",
        since="2.9.50", group="connection", flags=_ADMIN, arity=-3, promise="local", route=LOCAL,
    ),
    Command(
        "client|unblock", "CLIENT UNBLOCK client-id [TIMEOUT | ERROR]",
        "Lets a client go on that waits in a blocking command. There are none yet.",
        since="5.0.0", group="connection", flags=_ADMIN, arity=-3, promise="local", route=LOCAL,
    ),
    Command(
        "client|unpause", "CLIENT UNPAUSE", "Ends CLIENT PAUSE.",
        since="6.2.0", group="connection", flags=_ADMIN, promise="local", route=LOCAL,
        complexity="O(N) with N the number of clients that wait",
    ),
    Command(
        "client|reply", "CLIENT REPLY <ON | OFF | SKIP>",
        "Switches replies off, on, or off for the next command alone.",
        since="3.2.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|setinfo", "CLIENT SETINFO <LIB-NAME libname | LIB-VER libver>",
        "Notes the client library's name or version.",
        since="7.2.0", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
    Command(
        "client|setname", "CLIENT SETNAME connection-name", "Names the connection.",
        since="2.6.9", group="connection", flags=_PLAIN, promise="local", route=LOCAL,
    ),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "ping", "PING [message]", "Gives the message back, or PONG.",
        since="1.0.0", group="connection", flags="fast",
        tips=("request_policy:all_shards", "response_policy:all_succeeded"),
        promise="local", route=LOCAL,
    ),
    Command(
        "echo", "ECHO message", "Gives the message back.",
        since="1.0.0", group="connection", flags="loading stale fast",
        promise="local", route=LOCAL,
    ),
    Command(
        "quit", "QUIT [argument ...]", "Closes the connection.",
        since="1.0.0", group="connection", flags=_ALWAYS, promise="local", route=LOCAL,
    ),
    Command(
        "reset", "RESET", "Makes the connection as it was when it was new.",
        since="6.2.0", group="connection", flags=_ALWAYS, promise="local", route=LOCAL,
    ),
    Command(
        "hello", "HELLO [protover [AUTH username password] [SETNAME clientname]]",
        "Shakes hands: agrees on the protocol, authenticates, names the connection.",
        since="6.0.0", group="connection", flags=_ALWAYS, promise="local", route=LOCAL,
    ),
    Command(
        "auth", "AUTH [username] password", "Authenticates the connection.",
        since="1.0.0", group="connection", flags=_ALWAYS, promise="local", route=LOCAL,
    ),
    Command(
        "select", "SELECT index", "Changes the database of the connection.",
        since="1.0.0", group="connection", flags="loading stale fast",
        promise="local", route=LOCAL,
    ),
    Command(
        "client", "CLIENT", "Looks at connections and changes them.",
        since="2.4.0", group="connection", flags="", arity=-2,
        promise="local", route=LOCAL, subcommands=_CLIENT_SUBCOMMANDS,
    ),
)
