"""Rules about commands as ACL LIST and GETUSER print them: the shortest that Redis finds.

A user's rules are kept as the operator wrote them (`acl_rules`). Redis 7.0 keeps only which
commands are allowed and, to print the rules, makes up new ones: from nothing, or from everything
if commands to come are allowed as well, it takes the category in which most commands agree and
fewest differ, again and again, and then names the commands that are left over. So `+@read -get
+get` reads `-@all +@read`. Here the same is done with the same commands: those of Redis 7.0 are
counted, offered here or not; respdyn's own are only among those named at the end.

Sets of commands are integers, one bit a command.

Source: Redis 7.0 `acl.c` (ACLDescribeSelectorCommandRules).
"""

from typing import Final

from respdyn.commands.absent import ABSENT
from respdyn.commands.declare import CATEGORIES, Command
from respdyn.commands.table import COMMANDS

_OFFERED: Final = {
    one.name: one for command in COMMANDS for one in (command, *command.subcommands)
}
_NAMES: Final = sorted({*ABSENT, *_OFFERED}, key=lambda name: name.split("|"))
_BIT: Final = {name: 1 << at for at, name in enumerate(_NAMES)}
_ALL: Final = (1 << len(_NAMES)) - 1


def _is_of_redis(command: Command) -> bool:
    """Whether Redis 7.0 has it."""
    major, minor = map(int, command.since.split(".")[:2])
    return not command.name.startswith("dyn.") and (major, minor) <= (7, 0)


def _with_parts(name: str) -> int:
    """A command and its subcommands, which are allowed and forbidden together."""
    return sum(bit for other, bit in _BIT.items() if other.split("|")[0] == name) or _BIT[name]


_WHOLE: Final = {name: _BIT[name] if "|" in name else _with_parts(name) for name in _NAMES}


def _of_category(category: str) -> tuple[int, int]:
    """What a rule about it changes, and which commands are counted."""
    changed = counted = 0
    for name in _NAMES:
        command = _OFFERED.get(name)
        if category in (ABSENT[name] if command is None else command.categories):
            changed |= _WHOLE[name]
            if command is None or _is_of_redis(command):
                counted |= _BIT[name]
    return changed, counted


_CATEGORIES: Final = {category: _of_category(category) for category in CATEGORIES}


def printed(rules: list[bytes]) -> list[bytes]:
    """The rules of a selector as Redis prints them. The first of them is +@all or -@all.

    >>> printed([b"-@all", b"+@read", b"+get"])
    [b'-@all', b'+@read']
    """
    starts_full = rules[0] == b"+@all"
    allowed, first_words, unknown = _replayed(rules)
    out = [rules[0]]
    left, shown = allowed, _ALL if starts_full else 0
    applied: set[str] = set()
    while category := _best(left, starts_full, applied):
        applied.add(category)
        out.append((b"-@" if starts_full else b"+@") + category.encode())
        changed = _CATEGORIES[category][0]
        if starts_full:
            left, shown = left | changed, shown & ~changed
        else:
            left, shown = left & ~changed, shown | changed
    for name, bit in _BIT.items():
        if (allowed ^ shown) & bit:
            out.append((b"+" if allowed & bit else b"-") + name.encode())
            shown = shown | _WHOLE[name] if allowed & bit else shown & ~_WHOLE[name]
        if not allowed & bit:
            out += [b"+%b|%b" % (name.encode(), part) for part in first_words.get(name, ())]
    return out + unknown


def _replayed(rules: list[bytes]) -> tuple[int, dict[str, list[bytes]], list[bytes]]:
    """What the rules allow: commands, and of others some first arguments (`+select|0`).

    Beside it the rules about what only a newer node knows.
    """
    allowed = 0
    unknown: list[bytes] = []
    first_words: dict[str, list[bytes]] = {}
    for rule in rules:
        may, name = rule[:1] == b"+", rule[1:].decode("latin-1")
        container, _, part = name.partition("|")
        if name == "@all":
            changed = _ALL
        elif name[:1] == "@" and name[1:] in _CATEGORIES:
            changed = _CATEGORIES[name[1:]][0]
        elif name in _BIT:
            changed = _WHOLE[name]
        elif part and container in _BIT:
            words = first_words.setdefault(container, [])
            if part.encode("latin-1") not in words:
                words.append(part.encode("latin-1"))
            continue
        else:
            unknown.append(rule)
            continue
        allowed = allowed | changed if may else allowed & ~changed
        first_words = {one: left for one, left in first_words.items() if not changed & _BIT[one]}
    return allowed, first_words, unknown


def _best(left: int, starts_full: bool, applied: set[str]) -> str:
    """The category with fewest commands that differ, of those with more that agree; "" if none."""
    best, least, most = "", 1 << 31, 0
    for category, (_, counted) in _CATEGORIES.items():
        if category in applied:
            continue
        on = (left & counted).bit_count()
        off = counted.bit_count() - on
        differ, agree = (on, off) if starts_full else (off, on)
        if agree > differ and (differ < least or (differ == least and agree > most)):
            best, least, most = category, differ, agree
    return best
