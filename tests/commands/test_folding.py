"""Commands of several keys: their parts, and how the replies to the parts become one."""

import pytest

from respdyn.commands.folding import all_ok, as_array, as_sum
from respdyn.commands.pieces import all_or_error
from respdyn.commands.table import BY_NAME

FAILED = b"-NOQUORUM W=2 acknowledged=1\r\n"


@pytest.mark.parametrize("fold", [all_ok, as_array, as_sum])
def test_a_part_that_failed_is_the_reply_of_the_whole(fold: object) -> None:
    assert callable(fold)
    good = b":1\r\n"
    assert fold([good, FAILED, b"-ERR other\r\n", good]) == FAILED
    assert fold([FAILED]) == FAILED


def test_replies_are_folded() -> None:
    assert all_ok([b"+OK\r\n"] * 3) == b"+OK\r\n"
    assert as_sum([b":1\r\n", b":0\r\n", b":1\r\n"]) == b":2\r\n"
    assert as_array([b"$-1\r\n", b"$1\r\na\r\n"]) == b"*2\r\n$-1\r\n$1\r\na\r\n"


def test_msetnx_answers_an_error_if_it_set_some_keys_and_not_others() -> None:
    assert all_or_error([b":1\r\n", b":1\r\n"]) == b":1\r\n"
    assert all_or_error([b":0\r\n", b":0\r\n"]) == b":0\r\n"
    assert all_or_error([b":1\r\n", b":0\r\n", b":1\r\n"]).startswith(b"-PARTIAL 2 of 3 keys")


@pytest.mark.parametrize(("line", "parts"), [
    (b"DEL a b a", [b"DEL a", b"DEL b"]),
    (b"unlink a a", [b"unlink a"]),
    (b"EXISTS a b a", [b"EXISTS a", b"EXISTS b", b"EXISTS a"]),
    (b"TOUCH a a", [b"TOUCH a", b"TOUCH a"]),
    (b"MGET a b a", [b"GET a", b"GET b", b"GET a"]),
    (b"MSET a 1 b 2 a 3", [b"SET a 3", b"SET b 2"]),
    (b"MSETNX a 1 b 2 a 3", [b"EXISTS a", b"EXISTS b"]),
    (b"BITOP AND d a b a", [b"GET a", b"GET b", b"GET a"]),
    (b"LCS a b LEN", [b"TYPE a", b"TYPE b"]),
    (b"COPY a b", [b"DYN.FETCH a"]),
    (b"RENAMENX a b", [b"DYN.FETCH a", b"EXISTS b"]),
    (b"SORT a STORE b", [b"DYN.ITEMS a"]),
])
def test_parts_may_run_in_any_order_at_any_node(line: bytes, parts: list[bytes]) -> None:
    """No two parts of a write concern the same key."""
    argv = line.split(b" ")
    command = BY_NAME[argv[0].lower()]
    assert list(command.parts(argv)) == [part.split(b" ") for part in parts]
