-- struct in plain Lua. Source: lua_struct.c 0.2 as Redis has it, on a little-endian machine of 64 bits.
local encode_double, decode_double = ...
local byte, char, sub, rep, reverse, find, format = string.byte, string.char, string.sub, string.rep, string.reverse, string.find, string.format
local floor, concat, tonumber, type, error, select, unpack = math.floor, table.concat, tonumber, type, error, select, unpack
local INT, LONG, SIZE_T, ALIGN_MOST, INT_MOST = 4, 8, 8, 8, 32
local INT_MAX = 2147483647

local function argument(at, name, text) error('bad argument #' .. at .. " to '" .. name .. "' (" .. text .. ')', 0) end
local function numeral(fmt, at, default)        -- digits at this place of the format
    local _, stop = find(fmt, '^%d+', at)
    if not stop then return default, at end
    local n = tonumber(sub(fmt, at, stop))
    if n > INT_MAX then error('integral size overflow', 0) end
    return n, stop + 1
end
local function size_of(fmt, at, option)         -- size of an item; where the format goes on
    if option == 'B' or option == 'b' then return 1, at end
    if option == 'H' or option == 'h' then return 2, at end
    if option == 'L' or option == 'l' then return LONG, at end
    if option == 'T' then return SIZE_T, at end
    if option == 'f' then return 4, at end
    if option == 'd' then return 8, at end
    if option == 'x' then return 1, at end
    if option == 'c' then return numeral(fmt, at, 1) end
    if option == 'i' or option == 'I' then
        local n
        n, at = numeral(fmt, at, INT)
        if n > INT_MOST then error('integral size ' .. n .. ' is larger than limit of ' .. INT_MOST, 0) end
        return n, at
    end
    return 0, at
end
local function control(option, fmt, at, state, name)
    if option == ' ' then return at end
    if option == '>' then state.big = true return at end
    if option == '<' then state.big = false return at end
    if option == '!' then
        local n
        n, at = numeral(fmt, at, ALIGN_MOST)
        local power = n
        while power > 1 and power % 2 == 0 do power = power / 2 end
        if n == 0 or power ~= 1 then error('alignment ' .. n .. ' is not a power of 2', 0) end
        state.align = n
        return at
    end
    argument(1, name, "invalid format option '" .. option .. "'")
end
local function padding(length, state, option, size)
    if size == 0 or option == 'c' then return 0 end
    if size > state.align then size = state.align end
    if size <= 1 then return 0 end
    return (size - length % size) % size
end
local ITEMS = '^[bBhHlLTiIxfdcs]$'
-- The C function puts a nil behind its arguments: the first that is missing is that.
local function number_at(v, at, name, is_nil)
    local n = tonumber(v)
    if not n then argument(at, name, 'number expected, got ' .. (v == nil and not is_nil and 'no value' or type(v))) end
    return n
end
local function string_at(v, at, name, is_nil)
    if type(v) == 'number' then return format('%.14g', v) end
    if type(v) ~= 'string' then argument(at, name, 'string expected, got ' .. (v == nil and not is_nil and 'no value' or type(v))) end
    return v
end
local function integer(n, size)                 -- little-endian; as C casts it to 64 bits
    local out = {}
    if n ~= n or n >= 2 ^ 64 or n < -2 ^ 63 then n = n >= 2 ^ 64 and 0 or -2 ^ 63 end
    n = n < 0 and -floor(-n) or floor(n)
    local negative = n < 0
    local low, high
    if negative then                            -- two's complement in two halves
        local m = -n
        low, high = m % 2 ^ 32, floor(m / 2 ^ 32)
        low = 2 ^ 32 - low
        high = 2 ^ 32 - 1 - high
        if low == 2 ^ 32 then low = 0 high = (high + 1) % 2 ^ 32 end
    else low, high = n % 2 ^ 32, floor(n / 2 ^ 32) end
    for i = 1, size do
        local part = i <= 4 and low or i <= 8 and high or 0
        out[i] = char(part % 256)
        if i <= 4 then low = floor(low / 256) elseif i <= 8 then high = floor(high / 256) end
    end
    return concat(out)
