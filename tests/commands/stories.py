"""More stories for `test_like_redis.py`: pieces of strings, bits, counters."""

PIECES = {
    "append": "APPEND k a / APPEND k bc / GET k / STRLEN k / APPEND k  / APPEND e  / GET e"
              " / EXISTS e / APPEND k / APPEND / SET t v EXAT 9999999999 / APPEND t w"
              " / EXPIRETIME t / SET g v EXAT 1 / APPEND g w / GET g / TTL g",
    "getrange": "SET k hello / GETRANGE k 0 -1 / GETRANGE k 1 2 / GETRANGE k -3 -1"
                " / GETRANGE k -1 -3 / GETRANGE k 3 1 / GETRANGE k 9 20 / GETRANGE k -100 1"
                " / GETRANGE k 0 100 / GETRANGE k -100 -50 / GETRANGE no 0 -1 / GETRANGE no a 1"
                " / GETRANGE k 1 b / GETRANGE k 1 / SUBSTR k 1 3 / SUBSTR k / SUBSTR no 0 0"
                " / GETRANGE k 9223372036854775807 9223372036854775807"
                " / GETRANGE k -9223372036854775808 9223372036854775807"
                " / GETRANGE k 0 9223372036854775808",
    "setrange": "SETRANGE no 3  / EXISTS no / SETRANGE k 3 abc / GET k / SETRANGE k 1 XY / GET k"
                " / SETRANGE k 9 z / GET k / SETRANGE k -1 a / SETRANGE k x a / SETRANGE k 1"
                " / SETRANGE k 536870912 a / SETRANGE k 536870911 ab / SETRANGE no 536870912 a"
                " / SETRANGE k 9223372036854775807 a / SETRANGE no 9223372036854775807 "
                " / SETRANGE k 1  / SET t v PXAT 9999999999000 / SETRANGE t 1 w / PEXPIRETIME t"
                " / GET t",
    "lcs": "MSET a ohmytext b mynewtext / LCS a b / LCS a b LEN / LCS a b IDX / LCS a b IDX"
           " MINMATCHLEN 4 / LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN / LCS a b IDX WITHMATCHLEN"
           " / LCS a b LEN IDX / LCS a b NOPE / LCS a b MINMATCHLEN / LCS a b MINMATCHLEN x"
           " / LCS a b MINMATCHLEN -5 IDX / LCS a no / LCS no no2 LEN / LCS no no2 IDX / LCS a"
           " / LCS a b len / LCS a a IDX WITHMATCHLEN / MSET c aXbXc d aYbYc / LCS c d IDX"
           " / LCS c d / MSET e abcabba f cbabac / LCS e f / LCS e f IDX WITHMATCHLEN / LCS f e IDX"
           " / LCS a b WITHMATCHLEN / LCS a b MINMATCHLEN 3",
    "msetnx": "MSETNX a 1 b 2 / MGET a b / MSETNX b 3 c 4 / MGET a b c / MSETNX c 1 c 2 / GET c"
              " / MSETNX c / MSETNX c 1 d / MSETNX / MSETNX d 5 / MSETNX d 6 / GET d"
              " / SET e v EXAT 1 / MSETNX e w f x / MGET e f",
}

COPIES = {
    "copy": "SET a 1 / COPY a b / GET b / COPY a b / SET a 2 / COPY a b / GET b / COPY a b REPLACE"
            " / GET b / COPY no b / GET b / COPY no b REPLACE / COPY a a / COPY no no / COPY a"
            " / COPY a b NOPE / COPY a b REPLACE REPLACE / SET t v EXAT 5000000000 / COPY t u"
            " / EXPIRETIME u / COPY a u REPLACE / TTL u / COPY t u replace / EXPIRETIME u"
            " / INCRBY n 5 / COPY n m / INCR m / GET n / SET x v EXAT 1 / COPY a x / GET x",
}

