"""The users of the cluster as this node knows them, and the guard before every command.

A change of a user is a *statement* (`cluster/shared_names`): the whole user as words, or that it is
deleted. The later one holds at every node. While a cut lasts each side obeys what it has received:
a user who was revoked on one side keeps on the other what he had, and is cut off as soon as one
connection joins them.

Users without a statement are those of the node's own start: the default user with `requirepass`,
and what `aclfile` lists. They are not sent to others.

A session without a guard may do everything; that is one attribute test for each command. Others are
judged: by `STRANGER` before they have said who they are, then by their user.

Source: Redis `acl.c`; SEMANTICS 8 for what is gossiped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from respdyn.cluster.shared_names import SharedNames, Statement
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import Command
from respdyn.config import Settings, is_loopback_only
from respdyn.errors import PeerError, ReplyError
from respdyn.sessions.acl_rules import Denied, RuleError, User, has_spaces, merged
from respdyn.sessions.audit import Audit
from respdyn.sessions.login_pace import LoginPace
from respdyn.sessions.session import PATTERN, Session

DEFAULT: Final = b"default"
STRANGER: Final = User(b"")
MOST_STATEMENTS: Final = 10_000     # about different users, deleted ones included
_SIMILAR_MS: Final = 60_000         # refusals alike within so long are one entry of ACL LOG
_SIMILAR_AMONG: Final = 10
_LOGGED_MAX: Final = 1000             # addresses whose failed log-in was logged
_ALL_RIGHTS: Final = [b"on", b"~*", b"&*", b"+@all"]

_TOO_OFTEN: Final = (
    "WRONGPASS too many wrong passwords from this address: try again in {:.1f} s"
)
NOT_AUTHENTICATED: Final = "NOAUTH Authentication required."
REFUSALS: Final = {
    "command": "NOPERM this user has no permissions to run the '{}' command",
    "key": "NOPERM this user has no permissions to access one of the keys used as arguments",
    "channel":
        "NOPERM this user has no permissions to access one of the channels used as arguments",
}
# Of a command that was queued while it was allowed.
EXEC_REFUSALS: Final = {
    kind: "NOPERM ACLs rules changed between the moment the transaction was accumulated and the "
          f"EXEC call. This command is no longer allowed for the following reason: {reason}"
    for kind, reason in (
        ("command", "no permission to execute the command or subcommand"),
        ("key", "no permission to touch the specified keys"),
        ("channel", "no permission to access one of the channels used as arguments"),
    )
}
DEBUG_REFUSED: Final = (
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can'
    " run it from a local connection, otherwise you need to set this option in the configuration"
    " file, and then restart the server."
)


class Refusal:
    """One entry of ACL LOG."""

    __slots__ = ("client", "context", "count", "object", "reason", "user", "when_ms")

    def __init__(
        self, reason: str, context: str, object_: bytes, user: bytes, client: bytes, when_ms: int
    ) -> None:
        self.count = 1
        self.reason = reason        # command, key, channel, auth
        self.context = context      # toplevel, multi
        self.object = object_       # what was not allowed
        self.user = user
        self.client = client        # as in CLIENT LIST
        self.when_ms = when_ms


class Users:
    """All users, and the sessions that they have."""

    def __init__(
        self, node: ThisNode, sessions: dict[int, Session],
        send_to_all: Callable[[bytes], None], close: Callable[[Session], None],
        describe: Callable[[Session], bytes],
    ) -> None:
        self._node = node
        self._close = close
        self._describe = describe       # as in CLIENT LIST
        self._sessions = sessions
        self.statements = SharedNames(
            node, "users", MOST_STATEMENTS, send_to_all, _check, self._took
        )
        self._base: dict[bytes, User] = {}          # by this node's own start
        self._named: dict[bytes, User] = {}
        self._logged: set[tuple[str, str]] = set()
        self._pace = LoginPace()
        self.audit = Audit(node.trace)
        self.log: deque[Refusal] = deque()          # newest first
        self._is_begun = False          # what is received from now on is news
        self._settle(DEFAULT)

    # ---- who there is ----

    def names(self) -> list[bytes]:
        """In the order of their bytes."""
        return sorted(self._named)

    def get(self, name: bytes) -> User | None:
        return self._named.get(name)

    @property
    def default(self) -> User:
        return self._named[DEFAULT]

    # ---- sessions ----

    def welcome(self, session: Session) -> None:
        """A new connection, or one after RESET: the default user, if that needs no password."""
        session.user = DEFAULT
        session.authenticated = not self.default.needs_password
        self._guard(session)

    def log_in(self, session: Session, name: bytes, password: bytes, command: bytes) -> bool:
        """Whether a client is who it says. A failure is noted; `command` is AUTH or HELLO."""
        address, now_ms = session.address.rpartition(":")[0], self._node.now.now_ms
        if wait_ms := self._pace.wait_ms(address, now_ms):
            self._node.counters.logins_delayed += 1
            raise ReplyError(_TOO_OFTEN.format(wait_ms / 1000))
        user = self._named.get(name)
        if not (user or STRANGER).knows(password):      # as long, whether or not there is such one
            self._pace.was_wrong(address, now_ms)
            self._note("auth", session, command, name)
            self.log_once(session, "login_failed")
            return False
        self._pace.was_right(address)
        session.user = name
        session.authenticated = True
        self.audit.logged_in(session)
        self._guard(session)
        return True

    def log_once(self, session: Session, event: str) -> None:
        """Log something that a client did wrong, once for each address."""
        logged = event, session.address.rpartition(":")[0]
        if logged not in self._logged and len(self._logged) < _LOGGED_MAX:
            self._logged.add(logged)
            self._node.trace.event(event, address=logged[1])

    def _guard(self, session: Session) -> None:
        if not session.authenticated:
            session.guard = STRANGER
            return
        user = self._named[session.user]
        session.guard = None if user.is_unbounded else user

    # ---- the guard ----

    def check(self, session: Session, command: Command, argv: list[bytes]) -> None:
        """Refuse what the session may not do. Raises `ReplyError`."""
        guard = session.guard
        if guard is None:
            return
        if guard is STRANGER:
            if "no_auth" not in command.flag_words:
                raise ReplyError(NOT_AUTHENTICATED)
            return
        denied = guard.judge(command, argv)
        if denied is not None:
            self.note(session, command, argv, denied, "toplevel")
            raise ReplyError(REFUSALS[denied.kind].format(command.name))
        if command.wants_all_keys is not None:
            refusal = command.wants_all_keys(argv)
            if refusal and not guard.may_read_all(command, argv):
                raise ReplyError(refusal)

    def check_queued(self, session: Session, command: Command, argv: list[bytes]) -> str:
        """Why a command of a transaction may not be run any more; "" if it may."""
        if session.guard is None or session.guard is STRANGER:
            return "" if session.guard is None else NOT_AUTHENTICATED
        denied = session.guard.judge(command, argv)
        if denied is None:
            return ""
        self.note(session, command, argv, denied, "multi")
        return EXEC_REFUSALS[denied.kind]

    def note(
        self, session: Session, command: Command, argv: list[bytes], denied: Denied, context: str
    ) -> None:
        """Keep a refusal for ACL LOG."""
        what = command.name.encode() if denied.kind == "command" else argv[denied.at]
        self._note(denied.kind, session, what, session.user, context)

    def _note(
        self, reason: str, session: Session, what: bytes, user: bytes, context: str = "toplevel"
    ) -> None:
        now_ms = self._node.now.wall_ms
        log = self.log
        client = self._describe(session)
        for at in range(min(len(log), _SIMILAR_AMONG)):
            one = log[at]
            if (one.reason, one.context, one.object, one.user) == (reason, context, what, user) \
                    and abs(now_ms - one.when_ms) <= _SIMILAR_MS:
                one.count += 1
                one.client, one.when_ms = client, now_ms
                del log[at]
                log.appendleft(one)
                return
        log.appendleft(Refusal(reason, context, what, user, client, now_ms))
        while len(log) > self._node.settings.acllog_max_len:
            log.pop()

    # ---- changes by an operator here ----

    def set_user(self, name: bytes, rules: list[bytes]) -> None:
        """ACL SETUSER. Raises `ReplyError`."""
        if has_spaces(name):
            raise ReplyError("ERR Usernames can't contain spaces or null characters")
        try:
            rules = merged(rules)
        except RuleError as wrong:
            opening = wrong.args[1].decode("latin-1")
            raise ReplyError(
                f"ERR Unmatched parenthesis in acl selector starting at '{opening}'."
            ) from None
        user = self._named.get(name) or User(name)
        try:
            changed = user.changed(rules)
        except RuleError as wrong:
            reason, rule = wrong.args
            shown = rule.split(b"\0")[0].decode("latin-1")
            raise ReplyError(f"ERR Error in ACL SETUSER modifier '{shown}': {reason}") from None
        self.state(name, changed)

    def delete(self, names: list[bytes]) -> int:
        """ACL DELUSER; how many there were. Raises `ReplyError`."""
        if DEFAULT in names:
            raise ReplyError("ERR The 'default' user cannot be removed")
        deleted = 0
        for name in names:
            if name in self._named:
                self.state(name, None)
                deleted += 1
        return deleted

    def set_default_password(self, password: str) -> None:
        """`requirepass` has changed. Unless ACL SETUSER said otherwise it is this node's own."""
        if DEFAULT in self.statements.known:
            secret = password.encode("utf-8", "surrogateescape")
            words = [b"resetpass", b">" + secret] if secret else [b"nopass"]
            self.state(DEFAULT, self.default.changed(words))
        else:
            self._settle(DEFAULT)

    def replace_all(self, users: Iterable[User]) -> None:
        """ACL LOAD: these users and no others."""
        wanted = {user.name: user for user in users}
        for name in self.names():
            if name not in wanted and name != DEFAULT:
                self.state(name, None)
        for name, user in sorted(wanted.items()):
            known = self._named.get(name)
            if known is None or known.words() != user.words():
                self.state(name, user)

    def state(self, name: bytes, user: User | None) -> None:
        """Set what holds of a user from now on, and send it to the others."""
        self.statements.say(name, user.words() if user else None)

    # ---- statements ----

    def begin(self, users: Iterable[User]) -> None:
        """At start: the users of `aclfile`, then what was said of users since."""
        for user in users:
            self._base[user.name] = user
            self._settle(user.name)
        self.statements.restore()
        self._is_begun = True

    def _took(self, statement: Statement) -> None:
        """A newer statement holds."""
        if self._is_begun:
            self.audit.user_changed(statement.name, statement.node, statement.words is None)
        self._settle(statement.name)

    def _settle(self, name: bytes) -> None:
        """Make the user anew, and its sessions' guards."""
        before = self._named.get(name)
        statement = self.statements.known.get(name)
        if statement is not None:
            user = None
            if statement.words is not None:
                user = User(name).changed(statement.words, is_strict=False)
        else:
            user = self._base.get(name)
            if user is None and name == DEFAULT:
                user = self._own_default()
        if user is None:
            self._named.pop(name, None)
        else:
            self._named[name] = user
        for session in list(self._sessions.values()):
            if name == DEFAULT and not session.authenticated and not self.default.needs_password:
                session.authenticated = True
            if session.user != name:
                continue
            if user is None or (before is not None and _receives_too_much(session, user)):
                self._cut_off(session)
            else:
                self._guard(session)

    def _own_default(self) -> User:
        secret = self._node.settings.requirepass.encode("utf-8", "surrogateescape")
        return User(DEFAULT).changed([*_ALL_RIGHTS, b">" + secret if secret else b"nopass"])

    def _cut_off(self, session: Session) -> None:
        """A user is gone: his connections end, and may do nothing before they do."""
        session.user = DEFAULT
        session.authenticated = False
        session.guard = STRANGER
        session.cut()
        self._close(session)


def _check(statement: Statement) -> None:
    """Raises `PeerError` for a peer's statement that makes no sense."""
    if statement.name == DEFAULT and statement.words is None:
        raise PeerError("a statement about a user that cannot be")
    try:
        User(statement.name).changed(statement.words or [], is_strict=False)
    except RuleError as wrong:
        raise PeerError(f"a statement about a user that cannot be: {wrong.args[0]}") from None


def _receives_too_much(session: Session, user: User) -> bool:
    """Whether a subscriber listens to what its user may no longer receive."""
    subscriptions = session.subscriptions
    return subscriptions is not None and any(
        not user.may_receive(name, kind == PATTERN)
        for kind, names in enumerate(subscriptions.names) for name in names
    )


def check_debug(settings: Settings, session: Session) -> None:
    """Raises `ReplyError` unless `enable-debug-command` lets this client say DEBUG."""
    allowed = settings.enable_debug_command
    host = session.address.rpartition(":")[0].strip("[]")
    if allowed == "no" or (allowed == "local" and not is_loopback_only([host])):
        raise ReplyError(DEBUG_REFUSED)