end
local struct = {}
function struct.pack(...)
    local fmt = string_at((...), 1, 'pack')
    local state, out, length, at, arg = { big = false, align = 1 }, {}, 0, 1, 1
    local args, count = { ... }, select('#', ...)
    while at <= #fmt do
        local option = sub(fmt, at, at)
        at = at + 1
        local size
        size, at = size_of(fmt, at, option)
        local pad = padding(length, state, option, size)
        if pad > 0 then out[#out + 1] = rep('\0', pad) length = length + pad end
        if option == 'x' then out[#out + 1] = '\0'
        elseif option == 's' or option == 'c' then
            arg = arg + 1
            local s = string_at(args[arg], arg, 'pack', arg <= count + 1)
            if size == 0 then size = #s end
            if #s < size then argument(arg + 1, 'pack', 'string too short') end
            out[#out + 1] = sub(s, 1, size)
            if option == 's' then out[#out + 1] = '\0' size = size + 1 end
        elseif option == 'f' or option == 'd' then
            arg = arg + 1
            local s = encode_double(number_at(args[arg], arg, 'pack', arg <= count + 1), option == 'f' and 8 or 11, option == 'f')
            out[#out + 1] = state.big and s or reverse(s)
        elseif find(option, '^[bBhHlLTiI]$') then
            arg = arg + 1
            local s = integer(number_at(args[arg], arg, 'pack', arg <= count + 1), size)
            out[#out + 1] = state.big and reverse(s) or s
        else at = control(option, fmt, at, state, 'pack') end
        length = length + size
    end
    return concat(out)
end
local function integer_of(s, at, size, is_signed, big)
    local v = 0
    if size > 8 then size = 8 end
    local low, high = 0, 0
    for i = 1, size do
        local b = byte(s, big and at + size - i or at + i - 1)
        if i <= 4 then low = low + b * 256 ^ (i - 1) else high = high + b * 256 ^ (i - 5) end
    end
    v = high * 2 ^ 32 + low
    if is_signed then
        if size < 8 then
            if v >= 2 ^ (8 * size - 1) then v = v - 2 ^ (8 * size) end
        elseif high >= 2 ^ 31 then v = (high - 2 ^ 32) * 2 ^ 32 + low end
    end
    return v
end
function struct.unpack(...)
    local fmt = string_at((...), 1, 'unpack')
    local data = string_at((select(2, ...)), 2, 'unpack', select('#', ...) > 1)
    local position = select(3, ...)
    position = position == nil and 1 or number_at(position, 3, 'unpack')
    position = (position < 0 and -floor(-position) or floor(position)) - 1
    if position == -1 then argument(3, 'unpack', 'offset must be 1 or greater') end
    if position < 0 then argument(2, 'unpack', 'data string too short') end
    local state, out, n, at, arg = { big = false, align = 1 }, {}, 0, 1, 0
    while at <= #fmt do
        local option = sub(fmt, at, at)
        at = at + 1
        local size
        size, at = size_of(fmt, at, option)
        position = position + padding(position, state, option, size)
        if not (size <= #data and position <= #data - size) then argument(2, 'unpack', 'data string too short') end
        if option == 'x' then
        elseif find(option, '^[bBhHlLTiI]$') then
            n = n + 1
            out[n] = integer_of(data, position + 1, size, find(option, '%l') ~= nil, state.big)
        elseif option == 'f' or option == 'd' then
            local s = sub(data, position + 1, position + size)
            n = n + 1
            out[n] = decode_double(state.big and s or reverse(s), 1, option == 'f' and 8 or 11)
        elseif option == 'c' then
            if size == 0 then
                local last = out[n]
                if n == 0 or type(last) ~= 'number' then error("format 'c0' needs a previous size", 0) end
                size = last
                out[n] = nil
                n = n - 1
                if not (size >= 0 and size <= #data and position <= #data - size) then
                    argument(2, 'unpack', 'data string too short')
                end
            end
            n = n + 1
            out[n] = sub(data, position + 1, position + size)
        elseif option == 's' then
            local stop = find(data, '\0', position + 1, true) or find(data, '%z', position + 1)
            if not stop then error('unfinished string in data', 0) end
            size = stop - position
            n = n + 1
            out[n] = sub(data, position + 1, stop - 1)
        else at = control(option, fmt, at, state, 'unpack') end
        position = position + size
    end
    out[n + 1] = position + 1
    return unpack(out, 1, n + 1)
end
function struct.size(...)
    local fmt = string_at((...), 1, 'size')
    local state, length, at = { big = false, align = 1 }, 0, 1
    while at <= #fmt do
        local option = sub(fmt, at, at)
        at = at + 1
        local size
        size, at = size_of(fmt, at, option)
        length = length + padding(length, state, option, size)
        if option == 's' then argument(1, 'size', "option 's' has no fixed size") end
        if option == 'c' and size == 0 then argument(1, 'size', "option 'c0' has no fixed size") end
        if not find(option, ITEMS) then at = control(option, fmt, at, state, 'size') end
        length = length + size
        if length > INT_MAX then argument(1, 'size', 'item size overflow') end
    end
    return length
end
return struct