BITS = {
    "setbit": "SETBIT k 7 1 / GET k / SETBIT k 7 0 / SETBIT k 7 0 / GET k / SETBIT k 100 1 / GET k"
              " / STRLEN k / GETBIT k 100 / GETBIT k 101 / GETBIT k 99999 / GETBIT no 5"
              " / SETBIT k -1 1 / SETBIT k x 1 / SETBIT k 1 2 / SETBIT k 1 x / SETBIT k 1"
              " / SETBIT k 4294967296 1 / GETBIT k 4294967296 / GETBIT k -1 / GETBIT k"
              " / SETBIT k x 7 / SETBIT k 1 01 / SETBIT n 9 0 / GET n / SETBIT k 1 -1"
              " / SET t a EXAT 9999999999 / SETBIT t 1 0 / EXPIRETIME t / SETBIT k 0 99999999999",
    "bitcount": "SET k foobar / BITCOUNT k / BITCOUNT k 0 0 / BITCOUNT k 1 1 / BITCOUNT k 1 1 BYTE"
                " / BITCOUNT k 5 30 BIT / BITCOUNT k 0 -1 BIT / BITCOUNT k -1 -3 / BITCOUNT k 3 1"
                " / BITCOUNT k 0 / BITCOUNT k 0 1 NOPE / BITCOUNT k a 1 / BITCOUNT k 1 b"
                " / BITCOUNT k 0 1 BIT x / BITCOUNT no / BITCOUNT no a b c / BITCOUNT no 0"
                " / BITCOUNT k -100 100 / BITCOUNT k -100 -50 / BITCOUNT k 100 200 BIT"
                " / BITCOUNT k -1 -3 NOPE / SET e  / BITCOUNT e / BITCOUNT e 0 -1 BIT / BITCOUNT"
                " / BITCOUNT k -9 -3 bit / BITCOUNT k 47 47 BIT / BITCOUNT k -5 -1 bit",
    "bitpos": "SET k \\xff\\xf0\\x00 / BITPOS k 0 / BITPOS k 1 / BITPOS k 1 2 / BITPOS k 0 2"
              " / BITPOS k 0 0 0 / BITPOS k 0 0 1 / BITPOS k 1 0 -1 BIT / BITPOS k 0 3 10 BIT"
              " / BITPOS k 0 13 20 BIT / BITPOS k 1 13 20 BIT / BITPOS k 2 / BITPOS k x"
              " / BITPOS k 1 a / BITPOS k 1 0 b / BITPOS k 1 0 1 NOPE / BITPOS k 1 0 1 BIT x"
              " / BITPOS no 0 / BITPOS no 1 / BITPOS no 0 5 / BITPOS no 1 a / SET f \\xff\\xff"
              " / BITPOS f 0 / BITPOS f 0 1 / BITPOS f 0 0 -1 / BITPOS f 0 2 / BITPOS f 1 -1"
              " / SET e  / BITPOS e 0 / BITPOS e 1 / BITPOS e 0 0 -1 / BITPOS k 1 -100 100"
              " / BITPOS k 1 -2 -3 / BITPOS f 0 0 -1 BIT / BITPOS f 0 7 15 BIT"
              " / BITPOS f 0 -1 -1 BIT"
              " / BITPOS k 0 12 -1 BIT / BITPOS k",
    "bitop": "MSET a foobar b abcdef c xy / BITOP AND d a b / GET d / BITOP OR d a c / GET d"
             " / BITOP XOR d a b c / GET d / BITOP NOT d c / GET d / BITOP NOT d a b"
             " / BITOP NOPE d a"
             " / BITOP AND d no / EXISTS d / BITOP OR d no a / GET d / BITOP AND d a no / GET d"
             " / BITOP AND d / BITOP / SET d v EXAT 9999999999 / BITOP and d a / TTL d / GET d"
             " / BITOP NOT d no / BITOP AND no no2 no3 / EXISTS no",
    "bitfield": "BITFIELD k SET u8 0 255 GET u4 0 GET i4 0 / GET k / BITFIELD k INCRBY u2 100 1"
                " OVERFLOW SAT INCRBY u2 102 1 / BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2"
                " 102 1 / BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1 / BITFIELD k"
                " INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1 / BITFIELD k OVERFLOW FAIL INCRBY u2"
                " 102 1 / BITFIELD k SET i8 #1 -1 GET u8 #1 GET i8 8 / BITFIELD k"
                " / BITFIELD k GET u64 0 / BITFIELD k GET i64 0 / BITFIELD k GET u63 1"
                " / BITFIELD k GET i65 0 / BITFIELD k GET x8 0 / BITFIELD k GET i0 0"
                " / BITFIELD k GET i08 0 / BITFIELD k GET u8 -1 / BITFIELD k GET u8 #-1"
                " / BITFIELD k GET u8 x / BITFIELD k GET u8 / BITFIELD k NOPE"
                " / BITFIELD k OVERFLOW x"
                " / BITFIELD k SET u8 0 x / BITFIELD k SET u8 0 / BITFIELD k GET u8 4294967296"
                " / BITFIELD k GET u8 #536870912 / BITFIELD k SET u8 0 -1 / BITFIELD k SET u8 0 300"
                " / BITFIELD k OVERFLOW SAT SET u8 0 300 SET u8 0 -5 GET u8 0 / BITFIELD k OVERFLOW"
                " SAT SET i8 0 300 GET i8 0 SET i8 0 -300 GET i8 0 INCRBY i8 0 -1 / BITFIELD k"
                " OVERFLOW FAIL SET i8 0 300 SET u4 0 16 INCRBY i8 0 -1 / BITFIELD k SET i64 0"
                " 9223372036854775807 INCRBY i64 0 1 GET i64 0 OVERFLOW SAT INCRBY i64 0 -1 INCRBY"
                " i64 0 1 / BITFIELD n OVERFLOW FAIL SET u8 0 300 / GET n / EXISTS n"
                " / BITFIELD m GET u8 0 / EXISTS m / BITFIELD k SET u63 3 9223372036854775807"
                " INCRBY u63 3 5 / GET k / BITFIELD k OVERFLOW WRAP INCRBY i5 3 100 INCRBY i5 3 -77"
                " / BITFIELD k incrby u7 11 -3 overflow sat incrby u7 11 -200",
    "bitfield_ro": "SET k abc / BITFIELD_RO k GET u8 0 GET i16 4 / BITFIELD_RO k / BITFIELD_RO no"
                   " GET u8 0 / BITFIELD_RO k SET u8 0 1 / BITFIELD_RO k OVERFLOW SAT GET u8 #2"
                   " / BITFIELD_RO k GET u8 / BITFIELD_RO k INCRBY u8 0 1 / BITFIELD_RO",
}

