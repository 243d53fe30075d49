-- bit in plain Lua. Source: Lua BitOp 1.0.2 (bit.c): numbers are rounded to integers and taken modulo 2^32.
local floor, format, tonumber, type, error, select = math.floor, string.format, tonumber, type, error, select
local sub, rep = string.sub, string.rep
local TWO32, TWO31, ROUND = 4294967296, 2147483648, 6755399441055744
local AND, OR, XOR = {}, {}, {}         -- of two nibbles, a * 16 + b
for a = 0, 15 do
    for b = 0, 15 do
        local x, y, bit, land, lor, lxor = a, b, 1, 0, 0, 0
        for _ = 1, 4 do
            local p, q = x % 2, y % 2
            if p == 1 and q == 1 then land = land + bit end
            if p == 1 or q == 1 then lor = lor + bit end
            if p ~= q then lxor = lxor + bit end
            x, y, bit = (x - p) / 2, (y - q) / 2, bit * 2
        end
        AND[a * 16 + b], OR[a * 16 + b], XOR[a * 16 + b] = land, lor, lxor
    end
end
local function bits(name, at, ...)      -- its argument at a place, as an unsigned number of 32 bits
    local v = select(at, ...)
    local n = tonumber(v)
    if not n then
        error('bad argument #' .. at .. " to '" .. name .. "' (number expected, got "
            .. (at > select('#', ...) and 'no value' or type(v)) .. ')', 0)
    end
    if n > -2251799813685248 and n < 2251799813685248 then n = (n + ROUND) - ROUND end
    if n ~= n or n >= 2 ^ 63 or n <= -2 ^ 63 then return 0 end
    return floor(n) % TWO32
end
local function signed(n) return n >= TWO31 and n - TWO32 or n end
local function each(table_, name)
    return function(...)
        local n = bits(name, 1, ...)
        for i = 2, select('#', ...) do
            local m, out, place = bits(name, i, ...), 0, 1
            for _ = 1, 8 do
                local p, q = n % 16, m % 16
                out = out + table_[p * 16 + q] * place
                n, m, place = (n - p) / 16, (m - q) / 16, place * 16
            end
            n = out
        end
        return signed(n)
    end
end
local bit = { band = each(AND, 'band'), bor = each(OR, 'bor'), bxor = each(XOR, 'bxor') }
function bit.tobit(...) return signed(bits('tobit', 1, ...)) end
function bit.bnot(...) return signed(TWO32 - 1 - bits('bnot', 1, ...)) end
function bit.lshift(...)
    local v, n = bits('lshift', 1, ...), bits('lshift', 2, ...) % 32
    return signed(v % 2 ^ (32 - n) * 2 ^ n)
end
function bit.rshift(...)
    local v, n = bits('rshift', 1, ...), bits('rshift', 2, ...) % 32
    return signed(floor(v / 2 ^ n))
end
function bit.arshift(...)
    local v, n = signed(bits('arshift', 1, ...)), bits('arshift', 2, ...) % 32
    return floor(v / 2 ^ n)
end
local function rotated(v, n)
    return signed(v % 2 ^ (32 - n) * 2 ^ n + floor(v / 2 ^ (32 - n)))
end
function bit.rol(...) return rotated(bits('rol', 1, ...), bits('rol', 2, ...) % 32) end
function bit.ror(...) return rotated(bits('ror', 1, ...), (32 - bits('ror', 2, ...) % 32) % 32) end
function bit.bswap(...)
    local v = bits('bswap', 1, ...)
    local a, b, c, d = v % 256, floor(v / 256) % 256, floor(v / 65536) % 256, floor(v / 16777216)
    return signed(a * 16777216 + b * 65536 + c * 256 + d)
end
function bit.tohex(...)
    local v = bits('tohex', 1, ...)
    local n = select('#', ...) < 2 and 8 or signed(bits('tohex', 2, ...))
    local shape = '%08x'
    if n < 0 then n, shape = -n, '%08X' end
    if n > 8 then n = 8 end
    local high, low = floor(v / 65536), v % 65536
    local shown = format(shape == '%08x' and '%04x%04x' or '%04X%04X', high, low)
    return sub(shown, 9 - n)
end
return bit
