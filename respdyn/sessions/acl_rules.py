"""ACL rules of a user: the words that make them, and the judgement of a command.

A user has flags, passwords (as SHA-256, never as they are) and selectors. A command is allowed if
one selector allows all of it: the command, every key by the way it is used, every channel. The
first selector is the user's own, the others stand in parentheses.

    user alice on #5e88... ~cache:* %R~config:* resetchannels -@all +@read +set (~jobs:* +@write)

A user is changed by words as in ACL SETUSER, and is shown as words that make the same user again.
Of the rules about commands the words are kept in their order, so they mean what the operator wrote
also where the table of commands is another (Redis 7.2 does this; 7.0 derives them from what is
allowed, and so they are printed: `acl_print`). Words about commands that neither respdyn nor Redis
7.0 has are refused when an operator says them, and kept without effect when another node does,
which may be newer; words about Redis's that are not here yet are kept without effect.

Source: Redis 7.0 `acl.c`.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final, NamedTuple

from respdyn.commands.absent import ABSENT
from respdyn.commands.arguments import word
from respdyn.commands.declare import CATEGORIES, Command
from respdyn.commands.key_uses import READS, WRITES, Use, uses_of
from respdyn.commands.scan import glob_match
from respdyn.commands.table import COMMANDS, find, find_by_name
from respdyn.errors import ReplyError
from respdyn.resp.requests import split_inline
from respdyn.sessions.acl_print import printed

_BOTH: Final = READS | WRITES
_WAYS: Final = {b"R": READS, b"W": WRITES, b"RW": _BOTH, b"WR": _BOTH}

UNKNOWN: Final = "Unknown command or category name in ACL"
SYNTAX: Final = "Syntax error"
_KEYS_AFTER_ALL: Final = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have "
    "any effect. Try 'resetkeys' to start with an empty list of patterns"
)
_CHANNELS_AFTER_ALL: Final = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not "
    "have any effect. Try 'resetchannels' to start with an empty list of channels"
)
_NO_SUCH_PASSWORD: Final = "The password you are trying to remove from the user does not exist"
_NOT_A_HASH: Final = (
    "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
    "characters"
)
_FIRST_ARGUMENT: Final = "Allowing first-arg of a subcommand is not supported"

# Commands that name channels: the first and the last argument that does, and how.
_CHANNELS: Final[dict[str, tuple[int, int | None, bool]]] = {
    "publish": (1, 2, False),
    "spublish": (1, 2, False),
    "subscribe": (1, None, False),
    "ssubscribe": (1, None, False),
    "psubscribe": (1, None, True),
}


class RuleError(ValueError):
    """A word that changes no user, or cannot: the reason in Redis's words."""


class Denied(NamedTuple):
    """What a user may not do: `kind` is command, key or channel, `at` its place in the words."""

    kind: str
    at: int


