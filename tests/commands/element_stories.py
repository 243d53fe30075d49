"""Stories about hashes and sets that are run at redis-server and at respdyn alike.

Fields are made in the order of their names, and members are numbers, so that both show one order.
"""

HASHES = {
    "hset hget": "HSET h a 1 b 2 / HGET h a / HGET h no / HGET no a / HSET h a 3 c 4"
                 " / HGETALL h / HSET h / HSET h a / HSET h a 1 b / HMSET h d 1 / HMSET h d"
                 " / HMSET h d 1 e / HSETNX h a 9 / HSETNX h e 9 / HSETNX h e / HMGET h a no e"
                 " / HMGET no a b / HMGET h / HGET h / HGETALL no / HGETALL / HKEYS h / HVALS h"
                 " / HKEYS no / HVALS no / HLEN h / HLEN no / HSTRLEN h a / HSTRLEN h no"
                 " / HSTRLEN no a / HEXISTS h a / HEXISTS h no / HEXISTS no a / HSET h a 1 a 2"
                 " / HGET h a / HSET h \\x00 \\xff / HGET h \\x00 / HSET z  / HSET z  e"
                 " / HSET z f f / HGETALL z",
    "hdel": "HSET h a 1 b 2 c 3 / HDEL h a no a / HDEL no a / HDEL h / HDEL h b c / EXISTS h"
            " / TYPE h / HSET h a 1 / TYPE h / DEL h / HGET h a / HLEN h",
    "hincrby": "HINCRBY h n 5 / HINCRBY h n -7 / HGET h n / HINCRBY h n x / HINCRBY h n 1.5"
               " / HINCRBY h n / HSET h s abc / HINCRBY h s 1 / HINCRBY h n 9223372036854775807"
               " / HINCRBY h n 9223372036854775807 / HINCRBY h n -9223372036854775808"
               " / HSET h n 10 / HINCRBY h n 1 / HSET h z \\x2010 / HINCRBY h z 1"
               " / HSET h z 010 / HINCRBY h z 1 / HSTRLEN h n / HINCRBY h q 0 / HGET h q"
               " / HSET h b 9223372036854775808 / HINCRBY h b 1",
    "hincrbyfloat": "HINCRBYFLOAT h n 1.5 / HINCRBYFLOAT h n -2 / HGET h n / HINCRBYFLOAT h n x"
                    " / HINCRBYFLOAT h n 1e3 / HSET h s abc / HINCRBYFLOAT h s 1 / HSET h n 3.0"
                    " / HINCRBYFLOAT h n 1 / HINCRBYFLOAT h m 0.1 / HINCRBYFLOAT"
                    " / HINCRBYFLOAT h m 0.2 / HGET h m / HINCRBY h m 1 / HINCRBYFLOAT h m inf"
                    " / HINCRBYFLOAT h m nan / HINCRBYFLOAT h m 0x10 / HSET h i inf"
                    " / HINCRBYFLOAT h i 1 / HINCRBYFLOAT h big 1e4000"
                    " / HINCRBYFLOAT h m 1e5000",
    "hash of another type":
        "SET k v / HSET k a 1 / HSET k a / HGET k a / HDEL k a / HLEN k / HGETALL k"
        " / HINCRBY k a 1 / HINCRBY k a x / HINCRBYFLOAT k a 1 / HINCRBYFLOAT k a x / HMGET k a"
        " / HMSET k a 1 / HSETNX k a 1 / HKEYS k / HVALS k / HEXISTS k a / HSTRLEN k a"
        " / HRANDFIELD k / HRANDFIELD k 1 / HRANDFIELD k x / HRANDFIELD k 1 nope / HSCAN k 0"
        " / HSCAN k x / HSCAN k 0 nope / SADD k a / HSET h a 1 / GET h / APPEND h x / INCR h"
        " / SADD h a / SMEMBERS h / SETRANGE h 0 a / GETRANGE h 0 1 / STRLEN h / GETSET h v"
        " / GETDEL h / GETEX h / SETBIT h 1 1 / GETBIT h 1 / BITCOUNT h / BITPOS h 1"
        " / BITFIELD h GET u8 0 / INCRBYFLOAT h 1 / MGET h k / LCS h k / SETNX h v"
        " / MSETNX h 1 z 2 / BITOP AND z h k / SET h v XX GET / SET h v / GET h",
    "hrandfield": "HRANDFIELD no / HRANDFIELD no 5 / HRANDFIELD no 0 / HSET h a 1"
                  " / HRANDFIELD h / HRANDFIELD h 5 / HRANDFIELD h -3"
                  " / HRANDFIELD h 5 WITHVALUES / HRANDFIELD h -2 withvalues / HRANDFIELD h 0"
                  " / HRANDFIELD h x / HRANDFIELD h 1 nope / HRANDFIELD h 1 WITHVALUES 2"
                  " / HRANDFIELD / HRANDFIELD h 9223372036854775807 WITHVALUES"
                  " / HRANDFIELD h -9223372036854775808 / HRANDFIELD h 9223372036854775808"
                  " / HRANDFIELD h -9223372036854775807 WITHVALUES",
    "hscan": "HSCAN no 0 / HSCAN no 0 nope / HSCAN no x / HSET h a 1 b 2 ab 3"
             " / HSCAN h 0 MATCH b* / HSCAN h 0 MATCH z / HSCAN h 0 COUNT 0 / HSCAN h 0 COUNT x"
             " / HSCAN h 0 nope / HSCAN h 0 MATCH / HSCAN h 0 nope 1 / HSCAN h x / HSCAN h"
             " / HSCAN h 5 MATCH b / HSCAN h 0 COUNT 1 MATCH b",
    "time to live": "HSET h a 1 / EXPIREAT h 5000000000 / EXPIRETIME h / HSET h b 2"
                    " / EXPIRETIME h / HDEL h a / EXPIRETIME h / PERSIST h / PERSIST h"
                    " / EXPIRETIME h / EXPIREAT h 6000000000 NX / EXPIREAT h 5000000000 GT"
                    " / EXPIREAT h 5000000000 LT / PEXPIRETIME h / EXPIREAT h 1 / EXISTS h"
                    " / HGETALL h / HSET h c 1 / TTL h / SADD s 1 / EXPIREAT s 5000000000"
                    " / SADD s 2 / EXPIRETIME s / SREM s 1 2 / SADD s 3 / TTL s",
}

