"""Scripts to compare with Redis: what programs send, what is easily got wrong, and what is hostile.

Those of `corpus.txt` are written by hand, one a line or, at the end, between lines of dashes.
`generated` makes more from a seed: expressions, calls and conversions put together at random.

Each runs with KEYS = k1, k2 and ARGV = a1, 2, 3.5 where k1 is "10", k2 absent, h a hash, s a set.
"""

import random
from collections.abc import Iterator
from pathlib import Path


def scripts() -> list[str]:
    """All of them."""
    found: list[str] = []
    text = Path(__file__).with_name("corpus.txt").read_text().strip("\n")
    head, *rest = text.split("\n----\n")
    found += head.split("\n")
    return found + rest


_ATOMS = (
    "1", "2.5", "-3", "'x'", "'10'", "nil", "true", "false", "KEYS[1]", "ARGV[2]", "{}", "{1,2}",
    "1e15", "2^53", "''", "0", "redis.call", "string.len", "'h'", "'s'", "k",
)
_OPS = ("+", "-", "*", "/", "%", "..", "==", "<", "and", "or", "^", "~=", "<=")
_CALLS = (
    "tostring({})", "tonumber({})", "type({})", "string.rep({},2)",
    "math.floor({})", "string.upper({})", "string.format('%s',{})", "string.format('%d',{})",
    "select('#',{})",
    "redis.call('get',{})", "redis.call('incr',{})", "redis.call('set','k9',{})",
    "redis.pcall('get',{})", "redis.call('exists',{})", "redis.call('hget','h',{})",
    "redis.call('append','k8',{})", "redis.call('strlen',{})", "redis.call('type',{})",
    "cjson.encode({})", "cjson.decode({})", "cmsgpack.pack({})", "redis.sha1hex({})",
    "bit.band({},7)", "bit.tobit({})", "struct.pack('i',{})", "redis.status_reply({})",
    "redis.error_reply({})", "pcall(redis.call,'get',{})", "pcall(error,tostring({}))", "next({})",
    "table.concat({})", "unpack({})", "rawequal({},1)", "not {}", "-{}", "math.max({},1)",
    "string.sub({},2)", "string.find({},'x')", "string.byte({})", "redis.call('mget',{},'k1')",
    "redis.call('setrange','k7',1,{})", "redis.call('incrby','k6',{})", "redis.call('expire',{},9)",
    "redis.call('sadd','s9',{})", "redis.call('sismember','s',{})", "redis.call({},'k1')",
    "(function() return {} end)()", "({}).x", "setmetatable({},nil)", "redis.log(1,{})",
    "cmsgpack.unpack({})", "struct.unpack('B',{})", "string.gsub({},'1','2')", "math.abs({})",
)
_SHAPES = (
    "return {}", "local a={} return a", "return {{{}}}", "return {{1,{},3}}", "return {{err={}}}",
    "return {{ok={}}}", "local a={} local b={} return {{a,b}}", "if {} then return 1 end return 2",
    "redis.call('set','k1',{}) return redis.call('get','k1')", "error(tostring({}))",
    "return pcall(function() return {} end)", "for i=1,{} do return i end", "local t={} t[{}]=1",
    "return {{pcall(function() error(tostring({})) end)}}",
    "local ok,e=pcall(function() return {} end) return {{tostring(ok),type(e),tostring(e):sub(1,6)"
    "}}",
)


def _expression(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(_ATOMS)
    if rng.random() < 0.4:
        one, two = _expression(rng, depth - 1), _expression(rng, depth - 1)
        return f"({one} {rng.choice(_OPS)} {two})"
    call = rng.choice(_CALLS)
    return call.replace("{}", _expression(rng, depth - 1))


def generated(seed: int, count: int) -> Iterator[str]:
    """So many scripts."""
    rng = random.Random(seed)
    for _ in range(count):
        shape = rng.choice(_SHAPES).replace("{{", "\1").replace("}}", "\2")
        while "{}" in shape:
            shape = shape.replace("{}", _expression(rng, rng.choice((1, 2, 2, 3))), 1)
        yield shape.replace("\1", "{").replace("\2", "}")