class Selector:
    """One set of rights."""

    __slots__ = (
        "all_channels", "all_commands", "all_keys", "allowed", "channels", "first_words",
        "patterns", "rules",
    )

    def __init__(self) -> None:
        self.all_keys = self.all_channels = self.all_commands = False
        self.patterns: dict[bytes, int] = {}            # key pattern -> ways
        self.channels: dict[bytes, None] = {}           # in the order in which they were given
        self.allowed: set[Command] = set()
        self.first_words: dict[Command, tuple[bytes, ...]] = {}     # +select|0
        self.rules: list[bytes] = [b"-@all"]

    def copy(self) -> Selector:
        other = Selector()
        other.all_keys, other.all_channels = self.all_keys, self.all_channels
        other.all_commands = self.all_commands
        other.patterns, other.channels = dict(self.patterns), dict(self.channels)
        other.allowed, other.first_words = set(self.allowed), dict(self.first_words)
        other.rules = list(self.rules)
        return other

    # ---- changing ----

    def change(self, rule: bytes, is_strict: bool) -> None:
        """Apply one word. Raises `RuleError`."""
        lowered = word(rule).lower()
        if lowered in (b"allkeys", b"~*"):
            self.all_keys = True
            self.patterns.clear()
        elif lowered == b"resetkeys":
            self.all_keys = False
            self.patterns.clear()
        elif lowered in (b"allchannels", b"&*"):
            self.all_channels = True
            self.channels.clear()
        elif lowered == b"resetchannels":
            self.all_channels = False
            self.channels.clear()
        elif lowered in (b"allcommands", b"+@all", b"nocommands", b"-@all"):
            self._all_commands(lowered in (b"allcommands", b"+@all"))
        elif rule[:1] in (b"~", b"%"):
            self._add_keys(rule)
        elif rule[:1] == b"&":
            if self.all_channels:
                raise RuleError(_CHANNELS_AFTER_ALL)
            self.channels[_pattern(rule[1:])] = None
        elif rule[:1] in (b"+", b"-"):
            self._change_commands(lowered, is_strict)
        else:
            raise RuleError(SYNTAX)

    def _all_commands(self, may: bool) -> None:
        self.all_commands = may
        self.allowed = set(_EVERYTHING) if may else set()
        self.first_words.clear()
        self.rules = [b"+@all" if may else b"-@all"]

    def _add_keys(self, rule: bytes) -> None:
        if self.all_keys:
            raise RuleError(_KEYS_AFTER_ALL)
        ways, at = _BOTH, 1
        if rule[:1] == b"%":
            marks, tilde, _ = rule[1:].upper().partition(b"~")
            if marks not in _WAYS:
                raise RuleError(SYNTAX)
            ways, at = _WAYS[marks], 1 + len(marks) + len(tilde)
        pattern = _pattern(rule[at:])
        self.patterns[pattern] = self.patterns.get(pattern, 0) | ways

    def _change_commands(self, rule: bytes, is_strict: bool) -> None:
        may, name = rule[:1] == b"+", rule[1:]
        try:
            if name[:1] == b"@":
                self._change_category(name[1:].decode("latin-1"), may)
            elif _is_absent(name, may):
                pass            # it has its effect when the command comes
            elif may and b"|" in name:
                self._allow_part(name)
            else:
                self._change_command(_command(name), may)
        except RuleError as wrong:
            if is_strict or str(wrong) != UNKNOWN:
                raise
        self._note(rule)

    def _change_category(self, category: str, may: bool) -> None:
        if category not in CATEGORIES:
            raise RuleError(UNKNOWN)
        for command in _EVERYTHING:
            if category in command.categories:
                self._change_command(command, may)

    def _change_command(self, command: Command, may: bool) -> None:
        for one in (command, *command.subcommands):
            self.first_words.pop(one, None)
            if may:
                self.allowed.add(one)
            else:
                self.allowed.discard(one)
                self.all_commands = False

    def _allow_part(self, name: bytes) -> None:
        """`+config|get`, or `+select|0`: a command with this first argument only."""
        container, _, part = name.rpartition(b"|")
        command = _command(container)
        if b"|" in container:
            raise RuleError(_FIRST_ARGUMENT)
        if not part:
            raise RuleError(SYNTAX)
        if command.subcommands:
            self._change_command(_command(name), True)
            return
        known = self.first_words.get(command, ())
        if part not in known:
            self.first_words[command] = (*known, part)

    def _note(self, rule: bytes) -> None:
        """Keep the word, in place of earlier ones about the same commands."""
        name = rule[1:]
        self.rules = [
            one for one in self.rules
            if one[1:] != name and not one[1:].startswith(name + b"|")
        ]
        self.rules.append(rule)

    # ---- showing ----

    def key_words(self) -> list[bytes]:
        if self.all_keys:
            return [b"~*"]
        marks = {_BOTH: b"~", READS: b"%R~", WRITES: b"%W~"}
        return [marks[ways] + pattern for pattern, ways in self.patterns.items() if ways]

    def channel_words(self) -> list[bytes]:
        if self.all_channels:
            return [b"&*"]
        return [b"&" + pattern for pattern in self.channels]

    def words(self) -> list[bytes]:
        return [*self._words_before(), *self.rules]

    def shown(self) -> list[bytes]:
        """The words as Redis prints them: the same rights, fewer rules."""
        return [*self._words_before(), *printed(self.rules)]

    def _words_before(self) -> list[bytes]:
        reset = [] if self.all_channels else [b"resetchannels"]
        return [*self.key_words(), *reset, *self.channel_words()]

    # ---- judging ----

    @property
    def is_unbounded(self) -> bool:
        return self.all_keys and self.all_channels and self.all_commands

    @property
    def reads_all(self) -> bool:
        return self.all_keys or bool(self.patterns.get(b"*", 0) & READS)

    def judge(self, command: Command, argv: list[bytes], uses: list[Use]) -> Denied | None:
        """What stands in the way, the first of it."""
        if (
            not self.all_commands and command not in self.allowed
            and "no_auth" not in command.flag_words and not self._is_first_word(command, argv)
        ):
            return Denied("command", 0)
        if not self.all_keys:
            for use in uses:
                if not self.may_use(use.key, use.ways):
                    return Denied("key", use.at)
        if not self.all_channels and command.name in _CHANNELS:
            first, last, is_pattern = _CHANNELS[command.name]
            for at, channel in enumerate(argv[first:last], first):
                if not self.may_receive(channel, is_pattern):
                    return Denied("channel", at)
        return None

    def _is_first_word(self, command: Command, argv: list[bytes]) -> bool:
        return len(argv) > 1 and word(argv[1]).lower() in self.first_words.get(command, ())

    def may_use(self, key: bytes, ways: int) -> bool:
        return self.all_keys or any(
            granted & ways == ways and glob_match(pattern, key)
            for pattern, granted in self.patterns.items()
        )

    def may_receive(self, channel: bytes, is_pattern: bool) -> bool:
        """A pattern must be allowed as it stands; a channel must fit an allowed pattern."""
        if self.all_channels or is_pattern:
            return self.all_channels or channel in self.channels
        return any(glob_match(pattern, channel) for pattern in self.channels)


