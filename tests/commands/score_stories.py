"""Stories about sorted sets that are told to redis-server and to respdyn alike."""

SORTED_SETS = {
    "zadd":
        "ZADD z 1 a 2 b 3 c / ZADD z 1 a / ZADD z NX 5 a 6 d / ZADD z XX CH 5 a 6 q"
        " / ZADD z GT 1 a / ZADD z GT CH 9 a / ZADD z LT CH 1 a / ZADD z INCR 2 a"
        " / ZADD z NX INCR 2 a / ZADD z XX INCR 2 zz / ZADD z GT INCR -2 a"
        " / ZADD z LT INCR -2 a / ZADD z nx xx 1 a / ZADD z GT LT 1 a / ZADD z GT NX 1 a"
        " / ZADD z INCR 1 a 2 b / ZADD z / ZADD z 1 / ZADD z 1 a 2 / ZADD z x a"
        " / ZADD z nan a / ZADD z inf i -inf j +inf k infinity l Inf m / ZADD z INCR -inf i"
        " / ZADD z INCR inf i / ZINCRBY z -inf i / ZINCRBY z 5 i"
        " / ZADD z 0x10 h 1e3 e 1.5 f .5 g 5. n / ZADD z 1e400 o / ZADD z 1e-400 o"
        " / ZADD z 1e-310 dn / ZADD z \\x201 o / ZADD z  o / ZADD z CH"
        " / ZADD z CH 1 a 1 a 2 a / ZRANGE z 0 -1 WITHSCORES / ZCARD z / ZADD no XX 1 a"
        " / EXISTS no / ZADD no XX INCR 1 a / ZADD z NX CH 1 new 2 a / ZADD z CH NX XX 1 a",
    "zincrby":
        "ZINCRBY z 1 a / ZINCRBY z 0.1 a / ZINCRBY z 0.2 a / ZINCRBY z -5 a / ZINCRBY z x a"
        " / ZINCRBY z nx a / ZINCRBY z 1 / ZINCRBY z 1e308 b / ZINCRBY z 1e308 b"
        " / ZINCRBY z 1e308 b / ZSCORE z b / ZINCRBY z 0 c / ZSCORE z c / ZINCRBY z -0 d"
        " / ZSCORE z d / ZINCRBY z 1e16 e / ZINCRBY z 0.1 e / ZINCRBY z nan e"
        " / ZINCRBY z 1e-320 f / ZADD z 1 a / ZINCRBY z 3.3 a / ZRANGE z 0 -1 WITHSCORES",
    "zscore":
        "ZADD z 1.5 a 2 b / ZSCORE z a / ZSCORE z no / ZSCORE no a / ZMSCORE z a no b"
        " / ZMSCORE no a b / ZMSCORE z / ZSCORE z / ZRANK z a / ZRANK z b / ZRANK z no"
        " / ZREVRANK z a / ZREVRANK z no / ZRANK no a / ZRANK z / ZRANK z a WITHSCORE"
        " / ZCARD no / ZREM z a no a / ZREM z / ZREM no a / ZREM z b / EXISTS z / TYPE z"
        " / ZADD z 1 a / TYPE z",
    "wrong type":
        "SET k v / ZADD k 1 a / ZADD k x a / ZINCRBY k 1 a / ZREM k a / ZCARD k / ZSCORE k a"
        " / ZMSCORE k a / ZRANK k a / ZREVRANK k a / ZCOUNT k 0 1 / ZCOUNT k x 1"
        " / ZLEXCOUNT k - + / ZRANGE k 0 -1 / ZRANGE k x 1 / ZRANGESTORE d k 0 -1 / ZPOPMIN k"
        " / ZPOPMIN k 0 / ZPOPMAX k x / ZRANDMEMBER k / ZRANDMEMBER k 1 / ZSCAN k 0"
        " / ZUNION 1 k / ZUNION 1 k nope / ZINTER 2 no k / ZDIFF 2 no k / ZUNIONSTORE d 1 k"
        " / ZINTERCARD 1 k LIMIT -1 / ZMPOP 1 k MIN / ZMPOP 2 no k MIN"
        " / ZREMRANGEBYRANK k 0 1 / ZREMRANGEBYSCORE k 0 1 / ZREMRANGEBYLEX k - +"
        " / ZADD z 1 a / GET z / SADD z a / HSET z a 1 / HGET z a / SMEMBERS z / SINTER z"
        " / APPEND z x / MGET z / ZMPOP 2 z k MIN / SET z v / GET z",
    "zrange":
        "ZADD z 1 a 2 b 3 c 4 d / ZRANGE z 0 -1 / ZRANGE z 1 2 WITHSCORES / ZRANGE z -2 -1"
        " / ZRANGE z 3 1 / ZRANGE z 9 10 / ZRANGE z -9 1 / ZRANGE z 0 -1 REV"
        " / ZRANGE z 0 1 REV WITHSCORES / ZRANGE z 1 3 BYSCORE / ZRANGE z (1 (3 BYSCORE"
        " / ZRANGE z 3 1 BYSCORE REV / ZRANGE z 3 1 BYSCORE"
        " / ZRANGE z -inf +inf BYSCORE LIMIT 1 2"
        " / ZRANGE z inf -inf BYSCORE REV LIMIT 1 2 WITHSCORES / ZRANGE z 0 -1 LIMIT 0 1"
        " / ZRANGE z 0 -1 LIMIT 0 -1 / ZRANGE z - + BYLEX / ZRANGE z [a (c BYLEX"
        " / ZRANGE z + - BYLEX REV / ZRANGE z - + BYLEX WITHSCORES"
        " / ZRANGE z 0 -1 BYSCORE BYLEX / ZRANGE z 0 -1 nope / ZRANGE z 0 -1 LIMIT 1"
        " / ZRANGE z 0 -1 LIMIT x 1 BYSCORE / ZRANGE z x 1 / ZRANGE z x 1 BYSCORE"
        " / ZRANGE z 1 nan BYSCORE / ZRANGE z a b BYLEX / ZRANGE z [a + BYLEX LIMIT -1 2"
        " / ZRANGE z -inf inf BYSCORE LIMIT 0 0 / ZRANGE z -inf inf BYSCORE LIMIT 0 -5"
        " / ZRANGE no 0 -1 / ZRANGE no 0 / ZRANGE z 9223372036854775807 9223372036854775807"
        " / ZRANGE z 9223372036854775808 1 / ZRANGE z REV REV / ZRANGE z 0 -1 REV REV"
        " / ZREVRANGE z 0 -1 / ZREVRANGE z 0 1 WITHSCORES / ZREVRANGE z 0 -1 REV"
        " / ZREVRANGE z 0 -1 LIMIT 0 1 / ZRANGEBYSCORE z 2 3"
        " / ZRANGEBYSCORE z 2 3 WITHSCORES LIMIT 0 1 / ZRANGEBYSCORE z  2"
        " / ZRANGEBYSCORE z ( 2 / ZRANGEBYSCORE z 0 \\x202 / ZRANGEBYSCORE z 0 2\\x20"
        " / ZRANGEBYSCORE z 0 2\\x00x / ZRANGEBYSCORE z 0 0x3 / ZRANGEBYSCORE z -1e400 1e400"
        " / ZREVRANGEBYSCORE z 3 2 / ZREVRANGEBYSCORE z +inf -inf LIMIT 1 1 WITHSCORES"
        " / ZREVRANGEBYSCORE z 2 3 / ZRANGEBYSCORE z 1 3 BYLEX / ZRANGEBYSCORE z 0 -0"
        " / ZRANGEBYSCORE z nan 1",
    "lex":
        "ZADD z 0 a 0 b 0 c 0 d 0 aa / ZRANGEBYLEX z - + / ZRANGEBYLEX z [a [b"
        " / ZRANGEBYLEX z (a (b / ZRANGEBYLEX z (a [a / ZRANGEBYLEX z [b [a"
        " / ZRANGEBYLEX z + - / ZRANGEBYLEX z + + / ZRANGEBYLEX z - -"
        " / ZRANGEBYLEX z - [b LIMIT 1 1 / ZRANGEBYLEX z a b / ZRANGEBYLEX z  +"
        " / ZRANGEBYLEX z -x + / ZRANGEBYLEX z -\\x00x + / ZRANGEBYLEX z ( +"
        " / ZRANGEBYLEX z [ + / ZREVRANGEBYLEX z + - / ZREVRANGEBYLEX z [c (a"
        " / ZREVRANGEBYLEX z [c (a LIMIT 1 5 / ZREVRANGEBYLEX z - + / ZLEXCOUNT z - +"
        " / ZLEXCOUNT z [a [b / ZLEXCOUNT z b c / ZLEXCOUNT no - + / ZLEXCOUNT z + -"
        " / ZREMRANGEBYLEX z [aa (c / ZRANGE z 0 -1 / ZREMRANGEBYLEX z x y"
        " / ZADD m 1 b 2 a 3 c 4 aa / ZRANGEBYLEX m - + / ZRANGEBYLEX m [a [b"
        " / ZREVRANGEBYLEX m [b [a / ZRANGEBYLEX m [b + / ZREVRANGEBYLEX m + [b"
        " / ZLEXCOUNT m [a [b / ZRANGEBYLEX m (a + / ZREVRANGEBYLEX m (b -"
        " / ZREMRANGEBYLEX m [b + / ZRANGE m 0 -1",
    "counts":
        "ZADD z 1 a 2 b 3 c / ZCOUNT z 1 2 / ZCOUNT z (1 2 / ZCOUNT z -inf inf / ZCOUNT z 3 1"
        " / ZCOUNT z x 1 / ZCOUNT no 1 2 / ZCOUNT z 1 / ZREMRANGEBYSCORE z (1 2"
        " / ZREMRANGEBYSCORE z x 2 / ZREMRANGEBYRANK z 0 0 / ZREMRANGEBYRANK z x 0"
        " / ZREMRANGEBYRANK no 0 0 / ZREMRANGEBYRANK z -1 -1 / EXISTS z",
    "pops":
        "ZPOPMIN no / ZPOPMIN no 0 / ZPOPMIN no 5 / ZADD z 1 a 2 b 3 c 4 d 5 e 6 f"
        " / ZPOPMIN z / ZPOPMAX z / ZPOPMIN z 2 / ZPOPMAX z 0 / ZPOPMAX z -1 / ZPOPMAX z x"
        " / ZPOPMIN z 1 2 / ZPOPMAX z 9 / EXISTS z / ZPOPMIN / ZADD z 1 a 2 b 3 c"
        " / ZMPOP 2 no z MIN / ZMPOP 2 no z MAX COUNT 5 / ZMPOP 2 no z MIN / ZMPOP 0 z MIN"
        " / ZMPOP x z MIN / ZMPOP 2 z MIN / ZMPOP 1 z NOPE / ZMPOP 1 z MIN COUNT"
        " / ZMPOP 1 z MIN COUNT 0 / ZMPOP 1 z MIN COUNT x / ZMPOP 1 z MIN COUNT 1 COUNT 2"
        " / ZMPOP 1 z MIN nope / ZMPOP 1 z / ZMPOP 5 z MIN",
    "random":
        "ZRANDMEMBER no / ZRANDMEMBER no 1 / ZADD z 1.5 a / ZRANDMEMBER z / ZRANDMEMBER z 5"
        " / ZRANDMEMBER z -2 / ZRANDMEMBER z 1 WITHSCORES / ZRANDMEMBER z -2 WITHSCORES"
        " / ZRANDMEMBER z 0 / ZRANDMEMBER z x / ZRANDMEMBER z 1 nope"
        " / ZRANDMEMBER z 1 WITHSCORES 2 / ZRANDMEMBER z -9223372036854775808"
        " / ZRANDMEMBER z 9223372036854775807 WITHSCORES",
    "scan":
        "ZSCAN no 0 / ZADD z 1 a 2.5 b 1e20 c inf d / ZSCAN z 0 / ZSCAN z 0 MATCH b"
        " / ZSCAN z 0 COUNT 0 / ZSCAN z x / ZSCAN z 0 nope / ZSCAN no 0 nope",
    "algebra":
        "ZADD a 1 x 2 y 3 z / ZADD b 10 y 20 z 30 w / SADD s x z q / ZUNION 2 a b"
        " / ZUNION 2 a b WITHSCORES / ZUNION 3 a b s WITHSCORES"
        " / ZUNION 2 a b WEIGHTS 2 3 WITHSCORES / ZUNION 2 a b AGGREGATE MIN WITHSCORES"
        " / ZUNION 2 a b AGGREGATE max WITHSCORES / ZUNION 2 a b AGGREGATE nope"
        " / ZUNION 2 a b WEIGHTS 1 / ZUNION 2 a b WEIGHTS 1 x / ZUNION 2 a b nope"
        " / ZUNION 0 a / ZUNION x a / ZUNION 3 a b / ZUNION 2 a no WITHSCORES / ZUNION 1 no"
        " / ZINTER 2 a b WITHSCORES / ZINTER 2 a s WITHSCORES / ZINTER 2 a no"
        " / ZINTER 2 a b WEIGHTS inf 0 WITHSCORES / ZUNION 2 a b WEIGHTS inf -inf WITHSCORES"
        " / ZUNION 2 a b WEIGHTS nan 1 / ZADD i 0 x inf y / ZUNION 1 i WEIGHTS inf WITHSCORES"
        " / ZUNION 1 i WEIGHTS 0 WITHSCORES / ZINTER 2 i i WEIGHTS 0 0 WITHSCORES"
        " / ZINTER 2 a i WEIGHTS 1 0 WITHSCORES / ZDIFF 2 a b WITHSCORES / ZDIFF 2 a b"
        " / ZDIFF 2 a s / ZDIFF 2 a b WEIGHTS 1 2 / ZDIFF 2 a b AGGREGATE SUM / ZDIFF 1 no"
        " / ZINTERCARD 2 a b / ZINTERCARD 2 a b LIMIT 1 / ZINTERCARD 2 a b LIMIT 0"
        " / ZINTERCARD 2 a b LIMIT -1 / ZINTERCARD 2 a b LIMIT x"
        " / ZINTERCARD 2 a b WITHSCORES / ZINTERCARD 0 a / ZINTERCARD 2 a b LIMIT 1 LIMIT 2"
        " / ZUNIONSTORE d 2 a b / ZRANGE d 0 -1 WITHSCORES"
        " / ZINTERSTORE d 2 a b WEIGHTS 2 1 AGGREGATE MAX / ZRANGE d 0 -1 WITHSCORES"
        " / ZDIFFSTORE d 2 a b / ZRANGE d 0 -1 WITHSCORES / ZUNIONSTORE d 2 a b WITHSCORES"
        " / ZUNIONSTORE d 0 a / ZUNIONSTORE d x a / ZUNIONSTORE d 3 a b"
        " / ZDIFFSTORE d 2 a b WEIGHTS 1 1 / ZDIFFSTORE d 0 a / ZINTERSTORE d 1 no / EXISTS d"
        " / SET d v / ZUNIONSTORE d 1 a / TYPE d / ZUNIONSTORE a 2 a a"
        " / ZRANGE a 0 -1 WITHSCORES / EXPIREAT d 5000000000 / ZUNIONSTORE d 1 b / TTL d"
        " / ZRANGESTORE e b 0 1 / ZRANGE e 0 -1 WITHSCORES"
        " / ZRANGESTORE e b 10 20 BYSCORE REV / ZRANGESTORE e b (10 +inf BYSCORE LIMIT 0 1"
        " / ZRANGE e 0 -1 WITHSCORES / ZRANGESTORE e b 0 1 WITHSCORES / ZRANGESTORE e no 0 1"
        " / EXISTS e / ZRANGESTORE e b x 1 / ZRANGESTORE e b 0 1 LIMIT 0 1"
        " / ZRANGESTORE e b + - BYLEX REV / ZUNION 2 s s WITHSCORES / ZADD f 0.1 m"
        " / ZADD g 0.2 m 1 n / ZADD h 0.3 m 2 o 3 p / ZUNION 3 h g f WITHSCORES"
        " / ZINTER 3 h f g WITHSCORES",
    "keys":
        "ZADD z 1 a 2.5 b / EXPIREAT z 5000000000 / ZADD z 3 c / EXPIRETIME z / ZREM z a"
        " / EXPIRETIME z / PERSIST z / OBJECT ENCODING z / RENAME z y"
        " / ZRANGE y 0 -1 WITHSCORES / COPY y x / ZRANGE x 0 -1 WITHSCORES / DUMP x"
        " / ZADD m 1e17 i 4e18 j 5e18 k / ZSCAN m 0 / DUMP m"
        " / ZADD m -0 a 127 b 128 c -1.5 d 1e20 e 3 f inf g -inf h / DUMP m"
        " / ZRANGE m 0 -1 WITHSCORES / OBJECT REFCOUNT m / TYPE m / DEL m / EXISTS m"
        " / EXPIREAT y 1 / EXISTS y / ZCARD y / ZADD y 1 q / TTL y / MOVE y 1 / EXISTS y",
}
