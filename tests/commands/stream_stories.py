"""Stories of the stream commands, told to a real redis-server and to us: see `test_streams`."""

MAX = "18446744073709551615"

STREAMS = {
    "adding":
        "XADD s 1-1 a b / XADD s 1-1 a b / XADD s 1-2 a b c d / XADD s 0-0 a b"
        " / XADD s 0-1 a b / XADD s 1 a b / XADD s 2 a b / XLEN s / XLEN no / XADD s 3-1 a"
        " / XADD s 3-1 a b c / XADD s 3-1 / XADD s / XADD / XRANGE s - + / TYPE s"
        " / OBJECT ENCODING s / EXISTS s / SET k v / XADD k 1-1 a b / XADD k x a b"
        " / XADD k * a / XLEN k / XRANGE k - +",
    "ids":
        "XADD s 5-* a b / XADD s 5-* a b / XADD s 5-9 a b / XADD s 5-* c d / XADD s 4-* a b"
        " / XADD s 6-*x a b / XADD s -* a b / XADD s 6-** a b / XADD s - a b / XADD s + a b"
        f" / XADD s 7-{MAX} a b / XADD s 7-* a b / XADD s 8-0 a b / XADD s 007-1 a b"
        " / XADD s 10- a b / XADD s 10-x a b / XADD s x a b / XADD s 18446744073709551616 a b"
        " / XADD s 9--3 a b / XADD s 11-+3 a b / XADD s 12-\\x203 a b / XADD s 13-03 a b"
        f" / XADD s 14--03 a b / XADD s {'1' * 128} a b / XADD s +15-1 a b"
        f" / XADD s \\x2016-1 a b / XRANGE s - + / XADD s {MAX}-{MAX} z z / XADD s * a b"
        f" / XADD s {MAX}-* a b / XLEN s",
    "zero ids":
        "XADD s 0-0 a b / EXISTS s / XADD s 0 a b / XADD s 0-* a b / XRANGE s - +",
    "nomkstream":
        "XADD s NOMKSTREAM 1-1 a b / EXISTS s / XADD s NOMKSTREAM * a b / XADD s 1-1 a b"
        " / XADD s NOMKSTREAM 1-2 a b / XADD s nomkstream NOMKSTREAM 1-3 a b / XLEN s"
        " / XADD s NOMKSTREAM / XADD no NOMKSTREAM 0-0 a b / XADD no NOMKSTREAM 1 a",
    "trimming words":
        "XADD s MAXLEN 1-1 a b / XADD s MAXLEN x 1-1 a b / XADD s MAXLEN -1 1-1 a b"
        " / XADD s MAXLEN 3 MINID 1 1-1 a b / XADD s MAXLEN 3 MAXLEN 2 1-1 a b"
        " / XADD s MAXLEN ~ 1-1 a b / XADD s MAXLEN = 3 1-1 a b / XADD s LIMIT 3 1-2 a b"
        " / XADD s LIMIT 0 1-2 a b / XADD s MAXLEN 3 LIMIT 2 1-3 a b"
        " / XADD s MAXLEN ~ 3 LIMIT 2 1-4 a b / XADD s MAXLEN ~ 3 LIMIT -2 1-4 a b"
        " / XADD s MAXLEN ~ 3 LIMIT x 1-4 a b / XADD s MINID - 1-5 a b"
        " / XADD s MINID x 1-5 a b / XTRIM s / XTRIM s MAXLEN / XTRIM s MAXLEN 1 x"
        " / XTRIM s LIMIT 1 / XTRIM s NOPE 1 / XTRIM s MAXLEN ~ / XTRIM s MAXLEN ~ ~ 3"
        " / XTRIM s MAXLEN = ~ / XTRIM s LIMIT 0 MAXLEN ~ 0 / XLEN s / XTRIM no MAXLEN 0"
        " / XTRIM no MAXLEN x / XTRIM s LIMIT 0 NOPE / SET k v / XTRIM k MAXLEN 0"
        " / XTRIM k MAXLEN -1",
    "trimming":
        "XADD s 1-1 a 1 / XADD s 2-1 a 2 / XADD s 3-1 a 3 / XADD s 4-1 a 4 / XTRIM s MAXLEN 3"
        " / XRANGE s - + / XTRIM s MINID 3 / XRANGE s - + / XTRIM s MINID 3-2"
        " / XTRIM s MINID 3 / XADD s MAXLEN 0 5-1 a 5 / XLEN s / XINFO STREAM s"
        " / XADD s 5-1 a b / XADD s MINID 7 6-1 a b / XLEN s / XADD s MAXLEN 2 8-1 a 8"
        " / XADD s MAXLEN 2 8-2 a 8 / XADD s MAXLEN 2 8-3 a 8 / XRANGE s - +"
        " / XADD s MINID 8-3 9-1 a 9 / XRANGE s - + / XTRIM s MAXLEN ~ 1 / XTRIM s MAXLEN ~ 0"
        " / XLEN s / EXISTS s / XINFO STREAM s",
    "ranges":
        "XADD s 1-1 a 1 / XADD s 1-2 a 2 / XADD s 2-1 a 3 / XADD s 3-0 a 4 / XRANGE s - +"
        " / XRANGE s 1 1 / XRANGE s 1-2 + / XRANGE s (1-2 + / XRANGE s - (3 / XRANGE s - (3-0"
        " / XRANGE s (1 (2 / XRANGE s - + COUNT 2 / XRANGE s - + COUNT 0"
        " / XRANGE s - + COUNT -3 / XRANGE s - + COUNT x / XRANGE s - + COUNT"
        " / XRANGE s - + NOPE 1 / XRANGE s - + COUNT 1 COUNT 2 / XREVRANGE s + -"
        " / XREVRANGE s + - COUNT 1 / XREVRANGE s 2 1-2 / XREVRANGE s (3 - / XREVRANGE s - +"
        " / XRANGE s + - / XRANGE s (- + / XRANGE s - (+ / XRANGE s ( +"
        f" / XRANGE s ({MAX}-{MAX} + / XRANGE s - (0-0 / XRANGE s x + / XRANGE s - x"
        " / XRANGE s - / XRANGE s 1-* + / XRANGE no - + / XRANGE no - + COUNT 0"
        " / XREVRANGE no + - COUNT x / XREVRANGE s x - / XREVRANGE s + x / XREVRANGE s ((1 +",
    "deleting":
        "XADD s 1-1 a 1 / XADD s 2-1 a 2 / XADD s 3-1 a 3 / XDEL s 2 / XDEL s 2-1 2-1 9-9"
        " / XINFO STREAM s / XDEL s x / XDEL s 1-1 x / XDEL s 1-1 3-1 / XLEN s / EXISTS s"
        " / XDEL s 1-1 / XDEL no 1-1 / XDEL no x / XINFO STREAM s / XADD s 3-1 a b"
        " / XADD s 3-2 a b / XINFO STREAM s / DEL s / EXISTS s / XADD s 1-1 a b"
        " / XINFO STREAM s / XDEL s - / XDEL s / SET k v / XDEL k x",
    "setid":
        "XSETID s 1-1 / XADD s 5-1 a b / XADD s 6-1 a b / XSETID s 4 / XSETID s 9-9"
        " / XADD s 9-9 a b / XADD s 9-10 a b / XSETID s x / XSETID s 10-1 ENTRIESADDED 2"
        " / XSETID s 10-1 ENTRIESADDED 7 / XSETID s 10-1 ENTRIESADDED -1"
        " / XSETID s 10-1 ENTRIESADDED x / XSETID s 10-1 MAXDELETEDID 11"
        " / XSETID s 10-1 MAXDELETEDID 3 / XINFO STREAM s"
        " / XSETID s 10-1 ENTRIESADDED 9 MAXDELETEDID 4-1 / XINFO STREAM s"
        " / XSETID s 10 NOPE 3 / XSETID s 10 ENTRIESADDED / XDEL s 9-10 / XSETID s 9-9"
        " / XDEL s 5-1 6-1 / XSETID s 8 / XSETID s 9-10 / XADD s 9-10 a b / SET k v"
        " / XSETID k 1",
    "keys":
        "XADD s 1-1 a b c d / XADD s 2-2 e f / EXPIREAT s 5000000000 / EXPIRETIME s"
        " / RENAME s t / XRANGE t - + / EXPIRETIME t / COPY t u / XRANGE u - +"
        " / XINFO STREAM u / PERSIST t / COPY t u / COPY t u REPLACE / XADD t 3-3 g h"
        " / XLEN u / XLEN t / GET t / LPUSH t a / SADD t a / SORT t / EXPIREAT t 1 / EXISTS t"
        " / XADD t 1-1 a b / SET t v / XLEN t / TYPE t / SETNX u v / APPEND u x",
    "binary":
        "XADD s 1-1 \\x00\\xff  / XADD s 1-2  \\x0d\\x0a / XADD s 1-3 1 -5 / XRANGE s - +"
        f" / XADD s 1-4 {'n' * 254} {'v' * 255} {'n' * 256} {'v' * 5000}"
        " / XRANGE s 1-4 +",
    "info":
        "XINFO / XINFO STREAM / XINFO STREAM no / XINFO NOPE s / XINFO STREAM s FULL"
        " / XADD s 1-1 a b / XINFO STREAM s / XINFO STREAM s x / XINFO STREAM s FULL"
        " / XINFO STREAM s FULL COUNT / XINFO STREAM s FULL COUNT x"
        " / XINFO STREAM s FULL NOPE 3 / XINFO STREAM s FULL COUNT 1 / XINFO GROUPS s"
        " / XINFO GROUPS no / XINFO CONSUMERS s g / XINFO CONSUMERS s / XINFO GROUPS"
        " / XINFO GROUPS s x / SET k v / XINFO STREAM k / XINFO GROUPS k"
        " / XINFO CONSUMERS k g",
}