class User:
    """A user as it is now. Replaced, never changed, once others may see it."""

    __slots__ = ("is_on", "name", "nopass", "passwords", "payload", "selectors")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.is_on = False
        self.nopass = False
        self.payload = b""                          # sanitize-payload, skip-..., or unsaid
        self.passwords: dict[bytes, None] = {}      # hashes, as hex
        self.selectors = [Selector()]

    def changed(self, rules: list[bytes], is_strict: bool = True) -> User:
        """The user that these words make of this one. Raises `RuleError`: all of them or none.

        The error has the word and the reason: `wrong.args == (reason, word)`.
        """
        user = User(self.name)
        user.is_on, user.nopass, user.payload = self.is_on, self.nopass, self.payload
        user.passwords = dict(self.passwords)
        user.selectors = [selector.copy() for selector in self.selectors]
        for rule in rules:
            try:
                user._change(rule, is_strict)
            except RuleError as wrong:
                raise RuleError(str(wrong), rule) from None
        return user

    def _change(self, rule: bytes, is_strict: bool) -> None:
        lowered = word(rule).lower()
        if not rule:
            return
        if lowered in (b"on", b"off"):
            self.is_on = lowered == b"on"
        elif lowered in (b"skip-sanitize-payload", b"sanitize-payload"):
            self.payload = lowered
        elif lowered in (b"nopass", b"resetpass"):
            self.nopass = lowered == b"nopass"
            self.passwords.clear()
        elif rule[:1] in b">#<!":
            self._change_password(rule)
        elif rule[:1] == b"(" and rule[-1:] == b")":
            selector = Selector()
            for inner in split_inline(rule[1:-1]) or []:
                selector.change(inner, is_strict)
            self.selectors.append(selector)
        elif lowered == b"clearselectors":
            del self.selectors[1:]
        elif lowered == b"reset":
            self.is_on = self.nopass = False
            self.payload = b"sanitize-payload"
            self.passwords.clear()
            self.selectors = [Selector()]
        else:
            self.selectors[0].change(rule, is_strict)

    def _change_password(self, rule: bytes) -> None:
        kind, value = rule[:1], rule[1:]
        if kind in b"><":
            value = hashed(value)
        elif len(value) != 64 or any(char not in b"0123456789abcdef" for char in value):
            raise RuleError(_NOT_A_HASH)
        if kind in b">#":
            self.passwords[value] = None
            self.nopass = False
        elif value not in self.passwords:
            raise RuleError(_NO_SUCH_PASSWORD)
        else:
            del self.passwords[value]

    # ---- showing ----

    def flags(self) -> list[bytes]:
        shown = [b"on" if self.is_on else b"off"]
        if self.nopass:
            shown.append(b"nopass")
        if self.payload:
            shown.append(self.payload)
        return shown

    def words(self) -> list[bytes]:
        """The words that make this user of a new one. Hashes of passwords are among them."""
        return self._shown([one.words() for one in self.selectors])

    def shown(self) -> list[bytes]:
        """These words as ACL LIST prints them."""
        return self._shown([one.shown() for one in self.selectors])

    def _shown(self, selectors: list[list[bytes]]) -> list[bytes]:
        root, *others = selectors
        return [
            *self.flags(), *(b"#" + one for one in self.passwords), *root,
            *(b"(" + b" ".join(other) + b")" for other in others),
        ]

    # ---- judging ----

    @property
    def is_unbounded(self) -> bool:
        """Whether nothing that it does needs to be looked at."""
        return any(selector.is_unbounded for selector in self.selectors)

    @property
    def needs_password(self) -> bool:
        """Of the default user: whether who connects must say who he is."""
        return not (self.nopass and self.is_on)

    def knows(self, password: bytes) -> bool:
        """Whether it may come in with this password. The time taken reveals nothing of it."""
        given = hashed(password)
        found = self.nopass
        for one in self.passwords:
            found |= hmac.compare_digest(given, one)
        return found and self.is_on

    def judge(self, command: Command, argv: list[bytes]) -> Denied | None:
        """What stands in the way of a command, or nothing: the closest that a selector came."""
        uses = uses_of(command, argv)
        closest: tuple[int, int] = (-1, -1)
        denied: Denied | None = None
        for selector in self.selectors:
            wrong = selector.judge(command, argv, uses)
            if wrong is None:
                denied = None
                break
            rank = _RANKS[wrong.kind], wrong.at
            if rank > closest:
                closest, denied = rank, wrong
        if denied is None and command.inner is not None:
            return self._judge_inner(command, argv)
        return denied

    def may_read_all(self, command: Command, argv: list[bytes]) -> bool:
        """Whether it may run a command, and read whatever key."""
        uses = uses_of(command, argv)
        return any(
            selector.reads_all and selector.judge(command, argv, uses) is None
            for selector in self.selectors
        )

    def _judge_inner(self, command: Command, argv: list[bytes]) -> Denied | None:
        """DYN.WITH carries another command, which must be allowed as well."""
        assert command.inner is not None
        try:
            inner = command.inner(argv)
        except ReplyError:
            return None         # it cannot be run: what would run it says why
        carried = find(inner) if inner else None
        if carried is None:
            return None
        wrong = self.judge(carried, inner)
        return wrong and Denied(wrong.kind, wrong.at + len(argv) - len(inner))

    def may_receive(self, channel: bytes, is_pattern: bool) -> bool:
        return any(selector.may_receive(channel, is_pattern) for selector in self.selectors)


