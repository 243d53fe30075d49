-- cmsgpack in plain Lua. Source: lua_cmsgpack.c 0.4.0 as Redis has it.
local byte, char, sub, concat = string.byte, string.char, string.sub, table.concat
local floor, frexp, ldexp, huge, next, type, error, select = math.floor, math.frexp, math.ldexp, math.huge, next, type, error, select
local tonumber, unpack, format, rawget = tonumber, unpack, string.format, rawget
local NESTING_MOST = 16

local function be(v, n)                         -- big-endian
    local o = {}
    for i = n, 1, -1 do o[i] = char(v % 256) v = floor(v / 256) end
    return concat(o)
end
local function double(v, ebits)                 -- IEEE 754, big-endian; 8 or 11 bits of exponent
    local bias = 2 ^ (ebits - 1) - 1
    local mant = ebits == 8 and 23 or 52
    local sign = (v < 0 or (v == 0 and 1 / v < 0)) and 1 or 0
    local m, e
    if v ~= v then return ebits == 8 and '\255\192\0\0' or '\255\248\0\0\0\0\0\0' end
    v = v < 0 and -v or v
    if v == huge then m, e = 0, 2 ^ ebits - 1
    elseif v == 0 then m, e = 0, 0
    else
        m, e = frexp(v)
        e = e + bias - 1
        if e > 0 then m = (m * 2 - 1) * 2 ^ mant else m = ldexp(m, mant + e) e = 0 end
    end
    if ebits == 8 then return be((sign * 256 + e) * 2 ^ 23 + m, 4) end
    return be((sign * 2048 + e) * 2 ^ 20 + floor(m / 2 ^ 32), 4) .. be(m % 2 ^ 32, 4)
end
local function is_float(v)                      -- exact in 24 bits
    if v ~= v then return false end
    if v == huge or v == -huge then return true end
    local m, e = frexp(v)
    return floor(m * 2 ^ 24) == m * 2 ^ 24 and e > -126 and e <= 128
end
local function pack(v, out, depth)
    local t = type(v)
    local n = #out + 1
    if t == 'string' then
        local l = #v
        out[n] = (l < 32 and char(160 + l) or l < 256 and '\217' .. char(l) or l < 65536 and '\218' .. be(l, 2) or '\219' .. be(l, 4)) .. v
    elseif t == 'number' then
        if floor(v) == v and v >= -2 ^ 63 and v < 2 ^ 63 then
            if v >= 0 then
                out[n] = v < 128 and char(v) or v < 256 and '\204' .. char(v) or v < 65536 and '\205' .. be(v, 2)
                    or v < 2 ^ 32 and '\206' .. be(v, 4) or '\207' .. be(floor(v / 2 ^ 32), 4) .. be(v % 2 ^ 32, 4)
            else
                out[n] = v >= -32 and char(256 + v) or v >= -128 and '\208' .. char(256 + v) or v >= -32768 and '\209' .. be(65536 + v, 2)
                    or v >= -2 ^ 31 and '\210' .. be(2 ^ 32 + v, 4) or '\211' .. be(floor(v / 2 ^ 32) % 2 ^ 32, 4) .. be(v % 2 ^ 32, 4)
            end
        elseif is_float(v) then out[n] = '\202' .. double(v, 8) else out[n] = '\203' .. double(v, 11) end
    elseif t == 'boolean' then out[n] = v and '\195' or '\194'
    elseif t == 'table' and depth < NESTING_MOST then
        local count, max, is_array = 0, 0, true
        for k in next, v do
            if type(k) ~= 'number' or k <= 0 or floor(k) ~= k then is_array = false end
            if is_array and k > max then max = k end
            count = count + 1
        end
        if is_array and max == count then
            out[n] = count < 16 and char(144 + count) or count < 65536 and '\220' .. be(count, 2) or '\221' .. be(count, 4)
            for i = 1, count do pack(rawget(v, i), out, depth + 1) end
        else
            out[n] = count < 16 and char(128 + count) or count < 65536 and '\222' .. be(count, 2) or '\223' .. be(count, 4)
            for k, x in next, v do pack(k, out, depth + 1) pack(x, out, depth + 1) end
        end
    else out[n] = '\192' end
end

local MISSING, BAD = 'Missing bytes in input.', 'Bad data format in input.'
local function need(s, at, n) if at + n - 1 > #s then error(MISSING, 0) end end
local function unsigned(s, at, n)
    need(s, at, n)
    local v = 0
    for i = at, at + n - 1 do v = v * 256 + byte(s, i) end
    return v
end
local function signed(s, at, n)
    local v = unsigned(s, at, n)
    if n == 8 then                              -- in two halves: 2^64 - 1 has no double of its own
        local high, low = unsigned(s, at, 4), unsigned(s, at + 4, 4)
        if high >= 2 ^ 31 then high = high - 2 ^ 32 end
        return high * 2 ^ 32 + low
    end
    return v >= 2 ^ (8 * n - 1) and v - 2 ^ (8 * n) or v