COUNTERS = {
    "incr": "INCR k / INCR k / GET k / TYPE k / STRLEN k / EXISTS k / DECR k / DECR k / DECR k"
            " / GET k / INCRBY k 10 / DECRBY k 20 / INCRBY k -5 / INCRBY k x / INCRBY k 1.5"
            " / INCRBY k / INCR / DECR a b / INCRBY z 0 / GET z / EXISTS z / DECRBY z 0 / GET z"
            " / SET k 10 / INCR k / GET k / SET k 010 / INCR k / SET k abc / INCR k / GET k"
            " / INCRBY k x / DECRBY k 1 / SET k -0 / INCR k / SET k \\x205 / INCR k"
            " / SET k 20 / INCRBY k 0 / GET k / DEL k / GET k / INCR k / INCR e / DECR e / EXISTS e"
            " / GET e / DEL e / EXISTS e / TYPE e",
    "incr limits": "SET k 9223372036854775807 / INCR k / INCRBY k 1 / DECR k / INCR k / INCR k"
                   " / GET k / SET k -9223372036854775808 / DECR k / DECRBY k 1 / INCR k"
                   " / DECRBY k -9223372036854775808 / DECRBY k 9223372036854775807"
                   " / INCRBY k 9223372036854775808 / SET k 9223372036854775808 / INCR k"
                   " / INCRBY n -9223372036854775808 / DECR n / INCRBY n 9223372036854775807"
                   " / GET n / DECRBY m -9223372036854775808",
    "a counter is a string": "INCRBY k 41 / APPEND k 0 / INCR k / GETRANGE k 0 1 / SETRANGE k 1 99"
                             " / GET k / INCR k / GETSET k 7 / INCR k / GETDEL k / GET k / INCR k"
                             " / SET k 5 KEEPTTL / INCR k / SETBIT k 7 1 / GET k / INCR k / MGET k"
                             " / SET k 8 GET / SETNX k 3 / INCR k / BITCOUNT k / STRLEN k",
    "a counter expires": "INCR k / EXPIREAT k 9999999999 / INCR k / EXPIRETIME k / PERSIST k"
                         " / EXPIRETIME k / INCR k / EXPIREAT k 5000000000 / EXPIREAT k 4000000000"
                         " / EXPIRETIME k / EXPIREAT k 6000000000 LT / EXPIRETIME k / INCR k"
                         " / EXPIREAT k 1 / GET k / INCR k / TTL k / GETEX k EXAT 5000000000"
                         " / EXPIRETIME k / GETEX k PERSIST / TTL k / EXPIREAT k 5000000000"
                         " / SET k 3"
                         " / TTL k / INCR k / EXPIREAT k 5000000000 / INCRBY k 5 / EXPIRETIME k"
                         " / DEL k / INCR k / TTL k / SET s 5 EXAT 5000000000 / INCR s"
                         " / EXPIRETIME s / SET s 9 KEEPTTL / INCR s / EXPIRETIME s"
                         " / SET g 5 EXAT 1 / INCR g / GET g / TTL g",
    "incrbyfloat": "INCRBYFLOAT k 10.5 / INCRBYFLOAT k 0.1 / GET k / INCRBYFLOAT k -5"
                   " / SET k 5.0e3"
                   " / INCRBYFLOAT k 2.0e2 / GET k / INCRBYFLOAT k 0 / INCR k / INCRBYFLOAT k 0.5"
                   " / INCR k / INCRBYFLOAT k x / INCRBYFLOAT k / INCRBYFLOAT k nan / INCRBYFLOAT k"
                   " inf / INCRBYFLOAT k -Infinity / INCRBYFLOAT k \\x201 / INCRBYFLOAT k 1\\x20"
                   " / INCRBYFLOAT k 1e400 / GET k / INCRBYFLOAT k -1e400 / INCRBYFLOAT k 1e4932"
                   " / INCRBYFLOAT k 1.18e4932 / INCRBYFLOAT k 1e5000 / SET k abc"
                   " / INCRBYFLOAT k 1"
                   " / INCRBYFLOAT k y / SET k 1e-30 / INCRBYFLOAT k 0 / GET k"
                   " / INCRBYFLOAT k 1e-17"
                   " / INCRBYFLOAT k 1e-18 / INCRBYFLOAT k 4e-18 / INCRBYFLOAT k -1e-17"
                   " / INCRBYFLOAT k 0x10 / INCRBYFLOAT k 0x1.8p3 / INCRBYFLOAT k .5"
                   " / INCRBYFLOAT k 5. / INCRBYFLOAT k . / INCRBYFLOAT k +1 / INCRBYFLOAT k 1e"
                   " / INCRBYFLOAT k 1e-5000 / INCRBYFLOAT k 3.6e-4951 / SET k 3.0"
                   " / INCRBYFLOAT k 0 / SET k 1111111111111111111111111 / INCRBYFLOAT k 0"
                   " / GET k / SET k inf / INCRBYFLOAT k 1 / SET k 0 / INCRBYFLOAT k -0"
                   " / INCRBYFLOAT n -0.000000000000000001 / GET n / INCRBYFLOAT k 1\\x00"
                   " / SET t 1 EXAT 5000000000 / INCRBYFLOAT t 1.5 / EXPIRETIME t / INCRBYFLOAT p 3"
                   " / INCR p / SET k 0.1 / INCRBYFLOAT k 0.2 / INCRBYFLOAT k 1e17"
                   " / INCRBYFLOAT k 0.3 / INCRBYFLOAT k 123456789.123456789 / GET k"
                   " / SET k 12345678901234567890.12345678901234567 / INCRBYFLOAT k 0.1 / GET k"
                   " / INCRBYFLOAT k -0.7 / SET k 0x / INCRBYFLOAT k 1 / SET k 1e0x1"
                   " / INCRBYFLOAT k 1",
}
