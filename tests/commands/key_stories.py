"""Stories about keys that are run at redis-server and at respdyn alike: moving, looking at."""

ONE = "\\x00\\xc0\\x01\\x0a\\x00&x\\xe7\\xb6\\xd1\\x01\\x11\\xfc"      # a dump of 1

MOVING = {
    "rename": "SET k v / RENAME k n / GET n / EXISTS k / RENAME k n / RENAME n n / RENAME no no"
              " / SET m 1 / RENAME n m / GET m / EXISTS n / RENAME a / RENAME a b c",
    "renamenx": "SET n v / RENAMENX n n / RENAMENX no n / RENAMENX no no / SET m 1 / RENAMENX n m"
                " / RENAMENX n z / MGET n m z / RENAMENX a / SET z2 1 EXAT 1 / RENAMENX z z2"
                " / GET z2",
    "rename keeps the time": "SET k v EXAT 5000000000 / RENAME k n / EXPIRETIME n / SET m v"
                             " / RENAME n m / EXPIRETIME m / SET q 1 / RENAME q m / TTL m"
                             " / RENAMENX m q / TTL q / SET q 1 / EXPIREAT q 5000000000"
                             " / RENAME q r / EXPIRETIME r / RENAME r r / EXPIRETIME r",
    "rename a counter": "INCR c / INCRBY c 5 / RENAME c d / GET d / INCR d / EXISTS c / INCR c"
                        " / RENAME d c / GET c / INCRBYFLOAT c 0.5 / RENAME c e / GET e"
                        " / DECR c / RENAMENX c e / RENAMENX c f / INCR f",
    "move": "SET k v / MOVE k 1 / MOVE k 1 / MOVE no 1 / MOVE no 0 / MOVE k 99 / MOVE k x"
            " / MOVE k / MOVE k -1 / MOVE k 99999999999999999999 / MOVE k 4294967296 / SET k w"
            " / MOVE k 1 / GET k / SET t 1 EXAT 5000000000 / MOVE t 2 / EXISTS t",
    "copy to a database": "SET k v / COPY k n DB 1 / COPY k n DB 1 / COPY k n DB 1 REPLACE"
                          " / COPY k k DB 1 / COPY k k DB 0 / COPY k k / COPY k n DB 99"
                          " / COPY k n DB x / COPY k n DB / COPY no n DB 1"
                          " / COPY k n REPLACE DB 2 REPLACE / COPY k n DB 1 DB 3"
                          " / COPY k k REPLACE / COPY no no / COPY k n nope / COPY no no DB 0"
                          " / COPY k q DB 0 / GET q",
}

LOOKING = {
    "object": "OBJECT ENCODING no / SET k 1 / OBJECT ENCODING k / SET k abc / OBJECT ENCODING k"
              f" / SET k {'a' * 44} / OBJECT ENCODING k / SET k {'a' * 45} / OBJECT ENCODING k"
              " / OBJECT REFCOUNT k / OBJECT IDLETIME k / OBJECT FREQ no"
              " / OBJECT REFCOUNT no / OBJECT IDLETIME no / OBJECT ENCODING a b / OBJECT ENCODING"
              " / INCR c / OBJECT ENCODING c / SET k 9223372036854775808 / OBJECT ENCODING k"
              " / SET k 1.5 / OBJECT ENCODING k / SET k 01 / OBJECT ENCODING k / OBJECT nope k"
              " / OBJECT / OBJECT HELP x / SET k -9223372036854775808 / OBJECT ENCODING k",
    "sort": "SORT no / SORT no DESC / SORT no ALPHA / SORT no LIMIT 0 / SORT no LIMIT a b"
            " / SORT no LIMIT 0 1 / SORT no BY a / SORT no GET / SORT no GET # / SORT no STORE d"
            " / SORT no nope / SET k v / SORT k / SORT k STORE d / SORT_RO k / SORT_RO no"
            " / SORT_RO no STORE d / SORT / SORT_RO / SORT k nope / SET d 1 / SORT no STORE d"
            " / EXISTS d / SORT no BY nosort STORE d / SORT no BY x* GET y*->f LIMIT 0 10 ASC"
            " / SORT no BY / SORT no STORE / SORT no LIMIT / sort_ro no get a get b alpha",
    "restore as a cluster does": "SET k v / RESTORE-ASKING k 0 x / RESTORE-ASKING k 0 x REPLACE"
                                 " / RESTORE-ASKING k / RESTORE-ASKING no -1 x / GET k",
    "dump": "DUMP no / SET k v / DUMP k / DUMP / SET e  / DUMP e"
            + "".join(
                f" / SET k {value} / DUMP k" for value in (
                    0, 1, -1, 127, 128, -128, -129, 255, 32767, 32768, -32768, -32769, 40000,
                    2147483647, 2147483648, -2147483648, -2147483649, 3000000000, "00", "-0", "+1",
                    "1x", "12345678901", "123456789012", "abcdefghijklmnopqrst", "\\x00\\xff",
                )
            ) + " / INCR c / DUMP c / INCRBYFLOAT c 0.5 / DUMP c",
    "restore wrong": "RESTORE k 0 x / RESTORE k a x / RESTORE k -1 x / RESTORE k 0 x IDLETIME"
                     " / RESTORE k 0 x IDLETIME -1 / RESTORE k 0 x IDLETIME a"
                     " / RESTORE k 0 x FREQ 300 / RESTORE k 0 x FREQ a / RESTORE k 0 x nope"
                     " / RESTORE k 0 x IDLETIME 1 FREQ 1 / RESTORE k 0 / SET k v / RESTORE k 0 x"
                     " / RESTORE k 0 x REPLACE / RESTORE k 0 x ABSTTL REPLACE IDLETIME 1"
                     " / RESTORE k 0 x FREQ 10 IDLETIME 5 / RESTORE k a x / GET k"
                     " / RESTORE k a x REPLACE / RESTORE k 0 0123456789 REPLACE"
                     " / RESTORE k 0 012345678901234567890 REPLACE",
    "restore": "RESTORE k 0 \\x00\\x01v\\x0a\\x00\\x91\\x08\\xce\\xb2\\x198\\x8a\\xce / GET k"
               " / TTL k"
               f" / RESTORE k 5000000000000 {ONE} REPLACE ABSTTL / GET k / EXPIRETIME k / INCR k"
               f" / RESTORE k 5 {ONE} REPLACE ABSTTL / GET k / RESTORE k 5 {ONE} ABSTTL"
               " / EXISTS k / RESTORE k 0 \\x00\\x01v\\x0b\\x00\\x91\\x08\\xce\\xb2\\x198\\x8a\\xce"
               " / RESTORE k 0 \\x00\\x01w\\x0a\\x00\\x91\\x08\\xce\\xb2\\x198\\x8a\\xce"
               " / RESTORE k 0 \\x00\\xc3\\x09@G\\x01aa\\xe0:\\x00\\x01aa\\x0a\\x00\\xaf#N\\x9e39"
               "\\x83\\x14 / GET k",
    "memory usage": "MEMORY USAGE no / MEMORY USAGE k SAMPLES / MEMORY USAGE k SAMPLES -1"
                    " / MEMORY USAGE k SAMPLES a / MEMORY USAGE k nope 1 / MEMORY USAGE"
                    " / MEMORY nope / MEMORY / MEMORY USAGE no SAMPLES 0",
}
