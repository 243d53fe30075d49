-- The room in which scripts run. Loaded once for each runtime, with the Python functions that it may call:
--   ask(word, ...) -> kind, value ...     a command of the script (see `got`)
--   is_over() -> true: stop; asked every COUNT * LOOKS instructions, or when much memory is taken
--   note(what, ...) -> kind, value ...    what is no command: log, sha1hex, acl_check_cmd, setresp
-- It gives back seven functions: translate, compile, load_library, start, go_on, drop, memory.
--
-- A script's globals are read only. Its `redis.call` may have to wait: then the coroutine that it runs in is
-- suspended, and so is every coroutine of its own in between. Lua 5.1 cannot do that across its own pcall, so
-- pcall is made of coroutines here. An error marked STOP ends the script whatever it catches.
--
-- Source: Redis script_lua.c and eval.c (texts, what is there and what is not); decision 0056.
local ask, is_over, note, libraries = ...
local yield, create, resume, status, running =
    coroutine.yield, coroutine.create, coroutine.resume, coroutine.status, coroutine.running
local getinfo, sethook, rawpcall, error, select, type = debug.getinfo, debug.sethook, pcall, error, select, type
local unpack, setmetatable, getmetatable, rawset, rawequal = unpack, setmetatable, getmetatable, rawset, rawequal
local loadstring, setfenv, tostring, tonumber, next, rawget = loadstring, setfenv, tostring, tonumber, next, rawget
local format, floor, ceil, concat, huge, dump = string.format, math.floor, math.ceil, table.concat, math.huge, string.dump
local pairs = pairs
local collectgarbage = collectgarbage
local OUT = {}                          -- marks a yield of this room: it passes through a script's coroutines
local STOP = {}                         -- an error that no pcall of a script catches
local COUNT = 1000                      -- instructions from one look at memory to the next
local LOOKS = 10                        -- such looks from one question to the next
local LOAD_LOOKS = 5000                 -- such questions while a library is loaded: half a second
local TEXT_MOST = 2 ^ 27               -- bytes that string.rep may make at once: it cannot be stopped
local UNPACK_MOST = 7999
local DEPTH_MOST = 199                  -- of tables in a reply, as C's stack allows in Redis
local HERE = getinfo(1, 'S').source
local PREFIX = HERE:sub(2) .. ':'
local stopped = false
local current                           -- the globals of the script at hand
local resp3 = false                     -- of the client
local says_3 = false                    -- of the script: redis.setresp

-- ---- errors ----

-- What luaL_where puts before a message: the place in the script that called us, if it was the script.
local function where(level)
    local i = getinfo(level + 1, 'Sl')
    if i and i.currentline > 0 and i.source ~= HERE then return i.short_src .. ':' .. i.currentline .. ': ' end
    return ''
end
local function raise(text)              -- called by a function that the script has called
    error(where(3) .. text, 0)
end
local function bad(at, name, wanted, got, is_given)
    error(where(3) .. 'bad argument #' .. at .. " to '" .. name .. "' (" .. wanted .. ' expected, got '
        .. (got == nil and not is_given and 'no value' or type(got)) .. ')', 0)