end
local function float(s, at, ebits)
    local high, low = unsigned(s, at, 4), 0
    local mbits = 23
    if ebits == 11 then low = unsigned(s, at + 4, 4) mbits = 20 end
    local sign = high >= 2 ^ 31 and -1 or 1
    high = high % 2 ^ 31
    local e = floor(high / 2 ^ mbits)
    local m = high % 2 ^ mbits
    local mant = 23
    if ebits == 11 then m = m * 2 ^ 32 + low mant = 52 end
    local bias = 2 ^ (ebits - 1) - 1
    if e == 2 ^ ebits - 1 then return m == 0 and sign * huge or 0 / 0 end
    if e == 0 then return sign * ldexp(m, 1 - bias - mant) end
    return sign * ldexp(m + 2 ^ mant, e - bias - mant)
end
local decode
local function array(s, at, n)
    local t = {}
    for i = 1, n do t[i], at = decode(s, at) end
    return t, at
end
local function map(s, at, n)
    local t = {}
    for _ = 1, n do
        local k, v
        k, at = decode(s, at)
        v, at = decode(s, at)
        if k == nil then error('table index is nil', 0) end
        t[k] = v
    end
    return t, at
end
local function text(s, at, n)
    need(s, at, n)
    return sub(s, at, at + n - 1), at + n
end
function decode(s, at)
    need(s, at, 1)
    local b = byte(s, at)
    at = at + 1
    if b < 128 then return b, at end
    if b >= 224 then return b - 256, at end
    if b < 144 then return map(s, at, b - 128) end
    if b < 160 then return array(s, at, b - 144) end
    if b < 192 then return text(s, at, b - 160) end
    if b == 192 then return nil, at end
    if b == 194 then return false, at end
    if b == 195 then return true, at end
    if b == 202 then return float(s, at, 8), at + 4 end
    if b == 203 then need(s, at, 8) return float(s, at, 11), at + 8 end
    if b >= 204 and b <= 207 then
        local n = 2 ^ (b - 204)
        return unsigned(s, at, n), at + n
    end
    if b >= 208 and b <= 211 then
        local n = 2 ^ (b - 208)
        return signed(s, at, n), at + n
    end
    if b >= 217 and b <= 219 then
        local n = 2 ^ (b - 217)
        return text(s, at + n, unsigned(s, at, n))
    end
    if b == 220 or b == 221 then
        local n = b == 220 and 2 or 4
        return array(s, at + n, unsigned(s, at, n))
    end
    if b == 222 or b == 223 then
        local n = b == 222 and 2 or 4
        return map(s, at + n, unsigned(s, at, n))
    end
    error(BAD, 0)
end

local function string_of(v, name)
    if type(v) == 'number' then return format('%.14g', v) end
    if type(v) ~= 'string' then
        error("bad argument #1 to '" .. name .. "' (string expected, got " .. (v == nil and 'no value' or type(v)) .. ')', 0)
    end
    return v
end
local function whole(v, at, name, default)
    if v == nil and default then return default end
    local n = tonumber(v)
    if not n then error('bad argument #' .. at .. " to '" .. name .. "' (number expected, got " .. (v == nil and 'no value' or type(v)) .. ')', 0) end
    return n < 0 and -floor(-n) or floor(n)
end
local function unpacked(s, limit, offset)       -- values; how many; where it stopped
    local all = limit == 0 and offset == 0
    if offset < 0 or limit < 0 then
        error('Invalid request to unpack with offset of ' .. offset .. ' and limit of ' .. #s .. '.', 0)
    elseif offset > #s then
        error('Start offset ' .. offset .. ' greater than input length ' .. #s .. '.', 0)
    end
    if all then limit = 2147483647 end
    local out, n, at = {}, 0, offset + 1
    while at <= #s and n < limit do
        n = n + 1
        out[n], at = decode(s, at)
    end
    return out, n, at, all
end
local cmsgpack = {
    _NAME = 'cmsgpack', _VERSION = 'lua-cmsgpack 0.4.0', _COPYRIGHT = 'Copyright (C) 2012, Salvatore Sanfilippo',
    _DESCRIPTION = 'MessagePack C implementation for Lua',
}
function cmsgpack.pack(...)
    local out = {}
    if select('#', ...) == 0 then error("bad argument #0 to 'pack' (MessagePack pack needs input.)", 0) end
    for i = 1, select('#', ...) do pack((select(i, ...)), out, 0) end
    return concat(out)
end
function cmsgpack.unpack(s)
    local out, n = unpacked(string_of(s, 'unpack'), 0, 0)
    return unpack(out, 1, n)
end
local function partly(s, limit, offset)
    local out, n, at = unpacked(s, limit, offset)
    return at > #s and -1 or at - 1, unpack(out, 1, n)
end
function cmsgpack.unpack_one(s, offset)
    return partly(string_of(s, 'unpack_one'), 1, whole(offset, 2, 'unpack_one', 0))
end
function cmsgpack.unpack_limit(s, limit, offset)
    return partly(string_of(s, 'unpack_limit'), whole(limit, 2, 'unpack_limit'), whole(offset, 3, 'unpack_limit', 0))
end
return cmsgpack, double, float
