-- cjson in plain Lua: the same texts, the same numbers, the same rules for sparse arrays.
-- Source: lua-cjson 2.1.0 as Redis has it (lua_cjson.c, strbuf.c).
local byte, char, sub, format, find, gsub, lower = string.byte, string.char, string.sub, string.format, string.find, string.gsub, string.lower
local concat, floor, huge, next, type, error, tonumber = table.concat, math.floor, math.huge, next, type, error, tonumber
local setmetatable, getmetatable, rawget, select = setmetatable, getmetatable, rawget, select
local null = newproxy(true)
getmetatable(null).__tostring = function() return 'userdata: (nil)' end
getmetatable(null).__metatable = false
local ESC = {}
for i = 0, 31 do ESC[char(i)] = format('\\u%04x', i) end
ESC['"'], ESC['\\'], ESC['/'], ESC['\127'] = '\\"', '\\\\', '\\/', '\\u007f'
ESC['\b'], ESC['\f'], ESC['\n'], ESC['\r'], ESC['\t'] = '\\b', '\\f', '\\n', '\\r', '\\t'
local UN = { b = '\b', f = '\f', n = '\n', r = '\r', t = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/' }
local WORDS = { t = { 'true', true }, f = { 'false', false }, n = { 'null', null } }
local NOT_HEX = {}

local function quoted(s) return '"' .. gsub(s, '[%c"\\/\127]', ESC) .. '"' end

local function utf8(c)
    if c < 128 then return char(c) elseif c < 2048 then return char(192 + floor(c / 64), 128 + c % 64)
    elseif c < 65536 then return char(224 + floor(c / 4096), 128 + floor(c / 64) % 64, 128 + c % 64) end
    return char(240 + floor(c / 262144), 128 + floor(c / 4096) % 64, 128 + floor(c / 64) % 64, 128 + c % 64)
end

local function make(changed)
    local convert, ratio, safe = false, 2, 10
    local encode_depth, decode_depth, precision = 1000, 1000, 14
    local encode_invalid, decode_invalid, keeps_buffer = false, true, true
    local number_format = '%.14g'

    local function number(v)
        if v ~= v or v == huge or v == -huge then
            if encode_invalid == 'null' then return 'null' end
            if not encode_invalid then error('Cannot serialise number: must not be NaN or Inf', 0) end
            if v ~= v then return 'nan' end
            return v > 0 and 'inf' or '-inf'
        end
        return format(number_format, v)
    end
    local encode
    local function array_size(t)                    -- lua_array_length
        local max, items = 0, 0
        for k in next, t do
            if type(k) ~= 'number' or k < 1 or floor(k) ~= k then return -1 end
            if k > max then max = k end
            items = items + 1
        end
        if ratio > 0 and max > items * ratio and max > safe then
            if not convert then error('Cannot serialise table: excessively sparse array', 0) end
            return -1
        end
        return max
    end
    function encode(v, out, depth)
        local t = type(v)
        if t == 'string' then out[#out + 1] = quoted(v)
        elseif t == 'number' then out[#out + 1] = number(v)
        elseif t == 'boolean' then out[#out + 1] = v and 'true' or 'false'
        elseif t == 'nil' or v == null then out[#out + 1] = 'null'
        elseif t == 'table' then
            depth = depth + 1
            if depth > encode_depth then error('Cannot serialise, excessive nesting (' .. depth .. ')', 0) end
            local n = array_size(v)
            if n > 0 then
                for i = 1, n do
                    out[#out + 1] = i == 1 and '[' or ','
                    encode(rawget(v, i), out, depth)
                end
                out[#out + 1] = ']'
            else
                local first = true
                for k, x in next, v do
                    out[#out + 1] = first and '{' or ','
                    first = false
                    if type(k) == 'string' then out[#out + 1] = quoted(k)
                    elseif type(k) == 'number' then out[#out + 1] = '"' .. number(k) .. '"'
                    else error('Cannot serialise ' .. type(k) .. ': table key must be a number or string', 0) end
                    out[#out + 1] = ':'
                    encode(x, out, depth)
                end
                out[#out + 1] = first and '{}' or '}'
            end
        else error('Cannot serialise ' .. t .. ': type not supported', 0) end
    end

    local function unexpected(what, s, at, found)
        local c = sub(s, at, at)
        if not found then
            found = c == '' and 'T_END' or c == ',' and 'T_COMMA' or c == ':' and 'T_COLON' or c == '{' and 'T_OBJ_BEGIN'
                or c == '}' and 'T_OBJ_END' or c == '[' and 'T_ARR_BEGIN' or c == ']' and 'T_ARR_END' or 'invalid token'
        end
        error('Expected ' .. what .. ' but found ' .. found .. ' at character ' .. at, 0)
    end
    local function str(s, at, what)                 -- at: behind the opening quote
        local stop = find(s, '["\\%c]', at)
        if stop and byte(s, stop) == 34 then return sub(s, at, stop - 1), stop + 1 end
        local out = {}
        while true do
            stop = find(s, '["\\%c]', at)
            if not stop then unexpected(what, s, #s + 1, 'unexpected end of string') end
            out[#out + 1] = sub(s, at, stop - 1)
            local c = byte(s, stop)
            if c == 34 then return concat(out), stop + 1 end
            if c == 0 and stop == #s + 1 then unexpected(what, s, stop, 'unexpected end of string') end
            if c ~= 92 then
                out[#out + 1] = char(c)
                at = stop + 1
            else
                local e = sub(s, stop + 1, stop + 1)
                if e == 'u' then
                    local digits = sub(s, stop + 2, stop + 5)
                    local c1 = find(digits, '^%x%x%x%x$') and tonumber(digits, 16)
                    at = stop + 6
                    if c1 and c1 >= 0xD800 and c1 < 0xE000 then
                        local more = c1 < 0xDC00 and sub(s, at, at + 1) == '\\u' and sub(s, at + 2, at + 5) or ''
                        local c2 = find(more, '^%x%x%x%x$') and tonumber(more, 16)
                        if not c2 or c2 < 0xDC00 or c2 > 0xDFFF then
                            unexpected(what, s, stop, 'invalid unicode escape code')
                        end
                        c1 = 65536 + (c1 - 0xD800) * 1024 + c2 - 0xDC00
                        at = at + 6
                    end
                    if not c1 then unexpected(what, s, stop, 'invalid unicode escape code') end
                    out[#out + 1] = utf8(c1)
                else
                    out[#out + 1] = UN[e] or unexpected(what, s, stop, 'invalid escape code')
                    at = stop + 2
                end
            end
        end
    end
    local function numeral(s, at)                   -- as strtod: the longest piece that is one
        local _, stop = find(s, '^-?0[xX]%x+', at)
        if not stop then
            _, stop = find(s, '^[%+%-]?%d+%.?%d*', at)
            if not stop then _, stop = find(s, '^[%+%-]?%.%d+', at) end
            if stop then
                local _, more = find(s, '^[eE][%+%-]?%d+', stop + 1)
                stop = more or stop
            end
        end
        if not stop then
            local word = lower(sub(s, at, at + 8))
            local _, w = find(word, '^-?infinity')
            if not w then _, w = find(word, '^-?inf') end
            if not w then _, w = find(word, '^-?nan') end
            stop = w and at + w - 1
        end
        return stop
    end
    local decode
    local function name_of_token(s, at)
        local c = sub(s, at, at)
        if c == '"' then return 'T_STRING' end
        if find(c, '^[%d%-]') then return 'T_NUMBER' end
        for k, w in next, WORDS do
            if c == k and sub(s, at, at + #w[1] - 1) == w[1] then
                return k == 'n' and 'T_NULL' or 'T_BOOLEAN'
            end
        end
    end
    local function skip(s, at) return find(s, '[^ \t\r\n]', at) or #s + 1 end
    function decode(s, at, depth)
        at = skip(s, at)
        local c = sub(s, at, at)
        if c == '"' then return str(s, at + 1, 'value') end
        if c == '{' or c == '[' then
            depth = depth + 1
            if depth > decode_depth then
                error('Found too many nested data structures (' .. depth .. ') at character ' .. at, 0)
            end
            local out, n = {}, 0
            local close = c == '{' and '}' or ']'
            at = skip(s, at + 1)
            if sub(s, at, at) == close then return out, at + 1 end
            while true do
                local k
                if close == '}' then
                    at = skip(s, at)
                    if sub(s, at, at) ~= '"' then unexpected('object key string', s, at, name_of_token(s, at)) end
                    k, at = str(s, at + 1, 'object key string')
                    at = skip(s, at)
                    if sub(s, at, at) ~= ':' then unexpected('colon', s, at, name_of_token(s, at)) end
                    at = at + 1
                else n = n + 1 k = n end
                out[k], at = decode(s, at, depth)
                at = skip(s, at)
                local e = sub(s, at, at)
                if e == close then return out, at + 1 end
                if e ~= ',' then
                    unexpected(close == '}' and 'comma or object end' or 'comma or array end', s, at, name_of_token(s, at))
                end
                at = at + 1
            end
        end
        local w = WORDS[c]
        if w and sub(s, at, at + #w[1] - 1) == w[1] then return w[2], at + #w[1] end
        local stop = find(c, '^[%+%-%diInN]') and numeral(s, at)
        local piece = stop and sub(s, at, stop)
        if piece and not decode_invalid and not (find(piece, '^-?%d') and not find(piece, '^-?0[%dxX]')) then
            unexpected('value', s, at, 'invalid number')
        end
        local v = piece and tonumber(piece)
        if not v and find(c, '^[%-%d]') then unexpected('value', s, at, 'invalid number') end
        if not v then unexpected('value', s, at) end
        return v, stop + 1
    end

    local cjson = { null = null, _NAME = 'cjson', _VERSION = '2.1.0' }
    local function whole(at, v, low, high, name)
        changed()
        local kind = type(v)
        v = tonumber(v)
        if not v then error('bad argument #' .. at .. " to '" .. name .. "' (number expected, got " .. kind .. ')', 0) end
        v = v < 0 and -floor(-v) or floor(v)
        if v < low or v > high then
            error('bad argument #' .. at .. " to '" .. name .. "' (expected integer between " .. low .. ' and ' .. format('%d', high) .. ')', 0)
        end
        return v
    end
    local INT_MAX = 2147483647
    function cjson.encode(...)
        if select('#', ...) ~= 1 then error("bad argument #1 to 'encode' (expected 1 argument)", 0) end
        local out = {}
        encode((...), out, 0)
        return concat(out)
    end
    function cjson.decode(...)
        if select('#', ...) ~= 1 then error("bad argument #1 to 'decode' (expected 1 argument)", 0) end
        local s = ...
        if type(s) == 'number' then s = format('%.14g', s) end
        if type(s) ~= 'string' then
            error("bad argument #1 to 'decode' (string expected, got " .. type(s) .. ')', 0)
        end
        if #s >= 2 and (byte(s, 1) == 0 or byte(s, 2) == 0) then
            error('JSON parser does not support UTF-16 or UTF-32', 0)
        end
        local v, at = decode(s, 1, 0)
        at = skip(s, at)
        if at <= #s then unexpected('the end', s, at, name_of_token(s, at)) end
        return v
    end
    function cjson.encode_sparse_array(c, r, l)
        if c ~= nil then convert = c == true or c == 'on' changed() end
        if r ~= nil then ratio = whole(2, r, 0, INT_MAX, 'encode_sparse_array') end
        if l ~= nil then safe = whole(3, l, 0, INT_MAX, 'encode_sparse_array') end
        return convert, ratio, safe
    end
    function cjson.encode_max_depth(v)
        if v ~= nil then encode_depth = whole(1, v, 1, INT_MAX, 'encode_max_depth') end
        return encode_depth
    end
    function cjson.decode_max_depth(v)
        if v ~= nil then decode_depth = whole(1, v, 1, INT_MAX, 'decode_max_depth') end
        return decode_depth
    end
    function cjson.encode_number_precision(v)
        if v ~= nil then
            precision = whole(1, v, 1, 14, 'encode_number_precision')
            number_format = '%.' .. precision .. 'g'
        end
        return precision
    end
    function cjson.encode_keep_buffer(v)
        if v ~= nil then keeps_buffer = v == true or v == 'on' changed() end
        return keeps_buffer
    end
    function cjson.encode_invalid_numbers(v)
        if v ~= nil then
            changed()
            if v == 'null' then encode_invalid = 'null' else encode_invalid = v == true or v == 'on' end
        end
        return encode_invalid
    end
    function cjson.decode_invalid_numbers(v)
        if v ~= nil then decode_invalid = v == true or v == 'on' changed() end
        return decode_invalid
    end
    function cjson.new() return make(function() end) end
    return cjson
end
return make
