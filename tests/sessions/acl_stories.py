"""Stories about users and rights, run at respdyn and at redis-server by `test_acl.py`.

One line or more each, steps between slashes. `a: GET k` is said by connection a.
"""

STORIES = {
    "who": r"""
        ACL WHOAMI / ACL USERS / ACL LIST / ACL WHOAMI x / ACL USERS x / ACL LIST x / ACL
        ACL GETUSER nouser / ACL GETUSER / ACL GETUSER default
    """,
    "a new user": r"""
        ACL SETUSER x / ACL LIST / ACL GETUSER x / ACL USERS / ACL SETUSER y on nopass / ACL LIST
        ACL DELUSER x nouser x / ACL USERS / ACL DELUSER default / ACL LIST / ACL DELUSER
        ACL SETUSER / ACL SETUSER a\x20b on / ACL SETUSER a\x00b / ACL DELUSER y default
        ACL USERS / ACL SETUSER z  / ACL LIST
    """,
    "passwords": r"""
        ACL SETUSER x on >password / ACL GETUSER x
        ACL SETUSER x #5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 / ACL LIST
        ACL SETUSER x >two / ACL GETUSER x / ACL SETUSER x <password / ACL GETUSER x
        ACL SETUSER x <password
        ACL SETUSER x !5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
        ACL SETUSER x #xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        ACL SETUSER x #12 / ACL SETUSER x !12 / ACL SETUSER x nopass / ACL LIST
        ACL SETUSER x >three / ACL LIST / ACL SETUSER x resetpass / ACL LIST / ACL SETUSER x <two
        ACL SETUSER x > / ACL LIST / a: AUTH x two / a: AUTH x  / a: ACL WHOAMI
    """,
    "log in": r"""
        ACL SETUSER x on >one >two +ping +acl|whoami / a: AUTH x three / a: AUTH x one
        a: ACL WHOAMI / b: AUTH x two / b: ACL WHOAMI / b: PING / b: GET k / ACL SETUSER x off
        b: PING / c: AUTH x two / c: ACL WHOAMI / ACL SETUSER x on / c: HELLO 2 AUTH x one
        c: ACL WHOAMI / c: RESET / c: ACL WHOAMI / c: AUTH x / c: AUTH default z / c: ACL WHOAMI
        c: AUTH nouser x / c: AUTH a b c
    """,
    "rights revoked in the midst of a transaction": r"""
        ACL SETUSER x on >one ~* &* +@all / a: AUTH x one / a: MULTI / a: SET a 1 / a: GET a
        ACL SETUSER x -set / a: EXEC / a: MULTI / a: SET a 1 / a: GET a / a: EXEC / a: GET a
        ACL SETUSER x +set / a: MULTI / a: SET k 1 / a: SET b 1 / a: MSET b 2 k 2 / a: COPY b k
        ACL SETUSER x resetkeys ~b* / a: EXEC / a: GET b / GET k / ACL SETUSER x ~*
        a: MULTI / a: PUBLISH c m / a: ECHO hi / ACL SETUSER x resetchannels / a: EXEC
        a: MULTI / a: GET b / ACL SETUSER x -exec / a: EXEC / a: DISCARD / a: GET b
        ACL SETUSER x +exec / a: MULTI / a: GET b / ACL SETUSER x off / a: EXEC / a: GET b
        b: AUTH x one
        ACL SETUSER x on / a: MULTI / a: CLIENT SETNAME me / a: ACL WHOAMI / ACL SETUSER x -client
        a: EXEC / ACL SETUSER x +client|setname / a: MULTI / a: CLIENT SETNAME me / a: CLIENT ID
    """,
    "sort": r"""
        ACL SETUSER x on >one ~a* &* +@all / a: AUTH x one / SADD a 2 1 / MSET b_1 5 b_2 4
        a: SORT a / a: SORT a BY nosort STORE a2 / a: SORT a STORE b / a: SORT b
        a: SORT a BY b_* / a: SORT a GET # / a: SORT_RO a GET b_* / a: SORT a BY b_* nope
        a: SORT a nope GET # / ACL SETUSER x %R~b_* / a: SORT a BY b_*
        ACL SETUSER x %W~* / a: SORT a BY b_* / ACL SETUSER x %R~* / a: SORT a BY b_* GET b_*
        ACL SETUSER x resetkeys ~a ~* / a: SORT a BY b_* GET # / ACL LOG RESET
    """,
    "words": r"""
        ACL SETUSER x reset / ACL LIST / ACL SETUSER x ON / ACL SETUSER x allkeys / ACL LIST
        ACL SETUSER x ~a / ACL SETUSER x resetkeys ~a ~b ~a / ACL LIST / ACL SETUSER x &c
        ACL LIST / ACL SETUSER x allchannels / ACL LIST / ACL SETUSER x &d
        ACL SETUSER x resetchannels &d &e &d / ACL GETUSER x / ACL SETUSER x nope
        ACL SETUSER x +nope / ACL SETUSER x -nope / ACL SETUSER x +@nope / ACL SETUSER x +
        ACL SETUSER x - / ACL SETUSER x +@ / ACL SETUSER x +@all / ACL LIST / ACL SETUSER x -@all
        ACL LIST / ACL SETUSER x allcommands / ACL SETUSER x nocommands
        ACL SETUSER x Sanitize-payload / ACL LIST / ACL SETUSER x skip-sanitize-payload / ACL LIST
        ACL SETUSER x on nope +get / ACL LIST / ACL SETUSER x ~a\x20b / ACL SETUSER x &a\x20b
        ACL SETUSER x resetkeys %R~a %W~a %RW~b %wr~c %r~d / ACL LIST / ACL SETUSER x %RR~a
        ACL SETUSER x %X~a / ACL SETUSER x %~a / ACL SETUSER x % / ACL SETUSER x %R
        ACL SETUSER x ~* / ACL LIST
    """,
    "commands and subcommands": r"""
        ACL SETUSER x +get / ACL LIST / ACL SETUSER x reset -get / ACL SETUSER x +client|id
        ACL SETUSER x +client|nope / ACL SETUSER x +client|id|y / ACL SETUSER x +client|
        ACL SETUSER x +nope|id / ACL SETUSER x reset +select|0 / ACL LIST
        ACL SETUSER x -select|0 / ACL SETUSER x on nopass / a: AUTH x x / a: SELECT 0
        a: SELECT 1 / a: select 0 / ACL SETUSER x -select / a: SELECT 0 / ACL SETUSER x +SELECT
        a: SELECT 1 / ACL LIST / ACL SETUSER x reset on nopass +client -client|setname
        b: AUTH x x / b: CLIENT ID x / b: CLIENT SETNAME z / b: CLIENT GETNAME / b: GET / b: GET k
        b: NOPE / b: CLIENT NOPE
    """,
    "selectors": r"""
        ACL SETUSER x (+get\x20~a) / ACL LIST / ACL GETUSER x / ACL SETUSER x (+set ~b &c)
        ACL LIST / ACL SETUSER x (+get / ACL SETUSER x ( / ACL SETUSER x () / ACL LIST
        ACL SETUSER x (%R~z\x20+@all) / ACL GETUSER x / ACL SETUSER x clearselectors / ACL LIST
        ACL SETUSER x ((+get)) / ACL SETUSER x (on) / ACL SETUSER x )
        ACL SETUSER x (+get) (+set) reset / ACL LIST
    """,
    "keys": r"""
        ACL SETUSER x on nopass +@all ~a* %R~r* %W~w* / a: AUTH x x / a: SET a1 v / a: GET a1
        a: SET b v / a: GET b / a: GET r1 / a: SET r1 v / a: SET w1 v / a: GET w1 / a: STRLEN w1
        a: STRLEN r1 / a: EXISTS w1 / a: EXISTS a1 w1 b / a: DEL w1 / a: DEL r1 / a: MGET a1 r1
        a: MGET a1 w1 / a: MSET a1 1 w1 2 / a: MSET a1 1 r1 2 / a: GETSET w1 v / a: APPEND w1 v
        a: INCR w2 / a: INCR a2 / a: COPY r1 w1 / a: COPY w1 r1 / a: COPY r1 a1
        a: BITOP OR w1 r1 r2 / a: BITOP OR w1 r1 w2 / a: EXPIRE w1 100 / a: EXPIRE r1 100
        a: TTL w1 / a: TTL b / a: TYPE w1 / a: SETNX r1 x / a: GETDEL r1 / a: GETEX r1
        a: TOUCH w1 / a: UNLINK w1 / a: UNLINK r1 / a: LCS a1 r1 / a: LCS a1 w1
        a: SETBIT w1 1 1 / a: SET w1 v GET / a: SET a1 v GET / a: SET w1 v NX
        a: BITFIELD w1 SET u8 0 1 / a: BITFIELD r1 GET u8 0 / a: BITFIELD r1 get u8 0 SET u8 0 1
        a: BITFIELD r1 OVERFLOW WRAP GET u8 0 / a: BITFIELD w1 GET u8 0 / a: BITFIELD a1 SET u8 0 1
        a: GETBIT w1 1 / a: BITCOUNT r1 / a: SCAN x / a: RANDOMKEY x / a: DBSIZE x
    """,
    "keys of several selectors": r"""
        ACL SETUSER x on nopass +get ~a (+set\x20~b) (+mget\x20~c\x20~d) / a: AUTH x x / a: GET a
        a: GET b / a: SET b v / a: SET a v / a: MGET c d / a: MGET c a / a: DEL a / a: PING
        a: AUTH default / a: QUIT
    """,
    "channels": r"""
        ACL SETUSER x on nopass +@all ~* &c* &p[a] / a: AUTH x x / a: PUBLISH c1 m / a: PUBLISH d m
        a: SPUBLISH d m / b: AUTH x x / b: SUBSCRIBE d / b: SUBSCRIBE c1 / c: AUTH x x
        c: PSUBSCRIBE c* / d: AUTH x x / d: PSUBSCRIBE c / d: PSUBSCRIBE d* / d: SSUBSCRIBE d
        d: PSUBSCRIBE pa / d: PSUBSCRIBE p[a] / d: PUBSUB CHANNELS x
        ACL DRYRUN x PUBLISH d m / ACL DRYRUN x PSUBSCRIBE c / ACL DRYRUN x SUBSCRIBE c1 d
    """,
    "dryrun": r"""
        ACL SETUSER x +get +client|id +select|1 ~k &c / ACL DRYRUN x GET k / ACL DRYRUN x GET z
        ACL DRYRUN x SET k v / ACL DRYRUN x CLIENT ID / ACL DRYRUN x CLIENT LIST
        ACL DRYRUN x NOPE / ACL DRYRUN x GET / ACL DRYRUN x GET a b / ACL DRYRUN x SELECT 1
        ACL DRYRUN x SELECT 2 / ACL DRYRUN nouser GET k / ACL DRYRUN x / ACL DRYRUN default GET k
        ACL DRYRUN x CLIENT / ACL DRYRUN x AUTH y / ACL DRYRUN x CLIENT NOPE
    """,
    "cat": r"""
        ACL CAT / ACL CAT nope / ACL CAT a b / ACL CAT transactio
    """,
    "genpass": r"""
        ACL GENPASS 0 / ACL GENPASS -1 / ACL GENPASS 4097 / ACL GENPASS x / ACL GENPASS 1 2
    """,
    "log": r"""
        ACL LOG x / ACL LOG RESET / ACL LOG / ACL LOG 1 2 / ACL LOG -1 / ACL LOG reset
    """,
    "no file": r"""
        ACL LOAD / ACL SAVE / ACL LOAD x
    """,
    "the default user": r"""
        ACL SETUSER default -@all +acl / ACL LIST / GET k / PING / ACL SETUSER default +@all
        GET k / ACL SETUSER default resetkeys / GET k / ACL SETUSER default ~* / a: GET k
        ACL SETUSER default >secret / a: PING / b: PING / b: AUTH secret / b: PING
        ACL SETUSER default nopass / c: PING / ACL SETUSER default off / c: PING / d: PING
        d: AUTH default x / ACL SETUSER default on / d: PING
    """,
}
