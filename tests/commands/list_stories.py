"""Stories about lists that are run at redis-server and at respdyn alike."""

LISTS = {
    "push and range": "RPUSH l a b c / LPUSH l x y / LRANGE l 0 -1 / LLEN l / LLEN no"
                      " / LRANGE no 0 -1 / LRANGE l 1 2 / LRANGE l -2 -1 / LRANGE l 3 1"
                      " / LRANGE l 9 10"
                      " / LRANGE l -100 100 / LRANGE l x 1 / LRANGE l 1 x / LRANGE no x 1"
                      " / LRANGE l -9223372036854775808 9223372036854775807 / LPUSH l / RPUSH"
                      " / LPUSHX l 1 2 / RPUSHX l 3 4 / LPUSHX no 1 / RPUSHX no 1 / EXISTS no"
                      " / LRANGE l 0 -1 / TYPE l / RPUSH e  / LRANGE e 0 -1"
                      " / RPUSH b \\x00\\xff\\r\\n 12 -0 / LRANGE b 0 -1 / OBJECT ENCODING b",
    "pop": "RPUSH l a b c d e f / LPOP l / RPOP l / LPOP l 2 / RPOP l 0 / LPOP l 0 / RPOP l 9"
           " / EXISTS l / LPOP l / RPOP l 2 / LPOP l 0 / LPOP no x / LPOP no -1 / LPOP l 1 2"
           " / RPOP l 1 2 / RPUSH l 1 / LPOP l x / LPOP l -1 / RPOP l 9223372036854775807 / LPOP"
           " / TYPE l / LPUSH l a / EXPIREAT l 5000000000 / RPUSH l b / LPOP l / EXPIRETIME l"
           " / RPOP l / RPUSH l c / TTL l",
    "index and set": "LINDEX no 0 / LINDEX no x / RPUSH l a b c / LINDEX l 0 / LINDEX l -1"
                     " / LINDEX l 3 / LINDEX l -4 / LINDEX l x / LINDEX l / LSET l 0 A"
                     " / LSET l -1 C / LSET l 3 D / LSET l -4 D / LSET l x D / LSET no 0 v"
                     " / LSET no x v / LRANGE l 0 -1 / LSET l 1 B / LSET l 1 BB / LRANGE l 0 -1",
    "insert": "LINSERT no BEFORE a b / LINSERT no NOPE a b / RPUSH l a b c b / LINSERT l BEFORE b x"
              " / LINSERT l AFTER b y / LINSERT l before a z / LINSERT l after b w"
              " / LINSERT l AFTER no v / LINSERT l NOPE a b / LRANGE l 0 -1 / LINSERT l AFTER b"
              " / LINSERT l AFTER z 1 / LINSERT l AFTER z 2 / LINSERT l BEFORE 1 3 / LRANGE l 0 -1",
    "rem": "LREM no 0 a / LREM no x a / RPUSH l a b a c a / LREM l 1 a / LRANGE l 0 -1"
           " / LREM l -1 a / LRANGE l 0 -1 / LREM l 0 a / LREM l 0 no / LREM l x a / LREM l 5 b"
           " / LREM l -9223372036854775808 c / LREM l -9223372036854775807 c / EXISTS l / LREM l 0",
    "trim": "LTRIM no 0 1 / LTRIM no x 1 / RPUSH l a b c d e / LTRIM l 1 3 / LRANGE l 0 -1"
            " / LTRIM l 0 -1 / LTRIM l -2 -1 / LRANGE l 0 -1 / LTRIM l x 1 / LTRIM l 1 x"
            " / LTRIM l 5 9 / EXISTS l / RPUSH l a b / LTRIM l 1 0 / EXISTS l / RPUSH l a b c"
            " / LTRIM l -100 0 / LRANGE l 0 -1 / LTRIM l",
    "pos": "LPOS no a / LPOS no a COUNT 0 / RPUSH l a b c 1 2 3 c c / LPOS l c / LPOS l no"
           " / LPOS l c RANK 2 / LPOS l c RANK -1 / LPOS l c RANK 9 / LPOS l c COUNT 2"
           " / LPOS l c RANK -1 COUNT 2 / LPOS l c COUNT 0 / LPOS l no COUNT 0 / LPOS l c MAXLEN 2"
           " / LPOS l c COUNT 0 MAXLEN 3 RANK 1 / LPOS l c MAXLEN 0 / LPOS l c RANK 0"
           " / LPOS l c RANK x / LPOS l c COUNT -1 / LPOS l c COUNT x / LPOS l c MAXLEN -1"
           " / LPOS l c RANK / LPOS l c NOPE 1 / LPOS l c RANK -9223372036854775808"
           " / LPOS l c RANK -9223372036854775808 COUNT 1"
           " / LPOS l c RANK -9223372036854775808 COUNT 0"
           " / LPOS l c RANK -9223372036854775807 / LPOS l c RANK 9223372036854775807 COUNT 1"
           " / LPOS no a RANK 0 / LPOS l / LPOS l 1 COUNT 1 COUNT 0",
    "move": "LMOVE no l LEFT RIGHT / RPUSH l a b c / LMOVE l m LEFT RIGHT / LMOVE l m RIGHT LEFT"
            " / LRANGE l 0 -1 / LRANGE m 0 -1 / LMOVE l m left left / EXISTS l / LRANGE m 0 -1"
            " / LMOVE m m LEFT RIGHT / LMOVE m m RIGHT LEFT / LMOVE m m LEFT LEFT"
            " / LMOVE m m RIGHT RIGHT / LRANGE m 0 -1 / LMOVE m l UP DOWN / LMOVE no l UP LEFT"
            " / LMOVE m l LEFT / RPOPLPUSH m l / RPOPLPUSH m m / RPOPLPUSH no l / RPOPLPUSH m"
            " / LRANGE m 0 -1 / LRANGE l 0 -1 / SET s v / LMOVE m s LEFT LEFT / LMOVE s m LEFT LEFT"
            " / LMOVE no s LEFT LEFT / RPOPLPUSH m s / RPOPLPUSH s m / LRANGE m 0 -1"
            " / RPUSH one x / LMOVE one one LEFT RIGHT / LRANGE one 0 -1 / RPOPLPUSH one one",
    "mpop": "LMPOP 1 no LEFT / LMPOP 2 no none LEFT COUNT 3 / RPUSH l a b c d / RPUSH m 1 2"
            " / LMPOP 1 l LEFT / LMPOP 2 no l RIGHT COUNT 2 / LMPOP 2 no l LEFT COUNT 9 / EXISTS l"
            " / LMPOP 3 no l m right / LMPOP 0 l LEFT / LMPOP -1 l LEFT / LMPOP x l LEFT"
            " / LMPOP 2 l LEFT / LMPOP 1 l UP / LMPOP 1 l LEFT COUNT 0 / LMPOP 1 l LEFT COUNT x"
            " / LMPOP 1 l LEFT COUNT / LMPOP 1 l LEFT NOPE 1 / LMPOP 1 l LEFT COUNT 1 COUNT 1"
            " / LMPOP 9 l LEFT / SET s v / LMPOP 1 s LEFT / LMPOP 2 m s LEFT / LMPOP 2 s m LEFT"
            " / LMPOP 2 m s LEFT / LMPOP 2 no s LEFT",
    "of another type":
        "SET k v / LPUSH k a / RPUSH k a / LPUSHX k a / LPOP k / LPOP k 1 / LPOP k x / RPOP k"
        " / LLEN k / LINDEX k 0 / LINDEX k x / LRANGE k 0 1 / LRANGE k x 1 / LSET k 0 a"
        " / LSET k x a / LINSERT k BEFORE a b / LINSERT k NO a b / LREM k 0 a / LREM k x a"
        " / LTRIM k 0 1 / LTRIM k x 1 / LPOS k a / LPOS k a RANK 0 / RPUSH l a / GET l / INCR l"
        " / APPEND l x / SADD l a / HSET l a 1 / STRLEN l / SETRANGE l 0 a / GETSET l v"
        " / SMEMBERS l / HGETALL l / MGET l k / SETNX l v / SET l v / GET l",
    "moved": "RPUSH l a b c / RENAME l m / LRANGE m 0 -1 / COPY m n / LRANGE n 0 -1 / LSET n 1 x"
             " / RENAMENX m n / RENAMENX n o / LRANGE o 0 -1 / EXPIREAT o 5000000000 / COPY o p"
             " / EXPIRETIME p / MOVE p 1 / EXISTS p / SELECT 1 / LRANGE p 0 -1 / EXPIRETIME p"
             " / SELECT 0 / PERSIST o / TTL o / DEL o / EXISTS o / RPUSH o a / EXPIREAT o 1"
             " / LLEN o / LPUSHX o a / LPUSH o b / TTL o / LRANGE o 0 -1",
}