_RANKS: Final = {"command": 0, "key": 1, "channel": 2}
_EVERYTHING: Final = tuple(
    one for command in COMMANDS for one in (command, *command.subcommands)
)


def judge_of(words: list[bytes]) -> User:
    """A user with these rights."""
    return User(b"").changed(words, False)


def hashed(password: bytes) -> bytes:
    """The hash of a password, as hex.

    >>> hashed(b"abc")[:8]
    b'ba7816bf'
    """
    return sha256(password).hexdigest().encode()


def has_spaces(name: bytes) -> bool:
    """Whether it could not stand in a line of ACL LIST."""
    return any(char in b" \t\n\v\f\r\0" for char in name)


def merged(rules: list[bytes]) -> list[bytes]:
    """The words, with selectors that are spread over several made one each.

    Raises `RuleError` with the word that opens a parenthesis that nothing closes.
    """
    out: list[bytes] = []
    opening = b""
    parts: list[bytes] = []
    for rule in rules:
        if rule[:1] == b"(" and rule[-1:] != b")":
            opening, parts = rule, [rule]
        elif parts:
            parts.append(rule)
            if rule[-1:] == b")":
                out.append(b" ".join(parts))
                parts = []
        else:
            out.append(rule)
    if parts:
        raise RuleError("Unmatched parenthesis", opening)
    return out


def _is_absent(name: bytes, may: bool) -> bool:
    """Whether it is a command of Redis that is not here, or a first argument of one."""
    shown = name.decode("latin-1")
    if shown in ABSENT:
        return True
    container, _, part = shown.partition("|")
    has_parts = any(one.startswith(container + "|") for one in ABSENT)
    return may and bool(part) and container in ABSENT and not has_parts and "|" not in part


def _command(name: bytes) -> Command:
    command = find_by_name(name)
    if command is None:
        raise RuleError(UNKNOWN)
    return command


def _pattern(pattern: bytes) -> bytes:
    if has_spaces(pattern):
        raise RuleError(SYNTAX)
    return pattern