end
local function readonly() error(where(2) .. 'Attempt to modify a readonly table', 0) end
local function missing(_, name)
    error(where(2) .. "Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 0)
end

-- ---- coroutines ----

local looks = 0
local load_looks = 0                    -- left to the library that is being loaded
local function on_count()
    looks = looks + 1
    if not stopped and looks < LOOKS and collectgarbage('count') < libraries.most_kb then return end
    looks, load_looks = 0, load_looks - 1
    if stopped or load_looks == 0 or is_over() then
        stopped = true
        sethook(on_count, '', 1)        -- at every instruction from now on
        error(STOP, 0)
    end
end
local threads = setmetatable({}, { __mode = 'k' })      -- that a script has made
local function thread(f)
    if type(f) ~= 'function' or getinfo(f, 'S').what == 'C' then
        error(where(2) .. "bad argument #1 to 'create' (Lua function expected)", 0)
    end
    local co = create(function(...) return f(...) end)
    sethook(co, on_count, '', stopped and 1 or COUNT)
    threads[co] = true
    return co
end
-- What an error says of the place where this room has called something, it would not say in C.
local function cleaned(mark)
    if type(mark) == 'string' and mark:sub(1, #PREFIX) == PREFIX then return (mark:gsub('^[^:]*:%d+: ', '', 1)) end
    return mark
end
local function settle(co, ok, mark, ...)
    if not ok then
        if rawequal(mark, STOP) then error(STOP, 0) end
        if type(mark) == 'table' then                       -- as Redis's own pcall does
            local text = mark.err
            if type(text) == 'string' then return false, text end
            return false, mark, text
        end
        return false, cleaned(mark)
    end
    if rawequal(mark, OUT) and status(co) == 'suspended' then return settle(co, resume(co, yield(OUT))) end
    return true, mark, ...
end
-- Nobody may yield out of pcall, in Redis as here: there it is a C call, here a coroutine that ends nowhere.
local function inner(f)
    local co = create(function(...) return f(...) end)
    sethook(co, on_count, '', stopped and 1 or COUNT)
    return co
end
local function guarded(co, ok, ...)
    if ok and status(co) == 'suspended' and not rawequal((...), OUT) then
        return false, 'attempt to yield across metamethod/C-call boundary'
    end
    return ok, ...
end
local function settled(co, ...)
    local ok, mark = ...
    if ok and rawequal(mark, OUT) and status(co) == 'suspended' then
        return settled(co, guarded(co, resume(co, yield(OUT))))
    end
    return settle(co, ...)
end
local function is_callable(f)
    local m = getmetatable(f)
    return type(m) == 'table' and rawget(m, '__call') ~= nil
end
local function pcall_(...)
    local f = ...
    if type(f) ~= 'function' and not is_callable(f) then return false, 'attempt to call a ' .. type(f) .. ' value' end
    local co = inner(f)
    return settled(co, guarded(co, resume(co, select(2, ...))))
end
local function handled(handler, co, ok, mark, ...)
    if ok and rawequal(mark, OUT) and status(co) == 'suspended' then
        return handled(handler, co, guarded(co, resume(co, yield(OUT))))
    end
    if ok then return true, mark, ... end
    if rawequal(mark, STOP) then error(STOP, 0) end
    local well, shown = rawpcall(handler, cleaned(mark))
    if not well then
        if rawequal(shown, STOP) then error(STOP, 0) end
        return false, 'error in error handling'
    end
    return false, shown
end
local function xpcall_(f, handler)
    local co = inner(f)
    return handled(handler, co, guarded(co, resume(co)))
end
local function pass(co, ok, mark, ...)
    if ok and rawequal(mark, OUT) and status(co) == 'suspended' then return pass(co, resume(co, yield(OUT))) end
    if not ok and rawequal(mark, STOP) then error(STOP, 0) end
    return ok, mark, ...
end
local own = { create = thread, status = status, yield = yield }
function own.running()
    local co = running()
    return threads[co] and co or nil
end
function own.resume(co, ...)
    if type(co) ~= 'thread' then raise("bad argument #1 to 'resume' (coroutine expected)") end
    return pass(co, resume(co, ...))
end
function own.wrap(f)
    local co = thread(f)
    local function out(ok, ...)
        if not ok then
            local e = ...
            error(type(e) == 'string' and where(3) .. e or e, 0)
        end
        return ...
    end
    return function(...) return out(own.resume(co, ...)) end
end

-- ---- redis.* ----

-- Kinds: 0 a value, 1 a status, 2 an error, 3 an array of plain values, 4 a table made there, 5 wait, 6 stop.
local function got(raises, kind, ...)
    if kind == 0 or kind == 4 then return ... end
    if kind == 3 then return { ... } end
    if kind == 1 then return { ok = (...) } end
    if kind == 2 then
        local e = { err = (...), ignore_error_stats_update = true }
        if raises then error(e, 0) end
        return e
    end
    if kind == 5 then return got(raises, yield(OUT)) end
    error(STOP, 0)
end
local NO_ARGUMENT = 'ERR Please specify at least one argument for this redis lib call'
local WRONG_ARGUMENT = 'ERR Lua redis lib command arguments must be strings or integers'
local function refused(raises, text)
    local e = { err = text }
    if raises then error(e, 0) end
    return e
end
local function words(n, args)           -- numbers as Redis shows them; nil if one is neither
    for i = 1, n do
        local v = args[i]
        local t = type(v)
        if t == 'number' then args[i] = format('%.17g', v) elseif t ~= 'string' then return nil end
    end
    return args
end
local function call(raises, ...)
    local n = select('#', ...)
    if n == 0 then return refused(raises, NO_ARGUMENT) end
    local a, b, c = ...
    if type(a) == 'string' and (n == 1 or (type(b) == 'string' and (n == 2 or (n == 3 and type(c) == 'string')))) then
        return got(raises, ask(...))
    end
    local args = words(n, { ... })
    if not args then return refused(raises, WRONG_ARGUMENT) end
    return got(raises, ask(unpack(args, 1, n)))
end
local redis = {
    LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
    REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
    REDIS_VERSION = libraries.version, REDIS_VERSION_NUM = libraries.version_number,
}
function redis.call(...) return call(true, ...) end
function redis.pcall(...) return call(false, ...) end
local function fail(text) error({ err = 'ERR ' .. text }, 0) end
local function error_of(text)           -- luaPushErrorBuff: a first word that is a code, or ERR
    local code, rest = text:match('^%-?([^ ]*) (.*)$')
    if not code then code, rest = 'ERR', (text:gsub('^%-', '')) end
    return code .. ' ' .. (rest:gsub('^[\r\n]+', ''):gsub('[\r\n]+$', ''))
end
function redis.error_reply(...)
    if select('#', ...) ~= 1 or type((...)) ~= 'string' then return { err = 'ERR wrong number or type of arguments' } end
    return { err = error_of((...)), ignore_error_stats_update = true }
end
function redis.status_reply(...)
    if select('#', ...) ~= 1 or type((...)) ~= 'string' then return { err = 'ERR wrong number or type of arguments' } end
    return { ok = (...) }
end
function redis.sha1hex(...)
    if select('#', ...) ~= 1 then fail('wrong number of arguments') end
    local s = ...
    local t = type(s)
    if t == 'number' then s = tostring(s) elseif t ~= 'string' then s = '' end
    return got(true, note('sha1hex', s))
end
function redis.log(...)
    local n = select('#', ...)
    if n < 2 then fail('redis.log() requires two arguments or more.') end
    local level = ...
    level = tonumber(level)
    if not level then fail('First argument must be a number (log level).') end
    if level < 0 or level > 3 then fail('Invalid debug level.') end
    local parts = {}
    for i = 2, n do
        local v = (select(i, ...))
        local t = type(v)
        if t == 'string' or t == 'number' then parts[#parts + 1] = tostring(v) end
    end
    got(true, note('log', floor(level), concat(parts, ' ')))
end
function redis.setresp(...)
    if select('#', ...) ~= 1 then fail('redis.setresp() requires one argument.') end
    local version = ...
    version = tonumber(version)
    if version ~= 2 and version ~= 3 then fail('RESP version must be 2 or 3.') end
    says_3 = version == 3
    got(true, note('setresp', version))
end
function redis.set_repl(...)
    if select('#', ...) ~= 1 then fail('redis.set_repl() requires two arguments.') end
    local flags = tonumber((...)) or 0
    if flags < 0 or flags > 3 then
        fail('Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.')
    end
end
function redis.replicate_commands() return true end
function redis.breakpoint() return false end
redis.debug = function() end
function redis.acl_check_cmd(...)
    local n = select('#', ...)
    if n == 0 then fail('Please specify at least one argument for this redis lib call') end
    local args = words(n, { ... })
    if not args then fail('Lua redis lib command arguments must be strings or integers') end
    return got(true, note('acl_check_cmd', unpack(args, 1, n)))
end

-- ---- chance: Redis's own drand48, alike everywhere ----

local x0, x1, x2 = 0x330E, 0, 0
local function draw()                   -- X = 0x5DEECE66D * X + 0xB modulo 2^48, 16 bits at a time
    local p = 0xE66D * x0 + 0xB
    local q = 0xE66D * x1 + 0xDEEC * x0 + floor(p / 65536)
    local r = 0xE66D * x2 + 0xDEEC * x1 + 0x5 * x0 + floor(q / 65536)
    x0, x1, x2 = p % 65536, q % 65536, r % 65536
    return x2 * 32768 + floor(x1 / 2)
end
local function sow(seed)
    seed = seed % 4294967296
    x0, x1, x2 = 0x330E, seed % 65536, floor(seed / 65536)
end
local math_ = {}
for k, v in pairs(math) do math_[k] = v end
function math_.random(...)
    local n = select('#', ...)
    local r = (draw() % 2147483647) / 2147483647
    if n == 0 then return r end
    local low, high = ...
    low, high = tonumber(low), tonumber(high)
    if not low then bad(1, 'random', 'number', (...)) end
    if n == 1 then
        low = low < 0 and ceil(low) or floor(low)
        if low < 1 then raise("bad argument #1 to 'random' (interval is empty)") end
        return floor(r * low) + 1
    elseif n == 2 then
        if not high then bad(2, 'random', 'number', (select(2, ...))) end
        low, high = low < 0 and ceil(low) or floor(low), high < 0 and ceil(high) or floor(high)
        if low > high then raise("bad argument #2 to 'random' (interval is empty)") end
        return floor(r * (high - low + 1)) + low
    end
    raise('wrong number of arguments')
end
function math_.randomseed(seed)
    local n = tonumber(seed)
    if not n then bad(1, 'randomseed', 'number', seed) end
    sow(n < 0 and ceil(n) or floor(n))
end

-- ---- the globals ----

local rep = string.rep
function string.rep(...)
    local s, n = ...
    local times = tonumber(n)
    if type(s) ~= 'string' and type(s) ~= 'number' then bad(1, 'rep', 'string', s, select('#', ...) > 0) end
    if not times then bad(2, 'rep', 'number', n, select('#', ...) > 1) end
    s = tostring(s)
    if #s * times > TEXT_MOST then error('not enough memory', 0) end
    return (rep(s, times))
end
local function sealed(t)                -- read only for scripts, also through rawset
    return setmetatable({}, { __index = t, __metatable = false, __newindex = readonly })
end
local G = setmetatable({
    redis = sealed(redis), coroutine = sealed(own), string = sealed(string), math = sealed(math_),
    table = sealed(table), pcall = pcall_, xpcall = xpcall_, error = error, assert = assert, select = select,
    type = type, tostring = tostring, tonumber = tonumber, next = next, pairs = pairs, ipairs = ipairs,
    rawequal = rawequal, rawget = rawget, getmetatable = getmetatable, gcinfo = gcinfo, _VERSION = _VERSION,
}, { __index = missing })
local function told(f)                  -- a library's function: its errors say where it was called
    return function(...)
        local got_ = { rawpcall(f, ...) }
        if not got_[1] then
            local e = got_[2]
            if type(e) ~= 'string' then error(e, 0) end
            error(where(2) .. e, 0)
        end
        local n = #got_
        if n <= 2 then return got_[2] end
        return unpack(got_, 2, n)
    end
end
local function told_one(f)              -- the same of one that gives one value, without a table
    return function(...)
        local ok, v = rawpcall(f, ...)
        if ok then return v end
        if type(v) ~= 'string' then error(v, 0) end
        error(where(2) .. v, 0)
    end
end
local several = { unpack = true, unpack_one = true, unpack_limit = true, encode_sparse_array = true }
local function library_of(t)
    local shown = {}
    for name, v in pairs(t) do
        if type(v) == 'function' then v = several[name] and told(v) or told_one(v) end
        shown[name] = v
    end
    return shown
end
for name, library in pairs(libraries.tables) do rawset(G, name, sealed(library_of(library))) end
local FG = setmetatable({}, { __index = missing })      -- the globals of functions
local cjson_changed
local function fresh_cjson()            -- what one script has set, the next does not see
    local shown = library_of(libraries.make_cjson(function() cjson_changed = true end))
    local make = shown.new
    shown.new = function() return library_of(make()) end
    cjson_changed = false
    shown = sealed(shown)
    rawset(G, 'cjson', shown)
    rawset(FG, 'cjson', shown)
end
fresh_cjson()
function G.unpack(...)                  -- 5.1.5 adds these two in 32 bits, and the process ends
    local t, i, j = ...
    if type(t) ~= 'table' then bad(1, 'unpack', 'table', t, select('#', ...) > 0) end
    local first, last = tonumber(i == nil and 1 or i), tonumber(j == nil and #t or j)
    if not first then bad(2, 'unpack', 'number', i) end
    if not last then bad(3, 'unpack', 'number', j) end
    if last - first >= UNPACK_MOST then raise('too many results to unpack') end
    return unpack(t, first, last)
end
function G.rawset(t, k, v)
    if type(t) == 'table' and getmetatable(t) == false then error('Attempt to modify a readonly table', 0) end
    if type(t) ~= 'table' then bad(1, 'rawset', 'table', t) end
    if k == nil then raise('table index is nil') end
    return rawset(t, k, v)
end
function G.setmetatable(...)
    local t, m = ...
    if type(t) ~= 'table' then bad(1, 'setmetatable', 'table', t, select('#', ...) > 0) end
    if m ~= nil and type(m) ~= 'table' then raise("bad argument #2 to 'setmetatable' (nil or table expected)") end
    local held = getmetatable(t)
    if held == false then error('Attempt to modify a readonly table', 0) end
    if held ~= nil and type(held) ~= 'table' then raise('cannot change a protected metatable') end
    if m ~= nil and rawget(m, '__gc') ~= nil then raise('a finalizer is not accepted') end
    return setmetatable(t, m)
end
function G.collectgarbage(what)
    if what == 'count' then return collectgarbage('count') end
    return 0
end
local function is_code(s) return type(s) == 'string' and s:byte(1) ~= 27 end
function G.loadstring(...)
    local s, name = ...
    if type(s) == 'number' then s = tostring(s) end
    if type(s) ~= 'string' then bad(1, 'loadstring', 'string', s, select('#', ...) > 0) end
    if not is_code(s) then return nil, 'bytecode is not accepted' end
    local f, e = loadstring(s, name)
    if f then setfenv(f, current) end
    return f, e
end
function G.load(get, name)
    if type(get) ~= 'function' then bad(1, 'load', 'function', get) end
    local parts = {}
    while true do
        local piece = get()
        if piece == nil or piece == '' then break end
        if type(piece) ~= 'string' then return nil, 'reader function must return a string' end
        parts[#parts + 1] = piece
    end
    local s = concat(parts)
    if not is_code(s) and #s > 0 then return nil, 'bytecode is not accepted' end
    local f, e = loadstring(s, name or '=(load)')
    if f then setfenv(f, current) end
    return f, e
end
for name, v in pairs(G) do rawset(FG, name, v) end
G.__redis__err__handler = function(e) return e end
getmetatable('').__metatable = false

-- ---- libraries ----

-- While a library is loaded, its globals are `redis` alone, with what is here; its functions find the others when
-- they are called.
local registered                        -- of the library that is being loaded: name, description, flags, ...
local callbacks                         -- by name
local FLAGS = libraries.flags
local function name_of(v) return (type(v) == 'string' or type(v) == 'number') and tostring(v) or nil end
local function flags_of(t)              -- the words as they are shown, or nil
    local given, shown, i = {}, {}, 1
    while t[i] ~= nil do
        local flag = name_of(t[i])
        if not flag then return nil end
        given[flag:lower()] = true
        i = i + 1
    end
    for at = 1, #FLAGS do
        if given[FLAGS[at]] then
            shown[#shown + 1] = FLAGS[at]
            given[FLAGS[at]] = nil
        end
    end
    if next(given) ~= nil then return nil end
    return concat(shown, ',')
end
local function named(t)                 -- register_function{function_name=..., callback=..., ...}
    if type(t) ~= 'table' then
        fail('calling redis.register_function with a single argument is only applicable to Lua table '
            .. '(representing named arguments).')
    end
    local name, description, callback, flags
    for k, v in next, t do
        local key = name_of(k)
        if not key then fail('named argument key given to redis.register_function is not a string') end
        key = key:lower()
        if key == 'function_name' then
            name = name_of(v)
            if not name then fail('function_name argument given to redis.register_function must be a string') end
        elseif key == 'description' then
            description = name_of(v)
            if not description then
                fail('description argument given to redis.register_function must be a string')
            end
        elseif key == 'callback' then
            if type(v) ~= 'function' then
                fail('callback argument given to redis.register_function must be a function')
            end
            callback = v
        elseif key == 'flags' then
            if type(v) ~= 'table' then
                fail('flags argument to redis.register_function must be a table representing function flags')
            end
            flags = flags_of(v)
            if not flags then fail('unknown flag given') end
        else fail('unknown argument given to redis.register_function') end
    end
    if not name then fail('redis.register_function must get a function name argument') end
    if not callback then fail('redis.register_function must get a callback argument') end
    return name, callback, description, flags
end
local function register(...)
    if not registered then fail('redis.register_function can only be called on FUNCTION LOAD command') end
    local n = select('#', ...)
    if n < 1 or n > 2 then fail('wrong number of arguments to redis.register_function') end
    local name, callback, description, flags = ...
    if n == 1 then name, callback, description, flags = named((...))
    else
        name, description, flags = name_of(name), nil, nil
        if not name then fail('first argument to redis.register_function must be a string') end
        if type(callback) ~= 'function' then fail('second argument to redis.register_function must be a function') end
    end
    if not name:find('^[%w_]+$') then
        fail('Library names can only contain letters, numbers, or underscores(_) and must be at least one character long')
    end
    if callbacks[name] then fail('Function already exists in the library') end
    callbacks[name] = callback
    local at = #registered
    registered[at + 1], registered[at + 2], registered[at + 3] = name, description or false, flags or ''
end
local loading = { register_function = register, log = redis.log }
for name, v in pairs(redis) do
    if name:find('^LOG_') or name:find('^REDIS_') then loading[name] = v end
end
local LOADING = setmetatable({ redis = sealed(setmetatable(loading, { __index = missing })) }, { __index = missing })

-- ---- replies: RESP bytes are made here, Python gets one string ----

local encode
local function integer(v)               -- as C casts a double to a long long
    if v ~= v or v >= 9223372036854775808 or v < -9223372036854775808 then return '-9223372036854775808' end
    v = v < 0 and ceil(v) or floor(v)
    return v == 0 and '0' or format('%.0f', v)
end
local function line(s) return (s:gsub('%z.*', ''):gsub('[\r\n]', ' ')) end     -- to the first NUL, as C reads it
local function double(v)
    if v ~= v then return 'nan' end
    if v == huge then return 'inf' elseif v == -huge then return '-inf' end
    return format('%.17g', v)
end
local function null(out) out[#out + 1] = resp3 and '_\r\n' or '$-1\r\n' end
local function bulk(s, out) out[#out + 1] = '$' .. #s .. '\r\n' .. s .. '\r\n' end
local function text_of(v)               -- lua_tostring of a field: strings and numbers
    if type(v) == 'string' then return v elseif type(v) == 'number' then return tostring(v) end
end
local function pairs_in(t, out, depth, with_values)
    local at, n = #out + 1, 0
    out[at] = ''
    for k, v in next, t do
        n = n + 1
        encode(k, out, depth + 1)
        if with_values then encode(v, out, depth + 1) end
    end
    return at, n
end
function encode(v, out, depth)
    local t = type(v)
    if t == 'string' then bulk(v, out)
    elseif t == 'number' then out[#out + 1] = ':' .. integer(v) .. '\r\n'
    elseif t == 'boolean' then
        if says_3 then out[#out + 1] = resp3 and (v and '#t\r\n' or '#f\r\n') or (v and ':1\r\n' or ':0\r\n')
        elseif v then out[#out + 1] = ':1\r\n' else null(out) end
    elseif t == 'table' then
        if depth > DEPTH_MOST then out[#out + 1] = '-ERR reached lua stack limit\r\n' return end
        local e = rawget(v, 'err')
        if type(e) == 'string' then out[#out + 1] = '-' .. line(e) .. '\r\n' return end
        local o = rawget(v, 'ok')
        if type(o) == 'string' then out[#out + 1] = '+' .. line(o) .. '\r\n' return end
        local d = rawget(v, 'double')
        if type(d) == 'number' then
            local s = double(d)
            if resp3 then out[#out + 1] = ',' .. s .. '\r\n' else bulk(s, out) end
            return
        end
        local m = rawget(v, 'map')
        if type(m) == 'table' then
            local at, n = pairs_in(m, out, depth, true)
            out[at] = resp3 and '%' .. n .. '\r\n' or '*' .. n * 2 .. '\r\n'
            return
        end
        local s = rawget(v, 'set')
        if type(s) == 'table' then
            local at, n = pairs_in(s, out, depth, false)
            out[at] = (resp3 and '~' or '*') .. n .. '\r\n'
            return
        end
        local big = rawget(v, 'big_number')
        if type(big) == 'string' then
            if resp3 then out[#out + 1] = '(' .. line(big) .. '\r\n' else bulk(line(big), out) end
            return
        end
        local verbatim = rawget(v, 'verbatim_string')
        if type(verbatim) == 'table' then
            local body, kind = text_of(rawget(verbatim, 'string')), text_of(rawget(verbatim, 'format'))
            if body and kind then
                if resp3 then
                    kind = (kind .. '   '):sub(1, 3)
                    out[#out + 1] = '=' .. #body + 4 .. '\r\n' .. kind .. ':' .. body .. '\r\n'
                else bulk(body, out) end
                return
            end
        end
        local at, n = #out + 1, 0
        out[at] = ''
        while true do
            local item = rawget(v, n + 1)
            if item == nil then break end
            n = n + 1
            encode(item, out, depth + 1)
        end
        out[at] = '*' .. n .. '\r\n'
    else null(out) end
end
local function reply_of(v)
    local t = type(v)
    if t == 'string' then return '$' .. #v .. '\r\n' .. v .. '\r\n' end
    if t == 'number' then return ':' .. integer(v) .. '\r\n' end
    local out = {}
    encode(v, out, 0)
    return concat(out)
end

-- ---- running ----

local function place_of(co)             -- where an error came from: Redis's error handler looks so too
    for level = 0, 30 do
        local i = getinfo(co, level, 'Sl')
        if not i then return nil end
        if i.what ~= 'C' and i.what ~= 'tail' and i.source ~= HERE then return i.source, i.currentline end
    end
end
local function ended(waiting, id, co, ok, v)
    if ok then
        if status(co) ~= 'suspended' then return '=', reply_of(v) end
        if rawequal(v, OUT) then
            waiting[id] = co
            return '?'
        end
        local source, at = place_of(co)
        return '!', 'ERR attempt to yield across metamethod/C-call boundary', source or '', at or 0, false
    end
    if rawequal(v, STOP) then
        local source, at = place_of(co)
        return '.', '', source or '', at or 0
    end
    local text, source, at, is_noted
    if type(v) == 'table' then
        text, source, at = rawget(v, 'err'), rawget(v, 'source'), rawget(v, 'line')
        is_noted = rawget(v, 'ignore_error_stats_update') == true
        text = type(text) == 'string' and text or 'ERR unknown error'
    else
        text = 'ERR ' .. (type(v) == 'boolean' and tostring(v) or type(v) == 'nil' and 'nil' or text_of(v) or tostring(v))
    end
    source, at = place_of(co)
    return '!', line(text), source or '', at or 0, is_noted
end
local suspended = {}
-- A script's text compiled, for `compile`; nil and what is wrong with it.
local function translate(text, name)
    if text:byte(1) == 27 then return nil, 'bytecode is not accepted' end
    local f, e = loadstring(text, name)
    if not f then return nil, e end
    return dump(f)
end
-- A script made ready: its function, in globals of its own.
local function compile(code, name)
    local f, e = loadstring(code, name)
    if not f then return nil, e end
    local T = setmetatable({}, { __index = G })
    local env = setmetatable({}, { __index = T, __newindex = readonly, __metatable = false })
    T._G = env
    setfenv(f, env)
    return { f, T, env }
end
-- A library made ready: its chunk is run, and its functions are those that it has registered.
local function load_library(code, name)
    local f, e = loadstring(code, name)
    if not f then return nil, e end
    local access = { __index = LOADING, __newindex = readonly, __metatable = false }
    local env = setmetatable({}, access)
    setfenv(f, env)
    stopped, current = false, env
    if cjson_changed then fresh_cjson() end
    registered, callbacks, looks, load_looks = {}, {}, 0, LOAD_LOOKS
    local co = create(f)
    sethook(co, on_count, '', COUNT)
    local tag, text = ended(nil, nil, co, resume(co))
    local functions, found = callbacks, registered
    registered, callbacks, load_looks = nil, nil, 0
    if tag == '.' then return nil, 'ERR FUNCTION LOAD timeout' elseif tag ~= '=' then return nil, text end
    access.__index = setmetatable({ _G = env }, { __index = FG })
    return { functions, nil, env }, found
end
-- `name` is that of a function, if the script is a library.
local function start(id, script, keys, args, seed, client_resp3, name)
    stopped = false
    says_3 = false
    if cjson_changed then fresh_cjson() end
    current = script[3]
    resp3 = client_resp3
    sow(seed)
    local co
    if name then
        co = create(script[1][name])
        sethook(co, on_count, '', COUNT)
        return ended(suspended, id, co, resume(co, keys, args))
    end
    local T = script[2]
    T.KEYS, T.ARGV = keys, args
    co = create(script[1])
    sethook(co, on_count, '', COUNT)
    return ended(suspended, id, co, resume(co))
end
local function go_on(id, script, client_resp3, ...)
    local co = suspended[id]
    suspended[id] = nil
    stopped = false
    current = script[3]
    resp3 = client_resp3
    return ended(suspended, id, co, resume(co, ...))
end
local function drop(id) suspended[id] = nil end
local function memory(collects)
    if collects then collectgarbage() end
    return collectgarbage('count')
end
return translate, compile, load_library, start, go_on, drop, memory
