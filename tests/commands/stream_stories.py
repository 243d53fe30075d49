"""Stories of the stream commands, run at a real redis-server and at us: see `test_streams`."""

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

GROUPS = {
    "xgroup":
        "XGROUP / XGROUP NOPE / XGROUP CREATE / XGROUP CREATE s / XGROUP CREATE s g"
        " / XGROUP CREATE s g $ / XGROUP CREATE s g $ MKSTREAM / XGROUP CREATE s g $ MKSTREAM"
        " / XGROUP CREATE s g $ / TYPE s / XLEN s / XINFO STREAM s / XINFO GROUPS s"
        " / XGROUP CREATE s h x / XGROUP CREATE s h - / XGROUP CREATE s h 0 NOPE"
        " / XGROUP CREATE s h 0 ENTRIESREAD / XGROUP CREATE s h 0 ENTRIESREAD x"
        " / XGROUP CREATE s h 0 ENTRIESREAD -2 / XGROUP CREATE s h 0 ENTRIESREAD 3"
        " / XINFO GROUPS s / XGROUP CREATE s i 5-3 ENTRIESREAD -1 MKSTREAM"
        " / XGROUP CREATE no i 5-3 ENTRIESREAD 1 / XINFO GROUPS s"
        " / XGROUP CREATECONSUMER s g a / XGROUP CREATECONSUMER s g a"
        " / XGROUP CREATECONSUMER s no a / XGROUP CREATECONSUMER no g a"
        " / XGROUP CREATECONSUMER s g / XGROUP DELCONSUMER s g a / XGROUP DELCONSUMER s g a"
        " / XGROUP DELCONSUMER s no a / XGROUP DELCONSUMER no g a / XGROUP DESTROY s h"
        " / XGROUP DESTROY s h / XGROUP DESTROY no h / XGROUP SETID s g 7-7"
        " / XGROUP SETID s g - / XGROUP SETID s g + / XGROUP SETID s g $ / XGROUP SETID s g x"
        " / XGROUP SETID s no 1 / XGROUP SETID no g 1 / XGROUP SETID s g 1 MKSTREAM"
        " / XGROUP SETID s g 1 ENTRIESREAD 4 / XGROUP SETID s g 1 ENTRIESREAD -4"
        " / XINFO GROUPS s / SET k v / XGROUP CREATE k g $ / XGROUP DESTROY k g"
        " / XGROUP SETID k g 0 / XGROUP CREATECONSUMER k g a / XGROUP DELCONSUMER k g a"
        " / XGROUP CREATE s j 0 MKSTREAM MKSTREAM ENTRIESREAD 1 MKSTREAM / DEL s / EXISTS s",
    "xread":
        "XADD s 1-1 a 1 / XADD s 2-1 b 2 / XADD t 5-1 c 3 / XREAD STREAMS s 0"
        " / XREAD STREAMS s t 0 0 / XREAD COUNT 1 STREAMS s t 0 0 / XREAD COUNT 0 STREAMS s 1"
        " / XREAD COUNT -1 STREAMS s 1-1 / XREAD STREAMS s 2-1 / XREAD STREAMS s $"
        " / XREAD STREAMS s t $ 0 / XREAD STREAMS no 0 / XREAD STREAMS no s 0 1 / XREAD"
        " / XREAD STREAMS / XREAD STREAMS s / XREAD STREAMS s t 0 / XREAD COUNT x STREAMS s 0"
        " / XREAD COUNT / XREAD NOPE STREAMS s 0 / XREAD GROUP g c STREAMS s 0"
        " / XREAD NOACK STREAMS s 0 / XREAD STREAMS s > / XREAD STREAMS s x"
        " / XREAD STREAMS s - / XREAD STREAMS s + / XREAD BLOCK x STREAMS s 0"
        " / XREAD BLOCK -1 STREAMS s 0 / XREAD BLOCK 1.5 STREAMS s 0"
        " / XREAD BLOCK 10 STREAMS s 0 / XREAD BLOCK STREAMS s 0 / SET k v"
        " / XREAD STREAMS k 0 / XREAD STREAMS s k 0 0 / XREAD STREAMS k x"
        " / XREAD STREAMS s k x 0 / XREAD streams STREAMS 0"
        " / xread count 3 count 1 streams s 0",
    "xreadgroup":
        "XADD s 1-1 a 1 / XADD s 2-1 b 2 / XADD s 3-1 c 3 / XREADGROUP GROUP g c STREAMS s >"
        " / XGROUP CREATE s g 0 / XREADGROUP GROUP g c COUNT 1 STREAMS s >"
        " / XREADGROUP GROUP g d COUNT 1 STREAMS s > / XREADGROUP GROUP g c STREAMS s 0"
        " / XREADGROUP GROUP g d STREAMS s 0 / XREADGROUP GROUP g e STREAMS s 0"
        " / XINFO GROUPS s / XREADGROUP GROUP g e NOACK STREAMS s >"
        " / XREADGROUP GROUP g e STREAMS s > / XPENDING s g / XACK s g 1-1"
        " / XACK s g 1-1 2-1 9-9 / XPENDING s g / XREADGROUP GROUP g c STREAMS s 0"
        " / XADD s 4-1 d 4 / XADD s 5-1 e 5 / XREADGROUP GROUP g c STREAMS s > / XDEL s 4-1"
        " / XREADGROUP GROUP g c STREAMS s 0 / XREADGROUP GROUP g c COUNT 1 STREAMS s 0"
        " / XREADGROUP GROUP g c STREAMS s 4-1 / XREADGROUP GROUP g c STREAMS s 9"
        " / XINFO GROUPS s / XGROUP SETID s g 0 / XREADGROUP GROUP g d STREAMS s >"
        " / XREADGROUP GROUP g c STREAMS s 0 / XREADGROUP GROUP g d STREAMS s 0"
        " / XPENDING s g / XINFO GROUPS s / XGROUP DELCONSUMER s g d / XPENDING s g"
        " / XGROUP DESTROY s g / XREADGROUP GROUP g c STREAMS s >",
    "xreadgroup words":
        "XADD s 1-1 a 1 / XGROUP CREATE s g 0 / XREADGROUP GROUP g c STREAMS s"
        " / XREADGROUP GROUP g c STREAMS / XREADGROUP GROUP g STREAMS s >"
        " / XREADGROUP STREAMS s > / XREADGROUP GROUP g c STREAMS s $"
        " / XREADGROUP GROUP g c STREAMS s x / XREADGROUP GROUP no c STREAMS s >"
        " / XREADGROUP GROUP g c STREAMS no > / XREADGROUP GROUP g c COUNT x STREAMS s >"
        " / XREADGROUP GROUP g c BLOCK -1 STREAMS s > / XREADGROUP GROUP g c NOPE STREAMS s >"
        " / XREADGROUP GROUP g c STREAMS s t > > / XREADGROUP GROUP no c STREAMS s x"
        " / XREADGROUP GROUP g c STREAMS s s > 0 / XREADGROUP GROUP g c STREAMS s s > 0"
        " / XADD t 1-1 a 1 / XGROUP CREATE t g 0 / XADD s 2-1 a 2"
        " / XREADGROUP GROUP g c STREAMS s t > x / XREADGROUP GROUP g c STREAMS s t > >"
        " / XREADGROUP GROUP g c STREAMS s t > > / XREADGROUP GROUP g c STREAMS s t > 0"
        " / SET k v / XREADGROUP GROUP g c STREAMS k > / XREADGROUP GROUP g c STREAMS s k > >"
        " / XREADGROUP GROUP g  STREAMS s 0"
        " / XREADGROUP BLOCK 10 COUNT 1 GROUP g c STREAMS s 0"
        " / XREADGROUP GROUP a b GROUP g c STREAMS s 0",
    "xack xpending":
        "XACK / XACK s g / XACK no g 1 / XACK no g x / XADD s 1-1 a 1 / XADD s 1-2 a 1"
        " / XADD s 2-1 a 1 / XADD s 3-1 a 1 / XACK s g x / XGROUP CREATE s g 0 / XACK s g x"
        " / XACK s g 1-1 x / XREADGROUP GROUP g b COUNT 2 STREAMS s >"
        " / XREADGROUP GROUP g a STREAMS s > / XPENDING s g / XPENDING s g - + 10 a"
        " / XPENDING s no / XPENDING no g / XPENDING s / XPENDING s g - / XPENDING s g - +"
        " / XPENDING s g - + x / XPENDING s g x + 1 / XPENDING s g - x 1"
        " / XPENDING s g - + 10 no / XPENDING s g IDLE / XPENDING s g IDLE 5 - +"
        " / XPENDING s g IDLE x - + 1 / XPENDING s g IDLE 100000 - + 10"
        " / XPENDING s g IDLE 100000 - + 10 a / XPENDING s g IDLE 0 - + 10 a b"
        " / XPENDING s g - + 10 a b c d / XPENDING s g - + 0 / XPENDING s g - + -1"
        " / XPENDING s no - + 10 / XPENDING s no x + 10 / XPENDING s g ( + 1"
        " / XPENDING s g (- + 1 / XACK s g 1-1 2-1 1-1 / XPENDING s g / XACK s g 1-2 3 3-1"
        " / XPENDING s g / SET k v / XACK k g 1 / XPENDING k g / XPENDING k g - + x"
        " / XINFO GROUPS s",
    "xclaim":
        "XADD s 1-1 a 1 / XADD s 2-1 b 2 / XADD s 3-1 c 3 / XCLAIM s g c 0 1-1"
        " / XCLAIM no g c 0 1-1 / XGROUP CREATE s g 0 / XREADGROUP GROUP g a STREAMS s >"
        " / XCLAIM s g b 0 1-1 / XCLAIM s g b 100000 2-1 / XCLAIM s g b 0 1-1 2-1 JUSTID"
        " / XREADGROUP GROUP g b STREAMS s 0 / XPENDING s g / XCLAIM s g b x 1-1"
        " / XCLAIM s g b -5 1-1 JUSTID / XCLAIM s g b 0 x / XCLAIM s g b 0 1-1 NOPE"
        " / XCLAIM s g b 0 1-1 IDLE / XCLAIM s g b 0 1-1 IDLE x / XCLAIM s g b 0 1-1 TIME x"
        " / XCLAIM s g b 0 1-1 RETRYCOUNT x / XCLAIM s g b 0 1-1 LASTID x"
        " / XCLAIM s g b 0 1-1 RETRYCOUNT 7 IDLE 50 JUSTID"
        " / XCLAIM s g b 0 1-1 TIME 1000 FORCE JUSTID / XDEL s 2-1"
        " / XCLAIM s g b 0 2-1 3-1 9-9 / XPENDING s g / XADD s 4-1 d 4 / XCLAIM s g b 0 4-1"
        " / XCLAIM s g b 0 4-1 FORCE / XCLAIM s g b 0 9-9 FORCE"
        " / XCLAIM s g e 0 4-1 4-1 FORCE JUSTID LASTID 4-1 / XREADGROUP GROUP g b STREAMS s >"
        " / XINFO GROUPS s / XCLAIM s g b 0 4-1 JUSTID force nope / XCLAIM s g b 0"
        " / XCLAIM s no b x 1 / SET k v / XCLAIM k g b x 1"
        " / XCLAIM s g b 0 3-1 TIME -5 JUSTID / XCLAIM s g b 0 3-1 TIME 99999999999999 JUSTID"
        " / XCLAIM s g b 0 3-1 LASTID 9-9 / XADD s 5-1 e 5 / XREADGROUP GROUP g b STREAMS s >",
    "xautoclaim":
        "XADD s 1-1 a 1 / XADD s 2-1 b 2 / XADD s 3-1 c 3 / XADD s 4-1 d 4"
        " / XAUTOCLAIM s g c 0 0 / XAUTOCLAIM no g c 0 0 / XGROUP CREATE s g 0"
        " / XAUTOCLAIM s g c 0 0 / XREADGROUP GROUP g a STREAMS s >"
        " / XAUTOCLAIM s g b 0 0 COUNT 1 / XAUTOCLAIM s g b 0 2-1 COUNT 2 JUSTID"
        " / XAUTOCLAIM s g b 100000 0 / XDEL s 2-1 / XAUTOCLAIM s g b 0 (1-1 COUNT 1"
        " / XDEL s 3-1 / XAUTOCLAIM s g b 0 - / XAUTOCLAIM s g b 0 - JUSTID / XPENDING s g"
        " / XAUTOCLAIM s g b x 0 / XAUTOCLAIM s g b 0 x / XAUTOCLAIM s g b 0 +"
        " / XAUTOCLAIM s g b 0 (+ / XAUTOCLAIM s g b 0 0 COUNT / XAUTOCLAIM s g b 0 0 COUNT 0"
        " / XAUTOCLAIM s g b 0 0 COUNT x / XAUTOCLAIM s g b 0 0 NOPE"
        " / XAUTOCLAIM s g b 0 0 COUNT 9223372036854775807 / XAUTOCLAIM s g b 0"
        " / XAUTOCLAIM s no b x 0 / XAUTOCLAIM s no b 0 0 / SET k v / XAUTOCLAIM k g b 0 0"
        " / XREADGROUP GROUP g b STREAMS s 0",
    "lag":
        "XADD s 1-1 a 1 / XADD s 2-1 a 1 / XADD s 3-1 a 1 / XADD s 4-1 a 1 / XADD s 5-1 a 1"
        " / XGROUP CREATE s g 0 / XGROUP CREATE s h 2-1 / XGROUP CREATE s i $"
        " / XGROUP CREATE s j 2-1 ENTRIESREAD 2 / XINFO GROUPS s"
        " / XREADGROUP GROUP g c COUNT 2 STREAMS s >"
        " / XREADGROUP GROUP h c COUNT 2 STREAMS s >"
        " / XREADGROUP GROUP j c COUNT 2 STREAMS s > / XINFO GROUPS s / XDEL s 3-1"
        " / XINFO GROUPS s / XREADGROUP GROUP g c COUNT 1 STREAMS s > / XINFO GROUPS s"
        " / XREADGROUP GROUP g c STREAMS s > / XINFO GROUPS s / XTRIM s MAXLEN 2"
        " / XINFO GROUPS s / XADD s 6-1 a 1 / XINFO GROUPS s / XTRIM s MAXLEN 0"
        " / XINFO GROUPS s / XGROUP SETID s h 0 / XINFO GROUPS s / XADD s 7-1 a 1"
        " / XINFO GROUPS s / XREADGROUP GROUP h c STREAMS s > / XINFO GROUPS s"
        " / XGROUP SETID s g 3-1 ENTRIESREAD 9 / XINFO GROUPS s",
    "groups of copies":
        "XADD s 1-1 a 1 / XADD s 2-1 b 2 / XADD s 3-1 c 3 / XGROUP CREATE s g 0"
        " / XREADGROUP GROUP g a COUNT 2 STREAMS s > / COPY s t / RENAME s u"
        " / XREADGROUP GROUP g a STREAMS t > / XREADGROUP GROUP g a COUNT 1 STREAMS u >"
        " / XPENDING t g / XPENDING u g / XACK u g 1-1 / XREADGROUP GROUP g a STREAMS u 0"
        " / XREADGROUP GROUP g a STREAMS t 0",
}