SETS = {
    "sadd srem": "SADD s 3 1 2 3 / SADD s 1 / SMEMBERS s / SCARD s / SCARD no / SMEMBERS no"
                 " / SREM s 1 9 1 / SREM no 1 / SREM s / SADD s / SISMEMBER s 2 / SISMEMBER s 9"
                 " / SISMEMBER no 1 / SMISMEMBER s 2 9 / SMISMEMBER no 1 2 / SMISMEMBER s"
                 " / SREM s 2 3 / EXISTS s / TYPE s / SADD s 1 / TYPE s / SADD e  / SMEMBERS e"
                 " / SADD b \\x00\\xff / SMEMBERS b / SADD n -5 100 -70000 9223372036854775807"
                 " / SMEMBERS n",
    "set of another type": "SET k v / SADD k a / SREM k a / SMEMBERS k / SCARD k"
                           " / SISMEMBER k a / SMISMEMBER k a / SPOP k / SPOP k 1 / SPOP k x"
                           " / SPOP k 1 2 / SRANDMEMBER k / SRANDMEMBER k 1 / SRANDMEMBER k x"
                           " / SSCAN k 0 / SINTER k / SINTER no k / SINTER k no / SUNION k s"
                           " / SDIFF k / SINTERCARD 1 k / SINTERSTORE d k / SMOVE k s a"
                           " / SMOVE no k a / SADD s a / SMOVE s k a / SMOVE s k b / HSET s a 1"
                           " / GET s / SET s v / GET s",
    "spop srandmember": "SPOP no / SPOP no 1 / SPOP no 0 / SADD s 1 / SRANDMEMBER s"
                        " / SRANDMEMBER s 5 / SRANDMEMBER s -3 / SRANDMEMBER s 0"
                        " / SRANDMEMBER no / SRANDMEMBER no 1 / SRANDMEMBER no -1"
                        " / SRANDMEMBER s x / SRANDMEMBER s 1 2"
                        " / SRANDMEMBER s -9223372036854775808 / SPOP s -1 / SPOP s x"
                        " / SPOP s 1 2 / SPOP s 0 / SPOP s / EXISTS s / SADD s 1 / SPOP s 5"
                        " / EXISTS s / SPOP / SRANDMEMBER",
    "sscan": "SSCAN no 0 / SADD s 1 2 3 / SSCAN s 0 / SSCAN s 0 MATCH 2 / SSCAN s 0 COUNT 0"
             " / SSCAN s 0 nope / SSCAN s x / SSCAN s / SSCAN s 0 COUNT 1 / SSCAN no 0 nope",
    "algebra": "SADD a 1 2 3 4 / SADD b 3 4 5 / SADD c 4 / SINTER a b / SINTER a b c"
               " / SINTER a no / SINTER no / SINTER / SUNION a b / SUNION no a / SUNION"
               " / SDIFF a b / SDIFF a no / SDIFF no a / SDIFF a / SDIFF / SINTERSTORE d a b"
               " / SMEMBERS d / SUNIONSTORE d a c / SMEMBERS d / SDIFFSTORE d a b / SMEMBERS d"
               " / SDIFFSTORE d b b / EXISTS d / SINTERSTORE d no / SET d v / SINTERSTORE d a b"
               " / TYPE d / SUNIONSTORE a a b / SMEMBERS a / SINTERSTORE d / SUNIONSTORE"
               " / EXPIREAT d 5000000000 / SUNIONSTORE d b / TTL d",
    "sintercard": "SADD a 1 2 3 4 / SADD b 3 4 5 / SINTERCARD 2 a b / SINTERCARD 2 a b LIMIT 1"
                  " / SINTERCARD 2 a b LIMIT 0 / SINTERCARD 2 a b LIMIT 9"
                  " / SINTERCARD 2 a b LIMIT -1 / SINTERCARD 2 a b LIMIT x"
                  " / SINTERCARD 2 a b nope / SINTERCARD 0 a / SINTERCARD x a"
                  " / SINTERCARD 3 a b / SINTERCARD 1 a b / SINTERCARD 1 / SINTERCARD 1 no"
                  " / SINTERCARD 2 a b LIMIT / SINTERCARD 2 a b LIMIT 1 LIMIT 2",
    "smove": "SADD a 1 2 / SMOVE a b 1 / SMEMBERS a / SMEMBERS b / SMOVE a b 9 / SMOVE no b 1"
             " / SMOVE a b 2 / EXISTS a / SMOVE b b 1 / SMOVE b b 9 / SADD a 1 / SMOVE a b 1"
             " / SMEMBERS b / EXISTS a / SMOVE a b",
}

MOVED = {
    "rename": "HSET h a 1 b 2 / EXPIREAT h 5000000000 / RENAME h g / HGETALL g / EXPIRETIME g"
              " / EXISTS h / SADD s 1 2 / RENAMENX s g / RENAMENX s t / SMEMBERS t / COPY t u"
              " / SMEMBERS u / COPY g u / COPY g u REPLACE / TYPE u / HGETALL u / MOVE u 1"
              " / EXISTS u / COPY g k DB 1 / RENAME g t / TYPE t / RENAME t t / HINCRBY t a 5"
              " / RENAME t v / HINCRBY v a 1 / HGETALL v",
    "dump": "HSET h a 1 b 2 c abc / DUMP h / OBJECT ENCODING h / SADD s 1 2 70000 / DUMP s"
            " / OBJECT ENCODING s / SADD s abc / OBJECT ENCODING s / SADD n -1 / DUMP n"
            " / SADD m 9999999999 / DUMP m"
            " / HSET i n 127 o 128 p -1 q 4095 r 4096 s -4097 t 99999 u -9999999 v 9999999999 w 12x"
            " / DUMP i / HSET j a 01 / DUMP j / HSET k f  / DUMP k / TYPE h / OBJECT REFCOUNT s",
}
