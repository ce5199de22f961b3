-- mod_minimix 0.2.0: the account, not each client, is the occupant of a MUC room.
-- Compiled from TypeScript by TypeScriptToLua: change src/ instead, then run `make build`.
-- Each block below is one source file. Its local table holds what other files use.

local cache = require("util.cache")
local datetime = require("util.datetime")
local jids = require("util.jid")
local st = require("util.stanza")

-- src/admin/place.ts
--
-- Refuses to load on hosts without users. Imported first, so that no store is opened and no event hooked there.
do
if module:get_host_type() ~= "local" then
    local here = module.host == "*" and "the whole server" or "the component " .. module.host
    error("mod_minimix is for hosts that have users, not for " .. here .. ": remove it there and add \"minimix\" to " .. "modules_enabled of a VirtualHost, or to the global modules_enabled", 0)
end
end

-- src/namespaces.ts
--
-- XML namespaces, and the status codes of XEP-0045 15.6 that the module reacts to. Other codes are forwarded unread.
local namespaces = {}
do
namespaces.MUC = "http://jabber.org/protocol/muc"
--- The module's own: a feature of the account, and the ad-hoc commands.
namespaces.MINIMIX = "https://modules.prosody.im/mod_minimix"
namespaces.MUC_OWNER = "http://jabber.org/protocol/muc#owner"
namespaces.MUC_USER = "http://jabber.org/protocol/muc#user"
namespaces.AFFILIATIONS = "urn:xmpp:muc:affiliations:1"
namespaces.BOOKMARKS = "urn:xmpp:bookmarks:1"
namespaces.CAPTCHA = "urn:xmpp:captcha"
namespaces.CARBONS = "urn:xmpp:carbons:2"
namespaces.CONFERENCE = "jabber:x:conference"
namespaces.DATAFORM = "jabber:x:data"
namespaces.DELAY = "urn:xmpp:delay"
namespaces.FORWARD = "urn:xmpp:forward:0"
namespaces.HINTS = "urn:xmpp:hints"
namespaces.NICK = "http://jabber.org/protocol/nick"
namespaces.PING = "urn:xmpp:ping"
namespaces.PUBSUB = "http://jabber.org/protocol/pubsub"
namespaces.MAM = "urn:xmpp:mam:2"
namespaces.RSM = "http://jabber.org/protocol/rsm"
namespaces.OCCUPANT_ID = "urn:xmpp:occupant-id:0"
namespaces.STANZA_ID = "urn:xmpp:sid:0"
namespaces.VCARD = "vcard-temp"
namespaces.VCARD_UPDATE = "vcard-temp:x:update"
end

-- src/admin/announce.ts
local admin_announce = {}
do
local MINIMIX = namespaces.MINIMIX

--- `account-disco-info`: shows clients that the account joins rooms in their place.
function admin_announce.onAccountInfo(event)
    event.reply:tag("feature", {var = MINIMIX}):up()
end
end

-- src/options.ts
--
-- Reads and checks the options. An invalid value or an unknown option is logged. The default replaces an invalid value.
-- The checks of 13.0 differ from each other and are missing in 0.12.
local minimix_options = {}
do
local valueOf, refuseUnknown, resourceOption, text, services, flag, oneOf, archiveOption, count, period, parsePeriod, refuse, names, DEFAULT_RESOURCE, units
local config = require("core.configmanager")

function valueOf(name)
    names[name] = true
    return module:get_option(name)
end

function refuseUnknown(section)
    local options = config.getconfig()[section]
    for name in pairs(options or {}) do
        if string.sub(name, 1, 8) == "minimix_" and names[name] == nil then
            module:log("error", "Unknown option %s", name)
        end
    end
end

function resourceOption()
    local value = valueOf("minimix_resource")
    if value == nil then
        value = DEFAULT_RESOURCE
    end
    if value == false then
        return nil
    end
    local address = module.host .. "/" .. tostring(value)
    local isResource = type(value) == "string" and value ~= "" and jids.prep(address) == address
    return isResource and value or refuse("minimix_resource", value, "a resource that a client could bind, or false", DEFAULT_RESOURCE)
end

function text(name, fallback)
    local value = valueOf(name)
    if value == nil then
        return fallback
    end
    return type(value) == "string" and value ~= "" and value or refuse(name, value, "a string", fallback)
end

function services(name)
    local value = valueOf(name)
    if value == nil then
        value = {}
    end
    local list = type(value) == "table" and value or {value}
    local domains = {}
    for _, domain in ipairs(list) do
        local address
        if type(domain) == "string" then
            address = jids.prep(domain)
        end
        if address == nil or jids.host(address) ~= address then
            return refuse(name, domain, "a list of domains", {})
        end
        domains[address] = true
    end
    return domains
end

function flag(name, fallback)
    local value = valueOf(name)
    if value == nil then
        value = fallback
    end
    if type(value) == "boolean" then
        return value
    else
        return refuse(name, value, "true or false", fallback)
    end
end

function oneOf(name, fallback, values)
    local value = valueOf(name)
    if value == nil then
        value = fallback
    end
    for _, allowed in ipairs(values) do
        if value == allowed then
            return allowed
        end
    end
    return refuse(name, value, "one of " .. table.concat(values, ", "), fallback)
end

function archiveOption()
    local value = valueOf("minimix_archive")
    if value == nil then
        value = true
    end
    if value == true or value == false or value == "mam" then
        return value
    end
    return refuse("minimix_archive", value, "true, false or \"mam\"", true)
end

function count(name, fallback, least)
    local value = valueOf(name)
    if value == nil then
        value = fallback
    end
    if type(value) == "number" and value >= least and value == math.floor(value) then
        return value
    end
    return refuse(name, value, "a whole number from " .. tostring(least), fallback)
end

function period(name, fallback, least, most)
    if most == nil then
        most = math.huge
    end
    local value = valueOf(name)
    if value == nil then
        value = fallback
    end
    local seconds = value == "never" and math.huge or parsePeriod(value)
    if seconds ~= nil and seconds >= least and seconds <= most then
        return seconds
    end
    local range = most == math.huge and "from " .. tostring(least) or "from " .. tostring(least) .. " to " .. tostring(most)
    return refuse(name, value, "a number of seconds " .. range .. ", or a period such as \"5 minutes\"", fallback)
end

function parsePeriod(value)
    if type(value) ~= "string" then
        return type(value) == "number" and value or nil
    end
    local amount, unit = string.match(string.lower(value), "^(%d+)%s*([smhdwy]?[io]?n?)")
    local factor = units[unit or ""]
    if factor == nil then
        return nil
    else
        return (tonumber(amount) or 0) * factor
    end
end

function refuse(name, value, wanted, fallback)
    local used = (fallback == nil or type(fallback) == "table") and "none" or tostring(fallback)
    module:log(
        "error",
        "Invalid value for %s: expected %s, got %s; using %s",
        name,
        wanted,
        tostring(value),
        used
    )
    return fallback
end

local HOUR = 3600
local DAY = 24 * HOUR
names = {}
DEFAULT_RESOURCE = "minimix"
units = {}
units.s = 1
units.min = 60
units.h = 3600
units.ho = 3600
units.d = DAY
units.w = 7 * DAY
units.mon = 31 * DAY
units.y = 365.2425 * DAY
--- The resource of the occupant JID, "minimix" by default. Undefined (`false`) makes the bare JID the occupant JID.
minimix_options.resource = resourceOption()
--- Services that the module ignores. Clients join their rooms by themselves.
minimix_options.excluded = services("minimix_exclude")
--- Timeout of a join or a leave, in seconds.
minimix_options.answerTimeout = period("minimix_join_timeout", 60, 1, HOUR)
--- Unanswered IQs per session, and the timeout of each in seconds.
minimix_options.maxPendingIqs = count("minimix_max_pending_iqs", 64, 1)
minimix_options.iqTimeout = period("minimix_iq_timeout", 120, 1, HOUR)
--- Rooms per account.
minimix_options.maxRooms = count("minimix_max_rooms", 100, 1)
--- Joins per second of an account's sessions, and the largest burst.
minimix_options.joinRate = count("minimix_join_rate", 10, 1)
minimix_options.joinBurst = count("minimix_join_burst", 500, 1)
--- Unanswered nick changes per account and room.
minimix_options.maxNickRequests = count("minimix_max_nick_requests", 16, 1)
--- Cached occupants per room, and bytes of the largest cached presence or subject, as XML.
minimix_options.maxOccupants = count("minimix_max_occupants", 5000, 0)
minimix_options.maxCachedSize = count("minimix_max_cached_size", 16384, 0)
--- Bytes of cached presence per room, as XML.
minimix_options.maxRoomSize = count("minimix_max_room_size", 8388608, 0)
--- Seconds without an attached session until the room is shown `detachedShow`: a `<show/>`, or "none" for available.
minimix_options.detachedAfter = period("minimix_detached_after", 300, 0)
minimix_options.detachedShow = oneOf("minimix_detached_show", "xa", {"xa", "away", "dnd", "none"})
--- Seconds without a stanza from the room until the account sends a self-ping.
minimix_options.pingAfter = period("minimix_ping_after", 900, 1)
--- Rejoins per second when the server starts.
minimix_options.rejoinRate = count("minimix_rejoin_rate", 100, 1)
--- Whether the server joins rooms that are bookmarked with autojoin. Otherwise clients join them.
minimix_options.autojoin = flag("minimix_autojoin", true)
--- Whether joins and leaves of clients change the bookmarks.
minimix_options.bookmarkWrite = flag("minimix_bookmark_write", false)
--- Seconds without a session until an account leaves its rooms.
minimix_options.inactiveAfter = period("minimix_inactive_after", 30 * DAY, 1)
--- Where messages of rooms are archived: true for the module's archive, "mam" for mod_mam (a copy per account), or
-- false.
minimix_options.archive = archiveOption()
--- Seconds until an archived message expires.
minimix_options.archiveExpiresAfter = period("minimix_archive_expires_after", 7 * DAY, 60)
--- Bytes of the largest archived message, as XML.
minimix_options.maxKeptSize = count("minimix_max_kept_size", 65536, 1)
--- Options of mod_mam: the name of the store, and the largest page.
minimix_options.personalArchive = text("archive_store", "archive")
minimix_options.maxArchivePage = count("max_archive_query_results", 50, 0)
--- Messages of history for a joining session: the default number, and the limit.
minimix_options.history = count("minimix_history", 20, 0)
minimix_options.maxHistory = count("minimix_max_history", 1000, 0)
--- Bytes of memory for messages of a room that are buffered while an earlier gap is filled, per account.
minimix_options.maxGapSize = count("minimix_max_gap_size", 524288, 0)
--- Bytes of memory of history for a joining session.
minimix_options.maxHistorySize = count("minimix_max_history_size", 2097152, 0)
--- Largest number of rooms that one query of an archive reads.
minimix_options.maxQueryRooms = count("minimix_max_query_rooms", 200, 1)
--- Whether a stanza is serialised once for all sessions. Tests turn this off to show that nothing else changes.
minimix_options.readyText = valueOf("minimix_ready_text") ~= false
--- Whether the host is anonymous. Its accounts end with their last session, and nothing is stored.
minimix_options.anonymous = module:get_option("authentication") == "anonymous"
refuseUnknown(module.host)
refuseUnknown("*")
end

-- src/state/clock.ts
--
-- The two clocks. Durations use a clock that cannot be set. The wall clock may jump, and is used for time stamps only.
local state_clock = {}
do
local time = require("util.time")

--- Returns seconds of a clock that only moves forward. It continues over a reload, not over a restart.
function state_clock.monotonic()
    return time.monotonic()
end

--- Returns full seconds since 1970.
function state_clock.wallClock()
    return os.time()
end
end

-- src/state/bookmarks.ts
--
-- Bookmarks of an account (XEP-0402), and the rooms that refused it, bookmarked or not.
local state_bookmarks = {}
do
local setRefusal, refusals
local monotonic = state_clock.monotonic
local options = minimix_options

function setRefusal(username, room, refusal)
    local rooms = refusals[username] or {}
    rooms[room] = refusal
    refusals[username] = rooms
end

--- Returns the rooms that an account does not join by their bookmarks.
function state_bookmarks.refusalsOf(username)
    return refusals[username] or {}
end

--- Whether the account stays in the room without a session. Bookmarks written by the module do not count.
function state_bookmarks.isAutojoin(membership)
    local bookmark = membership.bookmark
    return bookmark ~= nil and bookmark.autojoin and not membership.ownBookmark
end

--- Whether the server joins the room by itself.
function state_bookmarks.isToJoin(membership)
    local autojoin = options.autojoin
    if autojoin then
        local bookmark = membership.bookmark
        autojoin = (bookmark and bookmark.autojoin) == true
    end
    return autojoin
end

--- Whether the account rejoins when it is lost, without a session.
function state_bookmarks.shouldRejoin(membership)
    return membership.established == true or state_bookmarks.isToJoin(membership)
end

--- Whether two bookmarks are equal, or both are missing.
function state_bookmarks.isSameBookmark(one, other)
    if one == nil or other == nil then
        return one == other
    end
    return one.autojoin == other.autojoin and one.nick == other.nick and one.password == other.password and one.name == other.name and one.notify == other.notify
end

refusals = {}

--- Records that the room is not joined again by this bookmark.
function state_bookmarks.noteRefusal(membership, forbidden)
    local bookmark = membership.bookmark
    if not (bookmark and bookmark.autojoin) then
        return
    end
    setRefusal(membership.username, membership.room, {bookmark = bookmark, forbidden = forbidden, wasIn = membership.established == true})
end

--- Whether the room refuses the account with this bookmark. After a refusal, another nick or password may succeed. After
-- a removal, any edit of the bookmark counts as the user's request to return.
function state_bookmarks.isRefused(username, room, bookmark)
    local opt_5 = refusals[username]
    local refusal = opt_5 and opt_5[room]
    local refused = refusal and refusal.bookmark
    if (refusal and refusal.wasIn) == true and refused ~= nil then
        return state_bookmarks.isSameBookmark(refused, bookmark)
    end
    return refused ~= nil and refused.nick == bookmark.nick and refused.password == bookmark.password
end

--- Returns the removals to store. Rooms that refused a join, or that this server forbids, are tried again after a
-- restart.
function state_bookmarks.refusedRooms(username)
    local refused = {}
    for room, temp_11 in pairs(state_bookmarks.refusalsOf(username)) do
        local wasIn
        local forbidden
        local bookmark
        bookmark = temp_11.bookmark
        forbidden = temp_11.forbidden
        wasIn = temp_11.wasIn
        if wasIn and forbidden == nil then
            refused[room] = bookmark
        end
    end
    if (next(refused)) == nil then
        return nil
    else
        return refused
    end
end

--- Takes over stored removals. Malformed ones are ignored.
function state_bookmarks.restoreRefused(username, refused)
    if type(refused) ~= "table" then
        return
    end
    for room, bookmark in pairs(refused) do
        if type(bookmark) == "table" then
            setRefusal(username, room, {bookmark = bookmark, forbidden = nil, wasIn = true})
        end
    end
end

--- Returns all refusals, for a reload.
function state_bookmarks.allRefusals()
    return refusals
end

--- Takes over the refusals of the previous instance of the module.
function state_bookmarks.restoreRefusals(saved)
    for username, rooms in pairs(saved) do
        refusals[username] = rooms
    end
end

--- Removes the refusal of a room, or of all rooms. Returns whether there was one.
function state_bookmarks.forgetRefusals(username, room)
    local rooms = refusals[username]
    local isNews
    if room == nil then
        isNews = rooms ~= nil
    else
        isNews = (rooms and rooms[room] ~= nil) == true
    end
    if rooms ~= nil and room ~= nil then
        rooms[room] = nil
    end
    if room == nil or rooms ~= nil and (next(rooms)) == nil then
        refusals[username] = nil
    end
    return isNews
end

--- Largest burst of nick changes between bookmark and room, and seconds until one more is allowed.
local NICK_CHANGES = 5
local NICK_PAUSE = 60

--- Whether nick and bookmark may be synchronised again. Otherwise clients that disagree over the nick would change it in
-- an endless loop.
function state_bookmarks.mayFollowNick(membership)
    local now = monotonic()
    local free = math.max(membership.nickFree or 0, now)
    if free - now > (NICK_CHANGES - 1) * NICK_PAUSE then
        return false
    end
    membership.nickFree = free + NICK_PAUSE
    return true
end
end

-- src/fifo.ts
--
-- Queues, first in first out. Taking the first item of a list would move all others.
local minimix_fifo = {}
do
--- Creates an empty queue.
function minimix_fifo.newFifo()
    return {items = {}, first = 1, count = 0}
end

--- Adds an item as the newest one.
function minimix_fifo.put(fifo, item)
    fifo.items[fifo.first + fifo.count] = item
    fifo.count = fifo.count + 1
end

--- Removes and returns the oldest item.
function minimix_fifo.take(fifo)
    if fifo.count == 0 then
        return nil
    end
    local first = fifo.first
    local item = fifo.items[first]
    fifo.items[first] = nil
    fifo.count = fifo.count - 1
    fifo.first = fifo.count == 0 and 1 or first + 1
    return item
end
end

-- src/turn.ts
--
-- Turns. Each hook and each timer of the module runs to its end before anything is sent to a room. A local room answers
-- inside module:send(), and its answer must not arrive in the middle of a state change.
local minimix_turn = {}
do
local drain, send, route, logError, outbox, running, draining
local newFifo = minimix_fifo.newFifo
local put = minimix_fifo.put
local take = minimix_fifo.take

function drain()
    if outbox.count == 0 or running or draining then
        return
    end
    draining = true
    local stanza = take(outbox)
    while stanza ~= nil do
        route(stanza)
        stanza = take(outbox)
    end
    draining = false
end

function send(stanza)
    module:send(stanza)
end

function route(stanza)
    local ok, problem = xpcall(send, debug.traceback, stanza)
    if not ok then
        module:log(
            "error",
            "A module failed on a %s to %s: %s",
            stanza.name,
            stanza.attr.to,
            problem
        )
    end
end

function logError(problem)
    module:log("error", "Internal error: %s", problem)
end

outbox = newFifo()
running = false
draining = false

--- Sends a stanza to a room at the end of the current turn. Outside of a turn it is sent at once.
function minimix_turn.post(stanza)
    put(outbox, stanza)
    drain()
end

--- Calls a function and logs its error.
local function protect(task, argument)
    local ok, problem = xpcall(task, debug.traceback, argument)
    if not ok then
        logError(problem)
    end
end

--- Runs the task of a timer as a turn. An error is logged and does not end the timer.
function minimix_turn.inTurn(task)
    local outer = running
    running = true
    protect(task, nil)
    running = outer
    drain()
end

--- Runs a task once as a turn, after a number of seconds.
function minimix_turn.after(seconds, task)
    return module:add_timer(seconds, function()
        minimix_turn.inTurn(task)
        return nil
    end)
end

--- Wraps a hook's handler in a turn. After an error the event counts as handled: Prosody would otherwise send the stanza
-- from the session's own address, or answer a room with an error.
function minimix_turn.turn(handler)
    return function(event)
        local outer = running
        running = true
        local ok, result = xpcall(handler, debug.traceback, event)
        running = outer
        if not ok then
            logError(result)
        end
        if outbox.count > 0 then
            drain()
        end
        if ok then
            return result
        else
            return true
        end
    end
end

--- The same, for events that pass a test. Others are not handled.
function minimix_turn.turnIf(isWanted, handler)
    local handle = minimix_turn.turn(handler)
    return function(event)
        if isWanted(event) then
            return handle(event)
        else
            return nil
        end
    end
end
end

-- src/slices.ts
--
-- Runs long work in slices of some milliseconds, so that the server handles other events in between.
local slices = {}
do
local slice, schedule, takeStep, endsWith, SLICE, LONG_SLICE, work, scheduled, slicing, spent, ended
local time = require("util.time")
local newFifo = minimix_fifo.newFifo
local put = minimix_fifo.put
local take = minimix_fifo.take
local inTurn = minimix_turn.inTurn

--- Starts some work after the current event.
function slices.inLaterSlices(step)
    put(work, step)
    if not scheduled and not slicing then
        schedule(0)
    end
end

function slice()
    local started = time.monotonic() - spent
    slicing = true
    local step = take(work)
    while step ~= nil do
        takeStep(step)
        if time.monotonic() - started < SLICE then
            step = take(work)
        else
            step = nil
        end
    end
    slicing = false
    ended = time.monotonic()
    spent = ended - started
    if work.count > 0 then
        schedule(math.max(spent - LONG_SLICE, 0))
    end
end

function schedule(seconds)
    scheduled = true
    module:add_timer(seconds, function()
        scheduled = false
        spent = 0
        slice()
        return nil
    end)
end

function takeStep(step)
    if not endsWith(step) then
        put(work, step)
    end
end

function endsWith(step)
    local outcome = {done = true}
    inTurn(function()
        outcome.done = step()
    end)
    return outcome.done
end

SLICE = 0.005
LONG_SLICE = 0.01
work = newFifo()
scheduled = false
slicing = false
spent = 0
ended = 0

--- Starts some work. One slice runs at once, if there is time, and the rest later, in turn with other work.
function slices.inSlices(step)
    if time.monotonic() - ended > SLICE then
        spent = 0
    end
    if scheduled or slicing or spent >= SLICE then
        slices.inLaterSlices(step)
    else
        put(work, step)
        slice()
    end
end

--- Longest time in seconds to finish all work.
local FINISH = 5

--- Finishes all work before the module is unloaded or the server stops. What takes too long is dropped.
function slices.finishSlices()
    local deadline = time.monotonic() + FINISH
    local step = take(work)
    while step ~= nil and time.monotonic() < deadline do
        takeStep(step)
        step = take(work)
    end
end

--- Runs a task for each item of a list, one step per item, and then `done`.
function slices.forEachInSlices(items, task, done)
    local at = 0
    slices.inSlices(function()
        local item = items[at + 1]
        at = at + 1
        if item ~= nil then
            task(item)
            return false
        end
        if done ~= nil then
            done()
        end
        return true
    end)
end

function slices.newQueues()
    local queues = {}
    local running
    return {
        pending = queues,
        isRunning = function(key) return running == key end,
        add = function(key, step)
            local queue = queues[key]
            if queue ~= nil then
                put(queue, step)
                return
            end
            local added = newFifo()
            put(added, step)
            queues[key] = added
            slices.inSlices(function()
                local first = added.items[added.first]
                if queues[key] ~= added or first == nil then
                    return true
                end
                running = key
                local isDone = endsWith(first)
                running = nil
                if isDone then
                    take(added)
                end
                if added.count > 0 then
                    return false
                end
                queues[key] = nil
                return true
            end)
        end,
        drop = function(key)
            queues[key] = nil
        end
    }
end
end

-- src/state/place.ts
--
-- The place of an account in a room, and the one presence that the room has not answered.
local state_place = {}
do
local phases = {}
for _, phase in ipairs({"lost", "joining", "entering", "joined", "leaving"}) do
    phases[phase] = true
end

--- Whether this version knows a phase. A reload may hand over a phase of another version.
function state_place.isKnownPhase(phase)
    return phases[phase] ~= nil
end

--- Returns the place of an account with a join that was just sent.
function state_place.joiningBy(operation, earlier, shown, mayBeIn, tries)
    return {
        phase = "joining",
        tries = tries,
        operation = operation,
        earlier = earlier,
        mayBeIn = mayBeIn,
        shown = shown,
        isHeard = false
    }
end

--- Whether the account is in the room under its nick, or was when it began to leave.
function state_place.isIn(place)
    local isAdmitted = place.phase == "joined" or place.phase == "entering"
    return isAdmitted or place.phase == "leaving" and place.wasIn ~= nil
end

--- Returns a place in the shared queue: the account is lost, or will leave.
function state_place.inSharedQueue(phase, tries)
    if tries == nil then
        tries = 0
    end
    return phase == "lost" and {phase = phase, tries = tries, next = {kind = "queue"}} or {phase = phase, tries = tries, operation = nil}
end

--- Returns the timers of a place.
function state_place.timersOf(place)
    if place.phase == "lost" then
        return place.next.kind == "queue" and {} or {place.next.timer}
    end
    local timers = {}
    if place.operation ~= nil then
        timers[#timers + 1] = place.operation.timer
    end
    if place.phase == "joining" then
        for _, join in ipairs(place.earlier) do
            timers[#timers + 1] = join.timer
        end
        if place.turn ~= nil then
            timers[#timers + 1] = place.turn
        end
    elseif place.phase == "entering" then
        timers[#timers + 1] = place.timer
        if place.later ~= nil then
            timers[#timers + 1] = place.later.timer
        end
    else
        local temp_2 = place.phase == "joined"
        if temp_2 then
            local liveness = place.liveness
            temp_2 = (liveness and liveness.timer) ~= nil
        end
        if temp_2 then
            timers[#timers + 1] = place.liveness.timer
        end
    end
    return timers
end

--- Returns the requests of sessions that the room has not answered, oldest first.
function state_place.requestsOf(place)
    local requests = {}
    local function add(operation)
        if (operation and operation.request) ~= nil then
            requests[#requests + 1] = operation.request
        end
    end
    if place.phase == "joining" then
        for _, join in ipairs(place.earlier) do
            add(join)
        end
        add(place.operation)
    elseif place.phase == "entering" then
        add(place.later)
    elseif place.phase == "joined" then
        add(place.operation)
    end
    return requests
end
end

-- src/state/sent.ts
--
-- Senders of messages that the room has not answered. An error goes to the session that sent the message, and to no
-- other.
local state_sent = {}
do
local dropOld, findRefused, takeFirst, takeById, takeByAddress, noteAnswered, MAX_ANSWERED, LIFETIME
local monotonic = state_clock.monotonic

function dropOld(messages, limit)
    local oldest = monotonic() - LIFETIME
    local first = messages[1]
    while first ~= nil and (#messages >= limit or first.when < oldest) do
        table.remove(messages, 1)
        first = messages[1]
    end
end

function findRefused(sent, from, id)
    local isPrivate = jids.resource(from) ~= nil
    local messages = isPrivate and sent.private or sent.groupchat
    local others = isPrivate and sent.groupchat or sent.private
    if id ~= nil then
        local message = takeById(messages, id, from) or takeById(messages, id) or takeById(others, id)
        if message ~= nil then
            return message
        end
        for _, answeredIds in ipairs(sent.answeredIds) do
            if answeredIds == id then
                return nil
            end
        end
    end
    local withoutId
    if id == nil then
        withoutId = takeById(messages, nil, from)
    end
    local withoutId_8 = withoutId
    if withoutId_8 == nil then
        if isPrivate then
            withoutId_8 = takeByAddress(messages, from)
        else
            withoutId_8 = takeFirst(messages) or takeFirst(others)
        end
    end
    return withoutId_8
end

function takeFirst(messages)
    return table.remove(messages, 1)
end

function takeById(messages, id, to)
    for i = 1, #messages do
        local message = messages[i]
        if message ~= nil and message.id == id and (to == nil or message.to == to) then
            return table.remove(messages, i)
        end
    end
    return nil
end

function takeByAddress(messages, to)
    for i = 1, #messages do
        local message = messages[i]
        if (message and message.to) == to then
            return table.remove(messages, i)
        end
    end
    return nil
end

function noteAnswered(sent, message)
    if message.id ~= nil then
        if #sent.answeredIds >= MAX_ANSWERED then
            table.remove(sent.answeredIds, 1)
        end
        local answeredIds = sent.answeredIds
        answeredIds[#answeredIds + 1] = message.id
    end
end

--- Largest number of messages per account and room.
local MAX_GROUPCHAT = 512
local MAX_PRIVATE = 64
MAX_ANSWERED = 16
LIFETIME = 300
--- Messages of accounts that have left the room, by occupant JID and room.
local retired = cache.new(256)

function state_sent.newSent()
    return {groupchat = {}, private = {}, answeredIds = {}}
end

--- Records the session that sent a message.
function state_sent.noteSent(sent, stanza, session)
    local to = stanza.attr.to or ""
    local isGroupchat = stanza.attr.type == "groupchat"
    local messages = isGroupchat and sent.groupchat or sent.private
    dropOld(messages, isGroupchat and MAX_GROUPCHAT or MAX_PRIVATE)
    messages[#messages + 1] = {id = stanza.attr.id, to = to, session = session, when = monotonic()}
end

--- The room has reflected a message, so no error will follow. Some services change the id.
function state_sent.noteReflected(sent, id)
    local messages = sent.groupchat
    local message = takeById(messages, id) or table.remove(messages, 1)
    if message ~= nil then
        noteAnswered(sent, message)
    end
end

--- Whether a message with this id was sent to the room and has not been reflected.
function state_sent.awaitsReflection(sent, id)
    for _, message in ipairs(sent and sent.groupchat or {}) do
        if message.id == id then
            return true
        end
    end
    return false
end

--- Returns the message that a room refuses. Undefined if there is none, or it has been answered.
function state_sent.takeRefused(sent, from, id)
    dropOld(sent.groupchat, math.huge)
    dropOld(sent.private, math.huge)
    local temp_2
    if id ~= "" then
        temp_2 = id
    end
    local message = findRefused(sent, from, temp_2)
    if message ~= nil then
        noteAnswered(sent, message)
    end
    return message
end

--- Clears an ended session, so that a new session with its JID does not get its errors.
function state_sent.disownSent(sent, session)
    if sent == nil then
        return
    end
    for _, messages in ipairs({sent.groupchat, sent.private}) do
        for _, message in ipairs(messages) do
            if message.session == session then
                message.session = nil
            end
        end
    end
end

--- Keeps the messages of an account that has left the room, because they may still be refused.
function state_sent.retireSent(occupant, room, sent)
    if sent ~= nil and (#sent.groupchat > 0 or #sent.private > 0) then
        retired:set(occupant .. " " .. room, sent)
    end
end

--- Returns the messages of the account's last stay in the room, if they are still kept.
function state_sent.reviveSent(occupant, room)
    local key = occupant .. " " .. room
    local sent = retired:get(key)
    if sent ~= nil then
        retired:set(key, nil)
    end
    return sent
end

--- Returns the same for an error that arrives when the account is out.
function state_sent.retiredSent(occupant, room)
    return retired:get(occupant .. " " .. room)
end

--- Clears an ended session; see disownSent().
function state_sent.disownRetired(session)
    for _, sent in retired:items() do
        state_sent.disownSent(sent, session)
    end
end
end

-- src/state/sessions.ts
--
-- Rooms a session has ever joined; its error stanzas are never forwarded to them.
local state_sessions = {}
do
state_sessions.joined = {}

function state_sessions.noteJoined(session, room)
    local rooms = state_sessions.joined[session]
    if rooms == nil then
        rooms = {}
        state_sessions.joined[session] = rooms
    end
    rooms[room] = true
end

function state_sessions.hasJoined(session, room)
    local rooms = state_sessions.joined[session]
    return (rooms and rooms[room] ~= nil) == true
end

--- The session has ended.
function state_sessions.forgetJoined(session)
    state_sessions.joined[session] = nil
end

--- Takes over the rooms of the previous instance of the module.
function state_sessions.restoreJoined(saved)
    for session, rooms in pairs(saved) do
        state_sessions.joined[session] = rooms
    end
end
end

-- src/parse.ts
--
-- Parses elements that the module has stored as text.
local minimix_parse = {}
do
local xmppstream = require("util.xmppstream")
--- The last element, in its wrapper. The attributes of the wrapper are the parser's.
local wrapper
--- State that the parser expects of a connection.
local source = {}
--- One parser for all texts. util.xml would create a parser for each, which takes three times as long.
local parser = xmppstream.new(
    source,
    {
        stream_ns = "",
        default_ns = "",
        streamopened = function()
            source.notopen = nil
        end,
        handlestanza = function(_, stanza)
            wrapper = stanza
        end,
        error = function()
            wrapper = nil
        end
    }
)
--- Largest number of bytes for which a parser is used. It keeps the name of each element that it has met.
local MOST_BYTES = 16384
--- Bytes that the parser has met.
local fed = 0

--- Starts a stream.
local function open()
    source.notopen = true
    parser:feed("<stream>")
    fed = 0
end

local function reopen()
    parser.reset()
    open()
end

open()

--- Returns an element of this name. `rest` is its XML after the name. Undefined for invalid XML.
function minimix_parse.parse(name, rest)
    if fed > MOST_BYTES then
        reopen()
    end
    fed = fed + string.len(rest)
    local isValid = parser:feed("<x><" .. name .. rest .. "</x>")
    local element = wrapper and wrapper.tags[1]
    wrapper = nil
    if isValid == nil or element == nil then
        reopen()
    end
    if isValid == nil then
        return nil
    else
        return element
    end
end
end

-- src/weight.ts
--
-- Work and memory that a stanza costs. A kilobyte of XML may be one text or 250 elements, which take 80 kB.
local minimix_weight = {}
do
local weigh, spendTags, MAX_DEPTH

function weigh(element, depth)
    if depth > MAX_DEPTH then
        return math.huge
    end
    local weight = 320
    for _, value in pairs(element.attr) do
        weight = weight + 64 + string.len(value)
    end
    local children = element
    for _, child in ipairs(children) do
        weight = weight + (type(child) == "string" and string.len(child) or weigh(child, depth + 1))
    end
    return weight
end

function spendTags(tags, budget, depth)
    local left = budget
    for _, tag in ipairs(tags) do
        left = left - 320
        for _ in pairs(tag.attr) do
            left = left - 64
        end
        if left < 0 then
            return left
        end
        if #tag.tags > 0 then
            left = depth == 2 and -1 or spendTags(tag.tags, left, depth - 1)
        end
    end
    return left
end

--- Largest memory of a stanza that is kept, as a multiple of the limit of its XML. An ordinary presence takes four or
-- five times its XML.
local TREE = 8
MAX_DEPTH = 100

--- Returns the approximate bytes of a parsed stanza. Infinite if it is nested too deep.
function minimix_weight.weightOf(stanza)
    return weigh(stanza, 1)
end

--- Returns the most bytes of memory that a stanza may take that is kept, for a limit of its XML in bytes.
function minimix_weight.treeLimit(size)
    return TREE * math.max(size, 1024)
end

--- Whether elements and attributes of a stanza take more than a number of bytes, or it is nested too deep. Ignores texts,
-- which the stream limits. Stops as soon as the result is known.
function minimix_weight.isHeavier(stanza, most)
    local left = most - 320
    for _ in pairs(stanza.attr) do
        left = left - 64
    end
    return spendTags(stanza.tags, left, MAX_DEPTH) < 0
end

--- Returns the pieces of XML up to which no stanza is heavier. Nesting takes at least five pieces for each level.
function minimix_weight.lightPieces(most)
    return math.min(most / 416, 5 * MAX_DEPTH)
end
end

-- src/stanzas.ts
--
-- Tests on stanzas that util.stanza does not have.
local minimix_stanzas = {}
do
local prepared, removeCodes, hasElement, isSameAttributes, kept
local encodings = require("util.encodings")
local DELAY = namespaces.DELAY
local HINTS = namespaces.HINTS
local MUC_USER = namespaces.MUC_USER
local STANZA_ID = namespaces.STANZA_ID

function prepared(nick)
    return encodings.stringprep.nodeprep(nick) or encodings.stringprep.resourceprep(nick) or nick
end

--- Whether two elements have the same name, attributes and children, in this order. `ignored` is an attribute to ignore.
function minimix_stanzas.isSameElement(one, other, ignored)
    if one.name ~= other.name or not isSameAttributes(one.attr, other.attr, ignored) then
        return false
    end
    local children = one
    local others = other
    if #children ~= #others then
        return false
    end
    for i = 0, #children - 1 do
        local child = children[i + 1]
        local counterpart = others[i + 1]
        if type(child) == "table" and type(counterpart) == "table" then
            if not minimix_stanzas.isSameElement(child, counterpart) then
                return false
            end
        elseif child ~= counterpart then
            return false
        end
    end
    return true
end

function removeCodes(presence)
    local opt_2 = presence:get_child("x", MUC_USER)
    if opt_2 ~= nil then
        opt_2:maptags(function(tag)
            if tag.name == "status" then
                return nil
            else
                return tag
            end
        end)
    end
end

function hasElement(presence, element)
    for _, tag in ipairs(presence.tags) do
        if minimix_stanzas.isSameElement(tag, element) then
            return true
        end
    end
    return false
end

function isSameAttributes(one, other, ignored)
    for name, value in pairs(one) do
        if other[name] ~= value and name ~= ignored then
            return false
        end
    end
    for name in pairs(other) do
        if one[name] == nil and name ~= ignored then
            return false
        end
    end
    return true
end

--- Whether an element is a delay added by the room (XEP-0045 7.2.14). Delays by other entities say nothing about
-- history.
function minimix_stanzas.isDelayBy(tag, room)
    return tag.name == "delay" and tag.attr.xmlns == DELAY and tag.attr.from == room
end

--- Whether a presence has a status code of XEP-0045 15.6, in any position.
function minimix_stanzas.hasStatus(stanza, code)
    local x = stanza:get_child("x", MUC_USER)
    if x == nil then
        return false
    end
    for _, tag in ipairs(x.tags) do
        if tag.attr.code == code and tag.name == "status" and (tag.attr.xmlns or MUC_USER) == MUC_USER then
            return true
        end
    end
    return false
end

--- Whether a presence is the account's own: it has status 110, or the account's JID. Older services omit 110.
function minimix_stanzas.isSelf(stanza, jid)
    local x = stanza:get_child("x", MUC_USER)
    if x == nil then
        return false
    end
    for _, value_ in ipairs(x.tags) do
        local attr = value_.attr
        local name = value_.name
        local isMark = attr.code == "110" and name == "status" or attr.jid == jid and name == "item"
        if isMark and (attr.xmlns or MUC_USER) == MUC_USER then
            return true
        end
    end
    return false
end

--- Whether a presence has any status code.
function minimix_stanzas.hasAnyStatus(stanza)
    local opt_0 = stanza:get_child("x", MUC_USER)
    return (opt_0 and opt_0:get_child("status")) ~= nil
end

--- The last nick that others were compared with, and its prepared form: a room's occupants are compared with the account.
local rawNick = ""
local preparedNick = ""

--- Whether two nicks are equal after preparation. Some services change the case or the normalisation of nicks.
function minimix_stanzas.isSameNick(one, other)
    if one == other then
        return true
    end
    if other ~= rawNick then
        rawNick = other
        preparedNick = prepared(other)
    end
    return prepared(one) == preparedNick
end

--- Whether two presences of an occupant are equal, in any order of their children. Removes their status codes.
function minimix_stanzas.hasSameContent(one, other)
    if one.attr.from ~= other.attr.from or #one.tags ~= #other.tags then
        return false
    end
    removeCodes(one)
    removeCodes(other)
    for _, tag in ipairs(one.tags) do
        if not hasElement(other, tag) then
            return false
        end
    end
    return true
end

local splitJid = ""
local splitRoom = ""
local splitNick
local splitPrefix = "/"

--- Splits an occupant JID into room and nick. Keeps the last result: copies of one message have the same sender, and a room
-- sends all its occupants in a row.
function minimix_stanzas.splitOccupant(jid)
    if jid ~= splitJid then
        local length = #splitPrefix
        if length > 1 and #jid > length and string.sub(jid, 1, length) == splitPrefix then
            splitNick = string.sub(jid, length + 1)
        else
            local node, host, resource = jids.split(jid)
            splitRoom = node == nil and (host or "") or node .. "@" .. (host or "")
            splitNick = resource
            splitPrefix = splitRoom .. "/"
        end
        splitJid = jid
    end
    return splitRoom, splitNick
end

--- Returns the id that a room has given a message (XEP-0359).
function minimix_stanzas.stanzaIdBy(stanza, room)
    local element = stanza:get_child_with_attr("stanza-id", STANZA_ID, "by", room)
    return element and element.attr.id
end

--- Returns the time stamp of a message from the room's history (XEP-0045 7.2.14). Undefined for a live message.
function minimix_stanzas.delayBy(stanza, room)
    for _, tag in ipairs(stanza.tags) do
        if minimix_stanzas.isDelayBy(tag, room) then
            return tag.attr.stamp
        end
    end
    return nil
end

--- Adds the room's delay to a message of the history.
function minimix_stanzas.addDelay(stanza, room, when)
    stanza:add_direct_child(st.stanza("delay", {xmlns = DELAY, from = room, stamp = datetime.datetime(when)}))
end

--- Whether a message of a room is archived. The criteria are those of mod_mam's `should_store` for other types.
function minimix_stanzas.isWorthKeeping(stanza)
    if stanza:get_child("no-store", HINTS) ~= nil or stanza:get_child("no-permanent-store", HINTS) ~= nil then
        return false
    end
    for _, tag in ipairs(stanza.tags) do
        local keep = kept[tag.attr.xmlns or ""]
        if keep == true or keep == tag.name or tag.name == "body" then
            return true
        end
    end
    return false
end

--- Payload for which a message without a body is archived: the name of the element, or true for any of the namespace.
kept = {}
kept[HINTS] = "store"
kept["urn:xmpp:eme:0"] = "encryption"
kept["urn:xmpp:receipts"] = true
kept["urn:xmpp:chat-markers:0"] = true
kept["urn:xmpp:jingle-message:0"] = true
kept["urn:xmpp:jingle-message:1"] = true
end

-- src/element-text.ts
--
-- Writes elements as text, piece by piece.
local element_text = {}
do
local remember, orderOf, sortedTable, lengthen, prefixedAttribute, SEPARATOR, memo, memoSize, MEMO_SIZE, MEMO_LENGTH, MOST_ORDERS, LONGEST_ORDER, LONGEST_NAME, shortest, orderCount

--- Writes an attribute without a cached text.
function element_text.writeAttribute(out, name, value, index, at)
    if name ~= "id" then
        local separator = (string.find(name, SEPARATOR, 1, true))
        if separator ~= nil then
            out[at] = prefixedAttribute(name, value, index)
            return at + 1
        end
        if #name + #value <= MEMO_LENGTH then
            out[at] = remember(name, value)
            return at + 1
        end
    end
    out[at] = " "
    out[at + 1] = name
    out[at + 2] = "='"
    out[at + 3] = st.xml_escape(value)
    out[at + 4] = "'"
    return at + 5
end

function remember(name, value)
    local text = " " .. name .. "='" .. st.xml_escape(value) .. "'"
    if memoSize >= MEMO_SIZE then
        memo = {}
        memoSize = 0
    end
    local texts = memo[name]
    if texts == nil then
        texts = {}
        memo[name] = texts
    end
    texts[value] = text
    memoSize = memoSize + 1
    return text
end

function orderOf(names)
    return {sorted = sortedTable(names), longer = {}}
end

function sortedTable(names)
    table.sort(names)
    return names
end

function lengthen(order, name)
    local length = #order.sorted
    if length >= LONGEST_ORDER or #name > LONGEST_NAME then
        return nil
    end
    if orderCount >= MOST_ORDERS then
        shortest = orderOf({})
        orderCount = 0
    end
    local names = {name}
    for i = 1, length do
        names[#names + 1] = order.sorted[i]
    end
    local longer = orderOf(names)
    order.longer[name] = longer
    orderCount = orderCount + 1
    return longer
end

--- Returns the names of attributes, sorted.
function element_text.sortedNames(attr)
    local names = {}
    for name in pairs(attr) do
        names[#names + 1] = name
    end
    return sortedTable(names)
end

function prefixedAttribute(name, value, number)
    local namespace, local_ = string.match(name, "^(.-)" .. SEPARATOR .. "(.*)$")
    local prefix = "ns" .. string.format("%d", number)
    return " xmlns:" .. prefix .. "='" .. st.xml_escape(namespace or "") .. "' " .. prefix .. ":" .. (local_ or "") .. "='" .. st.xml_escape(value) .. "'"
end

SEPARATOR = string.char(1)
memo = {}
memoSize = 0
MEMO_SIZE = 1000
MEMO_LENGTH = 40

--- Writes an element piece by piece, and its children with `inner`.
function element_text.write(out, element, outerNamespace, start, inner)
    local name = element.name
    local attr = element.attr
    local children = element
    local childCount = #children
    out[start] = "<"
    out[start + 1] = name
    local at = start + 2
    local order = shortest
    for key in pairs(attr) do
        order = order.longer[key] or lengthen(order, key)
        if order == nil then
            break
        end
    end
    local names = order == nil and element_text.sortedNames(attr) or order.sorted
    for i = 1, #names do
        local key = names[i]
        local value = attr[key]
        if value ~= outerNamespace or key ~= "xmlns" then
            local opt_0 = memo[key]
            local text = opt_0 and opt_0[value]
            if text == nil then
                at = element_text.writeAttribute(out, key, value, i, at)
            else
                out[at] = text
                at = at + 1
            end
        end
    end
    if childCount == 0 then
        out[at] = "/>"
        return at + 1
    end
    out[at] = ">"
    at = at + 1
    local namespace = attr.xmlns
    for i = 1, childCount do
        local child = children[i]
        if type(child) == "string" then
            out[at] = st.xml_escape(child)
            at = at + 1
        elseif child ~= nil then
            at = inner(out, child, namespace, at, inner)
        end
    end
    out[at] = "</"
    out[at + 1] = name
    out[at + 2] = ">"
    return at + 3
end

MOST_ORDERS = 1000
LONGEST_ORDER = 8
LONGEST_NAME = 40
shortest = orderOf({})
orderCount = 0
end

-- src/text.ts
--
-- Serialises stanzas, once for all recipients.
local minimix_text = {}
do
local writePresence, newOpenings, writeShort, rememberOpening, inside, behindAny, openingText, joined, source, sourceTags, sourceText, sourcePieces, pieces, MOST_PIECES, ROOT, UNKNOWN, toUnknown, outermost, openings, openingTexts, openingCount, MOST_OPENINGS, MOST_ATTRIBUTES, LONGEST_OPENING, uniques, most
local sortedNames = element_text.sortedNames
local write = element_text.write
local writeAttribute = element_text.writeAttribute

function writePresence(out, presence)
    local attr = presence.attr
    local tags = presence.tags
    local others = 0
    for _ in pairs(attr) do
        others = others + 1
    end
    local from = attr.from
    local id = attr.id
    local lang = attr["xml:lang"]
    local at = ROOT
    if from ~= nil then
        out[at] = " from='"
        out[at + 1] = st.xml_escape(from)
        out[at + 2] = "'"
        at = at + 3
        others = others - 1
    end
    if id ~= nil then
        out[at] = " id='"
        out[at + 1] = st.xml_escape(id)
        out[at + 2] = "'"
        at = at + 3
        others = others - 1
    end
    if lang ~= nil then
        out[at] = " xml:lang='"
        out[at + 1] = st.xml_escape(lang)
        out[at + 2] = "'"
        at = at + 3
        others = others - 1
    end
    local count = #tags
    if others ~= 0 or count == 0 or count ~= #presence then
        return write(out, presence, nil, 1, writeShort)
    end
    out[at] = ">"
    at = at + 1
    for _, tag in ipairs(tags) do
        at = writeShort(out, tag, nil, at)
    end
    out[at] = "</presence>"
    return at + 1
end

function newOpenings()
    return setmetatable({}, toUnknown)
end

function writeShort(out, element, outerNamespace, start)
    if start > most then
        return start
    end
    local attr = element.attr
    local opening = (outerNamespace == nil and outermost or openings[outerNamespace])[element.name]
    for key, value in pairs(attr) do
        opening = opening[key][value]
    end
    local text = openingTexts[opening]
    if text == nil then
        text = rememberOpening(element, outerNamespace)
        if text == nil then
            return write(out, element, outerNamespace, start, writeShort)
        end
    end
    local children = element
    local childCount = #children
    local unique = text.unique
    local at = start + 1
    out[start] = text.text
    if unique ~= nil then
        out[at] = st.xml_escape(attr[unique.name] or "")
        out[start + 2] = unique.rest
        at = start + 3
    end
    if childCount == 0 then
        out[at] = "/>"
        return at + 1
    end
    out[at] = ">"
    at = at + 1
    local namespace = attr.xmlns
    for i = 1, childCount do
        local child = children[i]
        if type(child) == "string" then
            out[at] = st.xml_escape(child)
            at = at + 1
        elseif child ~= nil then
            at = writeShort(out, child, namespace, at)
        end
    end
    out[at] = "</"
    out[at + 1] = element.name
    out[at + 2] = ">"
    return at + 3
end

function rememberOpening(element, outerNamespace)
    local size = #element.name + #(outerNamespace or "")
    local count = 0
    local unique
    for key, value in pairs(element.attr) do
        count = count + 1
        if uniques[key] == nil then
            size = size + #key + #value
        elseif unique == nil then
            unique = key
        else
            return nil
        end
        if count > MOST_ATTRIBUTES or size > LONGEST_OPENING then
            return nil
        end
    end
    if openingCount >= MOST_OPENINGS then
        outermost = newOpenings()
        openings = newOpenings()
        openingTexts = {}
        openingCount = 0
    end
    local opening = inside(
        outerNamespace == nil and outermost or inside(openings, outerNamespace),
        element.name
    )
    for key, value in pairs(element.attr) do
        opening = key == unique and behindAny(opening, key) or inside(inside(opening, key), value)
    end
    local text = openingText(element, outerNamespace, unique)
    openingTexts[opening] = text
    openingCount = openingCount + 1
    return text
end

function inside(outer, key)
    local inner = outer[key]
    if inner == UNKNOWN then
        inner = newOpenings()
        outer[key] = inner
    end
    return inner
end

function behindAny(outer, name)
    if outer[name] == UNKNOWN then
        local behind = newOpenings()
        local toBehind = {__index = function() return behind end}
        outer[name] = setmetatable({}, toBehind)
    end
    return outer[name][""]
end

function openingText(bindingPattern0_, outerNamespace, unique)
    local attr
    local name
    name = bindingPattern0_.name
    attr = bindingPattern0_.attr
    local out = {}
    local names = sortedNames(attr)
    local text = "<" .. name
    local at = 1
    for i = 1, #names do
        local key = names[i]
        local value = attr[key] or ""
        if key == unique then
            text = text .. joined(out, at) .. " " .. key .. "='"
            at = 1
        elseif value ~= outerNamespace or key ~= "xmlns" then
            at = writeAttribute(out, key, value, i, at)
        end
    end
    local rest = joined(out, at)
    return unique == nil and {text = text .. rest} or {text = text, unique = {name = unique, rest = "'" .. rest}}
end

function joined(parts, end_)
    return table.concat(parts, "", 1, end_ - 1)
end

--- Returns the XML of a stanza after the name, without `to`. Equal content gives equal text, because attributes are
-- sorted. `tostring` writes them in the order of a hash, which differs between copies (util/stanza.lua, _dostring).
function minimix_text.textOf(stanza)
    if stanza ~= source or #stanza.tags ~= sourceTags then
        local to = stanza.attr.to
        stanza.attr.to = nil
        local isPresence = stanza.name == "presence"
        local end_ = isPresence and writePresence(pieces, stanza) or write(pieces, stanza, nil, 1, write)
        stanza.attr.to = to
        source = stanza
        sourceTags = #stanza.tags
        sourceText = table.concat(pieces, "", ROOT, end_ - 1)
        sourcePieces = end_
        if end_ > MOST_PIECES then
            pieces = {}
        end
    end
    return sourceText
end

--- Whether a presence's text has at most this number of pieces. Stops writing when the result is known.
function minimix_text.isBrief(presence, limit)
    most = limit
    minimix_text.textOf(presence)
    most = math.huge
    if sourcePieces <= limit then
        return true
    end
    source = nil
    return false
end

sourceTags = 0
sourceText = ""
sourcePieces = 0

--- Returns about the number of pieces of a stanza's text, at least two for each element.
function minimix_text.piecesOf(stanza)
    minimix_text.textOf(stanza)
    return sourcePieces
end

--- The pieces of the text. A reused table, to avoid garbage.
pieces = {}
--- Largest number of pieces for which the table is kept, so that a large stanza does not hold its memory.
MOST_PIECES = 4096
--- The index after the name of the root.
ROOT = 3
UNKNOWN = {}
toUnknown = {__index = function() return UNKNOWN end}
setmetatable(UNKNOWN, toUnknown)
outermost = newOpenings()
openings = newOpenings()
openingTexts = {}
openingCount = 0
MOST_OPENINGS = 1000
MOST_ATTRIBUTES = 8
LONGEST_OPENING = 160
uniques = {}
uniques.id = true
uniques.jid = true
uniques.from = true
uniques.stamp = true
--- Number of pieces after which writeShort() writes nothing.
most = math.huge
end

-- src/state/interned.ts
--
-- Presences of occupants. Each is stored once for all accounts of this host that have seen it. Only the content
-- identifies it, so nothing of another room or account's view can leak. Stored as text, which is usually sufficient and
-- takes a third of the memory.
local state_interned = {}
do
local nextMark, internTold, lastMark, internedStanzas, HEAVIEST, LIGHT
local MUC_USER = namespaces.MUC_USER
local options = minimix_options
local parse = minimix_parse.parse
local isHeavier = minimix_weight.isHeavier
local lightPieces = minimix_weight.lightPieces
local treeLimit = minimix_weight.treeLimit
local weightOf = minimix_weight.weightOf
local isSameElement = minimix_stanzas.isSameElement
local piecesOf = minimix_text.piecesOf
local textOf = minimix_text.textOf

function nextMark()
    lastMark = lastMark * 48271 % 2147483647
    return lastMark
end

function internTold(told)
    local text = textOf(told)
    local found = internedStanzas[text]
    if found == nil then
        local isHeavy = piecesOf(told) > LIGHT and isHeavier(told, HEAVIEST)
        found = isHeavy and {text = text, mark = nextMark(), isHeavy = isHeavy} or {text = text, mark = nextMark()}
        internedStanzas[text] = found
    end
    return found
end

--- Returns a presence without actor and reason, which a room does not repeat to later joins.
function state_interned.toldAgain(presence)
    local x = presence:get_child("x", MUC_USER)
    local item = x and x:get_child("item")
    if item == nil or #item.tags == 0 then
        return presence
    end
    local copy = st.clone(presence)
    local copied = copy:get_child("x", MUC_USER)
    if copied ~= nil then
        for _, tag in ipairs(copied.tags) do
            tag:maptags(function(child)
                if child.name == "actor" or child.name == "reason" then
                    return nil
                else
                    return child
                end
            end)
        end
    end
    return copy
end

lastMark = 1
internedStanzas = setmetatable({}, {__mode = "v"})
--- The last stanza and its result: a local room passes the same table for all accounts.
local source
local latest
HEAVIEST = treeLimit(options.maxCachedSize)
LIGHT = lightPieces(HEAVIEST)

--- Whether a stanza may be kept as a table. minimix_max_cached_size limits its XML, and by this its memory.
function state_interned.mayKeep(stanza)
    return string.len(textOf(stanza)) <= options.maxCachedSize and weightOf(stanza) <= HEAVIEST
end

--- Returns a presence in the form that later joins receive.
function state_interned.intern(presence)
    if presence == source and latest ~= nil then
        return latest
    end
    local found = internedStanzas[textOf(presence)] or internTold(state_interned.toldAgain(presence))
    source = presence
    latest = found
    return found
end

--- Takes over a presence of the previous instance, so that equal text is shared again.
function state_interned.restoreInterned(presence)
    local former = presence
    if former.mark == nil then
        former.mark = nextMark()
    end
    internedStanzas[presence.text] = presence
end

--- Returns a presence as a stanza without `to`. Undefined for invalid XML. Parsed each time, because a table takes much
-- more memory than text.
function state_interned.stanzaOf(presence)
    return parse("presence", presence.text)
end

--- Returns a message, likewise.
function state_interned.messageOf(message)
    return parse("message", message.text)
end

--- Whether two presences are equal, apart from the `id`.
function state_interned.isSamePresence(one, other)
    if one == other then
        return true
    end
    local stanza = state_interned.stanzaOf(one)
    local counterpart = state_interned.stanzaOf(other)
    return stanza ~= nil and counterpart ~= nil and isSameElement(stanza, counterpart, "id")
end
end

-- src/state/occupant-list.ts
--
-- Shared lists of a room's occupants, see occupants.ts: the content at each position, and the lists of each room.
local state_occupant_list = {}
do
local count, without, countOf, markOf, lists, NO_CHANGES
local options = minimix_options

--- Returns the lists of a room. Lists with more readers come first.
function state_occupant_list.listsOf(room)
    local found = lists[room]
    if found == nil then
        found = {}
        lists[room] = found
    end
    return found
end

--- Adds a list to its room.
function state_occupant_list.register(list)
    local exports_listsOf_result_0 = state_occupant_list.listsOf(list.room)
    exports_listsOf_result_0[#exports_listsOf_result_0 + 1] = list
end

--- Returns a copy of the content at a position.
function state_occupant_list.copyAt(list, position)
    local copy = {}
    for nick, interned in pairs(list.occupants) do
        copy[nick] = interned
    end
    local log = list.log or NO_CHANGES
    for i = #log, #log - list.last + position + 1, -1 do
        local later = log[i]
        if (later and later.before) ~= nil then
            copy[later.nick] = later.before
        elseif later ~= nil then
            copy[later.nick] = nil
        end
    end
    return copy
end

function count(list, before, after)
    if before ~= nil then
        list.count = list.count - 1
        list.size = list.size - #before.text
        list.sum = list.sum - before.mark
    end
    if after ~= nil then
        list.count = list.count + 1
        list.size = list.size + #after.text
        list.sum = list.sum + after.mark
    end
end

function without(list, own, missing)
    local first
    if own ~= nil then
        first = list.occupants[own]
    end
    local second
    if missing ~= nil then
        second = list.occupants[missing]
    end
    return list.count - countOf(first) - countOf(second), list.sum - markOf(first) - markOf(second)
end

function countOf(interned)
    return interned == nil and 0 or 1
end

--- Returns the bytes of a presence, as XML.
function state_occupant_list.sizeOf(interned)
    return interned == nil and 0 or #interned.text
end

function markOf(interned)
    return interned == nil and 0 or interned.mark
end

lists = {}

--- Creates a list without readers.
function state_occupant_list.newList(room, occupants)
    local list = {
        room = room,
        occupants = occupants,
        count = 0,
        size = 0,
        sum = 0,
        last = 0,
        readers = {},
        readerCount = 0
    }
    for _, interned in pairs(occupants) do
        count(list, nil, interned)
    end
    state_occupant_list.register(list)
    return list
end

--- Whether a list belongs to this instance of the module.
function state_occupant_list.isRegistered(list)
    for _, other in ipairs(lists[list.room] or {}) do
        if other == list then
            return true
        end
    end
    return false
end

--- Removes a list without readers.
function state_occupant_list.remove(list)
    local all = state_occupant_list.listsOf(list.room)
    for i = 1, #all do
        if all[i] == list then
            table.remove(all, i)
            break
        end
    end
    if #all == 0 then
        lists[list.room] = nil
    end
end

--- Moves a list to its place by number of readers. New readers most likely see a list with many.
function state_occupant_list.sortIn(list)
    local all = state_occupant_list.listsOf(list.room)
    for i = 2, #all do
        local before = all[i - 2 + 1]
        if all[i] == list and before ~= nil and before.readerCount < list.readerCount then
            all[i - 2 + 1] = list
            all[i] = before
            return
        end
    end
end

NO_CHANGES = {}

--- Returns the change after a position.
function state_occupant_list.changeAfter(list, position)
    local log = list.log or NO_CHANGES
    return log[#log - list.last + position + 1]
end

--- Returns the entry for a nick at a position.
function state_occupant_list.entryAt(list, position, nick)
    local log = list.log or NO_CHANGES
    for i = #log - list.last + position + 1, #log do
        local later = log[i]
        if (later and later.nick) == nick then
            return later.before
        end
    end
    return list.occupants[nick]
end

--- Returns the content at a position: the list's own table at the end, otherwise a copy.
function state_occupant_list.contentAt(list, position)
    return position == list.last and list.occupants or state_occupant_list.copyAt(list, position)
end

--- Returns number and bytes of the occupants that the account has seen.
function state_occupant_list.totalsOf(reader)
    local list = reader.list
    if list == nil then
        return 0, 0
    end
    local total = list.count
    local size = list.size
    local log = list.log or NO_CHANGES
    for i = #log - list.last + reader.position + 1, #log do
        local later = log[i]
        total = total + countOf(later and later.before) - countOf(later and later.after)
        size = size + state_occupant_list.sizeOf(later and later.before) - state_occupant_list.sizeOf(later and later.after)
    end
    local own
    if reader.own ~= nil then
        own = state_occupant_list.entryAt(list, reader.position, reader.own)
    end
    return total - countOf(own), size - state_occupant_list.sizeOf(own)
end

--- Adds an entry for a nick without one, if the list stays within the limits. Returns whether it does.
function state_occupant_list.add(list, nick, interned)
    local number = list.count + 1
    local size = list.size + #interned.text
    if number > options.maxOccupants or size > options.maxRoomSize then
        return false
    end
    list.occupants[nick] = interned
    list.count = number
    list.size = size
    list.sum = list.sum + interned.mark
    return true
end

--- Replaces an entry. Readers that have not seen the last change would miss it.
function state_occupant_list.replace(list, nick, before, after)
    if after == nil then
        list.occupants[nick] = nil
    else
        list.occupants[nick] = after
    end
    count(list, before, after)
end

--- Appends a change to a list that one of several readers has seen.
function state_occupant_list.append(list, nick, after)
    local before = list.occupants[nick]
    state_occupant_list.replace(list, nick, before, after)
    list.last = list.last + 1
    list.behind = list.readerCount - 1
    if list.log == nil then
        list.log = {}
    end
    local log = list.log
    log[#log + 1] = {nick = nick, before = before, after = after}
end

--- Whether a list stays within the limits after a change.
function state_occupant_list.fits(list, before, after)
    if after == nil then
        return true
    end
    local number = before == nil and list.count + 1 or list.count
    local size = before == nil and list.size or list.size - #before.text
    return number <= options.maxOccupants and size + #after.text <= options.maxRoomSize
end

--- Whether two lists are equal, ignoring two nicks. Sums rule out most unequal ones.
function state_occupant_list.isSame(one, other, own, missing)
    local oneCount, sum = without(one, own, missing)
    local otherCount, otherSum = without(other, own, missing)
    if oneCount ~= otherCount or sum ~= otherSum then
        return false
    end
    for nick, interned in pairs(one.occupants) do
        if nick ~= own and nick ~= missing and other.occupants[nick] ~= interned then
            return false
        end
    end
    return true
end

--- Number of readers that have not seen the last change.
function state_occupant_list.late(list)
    local found = {}
    for reader in pairs(list.readers) do
        if reader.position < list.last then
            found[#found + 1] = reader
        end
    end
    return found
end

--- Returns any reader.
function state_occupant_list.firstOf(readers)
    return (next(readers))
end
end

-- src/state/occupants.ts
--
-- Presences of a room's occupants, stored once for all accounts that have seen the same. Such accounts share one list,
-- each up to its own position. A change that another account has already seen costs a comparison and a counter. An
-- account that sees something else gets another list. Lists that become equal are merged. Only the content decides: no
-- account reads an entry that the room has not sent to it.
local state_occupants = {}
do
local keepAlone, hasSpace, passChange, skipOwn, moveOn, noteUpToDate, settleIfDone, change, splitOff, enter, leave, merge, moveReaders, moveReader, MAX_BEHIND, MAX_COMPARED
local options = minimix_options
local restoreInterned = state_interned.restoreInterned
local add = state_occupant_list.add
local append = state_occupant_list.append
local changeAfter = state_occupant_list.changeAfter
local contentAt = state_occupant_list.contentAt
local copyAt = state_occupant_list.copyAt
local entryAt = state_occupant_list.entryAt
local firstOf = state_occupant_list.firstOf
local fits = state_occupant_list.fits
local isSame = state_occupant_list.isSame
local isRegistered = state_occupant_list.isRegistered
local late = state_occupant_list.late
local listsOf = state_occupant_list.listsOf
local newList = state_occupant_list.newList
local register = state_occupant_list.register
local remove = state_occupant_list.remove
local replace = state_occupant_list.replace
local sizeOf = state_occupant_list.sizeOf
local sortIn = state_occupant_list.sortIn
local totalsOf = state_occupant_list.totalsOf

function keepAlone(reader, nick, interned)
    local list = reader.list
    if (list and list.readerCount) ~= 1 or reader.position ~= list.last or reader.own ~= nil then
        return false
    end
    local before = list.occupants[nick]
    if before == interned then
        return true
    end
    if interned.isHeavy == true or #interned.text > options.maxCachedSize then
        return false
    end
    if before == nil then
        return add(list, nick, interned)
    end
    if not fits(list, before, interned) then
        return false
    end
    replace(list, nick, before, interned)
    return true
end

function hasSpace(reader, before, interned)
    local count, size = totalsOf(reader)
    local others = before == nil and count or count - 1
    return sizeOf(interned) <= options.maxCachedSize and interned.isHeavy ~= true and others < options.maxOccupants and size - sizeOf(before) + sizeOf(interned) <= options.maxRoomSize
end

function passChange(reader, nick, interned)
    local opt_3 = reader.list
    if reader.position == (opt_3 and opt_3.last) then
        return false
    end
    skipOwn(reader)
    local list = reader.list
    if list == nil or reader.position == list.last then
        return false
    end
    local later = changeAfter(list, reader.position)
    if (later and later.nick) ~= nick or later.after ~= interned then
        return false
    end
    moveOn(reader, list)
    return true
end

function skipOwn(reader)
    local list = reader.list
    while list ~= nil and reader.position < list.last do
        local later = changeAfter(list, reader.position)
        if later == nil or later.nick ~= reader.own then
            return
        end
        moveOn(reader, list)
        if reader.list ~= list then
            return
        end
    end
end

function moveOn(reader, list)
    reader.position = reader.position + 1
    if reader.position == list.last then
        noteUpToDate(list)
    end
end

function noteUpToDate(list)
    local behind = (list.behind or 0) - 1
    list.behind = behind > 0 and behind or nil
    settleIfDone(list)
end

function settleIfDone(list)
    if list.behind == nil then
        list.log = nil
        merge(list)
    end
end

function change(room, reader, nick, before, after)
    if before == after then
        return
    end
    local list = reader.list
    if list == nil then
        list = newList(room, {})
        enter(reader, list)
    elseif reader.position < list.last or list.readerCount > 1 and not fits(list, before, after) then
        local copy = newList(room, copyAt(list, reader.position))
        leave(reader, list)
        enter(reader, copy)
        list = copy
    end
    if list.readerCount == 1 then
        replace(list, nick, list.occupants[nick], after)
        merge(list)
        return
    end
    append(list, nick, after)
    reader.position = list.last
    local log = list.log
    if (log and #log or 0) > MAX_BEHIND then
        splitOff(list)
    end
end

function splitOff(list)
    local copies = {}
    for _, reader in ipairs(late(list)) do
        skipOwn(reader)
        local position = reader.position
        if reader.list == list and position < list.last then
            local copy = copies[position]
            if copy == nil then
                copy = newList(list.room, copyAt(list, position))
                copies[position] = copy
            end
            leave(reader, list)
            enter(reader, copy)
        end
    end
end

function enter(reader, list)
    reader.list = list
    reader.position = list.last
    list.readers[reader] = true
    list.readerCount = list.readerCount + 1
    sortIn(list)
end

function leave(reader, list)
    list.readers[reader] = nil
    list.readerCount = list.readerCount - 1
    if list.readerCount == 0 then
        remove(list)
        return
    end
    if reader.position < list.last then
        noteUpToDate(list)
    end
end

function merge(list)
    local all = listsOf(list.room)
    if #all < 2 then
        return
    end
    for i = 1, math.min(#all, MAX_COMPARED + 1) do
        local other = all[i]
        local isOther = other ~= nil and other ~= list
        if isOther and math.abs(other.count - list.count) <= 2 and other.behind == nil then
            local isLarger = other.readerCount >= list.readerCount
            local isLarger_10
            if isLarger then
                isLarger_10 = moveReaders(list, other)
            else
                isLarger_10 = moveReaders(other, list)
            end
            if isLarger_10 then
                return
            end
        end
    end
end

function moveReaders(from, to)
    local moved = false
    for reader in pairs(from.readers) do
        if not moveReader(reader, from, to) then
            return moved
        end
        moved = true
    end
    return moved
end

function moveReader(reader, from, to)
    local only
    if to.readerCount == 1 then
        only = firstOf(to.readers)
    end
    local missing
    if (only and only.own) ~= reader.own then
        missing = only and only.own
    end
    if not isSame(from, to, reader.own, missing) then
        return false
    end
    local interned
    if missing ~= nil then
        interned = from.occupants[missing]
    end
    local old
    if missing ~= nil then
        old = to.occupants[missing]
    end
    if not fits(to, old, interned) then
        return false
    end
    leave(reader, from)
    if missing ~= nil and old ~= interned then
        replace(to, missing, old, interned)
    end
    enter(reader, to)
    return true
end

MAX_BEHIND = 64
MAX_COMPARED = 4

--- Returns the presence of an occupant that the account has seen.
function state_occupants.findOccupant(reader, nick)
    local list = reader.list
    if list == nil or nick == reader.own then
        return nil
    end
    return entryAt(list, reader.position, nick)
end

--- Iterates over all occupants that the account has seen, by nick. Only forgetOccupant() may change the list meanwhile.
function state_occupants.eachOccupant(reader)
    local list = reader.list
    local own = reader.own
    local occupants
    if list ~= nil then
        occupants = contentAt(list, reader.position)
    end
    local nick
    local interned
    local function step()
        if occupants ~= nil then
            nick, interned = next(occupants, nick)
            if nick ~= nil and nick == own then
                nick, interned = next(occupants, nick)
            end
        end
        return nick, interned
    end
    return step
end

--- Returns the number of occupants that the account has seen.
function state_occupants.countOccupants(reader)
    return (totalsOf(reader))
end

--- Caches the presence of an occupant. Returns false if there is no space; then no presence of the occupant is cached.
function state_occupants.keepOccupant(room, reader, nick, interned)
    if reader.own == nick then
        reader.own = nil
    end
    if keepAlone(reader, nick, interned) or passChange(reader, nick, interned) then
        return true
    end
    local before = state_occupants.findOccupant(reader, nick)
    if before == interned then
        return true
    end
    if not hasSpace(reader, before, interned) then
        change(room, reader, nick, before, nil)
        return false
    end
    change(room, reader, nick, before, interned)
    return true
end

--- Removes an occupant that has left.
function state_occupants.forgetOccupant(reader, nick)
    local list = reader.list
    if list == nil or passChange(reader, nick, nil) then
        return
    end
    change(list.room, reader, nick, state_occupants.findOccupant(reader, nick), nil)
end

--- Sets the account's own nick, which no other occupant has from now on.
function state_occupants.setOwnNick(reader, nick)
    local before = reader.own
    reader.own = nick
    if before ~= nil and before ~= nick then
        state_occupants.forgetOccupant(reader, before)
    end
    skipOwn(reader)
    if before ~= nick and reader.list ~= nil then
        settleIfDone(reader.list)
    end
end

--- Removes all occupants.
function state_occupants.forgetOccupants(reader)
    if reader.list ~= nil then
        leave(reader, reader.list)
    end
    reader.list = nil
    reader.own = nil
end

--- Takes over a reader of the previous instance of the module.
function state_occupants.restoreReader(reader)
    local list = reader.list
    if list ~= nil and not isRegistered(list) then
        register(list)
        if list.behind == 0 then
            list.behind = nil
            list.log = nil
        end
        for _, interned in pairs(list.occupants) do
            restoreInterned(interned)
        end
    end
end
end

-- src/state/view.ts
--
-- The cache of a room for an account, from which later joins are served. Missing parts take no memory.
local state_view = {}
do
local itemIn, withoutStatus
local MUC_USER = namespaces.MUC_USER
local intern = state_interned.intern
local isSamePresence = state_interned.isSamePresence
local stanzaOf = state_interned.stanzaOf
local forgetOccupants = state_occupants.forgetOccupants
local keep = state_occupants.keepOccupant

function itemIn(presence)
    local opt_9 = presence:get_child("x", MUC_USER)
    return opt_9 and opt_9:get_child("item")
end

function withoutStatus(presence)
    local copy = st.clone(presence)
    copy.attr.to = nil
    local x = copy:get_child("x", MUC_USER)
    if x ~= nil then
        x:maptags(function(tag)
            if tag.name == "status" then
                return nil
            else
                return tag
            end
        end)
    end
    return copy
end

function state_view.newView()
    return {position = 0}
end

--- Empties the cache.
function state_view.clearView(view)
    forgetOccupants(view)
    view.offline = nil
    view.self = nil
    view.selfNick = nil
    view.isJidHidden = nil
    view.room = nil
    view.isRoomFirst = nil
    view.subject = nil
    view.stale = nil
    view.nonAnonymous = nil
    view.logged = nil
end

--- Caches the presence of an occupant. Returns false if there is no space.
function state_view.keepOccupant(room, view, nick, interned)
    if nick == view.own and view.self ~= nil then
        if view.selfNick == nil then
            view.selfNick = nick
        end
    end
    local isKept = keep(room, view, nick, interned)
    if not isKept then
        view.stale = "incomplete"
    end
    return isKept
end

--- Returns the nick of the account's own presence.
function state_view.selfNickOf(view)
    local selfNick = view.selfNick
    if selfNick == nil then
        if view.self == nil then
            selfNick = nil
        else
            selfNick = view.own
        end
    end
    return selfNick
end

--- Marks the view as outdated, unless it is incomplete.
function state_view.outdate(view)
    if view.stale == nil then
        view.stale = "outdated"
    end
end

--- Returns the account's own presence without status codes. The caller may change it.
function state_view.selfOf(membership)
    local view = membership.view
    local self_
    if view.self ~= nil then
        self_ = stanzaOf(view.self)
    end
    if self_ == nil then
        return nil
    end
    self_.attr.id = nil
    local item
    if view.isJidHidden == true then
        item = itemIn(self_)
    end
    if item ~= nil then
        item.attr.jid = membership.occupant
    end
    return self_
end

--- Caches the account's own presence. Returns whether it has changed.
function state_view.setSelf(membership, nick, presence)
    local view = membership.view
    local before = view.self
    local wasHidden = view.isJidHidden
    local copy = withoutStatus(presence)
    local item
    if not view.nonAnonymous then
        item = itemIn(copy)
    end
    local isHidden = (item and item.attr.jid) == membership.occupant
    if isHidden then
        item.attr.jid = nil
    end
    local self_ = intern(copy)
    view.self = self_
    if nick == view.own then
        view.selfNick = nil
    else
        view.selfNick = nick
    end
    if isHidden then
        view.isJidHidden = true
    else
        view.isJidHidden = nil
    end
    return before == nil or view.isJidHidden ~= wasHidden or not isSamePresence(before, self_)
end
end

-- src/state/memberships.ts
--
-- The accounts of this host, their memberships, and the attached sessions. Plain data and functions that change it. No
-- code here handles events of Prosody or sends stanzas.
local state_memberships = {}
do
local membershipList, includes, hasRequest, sessionOf, isEmpty
local monotonic = state_clock.monotonic
local time = require("util.time")
local options = minimix_options
local inSharedQueue = state_place.inSharedQueue
local isIn = state_place.isIn
local requestsOf = state_place.requestsOf
local timersOf = state_place.timersOf
local retireSent = state_sent.retireSent
local reviveSent = state_sent.reviveSent
local noteJoined = state_sessions.noteJoined
local forgetOccupants = state_occupants.forgetOccupants
local clearView = state_view.clearView
local newView = state_view.newView
local selfNickOf = state_view.selfNickOf

--- Finds the membership of an occupant JID in a room. Both are prepared addresses of a stanza.
function state_memberships.findMembership(occupant, room)
    local account = state_memberships.accounts[occupant]
    if account == nil then
        return nil
    end
    return account.memberships[room]
end

function membershipList(account)
    local list = {}
    for _, membership in pairs(account.memberships) do
        list[#list + 1] = membership
    end
    return list
end

--- Whether a membership is still current, and has not been dropped meanwhile.
function state_memberships.isCurrent(membership)
    return state_memberships.findMembership(membership.occupant, membership.room) == membership
end

function includes(timers, wanted)
    for _, timer in ipairs(timers) do
        if timer == wanted then
            return true
        end
    end
    return false
end

function state_memberships.hasAttached(membership)
    return membership.attached ~= state_memberships.NO_SESSIONS and not isEmpty(membership.attached)
end

function hasRequest(requests, except)
    for _, value_ in ipairs(requests) do
        local kind = value_.kind
        local session = value_.session
        local queued = value_.queued
        local temp_9 = kind == "join"
        if temp_9 then
            if session == nil then
                temp_9 = #queued > 0
            else
                temp_9 = session ~= except
            end
        end
        if temp_9 then
            return true
        end
    end
    return false
end

--- Replaces the presence of an attached session.
function state_memberships.setAttachment(membership, session, attachment)
    if membership.attached == state_memberships.NO_SESSIONS then
        membership.attached = {}
    end
    membership.attached[session] = attachment
end

--- Records the time if no session is attached.
function state_memberships.noteDetached(membership)
    if not state_memberships.hasAttached(membership) then
        membership.attached = state_memberships.NO_SESSIONS
        if membership.detachedAt == nil then
            membership.detachedAt = monotonic()
        end
    end
end

function sessionOf(request)
    if request == nil then
        return nil
    else
        return request.session
    end
end

function isEmpty(map)
    return (next(map)) == nil
end

--- The value for most memberships, without sessions and requests. It is never changed.
state_memberships.NO_SESSIONS = {}
state_memberships.NO_REQUESTS = {}
--- Seconds in the room after which the retry counter is reset.
local STEADY = 60
--- Accounts by occupant JID, because stanzas of rooms are addressed to it.
state_memberships.accounts = {}

--- Returns the account's address in rooms. No other function knows its form.
function state_memberships.occupantJid(username)
    return jids.join(username, module.host, options.resource)
end

--- Whether a JID is an occupant JID of the module. Sessions may have joined some rooms by their own JIDs.
function state_memberships.isOccupantJid(jid)
    return state_memberships.occupantJid(jids.node(jid) or "") == jid
end

--- Whether a client of the account is connected or hibernating.
function state_memberships.hasSession(username)
    local opt_2 = prosody.hosts[module.host]
    local sessions = opt_2 and opt_2.sessions
    return (sessions and sessions[username] ~= nil) == true
end

--- Returns the seconds for which the account had no session, while this or an earlier start of the server ran.
function state_memberships.idleOf(account)
    return state_memberships.hasSession(account.username) and 0 or monotonic() - account.seen
end

function state_memberships.findAccount(username)
    return state_memberships.accounts[state_memberships.occupantJid(username)]
end

--- Finds the membership of a session's account in a room.
function state_memberships.membershipOf(session, room)
    return state_memberships.findMembership(state_memberships.occupantJid(session.username), room)
end

--- Returns all memberships of an account as a list, so that some may be dropped during iteration.
function state_memberships.membershipsOf(username)
    local account = state_memberships.findAccount(username)
    return account == nil and {} or membershipList(account)
end

--- Returns all memberships of this host as a list.
function state_memberships.allMemberships()
    local list = {}
    for _, account in pairs(state_memberships.accounts) do
        for _, membership in pairs(account.memberships) do
            list[#list + 1] = membership
        end
    end
    return list
end

--- Creates a membership of an account that is not in the room yet. The caller must give it an operation or a place in a
-- queue.
function state_memberships.createMembership(username, room, nick)
    local occupant = state_memberships.occupantJid(username)
    local account = state_memberships.accounts[occupant]
    if account == nil then
        account = {username = username, memberships = {}, seen = monotonic(), idleOnDisk = 0}
        state_memberships.accounts[occupant] = account
    end
    local membership = {
        username = username,
        occupant = occupant,
        room = room,
        place = inSharedQueue("lost"),
        attached = state_memberships.NO_SESSIONS,
        nick = nick,
        wantedNick = nick,
        view = newView()
    }
    local sent = reviveSent(occupant, room)
    if sent ~= nil then
        membership.sent = sent
    end
    account.memberships[room] = membership
    return membership
end

--- Drops a membership, and the account with its last one. Errors of messages can still be returned.
function state_memberships.dropMembership(membership)
    for _, timer in ipairs(timersOf(membership.place)) do
        timer:stop()
    end
    forgetOccupants(membership.view)
    local account = state_memberships.accounts[membership.occupant]
    if account == nil or not state_memberships.isCurrent(membership) then
        return
    end
    retireSent(membership.occupant, membership.room, membership.sent)
    account.memberships[membership.room] = nil
    if isEmpty(account.memberships) then
        state_memberships.accounts[membership.occupant] = nil
    end
end

--- Returns the waiting requests of sessions, oldest first.
function state_memberships.queueOf(membership)
    return membership.queue or state_memberships.NO_REQUESTS
end

--- Replaces empty tables by the shared ones of this instance of the module, after a reload.
function state_memberships.restoreEmpty(membership)
    if isEmpty(membership.attached) then
        membership.attached = state_memberships.NO_SESSIONS
    end
end

--- Whether another account of this host is in the room under a nick.
function state_memberships.isNickOfOther(membership, nick)
    for _, account in pairs(state_memberships.accounts) do
        local other = account.memberships[membership.room]
        if other ~= nil and other ~= membership and other.nick == nick and isIn(other.place) then
            return true
        end
    end
    return false
end

--- Drops the cached stanzas of the room: the next join starts from nothing.
function state_memberships.forgetRoom(membership)
    clearView(membership.view)
end

--- Moves the account to another place, and stops the timers that belong to the earlier place only.
function state_memberships.setPlace(membership, place)
    local kept = timersOf(place)
    for _, timer in ipairs(timersOf(membership.place)) do
        if not includes(kept, timer) then
            timer:stop()
        end
    end
    membership.place = place
end

--- Returns the record of self-pings, a new one if there is none.
function state_memberships.livenessOf(place)
    if place.liveness == nil then
        place.liveness = {unanswered = 0}
    end
    return place.liveness
end

--- Consecutive self-pings without an answer.
function state_memberships.unansweredOf(membership)
    local place = membership.place
    if place.phase == "joined" then
        local liveness = place.liveness
        return liveness and liveness.unanswered or 0
    else
        return 0
    end
end

--- Returns seconds of a clock that cannot be set.
function state_memberships.now()
    return time.monotonic()
end

--- Consecutive failed attempts.
function state_memberships.triesOf(membership)
    local place = membership.place
    return place.phase == "joined" and state_memberships.now() - place.since >= STEADY and 0 or place.tries
end

--- Whether the account is in the room, as far as is known.
function state_memberships.isReached(membership)
    local phase = membership.place.phase
    return (phase == "joined" or phase == "entering") and state_memberships.unansweredOf(membership) == 0
end

--- Whether the account is lost and rejoins, while its sessions do not know.
function state_memberships.isComingBack(membership)
    local phase = membership.place.phase
    return phase == "lost" or phase == "joining"
end

--- Returns the nick that the attached sessions know. While the account rejoins, it may ask for another.
function state_memberships.knownNick(membership)
    local isComingBack_result_7
    if state_memberships.isComingBack(membership) then
        isComingBack_result_7 = selfNickOf(membership.view)
    end
    return isComingBack_result_7 or membership.nick
end

function state_memberships.isAttached(membership, session)
    return session ~= nil and membership.attached[session] ~= nil
end

--- Whether a session is attached, or has a pending join or queued stanzas. Sessions except `except` count.
function state_memberships.isUsed(membership, except)
    for session in pairs(membership.attached) do
        if session ~= except then
            return true
        end
    end
    return hasRequest(state_memberships.queueOf(membership), except) or hasRequest(requestsOf(membership.place), except)
end

--- Returns the session with the join that the room is answering. It gets the answer although it may not be attached.
function state_memberships.requestingSession(membership)
    local place = membership.place
    if place.phase == "joining" then
        return sessionOf(place.operation.request)
    end
    local temp_12 = place.phase == "joined"
    if temp_12 then
        local operation = place.operation
        temp_12 = (operation and operation.kind) == "resync"
    end
    if temp_12 then
        return place.operation.request.session
    end
    return nil
end

function state_memberships.attachSession(membership, session, presence, id)
    noteJoined(session, membership.room)
    state_memberships.setAttachment(membership, session, {presence = presence, id = id})
    membership.detachedAt = nil
    membership.shownDetached = nil
end

function state_memberships.detachSession(membership, session)
    membership.attached[session] = nil
    if membership.shown == session then
        membership.shown = nil
    end
    state_memberships.noteDetached(membership)
end

--- Whether no session has been attached for a number of seconds.
function state_memberships.isDetachedFor(membership, seconds)
    local since = membership.detachedAt
    return since ~= nil and monotonic() - since >= seconds
end

function state_memberships.detachAll(membership)
    for session in pairs(membership.attached) do
        state_memberships.detachSession(membership, session)
    end
end
end

-- src/state/outage.ts
--
-- Outages of Prosody's storage. An outage begins with the first failure and ends when nothing waits to be written or
-- read. Meanwhile drivers are called at retries only, because a call may block the server.
local state_outage = {}
do
local retryAfter, retry, runTasks, endOutage, FIRST_PAUSE, LONGEST_PAUSE, SLICE, SLICE_PAUSE, outage, tasks, listeners
local inTurn = minimix_turn.inTurn
local monotonic = state_clock.monotonic

function retryAfter(current, seconds)
    module:add_timer(seconds, function()
        if outage == current then
            inTurn(function()
                retry(current)
            end)
        end
        return nil
    end)
end

function retry(current)
    local progress = runTasks(monotonic() + SLICE)
    if progress == "done" then
        endOutage(current)
    elseif progress == "failing" then
        current.pause = math.min(current.pause * 2, LONGEST_PAUSE)
        retryAfter(current, current.pause)
    else
        current.pause = FIRST_PAUSE
        retryAfter(current, SLICE_PAUSE)
    end
end

function runTasks(deadline)
    local result = "done"
    for _, task in ipairs(tasks) do
        local done, progress = pcall(task, deadline)
        if not done then
            module:log("error", "Internal error: %s", progress)
        end
        if not done or progress == "failing" then
            result = "failing"
        elseif progress == "more" and result == "done" then
            result = "more"
        end
    end
    return result
end

function endOutage(current)
    outage = nil
    module:log(
        "info",
        "Storage works again after %d seconds",
        math.floor(monotonic() - current.since)
    )
    for _, listener in ipairs(listeners) do
        listener()
    end
end

FIRST_PAUSE = 1
LONGEST_PAUSE = 10
SLICE = 0.02
SLICE_PAUSE = 0.05

--- Whether data waits to be written or read because storage failed.
function state_outage.isOutage()
    return outage ~= nil
end

--- Begins an outage, unless there is one.
function state_outage.beginOutage()
    if outage == nil then
        outage = {since = monotonic(), pause = FIRST_PAUSE}
        retryAfter(outage, FIRST_PAUSE)
    end
end

tasks = {}
listeners = {}

--- Registers a task that is called at each retry until all tasks are done. Tasks are called in the order of
-- registration.
function state_outage.onRetry(task)
    tasks[#tasks + 1] = task
end

--- Registers a listener that is called when an outage is over.
function state_outage.onRecovery(listener)
    listeners[#listeners + 1] = listener
end

--- Retries now, before the server stops or the module is unloaded.
function state_outage.retryNow()
    if outage ~= nil then
        runTasks(math.huge)
    end
end
end

-- src/state/counters.ts
--
-- Counters of the module. Plain numbers, because some change with each stanza.
local state_counters = {}
do
state_counters.counters = {
    copiesIn = 0,
    copiesOut = 0,
    copiesSaved = 0,
    replays = 0,
    rejoins = 0,
    archiveWrites = 0,
    storageFailures = 0,
    drops = {}
}

--- Counts a dropped stanza, or a request over a limit.
function state_counters.noteDrop(reason)
    state_counters.counters.drops[reason] = (state_counters.counters.drops[reason] or 0) + 1
end

--- Takes over the counters of the previous instance, which may have fewer.
function state_counters.restoreCounters(saved)
    local all = state_counters.counters
    for name, value in pairs(saved) do
        all[name] = value
    end
end
end

-- src/state/driver.ts
--
-- Common part of stores of records (records.ts) and messages (messages.ts): a driver of Prosody that may fail. Drivers
-- return `nil, err` or `false, err`, or raise an error. The module sees three outcomes: a value, nothing stored,
-- failed.
local state_driver = {}
do
local works, reconnect, readTrial, noteFailure, COMMIT_FAILED, engines
local monotonic = state_clock.monotonic
local counters = state_counters.counters
local beginOutage = state_outage.beginOutage
local isOutage = state_outage.isOutage
local onRecovery = state_outage.onRecovery

--- Returns the driver.
function state_driver.handleOf(store)
    if store.handle == nil then
        store.handle = store.open()
    end
    return store.handle
end

--- Whether a driver has returned a value or "nothing stored".
function state_driver.isAnswer(done, value, problem)
    return done and value ~= false and (value ~= nil or problem == nil or problem == "item-not-found")
end

function works(store)
    local done, value, problem = pcall(readTrial, store)
    if problem == COMMIT_FAILED then
        reconnect()
    end
    return state_driver.isAnswer(done, value, problem)
end

function reconnect()
    for _, engine in pairs(engines) do
        local conn = engine.conn
        if conn ~= nil then
            conn:close()
        end
        engine.conn = nil
    end
end

function readTrial(store)
    return store.tryRead(state_driver.handleOf(store))
end

function noteFailure(name, key, verb, problem)
    counters.storageFailures = counters.storageFailures + 1
    if not isOutage() then
        local what = (key == nil or key == state_driver.HOST) and name or name .. " of " .. key
        module:log("error", "Storage fails, retrying: could not %s %s: %s", verb, what, problem)
    end
    beginOutage()
end

--- The key of the host's own record.
state_driver.HOST = ""
--- A key that no account has, because nodeprep forbids it.
state_driver.TRIAL = "@"
--- Seconds between two reads of a broken record.
local BROKEN_PAUSE = 2
local stores = {}

--- Declares a store. It is opened at its first use.
function state_driver.newStore(name, open, tryRead)
    local store = {
        name = name,
        handle = nil,
        open = open,
        tryRead = tryRead,
        readsFail = false,
        writesFail = false,
        failedKey = nil,
        broken = {}
    }
    stores[#stores + 1] = store
    return store
end

--- Whether a read of this record, or of all records, has just failed.
function state_driver.isUnreadable(store, key)
    local nextTry = store.broken[key]
    return store.readsFail or nextTry ~= nil and monotonic() < nextTry
end

--- Records a failed read. Without a key, the list of all keys could not be read.
function state_driver.readFailed(store, key, problem)
    if key == nil or not works(store) then
        store.readsFail = true
        noteFailure(store.name, key, "read", problem)
        return
    end
    counters.storageFailures = counters.storageFailures + 1
    if store.broken[key] == nil then
        local owner = key == state_driver.HOST and module.host or key
        module:log("error", "The record of %s in %s cannot be read: %s", owner, store.name, problem)
    end
    store.broken[key] = monotonic() + BROKEN_PAUSE
end

--- Records a failed write. The caller keeps the data.
function state_driver.writeFailed(store, key, problem)
    store.writesFail = store.failedKey ~= nil and store.failedKey ~= key
    store.failedKey = key
    noteFailure(store.name, key, "write", problem)
end

--- The error of util.sql if a transaction cannot end.
COMMIT_FAILED = "commit failed"
engines = module:shared("/*/sql/connections")
--- The connections in use, by address.
local connections = {}

--- Refers to the connections in use. Without it, a lost connection is freed before util.sql frees its statements, and
-- LuaDBI crashes the server when these are freed.
function state_driver.keepConnections()
    local inUse = {}
    for address, engine in pairs(engines) do
        inUse[address] = engine.conn or connections[address]
    end
    connections = inUse
end

onRecovery(state_driver.keepConnections)

--- Enables failed stores again if they can be read. Returns whether all can.
function state_driver.reopenStores()
    local result = true
    for _, store in ipairs(stores) do
        if store.readsFail or store.failedKey ~= nil then
            store.handle = nil
            store.writesFail = false
            store.failedKey = nil
        end
        store.readsFail = store.readsFail and not works(store)
        result = result and not store.readsFail
    end
    return result
end
end

-- src/state/keys.ts
--
-- Copies of sets and maps as lists, so that they can change during iteration.
local state_keys = {}
do
--- Returns the members of a set.
function state_keys.membersOf(set)
    local list = {}
    for member in pairs(set) do
        list[#list + 1] = member
    end
    return list
end
end

-- src/state/records.ts
--
-- Records of accounts in Prosody's storage. A failed write is repeated with the latest content until it succeeds. A
-- record that could not be read is not overwritten.
local state_records = {}
do
local get, put, set
local monotonic = state_clock.monotonic
local handleOf = state_driver.handleOf
local HOST = state_driver.HOST
local isAnswer = state_driver.isAnswer
local isUnreadable = state_driver.isUnreadable
local newStore = state_driver.newStore
local readFailed = state_driver.readFailed
local reopenStores = state_driver.reopenStores
local TRIAL = state_driver.TRIAL
local writeFailed = state_driver.writeFailed
local membersOf = state_keys.membersOf
local beginOutage = state_outage.beginOutage
local onRetry = state_outage.onRetry

function get(store, key)
    local self_4 = handleOf(store)
    local temp_3
    if key ~= HOST then
        temp_3 = key
    end
    return self_4.get(self_4, temp_3)
end

function put(records, key)
    local done, result, problem = pcall(set, records, key)
    if not done or result ~= true then
        records.dirty[key] = true
        local done_6
        if done then
            done_6 = problem
        else
            done_6 = result
        end
        writeFailed(records.store, key, done_6)
        return false
    end
    records.dirty[key] = nil
    records.store.failedKey = nil
    return true
end

function set(records, key)
    local self_11 = handleOf(records.store)
    local self_11_set_12 = self_11.set
    local temp_10
    if key ~= HOST then
        temp_10 = key
    end
    return self_11_set_12(self_11, temp_10, records.content(key))
end

--- Returns the keys of a store as a list, because mod_storage_internal reads the folder as it iterates. Undefined if the
-- driver failed.
function state_records.listKeys(store)
    if store.readsFail then
        return nil
    end
    local keys = {}
    local function collect()
        for key in handleOf(store):users() do
            if type(key) == "string" and key ~= HOST then
                keys[#keys + 1] = key
            end
        end
    end
    local done, problem = pcall(collect)
    if not done then
        readFailed(store, nil, problem)
        return nil
    end
    return keys
end

local all = {}

--- Declares a store of records.
function state_records.openRecords(name, content)
    local store = newStore(name, function() return module:open_store(name, "keyval") end, function(handle) return handle:get(TRIAL) end)
    local records = {store = store, content = content, dirty = {}}
    all[#all + 1] = records
    return records
end

--- Returns whether the read succeeded, and the record.
function state_records.readRecord(records, key)
    local store = records.store
    if isUnreadable(store, key) then
        return false, nil
    end
    local done, value, problem = pcall(get, store, key)
    if not isAnswer(done, value, problem) then
        local done_0
        if done then
            done_0 = problem
        else
            done_0 = value
        end
        readFailed(store, key, done_0)
        return false, nil
    end
    store.broken[key] = nil
    return true, value
end

--- Writes a record, or marks it to be written later. Returns whether it is written.
function state_records.writeRecord(records, key)
    if records.store.writesFail or records.dirty[key] ~= nil then
        records.dirty[key] = true
        beginOutage()
        return false
    end
    return put(records, key)
end

--- Returns the accounts with a record. Undefined if the driver failed. Some drivers list the host's own record too:
-- mod_storage_sql as "", mod_storage_memory as a function.
function state_records.listRecords(records)
    return state_records.listKeys(records.store)
end

local function writeDirty(records, deadline)
    for _, key in ipairs(membersOf(records.dirty)) do
        if records.store.writesFail then
            return "failing"
        end
        if monotonic() > deadline then
            return "more"
        end
        put(records, key)
    end
    return (next(records.dirty)) == nil and "done" or "failing"
end

onRetry(function(deadline)
    local result = reopenStores() and "done" or "failing"
    for _, records in ipairs(all) do
        local progress = writeDirty(records, deadline)
        if progress == "failing" or result == "done" then
            result = progress
        end
    end
    return result
end)

--- Counts the records that wait to be written.
function state_records.countDirty()
    local count = 0
    for _, records in ipairs(all) do
        count = count + #membersOf(records.dirty)
    end
    return count
end

function state_records.dirtyRecords()
    local dirty = {}
    for _, records in ipairs(all) do
        dirty[records.store.name] = records.dirty
    end
    return dirty
end

function state_records.restoreDirty(saved)
    for _, records in ipairs(all) do
        local dirty = saved[records.store.name]
        if dirty ~= nil then
            for key in pairs(dirty) do
                records.dirty[key] = true
                beginOutage()
            end
        end
    end
end
end

-- src/state/marks.ts
--
-- Marks on bookmarks, in the store "minimix_bookmarks", for `minimix_bookmark_write`: the last change of a room's
-- bookmark. Without the marks, the module would restore bookmarks that the user has removed.
--
-- Also the edits of bookmarks that could not be written yet. A reload hands them to the next instance.
local state_marks = {}
do
local content, forgetOldest, marksOf, wellFormed, write, MAX_MARKS, pending, records
local wallClock = state_clock.wallClock
local beginOutage = state_outage.beginOutage
local onRetry = state_outage.onRetry
local openRecords = state_records.openRecords
local readRecord = state_records.readRecord
local writeRecord = state_records.writeRecord

function content(username)
    local marks = {}
    local opt_2 = pending[username]
    for room, mark in pairs(opt_2 and opt_2.marks or {}) do
        if mark == false then
            marks[room] = nil
        else
            marks[room] = mark
        end
    end
    forgetOldest(marks)
    if (next(marks)) == nil then
        return nil
    else
        return marks
    end
end

function forgetOldest(marks)
    local count = 0
    local oldest
    local since = math.huge
    for room, mark in pairs(marks) do
        count = count + 1
        if mark ~= false and mark.when < since then
            oldest = room
            since = mark.when
        end
    end
    if oldest ~= nil and count > MAX_MARKS then
        marks[oldest] = nil
    end
end

function marksOf(username)
    local changes = pending[username]
    if (changes and changes.isRead) == true then
        return changes.marks
    end
    local done, stored = readRecord(records, username)
    if not done then
        return nil
    end
    local marks = wellFormed(stored)
    if changes ~= nil then
        for room, mark in pairs(changes.marks) do
            marks[room] = mark
        end
        changes.marks = marks
        changes.isRead = true
    end
    return marks
end

function wellFormed(stored)
    local marks = {}
    for room, mark in pairs(type(stored) == "table" and stored or {}) do
        if type(room) == "string" and type(mark) == "table" and type(mark.when) == "number" then
            marks[room] = mark
        end
    end
    return marks
end

function write(username)
    if marksOf(username) == nil or not writeRecord(records, username) then
        return false
    end
    pending[username] = nil
    return true
end

MAX_MARKS = 256
pending = {}
records = openRecords("minimix_bookmarks", content)

--- Whether the marks of an account can be read.
function state_marks.canReadMarks(username)
    return marksOf(username) ~= nil
end

--- Returns the origin of the last change of a room's bookmark. Undefined if it is unknown.
function state_marks.markedBy(username, room)
    local opt_8 = marksOf(username)
    local mark = opt_8 and opt_8[room]
    if mark == nil or mark == false then
        return nil
    else
        return mark.by
    end
end

--- Stores a mark, or removes it. If storage fails, it is written later.
function state_marks.setMark(username, room, by)
    local changes = pending[username] or {marks = {}, isRead = false}
    local marks = changes.marks
    if by == nil then
        marks[room] = false
    else
        marks[room] = {by = by, when = wallClock()}
    end
    pending[username] = changes
    if not write(username) then
        beginOutage()
    end
end

onRetry(function()
    local result = "done"
    local usernames = {}
    for username in pairs(pending) do
        usernames[#usernames + 1] = username
    end
    for _, username in ipairs(usernames) do
        if not write(username) then
            result = "failing"
        end
    end
    return result
end)

--- Forgets what is not on disk yet: the account is deleted.
function state_marks.forgetMarks(username)
    pending[username] = nil
end

function state_marks.pendingMarks()
    return pending
end

function state_marks.restoreMarks(saved)
    pending = saved
    for username in pairs(pending) do
        if not write(username) then
            beginOutage()
        end
    end
end

state_marks.pendingEdits = {}

--- Returns the pending edits of a bookmark.
function state_marks.editsOf(username, room)
    local opt_14 = state_marks.pendingEdits[username]
    return opt_14 and opt_14.rooms[room]
end

--- Counts the bookmarks with pending edits.
function state_marks.countEdits()
    local count = 0
    for _, temp_16 in pairs(state_marks.pendingEdits) do
        local rooms
        rooms = temp_16.rooms
        for _ in pairs(rooms) do
            count = count + 1
        end
    end
    return count
end

function state_marks.restoreEdits(saved)
    for username, edits in pairs(saved) do
        state_marks.pendingEdits[username] = edits
    end
end
end

-- src/state/former.ts
--
-- Addresses under which accounts may still be in rooms after `minimix_resource` has changed. An entry is kept, also
-- across restarts, until the room has confirmed the leave.
local state_former = {}
do
--- Former occupants by account.
state_former.formerOccupants = {}
local none = {}

function state_former.hasFormerOccupants()
    return (next(state_former.formerOccupants)) ~= nil
end

function state_former.formerOccupantsOf(username)
    return state_former.formerOccupants[username] or none
end

function state_former.allFormerOccupants()
    local all = {}
    for _, list in pairs(state_former.formerOccupants) do
        for _, former in ipairs(list) do
            all[#all + 1] = former
        end
    end
    return all
end

--- Finds the entry of an occupant JID in a room. Both are addresses of a stanza.
function state_former.findFormerOccupant(occupant, room)
    for _, former in ipairs(state_former.formerOccupantsOf(jids.node(occupant) or "")) do
        if former.occupant == occupant and former.room == room then
            return former
        end
    end
    return nil
end

function state_former.addFormerOccupant(username, room, occupant, nick)
    if state_former.findFormerOccupant(occupant, room) == nil then
        local list = state_former.formerOccupants[username] or {}
        state_former.formerOccupants[username] = list
        list[#list + 1] = {username = username, room = room, occupant = occupant, nick = nick, tries = 0}
    end
end

--- Drops an entry: the account is out of the room under that address.
function state_former.dropFormerOccupant(former)
    local others = {}
    for _, other in ipairs(state_former.formerOccupantsOf(former.username)) do
        if other ~= former then
            others[#others + 1] = other
        end
    end
    if #others > 0 then
        state_former.formerOccupants[former.username] = others
    else
        state_former.formerOccupants[former.username] = nil
    end
end

--- Takes over the entries of the previous instance. Its open questions to rooms are lost.
function state_former.restoreFormerOccupants(saved)
    for username, list in pairs(saved) do
        for _, former in ipairs(list) do
            former.tries = 0
        end
        state_former.formerOccupants[username] = list
    end
end
end

-- src/state/restored.ts
--
-- Memberships that show the presence from before a start of the server. Their sessions may still come back.
local state_restored = {}
do
local monotonic = state_clock.monotonic
local options = minimix_options
--- Longest wait in seconds. minimix_detached_after may be "never".
local LONGEST_WAIT = 900
--- When the wait for the sessions ends, by the monotonic clock.
local ends = setmetatable({}, {__mode = "k"})

function state_restored.noteRestored(membership)
    ends[membership] = monotonic() + math.min(options.detachedAfter, LONGEST_WAIT)
end

function state_restored.isRestored(membership)
    return monotonic() < (ends[membership] or 0)
end

--- The account shows the presence of a session of now.
function state_restored.endRestored(membership)
    ends[membership] = nil
end

--- Returns the memberships whose wait is over, once.
function state_restored.takeOverdue()
    local overdue = {}
    for membership, end_ in pairs(ends) do
        if monotonic() >= end_ then
            overdue[#overdue + 1] = membership
        end
    end
    for _, membership in ipairs(overdue) do
        ends[membership] = nil
    end
    return overdue
end
end

-- src/state/self-status.ts
--
-- Rooms that mark the own presence of occupants with status 110. Older services omit it in all rooms. Memberships keep it
-- on disk: after a restart another occupant must not be taken for the account.
local state_self_status = {}
do
--- Number of rooms to remember.
local ROOMS = 4096
--- Rooms that have sent 110 to an account of this server.
local marking = cache.new(ROOMS)

function state_self_status.selfMarkingRooms()
    return marking
end

--- Takes over the rooms of the previous instance of the module.
function state_self_status.restoreSelfMarkingRooms(saved)
    marking = saved
end

--- A room has sent an own presence with 110.
function state_self_status.noteSelfStatus(room)
    marking:set(room, true)
end

--- Whether a presence of this room without 110 is another occupant's.
function state_self_status.marksSelf(room)
    return marking:get(room) == true
end
end

-- src/state/account-record.ts
--
-- An account's record in the store "minimix": written from its memberships, and read back into them.
local state_account_record = {}
do
local formerRecords, shownText, stateOf, leaveFormerAddress, idleSince, isWellFormed, isOptional, isOptionalInteger, loadRoom, mayComeBack
local xml = require("util.xml")
local intern = state_interned.intern
local options = minimix_options
local shouldRejoin = state_bookmarks.shouldRejoin
local refusedRooms = state_bookmarks.refusedRooms
local restoreRefused = state_bookmarks.restoreRefused
local monotonic = state_clock.monotonic
local wallClock = state_clock.wallClock
local addFormerOccupant = state_former.addFormerOccupant
local formerOccupantsOf = state_former.formerOccupantsOf
local createMembership = state_memberships.createMembership
local dropMembership = state_memberships.dropMembership
local findAccount = state_memberships.findAccount
local idleOf = state_memberships.idleOf
local membershipsOf = state_memberships.membershipsOf
local inSharedQueue = state_place.inSharedQueue
local noteRestored = state_restored.noteRestored
local marksSelf = state_self_status.marksSelf
local noteSelfStatus = state_self_status.noteSelfStatus

function formerRecords(username)
    local former = {}
    for _, value_ in ipairs(formerOccupantsOf(username)) do
        local room = value_.room
        local occupant = value_.occupant
        local nick = value_.nick
        former[#former + 1] = {room = room, resource = jids.resource(occupant), nick = nick}
    end
    return #former > 0 and former or nil
end

function shownText(membership)
    local presence = membership.shownPresence
    local text = presence and presence.text
    if text == nil or string.len(text) > options.maxCachedSize then
        return nil
    else
        return "<presence" .. text
    end
end

function stateOf(membership)
    if not membership.established then
        return "joining"
    end
    return membership.place.phase == "leaving" and "leaving" or "in"
end

--- Whether the occupant JID has changed since a record was written.
function state_account_record.hasFormerAddress(record)
    return record.resource ~= options.resource
end

function leaveFormerAddress(username, record)
    local occupant = jids.join(username, module.host, record.resource)
    for _, membership in ipairs(membershipsOf(username)) do
        addFormerOccupant(username, membership.room, occupant, membership.nick)
        if membership.place.phase == "leaving" then
            dropMembership(membership)
        end
    end
end

function idleSince(record)
    local seen = tonumber(record.seen)
    return tonumber(record.idle) or (seen == nil and 0 or math.max(0, wallClock() - seen))
end

function isWellFormed(room, saved)
    if type(room) ~= "string" or type(saved) ~= "table" then
        return false
    end
    local nick = saved.nick
    local wanted = saved.wanted
    local password = saved.password
    local laterPassword = saved.laterPassword
    local bookmark = saved.bookmark
    local since = saved.since
    local shown = saved.shown
    local sinceNumber = saved.sinceNumber
    return jids.prep(room) == room and type(nick) == "string" and isOptional(wanted, "string") and isOptional(password, "string") and isOptional(laterPassword, "string") and isOptional(bookmark, "table") and isOptionalInteger(since) and isOptionalInteger(sinceNumber) and isOptional(shown, "string")
end

function isOptional(value, kind)
    return value == nil or type(value) == kind
end

function isOptionalInteger(value)
    return value == nil or type(value) == "number" and value % 1 == 0
end

function loadRoom(username, room, saved)
    local membership = createMembership(username, room, saved.nick)
    membership.wantedNick = saved.wanted or saved.nick
    membership.password = saved.password
    membership.laterPassword = saved.laterPassword
    membership.bookmark = saved.bookmark
    membership.ownBookmark = saved.ownBookmark
    membership.since = saved.since
    membership.sinceNumber = saved.sinceNumber
    if saved.state == "joining" then
        membership.established = nil
    else
        membership.established = true
    end
    membership.place = inSharedQueue(mayComeBack(membership, saved) and "lost" or "leaving")
    local shown
    if saved.shown ~= nil then
        shown = xml.parse(saved.shown)
    end
    if shown == nil then
        membership.shownPresence = nil
    else
        membership.shownPresence = intern(shown)
    end
    local view = membership.view
    if saved.nonAnonymous == true then
        view.nonAnonymous = true
    else
        view.nonAnonymous = nil
    end
    membership.detachedAt = monotonic()
    if saved.marksSelf == true then
        noteSelfStatus(room)
    end
    noteRestored(membership)
end

function mayComeBack(membership, saved)
    local isExcluded = options.excluded[jids.host(membership.room)] ~= nil
    return saved.state ~= "leaving" and saved.ending ~= true and not isExcluded and shouldRejoin(membership)
end

--- Returns the record of an account. Undefined: there is nothing to store.
function state_account_record.recordOf(username)
    local account = findAccount(username)
    local former = formerRecords(username)
    local refused = refusedRooms(username)
    if account == nil and former == nil and refused == nil then
        return nil
    end
    local rooms = {}
    for room, membership in pairs(account and account.memberships or {}) do
        local nick = membership.nick
        local wanted
        if membership.wantedNick ~= membership.nick then
            wanted = membership.wantedNick
        end
        local password = membership.password
        local laterPassword = membership.laterPassword
        local bookmark = membership.bookmark
        local ownBookmark = membership.ownBookmark
        local ending = membership.ending
        local since = membership.since
        local sinceNumber = membership.sinceNumber
        local shown = shownText(membership)
        local nonAnonymous = membership.view.nonAnonymous
        local marksSelf_result_1
        if marksSelf(room) then
            marksSelf_result_1 = true
        end
        rooms[room] = {
            nick = nick,
            wanted = wanted,
            password = password,
            laterPassword = laterPassword,
            bookmark = bookmark,
            ownBookmark = ownBookmark,
            ending = ending,
            since = since,
            sinceNumber = sinceNumber,
            shown = shown,
            nonAnonymous = nonAnonymous,
            marksSelf = marksSelf_result_1,
            state = stateOf(membership)
        }
    end
    local idle = account == nil and 0 or idleOf(account)
    if account ~= nil then
        account.idleOnDisk = idle
    end
    return {
        idle = idle,
        resource = options.resource,
        rooms = rooms,
        former = former,
        refused = refused
    }
end

--- Restores the memberships of a record. An error means that the record is malformed.
function state_account_record.loadRooms(username, record)
    local seen = monotonic() - idleSince(record)
    for _, value_ in ipairs(record.former or {}) do
        local room = value_.room
        local resource = value_.resource
        local nick = value_.nick
        addFormerOccupant(username, room, jids.join(username, module.host, resource), nick)
    end
    restoreRefused(username, record.refused)
    for room, saved in pairs(record.rooms or {}) do
        if isWellFormed(room, saved) then
            loadRoom(username, room, saved)
        else
            module:log(
                "warn",
                "Ignoring %s of %s: malformed record in minimix",
                tostring(room),
                username
            )
        end
    end
    local account = findAccount(username)
    if account ~= nil then
        account.seen = seen
        account.idleOnDisk = monotonic() - seen
    end
    if state_account_record.hasFormerAddress(record) then
        leaveFormerAddress(username, record)
    end
end
end

-- src/state/numbers.ts
--
-- Numbers of archive entries. They only increase and are never reused, because accounts' ranges refer to them. A lease
-- on disk is ahead of the numbers in use. So each start of the server continues after all earlier numbers, whatever the
-- clock says. The record also has the first number of each start: a range that was open at SIGKILL ends at the next
-- start.
local state_numbers = {}
do
local isWellFormed, isInteger, extend, LEASE, lastNumber, limit, records
local wallClock = state_clock.wallClock
local HOST = state_driver.HOST
local readFailed = state_driver.readFailed
local openRecords = state_records.openRecords
local readRecord = state_records.readRecord
local writeRecord = state_records.writeRecord

function isWellFormed(lease)
    local temp_4 = type(lease) == "table" and lease or {}
    local end_ = temp_4.limit
    local begun = temp_4.starts
    local seen = temp_4.alive
    if not isInteger(end_) or begun ~= nil and type(begun) ~= "table" then
        return false
    end
    for _, start in ipairs(begun or {}) do
        if not isInteger(start) then
            return false
        end
    end
    return seen == nil or type(seen) == "number"
end

function isInteger(value)
    return type(value) == "number" and value % 1 == 0
end

function extend()
    limit = lastNumber + LEASE
    writeRecord(records, HOST)
end

LEASE = 100000
local startNumber = 0
lastNumber = 0
limit = 0
local starts = {}
local alive = 0
records = openRecords("minimix_numbers", function() return {limit = limit, starts = starts, alive = alive} end)

--- Begins a start of the server: new numbers are higher than all earlier ones. Returns whether the lease could be read.
function state_numbers.startNumbers()
    local done, lease = readRecord(records, HOST)
    if not done then
        return false
    end
    if lease ~= nil and not isWellFormed(lease) then
        readFailed(records.store, HOST, "malformed")
        return false
    end
    startNumber = lease == nil and (wallClock() + 1) * 1000 or lease.limit
    lastNumber = startNumber
    starts = lease and lease.starts or {}
    alive = lease and lease.alive or wallClock()
    starts[#starts + 1] = startNumber
    extend()
    return true
end

--- Whether the lease has been read.
function state_numbers.hasNumbers()
    return startNumber > 0
end

--- Returns the first number of this start of the server.
function state_numbers.startOfNumbers()
    return startNumber
end

--- Returns the end of a range that was open in an earlier start. `start` is the first number of that start.
function state_numbers.endOfStart(start)
    for _, other in ipairs(starts) do
        if other > start then
            return other
        end
    end
    return startNumber
end

--- Whether ranges on disk may refer to earlier starts.
function state_numbers.hasEarlierStarts()
    return #starts > 1
end

--- Drops the earlier starts, because no range on disk refers to them.
function state_numbers.forgetStarts()
    if state_numbers.hasEarlierStarts() then
        starts = {startNumber}
        writeRecord(records, HOST)
    end
end

--- Returns the next number, higher than all earlier ones. Undefined while the lease cannot be written.
function state_numbers.nextNumber()
    if lastNumber + 1 >= limit then
        extend()
    end
    if records.dirty[HOST] ~= nil then
        return nil
    end
    lastNumber = lastNumber + 1
    return lastNumber
end

--- Returns the highest number in use.
function state_numbers.newestNumber()
    return lastNumber
end

--- Returns when the server was last known to run before this start, by the wall clock.
function state_numbers.aliveAt()
    return alive
end

--- Records that the server is running.
function state_numbers.noteAlive(when)
    alive = when
    writeRecord(records, HOST)
end

function state_numbers.numbers()
    return {
        start = startNumber,
        last = lastNumber,
        limit = limit,
        starts = starts,
        alive = alive
    }
end

function state_numbers.restoreNumbers(saved)
    startNumber = saved.start
    lastNumber = saved.last
    limit = saved.limit
    starts = saved.starts
    alive = saved.alive
end
end

-- src/state/store.ts
--
-- Memberships on disk: one record per account in the store "minimix". account-record.ts has its form. It is written when
-- a membership begins, changes or ends. Until an account's record has been read, its rooms are unknown and nothing is
-- written.
local state_store = {}
do
local loadUntil, readUnread, readBrokenAfter, loadAccount, records, closed, late, isListed, unread, ended, onLoaded, FIRST_PAUSE, LONGEST_PAUSE, isReadDue
local options = minimix_options
local forEachInSlices = slices.forEachInSlices
local hasFormerAddress = state_account_record.hasFormerAddress
local loadRooms = state_account_record.loadRooms
local recordOf = state_account_record.recordOf
local monotonic = state_clock.monotonic
local membersOf = state_keys.membersOf
local isOccupantJid = state_memberships.isOccupantJid
local hasNumbers = state_numbers.hasNumbers
local startNumbers = state_numbers.startNumbers
local beginOutage = state_outage.beginOutage
local onRetry = state_outage.onRetry
local listRecords = state_records.listRecords
local openRecords = state_records.openRecords
local readRecord = state_records.readRecord
local writeRecord = state_records.writeRecord

--- Writes an account's memberships. When this returns the data is on disk, so it survives SIGKILL before a client is
-- told. If storage fails, the write is repeated until it succeeds.
function state_store.save(username)
    if options.anonymous or closed or not state_store.isKnown(username) then
        return
    end
    late[username] = nil
    writeRecord(records, username)
end

--- Writes the pending records.
function state_store.saveLate()
    for _, username in ipairs(membersOf(late)) do
        state_store.save(username)
    end
end

--- Whether the rooms of an account are known: its record has been read, or it has none.
function state_store.isKnown(username)
    return isListed and unread[username] == nil
end

--- Whether the rooms of all accounts are known.
function state_store.isAllKnown()
    return isListed and (next(unread)) == nil
end

function loadUntil(deadline)
    if onLoaded == nil or state_store.isAllKnown() then
        return "done"
    end
    if not isListed then
        local usernames
        if hasNumbers() or startNumbers() then
            usernames = listRecords(records)
        end
        if usernames == nil then
            return "failing"
        end
        for _, username in ipairs(usernames) do
            unread[username] = true
        end
        isListed = true
        for _, username in ipairs(membersOf(ended)) do
            if state_store.isKnown(username) then
                ended[username] = nil
            end
        end
    end
    return readUnread(deadline, onLoaded)
end

function readUnread(deadline, loaded)
    local done = {}
    local result = "done"
    for _, username in ipairs(membersOf(unread)) do
        if monotonic() > deadline then
            result = "more"
            break
        end
        local isRead, record = readRecord(records, username)
        if isRead then
            unread[username] = nil
            loadAccount(username, record)
            done[#done + 1] = username
        elseif records.store.readsFail then
            result = "failing"
            break
        end
    end
    loaded(done)
    if result == "done" then
        readBrokenAfter(FIRST_PAUSE)
    end
    return result
end

function readBrokenAfter(seconds)
    if isReadDue or state_store.isAllKnown() then
        return
    end
    isReadDue = true
    module:add_timer(seconds, function()
        isReadDue = false
        forEachInSlices(membersOf(unread), state_store.isKnownNow, function()
            readBrokenAfter(math.min(seconds * 2, LONGEST_PAUSE))
        end)
        return nil
    end)
end

--- Whether an account's rooms are known, after another attempt to read a broken record.
function state_store.isKnownNow(username)
    if not state_store.isKnown(username) and isListed and onLoaded ~= nil then
        local isRead, record = readRecord(records, username)
        if isRead then
            unread[username] = nil
            loadAccount(username, record)
            onLoaded({username})
        end
    end
    return state_store.isKnown(username)
end

function loadAccount(username, record)
    if record == nil then
        return
    end
    local done, problem = pcall(loadRooms, username, record)
    if not done then
        module:log("warn", "Ignoring the rooms of %s: malformed record in minimix: %s", username, problem)
    elseif hasFormerAddress(record) then
        state_store.save(username)
    end
end

records = openRecords("minimix", recordOf)
closed = false

--- Stops all writes: the following changes are not the user's.
function state_store.close()
    state_store.saveLate()
    closed = true
end

--- Accounts with a record to write.
late = {}
--- Seconds until it is written.
local LATE = 5
--- Whether a write of these records is scheduled. save() may have written them all before.
local isSaveDue = false

--- Writes an account's memberships soon, for changes that no client was told of. An account that joins many rooms by
-- itself needs few writes.
function state_store.saveSoon(username)
    if not isSaveDue then
        isSaveDue = true
        module:add_timer(LATE, function()
            isSaveDue = false
            state_store.saveLate()
            return nil
        end)
    end
    late[username] = true
end

--- Accounts with a record that saveOften() has just written.
local justSaved = {}

--- Writes changes that a client can make at a high rate. The first change is written at once, and the following ones
-- soon, because a write blocks the server. SIGKILL may lose the latest nick changes, but no membership.
function state_store.saveOften(username)
    if justSaved[username] ~= nil then
        state_store.saveSoon(username)
        return
    end
    if (next(justSaved)) == nil then
        module:add_timer(LATE, function()
            for other in pairs(justSaved) do
                justSaved[other] = nil
            end
            return nil
        end)
    end
    justSaved[username] = true
    state_store.save(username)
end

isListed = options.anonymous
unread = {}
ended = {}

--- Whether an address belongs to an account with unknown rooms. Stanzas of rooms to it must be dropped.
function state_store.isTooEarly(jid)
    return not state_store.isAllKnown() and isOccupantJid(jid) and not state_store.isKnown(jids.node(jid) or "")
end

--- Reads all memberships, and continues until storage answers. Each is lost at first. `loaded` gets the accounts that
-- were read, at once and later.
function state_store.load(loaded)
    onLoaded = loaded
    if options.anonymous then
        startNumbers()
        loaded({})
    elseif loadUntil(math.huge) ~= "done" then
        beginOutage()
    end
end

function state_store.loading()
    return {isListed = isListed, unread = unread, ended = ended}
end

--- Continues the loading of the previous instance.
function state_store.restoreLoading(saved, loaded)
    onLoaded = loaded
    local temp_2 = saved and saved.isListed
    if temp_2 == nil then
        temp_2 = true
    end
    isListed = temp_2
    for username in pairs(saved and saved.unread or {}) do
        unread[username] = true
    end
    for username in pairs(saved and saved.ended or {}) do
        ended[username] = true
    end
    if loadUntil(0) ~= "done" then
        beginOutage()
    end
end

--- First and longest pause in seconds before records are read again that are broken although others are not.
FIRST_PAUSE = 10
LONGEST_PAUSE = 900
isReadDue = false
onRetry(loadUntil)

--- Notes that an account has ended. If its rooms are unknown, takeEnded() returns it once they are.
function state_store.noteEnded(username)
    if not state_store.isKnownNow(username) then
        ended[username] = true
    end
end

--- Returns those of the accounts that have ended before their rooms were known, once.
function state_store.takeEnded(usernames)
    local gone = {}
    for _, username in ipairs(usernames) do
        if ended[username] ~= nil then
            ended[username] = nil
            gone[#gone + 1] = username
        end
    end
    return gone
end
end

-- src/host.ts
--
-- The virtual host that the module serves.
local minimix_host = {}
do
--- Whether another module is loaded on this host.
function minimix_host.hasModule(name)
    local opt_0 = prosody.hosts[module.host]
    return (opt_0 and opt_0.modules[name] ~= nil) == true
end
end

-- src/send/ask.ts
--
-- Sends IQs of the account itself to its rooms.
local send_ask = {}
do
local id = require("util.id")
local after = minimix_turn.after
local post = minimix_turn.post
local triesOf = state_memberships.triesOf
local unansweredOf = state_memberships.unansweredOf
--- Timeout of a question, in seconds.
local PATIENCE = 30
--- Timeout of a question that will be repeated, at the first attempt, in seconds.
local FIRST_PATIENCE = 5

--- Returns the timeout of a question that will be repeated, in seconds.
--
-- A server that could not reach ours drops answers for a while (ejabberd_s2s_out.erl, "bouncing for …"). It answers a
-- later question.
function send_ask.patience(membership)
    return math.min(
        FIRST_PATIENCE * 2 ^ math.min(triesOf(membership) + unansweredOf(membership), 10),
        PATIENCE
    )
end

--- Open questions by id.
local questions = {}

--- Sends an IQ from the occupant JID to the room or to an occupant. Calls back once, at the latest after 30 s.
function send_ask.ask(membership, to, type_, query, answered, limit)
    if limit == nil then
        limit = PATIENCE
    end
    local key = "mm-" .. id.medium()
    local timer = after(limit, function()
        questions[key] = nil
        answered(nil)
    end)
    questions[key] = {room = membership.room, answered = answered, timer = timer}
    post(st.iq({type = type_, id = key, from = membership.occupant, to = to}):add_child(query):reset())
end

--- Whether the module created an IQ's id. Such an answer without an open question came too late.
function send_ask.isOwnId(key)
    return key ~= nil and string.sub(key, 1, 3) == "mm-"
end

--- Passes an answer to the question it belongs to. Returns whether there is such a question.
function send_ask.takeAnswer(room, stanza)
    local key = stanza.attr.id
    local question
    if key ~= nil then
        question = questions[key]
    end
    if key == nil or (question and question.room) ~= room then
        return false
    end
    questions[key] = nil
    question.timer:stop()
    question.answered(stanza)
    return true
end
end

-- src/send/former.ts
--
-- Leaves rooms under addresses that the account no longer uses (state/former.ts).
local send_former = {}
do
local leave, saysOut, LONGEST_PAUSE
local id = require("util.id")
local inTurn = minimix_turn.inTurn
local post = minimix_turn.post
local PING = namespaces.PING
local dropFormerOccupant = state_former.dropFormerOccupant
local findFormerOccupant = state_former.findFormerOccupant
local formerOccupantsOf = state_former.formerOccupantsOf
local hasFormerOccupants = state_former.hasFormerOccupants
local saveSoon = state_store.saveSoon
local ask = send_ask.ask

--- Sends the first leave. Retries have their own timer.
function send_former.leaveOnce(former)
    if former.tries == 0 then
        leave(former)
    end
end

function leave(former)
    former.tries = former.tries + 1
    local nick = former.room .. "/" .. former.nick
    post(st.presence({type = "unavailable", id = id.medium(), from = former.occupant, to = nick}))
    ask(former, nick, "get", st.stanza("ping", {xmlns = PING}), function(answer)
        if findFormerOccupant(former.occupant, former.room) ~= former then
            return
        end
        if answer ~= nil and saysOut(answer) then
            send_former.confirmLeft(former)
            return
        end
        local pause = math.min(2 ^ math.min(former.tries, 10), LONGEST_PAUSE) * (0.75 + math.random() / 2)
        module:add_timer(pause, function()
            inTurn(function()
                if findFormerOccupant(former.occupant, former.room) == former then
                    leave(former)
                end
            end)
            return nil
        end)
    end)
end

function saysOut(answer)
    local _, condition = answer:get_error()
    return answer.attr.type == "error" and (condition == "not-acceptable" or condition == "item-not-found")
end

--- Ends the retries, because the account is out.
function send_former.confirmLeft(former)
    dropFormerOccupant(former)
    saveSoon(former.username)
    module:log("info", "%s has left %s as %s", former.username, former.room, former.occupant)
    if not hasFormerOccupants() then
        module:log("info", "Left all rooms under former addresses")
    end
end

LONGEST_PAUSE = 900

--- Leaves a room under each former address. The leaves are sent before stanzas from the new address.
function send_former.leaveAsFormer(username, room)
    for _, former in ipairs(formerOccupantsOf(username)) do
        if former.room == room then
            send_former.leaveOnce(former)
        end
    end
end

--- Leaves once under each former address of a deleted account, and forgets them.
function send_former.forgetAsFormer(username)
    for _, former in ipairs(formerOccupantsOf(username)) do
        send_former.leaveOnce(former)
        dropFormerOccupant(former)
    end
end
end

-- src/state/sent-presences.ts
--
-- Ids of the presences sent to rooms. They survive a reload, because rooms may answer them afterwards.
local state_sent_presences = {}
do
local sent = {ids = cache.new(4096), leaves = cache.new(4096), lastNumber = 0}

function state_sent_presences.sentPresences()
    return sent
end

--- Takes over the ids of the previous instance of the module.
function state_sent_presences.restoreSentPresences(saved)
    sent = saved
end

local function numberOf(bindingPattern0_, presenceId)
    local room
    local occupant
    occupant = bindingPattern0_.occupant
    room = bindingPattern0_.room
    return sent.ids:get(occupant .. " " .. room .. " " .. presenceId)
end

--- Whether a presence with this id was sent to the room.
function state_sent_presences.wasSent(occupancy, presenceId)
    return numberOf(occupancy, presenceId) ~= nil
end

--- Whether a presence with this id was sent to the room before the account last left it.
function state_sent_presences.wasSentBeforeLeave(membership, presenceId)
    local left = sent.leaves:get(membership.occupant .. " " .. membership.room)
    local number = numberOf(membership, presenceId)
    return left ~= nil and number ~= nil and number < left
end

--- Notes that a presence is about to be sent to the room.
function state_sent_presences.noteSentPresence(membership, type_, presenceId)
    sent.lastNumber = sent.lastNumber + 1
    sent.ids:set(membership.occupant .. " " .. membership.room .. " " .. presenceId, sent.lastNumber)
    if type_ == "unavailable" then
        sent.leaves:set(membership.occupant .. " " .. membership.room, sent.lastNumber)
    end
end
end

-- src/send/upstream.ts
--
-- Sends stanzas of the account to rooms.
local send_upstream = {}
do
local id = require("util.id")
local post = minimix_turn.post
local leaveAsFormer = send_former.leaveAsFormer
local DATAFORM = namespaces.DATAFORM
local MUC_OWNER = namespaces.MUC_OWNER
local options = minimix_options
local noteSentPresence = state_sent_presences.noteSentPresence
local wasSent = state_sent_presences.wasSent

--- Sends a client's stanza to the room from the occupant JID. The caller has no further use for the stanza: as in plain
-- MUC, the room gets the table that the stream's parser has made.
--
-- `module:send` gets no origin, so that answers come back through events of this host, and not directly to a client. A
-- local room answers before this returns: change the state first.
function send_upstream.sendUpstream(membership, stanza)
    stanza.attr.from = membership.occupant
    leaveAsFormer(membership.username, membership.room)
    post(stanza)
end

--- Returns the id for a client's presence: the client's own id, unless another presence has it.
function send_upstream.presenceIdFor(membership, wanted)
    return (wanted == nil or wanted == "" or wasSent(membership, wanted)) and id.medium() or wanted
end

--- Sends a presence of the account with an id that identifies the answer.
function send_upstream.sendPresence(membership, presence, nick, presenceId)
    local copy = st.clone(presence)
    copy.attr.from = membership.occupant
    copy.attr.to = membership.room .. "/" .. nick
    copy.attr.id = presenceId
    noteSentPresence(membership, copy.attr.type, presenceId)
    leaveAsFormer(membership.username, membership.room)
    post(copy)
end

--- Whether a domain may have rooms for the account to join. Local hosts with accounts have none.
function send_upstream.mayHaveRooms(domain)
    local host = prosody.hosts[domain]
    return options.excluded[domain] == nil and (host and host.type) ~= "local"
end

--- Unlocks a new room with the service's default configuration (XEP-0045 10.1.2).
--
-- A room that is not persistent ends with its service. The first occupant to rejoin creates it again, and a new room is
-- locked.
function send_upstream.unlockRoom(membership)
    local form = st.iq({type = "set", id = id.medium(), from = membership.occupant, to = membership.room}):tag("query", {xmlns = MUC_OWNER}):tag("x", {xmlns = DATAFORM, type = "submit"}):reset()
    post(form)
end
end

-- src/settings/notify.ts
--
-- Reads and writes notification settings in bookmarks (XEP-0492).
local settings_notify = {}
do
local decisiveTag, dropTwins, hasFallback, rankOf
local BOOKMARKS = namespaces.BOOKMARKS

function decisiveTag(notify)
    local decisive
    local rank = -1
    for _, tag in ipairs(notify.tags) do
        local rankOfTag = rankOf(tag)
        if settings_notify.isSetting(tag.name) and rankOfTag > rank then
            decisive = tag
            rank = rankOfTag
        end
    end
    return decisive
end

function dropTwins(notify, kept)
    notify:maptags(function(tag)
        if tag ~= kept and tag.name == kept.name and rankOf(tag) == rankOf(kept) then
            return nil
        else
            return tag
        end
    end)
end

function hasFallback(notify)
    for _, tag in ipairs(notify.tags) do
        if settings_notify.isSetting(tag.name) and rankOf(tag) == 0 then
            return true
        end
    end
    return false
end

--- Whether a text is one of the three settings.
function settings_notify.isSetting(name)
    return name == "always" or name == "on-mention" or name == "never"
end

function rankOf(tag)
    local category = tag.attr["identity-category"]
    local type_ = tag.attr["identity-type"]
    if category == nil then
        return 0
    end
    if category ~= "client" or type_ ~= nil and type_ ~= "phone" then
        return -1
    end
    return type_ == nil and 1 or 2
end

local NOTIFY = "urn:xmpp:notification-settings:1"
--- Largest number of extensions, and of settings, that are read.
local MAX_CHILDREN = 64

--- Reads the setting for phones, because pushes go to phones. A setting for phones precedes one for clients, and that
-- one precedes a general setting (XEP-0492 3).
function settings_notify.readSetting(extensions)
    local isTooMuch = #extensions.tags > MAX_CHILDREN
    local notify
    if not isTooMuch then
        notify = extensions:get_child("notify", NOTIFY)
    end
    local tag
    if notify == nil or #notify.tags > MAX_CHILDREN then
        tag = nil
    else
        tag = decisiveTag(notify)
    end
    if tag == nil or not settings_notify.isSetting(tag.name) then
        return nil
    else
        return tag.name
    end
end

--- Returns a copy of a bookmark's extensions with another setting for phones.
--
-- The element that has applied to phones is changed, and its `<advanced/>` is kept (XEP-0492 3). Without such an
-- element a general one is added. Settings for other kinds of clients are kept.
function settings_notify.withSetting(extensions, setting)
    local edited = extensions == nil and st.stanza("extensions", {xmlns = BOOKMARKS}) or st.clone(extensions)
    local notify = edited:get_child("notify", NOTIFY)
    if notify == nil then
        notify = st.stanza("notify", {xmlns = NOTIFY})
        edited:add_direct_child(notify)
    end
    local decisive = decisiveTag(notify)
    if decisive ~= nil then
        decisive.name = setting
        dropTwins(notify, decisive)
    end
    if not hasFallback(notify) then
        notify:add_direct_child(st.stanza(setting, {xmlns = NOTIFY}))
    end
    return edited
end
end

-- src/settings/bookmarks.ts
--
-- Reads the account's bookmarks (XEP-0402) from its PEP, through mod_pep's service object. Stanzas could come from any
-- sender and are not trusted. mod_bookmarks keeps the bookmarks of XEP-0048 and XEP-0049 in the same node.
local settings_bookmarks = {}
do
local serviceOf, getItems, isNode, isToCount, ofFairLength, preppedNick, nodes, MAX_CHILDREN, MAX_TEXT
local hasModule = minimix_host.hasModule
local mayHaveRooms = send_upstream.mayHaveRooms
local BOOKMARKS = namespaces.BOOKMARKS
local NICK = namespaces.NICK
local options = minimix_options
local openRecords = state_records.openRecords
local readRecord = state_records.readRecord
local readSetting = settings_notify.readSetting

function serviceOf(pep, username)
    return pep.get_pep_service(username)
end

function getItems(service, node)
    return service:get_items(node, true)
end

function isNode(username, node)
    local done, known = readRecord(nodes, username)
    return not done or type(known) == "table" and known[node] ~= nil
end

function isToCount(bookmark, other, isPrepped)
    if bookmark.autojoin == (other and other.autojoin) then
        return isPrepped
    else
        return other == nil or bookmark.autojoin
    end
end

--- Returns the room of an item. The id is the room's JID (XEP-0402 2), in any normalisation.
function settings_bookmarks.roomOf(id)
    local room = jids.prep(id)
    local isRoom = room ~= nil and jids.node(room) ~= nil and jids.resource(room) == nil and mayHaveRooms(jids.host(room))
    return isRoom and room or nil
end

--- Parses an item. Undefined if it is not a bookmark, or was published by another entity.
function settings_bookmarks.readItem(username, room, item)
    local conference = item and item:get_child("conference", BOOKMARKS)
    if item == nil or conference == nil or not settings_bookmarks.isBy(username, item.attr.publisher) then
        return nil
    end
    if #conference.tags > MAX_CHILDREN then
        module:log("debug", "Ignoring a bookmark of %s for %s: too many elements", username, room)
        return nil
    end
    local autojoin = conference.attr.autojoin
    local extensions = conference:get_child("extensions")
    local nick = preppedNick(room, conference:get_child_text("nick"))
    local password = ofFairLength(conference:get_child_text("password"))
    local name = ofFairLength(conference.attr.name)
    local notify
    if extensions ~= nil then
        notify = readSetting(extensions)
    end
    return {
        autojoin = autojoin == "true" or autojoin == "1",
        nick = nick,
        password = password,
        name = name,
        notify = notify
    }
end

function ofFairLength(text)
    if text == nil or string.len(text) > MAX_TEXT then
        return nil
    else
        return text
    end
end

--- Whether the account itself published an item, or this server for it.
function settings_bookmarks.isBy(username, publisher)
    return publisher == nil or publisher == true or jids.bare(publisher) == jids.join(username, module.host)
end

function preppedNick(room, nick)
    local address
    if nick ~= nil then
        address = jids.prep(room .. "/" .. nick)
    end
    if address == nil then
        return nil
    else
        return jids.resource(address)
    end
end

nodes = openRecords("pep", function() return nil end)

--- Whether accounts of this host have bookmarks.
function settings_bookmarks.hasPep()
    return not options.anonymous and hasModule("pep")
end

--- Returns the account's PEP service. Undefined without mod_pep, on an anonymous host, or if storage failed.
function settings_bookmarks.pepService(username)
    if not settings_bookmarks.hasPep() then
        return nil
    end
    local opt_0 = prosody.hosts[module.host]
    local pep = opt_0 and opt_0.modules.pep
    local done, service = pcall(serviceOf, pep, username)
    if not done then
        module:log("debug", "Could not read the PEP nodes of %s: %s", username, service)
        return nil
    end
    return service.config.pep_username == username and service or nil
end

--- Returns the items of a node, an empty list if the node does not exist. Undefined if they cannot be read.
function settings_bookmarks.itemsOf(username, node)
    local service = settings_bookmarks.pepService(username)
    if service == nil then
        return nil
    end
    local done, found, items = pcall(getItems, service, node)
    if done and found == true then
        return items
    end
    if done and items == "item-not-found" and not isNode(username, node) then
        return {}
    end
    local done_2
    if done then
        done_2 = items
    else
        done_2 = found
    end
    module.log(module, "debug", "Could not read %s of %s: %s", node, username, done_2)
    return nil
end

--- Reads all bookmarks of an account, or those of one room. Undefined if they cannot be read.
function settings_bookmarks.bookmarksOf(username, only)
    local items = settings_bookmarks.itemsOf(username, BOOKMARKS)
    if items == nil then
        return nil
    end
    local bookmarks = {}
    for _, id in ipairs(items) do
        local room = settings_bookmarks.roomOf(id)
        local isMeant = room ~= nil and (only == nil or room == only)
        local bookmark
        if isMeant then
            bookmark = settings_bookmarks.readItem(username, room, items[id])
        end
        if room ~= nil and bookmark ~= nil and isToCount(bookmark, bookmarks[room], id == room) then
            bookmarks[room] = bookmark
        end
    end
    return bookmarks
end

--- Reads the current bookmark of a room. The membership has the last known one.
function settings_bookmarks.readBookmark(username, room)
    local opt_10 = settings_bookmarks.bookmarksOf(username, room)
    return opt_10 and opt_10[room]
end

MAX_CHILDREN = 64
MAX_TEXT = 1023

--- Returns the nick for a bookmark without one (XEP-0402 2): the user's nickname (XEP-0172), or else the name of the
-- account.
function settings_bookmarks.defaultNick(username, room)
    local items = settings_bookmarks.itemsOf(username, NICK)
    local last
    if (items and items[1]) ~= nil then
        last = items[items[1]]
    end
    return preppedNick(room, last and last:get_child_text("nick", NICK)) or username
end
end

-- src/settings/bookmark-write.ts
--
-- Writes bookmarks for clients that write none (`minimix_bookmark_write`). A join adds a bookmark with
-- autojoin, a leave removes the autojoin, and a new nick is stored.
--
-- Also writes the notification setting when the user asks for it, independent of the option.
local settings_bookmark_write = {}
do
local writeEdits, writeEdit, settle, retryLater, retryDue, retry, allPending, noteJoin, hasOtherNick, noteNick, currentItem, rewrite, create, publish, publishItem, PUBLISH_OPTIONS, writing, FIRST_PAUSE, LONGEST_PAUSE, isRetryDue
local BOOKMARKS = namespaces.BOOKMARKS
local PUBSUB = namespaces.PUBSUB
local options = minimix_options
local mayFollowNick = state_bookmarks.mayFollowNick
local forEachInSlices = slices.forEachInSlices
local monotonic = state_clock.monotonic
local findMembership = state_memberships.findMembership
local occupantJid = state_memberships.occupantJid
local canReadMarks = state_marks.canReadMarks
local editsOf = state_marks.editsOf
local markedBy = state_marks.markedBy
local pendingEdits = state_marks.pendingEdits
local setMark = state_marks.setMark
local onRecovery = state_outage.onRecovery
local save = state_store.save
local hasPep = settings_bookmarks.hasPep
local itemsOf = settings_bookmarks.itemsOf
local pepService = settings_bookmarks.pepService
local readItem = settings_bookmarks.readItem
local roomOf = settings_bookmarks.roomOf
local withSetting = settings_notify.withSetting

function writeEdits(username, room, edits)
    local left = {}
    for _, edit in ipairs(edits) do
        if #left > 0 or not writeEdit(username, room, edit) then
            left[#left + 1] = edit
        end
    end
    return left
end

function writeEdit(username, room, edit)
    if not hasPep() or not options.bookmarkWrite then
        return true
    end
    local isRead, item = currentItem(username, room)
    if not isRead then
        return false
    end
    if edit == "left" then
        return rewrite(username, room, item, "false")
    end
    local membership = findMembership(occupantJid(username), room)
    if membership == nil then
        return true
    end
    if edit == "joined" then
        return noteJoin(membership, item)
    else
        return noteNick(membership, item)
    end
end

function settle(username, room)
    local account = pendingEdits[username]
    if account ~= nil then
        account.rooms[room] = nil
    end
    if account ~= nil and (next(account.rooms)) == nil then
        pendingEdits[username] = nil
        local seconds = math.floor(monotonic() - account.since)
        module:log("info", "No bookmark of %s is pending any more after %d seconds", username, seconds)
    end
end

function retryLater()
    if not isRetryDue then
        isRetryDue = true
        module:add_timer(FIRST_PAUSE, function()
            isRetryDue = false
            retryDue()
            return nil
        end)
    end
end

function retryDue()
    local due = {}
    for _, pending in ipairs(allPending()) do
        if pending.due <= monotonic() then
            due[#due + 1] = pending
        end
    end
    forEachInSlices(due, retry)
    if (next(pendingEdits)) ~= nil then
        retryLater()
    end
end

function retry(pending)
    local username = pending.username
    local room = pending.room
    local edits = pending.edits
    if editsOf(username, room) ~= pending then
        return
    end
    pending.pause = math.min(2 * pending.pause, LONGEST_PAUSE)
    pending.due = monotonic() + pending.pause
    pending.edits = writeEdits(username, room, edits)
    if #pending.edits < #edits then
        save(username)
    end
    if #pending.edits == 0 then
        settle(username, room)
    end
end

function allPending()
    local all = {}
    for _, temp_4 in pairs(pendingEdits) do
        local rooms
        rooms = temp_4.rooms
        for _, pending in pairs(rooms) do
            all[#all + 1] = pending
        end
    end
    return all
end

function noteJoin(membership, item)
    if not canReadMarks(membership.username) then
        return false
    end
    local by = markedBy(membership.username, membership.room)
    local isDone = true
    if item == nil and by ~= "user" then
        isDone = create(membership)
    elseif item ~= nil and by == "us" then
        isDone = rewrite(membership.username, membership.room, item, "true")
        membership.ownBookmark = true
    end
    return isDone
end

function hasOtherNick(bindingPattern0_)
    local nick
    local bookmark
    bookmark = bindingPattern0_.bookmark
    nick = bindingPattern0_.nick
    return bookmark ~= nil and bookmark.nick ~= nick
end

function noteNick(membership, item)
    local username = membership.username
    local room = membership.room
    local nick = membership.nick
    return not hasOtherNick(membership) or rewrite(username, room, item, nil, nick)
end

function currentItem(username, room)
    local items = itemsOf(username, BOOKMARKS)
    for _, id in ipairs(items or {}) do
        if roomOf(id) == room then
            return true, items and items[id]
        end
    end
    return items ~= nil, nil
end

function rewrite(username, room, item, autojoin, nick)
    local conference = item and item:get_child("conference", BOOKMARKS)
    if item == nil or conference == nil or nick == nil and conference.attr.autojoin == autojoin then
        return true
    end
    local edited = st.clone(conference, true)
    edited.attr.autojoin = autojoin or edited.attr.autojoin
    if nick ~= nil then
        edited:tag("nick", {xmlns = BOOKMARKS}):text(nick):up()
    end
    local nickBefore = conference:get_child("nick")
    for _, tag in ipairs(conference.tags) do
        if nick == nil or tag ~= nickBefore then
            edited:add_direct_child(st.clone(tag))
        end
    end
    return publish(username, room, item.attr.id or room, edited) ~= "failed"
end

function create(membership)
    local username = membership.username
    local room = membership.room
    local conference = st.stanza("conference", {xmlns = BOOKMARKS, autojoin = "true"})
    conference:tag("nick", {xmlns = BOOKMARKS}):text(membership.nick):up()
    if membership.password ~= nil then
        conference:tag("password", {xmlns = BOOKMARKS}):text(membership.password):up()
    end
    local outcome = publish(username, room, room, conference, PUBLISH_OPTIONS)
    membership.ownBookmark = outcome == "done" or nil
    if outcome == "done" then
        setMark(username, room, "us")
    end
    return outcome ~= "failed"
end

function publish(username, room, id, conference, config)
    local service = pepService(username)
    if service == nil then
        return "failed"
    end
    local item = st.stanza("item", {xmlns = PUBSUB, id = id}):add_child(conference)
    writing = true
    local done, problem = pcall(publishItem, service, id, item, config)
    writing = false
    if not done or problem ~= nil then
        local isRefused = done and problem ~= "internal-server-error"
        local isKnown = not isRefused and pendingEdits[username] ~= nil
        module:log(
            isKnown and "debug" or "warn",
            "Could not bookmark %s for %s: %s",
            room,
            username,
            problem
        )
        return isRefused and "refused" or "failed"
    end
    local membership = findMembership(occupantJid(username), room)
    if membership ~= nil then
        membership.bookmark = readItem(username, room, item)
    end
    return "done"
end

function publishItem(service, id, item, config)
    local done, problem = service:publish(BOOKMARKS, true, id, item, config)
    if done == true then
        return nil
    else
        return tostring(problem)
    end
end

PUBLISH_OPTIONS = {persist_items = true, max_items = "max", send_last_published_item = "never", access_model = "whitelist"}
writing = false

--- Whether the module itself is changing PEP now. PEP fires its events before `publish` returns.
function settings_bookmark_write.isWriting()
    return writing
end

FIRST_PAUSE = 20
LONGEST_PAUSE = 900

--- Edits a bookmark after an event. What storage does not take is tried again until a later edit replaces it.
local function editItem(username, room, edits)
    local left = writeEdits(username, room, edits)
    if #left == 0 then
        settle(username, room)
        return
    end
    local account = pendingEdits[username] or {since = monotonic(), rooms = {}}
    local due = monotonic() + FIRST_PAUSE
    account.rooms[room] = {username = username, room = room, edits = left, pause = FIRST_PAUSE, due = due}
    pendingEdits[username] = account
    retryLater()
end

isRetryDue = false

--- Tries all pending edits now: storage works again, or the module was reloaded.
function settings_bookmark_write.retryEdits()
    for _, pending in ipairs(allPending()) do
        pending.pause = FIRST_PAUSE
        pending.due = 0
    end
    retryDue()
end

onRecovery(settings_bookmark_write.retryEdits)

--- Drops the edits of a deleted account.
function settings_bookmark_write.forgetEdits(username)
    pendingEdits[username] = nil
end

--- Adds a bookmark after a client's join. A client's bookmark is not changed. A removed bookmark is not restored:
-- another device may have joined.
function settings_bookmark_write.bookmarkJoined(membership)
    if options.bookmarkWrite then
        editItem(membership.username, membership.room, {"joined"})
    end
end

--- Turns autojoin off after a client's leave.
function settings_bookmark_write.bookmarkLeft(membership)
    if options.bookmarkWrite and membership.ownBookmark then
        editItem(membership.username, membership.room, {"left"})
    else
        settle(membership.username, membership.room)
    end
end

--- Stores the new nick after a client's nick change.
function settings_bookmark_write.bookmarkRenamed(membership)
    local username = membership.username
    local room = membership.room
    if options.bookmarkWrite and hasOtherNick(membership) and mayFollowNick(membership) then
        local edits = {}
        local opt_6 = editsOf(username, room)
        for _, edit in ipairs(opt_6 and opt_6.edits or {}) do
            if edit ~= "renamed" then
                edits[#edits + 1] = edit
            end
        end
        edits[#edits + 1] = "renamed"
        editItem(username, room, edits)
    end
end

--- Writes the notification setting into the user's bookmark. Returns whether this worked, undefined without a bookmark.
function settings_bookmark_write.bookmarkNotify(membership, setting)
    local username = membership.username
    local room = membership.room
    local isRead, item = currentItem(username, room)
    if not isRead then
        if hasPep() then
            return false
        else
            return nil
        end
    end
    local conference = item and item:get_child("conference", BOOKMARKS)
    if item == nil or conference == nil or readItem(username, room, item) == nil then
        return nil
    end
    local before = conference:get_child("extensions")
    local edited = st.clone(conference, true)
    for _, tag in ipairs(conference.tags) do
        if tag ~= before then
            edited:add_direct_child(st.clone(tag))
        end
    end
    edited:add_direct_child(withSetting(before, setting))
    return publish(username, room, item.attr.id or room, edited) == "done"
end

--- Removes the mark: the user has made or changed the bookmark.
function settings_bookmark_write.noteMade(username, room)
    settle(username, room)
    if options.bookmarkWrite and markedBy(username, room) ~= nil then
        setMark(username, room, nil)
    end
end

--- Marks that the user has removed the bookmark.
function settings_bookmark_write.noteRemoved(username, room)
    settle(username, room)
    if options.bookmarkWrite then
        setMark(username, room, "user")
    end
end

--- Whether the module has created the bookmark, and the user has not changed it.
function settings_bookmark_write.isOurs(username, room)
    return options.bookmarkWrite and markedBy(username, room) == "us"
end
end

-- src/settings/blocklist.ts
--
-- Reads the block lists of mod_blocklist (XEP-0191).
local settings_blocklist = {}
do
local records
local hasModule = minimix_host.hasModule
local openRecords = state_records.openRecords
local readRecord = state_records.readRecord

--- Returns whether the read succeeded, and the blocked JIDs. There are none without mod_blocklist.
function settings_blocklist.readBlocklist(username)
    if not hasModule("blocklist") then
        return true, nil
    end
    local done, blocklist = readRecord(records, username)
    return done, type(blocklist) == "table" and blocklist or nil
end

records = openRecords("blocklist", function() return nil end)

--- Returns the JIDs that an account has blocked. Undefined if there are none, or they cannot be read.
function settings_blocklist.blocklistOf(username)
    return select(2, settings_blocklist.readBlocklist(username))
end

--- Whether the list blocks an occupant: by its own JID, its room or its service.
function settings_blocklist.silences(blocklist, room, nick)
    return blocklist[room .. "/" .. nick] ~= nil or blocklist[room] ~= nil or blocklist[jids.host(room)] ~= nil
end

--- Whether an account has blocked an occupant. If it blocks its own nick, it never sees its own presence. It must then
-- leave the room, because no client could make it leave.
function settings_blocklist.isBlocked(username, room, nick)
    local blocklist = settings_blocklist.blocklistOf(username)
    return blocklist ~= nil and settings_blocklist.silences(blocklist, room, nick)
end
end

-- src/state/limits.ts
--
-- Limits of requests per account, so that no account can disturb others.
local state_limits = {}
do
local monotonic = state_clock.monotonic
local options = minimix_options
local noteDrop = state_counters.noteDrop
--- Allowances that are not full, by username.
local allowances = {}

--- Whether an account may join now. A device that starts joins all its rooms at once.
function state_limits.mayJoin(username)
    local now = monotonic()
    local allowance = allowances[username] or {left = options.joinBurst, at = now}
    allowance.left = math.min(options.joinBurst, allowance.left + (now - allowance.at) * options.joinRate)
    allowance.at = now
    allowances[username] = allowance
    if allowance.left < 1 then
        return false
    end
    allowance.left = allowance.left - 1
    return true
end

--- Drops allowances that are full again.
function state_limits.forgetAllowances()
    local now = monotonic()
    for username, allowance in pairs(allowances) do
        if allowance.left + (now - allowance.at) * options.joinRate >= options.joinBurst then
            allowances[username] = nil
        end
    end
end

--- When each limit was last logged.
local logged = {}
--- Seconds between two log lines about one limit.
local PAUSE = 60

--- Counts a request over a limit, and logs it. Each limit is logged once a minute, for any account.
function state_limits.noteOver(limit, username, room, reason)
    if reason == nil then
        reason = "limit"
    end
    noteDrop(reason)
    local now = monotonic()
    if now - (logged[limit] or -PAUSE) >= PAUSE then
        logged[limit] = now
        module:log("warn", "%s is over the limit %s with %s", username, limit, room)
    end
end
end

-- src/send/outlet.ts
--
-- Stanzas that a session receives in slices. All later stanzas of the module to the session wait behind them, so the
-- order is kept.
local send_outlet = {}
do
local newQueues = slices.newQueues
local weightOf = minimix_weight.weightOf
--- Approximate limit of the memory of waiting stanzas per session, in bytes.
local MAX_WAITING = 4194304
local outlets = newQueues()
local pending = outlets.pending
--- Bytes of memory of waiting stanzas, by session.
local waiting = {}

--- Whether a session receives stanzas in slices.
function send_outlet.isBusy(fullJid)
    return pending[fullJid] ~= nil
end

--- Whether a stanza to a session must wait now.
function send_outlet.mustWait(fullJid)
    return pending[fullJid] ~= nil and not outlets.isRunning(fullJid)
end

--- Whether too many stanzas wait for a session, so that further ones of the room are dropped.
function send_outlet.isFull(fullJid)
    local weight = waiting[fullJid]
    return weight ~= nil and weight > MAX_WAITING and send_outlet.mustWait(fullJid)
end

--- Sends stanzas to a session step by step.
function send_outlet.sendInSlices(fullJid, step)
    outlets.add(fullJid, function()
        local done = step()
        local queue = pending[fullJid]
        if done and (queue == nil or queue.count <= 1) then
            waiting[fullJid] = nil
        end
        return done
    end)
end

--- Sends a lent stanza after all earlier ones. It is cloned.
function send_outlet.sendBehind(fullJid, stanza, send)
    local copy = st.clone(stanza)
    local weight = weightOf(copy)
    waiting[fullJid] = (waiting[fullJid] or 0) + weight
    send_outlet.sendInSlices(fullJid, function()
        waiting[fullJid] = (waiting[fullJid] or 0) - weight
        send(copy)
        return true
    end)
end

--- Drops the waiting stanzas of a session that has ended.
function send_outlet.dropOutlet(fullJid)
    outlets.drop(fullJid)
    waiting[fullJid] = nil
end
end

-- src/send/fork.ts
--
-- Sends stanzas of a room to the attached sessions.
--
-- All recipients get the same table, as in Prosody's own rooms (muc.lib.lua, route_to_occupant): `to` is changed and
-- restored. Code that keeps a stanza must clone it. Sessions with a plain stream get text: the stanza is serialised
-- once, and each session gets it with its own `to`.
local send_fork = {}
do
local sendNow, sendTable, writeBatch, passBatch, isFiltered, findSession, addressOf, isPlainStream, passesFilters, BATCH, PARSED, addresses, plainSends
local options = minimix_options
local counters = state_counters.counters
local noteDrop = state_counters.noteDrop
local stanzaOf = state_interned.stanzaOf
local membershipOf = state_memberships.membershipOf
local hasJoined = state_sessions.hasJoined
local noteOver = state_limits.noteOver
local textOf = minimix_text.textOf
local isBusy = send_outlet.isBusy
local isFull = send_outlet.isFull
local mustWait = send_outlet.mustWait
local sendBehind = send_outlet.sendBehind
local sendInSlices = send_outlet.sendInSlices

--- Sends a stanza to one session, if it still exists. During a replay in slices the stanza waits behind it.
function send_fork.sendTo(fullJid, stanza)
    if fullJid == nil then
        return
    end
    if not mustWait(fullJid) then
        sendNow(fullJid, stanza)
    elseif findSession(fullJid) ~= nil then
        sendBehind(fullJid, stanza, function(copy)
            sendNow(fullJid, copy)
        end)
    end
end

function sendNow(fullJid, stanza, stored)
    local session = prosody.full_sessions[fullJid]
    if session == nil then
        return
    end
    counters.copiesOut = counters.copiesOut + 1
    local tagCount = #stanza.tags
    if not isPlainStream(session) then
        sendTable(session, stanza)
    elseif not isFiltered(session) or passesFilters(session, stanza) then
        local name = stanza.name
        local address = addressOf(session)
        session.log("debug", "Sending[%s]: <%s%s>", session.type, name, address)
        local text = stored ~= nil and #stanza.tags == tagCount and stored or textOf(stanza)
        session.rawsend("<" .. name .. address .. text)
    end
end

function sendTable(session, stanza)
    local attr = stanza.attr
    local to = attr.to
    attr.to = session.full_jid
    session.send(stanza)
    attr.to = to
end

function writeBatch(session, list, from)
    local start = "<presence" .. addressOf(session)
    local texts = {}
    local size = 0
    local at = from
    local interned = list[at + 1]
    while interned ~= nil and size < BATCH do
        texts[#texts + 1] = start
        texts[#texts + 1] = interned.text
        size = size + string.len(interned.text)
        at = at + 1
        interned = list[at + 1]
    end
    counters.copiesOut = counters.copiesOut + at - from
    session.log("debug", "Sending[%s]: %d times %s>", session.type, at - from, start)
    session.rawsend(table.concat(texts))
    return at
end

function passBatch(fullJid, list, from)
    local size = 0
    local at = from
    local interned = list[at + 1]
    while interned ~= nil and size < PARSED do
        local stanza = stanzaOf(interned)
        if stanza ~= nil then
            sendNow(fullJid, stanza, interned.text)
        end
        size = size + string.len(interned.text)
        at = at + 1
        interned = list[at + 1]
    end
    return at
end

--- Whether a session has a plain stream without filters, so that stanzas can be written as text.
function send_fork.takesText(fullJid)
    local session = findSession(fullJid)
    return session ~= nil and isPlainStream(session) and not isFiltered(session)
end

function isFiltered(session)
    local filters
    if session.filters ~= nil then
        filters = session.filters["stanzas/out"]
    end
    return filters ~= nil and #filters > 0
end

function findSession(fullJid)
    if fullJid == nil then
        return nil
    else
        return prosody.full_sessions[fullJid]
    end
end

function addressOf(session)
    local address = addresses[session]
    if address == nil then
        address = " to='" .. st.xml_escape(session.full_jid) .. "'"
        addresses[session] = address
    end
    return address
end

function isPlainStream(session)
    if not options.readyText or session.rawsend == nil then
        return false
    end
    local plain = plainSends[session.send]
    if plain == nil then
        local source = debug.getinfo(session.send, "S").source
        plain = source ~= nil and (string.match(source, "core/sessionmanager%.lua$")) ~= nil
        plainSends[session.send] = plain
    end
    return plain
end

function passesFilters(session, stanza)
    local attr = stanza.attr
    local to = attr.to
    attr.to = session.full_jid
    local filtered = session.filter("stanzas/out", stanza)
    if filtered ~= nil and filtered ~= stanza then
        session.rawsend(filtered)
    end
    attr.to = to
    return filtered == stanza
end

--- Sends a stanza of the room to every attached session except `except`.
function send_fork.fork(membership, stanza, except)
    if membership.detachedAt ~= nil then
        return
    end
    local before = counters.copiesOut
    for fullJid in pairs(membership.attached) do
        if fullJid ~= except then
            if not isBusy(fullJid) then
                sendNow(fullJid, stanza)
            elseif isFull(fullJid) then
                noteOver("stanzas that wait for a session", membership.username, membership.room)
            else
                send_fork.sendTo(fullJid, stanza)
            end
        end
    end
    local copies = counters.copiesOut - before
    if copies > 1 then
        counters.copiesSaved = counters.copiesSaved + copies - 1
    end
end

BATCH = 65536
PARSED = 8192

--- Sends presences that are stored as text to a session. A plain stream gets many in one write.
function send_fork.sendInterned(fullJid, presences)
    if fullJid == nil then
        return
    end
    local list = {}
    for _, interned in presences do
        list[#list + 1] = interned
    end
    if #list == 0 then
        return
    end
    local sent = 0
    sendInSlices(fullJid, function()
        local session = findSession(fullJid)
        if session == nil then
            return true
        end
        sent = send_fork.takesText(fullJid) and writeBatch(session, list, sent) or passBatch(fullJid, list, sent)
        return sent >= #list
    end)
end

addresses = setmetatable({}, {__mode = "k"})
plainSends = setmetatable({}, {__mode = "k"})

--- `delivery/failure`, after mod_smacks: a session ended before it acknowledged a stanza. mod_smacks may still deliver a
-- private message. An error would tell the room that the occupant is unreachable, but the account is still in the room.
function send_fork.onUndelivered(event)
    local session = event.session
    local from = event.stanza.attr.from
    if from == nil then
        return nil
    end
    local room = jids.bare(from)
    local isForAccount = event.stanza.name ~= "iq" and membershipOf(session, room) ~= nil
    if not isForAccount and not hasJoined(session.full_jid, room) then
        return nil
    end
    noteDrop("undelivered")
    return true
end
end

-- src/send/own.ts
--
-- Sends the account's own presence to its sessions. A room that shows JIDs shows the occupant JID there. A client
-- expects its own full JID, as without this module.
local send_own = {}
do
local itemOf, namesOccupant, addressed
local MUC_USER = namespaces.MUC_USER
local fork = send_fork.fork
local sendTo = send_fork.sendTo

--- Sends a presence of the account's own occupant to one session.
function send_own.sendOwn(membership, session, presence)
    local isNamed = session ~= nil and namesOccupant(membership, presence)
    sendTo(session, isNamed and addressed(membership, presence, session) or presence)
end

function itemOf(presence)
    local opt_2 = presence:get_child("x", MUC_USER)
    return opt_2 and opt_2:get_child("item")
end

function namesOccupant(membership, presence)
    local item = itemOf(presence)
    local occupant = (item and item.attr.jid) == membership.occupant
    if not occupant then
        local opt_6 = item and item:get_child("actor")
        occupant = (opt_6 and opt_6.attr.jid) == membership.occupant
    end
    return occupant
end

function addressed(membership, presence, session)
    local copy = st.clone(presence)
    local item = itemOf(copy)
    for _, element in ipairs({item, item and item:get_child("actor")}) do
        if (element and element.attr.jid) == membership.occupant then
            element.attr.jid = session
        end
    end
    return copy
end

--- Sends a presence of the account's own occupant to every attached session, except `except` and those that know it.
function send_own.forkOwn(membership, presence, except, knowing)
    for session in pairs(membership.attached) do
        if session ~= except and (knowing and knowing[session] ~= nil) ~= true then
            send_own.sendOwn(membership, session, presence)
        end
    end
end

--- Sends a presence of another occupant to every attached session except `except`. In a room with visible JIDs it may
-- name the account as actor.
function send_own.forkOther(membership, presence, except)
    if membership.detachedAt ~= nil then
        return
    end
    if not namesOccupant(membership, presence) then
        fork(membership, presence, except)
        return
    end
    for session in pairs(membership.attached) do
        if session ~= except then
            sendTo(session, addressed(membership, presence, session))
        end
    end
end
end

-- src/state/queue.ts
--
-- Queued requests of sessions, and the stanzas that the sessions have sent meanwhile.
local state_queue = {}
do
local setQueue, newestOf, disown, disownAll, removeFromQueue, takeQueued, MAX_QUEUED, MAX_QUEUED_SIZE
local isSameNick = minimix_stanzas.isSameNick
local requestsOf = state_place.requestsOf
local isAttached = state_memberships.isAttached
local queueOf = state_memberships.queueOf

function setQueue(membership, requests)
    if #requests == 0 then
        membership.queue = nil
    else
        membership.queue = requests
    end
end

--- Whether a request still matters: its session waits, or has sent stanzas before it ended.
function state_queue.isAlive(request)
    return request.session ~= nil or #request.queued > 0
end

--- Returns the newest unanswered join of a session.
function state_queue.pendingJoin(membership, session)
    return newestOf(queueOf(membership), session) or newestOf(requestsOf(membership.place), session)
end

function newestOf(requests, session)
    local found
    for _, request in ipairs(requests) do
        if request.session == session and request.kind == "join" then
            found = request
        end
    end
    return found
end

--- Whether the session has sent a newer request, so that the answer to this one does not count.
function state_queue.isSuperseded(membership, request)
    local newer
    if request.session ~= nil then
        newer = newestOf(queueOf(membership), request.session)
    end
    return request.kind == "join" and newer ~= nil and newer ~= request
end

function disown(membership, session)
    local place = membership.place
    disownAll(requestsOf(place), session)
    local late
    if place.phase == "joined" then
        local opt_6 = place.late
        late = opt_6 and opt_6.request
    end
    if late ~= nil then
        disownAll({late}, session)
    end
end

function disownAll(requests, session)
    for _, request in ipairs(requests) do
        if request.session == session then
            request.session = nil
        end
    end
end

function removeFromQueue(membership, session)
    local others = {}
    for _, request in ipairs(queueOf(membership)) do
        if request.session ~= session then
            others[#others + 1] = request
        end
    end
    setQueue(membership, others)
end

function takeQueued(membership, session)
    local request = state_queue.pendingJoin(membership, session)
    if request == nil then
        return {}
    end
    local queued = request.queued
    request.queued = {}
    request.queuedSize = 0
    return queued
end

--- Queues a stanza until the session is attached. Returns false if there is no space.
function state_queue.queueStanza(request, stanza)
    local size = request.queuedSize + string.len(tostring(stanza))
    if #request.queued >= MAX_QUEUED or size > MAX_QUEUED_SIZE then
        return false
    end
    local queued = request.queued
    queued[#queued + 1] = stanza
    request.queuedSize = size
    return true
end

MAX_QUEUED = 100
MAX_QUEUED_SIZE = 262144

--- Creates a request without queued stanzas.
function state_queue.newRequest(kind, session, id, nick, stanza)
    return {
        kind = kind,
        session = session,
        sender = session,
        id = id,
        nick = nick,
        isResync = false,
        stanza = stanza,
        queued = {},
        queuedSize = 0
    }
end

--- Removes the queued requests of a join's session: the newer wish counts. Takes over the stanzas that they delay.
function state_queue.replaceQueued(membership, request)
    if request.kind == "join" and request.session ~= nil then
        for _, stanza in ipairs(takeQueued(membership, request.session)) do
            state_queue.queueStanza(request, stanza)
        end
        removeFromQueue(membership, request.session)
    end
end

--- Adds a request to the queue. A join replaces an earlier one of its session, which may be in flight.
function state_queue.enqueue(membership, request)
    state_queue.replaceQueued(membership, request)
    if membership.queue == nil then
        membership.queue = {}
    end
    local queue = membership.queue
    queue[#queue + 1] = request
end

--- Returns requests without an answer to the front of the queue, unless the session has a newer one.
function state_queue.requeue(membership, requests)
    local queue = {}
    for _, request in ipairs(requests) do
        if not state_queue.isSuperseded(membership, request) and state_queue.isAlive(request) then
            queue[#queue + 1] = request
        end
    end
    for _, request in ipairs(queueOf(membership)) do
        queue[#queue + 1] = request
    end
    setQueue(membership, queue)
end

--- Removes and returns the first request in the queue.
function state_queue.takeNext(membership)
    local queue = membership.queue
    if queue == nil then
        return nil
    end
    local request = table.remove(queue, 1)
    setQueue(membership, queue)
    return request
end

--- Removes and returns the first join in the queue, or the first one under another nick than `except`. Nick changes wait
-- until the account is in the room.
function state_queue.takeJoin(membership, except)
    local queue = membership.queue or {}
    for i = 1, #queue do
        local request = queue[i]
        if (request and request.kind) == "join" and (except == nil or not isSameNick(request.nick, except)) then
            table.remove(queue, i)
            setQueue(membership, queue)
            return request
        end
    end
    return nil
end

--- Whether a join is in the queue.
function state_queue.hasQueuedJoin(membership)
    for _, value_ in ipairs(queueOf(membership)) do
        local kind = value_.kind
        if kind == "join" then
            return true
        end
    end
    return false
end

--- Removes and returns all requests.
function state_queue.takeAll(membership)
    local requests = queueOf(membership)
    membership.queue = nil
    return requests
end

--- Whether a session's stanzas go to the room now. If it leaves and joins again, they wait for the join.
function state_queue.isServed(membership, session)
    local isLeaving = membership.place.phase == "leaving"
    return isAttached(membership, session) and not (isLeaving and state_queue.pendingJoin(membership, session) ~= nil)
end

--- Whether another session than `except` has a pending join.
function state_queue.hasPending(membership, except)
    for _, requests in ipairs({queueOf(membership), requestsOf(membership.place)}) do
        for _, request in ipairs(requests) do
            if request.session ~= nil and request.session ~= except and request.kind == "join" then
                return true
            end
        end
    end
    return false
end

--- Removes the requests of a session. Returns its queued stanzas.
function state_queue.withdraw(membership, session)
    local queued = takeQueued(membership, session)
    removeFromQueue(membership, session)
    disown(membership, session)
    return queued
end

--- A session has left, or ended. Its queued stanzas are still sent if the room admits the account. `sender` gets their
-- errors.
function state_queue.abandon(membership, session, sender)
    local others = {}
    for _, request in ipairs(queueOf(membership)) do
        local isOwn = request.session == session
        if not isOwn or request.kind == "join" and #request.queued > 0 then
            others[#others + 1] = request
        end
    end
    for _, requests in ipairs({others, requestsOf(membership.place)}) do
        for _, request in ipairs(requests) do
            if request.sender == session then
                request.sender = sender
            end
        end
    end
    disownAll(others, session)
    setQueue(membership, others)
    disown(membership, session)
end
end

-- src/state/offline.ts
--
-- Offline members that a room shows in its answer to a join (XEP-0045 7.2.3, presence broadcast of role "none").
local state_offline = {}
do
local options = minimix_options

--- Removes a member that is online, or is no longer a member. Returns whether it was listed.
function state_offline.forgetMember(members, key)
    local interned = members.presences[key]
    if interned == nil then
        return false
    end
    members.presences[key] = nil
    members.count = members.count - 1
    members.size = members.size - string.len(interned.text)
    return true
end

--- Creates an empty list.
function state_offline.noMembers()
    return {presences = {}, count = 0, size = 0}
end

--- Iterates over all members, by the keys of `presences`.
function state_offline.eachMember(members)
    local key
    local interned
    local function step()
        if members ~= nil then
            key, interned = next(members.presences, key)
        end
        return key, interned
    end
    return step
end

--- Caches a member. Returns false if there is no space.
function state_offline.keepMember(members, key, interned)
    local size = string.len(interned.text)
    state_offline.forgetMember(members, key)
    local isOver = members.count >= options.maxOccupants or members.size + size > options.maxRoomSize
    if isOver or interned.isHeavy == true or size > options.maxCachedSize then
        return false
    end
    members.presences[key] = interned
    members.count = members.count + 1
    members.size = members.size + size
    return true
end
end

-- src/state/ranges.ts
--
-- Entries of a room's log that an account got, as ranges of their numbers.
--
-- Invariants: the ranges of a room are in ascending order and do not overlap. Only the last range may be open, and only
-- while the account is in the room: then it gets all shared entries. In memory an open range ends at the last entry
-- that the account got (Part.position). On disk it has the negative first number of the server's start: the account got
-- all entries until that start ended.
local state_ranges = {}
do
local trim, MOST

function trim(ranges)
    if #ranges > MOST then
        table.remove(ranges, 1)
    end
end

MOST = 500

--- Whether a number is in the ranges. An open range ends at `end`.
function state_ranges.includes(ranges, end_, number)
    for i = #ranges, 1, -1 do
        local range = ranges[i]
        if range ~= nil and number >= range.first then
            return number <= (range.last or end_)
        end
    end
    return false
end

--- Whether a number is not before all ranges.
function state_ranges.isSince(ranges, number)
    local opt_0 = ranges[1]
    local first = opt_0 and opt_0.first
    return first ~= nil and number >= first
end

--- Inserts a number: into the range that ends with `before`, or as another range.
function state_ranges.insert(ranges, number, before)
    local at = #ranges
    while true do
        local temp_4 = at > 0
        if temp_4 then
            local opt_2 = ranges[at]
            temp_4 = (opt_2 and opt_2.first or 0) > number
        end
        if not temp_4 then
            break
        end
        at = at - 1
    end
    local range = ranges[at]
    if (range and range.last) ~= nil and range.last == before then
        range.last = number
    else
        table.insert(ranges, at + 1, {first = number, last = number})
        trim(ranges)
    end
end

--- Opens a range for new entries, or reopens the last one if no entry is between it and `first`.
function state_ranges.open(ranges, first)
    local last = ranges[#ranges]
    if (last and last.last) ~= nil and last.last >= first - 1 then
        last.last = nil
        return last
    end
    local range = {first = first}
    ranges[#ranges + 1] = range
    trim(ranges)
    return range
end

--- Closes an open range at a number. A range without entries is dropped.
function state_ranges.close(ranges, end_)
    local last = ranges[#ranges]
    if last == nil or last.last ~= nil then
        return
    end
    last.last = end_
    if last.first > end_ then
        table.remove(ranges)
    end
end

--- Removes the ranges that end before a number. One of them stays if private entries may be between it and the next
-- range.
function state_ranges.prune(ranges, least)
    local pruned = false
    while true do
        local opt_9 = ranges[1]
        local temp_13 = (opt_9 and opt_9.last) ~= nil and ranges[1].last < least
        if temp_13 then
            local opt_11 = ranges[2]
            temp_13 = (opt_11 and opt_11.first or least) <= least
        end
        if not temp_13 then
            break
        end
        table.remove(ranges, 1)
        pruned = true
    end
    return pruned
end

--- Returns the stored form: first and last of each. `start` is the first number of this start of the server.
function state_ranges.pack(ranges, start)
    local packed = {}
    for _, range in ipairs(ranges) do
        packed[#packed + 1] = range.first
        packed[#packed + 1] = range.last or -start
    end
    return packed
end

--- Reads stored ranges. `endOf` returns the end of a range that was open in an earlier start. Undefined if malformed.
function state_ranges.unpack(packed, endOf)
    if type(packed) ~= "table" then
        return nil
    end
    local ranges = {}
    for i = 1, #packed, 2 do
        local first = packed[i]
        local last = packed[i + 1]
        if type(first) ~= "number" or type(last) ~= "number" then
            return nil
        end
        local end_ = last > 0 and last or endOf(-last)
        if first <= end_ then
            ranges[#ranges + 1] = {first = first, last = end_}
        end
    end
    return ranges
end
end

-- src/state/deliveries.ts
--
-- Ranges of room logs that each account got, also of rooms that it has left. In memory and in the store minimix_parts,
-- with one record per account.
local state_deliveries = {}
do
local content, deliveriesOf, read, complete, forgetUnused, writeChanged, known, records, changed, released
local options = minimix_options
local monotonic = state_clock.monotonic
local membersOf = state_keys.membersOf
local findAccount = state_memberships.findAccount
local endOfStart = state_numbers.endOfStart
local startOfNumbers = state_numbers.startOfNumbers
local beginOutage = state_outage.beginOutage
local onRetry = state_outage.onRetry
local pack = state_ranges.pack
local unpack_ = state_ranges.unpack
local listRecords = state_records.listRecords
local openRecords = state_records.openRecords
local readRecord = state_records.readRecord
local writeRecord = state_records.writeRecord

function content(username)
    local deliveries = known[username]
    if deliveries == nil then
        return nil
    end
    local packed = {}
    for room, ranges in pairs(deliveries.rooms) do
        if #ranges > 0 then
            packed[room] = pack(ranges, startOfNumbers())
        end
    end
    if (next(packed)) == nil then
        return nil
    else
        return packed
    end
end

function deliveriesOf(username)
    local deliveries = known[username]
    if deliveries == nil then
        local rooms = read(username)
        deliveries = {rooms = rooms or {}, isRead = rooms ~= nil}
        known[username] = deliveries
    end
    return deliveries
end

function read(username)
    local rooms = {}
    if options.anonymous then
        return rooms
    end
    local done, packed = readRecord(records, username)
    if not done then
        return nil
    end
    if packed ~= nil and type(packed) ~= "table" then
        module:log("warn", "Ignoring the archive of %s: malformed record in minimix_parts", username)
        return rooms
    end
    for room, stored in pairs(packed or {}) do
        local ranges
        if type(room) == "string" then
            ranges = unpack_(stored, endOfStart)
        end
        if ranges == nil then
            module:log("warn", "Ignoring the archive of %s in %s: malformed record in minimix_parts", username, room)
        else
            rooms[room] = ranges
        end
    end
    return rooms
end

function complete(username, deliveries)
    if deliveries.isRead then
        return true
    end
    local rooms = read(username)
    if rooms == nil then
        return false
    end
    for room, since in pairs(deliveries.rooms) do
        local before = rooms[room]
        if before == nil then
            rooms[room] = since
        else
            for i = #before, 1, -1 do
                local range = before[i]
                if range ~= nil then
                    table.insert(since, 1, range)
                end
            end
            rooms[room] = since
        end
    end
    deliveries.rooms = rooms
    deliveries.isRead = true
    return true
end

--- Writes an account's record, or marks it for after it has been read.
function state_deliveries.saveDeliveries(username)
    local deliveries = known[username]
    if deliveries == nil or options.anonymous then
        changed[username] = nil
        return
    end
    if not complete(username, deliveries) then
        changed[username] = true
        beginOutage()
        return
    end
    changed[username] = nil
    writeRecord(records, username)
end

function forgetUnused(username)
    local isNeeded = findAccount(username) ~= nil or changed[username] ~= nil or records.dirty[username] ~= nil
    if not isNeeded then
        known[username] = nil
    end
end

function writeChanged(deadline)
    for _, username in ipairs(membersOf(changed)) do
        if monotonic() > deadline then
            return "more"
        end
        state_deliveries.saveDeliveries(username)
    end
    for username in pairs(released) do
        released[username] = nil
        forgetUnused(username)
    end
    return (next(changed)) == nil and "done" or "failing"
end

known = {}
records = openRecords("minimix_parts", content)

--- Returns the ranges of an account in a room for new messages, and whether they include those on disk.
function state_deliveries.rangesOf(username, room)
    local deliveries = deliveriesOf(username)
    local ranges = deliveries.rooms[room]
    if ranges == nil then
        ranges = {}
        deliveries.rooms[room] = ranges
    end
    return ranges, deliveries.isRead
end

--- Returns all ranges of an account by room, read-only. Undefined if they could not be read.
function state_deliveries.allRangesOf(username)
    local deliveries = known[username]
    if deliveries == nil then
        return read(username)
    end
    return complete(username, deliveries) and deliveries.rooms or nil
end

changed = {}

--- Marks an account's record for saveChanged().
function state_deliveries.markChanged(username)
    changed[username] = true
end

released = {}

--- Frees the memory of an account soon, if it is in no room then.
function state_deliveries.releaseDeliveries(username)
    released[username] = true
end

--- Writes the records of all marked accounts.
function state_deliveries.saveChanged()
    writeChanged(math.huge)
end

onRetry(writeChanged)

--- Deletes the record of an account.
function state_deliveries.forgetDeliveries(username)
    known[username] = nil
    changed[username] = nil
    if not options.anonymous then
        writeRecord(records, username)
    end
end

--- Returns the accounts with a record. Undefined if storage failed.
function state_deliveries.usersWithDeliveries()
    return listRecords(records)
end

--- Edits the ranges of an account, and writes them if `edit` says so. Returns whether they could be read and written.
function state_deliveries.editDeliveries(username, edit)
    local deliveries = deliveriesOf(username)
    if not complete(username, deliveries) then
        return false
    end
    if edit(deliveries.rooms) then
        state_deliveries.saveDeliveries(username)
    end
    forgetUnused(username)
    return records.dirty[username] == nil
end

function state_deliveries.deliveries()
    return known
end

function state_deliveries.restoreDeliveries(saved)
    known = saved
    for username, account in pairs(known) do
        if not account.isRead then
            changed[username] = true
            beginOutage()
        end
    end
end

--- Deletions that are not finished.
state_deliveries.deletions = {}

function state_deliveries.restoreDeletions(saved)
    for deletion in pairs(saved) do
        state_deliveries.deletions[deletion] = true
        beginOutage()
    end
end
end

-- src/state/logs.ts
--
-- The log of each room: its messages, once for all accounts of this host, and the part that each account got. Entries
-- are numbered in order of arrival.
local state_logs = {}
do
local opened
local newestNumber = state_numbers.newestNumber
local startOfNumbers = state_numbers.startOfNumbers
local beginOutage = state_outage.beginOutage
--- Number of entries of a room in memory: enough for the history of an ordinary join.
state_logs.TAIL = 50
--- Memory limit of these entries, in bytes.
state_logs.TAIL_SIZE = 262144
state_logs.logs = {}
--- The highest number in dropped logs. A new log of the same room does not know these entries.
local dropped = 0

function state_logs.logOf(room)
    local log = state_logs.logs[room]
    if log == nil then
        log = {
            room = room,
            last = math.max(startOfNumbers(), dropped),
            tail = {},
            size = 0,
            readers = {}
        }
        state_logs.logs[room] = log
        local opt_0 = opened
        if opt_0 ~= nil then
            opt_0[room] = true
        end
    end
    return log
end

--- Returns a set that gets the rooms whose logs are opened, until unwatchLogs().
function state_logs.watchLogs()
    opened = {}
    return opened
end

function state_logs.unwatchLogs()
    opened = nil
end

--- Frees the memory of a log without readers, once all entries are stored.
function state_logs.dropUnread(log)
    if (next(log.readers)) ~= nil or log.unwritten ~= nil then
        return
    end
    state_logs.logs[log.room] = nil
    dropped = math.max(dropped, log.last)
end

function state_logs.addToTail(log, entry)
    local tail = log.tail
    tail[#tail + 1] = entry
    log.size = log.size + string.len(entry.text)
    while #log.tail > state_logs.TAIL or log.size > state_logs.TAIL_SIZE and #log.tail > 1 do
        local oldest = table.remove(log.tail, 1)
        log.size = log.size - string.len(oldest and oldest.text or "")
        log.isLoaded = true
        log.isComplete = nil
    end
end

--- Adds entries from before this start before the newer ones. `isComplete`: there are no others.
function state_logs.fillTail(log, entries, isComplete)
    log.isLoaded = true
    local log_6 = log
    if isComplete then
        log_6.isComplete = true
    else
        log_6.isComplete = nil
    end
    for i = #entries, 1, -1 do
        local entry = entries[i]
        if entry ~= nil then
            if #log.tail >= state_logs.TAIL or log.size + string.len(entry.text) > state_logs.TAIL_SIZE then
                log.isComplete = nil
                return
            end
            table.insert(log.tail, 1, entry)
            log.size = log.size + string.len(entry.text)
        end
    end
end

--- Takes over the logs of the previous instance of the module.
function state_logs.restoreLogs(saved)
    dropped = newestNumber()
    for room, log in pairs(saved) do
        state_logs.logs[room] = log
        log.window = nil
        if log.unwritten ~= nil then
            beginOutage()
        end
    end
end
end

-- src/archive/delivered.ts
--
-- Records which entries of a room's log an account got. The ranges are in state/deliveries.ts. They are written when an
-- account joins, leaves or misses a message, and not for each message.
--
-- Invariants: an account in a room has an open last range, also on disk. It contains all messages of the room since
-- then. A missed entry closes the range within SETTLE seconds. The next received entry opens another, which is written
-- before the message goes to the sessions. So all received messages are readable after SIGKILL.
local archive_delivered = {}
do
local beginPart, firstAfter, openNext, openReturned, openRange, closeRange, deliverOwn, deliverPast, saveSoon, closeMissed, SETTLE, returned, closingSoon
local options = minimix_options
local markChanged = state_deliveries.markChanged
local rangesOf = state_deliveries.rangesOf
local releaseDeliveries = state_deliveries.releaseDeliveries
local saveChanged = state_deliveries.saveChanged
local saveDeliveries = state_deliveries.saveDeliveries
local dropUnread = state_logs.dropUnread
local logOf = state_logs.logOf
local allMemberships = state_memberships.allMemberships
local membershipsOf = state_memberships.membershipsOf
local newestNumber = state_numbers.newestNumber
local startOfNumbers = state_numbers.startOfNumbers
local close = state_ranges.close
local includes = state_ranges.includes
local insert = state_ranges.insert
local isSince = state_ranges.isSince
local open = state_ranges.open
local inLaterSlices = slices.inLaterSlices
local inTurn = minimix_turn.inTurn

--- Opens the log for an account that is in the room, or that fetches missed messages.
function archive_delivered.openPart(membership)
    if options.archive ~= true or membership.part ~= nil then
        return
    end
    local log = logOf(membership.room)
    membership.part = {log = log, range = nil, position = log.last}
    log.readers[membership.username] = membership
end

function beginPart(membership)
    archive_delivered.openPart(membership)
    local part = membership.part
    if part == nil or part.range ~= nil then
        return nil
    end
    local ranges = rangesOf(membership.username, membership.room)
    local opt_0 = ranges[#ranges]
    part.position = math.max(part.log.last, opt_0 and opt_0.last or 0)
    return part
end

function firstAfter(bindingPattern0_, part, newest)
    local room
    local username
    username = bindingPattern0_.username
    room = bindingPattern0_.room
    local isNew = #(rangesOf(username, room)) == 0
    return isNew and newest or part.position + 1
end

function openNext()
    local membership = (next(returned))
    if membership == nil then
        return true
    end
    returned[membership] = nil
    openReturned(membership)
    for _, other in ipairs(membershipsOf(membership.username)) do
        if returned[other] ~= nil then
            returned[other] = nil
            openReturned(other)
        end
    end
    saveDeliveries(membership.username)
    return false
end

function openReturned(membership)
    local part = membership.part
    if (part and part.range) == false and part.position >= part.log.last then
        local ranges = rangesOf(membership.username, membership.room)
        part.range = open(ranges, firstAfter(membership, part, newestNumber() + 1))
    end
end

function openRange(membership, part, first)
    local ranges = rangesOf(membership.username, membership.room)
    part.range = open(ranges, first)
    saveDeliveries(membership.username)
end

function closeRange(membership, part)
    if part.range == nil or part.range == false then
        return false
    end
    part.range = false
    close((rangesOf(membership.username, membership.room)), part.position)
    return true
end

function deliverOwn(membership, log, part, entry)
    local ranges = rangesOf(membership.username, membership.room)
    local only
    if #ranges == 1 then
        only = ranges[1]
    end
    if only ~= nil and only == part.range and only.first > part.position then
        closeRange(membership, part)
    end
    if #ranges == 0 then
        insert(ranges, entry.number, nil)
        saveSoon(membership, log)
    end
end

function deliverPast(membership, log, part, entry)
    local ranges = rangesOf(membership.username, membership.room)
    if includes(ranges, part.position, entry.number) then
        return false
    end
    insert(ranges, entry.number, entry.before)
    saveSoon(membership, log)
    return true
end

function saveSoon(membership, log)
    markChanged(membership.username)
    archive_delivered.closeMissedSoon(log)
end

--- Closes, after a delay, the ranges of accounts that did not get the last entry.
function archive_delivered.closeMissedSoon(log)
    if closingSoon[log] ~= nil then
        return
    end
    closingSoon[log] = true
    module:add_timer(SETTLE, function()
        inTurn(function()
            closingSoon[log] = nil
            closeMissed(log)
            saveChanged()
        end)
        return nil
    end)
end

function closeMissed(log)
    for _, membership in pairs(log.readers) do
        local part = membership.part
        if part ~= nil and part.position ~= log.last and closeRange(membership, part) then
            markChanged(membership.username)
        end
    end
end

SETTLE = 1

--- Opens a range: the room has admitted the account, so later messages are for it.
function archive_delivered.letIn(membership)
    local part = beginPart(membership)
    if part ~= nil then
        openRange(membership, part, firstAfter(membership, part, newestNumber() + 1))
    end
end

--- Seconds until the ranges of an account that returns to its rooms are written, all at once.
local LATE = 5
returned = {}

--- The room has admitted an account that returns by itself. Opens a range with the next message, or soon. Then one write
-- is sufficient for all rooms of the account.
function archive_delivered.letInAgain(membership)
    local part = beginPart(membership)
    if part == nil then
        return
    end
    part.range = false
    if (next(returned)) == nil then
        module:add_timer(LATE, function()
            inLaterSlices(openNext)
            return nil
        end)
    end
    returned[membership] = true
end

--- The account is out of the room.
function archive_delivered.closePart(membership)
    local part = membership.part
    membership.part = nil
    if part == nil then
        return
    end
    part.log.readers[membership.username] = nil
    dropUnread(part.log)
    if closeRange(membership, part) then
        saveDeliveries(membership.username)
    end
    releaseDeliveries(membership.username)
end

--- Opens ranges that an earlier version handed over in another form.
function archive_delivered.reopenParts()
    for _, membership in ipairs(allMemberships()) do
        local phase = membership.place.phase
        if phase == "joined" or phase == "entering" then
            archive_delivered.letIn(membership)
        end
    end
end

--- Records that an account got an entry. Returns whether it is new to the account.
function archive_delivered.deliver(membership, log, part, entry)
    local range = part.range
    local before = entry.before
    if range ~= nil and range ~= false and before ~= nil and (before == part.position or before < range.first) then
        if entry.number > part.position then
            part.position = entry.number
            return true
        end
    end
    if entry.privateTo ~= nil then
        deliverOwn(membership, log, part, entry)
        return true
    end
    if entry.number <= part.position then
        return deliverPast(membership, log, part, entry)
    end
    closeRange(membership, part)
    if range ~= nil and entry.number == log.last then
        local isNext = before ~= nil and before <= part.position
        openRange(
            membership,
            part,
            isNext and firstAfter(membership, part, entry.number) or entry.number
        )
    else
        insert((rangesOf(membership.username, membership.room)), entry.number, before)
        saveSoon(membership, log)
    end
    part.position = entry.number
    return true
end

closingSoon = {}

--- Writes pending records. Accounts still waiting for the last message get a new range with it.
function archive_delivered.saveDelivered()
    for log in pairs(closingSoon) do
        closeMissed(log)
    end
    saveChanged()
end

--- Whether the account got an entry, by its number and the account that it is private to. A private entry before all
-- ranges is of a deleted account with the same name.
function archive_delivered.isFor(username, ranges, position, number, privateTo)
    if privateTo == nil then
        return includes(ranges, position, number)
    else
        return privateTo == username and isSince(ranges, number)
    end
end

--- Returns the number at which an open range ends.
function archive_delivered.positionOf(part)
    return part == nil and startOfNumbers() or part.position
end
end

-- src/state/messages.ts
--
-- Messages in Prosody's archive stores.
local state_messages = {}
do
local storedAs, append, truncate, depthOf, readResults, find, take, canContinue, getOne, remove, TEXT, STORED
local handleOf = state_driver.handleOf
local isAnswer = state_driver.isAnswer
local isUnreadable = state_driver.isUnreadable
local newStore = state_driver.newStore
local readFailed = state_driver.readFailed
local TRIAL = state_driver.TRIAL
local writeFailed = state_driver.writeFailed
local storagemanager = require("core.storagemanager")
local datamanager = require("util.datamanager")
local parse = minimix_parse.parse
local weightOf = minimix_weight.weightOf
local listKeys = state_records.listKeys

function storedAs(id, stanza, when, label)
    local text
    if stanza.name == TEXT then
        text = stanza:get_text()
    end
    return {
        id = id,
        content = text or stanza,
        when = tonumber(when) or 0,
        label = type(label) == "string" and label or "",
        weight = text == nil and weightOf(stanza) or STORED + string.len(text)
    }
end

function append(messages, key, stanza, when, label)
    return handleOf(messages):append(key, nil, stanza, when, label)
end

function truncate(messages, key)
    local caps = handleOf(messages).caps
    local quota = caps and caps.quota
    return quota ~= nil and state_messages.deleteMessages(messages, key, {truncate = math.floor(quota * 0.9)})
end

function depthOf(stanza)
    local deepest = 0
    for _, tag in ipairs(stanza.tags) do
        deepest = math.max(deepest, depthOf(tag))
    end
    return deepest + 1
end

--- Does the same as findMessages(), and returns the results that are left.
function state_messages.findSome(messages, key, query, most)
    return readResults(messages, key, find, query, most)
end

function readResults(messages, key, read, source, most)
    if isUnreadable(messages, key) then
        return nil
    end
    local done, found, problem = pcall(read, messages, key, source, most)
    if not isAnswer(done, found, problem) then
        local done_9
        if done then
            done_9 = problem
        else
            done_9 = found
        end
        readFailed(messages, key, done_9)
        return nil
    end
    messages.broken[key] = nil
    return found or {messages = {}, isCut = false, rest = nil}
end

function find(messages, key, query, most)
    local results, problem = handleOf(messages):find(key, query)
    if results == nil or results == false then
        return nil, problem or "no reason given"
    end
    return take(messages, key, results, most)
end

function take(messages, _key, results, most)
    local found = {}
    local total = 0
    for id, stanza, when, label in results do
        local stored = storedAs(id, stanza, when, label)
        found[#found + 1] = stored
        total = total + stored.weight
        if total >= most then
            return {
                messages = found,
                isCut = true,
                rest = canContinue(messages) and results or nil
            }, nil
        end
    end
    return {messages = found, isCut = false, rest = nil}, nil
end

function canContinue(messages)
    local _, driver = storagemanager.get_driver(module.host, messages.name)
    return driver == "internal" and datamanager.list_open ~= nil
end

function getOne(messages, key, id)
    return handleOf(messages):get(key, id)
end

--- Deletes the messages of a query, or all of a key. Returns whether this worked.
function state_messages.deleteMessages(messages, key, query)
    if messages.writesFail then
        return false
    end
    local done, result, problem = pcall(remove, messages, key, query)
    local done_19 = done
    local temp_18
    if result ~= false then
        temp_18 = result
    end
    if not isAnswer(done_19, temp_18, problem) then
        local done_21
        if done then
            done_21 = problem
        else
            done_21 = result
        end
        writeFailed(messages, key, done_21)
        return false
    end
    return true
end

function remove(messages, key, query)
    return handleOf(messages):delete(key, query)
end

--- Deepest nesting of elements that storage is expected to store.
local DEEPEST = 50

local function tryRead(handle)
    local stanza, problem = handle:get(TRIAL, TRIAL)
    return stanza, problem
end

--- Declares a store of messages.
function state_messages.openMessages(name)
    return newStore(name, function() return module:open_store(name, "archive") end, tryRead)
end

--- Returns the keys with messages. Undefined if the driver failed.
function state_messages.listMessages(messages)
    return listKeys(messages)
end

--- Stores a message at the end. Returns the outcome and the id. If the store is full, deletes the oldest messages.
function state_messages.appendMessage(messages, key, stanza, when, label)
    if messages.writesFail then
        return "failed", nil
    end
    local done, id, problem = pcall(append, messages, key, stanza, when, label)
    if done and problem == "quota-limit" and truncate(messages, key) then
        done, id, problem = pcall(append, messages, key, stanza, when, label)
    end
    if done and type(id) == "string" then
        messages.failedKey = nil
        return "stored", id
    end
    if depthOf(stanza) > DEEPEST then
        return "refused", nil
    end
    local done_0
    if done then
        done_0 = problem
    else
        done_0 = id
    end
    writeFailed(messages, key, done_0)
    return "failed", nil
end

TEXT = "text"
STORED = 320

--- Stores the text of a message, as written by textOf(), at the end. Returns whether this worked.
function state_messages.appendText(messages, key, text, when, label)
    local element = st.stanza(TEXT)
    element[#element + 1] = text
    return (state_messages.appendMessage(messages, key, element, when, label)) == "stored"
end

--- Returns the message. Malformed text gives an empty one, because one item less could end a walk.
function state_messages.messageOf(content)
    return type(content) == "string" and (parse("message", content) or st.message()) or content
end

--- Returns the messages of a query. Undefined if the driver failed. Stops after `most` bytes of memory: most drivers build
-- a message's stanza when it is requested, so large ones are not read before they are needed.
function state_messages.findMessages(messages, key, query, most)
    if most == nil then
        most = math.huge
    end
    local opt_7 = state_messages.findSome(messages, key, query, most)
    return opt_7 and opt_7.messages
end

--- Reads more of the results of a query, up to `most` bytes of memory. Undefined if the driver failed.
function state_messages.findMore(messages, key, rest, most)
    return readResults(messages, key, take, rest, most)
end

--- Whether a query with these limits may have more messages than were found.
function state_messages.mayHaveMore(found, limit, most)
    local total = 0
    for _, value_ in ipairs(found) do
        local weight = value_.weight
        total = total + weight
    end
    return #found >= limit or total >= most
end

--- Returns whether the read succeeded, and the message with an id.
function state_messages.getMessage(messages, key, id)
    if isUnreadable(messages, key) then
        return false, nil
    end
    local done, stanza, when, label = pcall(getOne, messages, key, id)
    if not isAnswer(done, stanza, when) then
        local done_13
        if done then
            done_13 = when
        else
            done_13 = stanza
        end
        readFailed(messages, key, done_13)
        return false, nil
    end
    local temp_17
    if stanza ~= nil then
        temp_17 = storedAs(id, stanza, when, label)
    end
    return true, temp_17
end
end

-- src/archive/entries.ts
--
-- Entries of the archive. Each message of a room is stored once for this host, in a Prosody archive store under the
-- room's JID. The label of an entry has its number. If the entry is private to an account, the label has the account
-- too: "1700000001000 alice".
--
-- Invariant: stored times never decrease within a log, because drivers search by time. If the clock was set back, an
-- entry is stored with the time of the entry before it, and its own time is in the label: "1700000001000@1600000000".
local archive_entries = {}
do
local labelOf, write, keepPace, writeNext, tryStore, storeEntry, readLatest, keep, writeLog, tryLater, dropUntil, drop, UNWRITTEN_SIZE, WAITING_SIZE, MOST_FAILURES, unwrittenSize
local hashes = require("util.hashes")
local options = minimix_options
local monotonic = state_clock.monotonic
local counters = state_counters.counters
local addToTail = state_logs.addToTail
local dropUnread = state_logs.dropUnread
local fillTail = state_logs.fillTail
local logs = state_logs.logs
local TAIL = state_logs.TAIL
local TAIL_SIZE = state_logs.TAIL_SIZE
local inLaterSlices = slices.inLaterSlices
local appendText = state_messages.appendText
local findMessages = state_messages.findMessages
local mayHaveMore = state_messages.mayHaveMore
local openMessages = state_messages.openMessages
local nextNumber = state_numbers.nextNumber
local beginOutage = state_outage.beginOutage
local isOutage = state_outage.isOutage
local onRetry = state_outage.onRetry
local parse = minimix_parse.parse
local piecesOf = minimix_text.piecesOf
local textOf = minimix_text.textOf
local isHeavier = minimix_weight.isHeavier
local lightPieces = minimix_weight.lightPieces
local treeLimit = minimix_weight.treeLimit

--- Storage drivers use the key as a file name, which has a maximum length.
function archive_entries.keyOf(room)
    return string.len(room) <= 80 and room or hashes.sha1(room, true)
end

--- Returns the number of an entry and, if the entry is private, its account.
function archive_entries.parseLabel(label)
    local digits, privateTo = string.match(label, "^(%d+)[@%d]* ?(.*)$")
    local temp_1 = tonumber(digits) or 0
    local temp_0
    if privateTo ~= "" then
        temp_0 = privateTo
    end
    return temp_1, temp_0
end

--- Returns the time of an entry in seconds. `stored` is its time in the store.
function archive_entries.timeOf(label, stored)
    return tonumber((string.match(label, "^%d+@(%d+)"))) or stored
end

function labelOf(entry, stored)
    local time = entry.when == stored and "" or string.format("@%d", entry.when)
    local label = string.format("%d%s", entry.number, time)
    return entry.privateTo == nil and label or label .. " " .. entry.privateTo
end

function write(log, entry)
    if log.unwritten == nil then
        if tryStore(log, entry) then
            return true
        end
        beginOutage()
    end
    keepPace(log)
    return keep(log, entry)
end

function keepPace(log)
    local left = 2
    while true do
        local temp_5 = left > 0 and unwrittenSize > WAITING_SIZE
        if temp_5 then
            local unwritten = log.unwritten
            temp_5 = (unwritten and #unwritten or 0) > 2
        end
        if not (temp_5 and not isOutage()) then
            break
        end
        writeNext(log)
        left = left - 1
    end
end

function writeNext(log)
    local unwritten = log.unwritten
    local entry = unwritten and unwritten[1]
    if entry ~= nil and not tryStore(log, entry) then
        beginOutage()
        return true
    end
    if entry ~= nil then
        drop(log, entry)
    else
        log.unwritten = nil
    end
    if log.unwritten == nil then
        dropUnread(log)
        return true
    end
    return false
end

function tryStore(log, entry)
    return readLatest(log) and storeEntry(log, entry)
end

function storeEntry(log, entry)
    local when = math.max(entry.when, log.latest or 0)
    if not appendText(
        archive_entries.store,
        archive_entries.keyOf(log.room),
        entry.text,
        when,
        labelOf(entry, when)
    ) then
        return false
    end
    entry.storedAt = when
    log.latest = when
    counters.archiveWrites = counters.archiveWrites + 1
    return true
end

function readLatest(log)
    if log.latest == nil then
        local newest = findMessages(
            archive_entries.store,
            archive_entries.keyOf(log.room),
            {reverse = true, limit = 1}
        )
        if newest == nil then
            log.latest = nil
        else
            local opt_8 = newest[1]
            log.latest = opt_8 and opt_8.when or 0
        end
    end
    return log.latest ~= nil
end

function keep(log, entry)
    local size = string.len(entry.text)
    if unwrittenSize + size > UNWRITTEN_SIZE then
        log.gap = true
        return false
    end
    if log.unwritten == nil then
        log.unwritten = {}
    end
    local unwritten = log.unwritten
    unwritten[#unwritten + 1] = entry
    unwrittenSize = unwrittenSize + size
    return true
end

function writeLog(log, deadline)
    local unwritten = log.unwritten
    local first = unwritten and unwritten[1]
    local newest = findMessages(archive_entries.store, archive_entries.keyOf(log.room), {reverse = true, limit = 1})
    if first == nil or newest == nil then
        return "failing"
    end
    local opt_15 = newest[1]
    log.latest = opt_15 and opt_15.when or 0
    if newest[1] ~= nil and (archive_entries.parseLabel(newest[1].label)) >= first.number then
        drop(log, first)
    end
    local opt_18 = log.unwritten
    local entry = opt_18 and opt_18[1]
    while entry ~= nil do
        if monotonic() > deadline then
            return "more"
        end
        if storeEntry(log, entry) then
            drop(log, entry)
        elseif not tryLater(log, deadline) then
            return "failing"
        end
        local opt_20 = log.unwritten
        entry = opt_20 and opt_20[1]
    end
    return "done"
end

function tryLater(log, deadline)
    local queue = log.unwritten or {}
    log.failures = archive_entries.store.writesFail and 0 or (log.failures or 0) + 1
    if log.failures < MOST_FAILURES then
        return false
    end
    for i = 2, #queue do
        local entry = queue[i]
        if entry ~= nil and monotonic() <= deadline and storeEntry(log, entry) then
            dropUntil(log, queue, entry)
            return true
        end
    end
    return false
end

function dropUntil(log, queue, stored)
    local first = queue[1]
    while first ~= nil and first ~= stored do
        module:log("warn", "Dropping a message of %s: it cannot be stored", log.room)
        drop(log, first)
        first = queue[1]
    end
    drop(log, stored)
end

function drop(log, entry)
    local window = log.window
    if (window and window.to) == math.huge then
        log.window = nil
    end
    if log.unwritten ~= nil then
        table.remove(log.unwritten, 1)
        if #log.unwritten == 0 then
            log.unwritten = nil
        end
    end
    log.failures = nil
    unwrittenSize = unwrittenSize - string.len(entry.text)
end

--- Converts a stored message to an entry.
function archive_entries.entryOf(stored, before)
    local number, privateTo = archive_entries.parseLabel(stored.label)
    local when = archive_entries.timeOf(stored.label, stored.when)
    local text = type(stored.content) == "string" and stored.content or textOf(stored.content)
    return {
        number = number,
        before = before,
        privateTo = privateTo,
        when = when,
        storedAt = stored.when,
        text = text
    }
end

--- The store with the messages of all rooms.
archive_entries.store = openMessages("minimix_archive")
UNWRITTEN_SIZE = 4194304
WAITING_SIZE = math.max(options.maxGapSize, 262144)
--- Largest memory of a stored message as a stanza, and the pieces of XML that never take more.
local HEAVIEST = treeLimit(options.maxKeptSize)
local LIGHT = lightPieces(HEAVIEST)
MOST_FAILURES = 20
unwrittenSize = 0

--- Returns an entry's message.
function archive_entries.stanzaOf(entry)
    return parse("message", entry.text)
end

--- Adds a message to the log. Returns undefined if it cannot be kept.
function archive_entries.append(log, stanza, when, privateTo)
    local text = textOf(stanza)
    local isHeavy = piecesOf(stanza) > LIGHT and isHeavier(stanza, HEAVIEST)
    if isHeavy or string.len(text) > options.maxKeptSize then
        module:log(
            "debug",
            "Not archiving a message of %s: %d bytes is too large",
            log.room,
            string.len(text)
        )
        return nil
    end
    local number
    if log.gap ~= true then
        number = nextNumber()
    end
    if number == nil then
        log.gap = true
        return nil
    end
    local before = privateTo == nil and log.last or nil
    local entry = {
        number = number,
        before = before,
        privateTo = privateTo,
        when = when,
        storedAt = when,
        text = text
    }
    if not write(log, entry) then
        return nil
    end
    addToTail(log, entry)
    if privateTo == nil then
        log.last = number
    end
    return entry
end

--- Number of logs with entries that are written in slices.
local writing = 0

--- Whether entries are about to be written, so that the archives do not have them yet.
function archive_entries.isWritingInSlices()
    return writing > 0
end

--- Queues the following entries of a log, to be written in slices. Storing many at once would block the server.
function archive_entries.writeInSlices(log)
    if log.unwritten == nil then
        log.unwritten = {}
        writing = writing + 1
        inLaterSlices(function()
            local isDone = writeNext(log)
            writing = writing - (isDone and 1 or 0)
            return isDone
        end)
    end
end

--- Takes over the unwritten entries of the previous instance of the module.
function archive_entries.restoreUnwritten()
    for _, log in pairs(logs) do
        for _, entry in ipairs(log.unwritten or {}) do
            unwrittenSize = unwrittenSize + string.len(entry.text)
        end
    end
end

local function writeUnwritten(deadline)
    local result = "done"
    for _, log in pairs(logs) do
        if log.unwritten ~= nil then
            if monotonic() > deadline then
                return "more"
            end
            local progress = writeLog(log, deadline)
            if progress ~= "done" then
                result = progress
            end
            dropUnread(log)
        end
    end
    return result
end

onRetry(writeUnwritten)

--- Counts the messages that wait to be stored.
function archive_entries.countUnwritten()
    local count = 0
    for _, log in pairs(logs) do
        local count_26 = count
        local unwritten = log.unwritten
        count = count_26 + (unwritten and #unwritten or 0)
    end
    return count
end

--- Returns the accounts in rooms with lost messages, which must be fetched. Messages are kept again afterwards.
function archive_entries.takeGaps()
    local memberships = {}
    for _, log in pairs(logs) do
        if log.gap == true then
            log.gap = nil
            for _, membership in pairs(log.readers) do
                memberships[#memberships + 1] = membership
            end
        end
    end
    return memberships
end

--- Reads the newest entries from before this start of the server, when they are needed. Returns whether this worked.
function archive_entries.loadTail(log)
    if log.isLoaded then
        return true
    end
    local found = findMessages(
        archive_entries.store,
        archive_entries.keyOf(log.room),
        {reverse = true, limit = TAIL},
        TAIL_SIZE
    )
    if found == nil then
        return false
    end
    local log_29, latest_30 = log, "latest"
    if log_29[latest_30] == nil then
        local opt_27 = found[1]
        log_29[latest_30] = opt_27 and opt_27.when or 0
    end
    local first = log.tail[1]
    local entries = {}
    for _, stored in ipairs(found) do
        local entry = archive_entries.entryOf(stored, nil)
        if first == nil or entry.number < first.number then
            table.insert(entries, 1, entry)
        end
    end
    fillTail(log, entries, not mayHaveMore(found, TAIL, TAIL_SIZE))
    return true
end
end

-- src/archive/gate.ts
--
-- The gate: checks stanzas of rooms, occupants and archives. Servers guarantee only the `from` of a stanza (RFC 6120
-- 8.1.2.1). A room speaks for itself and its occupants. A stanza inside another is no more trustworthy than the outer
-- one. See docs/security.md.
local archive_gate = {}
do
local isOwnId, isUnnamedDelay, named, takeArchived, isOfAccount, isOf
local CARBONS = namespaces.CARBONS
local DELAY = namespaces.DELAY
local FORWARD = namespaces.FORWARD
local MAM = namespaces.MAM
local MUC_USER = namespaces.MUC_USER
local STANZA_ID = namespaces.STANZA_ID
local silences = settings_blocklist.silences
local noteDrop = state_counters.noteDrop
local findMembership = state_memberships.findMembership
local isDelayBy = minimix_stanzas.isDelayBy
local splitOccupant = minimix_stanzas.splitOccupant
local stanzaIdBy = minimix_stanzas.stanzaIdBy
local isBrief = minimix_text.isBrief
local isHeavier = minimix_weight.isHeavier
local lightPieces = minimix_weight.lightPieces

function isOwnId(tag)
    if tag.name ~= "stanza-id" or tag.attr.xmlns ~= STANZA_ID then
        return false
    end
    local by = jids.prep(tag.attr.by or "")
    return by ~= nil and jids.host(by) == module.host
end

function isUnnamedDelay(tag)
    return tag.name == "delay" and tag.attr.xmlns == DELAY and tag.attr.from == nil
end

function named(delay, room)
    delay.attr.from = room
    return delay
end

function takeArchived(membership, tag)
    local xmlns = tag.attr.xmlns
    if xmlns == "jabber:client" or xmlns == nil then
        tag.attr.xmlns = nil
        if tag.name == "error" then
            return nil
        else
            return tag
        end
    end
    if xmlns == CARBONS or xmlns == MAM or xmlns == FORWARD and isOfAccount(membership, tag) then
        return nil
    end
    if xmlns == MUC_USER then
        return tag:maptags(function(child) return child.name == "item" and child or nil end)
    end
    local isForeignId = tag.name == "stanza-id" and xmlns == STANZA_ID and tag.attr.by ~= membership.room
    if isForeignId or isDelayBy(tag, membership.room) then
        return nil
    else
        return tag
    end
end

function isOfAccount(membership, forwarded)
    local account = jids.bare(membership.occupant)
    for _, tag in ipairs(forwarded.tags) do
        if isOf(account, tag.attr.from) or isOf(account, tag.attr.to) then
            return true
        end
    end
    return false
end

function isOf(account, address)
    return jids.bare(jids.prep(address or "") or "") == account
end

--- Largest weight of messages and presences of rooms, and of IQs, for isHeavier().
local MAX_WEIGHT = 2 * 1024 * 1024
local MAX_IQ_WEIGHT = 8 * 1024 * 1024
--- Pieces of XML that never take more.
local LIGHT = lightPieces(MAX_WEIGHT)
--- The last stanza that was weighed: a local room passes the same table for every account (muc.lib.lua, broadcast).
local weighed
local isTooBig = false

--- Wraps a hook's handler. Drops stanzas that are too large, or nested too deep, to be handled quickly.
function archive_gate.fromRoom(handler)
    return function(event)
        local stanza = event.stanza
        if stanza ~= weighed then
            weighed = stanza
            isTooBig = (stanza.name ~= "presence" or not isBrief(stanza, LIGHT)) and isHeavier(stanza, stanza.name == "iq" and MAX_IQ_WEIGHT or MAX_WEIGHT)
        end
        if not isTooBig then
            return handler(event)
        end
        local room = jids.bare(stanza.attr.from or "")
        if findMembership(stanza.attr.to or "", room) == nil then
            return nil
        end
        noteDrop("limit")
        module:log("debug", "Dropping a %s of %s: too many elements or too deep", stanza.name, room)
        return true
    end
end

--- Returns a live message without stanza-ids in the name of local accounts. Clients use these ids for their own archive
-- (XEP-0359 6). Without such ids it is the same table.
function archive_gate.withoutOwnIds(stanza)
    for _, tag in ipairs(stanza.tags) do
        if tag.name == "stanza-id" and isOwnId(tag) then
            return st.clone(stanza):maptags(function(child)
                if isOwnId(child) then
                    return nil
                else
                    return child
                end
            end)
        end
    end
    return stanza
end

--- Returns the sender of a message's delay. It is trustworthy only while a room answers a join.
function archive_gate.delayOf(stanza, room)
    local delayed
    for _, tag in ipairs(stanza.tags) do
        if tag.name == "delay" then
            if isDelayBy(tag, room) then
                return "by room"
            end
            delayed = isUnnamedDelay(tag) and "unnamed" or delayed
        end
    end
    return delayed
end

--- Whether the room is answering a join of the account. Then its history arrives (XEP-0045 7.2.14).
function archive_gate.isAnswering(membership)
    local place = membership.place
    if place.phase == "joined" then
        local operation = place.operation
        return (operation and operation.kind) == "resync"
    end
    return place.phase == "joining" or place.phase == "entering"
end

--- Returns the form in which a message is stored: with the room's delay if it is history, and otherwise without a delay.
function archive_gate.keptForm(stanza, room, delayed, isPast)
    if isPast and delayed == "unnamed" then
        return st.clone(stanza):maptags(function(tag) return isUnnamedDelay(tag) and named(tag, room) or tag end)
    end
    if not isPast and delayed == "by room" then
        return st.clone(stanza):maptags(function(tag)
            if isDelayBy(tag, room) then
                return nil
            else
                return tag
            end
        end)
    end
    return stanza
end

--- Returns a message of a room's archive without content that the room may not assert. Undefined, and counted, if the
-- sender is not the room or an occupant.
function archive_gate.fromArchive(membership, message)
    local from = jids.prep(message.attr.from or "")
    if message.attr.type ~= "groupchat" or from == nil or jids.bare(from) ~= membership.room then
        noteDrop("forged")
        module:log("debug", "Dropping an archived message of %s: it is not from the room", membership.room)
        return nil
    end
    local copy = st.clone(message)
    copy.attr.xmlns = nil
    copy.attr.from = from
    copy.attr.to = membership.occupant
    copy:maptags(function(tag) return takeArchived(membership, tag) end)
    return copy
end

--- Whether the account has blocked the sender. The archive has messages that mod_blocklist would drop.
function archive_gate.isSilenced(membership, catching, message)
    local _, nick = splitOccupant(message.attr.from or "")
    return catching.blocked ~= nil and nick ~= nil and silences(catching.blocked, membership.room, nick)
end

--- Adds the archive's id of a message, if the message has no id by the room.
function archive_gate.addArchiveId(message, room, id)
    if id ~= nil and stanzaIdBy(message, room) == nil then
        message:add_direct_child(st.stanza("stanza-id", {xmlns = STANZA_ID, by = room, id = id}))
    end
end
end

-- src/archive/cursor.ts
--
-- Reads one archive for a query. Storage drivers treat queries with several conditions differently. So they are only
-- asked for an approximate range, chunk by chunk.
local archive_cursor = {}
do
local findNext, readIds, messagesOf, itemOf, noteLost, rangeQuery, roughly, consider, isPast, isAtOrPast, READ_WEIGHT
local findMessages = state_messages.findMessages
local findMore = state_messages.findMore
local findSome = state_messages.findSome
local getMessage = state_messages.getMessage

function findNext(cursor, walk)
    local archive = cursor.archive
    local store = archive.store
    local key = archive.key
    if cursor.rest ~= nil then
        return findMore(store, key, cursor.rest, READ_WEIGHT)
    end
    local query = rangeQuery(cursor, walk)
    local found = findSome(store, key, query, READ_WEIGHT)
    if (found and #found.messages) == 0 then
        noteLost(cursor, query)
    end
    return found
end

function readIds(cursor, walk, ids, missing)
    local archive = cursor.archive
    local store = archive.store
    local key = archive.key
    for _, message in ipairs(messagesOf(cursor, findMessages(store, key, {ids = ids, reverse = walk.query.reverse}))) do
        if cursor.archive.mayRead(message.label) then
            if missing ~= nil then
                missing[message.id] = nil
            end
            consider(cursor, walk, itemOf(cursor, message))
        end
        local from = walk.from
        if (from and from.id) == message.id then
            cursor.items = {}
        end
    end
    cursor.ended = true
end

function messagesOf(cursor, found)
    if found == nil then
        cursor.failed = true
        cursor.ended = true
    end
    return found or {}
end

function itemOf(cursor, bindingPattern0_)
    local weight
    local label
    local when
    local content
    local id
    id = bindingPattern0_.id
    content = bindingPattern0_.content
    when = bindingPattern0_.when
    label = bindingPattern0_.label
    weight = bindingPattern0_.weight
    local timeOf = cursor.archive.timeOf
    local stamp = timeOf and timeOf(label, when) or when
    return {
        id = id,
        content = content,
        when = when,
        stamp = stamp,
        label = label,
        rank = cursor.rank,
        weight = weight
    }
end

function noteLost(cursor, query)
    local start = query.after or query.before
    if start ~= nil then
        local done, message = getMessage(cursor.archive.store, cursor.archive.key, start)
        cursor.failed = not done
        cursor.lost = done and message == nil
    end
end

function rangeQuery(cursor, walk)
    local reverse = walk.query.reverse
    local isOrdered = cursor.archive.isOrdered
    local start
    if isOrdered and reverse then
        start = nil
    else
        start = walk.query.start
    end
    local end_
    if isOrdered and not reverse then
        end_ = nil
    else
        end_ = walk.query["end"]
    end
    local label = cursor.archive.label
    local from = cursor.last or walk.from
    local id = (from and from.rank) == cursor.rank and (label or from.label) == from.label and from.id or nil
    local limit = cursor.chunk
    local temp_20
    if reverse or from == nil then
        temp_20 = start
    else
        temp_20 = math.max(start or 0, from.when)
    end
    local roughly_21_result_28 = roughly(temp_20, -1)
    local temp_22
    if not reverse or from == nil then
        temp_22 = end_
    else
        temp_22 = math.min(end_ or math.huge, from.when)
    end
    local roughly_23_result_29 = roughly(temp_22, 1)
    local after
    if not reverse then
        after = id
    end
    local before
    if reverse then
        before = id
    end
    return {
        with = label,
        limit = limit,
        reverse = reverse,
        start = roughly_21_result_28,
        ["end"] = roughly_23_result_29,
        after = after,
        before = before
    }
end

function roughly(seconds, more)
    if seconds == nil or math.abs(seconds) == math.huge then
        return nil
    else
        return math.floor(seconds) + more
    end
end

function consider(cursor, walk, item)
    local query = walk.query
    local from = walk.from
    local to = walk.to
    if cursor.ended or from ~= nil and not isPast(from, item, query.reverse) then
        return
    end
    if to ~= nil and isAtOrPast(to, item, query.reverse) then
        cursor.ended = true
        return
    end
    local isLate = item.when > (query["end"] or math.huge)
    local isEarly = item.when < (query.start or -math.huge)
    local isOrdered = cursor.archive.isOrdered
    if isOrdered then
        if query.reverse then
            isOrdered = isEarly
        else
            isOrdered = isLate
        end
    end
    if isOrdered then
        cursor.ended = true
    end
    if not isLate and not isEarly and cursor.archive.mayRead(item.label) and query.wants(item.content) then
        local items = cursor.items
        items[#items + 1] = item
    end
end

function isPast(place, item, reverse)
    if place.rank == item.rank then
        return place.id ~= item.id
    else
        return archive_cursor.isAhead(item, place, reverse)
    end
end

function isAtOrPast(place, item, reverse)
    if place.rank ~= item.rank then
        return archive_cursor.isAhead(item, place, reverse)
    end
    local id = place.id == item.id
    if not id then
        if reverse then
            id = item.when < place.when
        else
            id = item.when > place.when
        end
    end
    return id
end

--- Whether `one` is further in the direction of a walk than `other`, which is in another archive.
function archive_cursor.isAhead(one, other, reverse)
    local isLater = one.when > other.when or one.when == other.when and one.rank > other.rank
    return isLater ~= reverse
end

--- Number of items to read first: their size is unknown, and mod_storage_sql fetches all of a query at once.
local FIRST_CHUNK = 16
local LARGEST_CHUNK = 256
READ_WEIGHT = 131072

function archive_cursor.openCursors(archives, max)
    local cursors = {}
    local share = math.ceil(4 * (max + 1) / #archives)
    local chunk = max == 0 and FIRST_CHUNK or math.min(max + 1, share, FIRST_CHUNK)
    local rank = 0
    for _, archive in ipairs(archives) do
        rank = rank + 1
        cursors[#cursors + 1] = {
            archive = archive,
            rank = rank,
            items = {},
            passed = 0,
            chunk = chunk,
            left = 0,
            rest = nil,
            last = nil,
            ended = false,
            lost = false,
            failed = false
        }
    end
    return cursors
end

--- Reads the next items of one archive, or the items that the query names.
function archive_cursor.readOn(cursor, walk, missing)
    local ids = walk.query.ids
    cursor.items = {}
    cursor.passed = 0
    if ids ~= nil then
        readIds(cursor, walk, ids, missing)
        return
    end
    local isNew = cursor.rest == nil
    local found = findNext(cursor, walk)
    local messages = messagesOf(cursor, found and found.messages)
    for _, message in ipairs(messages) do
        local item = itemOf(cursor, message)
        consider(cursor, walk, item)
        cursor.last = item
    end
    local isCut = (found and found.isCut) == true
    cursor.left = (isNew and cursor.chunk or cursor.left) - #messages
    cursor.ended = cursor.ended or not isCut and cursor.left > 0
    cursor.rest = found and found.rest
    if cursor.rest == nil then
        cursor.chunk = isCut and #messages or math.min(cursor.chunk * 4, LARGEST_CHUNK)
    end
end
end

-- src/archive/page.ts
--
-- Pages of one archive or of several. Merges the items of the cursors by time (XEP-0313 4.2, 4.3).
local archive_page = {}
do
local hasFailed, noteEnd, newSearch, isMissing, knownEnd, newMerge, mergeStep, cursorOfNext, takeItem, pageOf, reversed, ends, COUNTED, PAGE_WEIGHT
local getMessage = state_messages.getMessage
local isAhead = archive_cursor.isAhead
local openCursors = archive_cursor.openCursors
local readOn = archive_cursor.readOn

function hasFailed(cursors)
    for _, cursor in ipairs(cursors) do
        if cursor.failed then
            return true
        end
    end
    return false
end

function noteEnd(archives, item)
    local archive
    if item ~= nil then
        archive = archives[item.rank]
    end
    if item ~= nil and archive ~= nil then
        ends:set(archive.key .. " " .. item.id, {id = item.id, when = item.when, rank = item.rank, label = item.label})
    end
end

function newSearch(archives, id)
    local rank
    local search
    local place
    if id ~= nil then
        place = knownEnd(archives, id)
    end
    search = {
        id = id,
        place = place,
        failed = false,
        step = function()
            local archive = archives[rank + 1]
            if id == nil or search.place ~= nil or archive == nil then
                return true
            end
            rank = rank + 1
            local done, message = getMessage(archive.store, archive.key, id)
            search.failed = search.failed or not done
            if message ~= nil and archive.mayRead(message.label) then
                search.place = {id = id, when = message.when, rank = rank, label = message.label}
            end
            return search.place ~= nil or archives[rank + 1] == nil
        end
    }
    rank = 0
    return search
end

function isMissing(search)
    return search.id ~= nil and search.place == nil
end

function knownEnd(archives, id)
    local rank = 0
    for _, archive in ipairs(archives) do
        rank = rank + 1
        local end_ = ends:get(archive.key .. " " .. id)
        if (end_ and end_.rank) == rank and archive.mayRead(end_.label) then
            return end_
        end
    end
    return nil
end

function newMerge(archives, query, after, before)
    local missing
    if query.ids ~= nil then
        missing = {}
        for _, id in ipairs(query.ids) do
            missing[id] = true
        end
    end
    return {
        walk = query.reverse and {query = query, from = before, to = after} or {query = query, from = after, to = before},
        cursors = openCursors(archives, query.ids == nil and query.max or #query.ids),
        items = {},
        weight = 0,
        count = 0,
        complete = false,
        missing = missing
    }
end

function mergeStep(merge)
    local walk = merge.walk
    for _, cursor in ipairs(merge.cursors) do
        if cursor.passed == #cursor.items and not cursor.ended then
            readOn(cursor, walk, merge.missing)
            return false
        end
    end
    local most = walk.query.max == 0 and COUNTED + 1 or walk.query.max
    while merge.count < most and merge.weight < PAGE_WEIGHT do
        local cursor = cursorOfNext(merge)
        if cursor == nil then
            merge.complete = true
            return true
        end
        takeItem(merge, cursor)
        if cursor.passed == #cursor.items and not cursor.ended then
            return false
        end
    end
    merge.complete = cursorOfNext(merge) == nil
    return true
end

function cursorOfNext(merge)
    local best
    local cursorOfBest
    for _, cursor in ipairs(merge.cursors) do
        local item = cursor.items[cursor.passed + 1]
        if item ~= nil and (best == nil or isAhead(best, item, merge.walk.query.reverse)) then
            best = item
            cursorOfBest = cursor
        end
    end
    return cursorOfBest
end

function takeItem(merge, cursor)
    local item = cursor.items[cursor.passed + 1]
    cursor.passed = cursor.passed + 1
    merge.count = merge.count + 1
    if item ~= nil and merge.walk.query.max ~= 0 then
        local items = merge.items
        items[#items + 1] = item
        merge.weight = merge.weight + item.weight
    end
end

function pageOf(archives, merge)
    for _, cursor in ipairs(merge.cursors) do
        if cursor.lost then
            return nil
        end
    end
    if merge.missing ~= nil and (next(merge.missing)) ~= nil then
        return nil
    end
    local walk = merge.walk
    local query = walk.query
    local from = walk.from
    local to = walk.to
    if query.max == 0 then
        local complete = merge.count == 0
        local count
        if merge.count > COUNTED then
            count = nil
        else
            count = merge.count
        end
        return {items = {}, complete = complete, count = count}
    end
    local items = query.reverse and reversed(merge.items) or merge.items
    noteEnd(archives, items[1])
    noteEnd(archives, items[#items])
    local isAll = merge.complete and from == nil and to == nil
    return {items = items, complete = merge.complete, count = isAll and #items or nil}
end

function reversed(items)
    local list = {}
    for i = #items, 1, -1 do
        local item = items[i]
        if item ~= nil then
            list[#list + 1] = item
        end
    end
    return list
end

ends = cache.new(256)
COUNTED = 10000
PAGE_WEIGHT = 4194304

--- Starts to read a page. Each step asks the storage once.
function archive_page.startReading(archives, query)
    local after = newSearch(archives, query.after)
    local before = newSearch(archives, query.before)
    local merge
    local reading
    reading = {
        page = nil,
        failed = false,
        step = function()
            if not after.step() or not before.step() then
                return false
            end
            if isMissing(after) or isMissing(before) then
                reading.failed = after.failed or before.failed
                return true
            end
            if merge == nil then
                merge = newMerge(archives, query, after.place, before.place)
            end
            if not mergeStep(merge) then
                return false
            end
            reading.failed = hasFailed(merge.cursors)
            if reading.failed then
                reading.page = nil
            else
                reading.page = pageOf(archives, merge)
            end
            return true
        end
    }
    return reading
end
end

-- src/archive/personal.ts
--
-- mod_mam's archive of an account. With `minimix_archive = "mam"` it also has messages of rooms, one copy per account.
-- mod_mam stores live messages, and this file stores missed ones.
local archive_personal = {}
do
local knownMessagesOf, nameOf, store, READ_BACK, knownMessages
local delayOf = archive_gate.delayOf
local isAnswering = archive_gate.isAnswering
local startReading = archive_page.startReading
local hasModule = minimix_host.hasModule
local options = minimix_options
local findMembership = state_memberships.findMembership
local appendMessage = state_messages.appendMessage
local messageOf = state_messages.messageOf
local openMessages = state_messages.openMessages
local isDelayBy = minimix_stanzas.isDelayBy
local isWorthKeeping = minimix_stanzas.isWorthKeeping
local stanzaIdBy = minimix_stanzas.stanzaIdBy

--- Returns the archive of messages with one JID, or with all.
function archive_personal.personalArchive(username, other)
    return {
        store = store,
        key = username,
        label = other,
        isOrdered = false,
        mayRead = function() return true end
    }
end

--- Starts to read the last messages of a room.
function archive_personal.startReadingRoom(membership, most, since)
    return startReading(
        {archive_personal.personalArchive(membership.username, membership.room)},
        {
            wants = function(content) return messageOf(content).attr.type == "groupchat" end,
            start = since,
            reverse = true,
            max = most
        }
    )
end

function knownMessagesOf(membership)
    local known = knownMessages[membership]
    if known == nil then
        known = {names = cache.new(READ_BACK + options.maxHistory), isRead = false}
        knownMessages[membership] = known
    end
    if not known.isRead then
        local reading = archive_personal.startReadingRoom(membership, READ_BACK, 0)
        while not reading.step() do
        end
        known.isRead = not reading.failed
        local page = reading.page
        for _, item in ipairs(page and page.items or {}) do
            known.names:set(nameOf(membership, messageOf(item.content)), true)
        end
    end
    return known
end

function nameOf(membership, stanza)
    local id = stanzaIdBy(stanza, membership.room)
    if id ~= nil then
        return id
    end
    local from = stanza.attr.from or ""
    return from .. " " .. (stanza.attr.id or "") .. " " .. (stanza:get_child_text("body") or "")
end

store = openMessages(options.personalArchive)
READ_BACK = 50
knownMessages = setmetatable({}, {__mode = "k"})

--- Whether mod_mam is loaded.
function archive_personal.hasPersonalArchive()
    return hasModule("mam")
end

--- `archive-should-store`: mod_mam leaves out messages of rooms by default. A message on its way to a room comes back
-- from it. History of a join is stored already, or is added as missed.
function archive_personal.onShouldStore(event)
    local stanza = event.stanza
    local room = jids.bare(stanza.attr.from or "")
    local membership = findMembership(stanza.attr.to or "", room)
    if membership == nil or stanza.attr.type ~= "groupchat" then
        return nil
    end
    local isPast = isAnswering(membership) and delayOf(stanza, room) ~= nil
    if not isWorthKeeping(stanza) or isPast then
        return false
    end
    knownMessagesOf(membership).names:set(nameOf(membership, stanza), true)
    return true
end

--- Adds a missed message at the end, the only possible place. Returns whether it is new.
function archive_personal.addMissed(membership, delayed, when)
    local knownMessagesOf_result_0 = knownMessagesOf(membership)
    local names = knownMessagesOf_result_0.names
    local isRead = knownMessagesOf_result_0.isRead
    local name = nameOf(membership, delayed)
    if not isWorthKeeping(delayed) or names:get(name) ~= nil then
        return false
    end
    local content = st.clone(delayed)
    content:maptags(function(tag)
        if isDelayBy(tag, membership.room) then
            return nil
        else
            return tag
        end
    end)
    local outcome = isRead and (appendMessage(store, membership.username, content, when, membership.room)) or "failed"
    local catchUp = membership.catchUp
    local progress = catchUp and catchUp.progress
    if outcome == "failed" and (progress and progress.step) == "querying" then
        progress.failed = true
    elseif outcome == "stored" then
        names:set(name, true)
    end
    return outcome == "stored"
end
end

-- src/archive/window.ts
--
-- Reads the entries of a room's log around a time, to search for a message of the past. A room may have many messages in
-- these seconds. Reading them all at once would block the server, so they are read in steps.
local archive_window = {}
do
local newWindow, keepWindow, addAll, addToWindow, WINDOW_SIZE, WINDOW_KEPT
local entryOf = archive_entries.entryOf
local keyOf = archive_entries.keyOf
local store = archive_entries.store
local monotonic = state_clock.monotonic
local wallClock = state_clock.wallClock
local findMessages = state_messages.findMessages
local mayHaveMore = state_messages.mayHaveMore
local messageOf = state_messages.messageOf
local stanzaIdBy = minimix_stanzas.stanzaIdBy

function newWindow(from)
    local now = monotonic()
    return {
        from = from,
        to = from + 1,
        left = WINDOW_SIZE,
        start = from - archive_window.SKEW,
        after = nil,
        readAt = now,
        ["until"] = now + WINDOW_KEPT,
        size = 0,
        entries = {},
        others = {},
        ids = {}
    }
end

function keepWindow(log, window)
    log.window = window
    module:add_timer(WINDOW_KEPT, function()
        if log.window ~= nil and monotonic() >= log.window["until"] then
            log.window = nil
        end
        return nil
    end)
end

function addAll(log, window, found)
    local weight = 0
    local before
    for _, entry in ipairs(window.entries) do
        before = entry.privateTo == nil and entry.number or before
    end
    for _, stored in ipairs(found) do
        local entry = entryOf(stored, before)
        addToWindow(log, window, entry, messageOf(stored.content))
        before = entry.privateTo == nil and entry.number or before
        weight = weight + stored.weight
    end
    return weight
end

function addToWindow(log, window, entry, stanza)
    local archiveId
    if entry.privateTo == nil then
        archiveId = stanzaIdBy(stanza, log.room)
    end
    entry.name = archive_window.nameOf(log, stanza) or false
    local entries = window.entries
    entries[#entries + 1] = entry
    window.size = window.size + string.len(entry.text)
    if archiveId == nil then
        local others = window.others
        others[#others + 1] = entry
    else
        window.ids[archiveId] = entry
    end
end

--- Returns the sender of a message and its id by the room, or else by the sender. Undefined without an id.
function archive_window.nameOf(log, stanza)
    local id = stanzaIdBy(stanza, log.room) or stanza.attr.id
    if id == nil then
        return nil
    else
        return (stanza.attr.from or "") .. "\n" .. id
    end
end

--- Entries to read in a step, and bytes of memory.
local STEP = 50
local STEP_SIZE = 65536
WINDOW_SIZE = 393216
WINDOW_KEPT = 60
--- Seconds after which an unfinished window may be replaced: its account may no longer need it.
local ABANDONED = 1
--- Seconds that unlimited reading may take in a period. Otherwise a room's history could block the server.
local READ_TIME = 0.01
local READ_PERIOD = 0.1
--- Largest difference between a room's clock and ours, in seconds.
archive_window.SKEW = 10

--- Whether entries from before `tail` are needed to search for a message of this time.
function archive_window.isBeforeTail(log, when)
    local oldest = log.tail[1]
    return oldest ~= nil and not log.isComplete and (when <= oldest.storedAt + archive_window.SKEW or when > wallClock() + archive_window.SKEW)
end

local periodEnd = 0
local readTime = 0

--- Whether there is time to read outside of slices.
function archive_window.mayRead()
    local now = monotonic()
    if now > periodEnd then
        periodEnd = now + READ_PERIOD
        readTime = 0
    end
    return readTime < READ_TIME
end

--- Returns the entries around a time that have been read.
function archive_window.windowAt(log, from)
    local window = log.window
    return window ~= nil and from >= window.from and from < window.to and window or nil
end

--- Reads some of the entries around a time that have not been read. An account that catches up searches for messages in
-- order. So several entries are read at a time, starting at this time. Returns all that were read. Undefined if storage
-- failed.
function archive_window.readWindow(log, from)
    local window = archive_window.windowAt(log, from) or newWindow(from)
    local started = monotonic()
    local size = math.min(window.left, STEP_SIZE)
    local query = {start = window.start, after = window.after, limit = STEP}
    local found = findMessages(store, keyOf(log.room), query, size)
    if found == nil then
        log.window = nil
        return nil
    end
    if window.after == nil then
        keepWindow(log, window)
    end
    local last
    if mayHaveMore(found, STEP, size) then
        last = found[#found]
    end
    local left = window.left - addAll(log, window, found)
    local isDone = last == nil or last.when - archive_window.SKEW > window.from
    window.to = last == nil and math.huge or math.max(last.when - archive_window.SKEW, window.from + 1)
    window.after = last and last.id
    window.start = math.max(window.start, (last and last.when or 0) - 1)
    window.left = isDone and 0 or math.max(left, 0)
    window.readAt = monotonic()
    readTime = readTime + window.readAt - started
    return window
end

--- Whether more entries of these seconds are to be read.
function archive_window.isUnfinished(window)
    return window.left > 0
end

--- Whether an account is reading entries around another time. It needs several steps.
function archive_window.isInUse(log, from)
    local window = log.window
    local isRead = window == nil or not archive_window.isUnfinished(window) or archive_window.windowAt(log, from) ~= nil
    return not isRead and monotonic() < window.readAt + ABANDONED
end

--- Adds a new entry of the log to the window if that ends at the newest entry.
function archive_window.extendWindow(log, entry, stanza)
    local window = log.window
    if (window and window.to) == math.huge then
        addToWindow(log, window, entry, stanza)
        if window.size > WINDOW_SIZE then
            log.window = nil
        end
    end
end
end

-- src/archive/log.ts
--
-- Finds the entry of a message that is in the room's log already: another account's copy, or a repetition by the room's
-- archive.
local archive_log = {}
do
local recordOwn, isAnothers, entryFor, appendsOutOfOrder, newEntry, isNamed, pastEntry, notPlaced, mustPlace, newestTime, add, isSaidAs, asSaid, findEntry, startOfSearch, windowAround, findInWindow, withoutDelay, none, MOST_COMPARED, added, AHEAD
local append = archive_entries.append
local loadTail = archive_entries.loadTail
local stanzaOf = archive_entries.stanzaOf
local deliver = archive_delivered.deliver
local isFor = archive_delivered.isFor
local closeMissedSoon = archive_delivered.closeMissedSoon
local MUC_USER = namespaces.MUC_USER
local OCCUPANT_ID = namespaces.OCCUPANT_ID
local STANZA_ID = namespaces.STANZA_ID
local options = minimix_options
local wallClock = state_clock.wallClock
local rangesOf = state_deliveries.rangesOf
local delayBy = minimix_stanzas.delayBy
local isDelayBy = minimix_stanzas.isDelayBy
local isWorthKeeping = minimix_stanzas.isWorthKeeping
local stanzaIdBy = minimix_stanzas.stanzaIdBy
local textOf = minimix_text.textOf
local addMissed = archive_personal.addMissed
local extendWindow = archive_window.extendWindow
local isBeforeTail = archive_window.isBeforeTail
local isInUse = archive_window.isInUse
local isUnfinished = archive_window.isUnfinished
local mayRead = archive_window.mayRead
local nameOf = archive_window.nameOf
local readWindow = archive_window.readWindow
local SKEW = archive_window.SKEW
local windowAt = archive_window.windowAt

function recordOwn(membership, stanza)
    local past = archive_log.pastOf(membership.room, stanza)
    return past == nil or addMissed(membership, stanza, past)
end

function isAnothers(entry, membership)
    return (entry and entry.privateTo) ~= nil and entry.privateTo ~= membership.username
end

function entryFor(log, membership, part, stanza)
    local past = archive_log.pastOf(log.room, stanza)
    if past == nil then
        return newEntry(log, membership, part, stanza)
    else
        return pastEntry(log, membership, part, stanza, past)
    end
end

function appendsOutOfOrder(membership)
    local catchUp = membership.catchUp
    return (catchUp and catchUp.appendOutOfOrder) == true
end

--- Returns the time of a message of the past, in seconds.
function archive_log.pastOf(room, stanza)
    local stamp = delayBy(stanza, room)
    local past
    if stamp ~= nil then
        past = datetime.parse(stamp)
    end
    if past == nil then
        return nil
    else
        return math.floor(past)
    end
end

function newEntry(log, membership, part, stanza)
    local privateTo
    local same
    for i = #log.tail, 1, -1 do
        local entry = log.tail[i]
        if entry == nil or entry.number <= part.position then
            break
        end
        if entry.privateTo == nil or entry.privateTo == membership.username then
            if entry.text == textOf(stanza) then
                same = entry
            elseif isNamed(log, entry, nameOf(log, stanza)) then
                privateTo = membership.username
            end
        end
    end
    return same or add(log, stanza, wallClock(), privateTo)
end

function isNamed(log, entry, name)
    if entry.name == nil then
        local stanza = stanzaOf(entry)
        local entry_11 = entry
        local temp_10
        if stanza ~= nil then
            temp_10 = nameOf(log, stanza)
        end
        entry_11.name = temp_10 or false
    end
    return name ~= nil and entry.name == name
end

function pastEntry(log, membership, part, stanza, when)
    local ranges = rangesOf(membership.username, log.room)
    local canRead = archive_log.canRecordPast(membership)
    if not canRead and not mustPlace(membership) then
        notPlaced(membership)
        return nil
    end
    local content = withoutDelay(log, stanza)
    local archiveId = stanzaIdBy(content, log.room)
    local search = {content = content, text = textOf(content), name = nameOf(log, content), compared = 0}
    local function matches(entry)
        return not isAnothers(entry, membership) and (entry.text == search.text or isNamed(log, entry, search.name) and (isFor(membership.username, ranges, part.position, entry.number, entry.privateTo) or isSaidAs(entry, search)))
    end
    local entry = findEntry(log.tail, search, matches) or findEntry(log.unwritten or none, search, matches)
    local isInMemory = entry ~= nil or not canRead or not isBeforeTail(log, when)
    local window
    if not isInMemory then
        window = windowAround(log, membership, startOfSearch(membership, when))
    end
    if window == "failed" and not mustPlace(membership) then
        notPlaced(membership)
        return nil
    end
    if window ~= nil and window ~= "failed" then
        entry = findInWindow(window, archiveId, search, matches)
    end
    if entry ~= nil then
        return entry.privateTo == nil and entry or nil
    end
    local earliest = newestTime(log)
    if when < earliest and not appendsOutOfOrder(membership) then
        return nil
    end
    local entered = add(log, content, math.min(math.max(when, earliest), wallClock() + AHEAD), nil)
    if entered ~= nil then
        entered.name = search.name or false
    end
    return entered
end

--- Whether it is known which messages of the past an account has.
function archive_log.canRecordPast(membership)
    local part = membership.part
    local log = part and part.log
    return log == nil or select(2, rangesOf(membership.username, log.room)) and loadTail(log)
end

function notPlaced(membership)
    local catchUp = membership.catchUp
    local progress = catchUp and catchUp.progress
    if (progress and progress.step) == "querying" or (progress and progress.step) == "draining" then
        progress.failed = true
    end
    if membership.part ~= nil then
        membership.part.log.source = nil
    end
end

function mustPlace(membership)
    local catchUp = membership.catchUp
    local progress = catchUp and catchUp.progress
    return (progress and progress.step) == "draining" and progress.isForced
end

function newestTime(log)
    local newest = log.tail[#log.tail]
    return (newest == nil or newest.when > wallClock() + SKEW) and 0 or newest.when
end

function add(log, stanza, when, privateTo)
    local entry = append(log, stanza, when, privateTo)
    if entry ~= nil then
        if log.unwritten ~= nil then
            entry.name = nameOf(log, stanza) or false
        end
        extendWindow(log, entry, stanza)
        if privateTo == nil then
            closeMissedSoon(log)
        end
    end
    return entry
end

function isSaidAs(entry, search)
    search.compared = search.compared + 1
    local stanza
    if search.compared > MOST_COMPARED then
        stanza = nil
    else
        stanza = stanzaOf(entry)
    end
    return stanza ~= nil and textOf(asSaid(stanza)) == textOf(asSaid(search.content))
end

function asSaid(stanza)
    local said = st.clone(stanza)
    said:maptags(function(tag)
        if added[tag.attr.xmlns or ""] ~= nil then
            return nil
        else
            return tag
        end
    end)
    return said
end

function findEntry(entries, search, matches)
    local name = search.name or false
    for _, entry in ipairs(entries) do
        if (entry.name == nil or entry.name == name) and matches(entry) then
            return entry
        end
    end
    return nil
end

function startOfSearch(membership, when)
    local catching = membership.catchUp
    local isResult = (catching and catching.progress.step) == "querying" and not mayRead()
    return isResult and math.max(when, catching.latest) or when
end

function windowAround(log, membership, from)
    local window = windowAt(log, from)
    local isRead = window ~= nil and not isUnfinished(window)
    local isInSlices = membership.catchUp ~= nil and not mustPlace(membership)
    if isRead or not (isInSlices or mayRead()) then
        return window
    else
        return readWindow(log, from) or "failed"
    end
end

function findInWindow(window, archiveId, search, matches)
    local entry
    if archiveId ~= nil then
        entry = window.ids[archiveId]
    end
    if entry ~= nil and matches(entry) then
        return entry
    end
    return findEntry((archiveId == nil or entry ~= nil) and window.entries or window.others, search, matches)
end

function withoutDelay(log, stanza)
    local content = st.clone(stanza)
    content.attr.to = nil
    content:maptags(function(tag)
        if isDelayBy(tag, log.room) then
            return nil
        else
            return tag
        end
    end)
    return content
end

none = {}
MOST_COMPARED = 5
added = {}
added[MUC_USER] = true
added[OCCUPANT_ID] = true
added[STANZA_ID] = true
AHEAD = 100 * 86400

--- Records a message that an account received. Returns whether it is archived and new to the account. A local room
-- passes the same table for every account (muc.lib.lua, broadcast). So most calls only move the account on from the
-- previous entry.
function archive_log.record(membership, stanza)
    local part = membership.part
    if part == nil then
        return options.archive == "mam" and recordOwn(membership, stanza)
    end
    local log = part.log
    local latest = log.current
    if (latest and latest.before) == part.position and log.source == stanza and part.range ~= nil and part.range ~= false then
        part.position = latest.number
        return true
    end
    if log.source ~= stanza or isAnothers(latest, membership) then
        log.source = stanza
        if isWorthKeeping(stanza) then
            log.current = entryFor(log, membership, part, stanza)
        else
            log.current = nil
        end
    end
    local entry = log.current
    return entry ~= nil and deliver(membership, log, part, entry)
end

--- Reads some of the entries that a search for a message of the past needs. Returns whether all are read. Then the search
-- must follow at once, because another account may need other entries.
function archive_log.readForSearch(membership, stanza)
    local part = membership.part
    local log = part and part.log
    local when
    if log ~= nil then
        when = archive_log.pastOf(log.room, stanza)
    end
    if log == nil or when == nil or not archive_log.canRecordPast(membership) or not isBeforeTail(log, when) then
        return true
    end
    local from = startOfSearch(membership, when)
    if isInUse(log, from) then
        return false
    end
    local window = windowAround(log, membership, from)
    return window == nil or window == "failed" or not isUnfinished(window)
end
end

-- src/archive/retention.ts
--
-- Lifetime of messages. Their time stamps are from the wall clock, which may be wrong by years. After a jump forward no
-- message is deleted for a week.
local archive_retention = {}
do
local lookAtClock, JUMP, DOWNTIME, DOUBT, lead, isStarted, doubtUntil
local options = minimix_options
local monotonic = state_clock.monotonic
local wallClock = state_clock.wallClock
local aliveAt = state_numbers.aliveAt
local noteAlive = state_numbers.noteAlive

function lookAtClock()
    local now = wallClock()
    local latest = now - monotonic()
    local hasJumped = latest - lead > JUMP or not isStarted and now - aliveAt() > DOWNTIME
    lead = latest
    isStarted = true
    if hasJumped and options.archiveExpiresAfter ~= math.huge then
        doubtUntil = monotonic() + DOUBT
        module:log("warn", "The clock has jumped forward: no message is deleted for a week")
    end
end

JUMP = 3600
DOWNTIME = 7 * 86400
DOUBT = 7 * 86400
lead = wallClock() - monotonic()
isStarted = false
doubtUntil = -math.huge

--- Returns the time in seconds before which messages have expired.
function archive_retention.expiryTime()
    lookAtClock()
    return monotonic() < doubtUntil and -math.huge or wallClock() - options.archiveExpiresAfter
end

--- Records that the server is running, unless the clock is not trusted.
function archive_retention.noteRunning()
    lookAtClock()
    if monotonic() >= doubtUntil then
        noteAlive(wallClock())
    end
end
end

-- src/archive/read.ts
--
-- Reads the messages that an account got of a room's log.
local archive_read = {}
do
local lastOf, startReadingBefore, readLater
local startReading = archive_page.startReading
local loadTail = archive_entries.loadTail
local keyOf = archive_entries.keyOf
local parseLabel = archive_entries.parseLabel
local stanzaOf = archive_entries.stanzaOf
local store = archive_entries.store
local timeOf = archive_entries.timeOf
local isFor = archive_delivered.isFor
local positionOf = archive_delivered.positionOf
local hasPersonalArchive = archive_personal.hasPersonalArchive
local startReadingRoom = archive_personal.startReadingRoom
local expiryTime = archive_retention.expiryTime
local options = minimix_options
local allRangesOf = state_deliveries.allRangesOf
local rangesOf = state_deliveries.rangesOf
local messageOf = state_messages.messageOf
local findMembership = state_memberships.findMembership
local occupantJid = state_memberships.occupantJid

function lastOf(ranges)
    local last = ranges and ranges[#ranges]
    return last == nil and 0 or (last.last or math.huge)
end

function startReadingBefore(archive, isInRange, most, since)
    local earlier = {
        store = store,
        key = archive.key,
        label = nil,
        isOrdered = true,
        timeOf = timeOf,
        mayRead = function(label) return isInRange((parseLabel(label))) and archive.mayRead(label) end
    }
    return startReading(
        {earlier},
        {wants = function() return true end, start = since, reverse = true, max = most}
    )
end

function readLater(reading, visit)
    local items
    local rest
    rest = {
        failed = false,
        step = function()
            if items ~= nil then
                local item = table.remove(items)
                return item == nil or visit({when = item.stamp, stanza = messageOf(item.content)})
            end
            if reading.step() then
                rest.failed = reading.failed
                local page = reading.page
                items = page and page.items or {}
            end
            return false
        end
    }
    return rest
end

--- Returns the part of a room's log that an account got, also after it left. Undefined if it never was in the room, or
-- storage failed.
function archive_read.archiveOf(username, room)
    local rooms = allRangesOf(username)
    if rooms == nil then
        return false, nil
    end
    local ranges = rooms[room] or {}
    local opt_0 = findMembership(occupantJid(username), room)
    local part = opt_0 and opt_0.part
    if rooms[room] == nil and part == nil then
        return true, nil
    end
    local position = positionOf(part)
    local archive = {
        store = store,
        key = keyOf(room),
        label = nil,
        isOrdered = true,
        timeOf = timeOf,
        mayRead = function(label)
            local number, privateTo = parseLabel(label)
            return isFor(username, ranges, position, number, privateTo)
        end
    }
    return true, archive
end

--- Returns the rooms with messages for an account, also those that it has left. The room with the latest message comes
-- first. Undefined if storage failed.
function archive_read.roomsRead(username)
    local ranges = allRangesOf(username)
    if ranges == nil then
        return nil
    end
    local rooms = {}
    for room in pairs(ranges) do
        rooms[#rooms + 1] = room
    end
    table.sort(rooms, function(one, other)
        local last = lastOf(ranges[one])
        local lastOfOther = lastOf(ranges[other])
        if last == lastOfOther then
            return one < other
        else
            return last > lastOfOther
        end
    end)
    return rooms
end

--- What an account was told last in its room, newest first: so many messages, none from before `since`, in seconds, and
-- only entries with a number higher than `after`. `visit` returns true to end it. What is not in memory is left to be
-- read; undefined if that is nothing.
function archive_read.readBack(membership, most, since, visit, after)
    if after == nil then
        after = -math.huge
    end
    if options.archive == "mam" then
        return readLater(startReadingRoom(membership, most, since), visit)
    end
    local part = membership.part
    local username = membership.username
    if part == nil then
        return nil
    end
    local log = part.log
    local ranges, isKnown = rangesOf(username, membership.room)
    local isLoaded = loadTail(log) and isKnown
    local earliest = math.max(since, expiryTime())
    local left = most
    for i = #log.tail, 1, -1 do
        local entry = log.tail[i]
        if entry ~= nil and isFor(username, ranges, part.position, entry.number, entry.privateTo) then
            if left == 0 or entry.when < earliest or entry.number <= after then
                return nil
            end
            local stanza = stanzaOf(entry)
            if stanza ~= nil and visit({when = entry.when, stanza = stanza}) then
                return nil
            end
            left = left - 1
        end
    end
    local oldest = log.tail[1]
    if not isLoaded then
        return {step = function() return true end, failed = true}
    end
    if oldest == nil or log.isComplete or left == 0 or oldest.number <= after then
        return nil
    end
    local done, archive = archive_read.archiveOf(username, membership.room)
    if not done or archive == nil then
        return {step = function() return true end, failed = true}
    end
    local function isInRange(number)
        return number < oldest.number and number > after
    end
    return readLater(startReadingBefore(archive, isInRange, left, earliest), visit)
end

--- Returns the last message that an account received in its room, since it joined, and whether it could be read.
function archive_read.newestOf(membership)
    local newest
    local function take(said)
        newest = said
        return true
    end
    local after
    if options.archive == true then
        after = membership.sinceNumber
    end
    local rest = archive_read.readBack(membership, 1, after == nil and (membership.since or 0) or 0, take, after)
    while (rest and rest.step()) == false do
    end
    return (rest and rest.failed) ~= true, newest
end

--- Whether missed messages of the room can be fetched and stored.
function archive_read.isKept(membership)
    if options.archive == "mam" then
        return hasPersonalArchive()
    else
        return membership.part ~= nil
    end
end
end

-- src/archive/buffer.ts
--
-- Buffers messages of a room while messages before them may be missing. They go into the log when the gap is closed or
-- given up.
local archive_buffer = {}
do
local isInterrupted, newCatchUp, hasArrived, isSame, takeBufferedId, messageIdOf, drain, drainInSlices, hasEarlier, isLate, unseenFirst, forgetDrained, drainOne, place, isRepeated, passOver, PAUSE, FLUSH
local options = minimix_options
local fork = send_fork.fork
local inSlices = slices.inSlices
local monotonic = state_clock.monotonic
local wallClock = state_clock.wallClock
local noteDrop = state_counters.noteDrop
local noteOver = state_limits.noteOver
local addDelay = minimix_stanzas.addDelay
local delayBy = minimix_stanzas.delayBy
local stanzaIdBy = minimix_stanzas.stanzaIdBy
local weightOf = minimix_weight.weightOf
local openPart = archive_delivered.openPart
local writeInSlices = archive_entries.writeInSlices
local pastOf = archive_log.pastOf
local readForSearch = archive_log.readForSearch
local record = archive_log.record
local isKept = archive_read.isKept
local newestOf = archive_read.newestOf
local expiryTime = archive_retention.expiryTime

function isInterrupted(catching)
    return catching.progress.step == "draining" and not catching.progress.isFull
end

function newCatchUp(before)
    local earlier = before == nil and 0 or #before.buffer - before.drained
    return {
        progress = {step = "idle"},
        since = wallClock(),
        start = before and before.start,
        position = nil,
        earliest = nil,
        last = nil,
        blocked = nil,
        buffer = before and before.buffer or {},
        drained = before and before.drained or 0,
        earlier = earlier > 0 and earlier or nil,
        weight = before and before.weight or 0,
        bufferedIds = before and before.bufferedIds or {},
        left = options.maxHistory,
        latest = 0,
        appendOutOfOrder = false
    }
end

--- Archives a missed message, and sends it to the sessions that were attached all the time, if it is new. The session
-- `except` has got it.
function archive_buffer.deliverMissed(membership, delayed, except)
    local isSeen = takeBufferedId(membership, delayed)
    if record(membership, delayed) and not isSeen then
        fork(membership, delayed, except)
    end
end

--- Returns the time to request messages from, in seconds: that of the last message or of the join. Expired messages are
-- not requested. If the clock was set back since then, it is the start of the buffering.
function archive_buffer.startOf(membership, catching, newest)
    local known = newest == nil and (membership.since or math.huge) or newest.when
    local oldest = options.archive == true and expiryTime() or known
    return math.min(math.max(known, oldest), catching.since)
end

function hasArrived(membership, catching, message)
    local messageId = messageIdOf(membership, message)
    if messageId ~= nil and catching.bufferedIds[messageId] ~= nil then
        return true
    end
    return catching.last ~= nil and isSame(membership, catching.last, message)
end

function isSame(membership, one, other)
    local messageId = messageIdOf(membership, one)
    if messageId ~= nil then
        return messageId == messageIdOf(membership, other)
    end
    return one.attr.from == other.attr.from and one:get_child_text("body") == other:get_child_text("body")
end

function takeBufferedId(membership, delayed)
    local catching = membership.catchUp
    local messageId = messageIdOf(membership, delayed)
    if catching == nil or messageId == nil or catching.bufferedIds[messageId] == nil then
        return false
    end
    catching.bufferedIds[messageId] = nil
    return true
end

function messageIdOf(membership, stanza)
    local own
    if stanza.attr.id ~= nil then
        own = (stanza.attr.from or "") .. " " .. stanza.attr.id
    end
    return stanzaIdBy(stanza, membership.room) or own
end

function drain(membership, catching, isFull)
    if catching.progress.step ~= "draining" then
        local draining = {step = "draining", isFull = isFull, isForced = false, failed = false}
        catching.progress = draining
        catching.appendOutOfOrder = true
        catching.earlier = nil
        catching.buffer = unseenFirst(catching.buffer)
        drainInSlices(membership, catching, draining)
    end
end

function drainInSlices(membership, catching, draining)
    inSlices(function()
        if membership.catchUp ~= catching then
            return true
        end
        local buffered = catching.buffer[catching.drained + 1]
        if buffered ~= nil and not readForSearch(membership, buffered.stanza) then
            return false
        end
        drainOne(membership, catching, draining, false)
        if draining.failed then
            module:add_timer(PAUSE, function()
                drainInSlices(membership, catching, draining)
                return nil
            end)
        end
        return draining.failed or membership.catchUp ~= catching
    end)
end

--- Moves the messages from before the gap into the log. Returns whether none is left: storage may fail, and much history
-- takes several calls.
function archive_buffer.drainEarlier(membership, catching)
    if not hasEarlier(catching) then
        return true
    end
    local draining = {step = "draining", isFull = false, isForced = false, failed = false}
    local deadline = monotonic() + FLUSH
    catching.progress = draining
    catching.appendOutOfOrder = true
    while true do
        local temp_25 = hasEarlier(catching) and not draining.failed
        if temp_25 then
            local isLate_result_24 = isLate(membership, deadline)
            if isLate_result_24 then
                local opt_22 = catching.buffer[catching.drained + 1]
                isLate_result_24 = (opt_22 and opt_22.seen) == false
            end
            temp_25 = not isLate_result_24
        end
        if not temp_25 then
            break
        end
        drainOne(membership, catching, draining, false)
    end
    catching.progress = {step = "idle"}
    return not hasEarlier(catching)
end

function hasEarlier(catching)
    return catching.earlier ~= nil
end

function isLate(membership, deadline)
    local late = monotonic() > deadline
    local late_28 = late
    if late_28 then
        local part = membership.part
        late_28 = (part and part.log) ~= nil
    end
    if late_28 then
        writeInSlices(membership.part.log)
    end
    return late
end

function unseenFirst(buffer)
    local ordered = {}
    for _, seen in ipairs({false, true}) do
        for _, buffered in ipairs(buffer) do
            if buffered.seen == seen then
                ordered[#ordered + 1] = buffered
            end
        end
    end
    return ordered
end

function forgetDrained(catching)
    local rest = {}
    for i = catching.drained + 1, #catching.buffer do
        local buffered = catching.buffer[i]
        if buffered ~= nil then
            rest[#rest + 1] = buffered
        end
    end
    catching.buffer = rest
    catching.drained = 0
end

function drainOne(membership, catching, draining, mustLeave)
    local buffered = catching.buffer[catching.drained + 1]
    if buffered == nil then
        membership.catchUp = nil
        return
    end
    draining.isForced = mustLeave and buffered.seen
    place(membership, catching, draining, buffered)
    if draining.failed and not mustLeave then
        return
    end
    if draining.failed then
        noteDrop("limit")
    end
    passOver(membership, catching)
end

function place(membership, catching, draining, buffered)
    draining.failed = false
    if buffered.seen then
        record(membership, buffered.stanza)
    elseif not isRepeated(membership, catching, draining, buffered) then
        archive_buffer.deliverMissed(membership, buffered.stanza)
    end
end

function isRepeated(membership, catching, draining, buffered)
    if options.archive == "mam" then
        return false
    end
    if catching.start == nil then
        local isRead, newest = newestOf(membership)
        if not isRead then
            draining.failed = true
            return true
        end
        catching.start = archive_buffer.startOf(membership, catching, newest)
    end
    return (pastOf(membership.room, buffered.stanza) or buffered.when) < math.floor(catching.start)
end

function passOver(membership, catching)
    local buffered = catching.buffer[catching.drained + 1]
    if buffered ~= nil then
        local messageId
        if buffered.seen then
            messageId = messageIdOf(membership, buffered.stanza)
        end
        if messageId ~= nil then
            catching.bufferedIds[messageId] = nil
        end
        local earlier = catching.earlier or 0
        catching.drained = catching.drained + 1
        catching.earlier = earlier > 1 and earlier - 1 or nil
        catching.weight = catching.weight - buffered.weight
        if 2 * catching.drained > #catching.buffer then
            forgetDrained(catching)
        end
    end
    return buffered
end

PAUSE = 5
FLUSH = 0.005

--- Starts to buffer, because messages of the room may have been lost. Buffering ends when the archive has been asked.
-- The log is in order of time, and the last message before a gap tells where the gap begins.
function archive_buffer.startBuffering(membership)
    openPart(membership)
    local before = membership.catchUp
    if (before == nil or isInterrupted(before)) and isKept(membership) then
        local catching = newCatchUp(before)
        membership.catchUp = catching
        archive_buffer.drainEarlier(membership, catching)
    end
end

--- Missed messages are requested from a time on. In the second of its join, or of its last message if that is older, the
-- room may have sent messages that the account must not read. `newest` is the last message that the account has.
function archive_buffer.beginAt(membership, catching, start, newest)
    local known
    if newest == nil then
        known = membership.since
    else
        known = newest.when
    end
    local mayBeOlder = start == known and start <= (membership.since or -1)
    catching.earliest = mayBeOlder and math.floor(start) + 1 or nil
    catching.last = newest and newest.stanza
end

--- Whether a message of the past may be older than the account's join. A message that has also arrived live is not, nor
-- are those after it.
function archive_buffer.isBeforeJoin(membership, catching, message, when)
    local earliest = catching.earliest
    local isOlder = earliest ~= nil and when < earliest and not hasArrived(membership, catching, message)
    if not isOlder then
        catching.earliest = nil
    end
    return isOlder
end

--- Whether the room is answering an automatic join. Then the history is for the account, and not for a session.
local function answersOwnJoin(membership)
    local current = membership.place
    return current.phase == "entering" and current.operation.request == nil
end

--- Buffers a message of the room, which belongs after the missing ones. The room's archive may have it too.
function archive_buffer.bufferMessage(membership, catching, stanza, seen)
    local when = wallClock()
    local past
    if seen or not answersOwnJoin(membership) then
        past = nil
    else
        past = pastOf(membership.room, stanza) or when
    end
    if past ~= nil and archive_buffer.isBeforeJoin(membership, catching, stanza, past) then
        return
    end
    local copy = st.clone(stanza)
    if delayBy(copy, membership.room) == nil then
        addDelay(copy, membership.room, when)
    end
    local messageId = messageIdOf(membership, copy)
    if messageId ~= nil and seen then
        catching.bufferedIds[messageId] = true
    end
    local weight = weightOf(copy) + string.len(seen and (messageId or "") or "")
    local buffer = catching.buffer
    buffer[#buffer + 1] = {stanza = copy, when = when, seen = seen, weight = weight}
    catching.weight = catching.weight + weight
    local isOver = #catching.buffer - catching.drained > options.maxHistory or catching.weight > options.maxGapSize
    if isOver and catching.progress.step == "draining" then
        drainOne(membership, catching, catching.progress, true)
        drainOne(membership, catching, catching.progress, true)
    elseif isOver then
        noteOver("minimix_max_gap_size", membership.username, membership.room)
        drain(membership, catching, true)
    end
end

--- Visits the buffered messages that are not in the log, newest first, until `visit` returns true.
function archive_buffer.readBuffered(membership, visit)
    local catching = membership.catchUp
    if catching == nil then
        return
    end
    for i = #catching.buffer, catching.drained + 1, -1 do
        local buffered = catching.buffer[i]
        local messageId
        if buffered ~= nil then
            messageId = messageIdOf(membership, buffered.stanza)
        end
        local isPlaced = messageId ~= nil and catching.bufferedIds[messageId] == nil
        if (buffered and buffered.seen) == true and not isPlaced and visit(buffered) then
            return
        end
    end
end

--- Moves the buffered messages into the log, after the missed messages that the room sent.
function archive_buffer.endCatchUp(membership)
    if membership.catchUp ~= nil then
        drain(membership, membership.catchUp, false)
    end
end

--- Does the same at once: the account is out of the room, and its messages must be in the log by then. After some time
-- messages are only queued for storage, and history that no session has received is dropped.
function archive_buffer.flush(membership)
    archive_buffer.endCatchUp(membership)
    local catching = membership.catchUp
    local deadline = monotonic() + FLUSH
    while catching ~= nil and membership.catchUp == catching and catching.progress.step == "draining" do
        local isLate_result_21 = isLate(membership, deadline)
        if isLate_result_21 then
            local opt_19 = catching.buffer[catching.drained + 1]
            isLate_result_21 = (opt_19 and opt_19.seen) == false
        end
        if isLate_result_21 then
            noteDrop("limit")
            passOver(membership, catching)
        else
            drainOne(membership, catching, catching.progress, true)
        end
    end
end
end

-- src/archive/history.ts
--
-- Sends history to an attaching session, up to the limits that it asks for (XEP-0045 7.2.14).
local archive_history = {}
do
local select, lengthOf, limitsOf
local wallClock = state_clock.wallClock
local readBlocklist = settings_blocklist.readBlocklist
local silences = settings_blocklist.silences
local readBuffered = archive_buffer.readBuffered
local readBack = archive_read.readBack
local MUC = namespaces.MUC
local options = minimix_options
local addDelay = minimix_stanzas.addDelay
local splitOccupant = minimix_stanzas.splitOccupant
local sendTo = send_fork.sendTo
local sendInSlices = send_outlet.sendInSlices
local noteOver = state_limits.noteOver
local weightOf = minimix_weight.weightOf

function select(membership, session, limits, messages)
    local room = membership.room
    local isRead, blocklist = readBlocklist(membership.username)
    if not isRead then
        return nil
    end
    local chars = 0
    local weight = 0
    local selection = {isEnough = false}
    local function take(said)
        local _, nick = splitOccupant(said.stanza.attr.from or "")
        if blocklist ~= nil and nick ~= nil and silences(blocklist, room, nick) then
            return false
        end
        chars = chars + (limits.chars == math.huge and 0 or lengthOf(archive_history.delayed(room, said), session))
        weight = weight + weightOf(said.stanza)
        if weight > options.maxHistorySize then
            noteOver("minimix_max_history_size", membership.username, room)
        end
        selection.isEnough = #messages >= limits.stanzas or said.when < limits.since or chars > limits.chars or weight > options.maxHistorySize
        if not selection.isEnough then
            messages[#messages + 1] = said
        end
        return selection.isEnough
    end
    readBuffered(membership, take)
    if selection.isEnough then
        return nil
    else
        return readBack(membership, limits.stanzas - #messages, limits.since, take)
    end
end

function lengthOf(message, session)
    message.attr.to = session
    return string.len(tostring(message))
end

--- Returns a message of the past as a room sends it, with a delay.
function archive_history.delayed(room, said)
    local message = st.clone(said.stanza)
    addDelay(message, room, math.floor(said.when))
    return message
end

function limitsOf(join)
    local x = join:get_child("x", MUC)
    local wish = x and x:get_child("history")
    local attr = wish == nil and {} or wish.attr
    local stanzas = tonumber(attr.maxstanzas)
    local chars = tonumber(attr.maxchars)
    local seconds = tonumber(attr.seconds)
    local stamp
    if attr.since ~= nil then
        stamp = datetime.parse(attr.since)
    end
    local bounded = chars ~= nil or seconds ~= nil or stamp ~= nil
    return {
        stanzas = math.min(stanzas or (bounded and options.maxHistory or options.history), options.maxHistory),
        chars = chars or math.huge,
        since = math.max(stamp or 0, seconds == nil and 0 or wallClock() - seconds)
    }
end

--- Sends the account's history of the room to a session, oldest first. Later messages are not part of it: messages in
-- memory are chosen at once, and the others are older.
function archive_history.sendHistory(membership, request)
    local session = request.session
    local limits = limitsOf(request.stanza)
    if session == nil or limits.stanzas <= 0 or limits.chars <= 0 then
        return
    end
    local messages = {}
    local rest = select(membership, session, limits, messages)
    sendInSlices(session, function()
        if rest ~= nil then
            if rest.step() then
                rest = nil
            end
            return false
        end
        local said = table.remove(messages)
        if said ~= nil then
            sendTo(session, archive_history.delayed(membership.room, said))
        end
        return #messages == 0
    end)
end
end

-- src/occupancy/replay.ts
--
-- The replay: stanzas for a session that attaches to a room that the account is in.
local occupancy_replay = {}
do
local sendRoom, withOwnElement, addStatus, emptySubject, ownAffiliation
local MUC_USER = namespaces.MUC_USER
local counters = state_counters.counters
local messageOf = state_interned.messageOf
local stanzaOf = state_interned.stanzaOf
local knownNick = state_memberships.knownNick
local eachOccupant = state_occupants.eachOccupant
local eachMember = state_offline.eachMember
local selfOf = state_view.selfOf
local hasStatus = minimix_stanzas.hasStatus
local isSameNick = minimix_stanzas.isSameNick
local sendInterned = send_fork.sendInterned
local sendTo = send_fork.sendTo
local sendOwn = send_own.sendOwn
local sendHistory = archive_history.sendHistory

--- Sends the other occupants and offline members, after the room's own presence if that comes first.
function occupancy_replay.sendOccupants(membership, session)
    local view = membership.view
    if view.isRoomFirst then
        sendRoom(membership, session)
    end
    sendInterned(session, eachOccupant(view))
    sendInterned(session, eachMember(view.offline))
end

function sendRoom(membership, session)
    local room = membership.view.room
    local presence
    if room ~= nil then
        presence = stanzaOf(room)
    end
    if presence ~= nil then
        sendTo(session, presence)
    end
end

--- Sends the subject, an empty one if the room never sent one. Clients count as joined only after it (XEP-0045 7.2.15).
function occupancy_replay.sendSubject(membership, session)
    local subject = membership.view.subject
    local temp_1
    if subject ~= nil then
        temp_1 = messageOf(subject)
    end
    sendTo(session, temp_1 or emptySubject(membership))
end

--- Returns the account's own presence as the answer to one session's join. It has the join's id, because Movim needs it.
-- It has the status codes of XEP-0045 7.2.2 to 7.2.12 that apply to this session. Code 201 goes to the creator only.
-- `shown` is our own presence without codes.
function occupancy_replay.selfPresence(membership, request, shown)
    local view = membership.view
    if shown == nil then
        return nil
    end
    local self_, x = withOwnElement(membership, shown, membership.nick)
    self_.attr.id = request.id
    if view.nonAnonymous then
        addStatus(x, "100")
    end
    addStatus(x, "110")
    if view.logged then
        addStatus(x, "170")
    end
    if request.nick ~= membership.nick then
        addStatus(x, "210")
    end
    return self_
end

function withOwnElement(membership, self_, nick)
    local presence = st.clone(self_)
    presence.attr.from = membership.room .. "/" .. nick
    local x = presence:get_child("x", MUC_USER)
    if x == nil then
        x = st.stanza("x", {xmlns = MUC_USER})
        presence:add_direct_child(x)
    end
    return presence, x
end

function addStatus(x, code)
    x:add_direct_child(st.stanza("status", {code = code}))
end

function emptySubject(membership)
    local message = st.message({type = "groupchat", from = membership.room})
    message:add_direct_child(st.stanza("subject"))
    return message
end

function ownAffiliation(membership)
    local self_ = selfOf(membership)
    local affiliation
    if self_ ~= nil then
        affiliation = occupancy_replay.itemOf(self_).affiliation
    end
    return affiliation or "none"
end

function occupancy_replay.itemOf(presence)
    local x = presence:get_child("x", MUC_USER)
    local item = x and x:get_child("item")
    return item == nil and {} or item.attr
end

--- Sends the full sequence of XEP-0045 7.1 from the cache: other occupants, own presence, history, subject. The room's
-- own presence comes before or after them. All is sent at once, so no live stanza comes in between.
function occupancy_replay.replay(membership, request, shown)
    counters.replays = counters.replays + 1
    occupancy_replay.sendOccupants(membership, request.session)
    local self_ = occupancy_replay.selfPresence(membership, request, shown)
    if self_ ~= nil then
        sendOwn(membership, request.session, self_)
    end
    sendHistory(membership, request)
    occupancy_replay.sendSubject(membership, request.session)
    if not membership.view.isRoomFirst then
        sendRoom(membership, request.session)
    end
end

--- Returns the room's answer to a join for its session: with the id of the join, and with 110 if the session asked for
-- another nick and could not know its own presence.
function occupancy_replay.answerTo(request, nick, stanza)
    local isKnown = isSameNick(request.nick, nick) or hasStatus(stanza, "110")
    if isKnown and stanza.attr.id == request.id then
        return stanza
    end
    local answer = st.clone(stanza)
    answer.attr.id = request.id
    local x = answer:get_child("x", MUC_USER)
    if not isKnown and x ~= nil then
        addStatus(x, "110")
    end
    return answer
end

--- Returns our own presence under a nick, with code 110. `self` is our own presence without codes.
function occupancy_replay.ownPresence(membership, self_, nick)
    if nick == nil then
        nick = membership.nick
    end
    local presence, x = withOwnElement(membership, self_, nick)
    addStatus(x, "110")
    return presence
end

--- Returns the confirmation for a session that leaves while the account stays (XEP-0045 7.14).
function occupancy_replay.ownUnavailable(membership, id, nick)
    if nick == nil then
        nick = knownNick(membership)
    end
    local from = membership.room .. "/" .. nick
    return st.presence({type = "unavailable", from = from, id = id}):tag("x", {xmlns = MUC_USER}):tag("item", {affiliation = ownAffiliation(membership), role = "none"}):up():tag("status", {code = "110"}):reset()
end

--- Returns a removal of the account that its sessions understand: with 110 if they know another nick.
function occupancy_replay.understood(membership, removal)
    local isKnown = jids.resource(removal.attr.from or "") == knownNick(membership)
    if isKnown or hasStatus(removal, "110") then
        return removal
    end
    local copy = st.clone(removal)
    local x = copy:get_child("x", MUC_USER)
    if x ~= nil then
        addStatus(x, "110")
    end
    return copy
end

--- Returns the presence for a technical removal (XEP-0045 15.6.2), when the account cannot rejoin.
function occupancy_replay.technicalRemoval(membership)
    local unavailable = occupancy_replay.ownUnavailable(membership, nil)
    local x = unavailable:get_child("x", MUC_USER)
    if x ~= nil then
        addStatus(x, "333")
    end
    return unavailable
end

--- Returns the unavailable presence of an occupant that left while the account was out.
function occupancy_replay.occupantGone(membership, nick)
    return st.presence({type = "unavailable", from = membership.room .. "/" .. nick}):tag("x", {xmlns = MUC_USER}):tag("item", {affiliation = "none", role = "none"}):reset()
end

--- Returns the first presence of a nick change (XEP-0045 7.6), from the nick of `before` to the current nick.
function occupancy_replay.nickChange(membership, before)
    local item = occupancy_replay.itemOf(before)
    return st.presence({type = "unavailable", from = before.attr.from}):tag("x", {xmlns = MUC_USER}):tag("item", {affiliation = item.affiliation, role = item.role, nick = membership.nick}):up():tag("status", {code = "303"}):up():tag("status", {code = "110"}):reset()
end
end

-- src/occupancy/burst.ts
--
-- Handles presence of other occupants, and of the room itself. While the room answers a join, the session that asked
-- gets it all at once with our own presence. Other sessions get only changes.
local occupancy_burst = {}
do
local shownSince, isAnswering, listedSession, mayListNow, isAffiliated, isOfMember, onOffline, keyOfMember, forgetOffline, isKnown, areShown, reducedSelf, shortened, isModerator, LONGEST_ROLE
local itemOf = occupancy_replay.itemOf
local nickChange = occupancy_replay.nickChange
local occupantGone = occupancy_replay.occupantGone
local ownPresence = occupancy_replay.ownPresence
local MUC_USER = namespaces.MUC_USER
local fork = send_fork.fork
local sendTo = send_fork.sendTo
local forkOther = send_own.forkOther
local forkOwn = send_own.forkOwn
local hasAnyStatus = minimix_stanzas.hasAnyStatus
local hasStatus = minimix_stanzas.hasStatus
local isSameNick = minimix_stanzas.isSameNick
local isSelf = minimix_stanzas.isSelf
local intern = state_interned.intern
local isSamePresence = state_interned.isSamePresence
local mayKeep = state_interned.mayKeep
local toldAgain = state_interned.toldAgain
local noteOver = state_limits.noteOver
local hasAttached = state_memberships.hasAttached
local requestingSession = state_memberships.requestingSession
local wasSent = state_sent_presences.wasSent
local isIn = state_place.isIn
local eachOccupant = state_occupants.eachOccupant
local findOccupant = state_occupants.findOccupant
local forgetOccupant = state_occupants.forgetOccupant
local setOwnNick = state_occupants.setOwnNick
local eachMember = state_offline.eachMember
local forgetMember = state_offline.forgetMember
local keepMember = state_offline.keepMember
local noMembers = state_offline.noMembers
local noteSelfStatus = state_self_status.noteSelfStatus
local keepOccupant = state_view.keepOccupant
local outdate = state_view.outdate
local selfNickOf = state_view.selfNickOf
local selfOf = state_view.selfOf
local setSelf = state_view.setSelf

function shownSince(membership)
    local place = membership.place
    if place.phase == "joining" or place.phase == "entering" then
        return place.shown
    end
    local operation
    if place.phase == "joined" then
        operation = place.operation
    end
    return (operation and operation.kind) == "resync" and operation.shown or nil
end

function isAnswering(membership)
    local place = membership.place
    if place.phase == "joined" and place.operation ~= nil then
        return place.operation.kind == "resync" and place.operation.stage ~= "history"
    end
    return place.phase == "joining"
end

function listedSession(membership)
    if isAnswering(membership) then
        return requestingSession(membership)
    else
        return nil
    end
end

function mayListNow(view, stanza)
    if not isAffiliated(stanza) or hasStatus(stanza, "303") then
        return false
    end
    return view.offline ~= nil or hasStatus(stanza, "301")
end

function isAffiliated(stanza)
    local affiliation = itemOf(stanza).affiliation
    return affiliation ~= nil and affiliation ~= "none"
end

function isOfMember(stanza)
    return isAffiliated(stanza) and not hasAnyStatus(stanza)
end

function onOffline(membership, key, stanza, wasThere)
    if wasThere == nil then
        wasThere = false
    end
    if not isAnswering(membership) then
        forkOther(membership, stanza)
        return
    end
    local view = membership.view
    if view.offline == nil then
        view.offline = noMembers()
    end
    local before = view.offline.presences[key]
    local interned = intern(stanza)
    local isKept = keepMember(view.offline, key, interned)
    local opt_11 = shownSince(membership)
    if opt_11 ~= nil then
        opt_11[key] = true
    end
    if not isKept then
        view.stale = "incomplete"
        sendTo(requestingSession(membership), stanza)
    end
    if wasThere or not isKnown(before, interned) then
        forkOther(membership, stanza, listedSession(membership))
    end
end

function keyOfMember(stanza)
    local jid = jids.prep(itemOf(stanza).jid or "")
    if jid == nil then
        return nil
    else
        return "@" .. jids.bare(jid)
    end
end

function forgetOffline(members, nick, stanza)
    local key = keyOfMember(stanza)
    local wasListed = key ~= nil and forgetMember(members, key)
    return forgetMember(members, nick) or wasListed or not isAffiliated(stanza)
end

function isKnown(before, interned)
    if before == nil or interned == nil then
        return before == interned
    else
        return isSamePresence(before, interned)
    end
end

function areShown(presences, shown)
    for nick in presences do
        if shown[nick] == nil then
            return false
        end
    end
    return true
end

function reducedSelf(stanza)
    local itemOf_result_15 = itemOf(stanza)
    local affiliation = itemOf_result_15.affiliation
    local role = itemOf_result_15.role
    return st.presence({from = stanza.attr.from}):tag("x", {xmlns = MUC_USER}):tag("item", {affiliation = shortened(affiliation), role = shortened(role)}):reset()
end

function shortened(value)
    if value == nil then
        return nil
    else
        return string.sub(value, 1, LONGEST_ROLE)
    end
end

function isModerator(presence)
    return itemOf(presence).role == "moderator"
end

--- Tells the sessions about a nick that the account got with a rejoin, as a nick change (XEP-0045 7.6).
function occupancy_burst.announceIfRenamed(membership, nick)
    local self_
    if occupancy_burst.isRenamed(membership, nick) then
        self_ = selfOf(membership)
    end
    if self_ ~= nil then
        membership.nick = nick
        fork(membership, nickChange(membership, self_))
        local own = ownPresence(membership, self_)
        setSelf(membership, nick, own)
        forkOwn(membership, own)
    end
end

--- Whether our presence was last shown under another nick.
function occupancy_burst.isRenamed(membership, nick)
    local before = selfNickOf(membership.view)
    return before ~= nil and before ~= nick
end

--- Handles the room's own presence: Prosody 13 and ejabberd show avatar and capabilities of the room by it.
function occupancy_burst.onRoomPresence(membership, stanza)
    local member
    if stanza.attr.type == "unavailable" then
        member = keyOfMember(stanza)
    end
    if member ~= nil then
        onOffline(membership, member, stanza)
        return
    end
    local view = membership.view
    local before = view.room
    local isKept = mayKeep(stanza)
    if not isKept then
        noteOver("minimix_max_cached_size", membership.username, membership.room)
        view.stale = "incomplete"
    end
    local interned = stanza.attr.type == nil and isKept and intern(stanza) or nil
    view.room = interned
    if isAnswering(membership) then
        view.isRoomFirst = true
    elseif before == nil then
        view.isRoomFirst = nil
    end
    if not isAnswering(membership) or not isKnown(before, interned) then
        fork(membership, stanza, listedSession(membership))
    end
end

--- Another occupant has entered or changed.
function occupancy_burst.onOccupant(membership, nick, stanza)
    local view = membership.view
    local isOldNick = nick == view.own or nick == view.selfNick
    if isOldNick and nick ~= membership.nick and nick == selfNickOf(view) then
        occupancy_burst.announceIfRenamed(membership, membership.nick)
    end
    local place = membership.place
    local isDuring = place.phase == "joining" or isAnswering(membership)
    local offline = view.offline ~= nil and view.offline.count > 0 and view.offline or nil
    local isTold = hasAttached(membership)
    local before
    if isDuring and isTold or offline ~= nil then
        before = findOccupant(view, nick)
    end
    local interned = intern(stanza)
    local isKept = keepOccupant(membership.room, view, nick, interned)
    if offline ~= nil and not forgetOffline(offline, nick, stanza) and not isDuring and before == nil then
        outdate(view)
    end
    if place.phase == "joining" then
        place.shown[nick] = true
        place.shownAt = membership.heardAt
        if place.renamed == "now" then
            place.renamed = nil
        end
    else
        local opt_6 = shownSince(membership)
        if opt_6 ~= nil then
            opt_6[nick] = true
        end
    end
    if not isKept then
        noteOver("minimix_max_occupants, _max_cached_size or _max_room_size", membership.username, membership.room)
        local requester
        if isDuring then
            requester = requestingSession(membership)
        end
        if requester ~= nil then
            sendTo(requester, stanza)
            return
        end
    end
    if isTold and (not isDuring or not isKnown(before, interned)) then
        forkOther(membership, stanza, listedSession(membership))
    end
end

--- Another occupant has left, or a room that answers a join shows it as offline.
function occupancy_burst.onOccupantGone(membership, nick, stanza)
    local view = membership.view
    local opt_9 = shownSince(membership)
    local isShown = (opt_9 and opt_9[nick] ~= nil) == true
    local isOffline = isAnswering(membership) and not isShown and isOfMember(stanza)
    local wasThere = isOffline and findOccupant(view, nick) ~= nil
    forgetOccupant(view, nick)
    if isOffline then
        onOffline(membership, nick, stanza, wasThere)
        return
    end
    if mayListNow(view, stanza) then
        outdate(view)
    end
    forkOther(membership, stanza)
end

--- Removes occupants that the answer to a join does not list. They have left; a restarted room lists none.
function occupancy_burst.forgetOthers(membership, shown)
    local view = membership.view
    forgetOccupant(view, membership.nick)
    for nick in eachOccupant(view) do
        if shown[nick] == nil then
            forgetOccupant(view, nick)
            fork(membership, occupantGone(membership, nick))
        end
    end
    local members = view.offline
    if members ~= nil then
        for key in pairs(members.presences) do
            if shown[key] == nil then
                forgetMember(members, key)
            end
        end
    end
end

--- Whether the room has shown all cached occupants again.
function occupancy_burst.areAllShown(membership, shown)
    local view = membership.view
    return areShown(eachOccupant(view), shown) and areShown(eachMember(view.offline), shown)
end

--- Caches our own presence. Returns whether it has changed.
function occupancy_burst.keepSelf(membership, nick, stanza)
    local view = membership.view
    local isKept = mayKeep(stanza)
    local shown = isKept and toldAgain(stanza) or reducedSelf(stanza)
    membership.nick = nick
    setOwnNick(view, nick)
    if hasStatus(stanza, "110") then
        noteSelfStatus(membership.room)
    end
    if hasStatus(stanza, "100") then
        view.nonAnonymous = true
    end
    if hasStatus(stanza, "170") then
        view.logged = true
    end
    local before = selfOf(membership)
    if before ~= nil and isModerator(before) ~= isModerator(shown) and not view.nonAnonymous then
        outdate(view)
    end
    if not isKept then
        noteOver("minimix_max_cached_size", membership.username, membership.room)
        view.stale = "incomplete"
    end
    return setSelf(membership, nick, shown)
end

LONGEST_ROLE = 16

--- The account is lost between the two presences of a nick change (XEP-0045 7.6). Sessions know the new nick, so the cached
-- own presence gets it.
function occupancy_burst.keepNewNick(membership)
    local nick = membership.nick
    local place = membership.place
    local self_
    if isIn(place) and occupancy_burst.isRenamed(membership, nick) then
        self_ = selfOf(membership)
    end
    if self_ ~= nil then
        setSelf(membership, nick, ownPresence(membership, self_))
    end
end

--- Whether a presence is the account's by its nick, which some services change: "alice" for "Alice". Where the room has
-- shown our own presence, another form of the nick needs 110 or the id of one of our presences. On other services it is
-- another occupant.
function occupancy_burst.isOwnNick(membership, nick, stanza)
    if nick == membership.nick then
        return true
    end
    local view = membership.view
    if findOccupant(view, nick) ~= nil or not isSameNick(nick, membership.nick) then
        return false
    end
    local key = stanza.attr.id
    local isAnswer = key ~= nil and wasSent(membership, key)
    return selfNickOf(view) ~= membership.nick or isAnswer or isSelf(stanza, membership.occupant)
end
end

-- src/archive/catchup.ts
--
-- Fetches messages that the account missed from the room's archive (XEP-0313), if it has one.
local archive_catchup = {}
do
local isAhead, triesOf, requestPage, finish, isUnreached, isUnknownId, pageQuery, lastOfPage, handleNext, archivedIn, PAGE, UNNOTICED, FEWEST, LONGEST_ID
local wallClock = state_clock.wallClock
local id = require("util.id")
local DATAFORM = namespaces.DATAFORM
local DELAY = namespaces.DELAY
local FORWARD = namespaces.FORWARD
local MAM = namespaces.MAM
local RSM = namespaces.RSM
local options = minimix_options
local noteDrop = state_counters.noteDrop
local isCurrent = state_memberships.isCurrent
local stanzaIdBy = minimix_stanzas.stanzaIdBy
local ask = send_ask.ask
local patience = send_ask.patience
local inSlices = slices.inSlices
local weightOf = minimix_weight.weightOf
local blocklistOf = settings_blocklist.blocklistOf
local readBlocklist = settings_blocklist.readBlocklist
local beginAt = archive_buffer.beginAt
local bufferMessage = archive_buffer.bufferMessage
local deliverMissed = archive_buffer.deliverMissed
local drainEarlier = archive_buffer.drainEarlier
local endCatchUp = archive_buffer.endCatchUp
local flush = archive_buffer.flush
local isBeforeJoin = archive_buffer.isBeforeJoin
local startBuffering = archive_buffer.startBuffering
local startOf = archive_buffer.startOf
local addArchiveId = archive_gate.addArchiveId
local fromArchive = archive_gate.fromArchive
local isSilenced = archive_gate.isSilenced
local canRecordPast = archive_log.canRecordPast
local pastOf = archive_log.pastOf
local readForSearch = archive_log.readForSearch
local isKept = archive_read.isKept
local newestOf = archive_read.newestOf

function isAhead(membership, past)
    local isRead, newest = newestOf(membership)
    local known = newest == nil and (membership.since or math.huge) + 1 or newest.when
    return isRead and past >= math.floor(known)
end

function triesOf(catching)
    local progress = catching and catching.progress
    return ((progress and progress.step) == "querying" or (progress and progress.step) == "waiting") and progress.tries or 0
end

--- Queries the room's archive, page by page, for messages after the last one that the account has. Then calls `done`.
-- Messages of the room are buffered until endCatchUp().
function archive_catchup.catchUp(membership, done)
    local catchUp = membership.catchUp
    local progress = catchUp and catchUp.progress
    local isBuffering = progress ~= nil and progress.step ~= "draining"
    if (progress and progress.step) == "draining" and progress.isFull then
        flush(membership)
    end
    startBuffering(membership)
    local catching = membership.catchUp
    if catching == nil then
        done("refused")
        return
    end
    local isPlaced = drainEarlier(membership, catching)
    local isRead, newest = newestOf(membership)
    if not isPlaced or not isRead or not (readBlocklist(membership.username)) then
        catching.progress = {step = "waiting", tries = triesOf(catching)}
        done("failed")
        return
    end
    if newest == nil and membership.since == nil then
        catching.progress = {step = "done", outcome = "refused"}
        done("refused")
        return
    end
    catching.left = options.maxHistory
    local query = {newest = newest, start = startOf(membership, catching, newest), done = done}
    if catching.start == nil then
        catching.start = query.start
    end
    if catching.position ~= nil then
        requestPage(membership, catching, catching.position, query)
        return
    end
    catching.earliest = nil
    if isBuffering and options.archive == "mam" then
        local unnoticed = math.max(membership.since or 0, catching.since - UNNOTICED)
        requestPage(
            membership,
            catching,
            nil,
            {newest = newest, start = math.min(unnoticed, catching.since), done = done}
        )
    else
        local after
        if newest ~= nil then
            after = stanzaIdBy(newest.stanza, membership.room)
        end
        requestPage(membership, catching, after, query)
    end
end

function requestPage(membership, catching, after, query)
    local left = catching.left
    local queryId = id.medium()
    local querying = {
        step = "querying",
        queryId = queryId,
        tries = triesOf(catching),
        results = 0,
        pending = {},
        weight = 0,
        answered = nil,
        failed = false
    }
    catching.progress = querying
    catching.position = after
    catching.blocked = blocklistOf(membership.username)
    catching.appendOutOfOrder = after ~= nil or query.newest == nil
    if after == nil then
        beginAt(membership, catching, query.start, query.newest)
    end
    local answered
    answered = function(answer)
        if not isCurrent(membership) then
            return
        end
        if membership.catchUp ~= catching or catching.progress.step == "draining" then
            query.done("refused")
            return
        end
        if catching.progress ~= querying then
            return
        end
        if #querying.pending > 0 then
            querying.answered = function()
                answered(answer)
            end
            return
        end
        if querying.failed then
            finish(catching, "failed", query)
            return
        end
        local fin = answer and answer:get_child("fin", MAM)
        local next
        if fin ~= nil then
            next = lastOfPage(fin)
        end
        catching.position = next or catching.position
        local isEmpty = catching.left == left
        catching.left = math.min(catching.left, left - FEWEST)
        if (answer and answer.attr.type) == "error" and after ~= nil and isUnknownId(answer) then
            requestPage(membership, catching, nil, query)
        elseif fin == nil then
            finish(catching, isUnreached(answer) and "unreached" or "refused", query)
        elseif fin.attr.complete == "true" or next == nil or isEmpty or catching.left <= 0 then
            finish(catching, "complete", query)
        else
            requestPage(membership, catching, next, query)
        end
    end
    ask(
        membership,
        membership.room,
        "set",
        pageQuery(queryId, after, query.start),
        answered,
        patience(membership)
    )
end

function finish(catching, outcome, query)
    if outcome == "unreached" or outcome == "failed" then
        catching.progress = {step = "waiting", tries = triesOf(catching)}
    else
        catching.progress = {step = "done", outcome = outcome}
    end
    query.done(outcome)
end

function isUnreached(answer)
    if answer == nil then
        return true
    end
    local _, condition = answer:get_error()
    return condition == "remote-server-not-found" or condition == "remote-server-timeout"
end

function isUnknownId(answer)
    local _, condition = answer:get_error()
    return condition == "item-not-found"
end

function pageQuery(queryId, after, start)
    local query = st.stanza("query", {xmlns = MAM, queryid = queryId})
    query:tag("x", {xmlns = DATAFORM, type = "submit"})
    query:tag("field", {var = "FORM_TYPE", type = "hidden"}):tag("value"):text(MAM):up():up()
    if after == nil then
        query:tag("field", {var = "start"}):tag("value"):text(datetime.datetime(start)):up():up()
    end
    query:up()
    query:tag("set", {xmlns = RSM}):tag("max"):text(tostring(PAGE)):up()
    if after ~= nil then
        query:tag("after"):text(after):up()
    end
    return query:reset()
end

function lastOfPage(fin)
    local opt_22 = fin:get_child("set", RSM)
    local last = opt_22 and opt_22:get_child_text("last")
    if last == nil or string.len(last) > LONGEST_ID then
        return nil
    else
        return last
    end
end

function handleNext(membership, catching, querying, mustLeave)
    local isWanted = isCurrent(membership) and membership.catchUp == catching and catching.progress == querying
    local result
    if isWanted then
        local opt_33 = querying.pending[1]
        result = opt_33 and opt_33:get_child("result", MAM)
    end
    local archived
    if result ~= nil then
        archived = archivedIn(membership, catching, result)
    end
    if archived ~= nil and not mustLeave and not readForSearch(membership, archived) then
        return false
    end
    local stanza = table.remove(querying.pending, 1)
    querying.weight = querying.weight - (stanza == nil and 0 or weightOf(stanza))
    if not isWanted then
        return stanza == nil
    end
    if archived ~= nil then
        deliverMissed(membership, archived)
    end
    if #querying.pending > 0 then
        return false
    end
    local answered = querying.answered
    querying.answered = nil
    if answered ~= nil then
        answered()
    end
    return true
end

function archivedIn(membership, catching, result)
    local forwarded = result:get_child("forwarded", FORWARD)
    local message
    if forwarded ~= nil then
        message = forwarded:get_child("message", "jabber:client")
    end
    local delay
    if forwarded ~= nil then
        delay = forwarded:get_child("delay", DELAY)
    end
    local when
    if delay ~= nil then
        when = datetime.parse(delay.attr.stamp or "")
    end
    local archived
    if message == nil or when == nil then
        archived = nil
    else
        archived = fromArchive(membership, message)
    end
    if archived == nil or delay == nil or when == nil then
        return nil
    end
    addArchiveId(archived, membership.room, result.attr.id)
    if isBeforeJoin(membership, catching, archived, when) or isSilenced(membership, catching, archived) then
        return nil
    end
    catching.latest = math.max(catching.latest, math.min(math.floor(when), wallClock()))
    archived:add_direct_child(st.stanza("delay", {xmlns = DELAY, from = membership.room, stamp = delay.attr.stamp}))
    return archived
end

PAGE = 50
--- Seconds between attempts to query the archive while the account is in the room, and the number of attempts.
local PAUSE = 5
local TRIES = 6
UNNOTICED = 60
--- Bytes of memory for results that wait. More of them are handled as they arrive.
local PENDING_WEIGHT = 1048576
FEWEST = 10
LONGEST_ID = 1024

--- Queries the archive for missed messages while the account is in the room, until it answers. Then stops buffering.
function archive_catchup.closeGap(membership)
    archive_catchup.catchUp(membership, function(outcome)
        local catching = membership.catchUp
        if (catching and catching.progress.step) == "idle" or (catching and catching.progress.step) == "querying" then
            return
        end
        local tries = outcome == "failed" and 0 or triesOf(catching) + 1
        local isRepeated = outcome == "failed" or outcome == "unreached" and tries <= TRIES
        if not isRepeated or catching == nil then
            endCatchUp(membership)
            return
        end
        local waiting = {step = "waiting", tries = tries}
        catching.progress = waiting
        module:add_timer(PAUSE, function()
            local isDue = membership.catchUp == catching and catching.progress == waiting
            if isDue and isCurrent(membership) and membership.place.phase == "joined" then
                archive_catchup.closeGap(membership)
            end
            return nil
        end)
    end)
end

--- Handles a message of the history in the answer to a session that has joined again. A message after all that the
-- account has was missed: the room had lost the account, and has admitted it again by this join.
function archive_catchup.deliverAhead(membership, message, session)
    local past = pastOf(membership.room, message)
    if options.archive ~= true or past == nil or not isAhead(membership, past) then
        return
    end
    local isWhole = membership.catchUp == nil
    if isWhole and canRecordPast(membership) then
        deliverMissed(membership, message, session)
        return
    end
    startBuffering(membership)
    if membership.catchUp ~= nil then
        bufferMessage(membership, membership.catchUp, message, true)
    end
    if isWhole then
        archive_catchup.closeGap(membership)
    end
end

--- Whether a page of the room's archive is in flight.
function archive_catchup.isQuerying(membership)
    local catchUp = membership.catchUp
    return (catchUp and catchUp.progress.step) == "querying"
end

--- Drops a query that was sent while the account was in the room. The archive is asked again before the account rejoins.
function archive_catchup.dropQuestion(membership)
    if membership.catchUp ~= nil and archive_catchup.isQuerying(membership) then
        membership.catchUp.progress = {step = "idle"}
    end
end

--- Whether a message is a result of an archive (XEP-0313 4.2).
function archive_catchup.isResult(stanza)
    return stanza:get_child("result", MAM) ~= nil
end

--- Takes an archive result, and handles it in slices. It counts if it comes from the room, and not if it comes from the
-- occupant with this nick.
function archive_catchup.takeResult(membership, nick, stanza)
    local catching = membership.catchUp
    local querying = catching and catching.progress
    if nick ~= nil then
        noteDrop("forged")
        return
    end
    local queryId = catching == nil or (querying and querying.step) ~= "querying"
    if not queryId then
        local opt_29 = stanza:get_child("result", MAM)
        queryId = (opt_29 and opt_29.attr.queryid) ~= querying.queryId
    end
    if queryId then
        return
    end
    querying.results = querying.results + 1
    if querying.results > PAGE then
        noteDrop("limit")
        return
    end
    catching.left = catching.left - 1
    local pending = querying.pending
    pending[#pending + 1] = stanza
    querying.weight = querying.weight + weightOf(stanza)
    if #querying.pending == 1 then
        inSlices(function() return handleNext(membership, catching, querying, false) end)
    end
    while querying.weight > PENDING_WEIGHT and #querying.pending > 0 do
        handleNext(membership, catching, querying, true)
    end
end

--- Returns the result of the catch-up. Undefined without a query, or when all messages are in the log.
function archive_catchup.outcomeOf(membership)
    local catchUp = membership.catchUp
    local progress = catchUp and catchUp.progress
    return (progress and progress.step) == "done" and progress.outcome or nil
end

--- Begins to catch up by a join's history. Returns its start, as XEP-0045 7.2.14 writes it, so that no message is missed.
-- Undefined if the archive has answered, and will be asked for the rest.
function archive_catchup.beginHistory(membership)
    if not isKept(membership) or archive_catchup.outcomeOf(membership) == "complete" then
        return nil
    end
    local catching = membership.catchUp
    local isRead, newest = newestOf(membership)
    if catching == nil or newest == nil and membership.since == nil then
        return nil
    end
    local start = startOf(membership, catching, newest)
    if isRead then
        if catching.start == nil then
            catching.start = start
        end
    end
    beginAt(membership, catching, start, newest)
    return datetime.datetime(start)
end
end

-- src/send/ping.ts
--
-- Sends self-pings (XEP-0410) from the occupant JID, to see whether the account is still in the room.
local send_ping = {}
do
local conditionOf
local PING = namespaces.PING
local ask = send_ask.ask

function conditionOf(membership, condition)
    local isGateway = prosody.hosts[jids.host(membership.room)] ~= nil
    return condition == "remote-server-not-found" and isGateway and "not-acceptable" or (condition or "undefined-condition")
end

--- Pings the account's own occupant.
--
-- Rooms answer in order, so everything that the room sent before the answer has arrived. A timeout counts as
-- `remote-server-timeout`.
function send_ping.selfPing(membership, pinged, limit)
    local ping = st.stanza("ping", {xmlns = PING})
    local nick = membership.nick
    ask(
        membership,
        membership.room .. "/" .. nick,
        "get",
        ping,
        function(answer)
            if answer == nil then
                pinged("remote-server-timeout")
            elseif answer.attr.type == "result" then
                pinged(nil)
            else
                local _, condition = answer:get_error()
                local crossed = condition == "item-not-found" and nick ~= membership.nick
                local crossed_0
                if not crossed then
                    crossed_0 = conditionOf(membership, condition)
                end
                pinged(crossed_0)
            end
        end,
        limit
    )
end

--- Whether the error of a self-ping shows that the account is in the room (XEP-0410 3).
function send_ping.saysJoined(condition)
    return condition == "service-unavailable" or condition == "feature-not-implemented"
end

--- Whether the answer to a self-ping proves that the account is out. Other errors prove nothing.
function send_ping.saysOut(condition)
    return condition == "not-acceptable" or condition == "item-not-found"
end

--- Whether the error of a self-ping proves nothing, because the room was not reached (XEP-0410 3).
function send_ping.saysNothing(condition)
    return condition == "remote-server-not-found" or condition == "remote-server-timeout"
end
end

-- src/state/availability.ts
--
-- Chooses which session's presence the account shows to the room.
local state_availability = {}
do
local MUC = namespaces.MUC
--- Ranks of `<show/>`, most available first. With `dnd` a user is at the keyboard, with `away` not.
local ranks = {}
ranks.chat = 5
ranks[""] = 4
ranks.dnd = 3
ranks.away = 2
ranks.xa = 1

--- Returns a client's presence without addresses and `<x/>`, as the account can show it.
function state_availability.presenceContent(stanza)
    local content = st.clone(stanza)
    content.attr.from = nil
    content.attr.to = nil
    content.attr.id = nil
    content:maptags(function(tag)
        if tag.name == "x" and tag.attr.xmlns == MUC then
            return nil
        else
            return tag
        end
    end)
    return content
end

local function priority(attachment)
    return tonumber(attachment.presence:get_child_text("priority") or "0") or 0
end

local function rank(attachment)
    return ranks[attachment.presence:get_child_text("show") or ""] or 0
end

--- Whether a room should be shown one presence rather than another.
function state_availability.isBetter(one, other)
    local difference = priority(one) - priority(other)
    if difference ~= 0 then
        return difference > 0
    end
    return rank(one) > rank(other)
end

local function isPreferred(membership, session, attachment, best)
    local isTie = session == membership.shown and not state_availability.isBetter(best.attachment, attachment)
    return isTie or state_availability.isBetter(attachment, best.attachment)
end

--- Returns the session to show: highest priority, then most available, then the one already shown. `coming` will be
-- attached soon.
function state_availability.bestSession(membership, coming)
    local best = coming
    for session, attachment in pairs(membership.attached) do
        local isOther = session ~= (coming and coming.session)
        if isOther and (best == nil or isPreferred(membership, session, attachment, best)) then
            best = {session = session, attachment = attachment}
        end
    end
    return best
end
end

-- src/occupancy/underway.ts
--
-- Presences of an account in the room that the room has not repeated to it (echoed). A session that attaches meanwhile
-- gets our own presence as the last of them will show it. It does not get the echoes of these presences again.
local occupancy_underway = {}
do
local takeFirst, isTold
local parse = minimix_parse.parse
local wasSent = state_sent_presences.wasSent
local hasSameContent = minimix_stanzas.hasSameContent
local selfOf = state_view.selfOf
local textOf = minimix_text.textOf

function takeFirst(place, list, count)
    local left = count
    while left > 0 do
        table.remove(list, 1)
        left = left - 1
    end
    for _, told in pairs(place.told or {}) do
        told.echoes = told.echoes - count
    end
    if #list == 0 then
        place.underway = nil
    end
end

function isTold(told, self_)
    local stanza = parse("presence", told.text)
    return stanza ~= nil and self_ ~= nil and hasSameContent(stanza, self_)
end

--- Presences to remember. A room that echoes none must not let the list grow.
local LONGEST_LIST = 16

--- Notes a presence that is about to be sent. `before` is what the account has shown until then.
function occupancy_underway.noteUnderway(place, id, before)
    if place.underway == nil then
        place.underway = {}
    end
    local underway = place.underway
    underway[#underway + 1] = {id = id, before = before}
    if #place.underway > LONGEST_LIST then
        takeFirst(place, place.underway, 1)
    end
end

local function isUnderway(place)
    return place.underway ~= nil and #place.underway > 0
end

--- Returns the oldest presence that the room has not echoed. The cached own presence is older.
function occupancy_underway.firstUnderway(membership)
    local place = membership.place
    if place.phase == "joined" then
        local underway = place.underway
        return underway and underway[1]
    else
        return nil
    end
end

--- Notes our own presence that a session got with its join. It counts while a presence is underway.
function occupancy_underway.noteTold(membership, session, self_)
    local place = membership.place
    if place.phase ~= "joined" or session == nil then
        return
    end
    if self_ ~= nil and place.underway ~= nil and isUnderway(place) then
        if place.told == nil then
            place.told = {}
        end
        place.told[session] = {text = textOf(self_), echoes = #place.underway}
    else
        local told = place.told
        if told ~= nil then
            told[session] = nil
        end
    end
end

--- Whether our own presence is an echo, or the answer of the operation, by its id. Without an id of ours its content
-- decides: an echo differs from the cached presence.
function occupancy_underway.isEcho(membership, place, stanza)
    local id = stanza.attr.id
    local list = place.underway or {}
    if id == nil or not wasSent(membership, id) then
        local self_ = selfOf(membership)
        return #list > 0 and (self_ == nil or not hasSameContent(st.clone(stanza), self_))
    end
    for _, underway in ipairs(list) do
        if underway.id == id then
            return true
        end
    end
    local operation = place.operation
    return (operation and operation.id) == id
end

--- Takes our own presence off the list if it is an echo. Returns whether it is.
function occupancy_underway.endUnderway(membership, place, id)
    local list = place.underway
    if list == nil or #list == 0 then
        return false
    end
    if place.operation ~= nil and id == place.operation.id then
        takeFirst(place, list, #list)
        return false
    end
    for i = 1, #list do
        local opt_8 = list[i]
        if (opt_8 and opt_8.id) == id then
            takeFirst(place, list, i)
            return true
        end
    end
    if id ~= nil and wasSent(membership, id) then
        return false
    end
    takeFirst(place, list, 1)
    return true
end

--- Returns the sessions that know an own presence from their join: the echo of an earlier one, or what they were told.
-- The cache already has it.
function occupancy_underway.takeTold(membership, place, isEcho)
    local all = place.told
    if all == nil or (next(all)) == nil then
        return nil
    end
    local knowing = {}
    local self_ = selfOf(membership)
    for session, told in pairs(all) do
        local isEarlier = isEcho and told.echoes > 0
        if isEarlier or isTold(told, self_) then
            knowing[session] = true
        end
        if not isEarlier then
            all[session] = nil
        end
    end
    if (next(all)) == nil then
        place.told = nil
    end
    return knowing
end
end

-- src/occupancy/shown.ts
--
-- The presence that the account shows in a room.
local occupancy_shown = {}
do
local show, chooseShown, isSame, presenceBefore, isDetachedPresence, candidateOf, withPayload, hasChildLike, noteShown, shownStill, detachedPresence
local MUC = namespaces.MUC
local VCARD_UPDATE = namespaces.VCARD_UPDATE
local options = minimix_options
local sendOwn = send_own.sendOwn
local ownPresence = occupancy_replay.ownPresence
local bestSession = state_availability.bestSession
local isBetter = state_availability.isBetter
local presenceContent = state_availability.presenceContent
local saveSoon = state_store.saveSoon
local intern = state_interned.intern
local stanzaOf = state_interned.stanzaOf
local selfOf = state_view.selfOf
local attachSession = state_memberships.attachSession
local isCurrent = state_memberships.isCurrent
local isDetachedFor = state_memberships.isDetachedFor
local knownNick = state_memberships.knownNick
local endRestored = state_restored.endRestored
local isRestored = state_restored.isRestored
local takeOverdue = state_restored.takeOverdue
local presenceIdFor = send_upstream.presenceIdFor
local sendPresence = send_upstream.sendPresence
local forEachInSlices = slices.forEachInSlices
local firstUnderway = occupancy_underway.firstUnderway
local noteUnderway = occupancy_underway.noteUnderway

function show(membership, place, presence, id)
    local before = membership.shownPresence
    if not noteShown(membership, presence) then
        return false
    end
    local key = presenceIdFor(membership, id)
    noteUnderway(place, key, before)
    sendPresence(membership, presence, membership.nick, key)
    return true
end

function chooseShown(membership, request)
    local temp_1
    if request ~= nil then
        temp_1 = candidateOf(request)
    end
    local best = bestSession(membership, temp_1)
    if best == nil then
        return nil
    end
    local before = presenceBefore(membership)
    if before ~= nil and not isSame(membership, best.attachment) and not isBetter(best.attachment, before) then
        return before
    end
    endRestored(membership)
    membership.shown = best.session
    return best.attachment
end

function isSame(membership, attachment)
    return membership.shownPresence == intern(attachment.presence)
end

function presenceBefore(membership)
    local shown
    if isRestored(membership) then
        shown = membership.shownPresence
    end
    local presence
    if shown ~= nil then
        presence = stanzaOf(shown)
    end
    if presence == nil or isDetachedPresence(presence) then
        return nil
    else
        return {presence = presence, id = nil}
    end
end

function isDetachedPresence(presence)
    for _, tag in ipairs(presence.tags) do
        if tag.name ~= "show" and tag.attr.xmlns ~= VCARD_UPDATE then
            return false
        end
    end
    return (presence:get_child_text("show") or "none") == options.detachedShow
end

function candidateOf(request)
    local session = request.session
    if session == nil then
        return nil
    else
        return {
            session = session,
            attachment = {presence = presenceContent(request.stanza), id = nil}
        }
    end
end

function withPayload(self_, before, after)
    local copy = st.clone(after)
    copy.attr.from = self_.attr.from
    for _, tag in ipairs(self_.tags) do
        local isOfClient = tag.attr.xmlns == nil or before ~= nil and hasChildLike(before, tag)
        if not isOfClient and not hasChildLike(after, tag) then
            copy:add_direct_child(st.clone(tag))
        end
    end
    return copy
end

function hasChildLike(presence, tag)
    return presence:get_child(tag.name, tag.attr.xmlns) ~= nil
end

function noteShown(membership, presence)
    local shown = intern(presence)
    local isNews = membership.shownPresence ~= shown
    if isNews then
        membership.shownPresence = shown
        saveSoon(membership.username)
    end
    return isNews
end

function shownStill(membership)
    local isOver = membership.shownDetached == true or isDetachedFor(membership, options.detachedAfter)
    local shown
    if not isOver then
        shown = membership.shownPresence
    end
    if shown == nil then
        return nil
    else
        return stanzaOf(shown)
    end
end

function detachedPresence(membership)
    local presence = st.presence()
    if options.detachedShow ~= "none" then
        presence:tag("show"):text(options.detachedShow):up()
    end
    local self_ = selfOf(membership)
    local update
    if self_ ~= nil then
        update = self_:get_child("x", VCARD_UPDATE)
    end
    if update ~= nil then
        presence:add_direct_child(st.clone(update))
    end
    return presence
end

local isFixed = false

--- The server stops, which ends all sessions. The accounts keep what they show, for the time after the start.
function occupancy_shown.keepShown()
    isFixed = true
    return nil
end

--- Whether a presence may be sent now. During an operation it may not, because a presence to the old nick would revert a
-- nick change. It is sent when the operation ends.
local function mayShow(place)
    return place.phase == "joined" and place.operation == nil and not isFixed
end

--- Shows the room the best presence among the attached sessions. Returns whether it has changed.
function occupancy_shown.showBest(membership)
    local place = membership.place
    local attachment
    if mayShow(place) then
        attachment = chooseShown(membership)
    end
    return attachment ~= nil and mayShow(place) and show(membership, place, attachment.presence, attachment.id)
end

--- Shows the presence of the present sessions where the wait for those of before the start is over.
function occupancy_shown.endOverdue()
    forEachInSlices(takeOverdue(), function(membership)
        if isCurrent(membership) then
            occupancy_shown.showBest(membership)
        end
    end)
end

--- Returns our own presence as the room will show it, when the session of a join is attached.
function occupancy_shown.selfToBe(membership, request)
    local self_ = selfOf(membership)
    local attachment = chooseShown(membership, request)
    if self_ == nil or attachment == nil then
        return self_
    end
    local underway = firstUnderway(membership)
    local shown
    if underway == nil then
        shown = membership.shownPresence
    else
        shown = underway.before
    end
    if shown == intern(attachment.presence) then
        return self_
    end
    local temp_9
    if shown ~= nil then
        temp_9 = stanzaOf(shown)
    end
    return withPayload(self_, temp_9, attachment.presence)
end

--- Returns our own presence as cached, or as the room will echo it.
local function selfNow(membership)
    if firstUnderway(membership) == nil then
        return selfOf(membership)
    else
        return occupancy_shown.selfToBe(membership)
    end
end

--- Returns the presence to send with a join, and records it as shown. `request` is that of the session that joins.
function occupancy_shown.presenceToShow(membership, request)
    local attachment = chooseShown(membership, request)
    local presence
    if attachment ~= nil then
        presence = attachment.presence
    elseif request ~= nil then
        presence = presenceContent(request.stanza)
    else
        presence = shownStill(membership) or detachedPresence(membership)
    end
    noteShown(membership, presence)
    return st.clone(presence)
end

--- Returns a session's join for a room that the account is in. Other occupants may see it as a presence update, so it
-- has the presence that the account shows.
function occupancy_shown.joinToShow(membership, request)
    local presence = occupancy_shown.presenceToShow(membership, request)
    local x = request.stanza:get_child("x", MUC)
    if x ~= nil then
        presence:add_direct_child(st.clone(x))
    end
    return presence
end

--- Shows the room that no session is attached, unless it knows.
function occupancy_shown.showDetached(membership)
    local place = membership.place
    if not mayShow(place) then
        return
    end
    membership.shown = nil
    membership.shownDetached = true
    show(membership, place, detachedPresence(membership))
end

--- Handles a session's directed presence without `<x/>` (XEP-0045 7.7). Each one is answered, by the room or from the
-- cache.
function occupancy_shown.updatePresence(membership, session, stanza)
    attachSession(membership, session, presenceContent(stanza), stanza.attr.id)
    local known
    if not occupancy_shown.showBest(membership) then
        known = selfNow(membership)
    end
    if known ~= nil then
        local self_ = ownPresence(membership, known, knownNick(membership))
        self_.attr.id = stanza.attr.id
        sendOwn(membership, session, self_)
    end
end
end

-- src/occupancy/operations.ts
--
-- Presences of the account that a room must answer: their records, and common functions.
local occupancy_operations = {}
do
local isHalfRenamed
local id = require("util.id")
local flush = archive_buffer.flush
local beginHistory = archive_catchup.beginHistory
local closePart = archive_delivered.closePart
local MUC = namespaces.MUC
local options = minimix_options
local presenceIdFor = send_upstream.presenceIdFor
local sendPresence = send_upstream.sendPresence
local isBlocked = settings_blocklist.isBlocked
local detachAll = state_memberships.detachAll
local now = state_memberships.now
local forgetRoom = state_memberships.forgetRoom
local requestsOf = state_place.requestsOf
local requeue = state_queue.requeue
local isSameNick = minimix_stanzas.isSameNick
local after = minimix_turn.after
local presenceToShow = occupancy_shown.presenceToShow

function isHalfRenamed(bindingPattern0_)
    local place
    local nick
    nick = bindingPattern0_.nick
    place = bindingPattern0_.place
    local operation
    if place.phase == "joined" then
        operation = place.operation
    end
    local isRename = (operation and operation.kind) == "rename"
    if isRename then
        local request = operation.request
        isRename = (request and request.kind) == "rename"
    end
    return isRename and isSameNick(operation.nick, nick)
end

--- Returns the request of a resync that has let its session in. Only history and subject are missing.
function occupancy_operations.admittedBy(place)
    local operation
    if place.phase == "joined" then
        operation = place.operation
    end
    return (operation and operation.kind) == "resync" and operation.stage == "history" and operation.request or nil
end

--- Factor for the timeout of a join that the room has begun to answer, or that needs an action of the user.
local EXTENSIONS = 5
--- Longest pause between two attempts, in seconds.
local LONGEST_PAUSE = 900
--- Seconds after which a room is asked about an automatic join that it has not answered. Large rooms need some time.
occupancy_operations.JOIN_PATIENCE = 15
--- Timeout of a nick change in seconds. The answer may be lost.
occupancy_operations.RENAME_TIMEOUT = 10
--- Timeout of a resync in seconds. A self-ping ends it earlier if the room does not answer.
occupancy_operations.RESYNC_TIMEOUT = 60

--- Creates a join. `ended` is called at its timeout.
function occupancy_operations.newJoin(membership, parts, seconds, ended)
    local join
    join = {
        kind = "join",
        id = parts.id,
        nick = parts.nick,
        request = parts.request,
        isReturn = parts.isReturn,
        isDoubtful = parts.isDoubtful,
        isFirst = parts.isFirst,
        left = parts.left,
        timer = after(seconds, function()
            ended(membership, join)
        end),
        since = now()
    }
    return join
end

--- Returns the parts of an automatic join. With `isAfterLeave` it is sent right after a leave.
function occupancy_operations.ownJoin(membership, isAfterLeave)
    return {
        id = id.medium(),
        nick = membership.nick,
        request = nil,
        isReturn = true,
        isDoubtful = not isAfterLeave,
        isFirst = not isAfterLeave and not membership.established,
        left = isAfterLeave and membership.nick or nil
    }
end

--- Sends an automatic join.
function occupancy_operations.sendOwnJoin(membership, join)
    local presence = presenceToShow(membership)
    local x = st.stanza("x", {xmlns = MUC})
    local since = beginHistory(membership)
    x:tag("history", since == nil and {xmlns = MUC, maxstanzas = "0"} or {xmlns = MUC, since = since}):up()
    if membership.password ~= nil then
        x:tag("password", {xmlns = MUC}):text(membership.password):up()
    end
    presence:add_direct_child(x)
    sendPresence(membership, presence, join.nick, join.id)
end

--- Returns the remaining seconds of a join. They start again with each occupant that the room shows. The user may have to
-- answer a challenge of the room.
function occupancy_operations.timeLeft(place)
    local since = place.operation.since
    local longest = since + EXTENSIONS * options.answerTimeout
    local end_ = place.isHeard and longest or math.min(longest, (place.shownAt or since) + options.answerTimeout)
    local left = end_ - now()
    return left >= 1 and left or 0
end

--- Removes a join from a list.
function occupancy_operations.removeJoin(joins, join)
    for i = #joins, 1, -1 do
        if joins[i] == join then
            table.remove(joins, i)
        end
    end
end

--- Removes the automatic joins from a list.
function occupancy_operations.dropOwnJoins(joins)
    for i = #joins, 1, -1 do
        local join = joins[i]
        if join ~= nil and join.request == nil then
            join.timer:stop()
            table.remove(joins, i)
        end
    end
end

--- Creates a leave. `ended` is called at its timeout.
function occupancy_operations.newLeave(membership, seconds, ended, answerId)
    local timer = after(seconds, function()
        ended(membership)
    end)
    return {
        kind = "leave",
        id = presenceIdFor(membership, answerId),
        nick = membership.nick,
        timer = timer,
        answerId = answerId
    }
end

--- Makes a resync the operation of an account in the room.
function occupancy_operations.startResync(membership, place, key, request, ended)
    local operation
    operation = {
        kind = "resync",
        id = key,
        nick = membership.nick,
        timer = after(occupancy_operations.RESYNC_TIMEOUT, function()
            ended(membership, place, operation)
        end),
        request = request,
        shown = {},
        stage = "occupants"
    }
    place.operation = operation
    return operation
end

--- Makes a nick change the operation of an account in the room.
function occupancy_operations.startRename(membership, place, parts, ended)
    local request = parts.request
    local session = request and request.session
    local operation
    local parts_id_3 = parts.id
    local nick = parts.nick
    local timer = after(occupancy_operations.RENAME_TIMEOUT, function()
        ended(membership, place, operation)
    end)
    local attachmentBefore
    if session ~= nil then
        attachmentBefore = membership.attached[session]
    end
    operation = {
        kind = "rename",
        id = parts_id_3,
        nick = nick,
        timer = timer,
        request = parts.request,
        isJoin = parts.isJoin,
        before = {session = membership.shown, presence = membership.shownPresence},
        attachmentBefore = attachmentBefore
    }
    place.operation = operation
end

--- Ends the data of a stay in the room, because the account is out.
function occupancy_operations.endStay(membership)
    membership.ending = nil
    membership.established = nil
    membership.since = nil
    membership.sinceNumber = nil
    detachAll(membership)
    flush(membership)
    closePart(membership)
    forgetRoom(membership)
end

--- Returns the requests of operations without an answer to the front of the queue.
function occupancy_operations.recall(membership)
    if occupancy_operations.admittedBy(membership.place) == nil and not isHalfRenamed(membership) then
        requeue(membership, requestsOf(membership.place))
    end
end

--- Returns the join of an account in the room that the room has not answered.
function occupancy_operations.joinInFlight(place)
    if place.phase == "entering" then
        return place.later
    end
    local operation
    if place.phase == "joined" then
        operation = place.operation
    end
    local isJoin
    if (operation and operation.kind) == "rename" then
        isJoin = operation.isJoin
    else
        isJoin = (operation and operation.stage) ~= "history"
    end
    if isJoin then
        return operation
    else
        return nil
    end
end

--- Ends the operation, so that the next one can begin.
function occupancy_operations.endOperation(place)
    if place.operation ~= nil then
        place.operation.timer:stop()
        place.operation = nil
    end
end

--- Returns the pause in seconds after a number of attempts: 1 s, doubled up to 15 min, with 25 % jitter.
function occupancy_operations.pause(tries)
    return math.min(2 ^ math.min(tries - 1, 10), LONGEST_PAUSE) * (0.75 + math.random() / 2)
end

--- Whether the account has blocked the room's stanzas about it.
function occupancy_operations.isUnheard(membership)
    return isBlocked(membership.username, membership.room, membership.nick)
end
end

-- src/state/pending.ts
--
-- IQs that rooms have not answered, and the sessions that sent them.
local state_pending = {}
do
local noteOfSession, forgetIq, iqsOfSession
local monotonic = state_clock.monotonic
local id = require("util.id")
local options = minimix_options

function noteOfSession(session, key)
    local iqs = iqsOfSession[session] or {keys = {}, count = 0}
    iqs.keys[key] = true
    iqs.count = iqs.count + 1
    iqsOfSession[session] = iqs
end

function forgetIq(key, pending)
    state_pending.pendingIqs[key] = nil
    local iqs = iqsOfSession[pending.session]
    if iqs == nil or iqs.count == 1 then
        iqsOfSession[pending.session] = nil
    else
        iqs.keys[key] = nil
        iqs.count = iqs.count - 1
    end
end

--- Pending IQs by the id that the module gave them.
state_pending.pendingIqs = {}
iqsOfSession = {}

--- Records an IQ before it is sent, and returns its new id. Undefined if the session has too many pending IQs.
function state_pending.expectIqAnswer(session, room, request)
    local opt_0 = iqsOfSession[session]
    if (opt_0 and opt_0.count or 0) >= options.maxPendingIqs then
        return nil
    end
    local key = "mm-" .. id.medium()
    noteOfSession(session, key)
    state_pending.pendingIqs[key] = {
        session = session,
        room = room,
        expires = monotonic() + options.iqTimeout,
        request = st.clone(request, true)
    }
    return key
end

--- Returns the pending IQ that a room's answer belongs to, and removes it.
function state_pending.takeIq(key, room)
    local pending = state_pending.pendingIqs[key]
    if (pending and pending.room) ~= room then
        return nil
    end
    forgetIq(key, pending)
    return pending
end

--- Removes and returns the IQs that have timed out.
function state_pending.takeExpiredIqs(now)
    local expired = {}
    for key, pending in pairs(state_pending.pendingIqs) do
        if pending.expires <= now then
            expired[#expired + 1] = pending
            forgetIq(key, pending)
        end
    end
    return expired
end

--- Removes the IQs of a session that has ended. Late answers are dropped.
function state_pending.forgetIqsOf(session)
    local opt_4 = iqsOfSession[session]
    for key in pairs(opt_4 and opt_4.keys or {}) do
        state_pending.pendingIqs[key] = nil
    end
    iqsOfSession[session] = nil
end

--- Takes over the pending IQs of the previous instance of the module.
function state_pending.restorePendingIqs(saved)
    for key, pending in pairs(saved) do
        state_pending.pendingIqs[key] = pending
        noteOfSession(pending.session, key)
    end
end
end

-- src/occupancy/outgoing.ts
--
-- Sends messages and IQs of attached sessions to the room and its occupants.
local occupancy_outgoing = {}
do
local passMessage, copyToOthers, sentCarbon, forward
local CARBONS = namespaces.CARBONS
local FORWARD = namespaces.FORWARD
local HINTS = namespaces.HINTS
local sendTo = send_fork.sendTo
local sendUpstream = send_upstream.sendUpstream
local noteOver = state_limits.noteOver
local isComingBack = state_memberships.isComingBack
local expectIqAnswer = state_pending.expectIqAnswer
local newSent = state_sent.newSent
local noteSent = state_sent.noteSent
local post = minimix_turn.post

function passMessage(membership, session, stanza)
    if membership.sent == nil then
        membership.sent = newSent()
    end
    noteSent(membership.sent, stanza, session)
    if stanza.attr.type ~= "groupchat" and jids.resource(stanza.attr.to or "") ~= nil then
        copyToOthers(membership, session, stanza)
    end
    sendUpstream(membership, stanza)
end

function copyToOthers(membership, sender, stanza)
    if stanza:get_child("private", CARBONS) ~= nil or stanza:get_child("no-copy", HINTS) ~= nil then
        return
    end
    for fullJid in pairs(membership.attached) do
        local session = prosody.full_sessions[fullJid]
        if (session and session.want_carbons) ~= nil and fullJid ~= sender then
            sendTo(fullJid, sentCarbon(stanza, jids.bare(fullJid)))
        end
    end
end

function sentCarbon(stanza, account)
    local copy = st.clone(stanza)
    copy.attr.xmlns = "jabber:client"
    return st.message({from = account, type = stanza.attr.type}):tag("sent", {xmlns = CARBONS}):tag("forwarded", {xmlns = FORWARD}):add_child(copy):reset()
end

--- Sends a session's IQ from the occupant JID. A request gets an id of the module, by which its answer finds the
-- session.
function occupancy_outgoing.sendIq(membership, session, stanza)
    local type_ = stanza.attr.type
    if type_ ~= "get" and type_ ~= "set" then
        forward(membership, stanza, stanza.attr.id)
        return
    end
    local id = expectIqAnswer(session, membership.room, stanza)
    if id == nil then
        noteOver("minimix_max_pending_iqs", membership.username, membership.room, "iq_limit")
        sendTo(
            session,
            st.error_reply(stanza, "wait", "resource-constraint", "Too many requests are unanswered")
        )
        return
    end
    forward(membership, stanza, id)
end

function forward(membership, stanza, id)
    local copy = st.clone(stanza)
    copy.attr.from = membership.occupant
    copy.attr.id = id
    post(copy)
end

--- Sends the message of an attached session from the occupant JID.
function occupancy_outgoing.sendMessage(membership, session, stanza)
    if isComingBack(membership) then
        sendTo(
            session,
            st.error_reply(stanza, "wait", "remote-server-timeout", nil, membership.room)
        )
        return
    end
    passMessage(membership, session, stanza)
end

--- Sends a message or an IQ of a session. `session` is undefined if it has ended. Then no session could get an answer, so
-- an IQ is not sent.
function occupancy_outgoing.sendStanza(membership, session, stanza)
    if stanza.name == "message" then
        passMessage(membership, session, stanza)
    elseif session ~= nil then
        occupancy_outgoing.sendIq(membership, session, stanza)
    end
end
end

-- src/state/probes.ts
--
-- Presence probes that rooms have not answered. Not all rooms answer them.
local state_probes = {}
do
local keyOf

function keyOf(membership, nick)
    return membership.occupant .. " " .. membership.room .. "/" .. nick
end

--- Probes by account, room and nick.
local probes = cache.new(1024)

--- Records a session's probe of an occupant.
function state_probes.noteProbe(membership, nick, probe)
    probes:set(keyOf(membership, nick), probe)
end

--- Returns the pending probe of a nick.
function state_probes.findProbe(membership, nick)
    if probes:count() == 0 then
        return nil
    else
        return probes:get(keyOf(membership, nick))
    end
end

--- Ends a probe that is answered or has timed out.
function state_probes.endProbe(membership, nick, probe)
    local key = keyOf(membership, nick)
    if probes:get(key) == probe then
        probes:set(key, nil)
    end
end

--- Clears a session that has ended. The answers to its probes are dropped.
function state_probes.disownProbes(session)
    for _, probe in probes:items() do
        if probe.session == session then
            probe.session = nil
        end
    end
end
end

-- src/occupancy/probe.ts
--
-- Presence probes (XEP-0045 17.3). The room answers the account, and the answer goes to the session that asked.
local occupancy_probe = {}
do
local isAnswer
local sendTo = send_fork.sendTo
local sendOwn = send_own.sendOwn
local presenceIdFor = send_upstream.presenceIdFor
local sendPresence = send_upstream.sendPresence
local hasStatus = minimix_stanzas.hasStatus
local intern = state_interned.intern
local isSamePresence = state_interned.isSamePresence
local isAttached = state_memberships.isAttached
local isComingBack = state_memberships.isComingBack
local findOccupant = state_occupants.findOccupant
local endProbe = state_probes.endProbe
local findProbe = state_probes.findProbe
local noteProbe = state_probes.noteProbe
local after = minimix_turn.after
local isEcho = occupancy_underway.isEcho

function isAnswer(membership, nick, stanza)
    local type_ = stanza.attr.type
    local place = membership.place
    if type_ == "error" then
        return true
    end
    local temp_2 = place.phase ~= "joined"
    if not temp_2 then
        local operation = place.operation
        temp_2 = (operation and operation.kind) == "resync"
    end
    if temp_2 then
        return false
    end
    if nick == membership.nick then
        return type_ == nil and not hasStatus(stanza, "110") and not isEcho(membership, place, stanza)
    end
    local known = findOccupant(membership.view, nick)
    if type_ == "unavailable" then
        return known == nil
    end
    return known ~= nil and isSamePresence(known, intern(stanza))
end

--- Timeout of a probe, in seconds.
local TIME_LIMIT = 30

--- Asks the room for the presence of an occupant.
function occupancy_probe.sendProbe(membership, session, stanza)
    if isComingBack(membership) then
        sendTo(
            session,
            st.error_reply(stanza, "wait", "remote-server-timeout", nil, membership.room)
        )
        return
    end
    local nick = jids.resource(stanza.attr.to or "") or membership.nick
    local probe = {session = session, id = stanza.attr.id}
    noteProbe(membership, nick, probe)
    after(TIME_LIMIT, function()
        endProbe(membership, nick, probe)
    end)
    sendPresence(
        membership,
        st.presence({type = "probe"}),
        nick,
        presenceIdFor(membership, stanza.attr.id)
    )
end

--- Sends a presence that answers a probe to the session that asked, unless that has left. Returns whether it answers one.
-- New presence goes to all sessions.
function occupancy_probe.answerProbe(membership, nick, stanza)
    local probe = findProbe(membership, nick)
    if probe == nil or not isAnswer(membership, nick, stanza) then
        return false
    end
    endProbe(membership, nick, probe)
    if stanza.attr.type == "error" then
        local error_ = st.clone(stanza)
        error_.attr.id = probe.id
        sendTo(probe.session, error_)
    elseif isAttached(membership, probe.session) then
        sendOwn(membership, probe.session, stanza)
    end
    return true
end
end

-- src/occupancy/refuse.ts
--
-- Errors for sessions with failed joins.
local occupancy_refuse = {}
do
local finish
local sendTo = send_fork.sendTo
local sendOwn = send_own.sendOwn
local requestsOf = state_place.requestsOf
local isSuperseded = state_queue.isSuperseded
local takeAll = state_queue.takeAll

function finish(membership, request, answer, type_, condition)
    local session = request.session
    local sender = request.sender
    local queued = request.queued
    local isTold = not isSuperseded(membership, request)
    request.session = nil
    request.queued = {}
    request.queuedSize = 0
    if isTold then
        sendOwn(membership, session, answer)
    end
    for _, stanza in ipairs(queued) do
        occupancy_refuse.bounce(membership, sender, stanza, type_, condition)
    end
end

--- Returns a stanza to its sender with an error. An answer to an IQ gets none.
function occupancy_refuse.bounce(membership, session, stanza, type_, condition)
    local kind = stanza.attr.type
    if kind ~= "error" and kind ~= "result" then
        sendTo(session, st.error_reply(stanza, type_, condition, nil, membership.room))
    end
end

--- The error of a room for a stanza of a non-occupant (XEP-0045 7.4).
local NOT_ACCEPTABLE = "not-acceptable"
local UNANSWERED = "remote-server-timeout"

--- Sends a session the room's refusal of its join. A newer join of the same session replaces the refused one.
function occupancy_refuse.refuse(membership, request, error_)
    if request ~= nil then
        local answer = st.clone(error_)
        answer.attr.id = request.id
        finish(membership, request, answer, "modify", NOT_ACCEPTABLE)
    end
end

--- Sends a session an error for a join that the room has not answered, or will not answer.
function occupancy_refuse.refuseUnanswered(membership, request)
    if request ~= nil then
        local error_ = st.error_reply(request.stanza, "wait", UNANSWERED, nil, membership.room)
        finish(membership, request, error_, "wait", UNANSWERED)
    end
end

--- The room is unreachable; fail the queued joins as well.
function occupancy_refuse.refuseQueue(membership)
    for _, request in ipairs(takeAll(membership)) do
        occupancy_refuse.refuseUnanswered(membership, request)
    end
end

--- Fails all pending joins: this instance of the module ends.
function occupancy_refuse.refuseAll(membership)
    for _, request in ipairs(requestsOf(membership.place)) do
        occupancy_refuse.refuseUnanswered(membership, request)
    end
    occupancy_refuse.refuseQueue(membership)
end

--- Returns the queued stanzas of a session whose join was not sent, or that is out before they are.
function occupancy_refuse.bounceAll(membership, session, stanzas)
    for _, stanza in ipairs(stanzas) do
        occupancy_refuse.bounce(membership, session, stanza, "modify", NOT_ACCEPTABLE)
    end
end

--- Returns queued nick changes with errors, because the account is out.
function occupancy_refuse.bounceQueue(membership)
    for _, request in ipairs(takeAll(membership)) do
        occupancy_refuse.bounce(membership, request.session, request.stanza, "modify", NOT_ACCEPTABLE)
    end
end
end

-- src/occupancy/requests.ts
--
-- Requests of sessions while the account is in the room, and the answers that belong to them.
local occupancy_requests = {}
do
local hasExtensions
local MUC = namespaces.MUC
local isSameNick = minimix_stanzas.isSameNick
local isAttached = state_memberships.isAttached
local save = state_store.save
local endOperation = occupancy_operations.endOperation

--- Whether a request is a nick change, instead of a replay under the current nick.
function occupancy_requests.isRename(membership, request)
    return request.kind == "rename" or not request.isResync and isAttached(membership, request.session)
end

--- Whether the cache can serve a session.
function occupancy_requests.isInView(membership, request)
    return membership.view.stale == nil and not hasExtensions(request.stanza)
end

function hasExtensions(stanza)
    local x = stanza:get_child("x", MUC)
    for _, tag in ipairs(x == nil and {} or x.tags) do
        if tag.name ~= "history" and tag.name ~= "password" then
            return true
        end
    end
    return false
end

--- Whether a join needs no answer of the room.
function occupancy_requests.isServedAtOnce(membership, request)
    return request.kind == "join" and occupancy_requests.isInView(membership, request) and (request.nick == membership.nick or not occupancy_requests.isRename(membership, request))
end

--- Whether the room already uses a nick we requested and the 303 was lost.
function occupancy_requests.isLateNick(place, nick)
    local operation = place.operation
    return place.late ~= nil and isSameNick(place.late.nick, nick) or (operation and operation.kind) == "rename" and isSameNick(operation.nick, nick)
end

--- Whether our own presence ends a nick change: it has the requested nick, or the room has kept another.
function occupancy_requests.isAnswerTo(operation, nick, stanza)
    return isSameNick(operation.nick, nick) or stanza.attr.id == operation.id
end

--- Returns the operation that an error with this id refuses late.
function occupancy_requests.lateRename(place, key)
    return place.late ~= nil and key == place.late.id and place.late or nil
end

--- The room has given the account the nick of a request, and the 303 was lost. Returns the request, if it is a join.
function occupancy_requests.renamedUnheard(place, nick)
    local operation = place.operation
    place.late = nil
    if (operation and operation.kind) ~= "rename" or not isSameNick(operation.nick, nick) then
        return nil
    end
    endOperation(place)
    local request = operation.request
    return (request and request.kind) == "join" and operation.request or nil
end

--- Notes a later password. While the account is in the room, the room does not check passwords, but its password may
-- have changed.
function occupancy_requests.notePassword(membership, request)
    local opt_6 = request.stanza:get_child("x", MUC)
    local password = opt_6 and opt_6:get_child_text("password")
    if password ~= nil and password ~= membership.password and password ~= membership.laterPassword then
        membership.laterPassword = password
        save(membership.username)
    end
end
end

-- src/occupancy/enter.ts
--
-- Sends joins: of sessions, in the order of the queue. The timeout is set before anything is sent.
local occupancy_enter = {}
do
local timedOut, leaveBefore, shownSince, disown, takeTurn, enterNext, askFirst, onTimeout
local id = require("util.id")
local options = minimix_options
local presenceIdFor = send_upstream.presenceIdFor
local sendPresence = send_upstream.sendPresence
local forgetRoom = state_memberships.forgetRoom
local hasAttached = state_memberships.hasAttached
local isCurrent = state_memberships.isCurrent
local now = state_memberships.now
local setPlace = state_memberships.setPlace
local triesOf = state_memberships.triesOf
local joiningBy = state_place.joiningBy
local hasQueuedJoin = state_queue.hasQueuedJoin
local takeJoin = state_queue.takeJoin
local save = state_store.save
local after = minimix_turn.after
local selfPing = send_ping.selfPing
local newJoin = occupancy_operations.newJoin
local joinToShow = occupancy_shown.joinToShow

function timedOut(membership, join)
    if onTimeout ~= nil then
        onTimeout(membership, join)
    end
end

--- Creates a join with a timeout in seconds.
function occupancy_enter.newTimedJoin(membership, parts, seconds)
    if seconds == nil then
        seconds = options.answerTimeout
    end
    return newJoin(membership, parts, seconds, timedOut)
end

--- Sends a session's join to the room. `earlier` are unanswered joins. `unconfirmed` is the nick of a leave that may be
-- lost: a second leave goes first, or an account that is still in would get no occupants and no subject.
function occupancy_enter.enter(membership, request, earlier, unconfirmed)
    if earlier == nil then
        earlier = {}
    end
    local isReturn = hasAttached(membership)
    if not isReturn and #earlier == 0 then
        forgetRoom(membership)
    end
    local key = presenceIdFor(membership, request.id)
    local isFirst = not membership.established and unconfirmed == nil
    local parts = {
        id = key,
        nick = request.nick,
        request = request,
        isReturn = isReturn,
        isDoubtful = membership.established == true,
        isFirst = isFirst,
        left = unconfirmed or leaveBefore(earlier)
    }
    local join = occupancy_enter.newTimedJoin(membership, parts)
    disown(earlier, request.session)
    occupancy_enter.beginJoin(membership, join, earlier, shownSince(membership, earlier))
    if not membership.established then
        save(membership.username)
    end
    if unconfirmed ~= nil then
        sendPresence(membership, st.presence({type = "unavailable"}), unconfirmed, id.medium())
    end
    sendPresence(membership, joinToShow(membership, request), request.nick, key)
end

function leaveBefore(joins)
    local opt_2 = joins[#joins]
    return opt_2 and opt_2.left
end

function shownSince(bindingPattern0_, joins)
    local place
    place = bindingPattern0_.place
    return #joins > 0 and place.phase == "joining" and place.shown or nil
end

function disown(joins, session)
    for _, value_ in ipairs(joins) do
        local request = value_.request
        if request ~= nil and request.session == session then
            request.session = nil
        end
    end
end

--- Makes a join the operation of an account that is not in the room. `shown` are nicks of an answer that has begun.
function occupancy_enter.beginJoin(membership, join, earlier, shown)
    if shown == nil then
        shown = {}
    end
    membership.nick = join.nick
    local before = membership.place
    local mayBeIn = before.phase == "joining" and before.mayBeIn
    setPlace(membership, joiningBy(join, earlier, shown, mayBeIn, triesOf(membership)))
    occupancy_enter.waitForTurn(membership)
end

--- Serves the next request in the queue soon, even if the room has not answered the join before it.
function occupancy_enter.waitForTurn(membership)
    local place = membership.place
    if place.phase == "joining" and place.turn == nil and hasQueuedJoin(membership) then
        place.turn = after(occupancy_enter.TURN, function()
            place.turn = nil
            if membership.place == place then
                takeTurn(membership, place)
            end
        end)
    end
end

function takeTurn(membership, place)
    local isAnswering = place.shownAt ~= nil and now() - place.shownAt < occupancy_enter.TURN
    if isAnswering or place.claimed ~= nil then
        occupancy_enter.waitForTurn(membership)
        return
    end
    local request = takeJoin(membership, place.operation.nick)
    if request ~= nil then
        enterNext(membership, place, request)
    else
        askFirst(membership, place)
    end
end

function enterNext(membership, place, request)
    place.mayBeIn = true
    local earlier = place.earlier
    earlier[#earlier + 1] = place.operation
    occupancy_enter.enter(membership, request, place.earlier)
    if membership.place.phase == "joining" then
        membership.place.removal = place.removal
    end
end

function askFirst(membership, place)
    selfPing(membership, function()
        local isPending = membership.place == place and isCurrent(membership)
        local request
        if isPending then
            request = takeJoin(membership)
        end
        if request ~= nil then
            enterNext(membership, place, request)
        end
    end)
end

--- Seconds for which an unanswered join may delay the next request.
occupancy_enter.TURN = 5

--- Registers the handler of joins that time out. It may send other joins, so this file cannot import it.
function occupancy_enter.onJoinTimeout(handler)
    onTimeout = handler
end

--- Restarts the timeout of a join.
function occupancy_enter.limitJoin(membership, join, seconds)
    if seconds == nil then
        seconds = options.answerTimeout
    end
    join.timer = after(seconds, function()
        timedOut(membership, join)
    end)
end

--- Sends the next queued join after a session's join has failed. Without one, an earlier join may still be answered.
-- Returns whether there is either.
function occupancy_enter.tryNext(membership, place)
    local request = takeJoin(membership)
    if request ~= nil then
        occupancy_enter.enter(membership, request, place.earlier)
        return true
    end
    local join = table.remove(place.earlier)
    if join ~= nil then
        occupancy_enter.beginJoin(membership, join, place.earlier, place.shown)
        return true
    end
    return false
end
end

-- src/send/rules.ts
--
-- Checks the account's automatic joins against the outgoing rules of the server (O7). If mod_isolate_host or
-- mod_firewall forbids a join to the user, it is forbidden to the account.
local send_rules = {}
do
local isChecked, checked
local id = require("util.id")
local MUC = namespaces.MUC

function isChecked(origin)
    return checked == origin
end

--- Whether a presence is such a join. The handler of `pre-presence/full` calls this after the handlers of the rules.
function send_rules.passesRules(origin)
    local passes = isChecked(origin)
    if passes then
        checked = nil
    end
    return passes
end

--- Fires the join as an event, for the outgoing rules of this server. Returns the error if they refuse it.
function send_rules.refusalOf(membership)
    local answer
    local to = membership.room .. "/" .. membership.nick
    local stanza = st.presence({from = membership.occupant, to = to, id = id.medium()}):tag("x", {xmlns = MUC}):reset()
    local origin = {
        type = "local",
        host = module.host,
        username = membership.username,
        full_jid = membership.occupant,
        send = function(reply)
            if type(reply) == "string" then
                answer = nil
            else
                answer = reply
            end
            return true
        end
    }
    checked = origin
    local ok, problem = pcall(function() return module:fire_event("pre-presence/full", {origin = origin, stanza = stanza}) end)
    local isRefused = isChecked(origin)
    checked = nil
    if not ok then
        module:log(
            "error",
            "A module failed on the join of %s to %s: %s",
            membership.username,
            stanza.attr.to,
            problem
        )
        return nil
    end
    return isRefused and (answer or st.error_reply(stanza, "auth", "forbidden")) or nil
end
end

-- src/occupancy/leave.ts
--
-- Leaves rooms, and repeats the leave until the room confirms it. The timeout is set before anything is sent.
local occupancy_leave = {}
do
local stayIn, mayStillEnter, PING_TIMEOUT
local openPart = archive_delivered.openPart
local options = minimix_options
local patience = send_ask.patience
local fork = send_fork.fork
local saysOut = send_ping.saysOut
local selfPing = send_ping.selfPing
local sendPresence = send_upstream.sendPresence
local noteRefusal = state_bookmarks.noteRefusal
local detachAll = state_memberships.detachAll
local dropMembership = state_memberships.dropMembership
local isCurrent = state_memberships.isCurrent
local isUsed = state_memberships.isUsed
local setPlace = state_memberships.setPlace
local triesOf = state_memberships.triesOf
local isIn = state_place.isIn
local hasQueuedJoin = state_queue.hasQueuedJoin
local takeJoin = state_queue.takeJoin
local save = state_store.save
local after = minimix_turn.after
local enter = occupancy_enter.enter
local TURN = occupancy_enter.TURN
local endStay = occupancy_operations.endStay
local isUnheard = occupancy_operations.isUnheard
local joinInFlight = occupancy_operations.joinInFlight
local newLeave = occupancy_operations.newLeave
local pause = occupancy_operations.pause
local recall = occupancy_operations.recall
local bounceQueue = occupancy_refuse.bounceQueue
local refuseAll = occupancy_refuse.refuseAll
local ownUnavailable = occupancy_replay.ownUnavailable

function stayIn(place)
    if place.phase == "leaving" then
        return place.wasIn
    end
    if not isIn(place) then
        return nil
    end
    return joinInFlight(place) == nil and "settled" or "joining"
end

--- Shortens the wait for a leave that the room may never confirm, because a session waits.
function occupancy_leave.hastenLeave(membership)
    local place = membership.place
    local isFirst = place.phase == "leaving" and place.tries == 0 and hasQueuedJoin(membership)
    if isFirst and place.operation ~= nil then
        place.operation.timer:stop()
        place.operation.timer = after(TURN, function()
            occupancy_leave.leaveUnanswered(membership)
        end)
    end
end

--- Tells the sessions now, but retries the leave until confirmed: a stale occupant is a leak.
function occupancy_leave.leaveUnanswered(membership)
    local place = membership.place
    local leaving
    if place.phase == "leaving" then
        leaving = place.operation
    end
    local answerId
    if leaving ~= nil then
        answerId = leaving.answerId
    end
    fork(membership, ownUnavailable(membership, answerId))
    occupancy_leave.leaveAgain(membership)
end

--- The sessions know that they are out, but the account may be in. A waiting session's join follows after a leave.
function occupancy_leave.leaveAgain(membership)
    detachAll(membership)
    local request = takeJoin(membership)
    if request ~= nil then
        enter(membership, request, {}, membership.nick)
    else
        occupancy_leave.retryLeave(membership)
    end
end

--- Resends the leave, then self-pings: rooms do not answer a leave from a non-occupant. `isMissing`: the room has no
-- occupant with the nick.
function occupancy_leave.retryLeave(membership, tries, isMissing)
    if tries == nil then
        tries = triesOf(membership) + 1
    end
    if isMissing == nil then
        isMissing = false
    end
    local operation = newLeave(membership, PING_TIMEOUT, occupancy_leave.retryLeave)
    local wasIn = stayIn(membership.place)
    setPlace(membership, {phase = "leaving", tries = tries, operation = operation, wasIn = wasIn})
    local place = membership.place
    if membership.established then
        openPart(membership)
    end
    sendPresence(membership, st.presence({type = "unavailable"}), membership.nick, operation.id)
    local function answered(condition)
        if membership.place ~= place or not isCurrent(membership) then
            return
        end
        if condition == "item-not-found" and not isMissing then
            occupancy_leave.retryLeave(membership, tries, true)
            return
        end
        local mayBeIn = membership.established and not isUnheard(membership)
        if not saysOut(condition) and (mayBeIn or tries < occupancy_leave.TRIES_UNTIL_TOLD) then
            local next = newLeave(membership, pause(tries), occupancy_leave.retryLeave)
            setPlace(membership, {phase = "leaving", tries = tries, operation = next, wasIn = wasIn})
        else
            occupancy_leave.over(membership)
        end
    end
    selfPing(membership, answered, patience(membership))
end

function mayStillEnter(place)
    return joinInFlight(place) ~= nil or place.phase == "lost"
end

--- The account is out. A waiting session starts a new join. Without one the membership is dropped. If the room may still
-- admit the account, a leave comes first.
function occupancy_leave.over(membership)
    local place = membership.place
    if place.phase ~= "leaving" then
        noteRefusal(membership)
    end
    recall(membership)
    endStay(membership)
    if not hasQueuedJoin(membership) then
        bounceQueue(membership)
    end
    if mayStillEnter(place) then
        local operation = newLeave(membership, 0, occupancy_leave.leaveAgain)
        setPlace(membership, {phase = "leaving", tries = 0, operation = operation})
        save(membership.username)
        return
    end
    local request = takeJoin(membership)
    if request == nil then
        dropMembership(membership)
        save(membership.username)
    else
        enter(membership, request)
    end
end

--- Attempts after which sessions are told that the account is out: about four minutes.
occupancy_leave.TRIES_UNTIL_TOLD = 8
PING_TIMEOUT = 60

--- Leaves the room. `unavailable` may have a status from the client.
function occupancy_leave.leave(membership, unavailable)
    recall(membership)
    membership.ending = nil
    local before = membership.place
    if before.phase == "joining" and (next(before.shown)) ~= nil then
        membership.established = true
    end
    local operation = newLeave(membership, options.answerTimeout, occupancy_leave.leaveUnanswered, unavailable.attr.id)
    setPlace(
        membership,
        {phase = "leaving", tries = 0, operation = operation, wasIn = stayIn(before)}
    )
    occupancy_leave.hastenLeave(membership)
    save(membership.username)
    sendPresence(membership, unavailable, membership.nick, operation.id)
end

--- Leaves a blocked room: its answer will not arrive, so fail pending joins now.
function occupancy_leave.leaveUnheard(membership)
    refuseAll(membership)
    fork(membership, ownUnavailable(membership, nil))
    detachAll(membership)
    membership.ending = nil
    occupancy_leave.retryLeave(membership, 1)
    save(membership.username)
end

--- Leaves the room if only sessions keep the account there, and none is left. Returns whether it does.
function occupancy_leave.leaveIfUnused(membership)
    if not membership.ending or isUsed(membership) then
        return false
    end
    occupancy_leave.leave(membership, st.presence({type = "unavailable"}))
    return true
end
end

-- src/occupancy/refusal.ts
--
-- The meaning of errors and removals by rooms.
local occupancy_refusal = {}
do
local isBounce
local MUC_USER = namespaces.MUC_USER
local hasStatus = minimix_stanzas.hasStatus

function isBounce(text)
    return text ~= nil and (string.find(text, "Server-to-server connection failed", 1, true)) == 1
end

--- Conditions by which rooms refuse a join (XEP-0045 7.2, 10.9).
local refusals = {}
for _, condition in ipairs({"forbidden", "gone", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized"}) do
    refusals[condition] = true
end
refusals["registration-required"] = true

--- Whether a refused join may succeed later: a room may be locked or full, or its server may be starting.
function occupancy_refusal.isTemporary(error_)
    local type_, condition, text = error_:get_error()
    return type_ == "wait" or condition == nil or refusals[condition] == nil or isBounce(text)
end

--- Whether the room's server was not reached.
function occupancy_refusal.isUnreached(condition)
    return condition == "remote-server-not-found" or condition == "remote-server-timeout"
end

--- Technical removal (XEP-0045 15.6.2), as opposed to a kick or ban: the service shuts down or lost us.
function occupancy_refusal.isTechnical(stanza)
    return hasStatus(stanza, "332") or hasStatus(stanza, "333")
end

local expulsions = {"301", "307", "321", "322"}

--- Whether a room has removed an occupant on purpose (XEP-0045 8.2, 9.1, 9.4, 10.9).
function occupancy_refusal.isExpulsion(stanza)
    for _, code in ipairs(expulsions) do
        if hasStatus(stanza, code) then
            return true
        end
    end
    local x = stanza:get_child("x", MUC_USER)
    return (x and x:get_child("destroy")) ~= nil
end
end

-- src/occupancy/lost.ts
--
-- Failed joins, loss and rejoin: the account is not in a room although it should be.
local occupancy_lost = {}
do
local joinForbidden, startOver, ownJoinUnanswered, tryOthers, TRIES_FOR_ARCHIVE, ARCHIVE_TIMEOUT
local id = require("util.id")
local catchUp = archive_catchup.catchUp
local dropQuestion = archive_catchup.dropQuestion
local fork = send_fork.fork
local forkOwn = send_own.forkOwn
local options = minimix_options
local saysNothing = send_ping.saysNothing
local selfPing = send_ping.selfPing
local refusalOf = send_rules.refusalOf
local sendPresence = send_upstream.sendPresence
local isToJoin = state_bookmarks.isToJoin
local shouldRejoin = state_bookmarks.shouldRejoin
local noteRefusal = state_bookmarks.noteRefusal
local detachAll = state_memberships.detachAll
local dropMembership = state_memberships.dropMembership
local isAttached = state_memberships.isAttached
local isCurrent = state_memberships.isCurrent
local setPlace = state_memberships.setPlace
local triesOf = state_memberships.triesOf
local hasQueuedJoin = state_queue.hasQueuedJoin
local isAlive = state_queue.isAlive
local isSuperseded = state_queue.isSuperseded
local takeJoin = state_queue.takeJoin
local save = state_store.save
local isSameNick = minimix_stanzas.isSameNick
local after = minimix_turn.after
local keepNewNick = occupancy_burst.keepNewNick
local beginJoin = occupancy_enter.beginJoin
local enter = occupancy_enter.enter
local limitJoin = occupancy_enter.limitJoin
local newTimedJoin = occupancy_enter.newTimedJoin
local onJoinTimeout = occupancy_enter.onJoinTimeout
local tryNext = occupancy_enter.tryNext
local leave = occupancy_leave.leave
local leaveIfUnused = occupancy_leave.leaveIfUnused
local leaveUnheard = occupancy_leave.leaveUnheard
local over = occupancy_leave.over
local retryLeave = occupancy_leave.retryLeave
local TRIES_UNTIL_TOLD = occupancy_leave.TRIES_UNTIL_TOLD
local admittedBy = occupancy_operations.admittedBy
local dropOwnJoins = occupancy_operations.dropOwnJoins
local endStay = occupancy_operations.endStay
local isUnheard = occupancy_operations.isUnheard
local JOIN_PATIENCE = occupancy_operations.JOIN_PATIENCE
local joinInFlight = occupancy_operations.joinInFlight
local ownJoin = occupancy_operations.ownJoin
local pause = occupancy_operations.pause
local recall = occupancy_operations.recall
local removeJoin = occupancy_operations.removeJoin
local sendOwnJoin = occupancy_operations.sendOwnJoin
local timeLeft = occupancy_operations.timeLeft
local isExpulsion = occupancy_refusal.isExpulsion
local isTechnical = occupancy_refusal.isTechnical
local refuse = occupancy_refuse.refuse
local refuseQueue = occupancy_refuse.refuseQueue
local refuseUnanswered = occupancy_refuse.refuseUnanswered
local sendSubject = occupancy_replay.sendSubject
local technicalRemoval = occupancy_replay.technicalRemoval
local understood = occupancy_replay.understood

--- The account is out although it should be in, and will rejoin. Sessions are told only if this takes too long, and may
-- then join by themselves.
function occupancy_lost.lost(membership)
    local admitted = admittedBy(membership.place)
    if admitted ~= nil then
        sendSubject(membership, admitted.session)
    end
    recall(membership)
    keepNewNick(membership)
    local tries = triesOf(membership) + 1
    membership.nick = membership.wantedNick
    setPlace(
        membership,
        {
            phase = "lost",
            tries = tries,
            next = {kind = "pause", timer = occupancy_lost.rejoinAfter(membership, pause(tries))}
        }
    )
    dropQuestion(membership)
    if leaveIfUnused(membership) then
        return
    end
    if isUnheard(membership) then
        leaveUnheard(membership)
    elseif tries == TRIES_UNTIL_TOLD then
        fork(membership, technicalRemoval(membership))
        detachAll(membership)
    end
end

--- The room is unreachable: the account is lost, and pending joins fail.
function occupancy_lost.unreached(membership)
    occupancy_lost.lost(membership)
    refuseQueue(membership)
    leaveIfUnused(membership)
end

function occupancy_lost.rejoinAfter(membership, seconds)
    return after(seconds, function()
        occupancy_lost.rejoin(membership)
    end)
end

--- Rejoins, and fetches missed messages first. Until the archive has answered the account is still lost, and a presence
-- of the room answers no join.
function occupancy_lost.rejoin(membership)
    local before = membership.place
    if before.phase == "lost" and before.next.kind == "archive" then
        return
    end
    local timer = after(ARCHIVE_TIMEOUT, function()
        occupancy_lost.lost(membership)
    end)
    recall(membership)
    setPlace(
        membership,
        {
            phase = "lost",
            tries = triesOf(membership),
            next = {kind = "archive", timer = timer}
        }
    )
    local place = membership.place
    if not membership.established then
        occupancy_lost.joinAgain(membership)
        return
    end
    catchUp(membership, function(outcome)
        if membership.place ~= place then
            return
        end
        if outcome ~= "unreached" or triesOf(membership) >= TRIES_FOR_ARCHIVE then
            occupancy_lost.joinAgain(membership)
            return
        end
        local request = takeJoin(membership)
        if request == nil then
            occupancy_lost.unreached(membership)
        else
            enter(membership, request)
        end
    end)
end

--- Sends the account's own join.
function occupancy_lost.joinAgain(membership)
    local refusal = refusalOf(membership)
    if refusal ~= nil then
        joinForbidden(membership, refusal)
        return
    end
    local seconds = math.min(options.answerTimeout, JOIN_PATIENCE)
    local join = newTimedJoin(membership, ownJoin(membership, false), seconds)
    beginJoin(membership, join, {})
    sendOwnJoin(membership, join)
    occupancy_lost.makeSure(membership, join)
end

function joinForbidden(membership, error_)
    local type_, condition = error_:get_error()
    local request = takeJoin(membership)
    if request ~= nil then
        enter(membership, request)
    elseif type_ == "wait" then
        occupancy_lost.lost(membership)
    else
        module:log(
            "warn",
            "This server forbids %s to join %s: %s",
            membership.username,
            membership.room,
            condition
        )
        noteRefusal(membership, condition)
        fork(membership, technicalRemoval(membership))
        detachAll(membership)
        membership.ending = nil
        if membership.established then
            retryLeave(membership, 1)
        else
            dropMembership(membership)
        end
        save(membership.username)
    end
end

--- Sends a ping after a join. The room answers it after its answer to the join. If no subject has come by then, the room
-- did not treat our presence as a join.
function occupancy_lost.makeSure(membership, join)
    selfPing(membership, function()
        local place = membership.place
        if place.phase == "entering" and place.operation == join and isCurrent(membership) then
            local request = join.request
            startOver(membership, request and request.session)
        end
    end)
end

function startOver(membership, session)
    if membership.view.subject ~= nil and isAttached(membership, session) then
        sendSubject(membership, session)
    end
    recall(membership)
    keepNewNick(membership)
    local join = newTimedJoin(membership, ownJoin(membership, true))
    beginJoin(membership, join, {})
    sendPresence(membership, st.presence({type = "unavailable"}), join.nick, id.medium())
    sendOwnJoin(membership, join)
end

--- Returns the nick of the leave ahead of a join, unless the room has confirmed it with this removal.
function occupancy_lost.unconfirmedLeave(bindingPattern0_, removal)
    local left
    left = bindingPattern0_.left
    local removed = jids.resource(removal and removal.attr.from or "")
    local isConfirmed = left ~= nil and removed ~= nil and isSameNick(removed, left)
    if isConfirmed then
        return nil
    else
        return left
    end
end

function ownJoinUnanswered(membership, place)
    limitJoin(membership, place.operation, math.min(timeLeft(place), JOIN_PATIENCE))
    local function pinged(condition)
        local isPending = membership.place == place and isCurrent(membership) and occupancy_lost.kickOf(place) == nil
        local isReached = condition == nil or not saysNothing(condition)
        if isPending and isReached and not tryNext(membership, place) then
            occupancy_lost.unreached(membership)
        end
    end
    selfPing(membership, pinged, JOIN_PATIENCE)
end

--- A session's join has failed. Joins again if the account must be in the room.
function occupancy_lost.joinFailed(membership, place)
    if tryNext(membership, place) then
        return
    end
    local operation = place.operation
    local left = operation.left
    local request = operation.request
    local hasLeft = left ~= nil and request ~= nil
    if hasLeft then
        place.mayBeIn = true
    end
    if isToJoin(membership) or not hasLeft and shouldRejoin(membership) then
        occupancy_lost.lost(membership)
    else
        occupancy_lost.giveUp(membership, place)
    end
end

--- Returns the removal if the room has kicked or banned the account since the last join.
function occupancy_lost.kickOf(bindingPattern0_)
    local removal
    removal = bindingPattern0_.removal
    return removal ~= nil and isExpulsion(removal) and not isTechnical(removal) and removal or nil
end

--- A join has failed after a kick, so the account stays out. The room may have admitted it meanwhile, so send a leave.
function occupancy_lost.endKicked(membership, place, kick)
    place.mayBeIn = true
    if not tryOthers(membership, place, kick) then
        noteRefusal(membership)
        endStay(membership)
        occupancy_lost.giveUp(membership, place)
    end
end

function tryOthers(membership, place, removal)
    forkOwn(membership, understood(membership, removal))
    dropOwnJoins(place.earlier)
    local hasOther = hasQueuedJoin(membership) or #place.earlier > 0
    if hasOther then
        noteRefusal(membership)
        endStay(membership)
        tryNext(membership, place)
        save(membership.username)
    end
    return hasOther
end

--- Ends the attempts. After a timeout the room may still have admitted us, so send a leave.
function occupancy_lost.giveUp(membership, place)
    fork(membership, technicalRemoval(membership))
    if place.mayBeIn then
        detachAll(membership)
        leave(membership, st.presence({type = "unavailable"}))
    else
        over(membership)
    end
end

TRIES_FOR_ARCHIVE = 4
ARCHIVE_TIMEOUT = 600

--- The room confirms a leave that was sent ahead of a join. So our own presence before it has answered an earlier join, and
-- the answer to this one follows.
function occupancy_lost.leftBefore(membership, sent, removal)
    recall(membership)
    keepNewNick(membership)
    membership.wantedNick = sent.nick
    local join = newTimedJoin(
        membership,
        {
            id = sent.id,
            nick = sent.nick,
            request = nil,
            isReturn = true,
            isDoubtful = false,
            isFirst = false,
            left = occupancy_lost.unconfirmedLeave(sent, removal)
        }
    )
    beginJoin(membership, join, {})
end

--- The room has put the account out. It may still answer a session's join that was sent before. Returns whether there is
-- such a join. It is not sent again: the room may have taken it for a presence update before.
function occupancy_lost.putOutBefore(membership)
    local sent = joinInFlight(membership.place)
    local request = sent and sent.request
    if sent == nil or request == nil or not isAlive(request) or isSuperseded(membership, request) then
        return false
    end
    noteRefusal(membership)
    endStay(membership)
    local join = newTimedJoin(membership, {
        id = sent.id,
        nick = sent.nick,
        request = request,
        isReturn = false,
        isDoubtful = false,
        isFirst = false,
        left = nil
    })
    beginJoin(membership, join, {})
    save(membership.username)
    return true
end

--- The room has changed the nick of an account that it had all the time, and lists no occupants. If it took the last join
-- for that change, the account joins again under the new nick. Otherwise the answer to the join follows.
function occupancy_lost.onlyRenamed(membership, place, nick, isLast)
    place.renamed = nil
    place.mayBeIn = true
    membership.established = true
    save(membership.username)
    if isLast then
        membership.wantedNick = place.operation.request == nil and membership.wantedNick or nick
        recall(membership)
        membership.nick = nick
        occupancy_lost.joinAgain(membership)
        if membership.place.phase == "joining" then
            membership.place.renamed = "before"
        end
    end
end

--- A join has timed out.
local function joinUnanswered(membership, join)
    local place = membership.place
    if place.phase ~= "joining" then
        return
    end
    local kick = occupancy_lost.kickOf(place)
    if join ~= place.operation then
        removeJoin(place.earlier, join)
        refuseUnanswered(membership, join.request)
    elseif timeLeft(place) > 0 and (join.request ~= nil or place.isHeard or kick ~= nil) then
        limitJoin(membership, join, timeLeft(place))
    elseif timeLeft(place) > 0 then
        ownJoinUnanswered(membership, place)
    elseif kick ~= nil then
        refuseUnanswered(membership, join.request)
        occupancy_lost.endKicked(membership, place, kick)
    elseif join.request == nil and not hasQueuedJoin(membership) then
        occupancy_lost.unreached(membership)
    else
        place.mayBeIn = true
        refuseUnanswered(membership, join.request)
        occupancy_lost.joinFailed(membership, place)
    end
end

onJoinTimeout(joinUnanswered)

--- The room has removed the account first. `isAnswer`: as its answer to the last join. `mayBeIn`: it may be in by now.
function occupancy_lost.removedAtOnce(membership, place, stanza, isAnswer, mayBeIn)
    if mayBeIn == nil then
        mayBeIn = false
    end
    local request = place.operation.request
    if isAnswer then
        refuse(membership, request, stanza)
    else
        refuseUnanswered(membership, request)
    end
    if isTechnical(stanza) and (request == nil or shouldRejoin(membership)) then
        occupancy_lost.lost(membership)
    elseif mayBeIn then
        occupancy_lost.endKicked(membership, place, stanza)
    elseif not tryOthers(membership, place, stanza) then
        over(membership)
    end
end
end

-- src/occupancy/joined.ts
--
-- The account is in the room. Sessions attach under its nick, and request other nicks. One presence is in flight at a
-- time. Requests that need another one wait in the queue.
local occupancy_joined = {}
do
local serveRequest, serve, serveFromView, attach, release, resync, awaitResync, resyncUnanswered, occupantsShown, renameUnanswered, renamed
local closeGap = archive_catchup.closeGap
local selfPing = send_ping.selfPing
local saysJoined = send_ping.saysJoined
local saysNothing = send_ping.saysNothing
local bookmarkRenamed = settings_bookmark_write.bookmarkRenamed
local options = minimix_options
local sendTo = send_fork.sendTo
local forkOwn = send_own.forkOwn
local sendOwn = send_own.sendOwn
local presenceIdFor = send_upstream.presenceIdFor
local sendPresence = send_upstream.sendPresence
local after = minimix_turn.after
local selfOf = state_view.selfOf
local presenceContent = state_availability.presenceContent
local noteOver = state_limits.noteOver
local attachSession = state_memberships.attachSession
local isAttached = state_memberships.isAttached
local isCurrent = state_memberships.isCurrent
local knownNick = state_memberships.knownNick
local queueOf = state_memberships.queueOf
local setAttachment = state_memberships.setAttachment
local enqueue = state_queue.enqueue
local isSuperseded = state_queue.isSuperseded
local newRequest = state_queue.newRequest
local replaceQueued = state_queue.replaceQueued
local requeue = state_queue.requeue
local takeNext = state_queue.takeNext
local areAllShown = occupancy_burst.areAllShown
local forgetOthers = occupancy_burst.forgetOthers
local isRenamed = occupancy_burst.isRenamed
local keepSelf = occupancy_burst.keepSelf
local endOperation = occupancy_operations.endOperation
local JOIN_PATIENCE = occupancy_operations.JOIN_PATIENCE
local RESYNC_TIMEOUT = occupancy_operations.RESYNC_TIMEOUT
local startRename = occupancy_operations.startRename
local startResync = occupancy_operations.startResync
local sendStanza = occupancy_outgoing.sendStanza
local sendProbe = occupancy_probe.sendProbe
local bounce = occupancy_refuse.bounce
local bounceAll = occupancy_refuse.bounceAll
local replay = occupancy_replay.replay
local selfPresence = occupancy_replay.selfPresence
local sendOccupants = occupancy_replay.sendOccupants
local sendSubject = occupancy_replay.sendSubject
local isAnswerTo = occupancy_requests.isAnswerTo
local isInView = occupancy_requests.isInView
local isRename = occupancy_requests.isRename
local isServedAtOnce = occupancy_requests.isServedAtOnce
local notePassword = occupancy_requests.notePassword
local joinToShow = occupancy_shown.joinToShow
local presenceToShow = occupancy_shown.presenceToShow
local selfToBe = occupancy_shown.selfToBe
local showBest = occupancy_shown.showBest
local updatePresence = occupancy_shown.updatePresence
local TURN = occupancy_enter.TURN
local lost = occupancy_lost.lost
local endUnderway = occupancy_underway.endUnderway
local noteTold = occupancy_underway.noteTold
local takeTold = occupancy_underway.takeTold

--- Handles a session's request to attach, or for another nick.
function occupancy_joined.requested(membership, place, request)
    local operation = place.operation
    if operation == nil then
        serveRequest(membership, place, request)
        return
    end
    if operation.kind == "rename" and isServedAtOnce(membership, request) then
        if operation.request ~= nil and operation.request.session == request.session then
            operation.request.session = nil
        end
        replaceQueued(membership, request)
        serveRequest(membership, place, request)
        return
    end
    if #queueOf(membership) + 1 >= options.maxNickRequests and isAttached(membership, request.session) then
        noteOver("minimix_max_nick_requests", membership.username, membership.room)
        local error_ = st.error_reply(request.stanza, "wait", "resource-constraint", nil, membership.room)
        sendTo(request.session, error_)
        return
    end
    request.isResync = request.kind == "join" and request.nick == membership.nick
    enqueue(membership, request)
    if operation.kind == "resync" and #queueOf(membership) == 1 then
        operation.timer:stop()
        operation.timer = after(TURN, function()
            resyncUnanswered(membership, place, operation)
        end)
    end
end

--- Serves queued requests until one needs an answer of the room. Then shows the postponed presence.
function occupancy_joined.proceed(membership)
    local place = membership.place
    while place.phase == "joined" and place.operation == nil do
        local request = takeNext(membership)
        if request == nil then
            showBest(membership)
            return
        end
        serveRequest(membership, place, request)
        place = membership.place
    end
end

function serveRequest(membership, place, request)
    local session = request.session
    local isJoin = request.kind == "join"
    if isJoin and session == nil then
        release(membership, request)
    elseif not isJoin and session ~= nil and not isAttached(membership, session) then
        bounce(membership, session, request.stanza, "modify", "not-acceptable")
    elseif request.nick ~= membership.nick and isRename(membership, request) then
        occupancy_joined.rename(membership, place, request.nick, request)
    elseif isJoin then
        serve(membership, place, request)
    elseif session ~= nil then
        updatePresence(membership, session, request.stanza)
    end
end

function serve(membership, place, request)
    notePassword(membership, request)
    if isInView(membership, request) then
        serveFromView(membership, request)
    else
        resync(membership, place, request)
    end
end

function serveFromView(membership, request)
    local self_ = selfToBe(membership, request)
    replay(membership, request, self_)
    attach(membership, request)
    showBest(membership)
    noteTold(membership, request.session, self_)
    release(membership, request)
end

--- Attaches a session: it gets the room's traffic from now on, and its queued stanzas are sent.
function occupancy_joined.letIn(membership, request)
    attach(membership, request)
    release(membership, request)
end

function attach(membership, request)
    if request.session ~= nil then
        attachSession(membership, request.session, presenceContent(request.stanza), nil)
    end
end

function release(membership, request)
    local queued = request.queued
    request.queued = {}
    request.queuedSize = 0
    for _, stanza in ipairs(queued) do
        local session = request.session
        if session ~= nil and not isAttached(membership, session) then
            bounce(membership, session, stanza, "modify", "not-acceptable")
        elseif stanza.name ~= "presence" then
            sendStanza(membership, request.sender, stanza)
        elseif session ~= nil then
            occupancy_joined.presenceSent(membership, session, stanza)
        end
    end
end

--- Handles a presence without `<x/>` of an attached session: a probe, a nick change, or a presence update.
function occupancy_joined.presenceSent(membership, session, stanza)
    if stanza.attr.type == "probe" then
        sendProbe(membership, session, stanza)
        return
    end
    local place = membership.place
    if place.phase == "leaving" then
        bounce(membership, session, stanza, "modify", "not-acceptable")
        return
    end
    local nick = jids.resource(stanza.attr.to or "")
    if nick == nil or nick == knownNick(membership) then
        updatePresence(membership, session, stanza)
        return
    end
    local request = newRequest("rename", session, stanza.attr.id, nick, st.clone(stanza))
    if place.phase == "joined" then
        occupancy_joined.requested(membership, place, request)
    else
        enqueue(membership, request)
    end
end

function resync(membership, place, request)
    local operation = startResync(membership, place, presenceIdFor(membership, request.id), request, resyncUnanswered)
    if membership.view.stale == "outdated" then
        membership.view.stale = nil
    end
    if isAttached(membership, request.session) then
        attachSession(membership, request.session or "", presenceContent(request.stanza), nil)
    end
    sendPresence(membership, joinToShow(membership, request), operation.nick, operation.id)
    awaitResync(membership, place, operation)
end

function awaitResync(membership, place, operation)
    selfPing(membership, function(condition)
        if place.operation ~= operation or membership.place ~= place or not isCurrent(membership) then
            return
        end
        if condition == nil or saysJoined(condition) or saysNothing(condition) then
            resyncUnanswered(membership, place, operation)
        else
            lost(membership)
        end
    end)
end

function resyncUnanswered(membership, place, operation)
    endOperation(place)
    if operation.stage == "history" then
        sendSubject(membership, operation.request.session)
    else
        serveFromView(membership, operation.request)
    end
    occupancy_joined.proceed(membership)
end

function occupantsShown(membership, operation)
    local request = operation.request
    operation.stage = "history"
    local self_ = selfPresence(membership, request, selfOf(membership))
    sendOccupants(membership, request.session)
    if self_ ~= nil then
        sendOwn(membership, request.session, self_)
    end
    occupancy_joined.letIn(membership, request)
end

--- Asks the room for another nick (XEP-0045 7.6), for a session or, without a request, for the account itself.
function occupancy_joined.rename(membership, place, nick, request)
    local session
    if request ~= nil then
        session = request.session
    end
    local id
    if request ~= nil then
        id = request.id
    end
    local key = presenceIdFor(membership, id)
    startRename(membership, place, {id = key, nick = nick, request = request, isJoin = false}, occupancy_joined.renameOverdue)
    if session ~= nil and request ~= nil then
        attachSession(membership, session, presenceContent(request.stanza), key)
    end
    sendPresence(membership, presenceToShow(membership), nick, key)
end

--- A nick change has timed out. A self-ping, which a slow room answers after it, shows that its answer is lost. Until then a
-- presence under the old nick would revert the change.
function occupancy_joined.renameOverdue(membership, place, operation)
    local function pinged()
        if membership.place == place and place.operation == operation and isCurrent(membership) then
            renameUnanswered(membership, place, operation)
        end
    end
    selfPing(membership, pinged, JOIN_PATIENCE)
end

function renameUnanswered(membership, place, operation)
    place.late = operation
    endOperation(place)
    local request = operation.request
    if (request and request.kind) == "join" then
        operation.request = nil
        if not isSuperseded(membership, request) then
            serve(membership, place, request)
        end
    end
    occupancy_joined.proceed(membership)
end

function renamed(membership, place, operation, stanza)
    local request = operation.request
    endOperation(place)
    place.late = nil
    if request == nil then
        forkOwn(membership, stanza)
    else
        bookmarkRenamed(membership)
        local session
        if request.kind == "join" then
            session = request.session
        end
        forkOwn(membership, stanza, session)
        if request.kind == "join" then
            serve(membership, place, request)
        end
    end
    occupancy_joined.proceed(membership)
end

--- Waits again for the answer to a resync, after a reload.
function occupancy_joined.resumeResync(membership, place, operation)
    operation.timer = after(RESYNC_TIMEOUT, function()
        resyncUnanswered(membership, place, operation)
    end)
    awaitResync(membership, place, operation)
end

--- Our own presence ends the list of occupants. If a known occupant is missing, the room did not treat our presence as a
-- join.
local function resyncSelf(membership, operation)
    if areAllShown(membership, operation.shown) then
        occupantsShown(membership, operation)
    else
        operation.stage = "self"
    end
end

--- History or a subject follows, so the room has treated the presence as a join.
function occupancy_joined.answeredAsJoin(membership, operation)
    forgetOthers(membership, operation.shown)
    occupantsShown(membership, operation)
end

--- The subject ends the room's answer to a join.
function occupancy_joined.subjectCame(membership, place)
    local operation = place.operation
    if (operation and operation.kind) == "resync" and operation.stage == "history" then
        endOperation(place)
        closeGap(membership)
        occupancy_joined.proceed(membership)
    end
end

--- Serves the request of a nick change whose 303 was lost, and those that waited for it. A lost account rejoins first. If
-- the room has put the account out under the new nick, the stanzas that waited for the request fail.
function occupancy_joined.proceedAfter(membership, request)
    local place = membership.place
    local isHere = place.phase == "joined" and isCurrent(membership)
    if request ~= nil and isHere and place.operation == nil and not isSuperseded(membership, request) then
        serve(membership, place, request)
    elseif request ~= nil and (isHere or place.phase == "lost") then
        requeue(membership, {request})
    elseif request ~= nil then
        bounceAll(membership, request.sender, request.queued)
    end
    if isHere then
        occupancy_joined.proceed(membership)
    end
end

--- Our own presence has arrived.
function occupancy_joined.selfShown(membership, place, nick, stanza)
    local operation = place.operation
    local wasRenamed = isRenamed(membership, nick)
    local isEcho = endUnderway(membership, place, stanza.attr.id)
    local isNews = keepSelf(membership, nick, stanza)
    local knowing = takeTold(membership, place, isEcho)
    if (operation and operation.kind) == "rename" and isAnswerTo(operation, nick, stanza) then
        renamed(membership, place, operation, stanza)
    elseif (operation and operation.kind) == "resync" and operation.stage ~= "history" and not wasRenamed then
        if isNews then
            forkOwn(membership, stanza, operation.request.session, knowing)
        end
        if not isEcho then
            resyncSelf(membership, operation)
        end
    else
        forkOwn(membership, stanza, nil, knowing)
    end
end

--- The room refused the nick and the presence with it, unless the session has shown another presence since.
function occupancy_joined.renameRefused(membership, place, operation, error_)
    local request = operation.request
    local session
    if request ~= nil then
        session = request.session
    end
    local attachment
    if session ~= nil then
        attachment = membership.attached[session]
    end
    local before = operation.attachmentBefore
    if operation == place.late then
        place.late = nil
    else
        endOperation(place)
        membership.shown = operation.before.session
        membership.shownPresence = operation.before.presence
    end
    if session ~= nil and before ~= nil and (attachment and attachment.id) == operation.id then
        setAttachment(membership, session, before)
    end
    if (request and request.kind) == "join" and before == nil then
        serve(membership, place, request)
    elseif request ~= nil then
        local answer = st.clone(error_)
        answer.attr.id = request.id
        sendTo(session, answer)
        release(membership, request)
    end
    occupancy_joined.proceed(membership)
end

--- Takes over an unanswered join after another join has succeeded. The room treats it as a nick change or a resync.
function occupancy_joined.adopt(membership, place, join)
    local request = join.request
    if request == nil then
        return
    end
    if join.nick == membership.nick then
        local operation = startResync(membership, place, join.id, request, resyncUnanswered)
        awaitResync(membership, place, operation)
    else
        startRename(membership, place, {id = join.id, nick = join.nick, request = request, isJoin = true}, occupancy_joined.renameOverdue)
    end
end
end

-- src/occupancy/nick.ts
--
-- Nick changes of the account by itself: back to the wanted nick, or to that of a bookmark.
local occupancy_nick = {}
do
local isNickBlocked
local isBlocked = settings_blocklist.isBlocked
local findOccupant = state_occupants.findOccupant
local enqueue = state_queue.enqueue
local newRequest = state_queue.newRequest
local rename = occupancy_joined.rename
local requested = occupancy_joined.requested

function isNickBlocked(membership, nick)
    return isBlocked(membership.username, membership.room, nick)
end

--- Asks for the wanted nick, in case it is free now.
function occupancy_nick.regainNick(membership)
    local wanted = membership.wantedNick
    local place = membership.place
    local isFree = membership.nick ~= wanted and findOccupant(membership.view, wanted) == nil
    if isFree and place.phase == "joined" and place.operation == nil and not isNickBlocked(membership, wanted) then
        rename(membership, place, wanted)
    end
end

--- Asks for another nick for the account itself. No session is told if the room refuses.
function occupancy_nick.requestNick(membership, nick)
    if not isNickBlocked(membership, nick) then
        local place = membership.place
        local request = newRequest("rename", nil, nil, nick, st.presence())
        if place.phase == "joined" then
            requested(membership, place, request)
        else
            enqueue(membership, request)
        end
    end
end
end

-- src/occupancy/joining.ts
--
-- Answers of the room to a join (XEP-0045 7.2): it admits the account, refuses it, or removes it at once.
local occupancy_joining = {}
do
local answeredJoin, enterRoom, subjectTimer, noteAdmitted, showRoom, subjectMissing, failEarlier, refusedJoin, joinRefused, rejoinRefused, SUBJECT_TIMEOUT, NICK_TRIES
local wallClock = state_clock.wallClock
local newestNumber = state_numbers.newestNumber
local bookmarkJoined = settings_bookmark_write.bookmarkJoined
local endCatchUp = archive_buffer.endCatchUp
local closeGap = archive_catchup.closeGap
local outcomeOf = archive_catchup.outcomeOf
local beginRange = archive_delivered.letIn
local beginRangeSoon = archive_delivered.letInAgain
local saysJoined = send_ping.saysJoined
local saysNothing = send_ping.saysNothing
local selfPing = send_ping.selfPing
local save = state_store.save
local saveSoon = state_store.saveSoon
local MUC = namespaces.MUC
local forkOwn = send_own.forkOwn
local sendOwn = send_own.sendOwn
local unlockRoom = send_upstream.unlockRoom
local wasSent = state_sent_presences.wasSent
local wasSentBeforeLeave = state_sent_presences.wasSentBeforeLeave
local hasStatus = minimix_stanzas.hasStatus
local isSameNick = minimix_stanzas.isSameNick
local after = minimix_turn.after
local forgetRefusals = state_bookmarks.forgetRefusals
local counters = state_counters.counters
local stanzaOf = state_interned.stanzaOf
local forgetRoom = state_memberships.forgetRoom
local hasAttached = state_memberships.hasAttached
local isAttached = state_memberships.isAttached
local isCurrent = state_memberships.isCurrent
local isNickOfOther = state_memberships.isNickOfOther
local noteDetached = state_memberships.noteDetached
local now = state_memberships.now
local setPlace = state_memberships.setPlace
local requeue = state_queue.requeue
local takeJoin = state_queue.takeJoin
local forgetOccupant = state_occupants.forgetOccupant
local marksSelf = state_self_status.marksSelf
local announceIfRenamed = occupancy_burst.announceIfRenamed
local forgetOthers = occupancy_burst.forgetOthers
local keepSelf = occupancy_burst.keepSelf
local adopt = occupancy_joined.adopt
local letIn = occupancy_joined.letIn
local proceed = occupancy_joined.proceed
local regainNick = occupancy_nick.regainNick
local isExpulsion = occupancy_refusal.isExpulsion
local isTemporary = occupancy_refusal.isTemporary
local isUnreached = occupancy_refusal.isUnreached
local removeJoin = occupancy_operations.removeJoin
local refuse = occupancy_refuse.refuse
local answerTo = occupancy_replay.answerTo
local sendOccupants = occupancy_replay.sendOccupants
local sendSubject = occupancy_replay.sendSubject
local technicalRemoval = occupancy_replay.technicalRemoval
local understood = occupancy_replay.understood
local enter = occupancy_enter.enter
local tryNext = occupancy_enter.tryNext
local over = occupancy_leave.over
local endKicked = occupancy_lost.endKicked
local giveUp = occupancy_lost.giveUp
local joinAgain = occupancy_lost.joinAgain
local joinFailed = occupancy_lost.joinFailed
local kickOf = occupancy_lost.kickOf
local lost = occupancy_lost.lost
local makeSure = occupancy_lost.makeSure
local onlyRenamed = occupancy_lost.onlyRenamed
local removedAtOnce = occupancy_lost.removedAtOnce
local unconfirmedLeave = occupancy_lost.unconfirmedLeave
local unreached = occupancy_lost.unreached

--- The room has gone on, so the presence without 110 was our own, unless it is known to be of another occupant.
function occupancy_joining.admitClaimed(membership, place)
    local interned = place.claimed
    local stanza
    if interned ~= nil then
        stanza = stanzaOf(interned)
    end
    local nick = jids.resource(stanza and stanza.attr.from or "")
    place.claimed = nil
    local isOther = marksSelf(membership.room) or isNickOfOther(membership, nick or "")
    if stanza ~= nil and nick ~= nil and not isOther then
        occupancy_joining.admitted(membership, place, nick, stanza)
    end
end

--- The room has admitted the account: our own presence arrived. History and subject follow.
function occupancy_joining.admitted(membership, place, nick, stanza)
    local key = stanza.attr.id
    if key ~= nil and wasSentBeforeLeave(membership, key) then
        place.claimed = nil
        return
    end
    local join = answeredJoin(place, nick, key)
    if place.renamed == "now" then
        local isItsNick = join.id == key or isSameNick(join.nick, nick)
        onlyRenamed(membership, place, nick, join == place.operation and isItsNick)
        return
    end
    local request = join.request
    local session
    if request ~= nil then
        session = request.session
    end
    local isNews = not membership.established or nick ~= membership.wantedNick
    enterRoom(membership, place, join, key)
    announceIfRenamed(membership, nick)
    local isChanged = keepSelf(membership, nick, stanza)
    noteAdmitted(membership, request, nick)
    if request ~= nil then
        save(membership.username)
    elseif isNews then
        saveSoon(membership.username)
    end
    if isChanged then
        forkOwn(membership, stanza, session)
    end
    if request ~= nil then
        if not join.isReturn then
            forgetOthers(membership, place.shown)
        end
        showRoom(membership, request, stanza)
        letIn(membership, request)
    elseif hasStatus(stanza, "201") then
        unlockRoom(membership)
    end
    noteDetached(membership)
end

function answeredJoin(place, nick, key)
    local last = place.operation
    if key == last.id then
        return last
    end
    for _, join in ipairs(place.earlier) do
        if join.id == key then
            return join
        end
    end
    if not isSameNick(last.nick, nick) then
        for _, join in ipairs(place.earlier) do
            if isSameNick(join.nick, nick) then
                return join
            end
        end
    end
    return last
end

function enterRoom(membership, place, join, key)
    local passed = {}
    for _, other in ipairs(place.earlier) do
        if other ~= join and other.request ~= nil then
            passed[#passed + 1] = other.request
        end
    end
    requeue(membership, passed)
    local later
    if join ~= place.operation then
        later = place.operation
    end
    local isInDoubt = unconfirmedLeave(place.operation, place.removal) ~= nil and key ~= join.id
    setPlace(
        membership,
        {
            phase = "entering",
            tries = place.tries,
            operation = join,
            later = later,
            shown = place.shown,
            afterLeave = isInDoubt and later == nil and join or nil,
            timer = subjectTimer(membership, join)
        }
    )
end

function subjectTimer(membership, join)
    return after(SUBJECT_TIMEOUT, function()
        local place = membership.place
        if place.phase == "entering" and place.operation == join then
            subjectMissing(membership, place)
        end
    end)
end

function noteAdmitted(membership, request, nick)
    membership.established = true
    if membership.since == nil then
        membership.since = wallClock()
        membership.sinceNumber = newestNumber()
    end
    forgetRefusals(membership.username, membership.room)
    if request == nil then
        beginRangeSoon(membership)
        counters.rejoins = counters.rejoins + 1
        return
    end
    beginRange(membership)
    local x = request.stanza:get_child("x", MUC)
    if x == nil then
        membership.password = nil
    else
        membership.password = x:get_child_text("password")
    end
    membership.laterPassword = nil
    membership.wantedNick = nick
    bookmarkJoined(membership)
end

function showRoom(membership, request, stanza)
    sendOccupants(membership, request.session)
    sendOwn(membership, request.session, answerTo(request, membership.nick, stanza))
end

function subjectMissing(membership, place)
    local join = place.operation
    if join.isDoubtful then
        place.timer = after(SUBJECT_TIMEOUT * 10, function()
            occupancy_joining.complete(membership, place)
        end)
        makeSure(membership, join)
        return
    end
    local session
    if join.request ~= nil then
        session = join.request.session
    end
    if isAttached(membership, session) then
        sendSubject(membership, session)
    end
    occupancy_joining.complete(membership, place)
end

--- The room's answer to the join is complete.
function occupancy_joining.complete(membership, place)
    local join = place.operation
    local tries = place.tries
    local later = place.later
    local afterLeave = place.afterLeave
    setPlace(
        membership,
        {phase = "joined", tries = tries, since = now(), afterLeave = afterLeave}
    )
    if join.isReturn then
        forgetOthers(membership, place.shown)
    end
    if outcomeOf(membership) == "refused" then
        endCatchUp(membership)
    elseif membership.catchUp ~= nil then
        closeGap(membership)
    end
    local joined = membership.place
    if later ~= nil and joined.phase == "joined" then
        adopt(membership, joined, later)
    end
    regainNick(membership)
    proceed(membership)
end

function failEarlier(membership, place, join, answer)
    removeJoin(place.earlier, join)
    join.timer:stop()
    refuse(membership, join.request, answer)
end

function refusedJoin(membership, place, nick, key)
    local last = place.operation
    if key == last.id then
        return last
    end
    for _, join in ipairs(place.earlier) do
        if join.id == key then
            return join
        end
    end
    local isForeign = key == nil or key == "" or not wasSent(membership, key)
    return isForeign and (nick == nil or isSameNick(last.nick, nick)) and last or nil
end

function joinRefused(membership, place, request, error_)
    refuse(membership, request, error_)
    if isTemporary(error_) then
        joinFailed(membership, place)
    elseif not tryNext(membership, place) then
        giveUp(membership, place)
    end
end

function rejoinRefused(membership, bindingPattern0_, error_)
    local removal
    local join
    join = bindingPattern0_.operation
    removal = bindingPattern0_.removal
    local _, condition = error_:get_error()
    if condition == "conflict" and string.len(join.nick) < string.len(membership.wantedNick) + NICK_TRIES then
        forgetOccupant(membership.view, join.nick)
        membership.nick = join.nick .. "_"
        joinAgain(membership)
        return
    end
    if isUnreached(condition) then
        unreached(membership)
        return
    end
    if condition == "not-authorized" and membership.laterPassword ~= nil then
        membership.password = membership.laterPassword
        membership.laterPassword = nil
        joinAgain(membership)
        return
    end
    local next = takeJoin(membership)
    if next ~= nil then
        enter(membership, next)
    elseif isTemporary(error_) then
        lost(membership)
    else
        module:log(
            "info",
            "%s gave up rejoining %s: %s",
            membership.username,
            membership.room,
            condition
        )
        forkOwn(membership, understood(membership, removal or technicalRemoval(membership)))
        over(membership)
    end
end

--- Seconds to wait for a self-presence with 110 after one without. Some rooms never send 110.
local SELF_TIMEOUT = 10
SUBJECT_TIMEOUT = 10
NICK_TRIES = 3

--- A presence with a requested nick arrived without 110. Older services omit 110. But it may also belong to another
-- occupant, in the answer to a join for another nick. Our own presence comes last (XEP-0045 7.2.2). The account is in if
-- the room goes on, or sends nothing more.
function occupancy_joining.selfClaimed(membership, place, interned)
    place.claimed = interned
    after(SELF_TIMEOUT, function()
        if membership.place == place and place.claimed == interned and isCurrent(membership) then
            occupancy_joining.admitClaimed(membership, place)
        end
    end)
end

--- Starts the timeout of the subject again after a reload.
function occupancy_joining.awaitSubject(membership, place)
    place.timer = subjectTimer(membership, place.operation)
end

--- Handles an error for a join. Returns whether it answers one.
function occupancy_joining.refused(membership, place, nick, error_)
    local join = refusedJoin(membership, place, nick, error_.attr.id)
    if join == nil then
        return false
    end
    local kick = kickOf(place)
    if join ~= place.operation then
        failEarlier(membership, place, join, error_)
    elseif kick ~= nil then
        refuse(membership, join.request, error_)
        endKicked(membership, place, kick)
    elseif join.request == nil then
        rejoinRefused(membership, place, error_)
    else
        joinRefused(membership, place, join.request, error_)
    end
    return true
end

--- The room removed the account before admitting it. If the account was in before, or has another nick there, the removal
-- may belong to an earlier stay. Then the answer to the join follows, before the answer to a ping.
function occupancy_joining.removed(membership, place, stanza)
    place.claimed = nil
    place.shown = {}
    if not hasAttached(membership) then
        forgetRoom(membership)
    end
    local nick = jids.resource(stanza.attr.from or "") or ""
    local join = answeredJoin(place, nick, stanza.attr.id)
    local isLast = join == place.operation
    local isAnswer = join.id == stanza.attr.id or isSameNick(join.nick, nick)
    if isExpulsion(stanza) and place.operation.isFirst and isAnswer then
        if isLast then
            removedAtOnce(membership, place, stanza, true)
        else
            failEarlier(membership, place, join, stanza)
        end
    elseif place.removal == nil then
        place.removal = stanza
        selfPing(membership, function(condition)
            local isOut = condition ~= nil and not saysJoined(condition) and not saysNothing(condition)
            if isOut and membership.place == place and isCurrent(membership) then
                local mayBeIn = condition == "item-not-found"
                removedAtOnce(membership, place, stanza, isLast and isAnswer, mayBeIn)
            end
        end)
    end
end
end

-- src/occupancy/pace.ts
--
-- Limits the rate of work for many accounts and rooms, so that no server is overloaded.
local occupancy_pace = {}
do
local startRuns, pauseAfter, serveItems, shuffled, STEP, SLICE, MAX_POSTPONED
local time = require("util.time")
local options = minimix_options
local inTurn = minimix_turn.inTurn

function startRuns(queue)
    local most = math.max(1, options.rejoinRate * STEP)
    local due = 0
    local before = time.monotonic()
    module:add_timer(STEP, function()
        local started = time.monotonic()
        due = math.min(due + options.rejoinRate * (started - before), most + 1)
        before = started
        due = due - serveItems(queue, due, started)
        queue.isRunning = #queue.items > 0 or #queue.postponed > 0
        return queue.isRunning and pauseAfter(time.monotonic() - started) or nil
    end)
end

function pauseAfter(spent)
    return spent < SLICE and STEP or spent
end

function serveItems(queue, most, started)
    local served = 0
    local postponed = 0
    local busy = {}
    while served + 1 <= most and postponed < MAX_POSTPONED and time.monotonic() - started < SLICE do
        local item = table.remove(queue.items)
        if item == nil then
            queue.items = queue.postponed
            queue.postponed = {}
            break
        end
        local service = queue.serviceOf(item)
        if busy[service] == nil and queue.mayServe(service) then
            served = served + 1
            inTurn(function()
                queue.serve(item)
            end)
        else
            busy[service] = true
            postponed = postponed + 1
            local queue_postponed_1 = queue.postponed
            queue_postponed_1[#queue_postponed_1 + 1] = item
        end
    end
    return served
end

function shuffled(list)
    for i = #list, 2, -1 do
        local j = math.random(i)
        local item = list[i]
        list[i] = list[j]
        list[j] = item
    end
    return list
end

STEP = 0.1
SLICE = 0.02
MAX_POSTPONED = 200

--- Creates an empty queue.
function occupancy_pace.newPacedQueue(serve, serviceOf, mayServe)
    if serviceOf == nil then
        serviceOf = function() return "" end
    end
    if mayServe == nil then
        mayServe = function() return true end
    end
    return {
        items = {},
        postponed = {},
        serve = serve,
        serviceOf = serviceOf,
        mayServe = mayServe,
        isRunning = false
    }
end

--- Adds items to a queue in random order. LIFO, so that the latest login is served first.
function occupancy_pace.addPaced(queue, items)
    for _, item in ipairs(shuffled(items)) do
        local queue_items_0 = queue.items
        queue_items_0[#queue_items_0 + 1] = item
    end
    if not queue.isRunning and #queue.items > 0 then
        queue.isRunning = true
        startRuns(queue)
    end
end
end

-- src/occupancy/pong.ts
--
-- Answers self-pings of sessions (XEP-0410). The room does not know their full JIDs, so the module answers.
local occupancy_pong = {}
do
local sendTo = send_fork.sendTo
local isAttached = state_memberships.isAttached
local isReached = state_memberships.isReached
local livenessOf = state_memberships.livenessOf
local expectIqAnswer = state_pending.expectIqAnswer
local takeIq = state_pending.takeIq
local pendingJoin = state_queue.pendingJoin
--- The text of Prosody's rooms.
local NOT_IN = "You are not currently connected to this chat"

--- Returns the answer to a self-ping from the known state of the account in the room.
function occupancy_pong.pong(membership, session, ping)
    local attached = isAttached(membership, session)
    if attached and isReached(membership) then
        return st.reply(ping)
    end
    if not attached and pendingJoin(membership, session) == nil then
        return st.error_reply(ping, "cancel", "not-acceptable", NOT_IN, membership.room)
    end
    return st.error_reply(ping, "wait", "remote-server-timeout", nil, membership.room)
end

--- Queues a session's self-ping until the account's own is answered. Returns false if the session has too many pending
-- IQs.
function occupancy_pong.awaitPong(membership, place, session, ping)
    local key = expectIqAnswer(session, membership.room, ping)
    if key ~= nil then
        local liveness = livenessOf(place)
        if liveness.waiting == nil then
            liveness.waiting = {}
        end
        local waiting = liveness.waiting
        waiting[#waiting + 1] = key
    end
    return key ~= nil
end

--- Answers the queued self-pings.
function occupancy_pong.answerPings(membership, place)
    local liveness = place.liveness
    local waiting = liveness and liveness.waiting
    if place.liveness ~= nil then
        place.liveness.waiting = nil
    end
    for _, key in ipairs(waiting or {}) do
        local pending = takeIq(key, membership.room)
        if pending ~= nil then
            sendTo(
                pending.session,
                occupancy_pong.pong(membership, pending.session, pending.request)
            )
        end
    end
end
end

-- src/occupancy/watch.ts
--
-- Watches rooms: self-pings (XEP-0410) to quiet rooms, and to rooms behind a broken link.
local occupancy_watch = {}
do
local checkRoom, forgetLiveness, checked, unreachable, hasBroken, noteHosts, lookSoon, lookAfterLinks, checkAll, goBack, hasten, serviceOf, mayComeBack, isOnItsWay, noteOnItsWay, comeBack, SOON, SPREAD, PATIENT, broken, mended, reopened, looking, MAX_UNANSWERED, unanswered, queue
local options = minimix_options
local isUnheard = occupancy_operations.isUnheard
local pause = occupancy_operations.pause
local leaveUnheard = occupancy_leave.leaveUnheard
local retryLeave = occupancy_leave.retryLeave
local lost = occupancy_lost.lost
local rejoin = occupancy_lost.rejoin
local rejoinAfter = occupancy_lost.rejoinAfter
local after = minimix_turn.after
local allMemberships = state_memberships.allMemberships
local isCurrent = state_memberships.isCurrent
local livenessOf = state_memberships.livenessOf
local membershipsOf = state_memberships.membershipsOf
local now = state_memberships.now
local setPlace = state_memberships.setPlace
local triesOf = state_memberships.triesOf
local unansweredOf = state_memberships.unansweredOf
local patience = send_ask.patience
local startBuffering = archive_buffer.startBuffering
local closeGap = archive_catchup.closeGap
local takeGaps = archive_entries.takeGaps
local addPaced = occupancy_pace.addPaced
local newPacedQueue = occupancy_pace.newPacedQueue
local answerPings = occupancy_pong.answerPings
local saysJoined = send_ping.saysJoined
local saysNothing = send_ping.saysNothing
local selfPing = send_ping.selfPing

function checkRoom(membership, gap)
    local place = membership.place
    local checking = place.phase ~= "joined"
    if not checking then
        local liveness = place.liveness
        checking = liveness and liveness.checking
    end
    if checking then
        return
    end
    livenessOf(place).checking = true
    local function answered(condition)
        livenessOf(place).checking = false
        if isCurrent(membership) and membership.place == place then
            checked(membership, place, condition, gap)
        end
        answerPings(membership, place)
        forgetLiveness(place)
    end
    selfPing(membership, answered, patience(membership))
end

function forgetLiveness(place)
    local liveness = place.liveness
    local isDone = (liveness and liveness.unanswered) == 0 and liveness.timer == nil and liveness.checking ~= true
    if isDone and liveness.waiting == nil then
        place.liveness = nil
    end
end

function checked(membership, place, condition, gap)
    if condition == nil or saysJoined(condition) then
        local before = unansweredOf(membership)
        place.tries = 0
        place.confirmedAt = now()
        livenessOf(place).unanswered = 0
        local temp_7 = gap or before > 0
        if not temp_7 then
            local catchUp = membership.catchUp
            temp_7 = (catchUp and catchUp.progress.step) == "idle"
        end
        if temp_7 then
            closeGap(membership)
        end
    elseif saysNothing(condition) and isUnheard(membership) then
        leaveUnheard(membership)
    elseif saysNothing(condition) then
        unreachable(membership, place)
    else
        module:log(
            "info",
            "%s is no longer in %s (%s), rejoining",
            membership.username,
            membership.room,
            condition
        )
        lost(membership)
    end
end

function unreachable(membership, place)
    local liveness = livenessOf(place)
    startBuffering(membership)
    liveness.unanswered = liveness.unanswered + 1
    occupancy_watch.checkAfter(membership, place, pause(liveness.unanswered), true)
end

--- Schedules the next self-ping, in place of an earlier one.
function occupancy_watch.checkAfter(membership, place, seconds, gap)
    local liveness = livenessOf(place)
    local timer = liveness.timer
    if timer ~= nil then
        timer:stop()
    end
    liveness.timer = after(seconds, function()
        liveness.timer = nil
        checkRoom(membership, gap)
    end)
end

--- Whether a link to the room's server has just broken, so that stanzas may be lost.
function occupancy_watch.isInDoubt(membership)
    local place = membership.place
    return looking and place.phase == "joined" and hasBroken(place, jids.host(membership.room))
end

function hasBroken(place, host)
    return broken[host] ~= nil or place.since <= (reopened[host] or -1)
end

function noteHosts(links, session)
    local host
    if session.direction == "outgoing" then
        host = session.to_host
    else
        host = session.from_host
    end
    if host ~= nil then
        links[host] = true
    end
    if session.hosts ~= nil then
        for other in pairs(session.hosts) do
            links[other] = true
        end
    end
    lookSoon()
end

function lookSoon()
    if not looking then
        looking = true
        after(SOON, function()
            looking = false
            lookAfterLinks()
        end)
    end
end

function lookAfterLinks()
    local doubtful = {}
    for _, membership in ipairs(allMemberships()) do
        local host = jids.host(membership.room)
        local place = membership.place
        local isDoubtful = place.phase == "joined" and (hasBroken(place, host) or mended[host] ~= nil and membership.catchUp ~= nil)
        if isDoubtful and unansweredOf(membership) == 0 then
            startBuffering(membership)
            doubtful[#doubtful + 1] = membership
        elseif mended[host] ~= nil then
            hasten(membership)
        end
    end
    broken = {}
    mended = {}
    reopened = {}
    checkAll(doubtful)
end

function checkAll(memberships)
    local spread = math.min(SPREAD, #memberships / options.rejoinRate)
    for _, membership in ipairs(memberships) do
        local place = membership.place
        if place.phase == "joined" then
            occupancy_watch.checkAfter(membership, place, math.random() * spread, true)
        end
    end
end

function goBack(membership, seconds)
    local place = membership.place
    if place.phase == "joined" then
        startBuffering(membership)
        occupancy_watch.checkAfter(membership, place, seconds, true)
    elseif place.phase == "lost" and place.next.kind == "pause" then
        local tries = math.min(place.tries, PATIENT)
        local timer = rejoinAfter(membership, seconds)
        setPlace(membership, {phase = "lost", tries = tries, next = {kind = "pause", timer = timer}})
    elseif place.phase == "leaving" and place.operation ~= nil and place.tries > 0 then
        retryLeave(membership, math.min(place.tries, PATIENT))
    end
end

function hasten(membership)
    local place = membership.place
    if place.phase == "joined" and unansweredOf(membership) > PATIENT then
        livenessOf(place).unanswered = PATIENT
        occupancy_watch.checkAfter(membership, place, pause(PATIENT), true)
    elseif place.phase == "lost" and place.next.kind == "pause" and triesOf(membership) > PATIENT then
        local timer = rejoinAfter(membership, pause(PATIENT))
        setPlace(membership, {phase = "lost", tries = PATIENT, next = {kind = "pause", timer = timer}})
    elseif place.phase == "leaving" and place.operation ~= nil and place.tries > PATIENT then
        retryLeave(membership, PATIENT)
    end
end

function serviceOf(membership)
    return jids.host(membership.room)
end

function mayComeBack(service)
    local joins = {}
    for _, other in ipairs(unanswered[service] or {}) do
        if isOnItsWay(other) then
            joins[#joins + 1] = other
        end
    end
    if #joins == 0 then
        unanswered[service] = nil
    else
        unanswered[service] = joins
    end
    return #joins < MAX_UNANSWERED
end

function isOnItsWay(membership)
    local place = membership.place
    local isPending = place.phase == "joining" or place.phase == "lost" and place.next.kind == "archive"
    return isPending and isCurrent(membership)
end

function noteOnItsWay(membership)
    if isOnItsWay(membership) then
        local service = serviceOf(membership)
        local joins = unanswered[service] or {}
        joins[#joins + 1] = membership
        unanswered[service] = joins
    end
end

--- Queues memberships for a rejoin or a leave at a limited rate.
function occupancy_watch.comeSoon(memberships)
    addPaced(queue, memberships)
end

function comeBack(membership)
    local place = membership.place
    if not isCurrent(membership) then
        return
    end
    if place.phase == "lost" and place.next.kind == "queue" then
        if isUnheard(membership) then
            leaveUnheard(membership)
        else
            rejoin(membership)
            noteOnItsWay(membership)
        end
    elseif place.phase == "leaving" and place.operation == nil then
        retryLeave(membership)
    end
end

--- Sends a self-ping, and rejoins if the account is out.
function occupancy_watch.check(membership)
    checkRoom(membership, false)
end

--- Seconds without a stanza of the room after which a session's self-ping is not answered from the known state.
local QUIET = 60

--- Whether the state of the account in the room is only known from a while ago.
function occupancy_watch.needsCheck(membership, place)
    if place.phase ~= "joined" or unansweredOf(membership) > 0 then
        return false
    end
    local isQuiet = now() - math.max(membership.heardAt or 0, place.confirmedAt or 0) > QUIET
    local isQuiet_10 = isQuiet
    if not isQuiet_10 then
        local liveness = place.liveness
        isQuiet_10 = (liveness and liveness.checking) == true
    end
    return isQuiet_10 or occupancy_watch.isInDoubt(membership)
end

--- Sends self-pings to the rooms that have been quiet for a number of seconds, spread over the same time.
function occupancy_watch.checkQuiet(seconds)
    for _, membership in ipairs(allMemberships()) do
        local place = membership.place
        local isQuiet = unansweredOf(membership) == 0 and now() - (membership.heardAt or 0) >= seconds
        if place.phase == "joined" and isQuiet then
            occupancy_watch.checkAfter(membership, place, math.random() * seconds, false)
        end
    end
end

SOON = 1
SPREAD = 5
PATIENT = 5
--- Servers with a link that has broken, or returned, since the last check.
broken = {}
mended = {}
--- Servers that have opened a new link since the last check, and when.
reopened = {}
looking = false

--- `s2sin-destroyed` and `s2sout-destroyed`: the remote server may have stopped and lost the account.
function occupancy_watch.onLinkGone(event)
    noteHosts(broken, event.session)
end

--- `s2sin-established` and `s2sout-established`: the remote server is reachable again. If it opens a new link, stanzas
-- on its former link may be lost, although that link looks intact here.
function occupancy_watch.onLinkUp(event)
    local session = event.session
    noteHosts(mended, session)
    if session.direction == "incoming" and session.from_host ~= nil then
        reopened[session.from_host] = now()
    end
end

--- A component of this server has disconnected, with its rooms.
function occupancy_watch.hostGone(host)
    for _, membership in ipairs(allMemberships()) do
        local place = membership.place
        local isAt = jids.host(membership.room) == host
        if isAt and place.phase == "joined" and unansweredOf(membership) == 0 then
            unreachable(membership, place)
        end
    end
end

--- A component of this server has connected again. Its rooms may have lost the account.
function occupancy_watch.hostBack(host)
    local memberships = {}
    for _, membership in ipairs(allMemberships()) do
        if jids.host(membership.room) == host then
            memberships[#memberships + 1] = membership
        end
    end
    local spread = math.min(SPREAD, #memberships / options.rejoinRate)
    for _, membership in ipairs(memberships) do
        goBack(membership, math.random() * spread)
    end
end

--- Storage works again. Fetches the messages that could not be stored.
function occupancy_watch.checkGaps()
    for _, membership in ipairs(takeGaps()) do
        if membership.place.phase == "joined" then
            startBuffering(membership)
        end
    end
    local doubtful = {}
    for _, membership in ipairs(allMemberships()) do
        local temp_16 = membership.place.phase == "joined"
        if temp_16 then
            local catchUp = membership.catchUp
            temp_16 = (catchUp and catchUp.progress.step) == "idle"
        end
        if temp_16 then
            doubtful[#doubtful + 1] = membership
        end
    end
    checkAll(doubtful)
end

--- Returns accounts to their rooms after a start of the server, and completes unfinished leaves.
function occupancy_watch.bringBack(usernames)
    local memberships = {}
    for _, username in ipairs(usernames) do
        for _, membership in ipairs(membershipsOf(username)) do
            memberships[#memberships + 1] = membership
        end
    end
    if #memberships > 0 then
        module:log("info", "Rejoining %d rooms", #memberships)
        occupancy_watch.comeSoon(memberships)
    end
end

MAX_UNANSWERED = 10
unanswered = {}
queue = newPacedQueue(comeBack, serviceOf, mayComeBack)
end

-- src/occupancy/phases.ts
--
-- The state machine of a membership: the effect of each input in each phase.
--
--     request → Joining → Entering → Joined → Leaving → none
--                  ↑ ↓                 ↓
--                  Lost ←──────────────┘
--
-- `Place` (state/place.ts) is the state of an account, with at most one presence that the room has not answered. It is
-- replaced as a whole. Timers and answers to self-pings are inputs too. The functions that set them handle them.
local occupancy_phases = {}
do
local mayStillBeIn, ignore, isNoAnswer, stillIn, admittedLate, removedWhileLost, putOut, askIfOut, leaveConfirmed, leaveRefused, renameRefused, queue, queueUntilTurn, rejoinFor, enterAfterLeave
local options = minimix_options
local isBlocked = settings_blocklist.isBlocked
local forkOwn = send_own.forkOwn
local wasSent = state_sent_presences.wasSent
local wasSentBeforeLeave = state_sent_presences.wasSentBeforeLeave
local isSameNick = minimix_stanzas.isSameNick
local isSelf = minimix_stanzas.isSelf
local noteDrop = state_counters.noteDrop
local now = state_memberships.now
local isIn = state_place.isIn
local enqueue = state_queue.enqueue
local takeJoin = state_queue.takeJoin
local save = state_store.save
local saveOften = state_store.saveOften
local forgetOccupant = state_occupants.forgetOccupant
local announceIfRenamed = occupancy_burst.announceIfRenamed
local keepSelf = occupancy_burst.keepSelf
local joined = occupancy_joined
local joining = occupancy_joining
local answerProbe = occupancy_probe.answerProbe
local understood = occupancy_replay.understood
local isExpulsion = occupancy_refusal.isExpulsion
local isTechnical = occupancy_refusal.isTechnical
local lateRename = occupancy_requests.lateRename
local enter = occupancy_enter.enter
local waitForTurn = occupancy_enter.waitForTurn
local hastenLeave = occupancy_leave.hastenLeave
local leaveAgain = occupancy_leave.leaveAgain
local leaveUnanswered = occupancy_leave.leaveUnanswered
local over = occupancy_leave.over
local leftBefore = occupancy_lost.leftBefore
local lost = occupancy_lost.lost
local putOutBefore = occupancy_lost.putOutBefore
local rejoin = occupancy_lost.rejoin
local unconfirmedLeave = occupancy_lost.unconfirmedLeave
local check = occupancy_watch.check

function mayStillBeIn(bindingPattern0_)
    local removal
    local operation
    operation = bindingPattern0_.operation
    removal = bindingPattern0_.removal
    return operation.isDoubtful or unconfirmedLeave(operation, removal) ~= nil
end

function ignore()
end

function isNoAnswer()
    return false
end

function stillIn(membership, _, nick, stanza)
    if not isIn(membership.place) then
        announceIfRenamed(membership, nick)
    end
    keepSelf(membership, nick, stanza)
    forkOwn(membership, stanza)
end

function admittedLate(membership, place, nick, stanza)
    if not membership.established and occupancy_phases.isOfAccount(membership, stanza) then
        membership.established = true
        save(membership.username)
    end
    stillIn(membership, place, nick, stanza)
end

--- Whether a presence is the account's, even if another occupant has its nick. Older services omit 110.
function occupancy_phases.isOfAccount(account, stanza)
    local key = stanza.attr.id
    local isAnswer = key ~= nil and wasSent(account, key)
    return isAnswer or isSelf(stanza, account.occupant)
end

function removedWhileLost(membership, _, stanza)
    if isExpulsion(stanza) and not isTechnical(stanza) and occupancy_phases.isOfAccount(membership, stanza) then
        forkOwn(membership, understood(membership, stanza))
        over(membership)
    end
end

function putOut(membership, place, stanza)
    local join = occupancy_phases.joinAfterLeave(place)
    if isTechnical(stanza) then
        lost(membership)
    elseif join ~= nil then
        leftBefore(membership, join, stanza)
        if isExpulsion(stanza) then
            askIfOut(membership, stanza)
        end
    else
        forkOwn(membership, stanza)
        if putOutBefore(membership) then
            askIfOut(membership, stanza)
        else
            over(membership)
        end
    end
end

function askIfOut(membership, stanza)
    if membership.place.phase == "joining" then
        joining.removed(membership, membership.place, stanza)
    end
end

--- Returns the join, if an own unavailable presence may confirm a leave that was sent ahead of it.
function occupancy_phases.joinAfterLeave(place)
    local isRecent = place.phase == "entering" or now() - place.since < options.answerTimeout
    if isRecent then
        return place.afterLeave
    else
        return nil
    end
end

function leaveConfirmed(membership, place, stanza)
    local leave = place.operation
    local key = stanza.attr.id
    local answer = stanza
    if leave ~= nil and key == leave.id and leave.answerId ~= leave.id then
        answer = st.clone(stanza)
        answer.attr.id = leave.answerId
    end
    forkOwn(membership, answer)
    local isForeign = key == nil or not wasSent(membership, key)
    local isBeforeJoin = place.tries == 0 and place.wasIn ~= "settled"
    local isForeign_4
    if isForeign then
        isForeign_4 = isBeforeJoin
    else
        isForeign_4 = wasSentBeforeLeave(membership, key)
    end
    if isForeign_4 then
        leaveAgain(membership)
    else
        over(membership)
    end
end

function leaveRefused(membership, place)
    if place.tries == 0 then
        leaveUnanswered(membership)
    end
    return true
end

function renameRefused(membership, place, nick, error_)
    local key = error_.attr.id
    local late = lateRename(place, key)
    if late ~= nil then
        joined.renameRefused(membership, place, late, error_)
        return true
    end
    local operation = place.operation
    if operation == nil then
        return false
    end
    local isForeign = key == nil or key == "" or not wasSent(membership, key)
    local isItsNick = nick == nil or isSameNick(nick, operation.nick)
    local isAnswer = key == operation.id or isForeign and isItsNick
    if isAnswer and operation.kind == "rename" then
        joined.renameRefused(membership, place, operation, error_)
    end
    return isAnswer
end

function queue(membership, _, request)
    enqueue(membership, request)
end

function queueUntilTurn(membership, _, request)
    enqueue(membership, request)
    waitForTurn(membership)
end

function rejoinFor(membership, _, request)
    enqueue(membership, request)
    local first
    if not membership.established then
        first = takeJoin(membership)
    end
    if first ~= nil then
        enter(membership, first)
    else
        rejoin(membership)
    end
end

function enterAfterLeave(membership, place, request)
    enqueue(membership, request)
    if place.tries == 0 and place.operation ~= nil then
        hastenLeave(membership)
        return
    end
    local first = takeJoin(membership)
    if first ~= nil then
        enter(membership, first, {}, membership.nick)
    end
end

local lostRules = {
    self = stillIn,
    removed = removedWhileLost,
    refused = isNoAnswer,
    subject = ignore,
    request = rejoinFor
}
local joiningRules = {
    self = joining.admitted,
    removed = joining.removed,
    refused = joining.refused,
    subject = ignore,
    request = queueUntilTurn
}
local enteringRules = {
    self = stillIn,
    removed = putOut,
    refused = isNoAnswer,
    subject = joining.complete,
    request = queue
}
local joinedRules = {
    self = joined.selfShown,
    removed = putOut,
    refused = renameRefused,
    subject = joined.subjectCame,
    request = joined.requested
}
local leavingRules = {
    self = admittedLate,
    removed = leaveConfirmed,
    refused = leaveRefused,
    subject = ignore,
    request = enterAfterLeave
}

--- Returns the rules of the current phase.
local function rulesOf(membership)
    return ({
        lost = lostRules,
        joining = joiningRules,
        entering = enteringRules,
        joined = joinedRules,
        leaving = leavingRules
    })[membership.place.phase]
end

--- Our own presence arrived.
function occupancy_phases.onSelf(membership, nick, stanza)
    rulesOf(membership).self(membership, membership.place, nick, stanza)
end

--- Our own unavailable presence arrived, not as part of a nick change.
function occupancy_phases.onRemoved(membership, stanza)
    rulesOf(membership).removed(membership, membership.place, stanza)
end

--- A presence error arrived. If it answers no operation, it may mean that the account is out.
function occupancy_phases.onRefused(membership, nick, error_)
    if not rulesOf(membership).refused(membership, membership.place, nick, error_) then
        if nick == nil or not answerProbe(membership, nick, error_) then
            noteDrop("unclaimed")
            module:log("debug", "Ignoring a presence error from %s to %s: it answers no presence", membership.room, membership.username)
        end
        check(membership)
    end
end

--- The room's subject arrived.
function occupancy_phases.onSubject(membership)
    rulesOf(membership).subject(membership, membership.place)
end

--- Handles a session's request to attach, or for another nick.
function occupancy_phases.onRequest(membership, request)
    rulesOf(membership).request(membership, membership.place, request)
end

--- The room has given the account another nick (XEP-0045 7.6). Valid in every phase.
function occupancy_phases.onRenamed(membership, nick, stanza)
    local place = membership.place
    if place.phase == "joined" then
        place.told = nil
    end
    membership.nick = nick
    membership.wantedNick = nick
    forgetOccupant(membership.view, nick)
    saveOften(membership.username)
    forkOwn(membership, stanza)
    if isBlocked(membership.username, membership.room, nick) then
        check(membership)
    end
end

--- Decides open questions, because a message comes after all occupants. Returns the sessions that get the message. A room
-- that still has the account may send a live message before it gets the join.
function occupancy_phases.audienceOf(membership, isSubject, isPast)
    local place = membership.place
    if place.phase == "joined" and place.operation == nil then
        return "all"
    end
    local isAnswer = isSubject or isPast
    if place.phase == "joining" and place.claimed ~= nil and (isAnswer or not mayStillBeIn(place)) then
        joining.admitClaimed(membership, place)
        place = membership.place
    end
    if place.phase == "entering" then
        return isAnswer and place.operation.isReturn and "return" or "all"
    end
    local operation
    if place.phase == "joined" then
        operation = place.operation
    end
    if (operation and operation.kind) ~= "resync" then
        return "all"
    end
    if operation.stage == "self" and isAnswer then
        joined.answeredAsJoin(membership, operation)
    end
    return isAnswer and operation.stage == "history" and "requester" or "all"
end
end

-- src/admin/census.ts
--
-- Counts accounts, memberships and pending IQs.
local admin_census = {}
do
local size
local accounts = state_memberships.accounts
local pendingIqs = state_pending.pendingIqs

function size(map)
    local count = 0
    local key = next(map)
    while key ~= nil do
        count = count + 1
        key = next(map, key)
    end
    return count
end

--- Phases in the order in which a membership passes them.
admin_census.phases = {"joining", "entering", "joined", "lost", "leaving"}

--- Counts accounts, memberships, attached sessions and pending IQs.
function admin_census.takeCensus()
    local byPhase = {}
    for _, phase in ipairs(admin_census.phases) do
        byPhase[phase] = 0
    end
    local members = 0
    local memberships = 0
    local attached = 0
    for _, account in pairs(accounts) do
        members = members + 1
        for _, membership in pairs(account.memberships) do
            memberships = memberships + 1
            local phase = membership.place.phase
            byPhase[phase] = (byPhase[phase] or 0) + 1
            attached = attached + size(membership.attached)
        end
    end
    return {
        accounts = members,
        memberships = memberships,
        byPhase = byPhase,
        attached = attached,
        pendingIqs = size(pendingIqs)
    }
end
end

-- src/admin/directory.ts
--
-- Lists accounts and rooms, and acts on them for an admin or the user. The shell and the ad-hoc commands share these
-- texts.
local admin_directory = {}
do
local describe, stateOf, describeSessions, nickOf, isNickRequested, done, refused, membershipIn, notIn, addressOf, figure
local bookmarkLeft = settings_bookmark_write.bookmarkLeft
local bookmarkNotify = settings_bookmark_write.bookmarkNotify
local isSetting = settings_notify.isSetting
local onRequest = occupancy_phases.onRequest
local leave = occupancy_leave.leave
local lost = occupancy_lost.lost
local rejoin = occupancy_lost.rejoin
local refusalsOf = state_bookmarks.refusalsOf
local monotonic = state_clock.monotonic
local wallClock = state_clock.wallClock
local counters = state_counters.counters
local isAllKnown = state_store.isAllKnown
local isKnownNow = state_store.isKnownNow
local countDirty = state_records.countDirty
local countUnwritten = archive_entries.countUnwritten
local accounts = state_memberships.accounts
local findAccount = state_memberships.findAccount
local hasAttached = state_memberships.hasAttached
local isCurrent = state_memberships.isCurrent
local membershipsOf = state_memberships.membershipsOf
local queueOf = state_memberships.queueOf
local unansweredOf = state_memberships.unansweredOf
local newRequest = state_queue.newRequest
local phases = admin_census.phases
local takeCensus = admin_census.takeCensus

--- Returns a text if the rooms of an account are unknown, because storage failed. Undefined if they are known.
function admin_directory.unknownRooms(username)
    if isKnownNow(username) then
        return nil
    else
        return "The rooms of " .. addressOf(username) .. " are unknown: storage fails"
    end
end

function describe(membership, name)
    local since = membership.since == nil and "" or " since " .. datetime.datetime(membership.since)
    return name .. ": " .. stateOf(membership) .. " as " .. membership.nick .. since .. "; " .. describeSessions(membership)
end

function stateOf(membership)
    local place = membership.place
    local phase = place.phase
    local tries = place.tries
    if phase == "lost" and tries > 0 then
        return string.format("lost, %d attempts to rejoin,", tries)
    end
    return unansweredOf(membership) > 0 and phase .. ", unreachable," or phase
end

function describeSessions(membership)
    if hasAttached(membership) then
        local resources = {}
        for session in pairs(membership.attached) do
            resources[#resources + 1] = jids.resource(session) or session
        end
        table.sort(resources)
        return table.concat(resources, ", ")
    end
    local detachedAt = membership.detachedAt
    if detachedAt == nil then
        return "no session"
    end
    local since = wallClock() - math.floor(monotonic() - detachedAt)
    return "no session since " .. datetime.datetime(since)
end

function nickOf(room, nick)
    local isBlank = (string.match(nick, "%S")) == nil
    local address
    if not isBlank then
        address = jids.prep(room .. "/" .. nick)
    end
    if address == nil then
        return nil
    else
        return jids.resource(address)
    end
end

function isNickRequested(membership, nick)
    local place = membership.place
    local temp_7 = place.phase == "joined"
    if temp_7 then
        local operation = place.operation
        temp_7 = (operation and operation.nick) == nick
    end
    if temp_7 then
        return true
    end
    for _, request in ipairs(queueOf(membership)) do
        if request.nick == nick then
            return true
        end
    end
    return false
end

function done(text)
    return {done = true, text = text}
end

function refused(text)
    return {done = false, text = text}
end

function membershipIn(username, room)
    local account = findAccount(username)
    return account and account.memberships[room]
end

function notIn(username, room)
    return refused(admin_directory.unknownRooms(username) or addressOf(username) .. " is not in " .. room)
end

function addressOf(username)
    return username .. "@" .. module.host
end

function figure(name, value)
    return string.format("%s: %d", name, value)
end

--- Returns a text if the rooms of some accounts are unknown, because storage failed.
function admin_directory.unknownAccounts()
    if isAllKnown() then
        return nil
    else
        return "The rooms of some accounts are unknown: storage fails"
    end
end

--- Lists the account's rooms, a line for each, sorted by name.
function admin_directory.roomsOf(username)
    local lines = {}
    for _, membership in ipairs(membershipsOf(username)) do
        lines[#lines + 1] = describe(membership, membership.room)
    end
    for room, refusal in pairs(refusalsOf(username)) do
        if refusal.forbidden ~= nil then
            lines[#lines + 1] = room .. ": forbidden by this server (" .. refusal.forbidden .. ") until its bookmark changes"
        end
    end
    table.sort(lines)
    return lines
end

--- Lists the JIDs of the account's rooms.
function admin_directory.roomNamesOf(username)
    local names = {}
    for _, membership in ipairs(membershipsOf(username)) do
        names[#names + 1] = membership.room
    end
    table.sort(names)
    return names
end

--- Lists this host's accounts in a room, a line for each, sorted by name.
function admin_directory.accountsIn(room)
    local lines = {}
    for _, account in pairs(accounts) do
        local membership = account.memberships[room]
        if membership ~= nil then
            lines[#lines + 1] = describe(membership, account.username .. "@" .. module.host)
        end
    end
    table.sort(lines)
    return lines
end

--- Makes the account leave a room, as its last client would.
function admin_directory.leaveRoom(username, room)
    local membership = membershipIn(username, room)
    if membership == nil then
        return notIn(username, room)
    end
    if membership.place.phase == "leaving" then
        return refused(addressOf(username) .. " is already leaving " .. room)
    end
    module:log("info", "Removing %s from %s on request", username, room)
    bookmarkLeft(membership)
    leave(membership, st.presence({type = "unavailable"}))
    local verb = isCurrent(membership) and "is leaving" or "has left"
    return done(addressOf(username) .. " " .. verb .. " " .. room)
end

--- Makes the account join a room again. A lost account joins at once. A joined account joins to get a new occupant list.
function admin_directory.rejoinRoom(username, room)
    local membership = membershipIn(username, room)
    if membership == nil then
        return notIn(username, room)
    end
    local phase = membership.place.phase
    if phase ~= "joined" and phase ~= "lost" then
        return refused(addressOf(username) .. " is " .. phase .. " " .. room .. " now")
    end
    module:log("info", "%s is rejoining %s on request", username, room)
    if phase == "joined" then
        lost(membership)
    end
    rejoin(membership)
    return done(addressOf(username) .. " is rejoining " .. room)
end

--- Asks the room for another nick.
function admin_directory.renameIn(username, room, nick)
    local membership = membershipIn(username, room)
    if membership == nil then
        return notIn(username, room)
    end
    local wanted = nickOf(room, nick)
    if wanted == nil then
        return refused("\"" .. nick .. "\" is not a valid nick")
    end
    if membership.place.phase ~= "joined" then
        return refused("Cannot change the nick in " .. room .. " now: " .. addressOf(username) .. " is " .. membership.place.phase)
    end
    if wanted ~= membership.nick then
        onRequest(membership, newRequest("rename", nil, nil, wanted, st.presence()))
    end
    if wanted == membership.nick then
        return done("The nick in " .. room .. " is " .. wanted)
    end
    return isNickRequested(membership, wanted) and done("Asked " .. room .. " for the nick " .. wanted) or refused(room .. " refused the nick " .. wanted)
end

--- Stores the notification setting of a room: always, on-mention or never.
function admin_directory.notifyOf(username, room, setting)
    local membership = membershipIn(username, room)
    if membership == nil then
        return notIn(username, room)
    end
    if not isSetting(setting) then
        return refused("Invalid setting \"" .. setting .. "\": expected always, on-mention or never")
    end
    local written = bookmarkNotify(membership, setting)
    if written == nil then
        return refused(room .. " is not bookmarked, and the bookmark stores this setting: add a bookmark first")
    end
    return written and done("Notifications of " .. room .. ": " .. setting) or refused("The bookmark of " .. room .. " could not be written")
end

--- Lists the figures of the metrics, a line for each.
function admin_directory.totals()
    local census = takeCensus()
    local lines = {figure("accounts", census.accounts), figure("memberships", census.memberships)}
    for _, phase in ipairs(phases) do
        lines[#lines + 1] = figure("- " .. phase, census.byPhase[phase] or 0)
    end
    lines[#lines + 1] = figure("attached sessions", census.attached)
    lines[#lines + 1] = figure("pending IQs", census.pendingIqs)
    lines[#lines + 1] = figure("copies in", counters.copiesIn)
    lines[#lines + 1] = figure("copies out", counters.copiesOut)
    lines[#lines + 1] = figure("copies saved", counters.copiesSaved)
    lines[#lines + 1] = figure("replays", counters.replays)
    lines[#lines + 1] = figure("rejoins", counters.rejoins)
    lines[#lines + 1] = figure("archive writes", counters.archiveWrites)
    lines[#lines + 1] = figure("storage failures", counters.storageFailures)
    lines[#lines + 1] = figure("records waiting for storage", countDirty())
    lines[#lines + 1] = figure("messages waiting for storage", countUnwritten())
    for reason, count in pairs(counters.drops) do
        lines[#lines + 1] = figure("dropped: " .. reason, count)
    end
    return lines
end
end

-- src/admin/commands.ts
--
-- Ad-hoc commands (XEP-0050) on the host's JID. Admins act on all accounts, users on their own.
local admin_commands = {}
do
local form, answerList, refusal, usernameOf
local adhoc = require("util.adhoc")
local dataforms = require("util.dataforms")
local MINIMIX = namespaces.MINIMIX
local accountsIn = admin_directory.accountsIn
local leaveRoom = admin_directory.leaveRoom
local notifyOf = admin_directory.notifyOf
local rejoinRoom = admin_directory.rejoinRoom
local renameIn = admin_directory.renameIn
local roomNamesOf = admin_directory.roomNamesOf
local roomsOf = admin_directory.roomsOf
local totals = admin_directory.totals
local unknownAccounts = admin_directory.unknownAccounts
local unknownRooms = admin_directory.unknownRooms

function form(title, instructions, fields)
    local layout = fields
    layout.title = title
    if instructions == "" then
        layout.instructions = nil
    else
        layout.instructions = instructions
    end
    table.insert(layout, 1, {name = "FORM_TYPE", type = "hidden", value = MINIMIX .. "#command"})
    return dataforms.new(layout)
end

function answerList(title, lines, none)
    if #lines == 0 then
        return {status = "completed", info = none}
    end
    local layout = form(title, "", {{name = "lines", type = "text-multi", label = title}})
    return {
        status = "completed",
        result = {layout = layout, values = {lines = table.concat(lines, "\n")}}
    }
end

function refusal(message)
    return {status = "completed", error = {message = message}}
end

function usernameOf(data)
    return jids.node(data.from) or ""
end

local anyAccount = {name = "account", type = "jid-single", label = "Account", required = true}
local anyRoom = {name = "room", type = "jid-single", label = "Group chat", required = true}
local ownRoom = {name = "room", type = "list-single", label = "Group chat", required = true}
local newNick = {name = "nick", type = "text-single", label = "Nickname", required = true}
local setting = {
    name = "setting",
    type = "list-single",
    label = "Notify me",
    required = true,
    options = {{label = "about every message", value = "always"}, {label = "when I am mentioned", value = "on-mention"}, {label = "never", value = "never"}}
}
local NO_ROOMS = "You are not in any group chat"

--- Lists the rooms of an account.
local function answerRooms(title, username, none)
    local unknown = unknownRooms(username)
    return unknown == nil and answerList(title, roomsOf(username), none) or refusal(unknown)
end

--- Lists the accounts in a room.
local function answerAccounts(title, room)
    local lines = accountsIn(room)
    local unknown = unknownAccounts()
    if unknown ~= nil then
        lines[#lines + 1] = unknown
    end
    return answerList(title, lines, "No account of " .. module.host .. " is in " .. room)
end

local function answerResult(bindingPattern0_)
    local text
    local done
    done = bindingPattern0_.done
    text = bindingPattern0_.text
    return done and {status = "completed", info = text} or refusal(text)
end

--- Describes the invalid fields of a form, a line for each field.
local function problemsOf(layout, problems)
    local lines = {}
    for _, field in ipairs(layout) do
        local problem = problems[field.name]
        if problem ~= nil then
            lines[#lines + 1] = (field.label or field.name) .. ": " .. problem
        end
    end
    return table.concat(lines, "\n")
end

--- Makes a command with one form. `initial` returns the values that the form starts with.
local function formCommand(layout, initial, answer)
    return adhoc.new_initial_data_form(layout, initial, function(fields, problems, data) return problems == nil and answer(fields, data) or refusal(problemsOf(layout, problems)) end)
end

--- Makes a command with which an admin acts on any account of the host.
local function adminCommand(layout, answer)
    return formCommand(layout, function() return {} end, answer)
end

--- Makes a command with which users act on one of their rooms. Without rooms it answers with a note.
local function userCommand(layout, answer)
    local handler = formCommand(layout, function(data) return {room = roomNamesOf(usernameOf(data))} end, function(fields, data) return answer(usernameOf(data), fields) end)
    return function(self, data, state)
        if data.form == nil and #roomNamesOf(usernameOf(data)) == 0 then
            local unknown = unknownRooms(usernameOf(data))
            return unknown == nil and {status = "completed", info = NO_ROOMS} or refusal(unknown), nil
        end
        return handler(nil, data, state)
    end
end

--- Makes a command without a form.
local function plainCommand(answer)
    return function(self, data)
        return answer(data), nil
    end
end

local function roomOf(fields)
    return jids.bare(fields.room or "")
end

--- Acts on an account of this host. Admins of a host have no rights on other hosts.
local function onAccount(fields, action)
    local jid = fields.account or ""
    local username = jids.node(jid)
    return (username == nil or jids.host(jid) ~= module.host) and refusal(jid .. " is not an account of " .. module.host) or action(username)
end

local LIST_OWN = "List my group chats"
local LIST_ROOMS = "List the group chats of an account"
local LIST_ACCOUNTS = "List the accounts in a group chat"
local LEAVE = "Make an account leave a group chat"
local REJOIN = "Make an account rejoin a group chat"
local TOTALS = "Show totals of group chats"
local LEAVE_OWN = "Leave a group chat"
local RENAME_OWN = "Change my nickname in a group chat"
local NOTIFY_OWN = "Choose my notifications of a group chat"
local commands = {
    {
        name = "my-rooms",
        title = LIST_OWN,
        permission = "local_user",
        handler = plainCommand(function(data) return answerRooms(LIST_OWN, usernameOf(data), NO_ROOMS) end)
    },
    {
        name = "leave-my-room",
        title = LEAVE_OWN,
        permission = "local_user",
        handler = userCommand(form(LEAVE_OWN, "You leave the group chat on all devices.", {ownRoom}), function(username, fields) return answerResult(leaveRoom(username, roomOf(fields))) end)
    },
    {
        name = "my-nick",
        title = RENAME_OWN,
        permission = "local_user",
        handler = userCommand(form(RENAME_OWN, "The nickname changes on all devices.", {ownRoom, newNick}), function(username, fields) return answerResult(renameIn(username, roomOf(fields), fields.nick or "")) end)
    },
    {
        name = "my-notify",
        title = NOTIFY_OWN,
        permission = "local_user",
        handler = userCommand(
            form(NOTIFY_OWN, "Applies to devices that are not connected. The bookmark stores the setting.", {ownRoom, setting}),
            function(username, fields) return answerResult(notifyOf(username, roomOf(fields), fields.setting or "")) end
        )
    },
    {
        name = "rooms",
        title = LIST_ROOMS,
        permission = "admin",
        handler = adminCommand(form(LIST_ROOMS, "", {anyAccount}), function(fields) return onAccount(fields, function(username) return answerRooms(LIST_ROOMS, username, username .. "@" .. module.host .. " is not in any group chat") end) end)
    },
    {
        name = "accounts",
        title = LIST_ACCOUNTS,
        permission = "admin",
        handler = adminCommand(form(LIST_ACCOUNTS, "", {anyRoom}), function(fields) return answerAccounts(LIST_ACCOUNTS, roomOf(fields)) end)
    },
    {
        name = "leave",
        title = LEAVE,
        permission = "admin",
        handler = adminCommand(form(LEAVE, "", {anyAccount, anyRoom}), function(fields) return onAccount(fields, function(username) return answerResult(leaveRoom(username, roomOf(fields))) end) end)
    },
    {
        name = "rejoin",
        title = REJOIN,
        permission = "admin",
        handler = adminCommand(form(REJOIN, "", {anyAccount, anyRoom}), function(fields) return onAccount(fields, function(username) return answerResult(rejoinRoom(username, roomOf(fields))) end) end)
    },
    {
        name = "totals",
        title = TOTALS,
        permission = "admin",
        handler = plainCommand(function() return answerList(TOTALS, totals(), "") end)
    }
}

--- Offers the commands, unless the admin has put mod_adhoc into `modules_disabled`.
function admin_commands.offerCommands()
    local wanted = pcall(function() return module:depends("adhoc") end)
    if not wanted then
        return
    end
    local library = module:require("adhoc")
    for _, value_ in ipairs(commands) do
        local name = value_.name
        local title = value_.title
        local permission = value_.permission
        local handler = value_.handler
        module:provides("adhoc", library.new(title, MINIMIX .. "#" .. name, handler, permission))
    end
end
end

-- src/admin/metrics.ts
--
-- Metrics, as mod_http_openmetrics shows them. Figures are read only when statistics are collected, and cost nothing
-- else.
local admin_metrics = {}
do
local countUnwritten = archive_entries.countUnwritten
local counters = state_counters.counters
local countEdits = state_marks.countEdits
local countDirty = state_records.countDirty
local phases = admin_census.phases
local takeCensus = admin_census.takeCensus
--- Prosody 0.12 needs a list of label names even for a metric without labels.
local NO_LABELS = {}
local gauges = {
    accounts = module:metric("gauge", "accounts", "", "Accounts that are in a room", NO_LABELS),
    memberships = module:metric("gauge", "memberships", "", "Accounts in rooms, by state", {"state"}),
    attached = module:metric("gauge", "attached_sessions", "", "Attached sessions, once for each room", NO_LABELS),
    pendingIqs = module:metric(
        "gauge",
        "pending_iqs",
        "",
        "IQs of sessions that rooms have not answered",
        NO_LABELS
    ),
    storageWaiting = module:metric(
        "gauge",
        "storage_waiting",
        "",
        "Records and messages that wait for storage to work again",
        NO_LABELS
    )
}
local totals = {
    copiesIn = module:metric("counter", "copies_in", "", "Messages and presences from rooms", NO_LABELS),
    copiesOut = module:metric("counter", "copies_out", "", "Stanzas from rooms sent to sessions", NO_LABELS),
    copiesSaved = module:metric(
        "counter",
        "copies_saved",
        "",
        "Stanzas saved compared with one join per session",
        NO_LABELS
    ),
    replays = module:metric("counter", "replays", "", "Joins of sessions answered from the cache", NO_LABELS),
    rejoins = module:metric("counter", "rejoins", "", "Automatic rejoins of accounts", NO_LABELS),
    archiveWrites = module:metric(
        "counter",
        "archive_writes",
        "",
        "Messages of rooms written to the archive",
        NO_LABELS
    ),
    storageFailures = module:metric("counter", "storage_failures", "", "Calls of storage drivers that failed", NO_LABELS),
    drops = module:metric("counter", "drops", "", "Stanzas that were not passed on", {"reason"})
}

--- `stats-update`.
function admin_metrics.updateMetrics()
    local census = takeCensus()
    gauges.accounts:with_labels():set(census.accounts)
    for _, phase in ipairs(phases) do
        gauges.memberships:with_labels(phase):set(census.byPhase[phase] or 0)
    end
    gauges.attached:with_labels():set(census.attached)
    gauges.pendingIqs:with_labels():set(census.pendingIqs)
    totals.copiesIn:with_labels():set(counters.copiesIn)
    totals.copiesOut:with_labels():set(counters.copiesOut)
    totals.copiesSaved:with_labels():set(counters.copiesSaved)
    totals.replays:with_labels():set(counters.replays)
    totals.rejoins:with_labels():set(counters.rejoins)
    totals.archiveWrites:with_labels():set(counters.archiveWrites)
    totals.storageFailures:with_labels():set(counters.storageFailures)
    gauges.storageWaiting:with_labels():set(countDirty() + countUnwritten() + countEdits())
    for reason, count in pairs(counters.drops) do
        totals.drops:with_labels(reason):set(count)
    end
end
end

-- src/admin/neighbours.ts
--
-- Warns about other modules that conflict with this one, or that it needs.
local admin_neighbours = {}
do
local hasModule = minimix_host.hasModule
local options = minimix_options
local PING_MUC = "mod_ping_muc has no effect here, because accounts join rooms instead of clients, and mod_minimix sends the self-pings: " .. "remove it from modules_enabled"
--- Its hook of `message/full` (0) comes after the module's.
local PASTEBIN = "mod_pastebin does not replace long messages of rooms for users of this host, because mod_minimix delivers them first: " .. "load mod_pastebin on the component with the rooms"

--- Logs conflicts with other modules, once all modules are loaded.
function admin_neighbours.checkNeighbours()
    if hasModule("ping_muc") then
        module:log("warn", "%s", PING_MUC)
    end
    if options.archive ~= "mam" and hasModule("pastebin") then
        module:log("warn", "%s", PASTEBIN)
    end
    if options.archive == "mam" and not hasModule("mam") then
        module:log("warn", "minimix_archive is \"mam\", but mod_mam is not loaded, so messages of rooms are not archived: load mod_mam, or set minimix_archive to true")
    end
    local opt_2 = prosody.hosts[module.host]
    local users = opt_2 and opt_2.users
    if (users and users.name) == "null" then
        module:log("warn", "This host has no users: remove mod_minimix, or set authentication")
    end
end
end

-- src/admin/shell.ts
--
-- Commands of the admin shell (`prosodyctl shell`): minimix:rooms(), minimix:leave() and so on.
--
-- They are added to the shell's environment, which 0.12 and 13.0 both share with modules. The "shell-command" items of
-- 13.0 do not fit: for a module of a host, they are found by a JID of that host only. minimix:accounts() takes the JID
-- of a room, and minimix:stats() takes none. So the server has one table of commands, and each host answers for its own
-- accounts.
local admin_shell = {}
do
local list, act, parseAccount, parseRoom, notRoom, quote, hosts
local accountsIn = admin_directory.accountsIn
local leaveRoom = admin_directory.leaveRoom
local rejoinRoom = admin_directory.rejoinRoom
local roomsOf = admin_directory.roomsOf
local totals = admin_directory.totals
local unknownAccounts = admin_directory.unknownAccounts
local unknownRooms = admin_directory.unknownRooms

function list(section, lines, what)
    for _, line in ipairs(lines) do
        section.session.print(line)
    end
    return true, string.format("%d %s", #lines, what)
end

function act(jid, room, action)
    local username, host, problem = parseAccount(jid)
    if host == nil then
        return nil, problem
    end
    local address = parseRoom(room)
    if address == nil then
        return nil, notRoom(room)
    end
    local action_result_0 = action(host, username, address)
    local done = action_result_0.done
    local text = action_result_0.text
    if not done then
        return nil, text
    end
    return true, text
end

function parseAccount(jid)
    local address
    if type(jid) == "string" then
        address = jids.prep(jid)
    end
    local username
    if address ~= nil then
        username = jids.node(address)
    end
    if address == nil or username == nil then
        return nil, nil, quote(jid) .. " is not the JID of an account, such as \"user@example.org\""
    end
    local name = jids.host(address)
    local host = hosts[name]
    if host == nil then
        return nil, nil, "mod_minimix is not loaded on " .. name
    end
    return username, host, nil
end

function parseRoom(room)
    local address
    if type(room) == "string" then
        address = jids.prep(room)
    end
    if address == nil or jids.node(address) == nil then
        return nil
    else
        return jids.bare(address)
    end
end

function notRoom(room)
    return quote(room) .. " is not the JID of a room, such as \"room@rooms.example.org\""
end

function quote(value)
    return type(value) == "string" and "\"" .. value .. "\"" or tostring(value)
end

hosts = module:shared("/*/minimix/hosts")
local environment = module:shared("/*/admin_shell/env")
local SECTION = "List accounts in rooms, make them leave or rejoin (mod_minimix)"
--- Texts for `help minimix` of 13.0.
local help = {
    rooms = {desc = "List the rooms of an account", args = {{name = "jid"}}},
    accounts = {desc = "List the accounts in a room", args = {{name = "room"}}},
    leave = {desc = "Make an account leave a room", args = {{name = "jid"}, {name = "room"}}},
    rejoin = {desc = "Make an account rejoin a room", args = {{name = "jid"}, {name = "room"}}},
    stats = {desc = "Show totals of each host", args = {}}
}

local function rooms(self, jid)
    local username, host, problem = parseAccount(jid)
    if host == nil then
        return nil, problem
    end
    local unknown = host.unknownRooms(username)
    if unknown ~= nil then
        return nil, unknown
    end
    return list(self, host.roomsOf(username), "rooms")
end

local function accounts(self, room)
    local address = parseRoom(room)
    if address == nil then
        return nil, notRoom(room)
    end
    local lines = {}
    for _, host in pairs(hosts) do
        for _, line in ipairs(host.accountsIn(address)) do
            lines[#lines + 1] = line
        end
        local unknown = host.unknownAccounts()
        if unknown ~= nil then
            self.session.print(unknown)
        end
    end
    return list(self, lines, "accounts")
end

local function leave(self, jid, room)
    return act(jid, room, function(host, username, address) return host.leaveRoom(username, address) end)
end

local function rejoin(self, jid, room)
    return act(jid, room, function(host, username, address) return host.rejoinRoom(username, address) end)
end

local function stats(self)
    local count = 0
    for name, host in pairs(hosts) do
        count = count + 1
        self.session.print(name)
        for _, line in ipairs(host.totals()) do
            self.session.print("  " .. line)
        end
    end
    return true, string.format("%d hosts", count)
end

--- Adds the commands to the shell, and this host to the hosts that answer.
function admin_shell.addShellCommands()
    hosts[module.host] = {
        roomsOf = roomsOf,
        accountsIn = accountsIn,
        leaveRoom = leaveRoom,
        rejoinRoom = rejoinRoom,
        totals = totals,
        unknownRooms = unknownRooms,
        unknownAccounts = unknownAccounts
    }
    local commands = {rooms = rooms, accounts = accounts, leave = leave, rejoin = rejoin, stats = stats}
    environment.minimix = setmetatable(commands, {help = {desc = SECTION, commands = help}})
end

--- Removes this host, and the commands with the last host.
function admin_shell.removeShellCommands()
    hosts[module.host] = nil
    if (next(hosts)) == nil then
        environment.minimix = nil
    end
end
end

-- src/archive/form.ts
--
-- Parses queries of an archive: the form and the page of XEP-0313 4.
local archive_form = {}
do
local checkForm, isKnown, parseTime, parseBoolean, valueOf, valuesOf, text, fields, MAX_IDS
local DATAFORM = namespaces.DATAFORM
local MAM = namespaces.MAM
local RSM = namespaces.RSM

function checkForm(form)
    for _, field in ipairs(form.tags) do
        local name = field.attr.var
        if field.name == "field" and name ~= "FORM_TYPE" and not isKnown(name) then
            return "feature-not-implemented"
        end
    end
    for _, name in ipairs({"start", "end"}) do
        if valueOf(form, name) ~= nil and parseTime(form, name) == nil then
            return "bad-request"
        end
    end
    local ids = valuesOf(form, "ids")
    return ids ~= nil and #ids > MAX_IDS and "policy-violation" or nil
end

function isKnown(name)
    for _, field in ipairs(fields) do
        if field.name == name then
            return true
        end
    end
    return false
end

function parseTime(form, name)
    local value = valueOf(form, name)
    if value == nil then
        return nil
    else
        return datetime.parse(value)
    end
end

function parseBoolean(value)
    if value == nil then
        return nil
    end
    return value == "true" or value == "1"
end

function valueOf(form, name)
    local values = valuesOf(form, name)
    if values == nil then
        return nil
    else
        return values[1]
    end
end

function valuesOf(form, name)
    local field = form:get_child_with_attr("field", nil, "var", name)
    if field == nil then
        return nil
    end
    local values = {}
    for _, tag in ipairs(field.tags) do
        local value
        if tag.name == "value" then
            value = text(tag:get_text())
        end
        if value ~= nil then
            values[#values + 1] = value
        end
    end
    if #values == 0 then
        return nil
    else
        return values
    end
end

function text(value)
    if value == "" then
        return nil
    else
        return value
    end
end

fields = {
    {name = "with", type = "jid-single"},
    {name = "start", type = "text-single"},
    {name = "end", type = "text-single"},
    {name = "before-id", type = "text-single"},
    {name = "after-id", type = "text-single"},
    {name = "ids", type = "list-multi"},
    {name = "include-groupchat", type = "boolean"}
}
MAX_IDS = 500

--- Returns the form that shows clients the possible fields.
function archive_form.queryForm()
    local form = st.stanza("x", {xmlns = DATAFORM, type = "form"})
    form:tag("field", {var = "FORM_TYPE", type = "hidden"}):tag("value"):text(MAM):up():up()
    for _, field in ipairs(fields) do
        form:tag("field", {var = field.name, type = field.type})
        if field.name == "ids" then
            form:tag("validate", {xmlns = "http://jabber.org/protocol/xdata-validate", datatype = "xs:string"})
            form:tag("open"):up():up()
        end
        form:up()
    end
    return form
end

--- Returns the JID of a query and whether it includes groupchat. This is enough to tell whether mod_mam answers it.
function archive_form.readScope(query)
    local form = query:get_child("x", DATAFORM)
    local jid
    if form ~= nil then
        jid = jids.prep(valueOf(form, "with") or "")
    end
    local temp_1
    if form ~= nil then
        temp_1 = parseBoolean(valueOf(form, "include-groupchat"))
    end
    return jid, temp_1
end

--- Parses a query. Returns the error if it cannot be answered.
function archive_form.readRequest(query)
    local form = query:get_child("x", DATAFORM) or st.stanza("x")
    local refusal = checkForm(form)
    if refusal ~= nil then
        return nil, refusal
    end
    local set = query:get_child("set", RSM) or st.stanza("set")
    local max = tonumber(set:get_child_text("max"))
    if set:get_child("max") ~= nil and (max == nil or max < 0 or max ~= math.floor(max)) then
        return nil, "bad-request"
    end
    if set:get_child("index") ~= nil then
        return nil, "feature-not-implemented"
    end
    local jid, includeGroupchat = archive_form.readScope(query)
    return {
        with = jid,
        includeGroupchat = includeGroupchat,
        start = parseTime(form, "start"),
        ["end"] = parseTime(form, "end"),
        after = text(set:get_child_text("after")) or valueOf(form, "after-id"),
        before = text(set:get_child_text("before")) or valueOf(form, "before-id"),
        ids = valuesOf(form, "ids"),
        reverse = set:get_child("before") ~= nil,
        flipped = query:get_child("flip-page") ~= nil,
        max = max
    }
end
end

-- src/archive/query.ts
--
-- Answers queries of the account's archive (XEP-0313) that include rooms. mod_mam answers all others as before: clients
-- treat unexpected messages of rooms as forged.
local archive_query = {}
do
local scopeOf, scopeOfAll, scopeWithoutRooms, isInScope, refuse, sendPage, endOf, result
local rsm = require("util.rsm")
local messageOf = state_messages.messageOf
local isWritingInSlices = archive_entries.isWritingInSlices
local archiveOf = archive_read.archiveOf
local roomsRead = archive_read.roomsRead
local newQueues = slices.newQueues
local noteOver = state_limits.noteOver
local hasPersonalArchive = archive_personal.hasPersonalArchive
local personalArchive = archive_personal.personalArchive
local DELAY = namespaces.DELAY
local FORWARD = namespaces.FORWARD
local MAM = namespaces.MAM
local options = minimix_options
local queryForm = archive_form.queryForm
local readRequest = archive_form.readRequest
local readScope = archive_form.readScope
local startReading = archive_page.startReading

function scopeOf(session, query)
    local jid, includeGroupchat = readScope(query)
    local username = session.username
    if options.archive == "mam" then
        return true, scopeWithoutRooms(username, jid, includeGroupchat)
    end
    if jid == nil then
        if includeGroupchat == true and hasPersonalArchive() then
            return scopeOfAll(session)
        end
        return true, nil
    end
    local room = jids.bare(jid)
    local done, log = archiveOf(username, room)
    local groupchat = includeGroupchat
    if groupchat == nil then
        groupchat = jid == room
    end
    if log == nil or not groupchat then
        return done or not groupchat, nil
    end
    local archives = hasPersonalArchive() and {personalArchive(username, room), log} or {log}
    local address
    if jid ~= room then
        address = jid
    end
    return true, {archives = archives, address = address, groupchat = groupchat}
end

function scopeOfAll(session)
    session.mam_requested = true
    local archives = {personalArchive(session.username, nil)}
    local rooms = roomsRead(session.username)
    if rooms == nil then
        return false, nil
    end
    if #rooms > options.maxQueryRooms then
        noteOver("minimix_max_query_rooms", session.username, "its archive")
    end
    for i = 1, math.min(#rooms, options.maxQueryRooms) do
        local room = rooms[i] or ""
        local _, log = archiveOf(session.username, room)
        if log ~= nil then
            archives[#archives + 1] = log
        end
    end
    return true, {archives = archives, address = nil, groupchat = true}
end

function scopeWithoutRooms(username, jid, includeGroupchat)
    local groupchat = includeGroupchat
    if groupchat == nil then
        groupchat = jid ~= nil
    end
    if groupchat or not hasPersonalArchive() then
        return nil
    end
    local room
    if jid ~= nil then
        room = jids.bare(jid)
    end
    local archives = {personalArchive(username, room)}
    local address
    if jid ~= room then
        address = jid
    end
    return {archives = archives, address = address, groupchat = groupchat}
end

function isInScope(scope, content)
    if scope.address == nil and scope.groupchat then
        return true
    end
    local message = messageOf(content)
    local isBetween = scope.address == nil or message.attr.from == scope.address or message.attr.to == scope.address
    return isBetween and (scope.groupchat or message.attr.type ~= "groupchat")
end

function refuse(bindingPattern0_)
    local stanza
    local session
    session = bindingPattern0_.session
    stanza = bindingPattern0_.stanza
    return function()
        session.send(st.error_reply(stanza, "wait", "internal-server-error"))
        return true
    end
end

function sendPage(bindingPattern0_, page)
    local flipped
    local id
    local stanza
    local session
    session = bindingPattern0_.session
    stanza = bindingPattern0_.stanza
    id = bindingPattern0_.id
    flipped = bindingPattern0_.flipped
    local sent = 0
    return function()
        if page == nil then
            session.send(st.error_reply(stanza, "cancel", "item-not-found"))
            return true
        end
        local item = page.items[(flipped and #page.items - 1 - sent or sent) + 1]
        if item ~= nil then
            sent = sent + 1
            session.send(result(session, id, item))
            return false
        end
        session.send(st.reply(stanza):add_child(endOf(page)))
        return true
    end
end

function endOf(page)
    local fin = st.stanza("fin", {xmlns = MAM, complete = page.complete and "true" or nil})
    local opt_9 = page.items[1]
    local opt_11 = page.items[#page.items]
    local set = rsm.generate({first = opt_9 and opt_9.id, last = opt_11 and opt_11.id, count = page.count})
    return fin:add_child(set)
end

function result(session, queryId, item)
    local message = st.clone(messageOf(item.content))
    message.attr.xmlns = "jabber:client"
    return st.message({from = jids.bare(session.full_jid), to = session.full_jid}):tag("result", {xmlns = MAM, queryid = queryId, id = item.id}):tag("forwarded", {xmlns = FORWARD}):tag("delay", {xmlns = DELAY, stamp = datetime.datetime(item.stamp)}):up():add_child(message):reset()
end

--- The queries of one session are answered one after the other.
local queries = newQueues()

--- `account-disco-info`: XEP-0313 7. Without mod_mam the account has no archive that could include groupchat.
function archive_query.onAccountInfo(event)
    if hasPersonalArchive() then
        event.reply:tag("feature", {var = MAM .. "#groupchat-field"}):up()
        event.reply:tag("feature", {var = MAM .. "#groupchat-available"}):up()
    end
end

--- `iq-get/self/urn:xmpp:mam:2:query`: returns the form (XEP-0313 4.1.5).
function archive_query.onFormRequest(event)
    local query = st.stanza("query", {xmlns = MAM}):add_child(queryForm())
    event.origin.send(st.reply(event.stanza):add_child(query))
    return true
end

--- `iq-set/self/urn:xmpp:mam:2:query`: answers a query.
function archive_query.onQuery(event)
    local session = event.origin
    local stanza = event.stanza
    local element = stanza:get_child("query", MAM)
    if element == nil then
        return nil
    end
    local isRead, scope = scopeOf(session, element)
    if not isRead then
        session.send(st.error_reply(stanza, "wait", "internal-server-error"))
        return true
    end
    if scope == nil then
        return nil
    end
    local request, refusal = readRequest(element)
    if request == nil then
        session.send(st.error_reply(stanza, "modify", refusal))
        return true
    end
    local opt_0 = queries.pending[session.full_jid]
    if (opt_0 and opt_0.count or 0) >= options.maxPendingIqs then
        noteOver("minimix_max_pending_iqs", session.username, "its archive", "iq_limit")
        session.send(st.error_reply(stanza, "wait", "resource-constraint", "Too many requests are unanswered"))
        return true
    end
    local reading = startReading(
        scope.archives,
        {
            wants = function(content) return isInScope(scope, content) end,
            start = request.start,
            ["end"] = request["end"],
            after = request.after,
            before = request.before,
            ids = request.ids,
            reverse = request.reverse,
            max = math.min(request.max or options.maxArchivePage, options.maxArchivePage)
        }
    )
    local query = {
        session = session,
        stanza = st.clone(stanza),
        id = element.attr.queryid,
        flipped = request.flipped
    }
    local sending
    queries.add(session.full_jid, function()
        if prosody.full_sessions[session.full_jid] ~= session then
            return true
        end
        if sending ~= nil then
            return sending()
        end
        if isWritingInSlices() or not reading.step() then
            return false
        end
        sending = reading.failed and refuse(query) or sendPage(query, reading.page)
        return sending()
    end)
    return true
end
end

-- src/client/queue.ts
--
-- Queues stanzas of a session to a room while its join is pending.
local client_queue = {}
do
local noteDrop = state_counters.noteDrop
local queueStanza = state_queue.queueStanza
local pendingJoin = state_queue.pendingJoin

--- Queues a stanza of a session with a pending join. Undefined without a pending join.
function client_queue.queueUntilJoined(membership, session, stanza)
    local request = pendingJoin(membership, session.full_jid)
    if request == nil then
        return nil
    end
    local type_ = stanza.attr.type
    if not queueStanza(request, st.clone(stanza)) and type_ ~= "error" and type_ ~= "result" then
        noteDrop("limit")
        session.send(st.error_reply(stanza, "wait", "resource-constraint", nil, membership.room))
    end
    return true
end
end

-- src/client/iq.ts
--
-- Handles IQs from a session to a room or an occupant.
local client_iq = {}
do
local isSelfPing, onSelfPing, isArchiveQuery, isChallengeAnswer, refuseIqs
local monotonic = state_clock.monotonic
local CAPTCHA = namespaces.CAPTCHA
local PING = namespaces.PING
local sendIq = occupancy_outgoing.sendIq
local awaitPong = occupancy_pong.awaitPong
local pong = occupancy_pong.pong
local check = occupancy_watch.check
local needsCheck = occupancy_watch.needsCheck
local sendTo = send_fork.sendTo
local noteDrop = state_counters.noteDrop
local noteOver = state_limits.noteOver
local isAttached = state_memberships.isAttached
local knownNick = state_memberships.knownNick
local membershipOf = state_memberships.membershipOf
local takeExpiredIqs = state_pending.takeExpiredIqs
local isServed = state_queue.isServed
local pendingJoin = state_queue.pendingJoin
local queueUntilJoined = client_queue.queueUntilJoined

function isSelfPing(to, nick, stanza)
    return stanza.attr.type == "get" and jids.resource(to) == nick and stanza:get_child("ping", PING) ~= nil
end

function onSelfPing(membership, session, ping)
    local place = membership.place
    if not isAttached(membership, session.full_jid) or not needsCheck(membership, place) then
        session.send(pong(membership, session.full_jid, ping))
    elseif awaitPong(membership, place, session.full_jid, ping) then
        check(membership)
    else
        noteOver("minimix_max_pending_iqs", session.username, membership.room, "iq_limit")
        session.send(st.error_reply(ping, "wait", "resource-constraint", nil, membership.room))
    end
end

function isArchiveQuery(stanza)
    local query = stanza.tags[1]
    local xmlns = query and query.attr.xmlns
    return xmlns ~= nil and string.sub(xmlns, 1, 13) == "urn:xmpp:mam:"
end

function isChallengeAnswer(stanza)
    return stanza:get_child("captcha", CAPTCHA) ~= nil
end

function refuseIqs(now)
    for _, pending in ipairs(takeExpiredIqs(now)) do
        noteDrop("iq_timeout")
        local error_ = st.error_reply(pending.request, "wait", "remote-server-timeout")
        sendTo(pending.session, error_)
    end
end

--- `pre-iq/bare` and `pre-iq/full`.
function client_iq.onIq(event)
    local session = event.origin
    local stanza = event.stanza
    local to = stanza.attr.to
    local membership
    if to ~= nil then
        membership = membershipOf(session, jids.bare(to))
    end
    if to == nil or membership == nil then
        return nil
    end
    local pending = pendingJoin(membership, session.full_jid)
    local attached = isServed(membership, session.full_jid)
    if isSelfPing(to, (attached or pending == nil) and knownNick(membership) or pending.nick, stanza) then
        onSelfPing(membership, session, stanza)
        return true
    end
    if not attached and pending == nil or isArchiveQuery(stanza) then
        return nil
    end
    if attached or isChallengeAnswer(stanza) then
        sendIq(membership, session.full_jid, stanza)
        return true
    end
    return queueUntilJoined(membership, session, stanza)
end

--- Sends errors for IQs that rooms have not answered in time.
function client_iq.expireIqs()
    refuseIqs(monotonic())
end

--- Sends errors for all pending IQs, because their answers cannot be delivered any more.
function client_iq.giveUpIqs()
    refuseIqs(math.huge)
end
end

-- src/client/joined.ts
--
-- Maintains `session.rooms_joined`, in which mod_track_muc_joins keeps the session's nick in each room.
-- mod_throttle_unsolicited, mod_csi_battery_saver and others read it.
--
-- For rooms joined through the account, the table takes the nick from the memberships. pairs() does not list these.
-- Otherwise mod_ping_muc would ping them from the session's own address, be refused, and tell the client that it is
-- out.
local client_joined = {}
do
local track, nickOf, forEachSession
local isAttached = state_memberships.isAttached
local knownNick = state_memberships.knownNick
local membershipOf = state_memberships.membershipOf

function track(session)
    session.rooms_joined = setmetatable(
        session.rooms_joined or {},
        {__index = function(_, room) return nickOf(session, room) end}
    )
end

function nickOf(session, room)
    local membership = membershipOf(session, room)
    local isIn = membership ~= nil and isAttached(membership, session.full_jid)
    return isIn and knownNick(membership) or nil
end

function forEachSession(task)
    local opt_0 = prosody.hosts[module.host]
    local users = opt_0 and opt_0.sessions
    if users ~= nil then
        for _, user in pairs(users) do
            for _, session in pairs(user.sessions) do
                task(session)
            end
        end
    end
end

--- `resource-bind`.
function client_joined.onBind(event)
    track(event.session)
end

--- Adds the table to all sessions when the module is loaded.
function client_joined.trackAll()
    forEachSession(track)
end

--- Removes the table from all sessions when the module is unloaded.
function client_joined.untrackAll()
    forEachSession(function(session)
        if session.rooms_joined ~= nil then
            setmetatable(session.rooms_joined, {})
        end
    end)
end
end

-- src/client/message.ts
--
-- Handles messages from a session to a room or an occupant.
local client_message = {}
do
local isAttached = state_memberships.isAttached
local membershipOf = state_memberships.membershipOf
local isServed = state_queue.isServed
local pendingJoin = state_queue.pendingJoin
local hasJoined = state_sessions.hasJoined
local sendMessage = occupancy_outgoing.sendMessage
local queueUntilJoined = client_queue.queueUntilJoined

--- `pre-message/bare` and `pre-message/full`, after the hooks that archive and copy messages of clients.
function client_message.onMessage(event)
    local session = event.origin
    local stanza = event.stanza
    local to = stanza.attr.to
    if to == nil then
        return nil
    end
    local room = jids.bare(to)
    if stanza.attr.type == "error" then
        if hasJoined(session.full_jid, room) then
            return true
        else
            return nil
        end
    end
    local membership = membershipOf(session, room)
    if membership == nil then
        return nil
    end
    if not isServed(membership, session.full_jid) then
        return queueUntilJoined(membership, session, stanza)
    end
    sendMessage(membership, session.full_jid, stanza)
    return true
end

--- `carbons-should-copy`: mod_carbons of 13.0 copies a message to an occupant to every device. Only devices in the room
-- should get it (XEP-0280 6.1). outgoing.ts sends these copies.
function client_message.onCarbon(event)
    local session = event.session
    local attr = event.stanza.attr
    local from = attr.from
    local to = attr.to
    local membership
    if to ~= nil then
        membership = membershipOf(session, jids.bare(to))
    end
    if membership == nil or session.full_jid ~= from then
        return nil
    end
    local isIn = isAttached(membership, from) or pendingJoin(membership, from) ~= nil
    if isIn then
        return false
    else
        return nil
    end
end
end

-- src/archive/expire.ts
--
-- Deletes expired messages, messages that no account has in its ranges, and the private entries of a deleted user.
local archive_expire = {}
do
local deleteUnused, remove, finish, pruneAccount, pruneRoom, oldestOf, startDeletion, deletePrivate, startCleaning, isIncomplete, isRunning, failed, running
local keyOf = archive_entries.keyOf
local parseLabel = archive_entries.parseLabel
local store = archive_entries.store
local saveDelivered = archive_delivered.saveDelivered
local startReading = archive_page.startReading
local roomsRead = archive_read.roomsRead
local expiryTime = archive_retention.expiryTime
local noteRunning = archive_retention.noteRunning
local deletions = state_deliveries.deletions
local editDeliveries = state_deliveries.editDeliveries
local forgetDeliveries = state_deliveries.forgetDeliveries
local usersWithDeliveries = state_deliveries.usersWithDeliveries
local forEachInSlices = slices.forEachInSlices
local inSlices = slices.inSlices
local membersOf = state_keys.membersOf
local unwatchLogs = state_logs.unwatchLogs
local watchLogs = state_logs.watchLogs
local accounts = state_memberships.accounts
local findMembership = state_memberships.findMembership
local occupantJid = state_memberships.occupantJid
local deleteMessages = state_messages.deleteMessages
local findMessages = state_messages.findMessages
local listMessages = state_messages.listMessages
local forgetStarts = state_numbers.forgetStarts
local hasEarlierStarts = state_numbers.hasEarlierStarts
local newestNumber = state_numbers.newestNumber
local beginOutage = state_outage.beginOutage
local onRecovery = state_outage.onRecovery
local onRetry = state_outage.onRetry
local prune = state_ranges.prune

function deleteUnused(bindingPattern0_, opened)
    local isComplete
    local wanted
    local keys
    keys = bindingPattern0_.keys
    wanted = bindingPattern0_.wanted
    isComplete = bindingPattern0_.isComplete
    if not isComplete then
        isIncomplete = true
        finish()
        return
    end
    forgetStarts()
    for _, account in pairs(accounts) do
        for room in pairs(account.memberships) do
            wanted[keyOf(room)] = true
        end
    end
    local function deleteIfUnused(key)
        for room in pairs(opened) do
            opened[room] = nil
            wanted[keyOf(room)] = true
        end
        if wanted[key] == nil then
            remove(key, nil, opened)
        end
    end
    forEachInSlices(keys, deleteIfUnused, finish)
end

function remove(key, query, opened)
    if not deleteMessages(store, key, query) then
        failed = {key = key, query = query, opened = opened}
        isIncomplete = true
    end
end

function finish()
    isRunning = false
    if failed == nil then
        unwatchLogs()
    end
end

function pruneAccount(username, oldest, wanted)
    return editDeliveries(username, function(rooms)
        local names = {}
        for room in pairs(rooms) do
            names[#names + 1] = room
        end
        local changed = hasEarlierStarts()
        for _, room in ipairs(names) do
            local ranges = rooms[room] or {}
            changed = pruneRoom(room, ranges, oldest) or changed
            local temp_3 = #ranges == 0
            if temp_3 then
                local opt_1 = findMembership(occupantJid(username), room)
                temp_3 = (opt_1 and opt_1.part) == nil
            end
            if temp_3 then
                rooms[room] = nil
                changed = true
            else
                wanted[keyOf(room)] = true
            end
        end
        return changed
    end)
end

function pruneRoom(room, ranges, oldest)
    local least = oldest[room]
    if least == nil then
        least = oldestOf(room)
        oldest[room] = least
    end
    return prune(ranges, least)
end

function oldestOf(room)
    local found = findMessages(store, keyOf(room), {limit = 1})
    if found == nil then
        return 0
    end
    return found[1] == nil and math.huge or (parseLabel(found[1].label))
end

function startDeletion(deletion)
    if deletion.rooms == nil then
        deletion.rooms = roomsRead(deletion.username)
        if deletion.rooms == nil then
            beginOutage()
            return
        end
        forgetDeliveries(deletion.username)
    end
    running[deletion] = true
    deletePrivate(deletion, deletion.rooms)
end

function deletePrivate(deletion, rooms)
    local current
    inSlices(function()
        local room = rooms[#rooms]
        if room == nil then
            running[deletion] = nil
            deletions[deletion] = nil
            return true
        end
        if current == nil then
            current = startCleaning(deletion, keyOf(room))
        end
        if current.step() then
            current = nil
            table.remove(rooms)
        elseif current.failed then
            running[deletion] = nil
            beginOutage()
            return true
        end
        return false
    end)
end

function startCleaning(bindingPattern0_, key)
    local last
    local username
    username = bindingPattern0_.username
    last = bindingPattern0_.last
    local cleaning
    local own = {
        store = store,
        key = key,
        label = nil,
        isOrdered = true,
        mayRead = function(label)
            local number, privateTo = parseLabel(label)
            return privateTo == username and number <= last
        end
    }
    local function read()
        return startReading({own}, {wants = function() return true end, reverse = false, max = math.huge})
    end
    local reading = read()
    local items = {}
    local isComplete = false
    local function step()
        local item = table.remove(items)
        if item ~= nil then
            cleaning.failed = not deleteMessages(store, key, {key = item.id})
            return false
        end
        if isComplete then
            return true
        end
        if reading.step() then
            cleaning.failed = reading.failed
            local page = reading.page
            items = page and page.items or {}
            local temp_8 = #items == 0
            if not temp_8 then
                local opt_6 = reading.page
                temp_8 = (opt_6 and opt_6.complete) == true
            end
            isComplete = temp_8
            reading = read()
        end
        return false
    end
    cleaning = {step = step, failed = false}
    return cleaning
end

isIncomplete = false
isRunning = false

--- Deletes expired messages, and the logs of rooms that no account has ranges for. If storage fails, repeats it later.
function archive_expire.expire()
    saveDelivered()
    local usernames = usersWithDeliveries()
    local keys = listMessages(store)
    isIncomplete = usernames == nil or keys == nil
    if usernames == nil or keys == nil then
        return
    end
    isRunning = true
    failed = nil
    noteRunning()
    local before = expiryTime()
    local expiry = {keys = keys, wanted = {}, oldest = {}, isComplete = true}
    local opened = watchLogs()
    local function pruneAll()
        forEachInSlices(
            usernames,
            function(username)
                expiry.isComplete = pruneAccount(username, expiry.oldest, expiry.wanted) and expiry.isComplete
            end,
            function()
                deleteUnused(expiry, opened)
            end
        )
    end
    forEachInSlices(
        before > 0 and keys or {},
        function(key)
            remove(key, {["end"] = before}, opened)
        end,
        pruneAll
    )
end

--- Whether a deletion has succeeded, or its log is in use again.
local function isDone(bindingPattern0_)
    local opened
    local query
    local key
    key = bindingPattern0_.key
    query = bindingPattern0_.query
    opened = bindingPattern0_.opened
    for room in pairs(opened) do
        if query == nil and keyOf(room) == key then
            return true
        end
    end
    return deleteMessages(store, key, query)
end

onRetry(function()
    if isRunning and isIncomplete then
        return "failing"
    end
    if failed == nil or isDone(failed) then
        failed = nil
    else
        failed = failed
    end
    return failed == nil and "done" or "failing"
end)
onRecovery(function()
    if isIncomplete then
        archive_expire.expire()
    end
end)
running = {}

--- Deletes the record of an account, and its private entries in slices. If storage fails, continues later.
function archive_expire.deleteOwn(username)
    local deletion = {username = username, rooms = nil, last = newestNumber()}
    deletions[deletion] = true
    startDeletion(deletion)
end

onRetry(function()
    for _, deletion in ipairs(membersOf(deletions)) do
        if running[deletion] == nil then
            startDeletion(deletion)
        end
    end
    return (next(deletions)) == nil and "done" or "failing"
end)
end

-- src/follow/accounts.ts
--
-- Accounts without sessions, deleted accounts, and rooms without an attached session.
local follow_accounts = {}
do
local withdraw, isUnwritten, leaveAll, isDueToShow, PART
local monotonic = state_clock.monotonic
local id = require("util.id")
local endOverdue = occupancy_shown.endOverdue
local showDetached = occupancy_shown.showDetached
local options = minimix_options
local refuseAll = occupancy_refuse.refuseAll
local leave = occupancy_leave.leave
local fork = send_fork.fork
local technicalRemoval = occupancy_replay.technicalRemoval
local forgetRefusals = state_bookmarks.forgetRefusals
local forgetEdits = settings_bookmark_write.forgetEdits
local forgetMarks = state_marks.forgetMarks
local accounts = state_memberships.accounts
local allMemberships = state_memberships.allMemberships
local detachAll = state_memberships.detachAll
local dropMembership = state_memberships.dropMembership
local findAccount = state_memberships.findAccount
local hasAttached = state_memberships.hasAttached
local isDetachedFor = state_memberships.isDetachedFor
local hasSession = state_memberships.hasSession
local idleOf = state_memberships.idleOf
local membershipsOf = state_memberships.membershipsOf
local setPlace = state_memberships.setPlace
local forEachInSlices = slices.forEachInSlices
local inSharedQueue = state_place.inSharedQueue
local forgetAsFormer = send_former.forgetAsFormer
local sendPresence = send_upstream.sendPresence
local closePart = archive_delivered.closePart
local deleteOwn = archive_expire.deleteOwn
local close = state_store.close
local noteEnded = state_store.noteEnded
local save = state_store.save
local takeEnded = state_store.takeEnded

--- Leaves every room and deletes everything about the account. Leaves are sent once and not retried.
function follow_accounts.forgetAccount(username)
    for _, membership in ipairs(membershipsOf(username)) do
        withdraw(membership)
        closePart(membership)
        dropMembership(membership)
    end
    forgetAsFormer(username)
    save(username)
end

function withdraw(membership)
    sendPresence(membership, st.presence({type = "unavailable"}), membership.nick, id.medium())
end

function isUnwritten(account)
    return math.abs(idleOf(account) - account.idleOnDisk) > options.inactiveAfter / PART
end

--- Whether no client has used an account for minimix_inactive_after.
function follow_accounts.isInactive(account)
    return idleOf(account) > options.inactiveAfter
end

function leaveAll(account)
    for _, membership in ipairs(membershipsOf(account.username)) do
        if membership.place.phase ~= "leaving" then
            module:log("info", "%s is unused, leaving %s", account.username, membership.room)
            leave(membership, st.presence({type = "unavailable"}))
        end
    end
end

function isDueToShow(membership)
    local isDetached = isDetachedFor(membership, options.detachedAfter) and not membership.shownDetached
    return isDetached and membership.place.phase == "joined"
end

--- A session has ended. After the last one the account's idle time starts. On an anonymous host the account ends.
function follow_accounts.sessionEnded(username)
    local account = findAccount(username)
    if account == nil or hasSession(username) then
        return
    end
    if options.anonymous then
        follow_accounts.forgetAccount(username)
    else
        account.seen = monotonic()
        if account.idleOnDisk > 0 then
            save(username)
        end
    end
end

--- `user-disabled` and `user-deleted`. Everything about the account is deleted, its archive of rooms too.
function follow_accounts.onAccountEnded(event)
    if event.host == module.host then
        forgetRefusals(event.username)
        forgetMarks(event.username)
        forgetEdits(event.username)
        noteEnded(event.username)
        follow_accounts.forgetAccount(event.username)
        deleteOwn(event.username)
    end
end

--- Leaves the rooms of accounts that have ended before these were known.
function follow_accounts.forgetEnded(usernames)
    for _, username in ipairs(takeEnded(usernames)) do
        follow_accounts.forgetAccount(username)
    end
end

PART = 120

--- Makes unused accounts leave their rooms, so that a bot that joined once does not stay forever.
function follow_accounts.leaveInactive()
    local left = {}
    for _, account in pairs(accounts) do
        left[#left + 1] = account
    end
    forEachInSlices(left, function(account)
        if follow_accounts.isInactive(account) then
            leaveAll(account)
        elseif isUnwritten(account) then
            save(account.username)
        end
    end)
end

--- Shows the rooms that no session is attached, after a delay. After a start, shows them the attached ones.
function follow_accounts.showAllDetached()
    endOverdue()
    local due = {}
    for _, membership in ipairs(allMemberships()) do
        if isDueToShow(membership) then
            due[#due + 1] = membership
        end
    end
    forEachInSlices(due, function(membership)
        if isDueToShow(membership) then
            showDetached(membership)
        end
    end)
end

--- The module is unloaded. Leaves the rooms, because stanzas to the accounts would not be answered any more. Tells the
-- sessions, so that their clients join by themselves. Stored data is kept for a later load.
function follow_accounts.withdrawAll()
    close()
    for _, membership in ipairs(allMemberships()) do
        refuseAll(membership)
        if hasAttached(membership) then
            fork(membership, technicalRemoval(membership))
            detachAll(membership)
        end
        setPlace(membership, inSharedQueue("leaving"))
        withdraw(membership)
    end
end
end

-- src/occupancy/depart.ts
--
-- Sessions that leave a room, or end.
local occupancy_depart = {}
do
local withdrawJoin, follow, detachOrLeave, isLast, detach
local bookmarkLeft = settings_bookmark_write.bookmarkLeft
local fork = send_fork.fork
local sendTo = send_fork.sendTo
local isAutojoin = state_bookmarks.isAutojoin
local detachAll = state_memberships.detachAll
local detachSession = state_memberships.detachSession
local isAttached = state_memberships.isAttached
local isUsed = state_memberships.isUsed
local abandon = state_queue.abandon
local hasPending = state_queue.hasPending
local pendingJoin = state_queue.pendingJoin
local withdraw = state_queue.withdraw
local disownSent = state_sent.disownSent
local sendStanza = occupancy_outgoing.sendStanza
local bounceAll = occupancy_refuse.bounceAll
local ownUnavailable = occupancy_replay.ownUnavailable
local showBest = occupancy_shown.showBest
local leave = occupancy_leave.leave
local leaveIfUnused = occupancy_leave.leaveIfUnused
local rejoin = occupancy_lost.rejoin

function withdrawJoin(membership, session, nick, stanza)
    local place = membership.place
    local isNeeded = isUsed(membership, session) or isAutojoin(membership)
    local isSent = place.phase == "joining" and place.operation.request ~= nil
    local queued = {}
    if isNeeded or not isSent and place.phase ~= "leaving" then
        abandon(membership, session, session)
    else
        queued = withdraw(membership, session)
    end
    sendTo(session, ownUnavailable(membership, stanza.attr.id, nick))
    if isSent and not isNeeded then
        follow(membership, session, queued)
        bookmarkLeft(membership)
        leave(membership, stanza)
    else
        bounceAll(membership, session, queued)
        leaveIfUnused(membership)
    end
end

function follow(membership, session, queued)
    for _, stanza in ipairs(queued) do
        if stanza.name ~= "presence" then
            sendStanza(membership, session, stanza)
        end
    end
end

function detachOrLeave(membership, session, stanza)
    local phase = membership.place.phase
    if phase == "leaving" then
        return
    end
    local leaves = isLast(membership, session) and not isAutojoin(membership)
    if not leaves or phase == "lost" then
        detachSession(membership, session)
        sendTo(session, ownUnavailable(membership, stanza.attr.id))
    end
    if leaves then
        bookmarkLeft(membership)
        leave(membership, stanza)
    else
        showBest(membership)
    end
end

function isLast(membership, session)
    for other in pairs(membership.attached) do
        if other ~= session then
            return false
        end
    end
    return not hasPending(membership, session)
end

function detach(membership, session)
    if not isAttached(membership, session) then
        return false
    end
    detachSession(membership, session)
    showBest(membership)
    leaveIfUnused(membership)
    return true
end

--- Handles a directed `unavailable` (XEP-0045 7.14). Returns false if the session is not attached and has no pending
-- join.
function occupancy_depart.sessionLeaves(membership, session, stanza)
    if isAttached(membership, session) then
        follow(membership, session, withdraw(membership, session))
        detachOrLeave(membership, session, stanza)
        return true
    end
    local request = pendingJoin(membership, session)
    if request == nil then
        return false
    end
    withdrawJoin(membership, session, request.nick, stanza)
    return true
end

--- Detaches a session that has gone offline. Returns whether it was attached or had a pending join.
function occupancy_depart.sessionOffline(membership, session)
    local isPending = pendingJoin(membership, session) ~= nil
    abandon(membership, session, session)
    return detach(membership, session) or isPending
end

--- Detaches a session that has ended. The account stays in the room, which is not told.
function occupancy_depart.sessionGone(membership, session)
    abandon(membership, session)
    disownSent(membership.sent, session)
    detach(membership, session)
end

--- Cancels an unconfirmed leave and rejoins. Sessions that left stay detached.
function occupancy_depart.takeBack(membership)
    fork(membership, ownUnavailable(membership, nil))
    detachAll(membership)
    rejoin(membership)
end
end

-- src/client/presence.ts
--
-- Handles presence from a session to a room (joins, presence updates, nick changes, leaves), and the end of a session.
local client_presence = {}
do
local join, limitReached, mayBeRoom, update, broadcastUnavailable
local sessionEnded = follow_accounts.sessionEnded
local readBookmark = settings_bookmarks.readBookmark
local MUC = namespaces.MUC
local sessionGone = occupancy_depart.sessionGone
local sessionLeaves = occupancy_depart.sessionLeaves
local sessionOffline = occupancy_depart.sessionOffline
local presenceSent = occupancy_joined.presenceSent
local onRequest = occupancy_phases.onRequest
local sendTo = send_fork.sendTo
local dropOutlet = send_outlet.dropOutlet
local ownUnavailable = occupancy_replay.ownUnavailable
local options = minimix_options
local noteOver = state_limits.noteOver
local mayJoin = state_limits.mayJoin
local createMembership = state_memberships.createMembership
local isAttached = state_memberships.isAttached
local membershipOf = state_memberships.membershipOf
local membershipsOf = state_memberships.membershipsOf
local isServed = state_queue.isServed
local newRequest = state_queue.newRequest
local disownRetired = state_sent.disownRetired
local forgetJoined = state_sessions.forgetJoined
local hasJoined = state_sessions.hasJoined
local noteJoined = state_sessions.noteJoined
local mayKeep = state_interned.mayKeep
local forgetIqsOf = state_pending.forgetIqsOf
local disownProbes = state_probes.disownProbes
local passesRules = send_rules.passesRules
local isKnownNow = state_store.isKnownNow
local mayHaveRooms = send_upstream.mayHaveRooms
local queueUntilJoined = client_queue.queueUntilJoined

function join(session, stanza, room, wanted, before)
    if before == nil and not mayBeRoom(session, room) then
        return nil
    end
    local isRead = before ~= nil or isKnownNow(session.username)
    local known = before or membershipOf(session, room)
    local attached = known ~= nil and isAttached(known, session.full_jid) and known.place.phase ~= "leaving"
    local nick = wanted or (attached and known.nick or nil)
    if nick == nil then
        return nil
    end
    if not isRead then
        session.send(st.error_reply(stanza, "wait", "internal-server-error", nil, room))
        return true
    end
    local limit = limitReached(session.username, known)
    if limit ~= nil then
        noteOver(limit, session.username, room)
        session.send(st.error_reply(stanza, "wait", "resource-constraint", nil, room))
        return true
    end
    local membership = known or createMembership(session.username, room, nick)
    if known == nil then
        membership.bookmark = readBookmark(session.username, room)
    end
    noteJoined(session.full_jid, room)
    onRequest(
        membership,
        newRequest("join", session.full_jid, stanza.attr.id, nick, st.clone(stanza))
    )
    return true
end

function limitReached(username, membership)
    if membership == nil and #membershipsOf(username) >= options.maxRooms then
        return "minimix_max_rooms"
    end
    if mayJoin(username) then
        return nil
    else
        return "minimix_join_rate"
    end
end

function mayBeRoom(session, room)
    local contact
    if session.roster ~= nil then
        contact = session.roster[room]
    end
    return mayHaveRooms(jids.host(room)) and (contact == nil or contact.subscription == "none")
end

function update(membership, session, stanza)
    if isServed(membership, session.full_jid) then
        presenceSent(membership, session.full_jid, stanza)
        return true
    end
    return queueUntilJoined(membership, session, stanza)
end

function broadcastUnavailable(session)
    for _, membership in ipairs(membershipsOf(session.username)) do
        if sessionOffline(membership, session.full_jid) and session.destroyed ~= true then
            sendTo(session.full_jid, ownUnavailable(membership, nil))
        end
    end
end

--- `pre-presence/full` and `pre-presence/bare`.
function client_presence.onPresence(event)
    local session = event.origin
    local stanza = event.stanza
    local to = stanza.attr.to
    local type_ = stanza.attr.type
    if passesRules(session) then
        return true
    end
    if to == nil then
        if type_ == "unavailable" then
            broadcastUnavailable(session)
        end
        return nil
    end
    local room = jids.bare(to)
    if type_ == "error" then
        if hasJoined(session.full_jid, room) then
            return true
        else
            return nil
        end
    end
    local membership = membershipOf(session, room)
    if type_ == nil and (membership ~= nil or stanza:get_child("x", MUC) ~= nil) and not mayKeep(stanza) then
        noteOver("minimix_max_cached_size", session.username, room)
        session.send(st.error_reply(stanza, "modify", "policy-violation", "The presence is too big", room))
        return true
    end
    if type_ == nil and stanza:get_child("x", MUC) ~= nil then
        return join(session, stanza, room, jids.resource(to), membership)
    end
    if membership == nil then
        return nil
    end
    if type_ == "unavailable" then
        if sessionLeaves(membership, session.full_jid, st.clone(stanza)) then
            return true
        else
            return nil
        end
    end
    if type_ == nil or type_ == "probe" then
        return update(membership, session, stanza)
    else
        return nil
    end
end

--- `resource-unbind`: the session has ended. The account stays in its rooms, which are not told.
function client_presence.onSessionGone(event)
    local session = event.session
    for _, membership in ipairs(membershipsOf(session.username)) do
        sessionGone(membership, session.full_jid)
    end
    dropOutlet(session.full_jid)
    disownRetired(session.full_jid)
    forgetIqsOf(session.full_jid)
    disownProbes(session.full_jid)
    forgetJoined(session.full_jid)
    sessionEnded(session.username)
    return nil
end
end

-- src/follow/autojoin.ts
--
-- Follows the account's bookmarks (XEP-0402). Rooms with autojoin are joined without a client, and a changed bookmark
-- changes the membership.
local follow_autojoin = {}
do
local onPublished, onRetracted, removed, bookmarkOf, onEmptied, isUsersDoing, bookmarkChanged, stay, membershipFor, update, switchedOn, followNick, switchedOff, followLater, follow, queue, UNREAD_PAUSE, unread, early
local takeBack = occupancy_depart.takeBack
local monotonic = state_clock.monotonic
local requestNick = occupancy_nick.requestNick
local BOOKMARKS = namespaces.BOOKMARKS
local isUnheard = occupancy_operations.isUnheard
local leaveIfUnused = occupancy_leave.leaveIfUnused
local options = minimix_options
local forgetRefusals = state_bookmarks.forgetRefusals
local isRefused = state_bookmarks.isRefused
local isSameBookmark = state_bookmarks.isSameBookmark
local isToJoin = state_bookmarks.isToJoin
local mayFollowNick = state_bookmarks.mayFollowNick
local membersOf = state_keys.membersOf
local noteOver = state_limits.noteOver
local createMembership = state_memberships.createMembership
local findAccount = state_memberships.findAccount
local findMembership = state_memberships.findMembership
local hasSession = state_memberships.hasSession
local isCurrent = state_memberships.isCurrent
local membershipsOf = state_memberships.membershipsOf
local occupantJid = state_memberships.occupantJid
local isInactive = follow_accounts.isInactive
local isBlocked = settings_blocklist.isBlocked
local readBlocklist = settings_blocklist.readBlocklist
local isOurs = settings_bookmark_write.isOurs
local isWriting = settings_bookmark_write.isWriting
local noteMade = settings_bookmark_write.noteMade
local noteRemoved = settings_bookmark_write.noteRemoved
local bookmarksOf = settings_bookmarks.bookmarksOf
local defaultNick = settings_bookmarks.defaultNick
local hasPep = settings_bookmarks.hasPep
local isBy = settings_bookmarks.isBy
local readItem = settings_bookmarks.readItem
local roomOf = settings_bookmarks.roomOf
local addPaced = occupancy_pace.addPaced
local newPacedQueue = occupancy_pace.newPacedQueue
local isKnown = state_store.isKnown
local save = state_store.save
local forEachInSlices = slices.forEachInSlices
local comeSoon = occupancy_watch.comeSoon

function onPublished(event)
    local username = event.service.config.pep_username
    local room = roomOf(event.id)
    if room ~= nil and isUsersDoing(event) then
        noteMade(username, room)
        bookmarkChanged(username, room, bookmarkOf(username, room, readItem(username, room, event.item)))
    end
end

function onRetracted(event)
    local username = event.service.config.pep_username
    local room = roomOf(event.id)
    if room ~= nil and isUsersDoing(event) then
        removed(username, room)
    end
end

function removed(username, room)
    local bookmark = bookmarkOf(username, room, nil)
    if bookmark == nil then
        noteRemoved(username, room)
    end
    bookmarkChanged(username, room, bookmark)
end

function bookmarkOf(username, room, changed)
    local bookmarks = bookmarksOf(username, room)
    if bookmarks == nil then
        return changed
    else
        return bookmarks[room]
    end
end

function onEmptied(event)
    local username = event.service.config.pep_username
    if isUsersDoing(event) then
        if forgetRefusals(username) then
            save(username)
        end
        forEachInSlices(membershipsOf(username), function(membership)
            if membership.bookmark ~= nil and isCurrent(membership) then
                removed(username, membership.room)
            end
        end)
    end
end

function isUsersDoing(event)
    return event.node == BOOKMARKS and not isWriting() and isBy(event.service.config.pep_username, event.actor)
end

function bookmarkChanged(username, room, bookmark)
    local membership = findMembership(occupantJid(username), room)
    if not isKnown(username) then
        early[username] = true
        return
    end
    if membership == nil and not (readBlocklist(username)) then
        followLater(username)
        return
    end
    if membership == nil then
        local fresh = membershipFor(username, room, bookmark, #membershipsOf(username))
        if fresh ~= nil then
            save(username)
            comeSoon({fresh})
        end
        return
    end
    local wasOwn = membership.ownBookmark
    membership.ownBookmark = nil
    if update(membership, bookmark) or wasOwn then
        save(username)
    end
    stay(membership)
end

function stay(membership)
    local isTakenBack = membership.place.phase == "leaving" and isToJoin(membership)
    if isTakenBack and not isUnheard(membership) then
        takeBack(membership)
    end
end

function membershipFor(username, room, bookmark, count)
    if not (bookmark and bookmark.autojoin) then
        if forgetRefusals(username, room) then
            save(username)
        end
        return nil
    end
    local nick = bookmark.nick or defaultNick(username, room)
    if not options.autojoin or isRefused(username, room, bookmark) or isBlocked(username, room, nick) then
        return nil
    end
    if count >= options.maxRooms then
        noteOver("minimix_max_rooms", username, room)
        return nil
    end
    local membership = createMembership(username, room, nick)
    membership.password = bookmark.password
    membership.bookmark = bookmark
    membership.ownBookmark = isOurs(username, room) or nil
    membership.detachedAt = monotonic()
    return membership
end

function update(membership, bookmark)
    local before = membership.bookmark
    if isSameBookmark(before, bookmark) then
        return false
    end
    membership.bookmark = bookmark
    if bookmark and bookmark.autojoin then
        switchedOn(membership, before, bookmark)
    elseif bookmark == nil or before and before.autojoin then
        switchedOff(membership)
    end
    return true
end

function switchedOn(membership, before, bookmark)
    membership.ending = nil
    if before ~= nil and bookmark.password ~= nil and bookmark.password ~= before.password then
        membership.password = bookmark.password
    end
    if before ~= nil and bookmark.nick ~= nil and bookmark.nick ~= before.nick then
        followNick(membership, bookmark.nick)
    end
end

function followNick(membership, nick)
    if nick == membership.nick or not mayFollowNick(membership) then
        return
    end
    if membership.place.phase == "joined" or membership.place.phase == "entering" then
        requestNick(membership, nick)
        return
    end
    membership.wantedNick = nick
    if membership.place.phase == "lost" then
        membership.nick = nick
    end
end

function switchedOff(membership)
    membership.ownBookmark = nil
    if membership.place.phase ~= "leaving" then
        membership.ending = true
        leaveIfUnused(membership)
    end
end

function followLater(username)
    if not hasPep() or unread[username] ~= nil then
        return
    end
    if (next(unread)) == nil then
        module:add_timer(UNREAD_PAUSE, function()
            local usernames = membersOf(unread)
            for _, other in ipairs(usernames) do
                unread[other] = nil
            end
            addPaced(queue, usernames)
            return nil
        end)
    end
    unread[username] = true
end

function follow(username)
    if not isKnown(username) then
        early[username] = true
        return {}
    end
    local bookmarks
    if (readBlocklist(username)) then
        bookmarks = bookmarksOf(username)
    end
    if bookmarks == nil then
        followLater(username)
        return {}
    end
    local changed = false
    for _, membership in ipairs(membershipsOf(username)) do
        changed = update(membership, bookmarks[membership.room]) or changed
        stay(membership)
    end
    local fresh = {}
    local before = #membershipsOf(username)
    for room, bookmark in pairs(bookmarks) do
        if findMembership(occupantJid(username), room) == nil then
            local membership = membershipFor(username, room, bookmark, before + #fresh)
            if membership ~= nil then
                fresh[#fresh + 1] = membership
            end
        end
    end
    if changed or #fresh > 0 then
        save(username)
    end
    return fresh
end

--- `item-added/pep-service`: mod_pep creates an account's service at its first use.
function follow_autojoin.onService(event)
    local events = event.item.service.events
    module:hook_object_event(events, "item-published/" .. BOOKMARKS, onPublished, -1)
    module:hook_object_event(events, "item-retracted", onRetracted, -1)
    module:hook_object_event(events, "node-purged", onEmptied, -1)
    module:hook_object_event(events, "node-deleted", onEmptied, -1)
end

--- `item-removed/pep-service`: mod_pep drops the service, and creates another when it is needed.
function follow_autojoin.onServiceGone(event)
    local events = event.item.service.events
    module:unhook_object_event(events, "item-published/" .. BOOKMARKS, onPublished)
    module:unhook_object_event(events, "item-retracted", onRetracted)
    module:unhook_object_event(events, "node-purged", onEmptied)
    module:unhook_object_event(events, "node-deleted", onEmptied)
end

--- Seconds for clients to join first, because a room sends history to the session that joins.
local GRACE = 5

--- `resource-bind`, after mod_bookmarks (0) has converted bookmarks of older forms.
function follow_autojoin.onLogin(event)
    local fresh = follow(event.session.username)
    if #fresh > 0 then
        module:add_timer(GRACE, function()
            comeSoon(fresh)
            return nil
        end)
    end
end

queue = newPacedQueue(function(username)
    comeSoon(follow(username))
end)

--- Follows the bookmarks of accounts that are in rooms. Other accounts follow when they log in: many have no bookmarks,
-- or have not been used for years. Accounts that logged in before storage was read follow here.
function follow_autojoin.followAll(usernames)
    local wanted = {}
    for _, username in ipairs(usernames) do
        local account = findAccount(username)
        local temp_7
        if account == nil then
            temp_7 = hasSession(username)
        else
            temp_7 = not isInactive(account)
        end
        if temp_7 then
            wanted[#wanted + 1] = username
        end
    end
    for username in pairs(early) do
        early[username] = nil
        wanted[#wanted + 1] = username
    end
    addPaced(queue, wanted)
end

UNREAD_PAUSE = 20
unread = {}
--- Accounts that logged in before their rooms were known.
early = {}
end

-- src/follow/blocking.ts
--
-- Handles the account's block list (XEP-0191). mod_blocklist drops all stanzas of a blocked room before this module. So
-- the account must leave a blocked room: no session sees the room, and no client could make the account leave. The same
-- applies if the account's own nick is blocked.
local follow_blocking = {}
do
local forgetBlocked, jidsIn
local leaveUnheard = occupancy_leave.leaveUnheard
local splitOccupant = minimix_stanzas.splitOccupant
local findMembership = state_memberships.findMembership
local membershipsOf = state_memberships.membershipsOf
local isBlocked = settings_blocklist.isBlocked
local silences = settings_blocklist.silences
local save = state_store.save
local forgetOccupant = state_occupants.forgetOccupant
local outdate = state_view.outdate

function forgetBlocked(membership, blocked)
    for jid in pairs(blocked) do
        local room, nick = splitOccupant(jid)
        if room == membership.room and nick ~= nil then
            forgetOccupant(membership.view, nick)
            if nick == membership.wantedNick then
                membership.wantedNick = membership.nick
                save(membership.username)
            end
        end
    end
end

function jidsIn(iq)
    local found = {}
    local list = iq.tags[1]
    for _, item in ipairs(list == nil and {} or list.tags) do
        local jid = jids.prep(item.attr.jid or "")
        if jid == nil then
            return {}
        end
        found[jid] = true
    end
    return found
end

--- `iq-set/self/urn:xmpp:blocking:block`, before mod_blocklist, so that answers of local rooms still arrive.
function follow_blocking.onBlock(event)
    local blocked = jidsIn(event.stanza)
    for _, membership in ipairs(membershipsOf(event.origin.username)) do
        if silences(blocked, membership.room, membership.nick) then
            module:log("info", "%s has blocked %s, leaving", membership.username, membership.room)
            leaveUnheard(membership)
        else
            forgetBlocked(membership, blocked)
        end
    end
end

--- `iq-set/self/urn:xmpp:blocking:unblock`: the cache lacks the occupants that were blocked. The room itself answers the
-- next join.
function follow_blocking.onUnblock(event)
    local unblocked = jidsIn(event.stanza)
    local all = (next(unblocked)) == nil
    for _, membership in ipairs(membershipsOf(event.origin.username)) do
        for jid in pairs(unblocked) do
            if (splitOccupant(jid)) == membership.room then
                outdate(membership.view)
            end
        end
        if all then
            outdate(membership.view)
        end
    end
end

--- `message/bare` or `message/full`, before mod_blocklist (100). mod_blocklist may answer a private message with an
-- error, and services remove occupants for that (XEP-0045 18.1.2).
function follow_blocking.onPrivateMessage(event)
    local attr = event.stanza.attr
    if attr.type == "groupchat" or attr.type == "error" then
        return nil
    end
    local from = attr.from
    local to = attr.to
    if from == nil or to == nil then
        return nil
    end
    local room, nick = splitOccupant(from)
    local membership = findMembership(to, room)
    if membership == nil or nick == nil or not isBlocked(membership.username, room, nick) then
        return nil
    end
    return true
end
end

-- src/push/mention.ts
--
-- Tells which messages mention the account.
local push_mention = {}
do
local isEncrypted, isReply, isReferred, isAccount, jidOf, hasWord, find, isLetter, EME, OMEMO, REFERENCE, REPLY

function isEncrypted(stanza)
    return stanza:get_child("encryption", EME) ~= nil or stanza:get_child("encrypted", OMEMO) ~= nil
end

function isReply(membership, stanza)
    local reply = stanza:get_child("reply", REPLY)
    return reply ~= nil and isAccount(membership, reply.attr.to or "")
end

function isReferred(membership, stanza)
    for _, tag in ipairs(stanza.tags) do
        local uri
        if tag.name == "reference" and tag.attr.xmlns == REFERENCE then
            uri = tag.attr.uri
        end
        if uri ~= nil and tag.attr.type == "mention" and isAccount(membership, jidOf(uri)) then
            return true
        end
    end
    return false
end

function isAccount(membership, jid)
    return jid == membership.room .. "/" .. membership.nick or jids.bare(jid) == jids.bare(membership.occupant)
end

function jidOf(uri)
    local path = string.match(uri, "^xmpp:([^?#]*)")
    local jid = string.gsub(path or "", "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16) or 0) end)
    return jid
end

function hasWord(body, nick)
    local text = string.lower(body)
    local word = string.lower(nick)
    local at = find(text, word, 1)
    while at ~= nil do
        if not isLetter(text, at - 1) and not isLetter(text, at + string.len(word)) then
            return true
        end
        at = find(text, word, at + 1)
    end
    return false
end

function find(text, word, from)
    local at = string.find(text, word, from, true)
    return at
end

function isLetter(text, at)
    local letter = string.sub(text, at, at)
    return at > 0 and letter ~= "" and (string.byte(letter) >= 128 or (string.match(letter, "%w")) ~= nil)
end

EME = "urn:xmpp:eme:0"
OMEMO = "eu.siacs.conversations.axolotl"
REFERENCE = "urn:xmpp:reference:0"
REPLY = "urn:xmpp:reply:0"

--- Whether a stanza has content for a person. Subjects, markers and reactions do not trigger a push.
function push_mention.isNotable(stanza)
    return stanza.name == "message" and (isEncrypted(stanza) or (stanza:get_child_text("body") or "") ~= "")
end

--- Whether a message mentions the account: by nick, by reference (XEP-0372), or as a reply (XEP-0461). An encrypted
-- message may mention it.
function push_mention.isMention(membership, stanza)
    return isEncrypted(stanza) or isReply(membership, stanza) or isReferred(membership, stanza) or hasWord(stanza:get_child_text("body") or "", membership.nick)
end
end

-- src/push/privacy.ts
--
-- Tells whether a room is private: members only and not listed (XEP-0045 15.3). The room is asked when this matters,
-- once for all accounts of this host.
local push_privacy = {}
do
local describesPrivate, hasFeature, DISCO_INFO
local ask = send_ask.ask

function describesPrivate(answer)
    local query = answer:get_child("query", DISCO_INFO)
    return query ~= nil and hasFeature(query, "muc_membersonly") and hasFeature(query, "muc_hidden")
end

function hasFeature(query, name)
    return query:get_child_with_attr("feature", nil, "var", name) ~= nil
end

DISCO_INFO = "http://jabber.org/protocol/disco#info"
--- Number of rooms to remember.
local ROOMS = 10000
--- Largest number of messages that wait for one room's answer. Each offline account adds one for each message.
local WAITING = 1000
local known = cache.new(ROOMS)
--- Callbacks that wait for an answer, by room.
local callbacks = {}

--- Whether the room is private. Undefined until the room has answered.
function push_privacy.knownPrivate(room)
    return known:get(room)
end

--- Calls back once the room has told whether it is private. A room without an answer counts as public.
function push_privacy.whetherPrivate(membership, told)
    local room = membership.room
    local waiting = callbacks[room]
    if waiting ~= nil and #waiting >= WAITING then
        told(false)
        return
    end
    if waiting ~= nil then
        waiting[#waiting + 1] = told
        return
    end
    callbacks[room] = {told}
    ask(membership, room, "get", st.stanza("query", {xmlns = DISCO_INFO}), function(answer)
        local isPrivate = answer ~= nil and describesPrivate(answer)
        known:set(room, isPrivate)
        local all = callbacks[room] or {}
        callbacks[room] = nil
        for _, tell in ipairs(all) do
            tell(isPrivate)
        end
    end)
end

--- Asks again next time: the configuration of the room has changed.
function push_privacy.forgetPrivacy(room)
    known:set(room, nil)
end
end

-- src/push/push.ts
--
-- Push notifications for messages of rooms. mod_cloud_notify (XEP-0357) reacts to events of an archive and of
-- mod_message. This file fires them, and stops notifications that the user does not want (XEP-0492).
local push_push = {}
do
local isOfRoom, isOwn, wantsPush, wakeIfPrivate, wake, fire
local hasModule = minimix_host.hasModule
local options = minimix_options
local findMembership = state_memberships.findMembership
local occupantJid = state_memberships.occupantJid
local delayBy = minimix_stanzas.delayBy
local isMention = push_mention.isMention
local isNotable = push_mention.isNotable
local knownPrivate = push_privacy.knownPrivate
local whetherPrivate = push_privacy.whetherPrivate

function isOfRoom(stanza)
    return stanza.name == "presence" or stanza.name == "message" and stanza.attr.type == "groupchat"
end

function isOwn(membership, stanza)
    return jids.resource(stanza.attr.from or "") == membership.nick
end

function wantsPush(membership, stanza)
    local bookmark = membership.bookmark
    local setting = bookmark and bookmark.notify
    if setting == "always" or setting == "never" then
        return setting == "always"
    end
    if isMention(membership, stanza) then
        return true
    end
    if setting == "on-mention" then
        return false
    else
        return knownPrivate(membership.room)
    end
end

function wakeIfPrivate(membership, stanza)
    local username = membership.username
    local copy = st.clone(stanza)
    whetherPrivate(membership, function(isPrivate)
        if isPrivate then
            wake(username, copy)
        end
    end)
end

function wake(username, stanza)
    local origin = prosody.hosts[module.host]
    local sessions = origin and origin.sessions
    local isOnline = sessions and sessions[username] ~= nil
    if not isOnline then
        fire("message/bare/groupchat", {origin = origin, stanza = stanza})
    elseif options.archive ~= "mam" or not hasModule("mam") then
        fire("archive-message-added", {origin = origin, stanza = stanza, for_user = username})
    end
end

function fire(name, event)
    local ok, problem = xpcall(function() return module:fire_event(name, event) end, debug.traceback, nil)
    if not ok then
        module:log("error", "A module failed on %s: %s", name, problem)
    end
end

--- Whether a message may trigger a push: it is live, and has content for a person.
function push_push.isWorthWaking(stanza, room)
    return hasModule("cloud_notify") and delayBy(stanza, room) == nil and isNotable(stanza)
end

--- Sends a push for a message to the account's offline devices, if the notification setting asks for it.
function push_push.notify(membership, stanza)
    if isOwn(membership, stanza) then
        return
    end
    local wanted = wantsPush(membership, stanza)
    if wanted == true then
        wake(membership.username, stanza)
    elseif wanted == nil then
        wakeIfPrivate(membership, stanza)
    end
end

--- `cloud_notify/push`: stops pushes against the notification setting, also those of mod_cloud_notify for a hibernating
-- session.
function push_push.onPush(event)
    local stanza = event.original_stanza
    local from = stanza and stanza.attr.from
    if stanza == nil or from == nil or not isOfRoom(stanza) then
        return nil
    end
    local membership = findMembership(occupantJid(event.username), jids.bare(from))
    if membership == nil then
        return nil
    end
    if isNotable(stanza) and not isOwn(membership, stanza) and wantsPush(membership, stanza) ~= false then
        return nil
    end
    event.reason = "notification setting of this room"
    return true
end
end

-- src/occupancy/former.ts
--
-- Memberships under a former address. They leave there, and join again under the present address (O5).
local occupancy_former = {}
do
local fork = send_fork.fork
local leaveOnce = send_former.leaveOnce
local occupantJid = state_memberships.occupantJid
local save = state_store.save
local addPaced = occupancy_pace.addPaced
local newPacedQueue = occupancy_pace.newPacedQueue
local refuseAll = occupancy_refuse.refuseAll
local ownUnavailable = occupancy_replay.ownUnavailable
local over = occupancy_leave.over
local lost = occupancy_lost.lost
local queue = newPacedQueue(leaveOnce)

--- Leaves rooms under former addresses, at a limited rate. A join of the account there does not wait for this.
function occupancy_former.leaveFormerAddresses(formers)
    if #formers > 0 then
        module:log("info", "minimix_resource has changed: leaving %d rooms under former addresses", #formers)
        addPaced(queue, formers)
    end
end

--- Whether a membership from before a reload uses a former address.
function occupancy_former.hasMoved(membership)
    return membership.occupant ~= occupantJid(membership.username)
end

--- Moves a membership to the present address, under which it is not in the room yet.
function occupancy_former.move(membership)
    membership.occupant = occupantJid(membership.username)
    save(membership.username)
    refuseAll(membership)
    if membership.established and membership.place.phase ~= "leaving" then
        lost(membership)
    else
        fork(membership, ownUnavailable(membership, nil))
        over(membership)
    end
end
end

-- src/occupancy/components.ts
--
-- Watches components of this server that are connected by a stream (XEP-0114). Their rooms end with the stream.
local occupancy_components = {}
do
local watchComponent
local inTurn = minimix_turn.inTurn
local hostBack = occupancy_watch.hostBack
local hostGone = occupancy_watch.hostGone

function watchComponent(name)
    local host = prosody.hosts[name]
    if (host and host.type) ~= "component" then
        return
    end
    local events = host.events
    local function onGone()
        inTurn(function()
            hostGone(name)
        end)
        return nil
    end
    local function onBack()
        inTurn(function()
            hostBack(name)
        end)
        return nil
    end
    module:hook_object_event(events, "component-disconnected", onGone, 1)
    module:hook_object_event(events, "component-authenticated", onBack, 1)
end

--- Watches existing components, and those that are added later.
function occupancy_components.watchComponents()
    for host in pairs(prosody.hosts) do
        watchComponent(host)
    end
    module:hook_global("host-activated", function(host)
        watchComponent(host)
        return nil
    end)
end
end

-- src/occupancy/resume.ts
--
-- Resumes memberships after a reload. The timers of the previous instance have ended, and its pending answers are lost.
local occupancy_resume = {}
do
local resume, resumeJoined, resumeJoin, awaitLeave, SPREAD
local closeGap = archive_catchup.closeGap
local options = minimix_options
local allMemberships = state_memberships.allMemberships
local hasAttached = state_memberships.hasAttached
local queueOf = state_memberships.queueOf
local setPlace = state_memberships.setPlace
local inSharedQueue = state_place.inSharedQueue
local hasMoved = occupancy_former.hasMoved
local move = occupancy_former.move
local awaitSubject = occupancy_joining.awaitSubject
local proceed = occupancy_joined.proceed
local renameOverdue = occupancy_joined.renameOverdue
local resumeResync = occupancy_joined.resumeResync
local newLeave = occupancy_operations.newLeave
local RENAME_TIMEOUT = occupancy_operations.RENAME_TIMEOUT
local limitJoin = occupancy_enter.limitJoin
local waitForTurn = occupancy_enter.waitForTurn
local leaveUnanswered = occupancy_leave.leaveUnanswered
local retryLeave = occupancy_leave.retryLeave
local kickOf = occupancy_lost.kickOf
local lost = occupancy_lost.lost
local rejoin = occupancy_lost.rejoin
local checkAfter = occupancy_watch.checkAfter
local after = minimix_turn.after

function resume(membership)
    local place = membership.place
    if place.phase == "lost" then
        membership.place = inSharedQueue("lost", place.tries)
        rejoin(membership)
    elseif place.phase == "leaving" then
        if hasAttached(membership) then
            awaitLeave(membership, place)
        else
            retryLeave(membership)
        end
    elseif place.phase == "joining" and (place.operation.request ~= nil or kickOf(place) ~= nil) then
        resumeJoin(membership, place)
    elseif place.phase == "entering" and not place.operation.isReturn then
        awaitSubject(membership, place)
    elseif place.phase == "joined" then
        resumeJoined(membership, place)
    else
        lost(membership)
    end
end

function resumeJoined(membership, before)
    local operation = before.operation
    local place = {
        phase = "joined",
        tries = 0,
        since = before.since,
        afterLeave = before.afterLeave,
        operation = operation,
        late = before.late
    }
    setPlace(membership, place)
    if before.liveness ~= nil then
        local liveness = before.liveness
        local unanswered = liveness.unanswered
        local waiting = liveness.waiting
        place.liveness = {unanswered = unanswered, waiting = waiting}
        checkAfter(membership, place, math.random() * SPREAD, true)
    end
    if membership.catchUp ~= nil then
        closeGap(membership)
    end
    if (operation and operation.kind) == "rename" then
        operation.timer = after(RENAME_TIMEOUT, function()
            renameOverdue(membership, place, operation)
        end)
    elseif operation ~= nil then
        resumeResync(membership, place, operation)
    elseif #queueOf(membership) > 0 or membership.shownPresence ~= nil then
        proceed(membership)
    end
end

function resumeJoin(membership, place)
    place.turn = nil
    for _, join in ipairs(place.earlier) do
        limitJoin(membership, join)
    end
    limitJoin(membership, place.operation)
    waitForTurn(membership)
end

function awaitLeave(membership, bindingPattern0_)
    local wasIn
    local tries
    tries = bindingPattern0_.tries
    wasIn = bindingPattern0_.wasIn
    local operation = newLeave(membership, options.answerTimeout, leaveUnanswered)
    setPlace(membership, {phase = "leaving", tries = tries, operation = operation, wasIn = wasIn})
end

SPREAD = 5

--- Resumes all memberships. If the previous instance waited for an answer, the room is asked again.
function occupancy_resume.resumeAll()
    for _, membership in ipairs(allMemberships()) do
        if hasMoved(membership) then
            move(membership)
        else
            resume(membership)
        end
    end
end
end

-- src/client/resource.ts
local client_resource = {}
do
local resource = minimix_options.resource

--- `pre-resource-bind`: gives a client a random resource if it asks for the account's resource in rooms.
function client_resource.onResourceBind(event)
    if event.resource == resource then
        event.resource = nil
    end
end
end

-- src/room/iq.ts
--
-- Handles IQs from a room or its occupants to the account.
local room_iq = {}
do
local onAnswer, onRequest, passToAccount
local isOwnId = send_ask.isOwnId
local takeAnswer = send_ask.takeAnswer
local PING = namespaces.PING
local PUBSUB = namespaces.PUBSUB
local VCARD = namespaces.VCARD
local findMembership = state_memberships.findMembership
local takeIq = state_pending.takeIq
local sendTo = send_fork.sendTo

function onAnswer(room, stanza)
    if takeAnswer(room, stanza) then
        return true
    end
    local pending
    if stanza.attr.id ~= nil then
        pending = takeIq(stanza.attr.id, room)
    end
    if pending == nil then
        if isOwnId(stanza.attr.id) then
            return true
        else
            return nil
        end
    end
    local answer = st.clone(stanza)
    answer.attr.id = pending.request.attr.id
    sendTo(pending.session, answer)
    return true
end

function onRequest(membership, event)
    local stanza = event.stanza
    local query = stanza.tags[1]
    if query == nil then
        event.origin.send(st.error_reply(stanza, "modify", "bad-request"))
        return true
    end
    if query.attr.xmlns == VCARD or query.attr.xmlns == PUBSUB then
        return passToAccount(membership, stanza)
    end
    if query.attr.xmlns == PING then
        event.origin.send(st.reply(stanza))
        return true
    end
    local session = membership.shown
    if session == nil or membership.attached[session] == nil then
        return nil
    end
    sendTo(session, stanza)
    return true
end

function passToAccount(membership, stanza)
    local account = jids.bare(membership.occupant)
    if stanza.attr.to == account then
        return nil
    end
    local copy = st.clone(stanza)
    copy.attr.to = account
    module:send(copy)
    return true
end

--- `iq/bare` or `iq/full`, depending on the form of the occupant JID.
function room_iq.onIq(event)
    local stanza = event.stanza
    local from = stanza.attr.from
    local to = stanza.attr.to
    if from == nil or to == nil then
        return nil
    end
    local room = jids.bare(from)
    local membership = findMembership(to, room)
    local type_ = stanza.attr.type
    if type_ == "result" or type_ == "error" then
        if stanza.attr.id == nil then
            return true
        else
            return onAnswer(room, stanza)
        end
    end
    if membership == nil then
        return nil
    end
    local isRequest = (type_ == "get" or type_ == "set") and stanza.attr.id ~= nil
    if isRequest then
        return onRequest(membership, event)
    else
        return true
    end
end
end

-- src/room/firewall.ts
--
-- O6: with mod_firewall, a room's stanza to the occupant JID is one to the address of a session, as without this module.
local room_firewall = {}
do
local hasModule = minimix_host.hasModule
local options = minimix_options
local findMembership = state_memberships.findMembership
--- Stands for the account's sessions. It accepts no stanza, so that other modules treat it as a session that is gone.
local standIn = {send = function() return false end}

--- mod_firewall's condition "TO FULL JID?" looks for a session (conditions.lib.lua). Its script against spam rejects
-- messages to an address without one, such as changes of affiliation and requests for voice.
local function asToSession(fire, name, event)
    local sessions = prosody.full_sessions
    local from = event.stanza.attr.from
    local to = event.stanza.attr.to
    local isKnown = from == nil or to == nil or sessions[to] ~= nil
    if isKnown or findMembership(to, jids.bare(from)) == nil then
        return fire(name, event)
    end
    sessions[to] = standIn
    local ok, result = xpcall(function(passed) return fire(name, passed) end, debug.traceback, event)
    sessions[to] = nil
    if ok then
        return result
    else
        return error(result, 0)
    end
end

--- Applies to all stanzas to the occupant JID, if mod_firewall is loaded.
function room_firewall.passFirewall()
    if options.resource ~= nil and hasModule("firewall") then
        module:wrap_event("message/full", asToSession)
        module:wrap_event("presence/full", asToSession)
        module:wrap_event("iq/full", asToSession)
    end
end
end

-- src/room/former.ts
--
-- Drops stanzas of rooms to addresses that accounts no longer use (state/former.ts). mod_presence would deliver
-- presence to all sessions, and mod_message would answer groupchat with an error.
local room_former = {}
do
local isNickChange, formerOf
local MUC_USER = namespaces.MUC_USER
local takeAnswer = send_ask.takeAnswer
local confirmLeft = send_former.confirmLeft
local findFormerOccupant = state_former.findFormerOccupant
local splitOccupant = minimix_stanzas.splitOccupant

function isNickChange(stanza)
    local x = stanza:get_child("x", MUC_USER)
    return (x and x:get_child_with_attr("status", nil, "code", "303")) ~= nil
end

function formerOf(stanza)
    local room = splitOccupant(stanza.attr.from or "")
    return findFormerOccupant(stanza.attr.to or "", room)
end

--- `presence/bare` and `presence/full`.
function room_former.onFormerPresence(event)
    local stanza = event.stanza
    local type_ = stanza.attr.type
    local former = formerOf(stanza)
    if former == nil or type_ ~= nil and type_ ~= "unavailable" and type_ ~= "error" then
        return nil
    end
    local _, nick = splitOccupant(stanza.attr.from or "")
    if type_ == "unavailable" and nick == former.nick and not isNickChange(stanza) then
        confirmLeft(former)
    end
    return true
end

--- `message/bare` and `message/full`. Invitations and private messages still go to the account.
function room_former.onFormerMessage(event)
    local type_ = event.stanza.attr.type
    if (type_ == "groupchat" or type_ == "error") and formerOf(event.stanza) ~= nil then
        return true
    else
        return nil
    end
end

--- `iq/bare` and `iq/full`: answers to self-pings from the former address.
function room_former.onFormerIq(event)
    local stanza = event.stanza
    local isAnswer = stanza.attr.type == "result" or stanza.attr.type == "error"
    if isAnswer and takeAnswer(jids.bare(stanza.attr.from or ""), stanza) then
        return true
    else
        return nil
    end
end
end

-- src/room/copies.ts
--
-- Drops copies of groupchat messages to bare JIDs. mod_muc_offline_delivery, for example, sends them to members with a
-- reserved nick outside of the room. If the occupant JID is the bare JID, a copy looks like the message itself.
local room_copies = {}
do
local monotonic = state_clock.monotonic
--- Number of recent messages to remember, and for how many seconds. A copy follows at once.
local KEPT = 8
local SECONDS = 5
--- The last messages by membership, oldest first.
local latest = setmetatable({}, {__mode = "k"})

--- Whether a message with this id, sender and text has just arrived. Otherwise remembers it.
function room_copies.hasComeBefore(membership, stanza)
    local from = stanza.attr.from
    local id = stanza.attr.id
    local body = stanza:get_child_text("body")
    if from == nil or id == nil or body == nil then
        return false
    end
    local copies = latest[membership] or {}
    local now = monotonic()
    for _, copy in ipairs(copies) do
        if copy.id == id and copy.from == from and copy.body == body and now - copy.when <= SECONDS then
            return true
        end
    end
    copies[#copies + 1] = {from = from, id = id, body = body, when = now}
    if #copies > KEPT then
        table.remove(copies, 1)
    end
    latest[membership] = copies
    return false
end
end

-- src/room/message.ts
--
-- Handles messages from a room to the account.
local room_message = {}
do
local lookAt, isJoinAffiliations, noteHeard, onGroupchat, newcomerOf, takePast, takeLive, keepSubject, isSameSubject, isSubject, noteConfiguration, changesList, onError, onLateError, returnToSender, isNotice, isInvitation, latest, latestPassed, latestRoom, latestNick, latestDelayed, latestIsSubject, latestWakes
local wallClock = state_clock.wallClock
local bufferMessage = archive_buffer.bufferMessage
local deliverMissed = archive_buffer.deliverMissed
local startBuffering = archive_buffer.startBuffering
local deliverAhead = archive_catchup.deliverAhead
local isResult = archive_catchup.isResult
local takeResult = archive_catchup.takeResult
local delayOf = archive_gate.delayOf
local isAnswering = archive_gate.isAnswering
local keptForm = archive_gate.keptForm
local withoutOwnIds = archive_gate.withoutOwnIds
local canRecordPast = archive_log.canRecordPast
local record = archive_log.record
local isWorthWaking = push_push.isWorthWaking
local notify = push_push.notify
local forgetPrivacy = push_privacy.forgetPrivacy
local check = occupancy_watch.check
local isInDoubt = occupancy_watch.isInDoubt
local AFFILIATIONS = namespaces.AFFILIATIONS
local CONFERENCE = namespaces.CONFERENCE
local MUC_USER = namespaces.MUC_USER
local counters = state_counters.counters
local noteDrop = state_counters.noteDrop
local requestingSession = state_memberships.requestingSession
local findMembership = state_memberships.findMembership
local isOccupantJid = state_memberships.isOccupantJid
local hasAttached = state_memberships.hasAttached
local isAttached = state_memberships.isAttached
local now = state_memberships.now
local occupantJid = state_memberships.occupantJid
local awaitsReflection = state_sent.awaitsReflection
local noteReflected = state_sent.noteReflected
local retiredSent = state_sent.retiredSent
local takeRefused = state_sent.takeRefused
local outdate = state_view.outdate
local options = minimix_options
local audienceOf = occupancy_phases.audienceOf
local onSubject = occupancy_phases.onSubject
local addDelay = minimix_stanzas.addDelay
local splitOccupant = minimix_stanzas.splitOccupant
local intern = state_interned.intern
local mayKeep = state_interned.mayKeep
local messageOf = state_interned.messageOf
local noteOver = state_limits.noteOver
local isTooEarly = state_store.isTooEarly
local saveSoon = state_store.saveSoon
local fork = send_fork.fork
local sendTo = send_fork.sendTo
local hasComeBefore = room_copies.hasComeBefore

function lookAt(stanza)
    if stanza ~= latest then
        latest = stanza
        local room, nick = splitOccupant(stanza.attr.from or "")
        latestRoom = room
        latestNick = nick
        latestDelayed = delayOf(stanza, room)
        latestIsSubject = isSubject(stanza)
        latestWakes = isWorthWaking(stanza, room)
        latestPassed = options.archive == "mam" and stanza or withoutOwnIds(stanza)
    end
end

function isJoinAffiliations(stanza)
    local x = stanza:get_child("x", MUC_USER)
    local version = x and x:get_child("mav", AFFILIATIONS)
    return version ~= nil and version.attr.since == nil
end

function noteHeard(membership)
    membership.heardAt = now()
    counters.copiesIn = counters.copiesIn + 1
end

function onGroupchat(membership, stanza)
    local nick = latestNick
    local subject = latestIsSubject
    local wakes = latestWakes
    local isPast = latestDelayed ~= nil and isAnswering(membership)
    local isByRoom = latestDelayed == "by room"
    local kept = latestDelayed == nil and stanza or keptForm(stanza, membership.room, latestDelayed, isPast)
    noteHeard(membership)
    local audience = audienceOf(membership, subject, isPast)
    if isInDoubt(membership) then
        startBuffering(membership)
    end
    local isOwn = nick == membership.nick
    if options.resource == nil and not isPast and hasComeBefore(membership, stanza) then
        if not isOwn or not awaitsReflection(membership.sent, stanza.attr.id) then
            noteDrop("copy")
            return
        end
    end
    local before = membership.view.subject
    if isOwn and not isPast and not isByRoom and membership.sent ~= nil then
        noteReflected(membership.sent, stanza.attr.id)
    end
    if subject then
        keepSubject(membership, stanza, audience == "all")
    elseif nick == nil then
        noteConfiguration(membership, stanza)
    end
    if audience == "all" then
        if not subject then
            takeLive(membership, kept)
        end
        fork(membership, stanza)
        if wakes and not subject and not isPast then
            notify(membership, stanza)
        end
    elseif audience == "requester" then
        local session = requestingSession(membership)
        sendTo(session, stanza)
        if isPast and not subject then
            deliverAhead(membership, kept, session)
        end
    elseif not subject then
        takePast(membership, kept)
    elseif not isSameSubject(before, stanza) then
        fork(membership, stanza)
    else
        sendTo(newcomerOf(membership), stanza)
    end
    if subject then
        onSubject(membership)
    end
end

function newcomerOf(membership)
    local place = membership.place
    local session
    if place.phase == "entering" then
        local request = place.operation.request
        session = request and request.session
    end
    if isAttached(membership, session) then
        return session
    else
        return nil
    end
end

function takePast(membership, stanza)
    if membership.catchUp == nil and not canRecordPast(membership) then
        startBuffering(membership)
    end
    if membership.catchUp == nil then
        deliverMissed(membership, stanza)
    else
        bufferMessage(membership, membership.catchUp, stanza, false)
    end
end

function takeLive(membership, stanza)
    if membership.place.phase == "lost" then
        startBuffering(membership)
    end
    if membership.catchUp == nil then
        record(membership, stanza)
    else
        bufferMessage(membership, membership.catchUp, stanza, true)
    end
end

function keepSubject(membership, stanza, isLive)
    if not mayKeep(stanza) then
        noteOver("minimix_max_cached_size", membership.username, membership.room)
        membership.view.subject = nil
        membership.view.stale = "incomplete"
        return
    end
    local copy = st.clone(stanza)
    copy.attr.to = nil
    if isLive and membership.place.phase == "joined" and latestDelayed == nil then
        addDelay(copy, membership.room, wallClock())
    end
    membership.view.subject = intern(copy)
end

function isSameSubject(before, stanza)
    local known
    if before ~= nil then
        known = messageOf(before)
    end
    return known ~= nil and known:get_child_text("subject") == stanza:get_child_text("subject")
end

function isSubject(stanza)
    return stanza:get_child("body") == nil and stanza:get_child("subject") ~= nil and stanza:get_child("thread") == nil
end

function noteConfiguration(membership, stanza)
    local x = stanza:get_child("x", MUC_USER)
    if x == nil then
        return
    end
    forgetPrivacy(membership.room)
    for _, tag in ipairs(x.tags) do
        local code
        if tag.name == "status" then
            code = tag.attr.code
        end
        if tag.name == "item" or changesList(membership.view, code) then
            outdate(membership.view)
        elseif code == "170" then
            membership.view.logged = true
        elseif code == "171" then
            membership.view.logged = nil
        elseif code == "172" then
            membership.view.nonAnonymous = true
            outdate(membership.view)
            saveSoon(membership.username)
        elseif code == "173" or code == "174" then
            membership.view.nonAnonymous = nil
            outdate(membership.view)
            saveSoon(membership.username)
        end
    end
end

function changesList(view, code)
    if code == "104" then
        return view.offline ~= nil or view.room == nil
    end
    return code == "102" or code == "103"
end

function onError(membership, stanza)
    local _, condition = stanza:get_error()
    if condition == "not-acceptable" then
        check(membership)
    end
    if membership.sent == nil or not returnToSender(membership.sent, stanza) then
        noteDrop("unclaimed")
        module:log("debug", "Dropping a message error from %s to %s: it answers no message", membership.room, membership.username)
    end
end

function onLateError(stanza, from, to)
    local sent = retiredSent(to, jids.bare(from))
    if sent ~= nil and returnToSender(sent, stanza) then
        return true
    else
        return nil
    end
end

function returnToSender(sent, stanza)
    local message = takeRefused(sent, stanza.attr.from or "", stanza.attr.id)
    if message == nil then
        return false
    end
    if message.id == stanza.attr.id then
        sendTo(message.session, stanza)
    else
        local error_ = st.clone(stanza)
        error_.attr.id = message.id
        sendTo(message.session, error_)
    end
    return true
end

function isNotice(stanza)
    return jids.resource(stanza.attr.from or "") == nil and stanza:get_child("body") == nil
end

function isInvitation(stanza)
    local x = stanza:get_child("x", MUC_USER)
    if x ~= nil and (x:get_child("invite") ~= nil or x:get_child("decline") ~= nil) then
        return true
    end
    return stanza:get_child("x", CONFERENCE) ~= nil
end

--- Handles groupchat before mod_mam, which would clone every copy to strip spoofed stanza-ids (XEP-0359 6).
function room_message.onGroupchatMessage(event)
    local stanza = event.stanza
    local attr = stanza.attr
    if attr.type ~= "groupchat" then
        return nil
    end
    lookAt(stanza)
    local membership = findMembership(attr.to or "", latestRoom)
    if membership == nil then
        if isTooEarly(attr.to or "") then
            return true
        else
            return nil
        end
    end
    onGroupchat(membership, latestPassed)
    return true
end

latestPassed = st.message()
latestRoom = ""
latestIsSubject = false
latestWakes = false

--- Whether a message is an error of a local room. Other modules must not handle it: spam filters would drop it, and
-- mod_mam would store it.
function room_message.isLocalError(event)
    local attr = event.stanza.attr
    return attr.type == "error" and prosody.hosts[jids.host(attr.from or "")] ~= nil and isOccupantJid(attr.to or "")
end

--- `message/bare` or `message/full`, depending on the form of the occupant JID.
function room_message.onMessage(event)
    local stanza = event.stanza
    local from = stanza.attr.from
    local to = stanza.attr.to
    if from == nil or to == nil then
        return nil
    end
    local room, nick = splitOccupant(from)
    local membership = findMembership(to, room)
    local type_ = stanza.attr.type
    if membership == nil then
        if type_ == "groupchat" then
            if isTooEarly(to) then
                return true
            else
                return nil
            end
        end
        if type_ == "error" then
            return onLateError(stanza, from, to)
        else
            return nil
        end
    end
    if type_ == "groupchat" then
        lookAt(stanza)
        onGroupchat(membership, latestPassed)
        return true
    end
    noteHeard(membership)
    if membership.place.phase == "joining" then
        membership.place.isHeard = true
    end
    if type_ == "error" then
        onError(membership, stanza)
        return true
    end
    if isResult(stanza) then
        takeResult(membership, nick, stanza)
        return true
    end
    if nick == nil and isInvitation(stanza) then
        return nil
    end
    local requester = requestingSession(membership)
    local isForRequester = requester ~= nil and isJoinAffiliations(stanza)
    if nick == nil and not isForRequester then
        noteConfiguration(membership, stanza)
    end
    if requester == nil and not hasAttached(membership) then
        if isNotice(stanza) then
            return true
        else
            return nil
        end
    end
    if not isForRequester then
        fork(membership, stanza)
    end
    if isForRequester or not isAttached(membership, requester) then
        sendTo(requester, stanza)
    end
    return true
end

--- `message/offline/handle`, after mod_offline (0): a private message to an account without sessions was not stored.
-- mod_message would return an error, and services remove occupants for that (XEP-0045 18.1.2).
function room_message.onUnkept(event)
    local from = event.stanza.attr.from
    if from == nil or findMembership(occupantJid(event.username), jids.bare(from)) == nil then
        return nil
    end
    noteDrop("undelivered")
    return true
end
end

-- src/room/broadcast.ts
--
-- Presence that a room broadcasts. The first account appends it to the list of occupants. Most other accounts have no
-- session and nothing in flight, and read the same list: they only move on in it. A local room passes the same table for
-- all accounts (muc.lib.lua, publicise_occupant_status). A remote room sends a copy to each.
local room_broadcast = {}
do
local likeCopied, passOn, remember, noteCopy, broadcasts, broadcastCount, sender, MOST, copied, content, EXPECTED
local hasAnyStatus = minimix_stanzas.hasAnyStatus
local isSameElement = minimix_stanzas.isSameElement
local isSameNick = minimix_stanzas.isSameNick
local counters = state_counters.counters
local intern = state_interned.intern
local findMembership = state_memberships.findMembership
local now = state_memberships.now
local changeAfter = state_occupant_list.changeAfter

function likeCopied(broadcast, stanza)
    local isCopy = broadcast.from == stanza.attr.from and isSameElement(content, stanza, "to")
    return isCopy and broadcast or nil
end

function passOn(broadcast, stanza)
    local attr = stanza.attr
    local from = attr.from
    local to = attr.to
    if to == nil or from ~= broadcast.from or attr.type ~= broadcast.type then
        return false
    end
    local membership = findMembership(to, broadcast.room)
    if membership == nil then
        return false
    end
    local place = membership.place
    local view = membership.view
    local list = broadcast.list
    local nick = broadcast.nick
    local position = broadcast.position
    if view.list ~= list or view.position ~= position or membership.detachedAt == nil or place.phase ~= "joined" or place.operation ~= nil or place.late ~= nil or nick == membership.nick or nick == membership.wantedNick or nick == view.own or view.selfNick ~= nil or view.offline ~= nil or broadcast.change.before == nil and isSameNick(nick, membership.nick) then
        return false
    end
    if position + 1 == list.last then
        local behind = list.behind or 0
        if behind <= 1 then
            return false
        end
        list.behind = behind - 1
    end
    view.position = position + 1
    membership.heardAt = now()
    counters.copiesIn = counters.copiesIn + 1
    return true
end

function remember(stanza, broadcast)
    if broadcast.from ~= sender or broadcastCount >= MOST then
        broadcasts = {}
        broadcastCount = 0
        sender = broadcast.from
    end
    broadcastCount = broadcastCount + 1
    broadcasts[stanza] = broadcast
end

function noteCopy(broadcast, stanza)
    broadcast.copies = broadcast.copies + 1
    if broadcast.copies == EXPECTED and broadcasts[stanza] ~= broadcast then
        content = st.clone(stanza)
        content.attr.to = nil
        copied = broadcast
    end
end

broadcasts = {}
broadcastCount = 0
MOST = 4
--- The last broadcast that was noted.
local latest
content = st.presence()
EXPECTED = 2

--- Wraps a hook's handler. Accounts that only move on in a shared list do not reach it.
function room_broadcast.passing(handler)
    return function(event)
        local stanza = event.stanza
        local broadcast = broadcasts[stanza]
        if broadcast == nil then
            if copied == nil then
                broadcast = nil
            else
                broadcast = likeCopied(copied, stanza)
            end
        end
        if broadcast ~= nil and passOn(broadcast, stanza) then
            return true
        else
            return handler(event)
        end
    end
end

--- Notes a presence that an account has just seen, if it is a change that other accounts have not seen. A presence with a
-- status code may mean more to them, such as a ban.
function room_broadcast.noteBroadcast(membership, nick, stanza)
    local view = membership.view
    local list = view.list
    local position = view.position
    if (list and list.behind) == nil then
        return
    end
    local attr = stanza.attr
    local from = attr.from
    local type_ = attr.type
    local change = changeAfter(list, position - 1)
    local after = type_ == nil and intern(stanza) or nil
    if (change and change.nick) ~= nick or change.after ~= after or hasAnyStatus(stanza) then
        return
    end
    if (latest and latest.change) == change then
        noteCopy(latest, stanza)
    else
        latest = {
            from = from,
            type = type_,
            room = membership.room,
            nick = nick,
            list = list,
            change = change,
            position = position - 1,
            copies = 1
        }
        remember(stanza, latest)
    end
end
end

-- src/room/presence.ts
--
-- Handles presence from a room to the account: other occupants, and the account itself admitted, renamed or removed.
local room_presence = {}
do
local onStray, onAvailable, onPresenceWhileJoining, isRequested, isRenamedUnheard, isNickOf, renameLate, onUnavailable, noteStillIn, isLeaveAnswer, nickInDoubt, isLeft, onOwnUnavailable, isOfOther, newNickIn
local id = require("util.id")
local announceIfRenamed = occupancy_burst.announceIfRenamed
local isOwnNick = occupancy_burst.isOwnNick
local onOccupant = occupancy_burst.onOccupant
local onOccupantGone = occupancy_burst.onOccupantGone
local onRoomPresence = occupancy_burst.onRoomPresence
local proceedAfter = occupancy_joined.proceedAfter
local regainNick = occupancy_nick.regainNick
local selfClaimed = occupancy_joining.selfClaimed
local unconfirmedLeave = occupancy_lost.unconfirmedLeave
local isOfAccount = occupancy_phases.isOfAccount
local joinAfterLeave = occupancy_phases.joinAfterLeave
local onRefused = occupancy_phases.onRefused
local onRemoved = occupancy_phases.onRemoved
local onRenamed = occupancy_phases.onRenamed
local onSelf = occupancy_phases.onSelf
local answerProbe = occupancy_probe.answerProbe
local check = occupancy_watch.check
local isExpulsion = occupancy_refusal.isExpulsion
local isTechnical = occupancy_refusal.isTechnical
local itemOf = occupancy_replay.itemOf
local isLateNick = occupancy_requests.isLateNick
local renamedUnheard = occupancy_requests.renamedUnheard
local MUC_USER = namespaces.MUC_USER
local hasStatus = minimix_stanzas.hasStatus
local isSameNick = minimix_stanzas.isSameNick
local isSelf = minimix_stanzas.isSelf
local splitOccupant = minimix_stanzas.splitOccupant
local counters = state_counters.counters
local noteDrop = state_counters.noteDrop
local findMembership = state_memberships.findMembership
local isCurrent = state_memberships.isCurrent
local isOccupantJid = state_memberships.isOccupantJid
local now = state_memberships.now
local intern = state_interned.intern
local findOccupant = state_occupants.findOccupant
local isIn = state_place.isIn
local marksSelf = state_self_status.marksSelf
local noteBroadcast = room_broadcast.noteBroadcast
local saveOften = state_store.saveOften
local selfOf = state_view.selfOf
local after = minimix_turn.after
local post = minimix_turn.post

function onStray(stanza, room, to)
    if stanza.attr.type ~= "error" and stanza:get_child("x", MUC_USER) == nil then
        return nil
    end
    if stanza.attr.type == nil and isOfAccount({occupant = to, room = room}, stanza) then
        post(st.presence({type = "unavailable", id = id.medium(), from = to, to = stanza.attr.from}))
    end
    noteDrop("stray")
    return true
end

function onAvailable(membership, nick, stanza)
    local place = membership.place
    if place.phase == "joining" then
        onPresenceWhileJoining(membership, nick, stanza)
    elseif isOwnNick(membership, nick, stanza) then
        if isOfOther(membership, stanza) then
            check(membership)
        else
            onSelf(membership, nick, stanza)
        end
    elseif isRenamedUnheard(membership, nick, stanza) then
        renameLate(membership, nick)
        onSelf(membership, nick, stanza)
    else
        onOccupant(membership, nick, stanza)
        noteBroadcast(membership, nick, stanza)
    end
end

function onPresenceWhileJoining(membership, nick, stanza)
    local place = membership.place
    local isRenamed = place.phase == "joining" and place.renamed == "now" and isRequested(place, nick)
    if isRenamed or isSelf(stanza, membership.occupant) then
        onSelf(membership, nick, stanza)
        return
    end
    onOccupant(membership, nick, stanza)
    if place.phase == "joining" and isRequested(place, nick) then
        selfClaimed(membership, place, intern(stanza))
    end
end

function isRequested(place, nick)
    for _, join in ipairs(place.earlier) do
        if isSameNick(nick, join.nick) then
            return true
        end
    end
    return isSameNick(nick, place.operation.nick)
end

function isRenamedUnheard(membership, nick, stanza)
    local place = membership.place
    if place.phase ~= "joined" and place.phase ~= "entering" then
        return false
    end
    local isLate
    if place.phase == "joined" then
        isLate = isLateNick(place, nick)
    else
        isLate = isNickOf(place.later, nick)
    end
    if not isLate and stanza.attr.type == nil or findOccupant(membership.view, nick) ~= nil then
        return false
    end
    if hasStatus(stanza, "303") then
        return itemOf(stanza).jid == membership.occupant
    end
    return isSelf(stanza, membership.occupant) and (isLate or isExpulsion(stanza) or isTechnical(stanza))
end

function isNickOf(join, nick)
    return join ~= nil and isSameNick(join.nick, nick)
end

function renameLate(membership, nick)
    membership.wantedNick = nick
    announceIfRenamed(membership, nick)
    membership.nick = nick
    saveOften(membership.username)
end

function onUnavailable(membership, nick, stanza)
    if isRenamedUnheard(membership, nick, stanza) and not isOwnNick(membership, nick, stanza) then
        local place = membership.place
        local request
        if place.phase == "joined" then
            request = renamedUnheard(place, nick)
        end
        renameLate(membership, nick)
        onUnavailable(membership, nick, stanza)
        proceedAfter(membership, request)
        return
    end
    if not isOwnNick(membership, nick, stanza) and not isLeaveAnswer(membership, nick, stanza) then
        noteStillIn(membership, stanza)
        onOccupantGone(membership, nick, stanza)
        noteBroadcast(membership, nick, stanza)
        if nick == membership.wantedNick and membership.place.phase == "joined" then
            after(0, function()
                if isCurrent(membership) then
                    regainNick(membership)
                end
            end)
        end
        return
    end
    local newNick
    if hasStatus(stanza, "303") then
        newNick = newNickIn(membership, stanza)
    end
    if newNick ~= nil then
        noteStillIn(membership, stanza)
        onRenamed(membership, newNick, stanza)
    else
        onOwnUnavailable(membership, nick, stanza)
    end
end

function noteStillIn(membership, stanza)
    local place = membership.place
    if place.phase == "joining" and hasStatus(stanza, "303") and isOfAccount(membership, stanza) then
        place.operation.isDoubtful = true
        if place.renamed == nil then
            place.renamed = "now"
        end
    end
end

function isLeaveAnswer(membership, nick, stanza)
    local place = membership.place
    if hasStatus(stanza, "303") then
        return false
    end
    if place.phase == "entering" or place.phase == "joined" then
        local other = nickInDoubt(place)
        if other == nil or not isSameNick(other, nick) then
            return false
        end
    end
    local isMarked = isSelf(stanza, membership.occupant)
    return isMarked or place.phase == "joining" and isLeft(membership, place, nick)
end

function nickInDoubt(place)
    local later
    if place.phase == "entering" then
        later = place.later
    end
    if later == nil then
        local opt_7 = joinAfterLeave(place)
        return opt_7 and opt_7.left
    else
        return later.nick
    end
end

function isLeft(membership, place, nick)
    local left = unconfirmedLeave(place.operation, place.removal)
    return left ~= nil and isSameNick(nick, left) and not marksSelf(membership.room)
end

function onOwnUnavailable(membership, nick, stanza)
    local place = membership.place
    if place.phase ~= "joining" and isOfOther(membership, stanza) then
        check(membership)
        return
    end
    local isRefusal = place.phase == "joining" and isExpulsion(stanza) and not marksSelf(membership.room)
    local isOurs = isIn(place) or isRefusal or isLeaveAnswer(membership, nick, stanza)
    if isOurs or isSelf(stanza, membership.occupant) then
        onRemoved(membership, stanza)
    end
end

function isOfOther(membership, stanza)
    local jid = itemOf(stanza).jid
    if jid == nil or jids.bare(jid) == jids.bare(membership.occupant) or hasStatus(stanza, "110") then
        return false
    end
    local self_ = selfOf(membership)
    return self_ ~= nil and itemOf(self_).jid == membership.occupant
end

function newNickIn(membership, stanza)
    local nick = itemOf(stanza).nick
    local address
    if nick ~= nil then
        address = jids.prep(membership.room .. "/" .. nick)
    end
    if address == nil then
        return nil
    else
        return jids.resource(address)
    end
end

--- Types for contacts. A gateway may be a contact.
local subscriptions = {}
subscriptions.subscribe = true
subscriptions.subscribed = true
subscriptions.unsubscribe = true
subscriptions.unsubscribed = true

--- `presence/bare` or `presence/full`, depending on the form of the occupant JID.
function room_presence.onPresence(event)
    local stanza = event.stanza
    local attr = stanza.attr
    local from = attr.from
    local to = attr.to
    local type_ = attr.type
    if from == nil or to == nil then
        return nil
    end
    local room, nick = splitOccupant(from)
    local membership = findMembership(to, room)
    if membership == nil then
        if nick == nil or not isOccupantJid(to) then
            return nil
        else
            return onStray(stanza, room, to)
        end
    end
    membership.heardAt = now()
    counters.copiesIn = counters.copiesIn + 1
    if type_ == "error" then
        onRefused(membership, nick, stanza)
        return true
    end
    if type_ ~= nil and type_ ~= "unavailable" then
        if subscriptions[type_] ~= nil then
            return nil
        else
            return true
        end
    end
    if nick ~= nil and membership.place.phase == "joined" and answerProbe(membership, nick, stanza) then
        return true
    end
    if nick == nil then
        onRoomPresence(membership, stanza)
    elseif type_ == nil then
        onAvailable(membership, nick, stanza)
    else
        onUnavailable(membership, nick, stanza)
    end
    return true
end
end

-- src/state/upgrade.ts
--
-- Converts memberships of earlier versions at a reload: flat records with the fields of all phases.
local state_upgrade = {}
do
local showFormer, placeOf, livenessOf, joinOf, takeRequests
local intern = state_interned.intern
local restoreInterned = state_interned.restoreInterned
local isAttached = state_memberships.isAttached
local now = state_memberships.now
local inSharedQueue = state_place.inSharedQueue
local joiningBy = state_place.joiningBy
local enqueue = state_queue.enqueue
local newRequest = state_queue.newRequest
local keepOccupant = state_view.keepOccupant
local setSelf = state_view.setSelf

function showFormer(membership, former)
    local view = membership.view
    for nick, interned in pairs(former.occupants or {}) do
        restoreInterned(interned)
        keepOccupant(membership.room, view, nick, interned)
    end
    if former.self ~= nil then
        setSelf(membership, jids.resource(former.self.attr.from or "") or "", former.self)
    end
    view.room = former.presenceOfRoom
    if former.presenceOfRoom == nil then
        view.isRoomFirst = nil
    else
        view.isRoomFirst = true
    end
    if former.subject == nil then
        view.subject = nil
    else
        view.subject = intern(former.subject)
    end
    if former.nonAnonymous == true then
        view.nonAnonymous = true
    else
        view.nonAnonymous = nil
    end
    if former.logged == true then
        view.logged = true
    else
        view.logged = nil
    end
    if former.incomplete == true or former.occupants == nil then
        view.stale = "incomplete"
    elseif former.outdated == true then
        view.stale = "outdated"
    end
end

function placeOf(membership, former)
    local tries = former.tries or 0
    local phase = former.phase
    local request = former.request
    local resync = former.resync
    if phase == "leaving" then
        return inSharedQueue("leaving", tries)
    end
    if phase == "joining" and request ~= nil then
        return joiningBy(joinOf(membership, request, resync ~= nil), {}, {}, false, tries)
    end
    if phase == "joined" or phase == "entering" and resync == nil then
        return {phase = "joined", tries = tries, since = now(), liveness = livenessOf(former)}
    end
    return inSharedQueue("lost", tries)
end

function livenessOf(former)
    local unanswered = former.unanswered or 0
    local isInDoubt = former.timer ~= nil or former.checking == true or unanswered > 0
    return isInDoubt and {unanswered = unanswered} or nil
end

function joinOf(membership, request, isReturn)
    if isAttached(membership, request.session) and request.isBack ~= true then
        membership.attached[request.session or ""] = nil
    end
    return {
        kind = "join",
        id = request.id or "",
        nick = request.nick,
        request = newRequest("join", request.session, request.id, request.nick, request.stanza),
        isReturn = isReturn,
        isDoubtful = false,
        timer = module:add_timer(0, function() return nil end),
        isFirst = false,
        left = nil,
        since = now()
    }
end

function takeRequests(membership, former)
    local resync = former.resync
    local requests = {}
    if (resync and resync.request) ~= nil then
        requests[#requests + 1] = resync.request
    end
    for _, request in ipairs(former.nickRequests or {}) do
        if request.isJoin == true then
            requests[#requests + 1] = request
        end
    end
    for _, request in ipairs(former.waiting or {}) do
        requests[#requests + 1] = request
    end
    for _, value_ in ipairs(requests) do
        local session = value_.session
        local id = value_.id
        local nick = value_.nick
        local stanza = value_.stanza
        if session ~= nil then
            enqueue(membership, newRequest("join", session, id, nick, stanza))
        end
    end
end

local replaced = {
    "phase",
    "request",
    "waiting",
    "resync",
    "nickRequests",
    "renaming",
    "newcomer",
    "joinId",
    "claimed",
    "batched",
    "timer",
    "tries",
    "heard",
    "checking",
    "unanswered",
    "unreflected",
    "occupants",
    "occupantCount",
    "occupantSize",
    "self",
    "presenceOfRoom",
    "subject",
    "incomplete",
    "nonAnonymous",
    "logged",
    "outdated"
}

--- Converts a membership of an earlier version. Returns whether it was one.
function state_upgrade.convert(membership)
    local former = membership
    if former.phase == nil then
        return false
    end
    local catchUp = membership.catchUp
    if (catchUp and catchUp.progress) == nil then
        membership.catchUp = nil
    end
    if former.shownPresence == nil then
        membership.shownPresence = nil
    else
        membership.shownPresence = intern(former.shownPresence)
    end
    showFormer(membership, former)
    membership.place = placeOf(membership, former)
    takeRequests(membership, former)
    local fields = membership
    for _, name in ipairs(replaced) do
        fields[name] = nil
    end
    return true
end
end

-- src/state/snapshot.ts
--
-- The state that one instance of the module hands to the next on a reload. The versions may differ.
local state_snapshot = {}
do
local restoreAccount, restoreMembership, restorePresence, complete
local allRefusals = state_bookmarks.allRefusals
local restoreRefusals = state_bookmarks.restoreRefusals
local monotonic = state_clock.monotonic
local counters = state_counters.counters
local restoreCounters = state_counters.restoreCounters
local accounts = state_memberships.accounts
local createMembership = state_memberships.createMembership
local occupantJid = state_memberships.occupantJid
local restoreEmpty = state_memberships.restoreEmpty
local deletions = state_deliveries.deletions
local deliveries = state_deliveries.deliveries
local restoreDeletions = state_deliveries.restoreDeletions
local restoreDeliveries = state_deliveries.restoreDeliveries
local addFormerOccupant = state_former.addFormerOccupant
local formerOccupants = state_former.formerOccupants
local restoreFormerOccupants = state_former.restoreFormerOccupants
local inSharedQueue = state_place.inSharedQueue
local isKnownPhase = state_place.isKnownPhase
local restoreInterned = state_interned.restoreInterned
local restoreReader = state_occupants.restoreReader
local newView = state_view.newView
local outdate = state_view.outdate
local convert = state_upgrade.convert
local logs = state_logs.logs
local restoreLogs = state_logs.restoreLogs
local numbers = state_numbers.numbers
local restoreNumbers = state_numbers.restoreNumbers
local startNumbers = state_numbers.startNumbers
local dirtyRecords = state_records.dirtyRecords
local restoreDirty = state_records.restoreDirty
local pendingEdits = state_marks.pendingEdits
local pendingMarks = state_marks.pendingMarks
local restoreEdits = state_marks.restoreEdits
local restoreMarks = state_marks.restoreMarks
local pendingIqs = state_pending.pendingIqs
local restorePendingIqs = state_pending.restorePendingIqs
local restoreSelfMarkingRooms = state_self_status.restoreSelfMarkingRooms
local selfMarkingRooms = state_self_status.selfMarkingRooms
local restoreSentPresences = state_sent_presences.restoreSentPresences
local sentPresences = state_sent_presences.sentPresences
local loading = state_store.loading
local joined = state_sessions.joined
local noteJoined = state_sessions.noteJoined
local restoreJoined = state_sessions.restoreJoined

function restoreAccount(account, isOld)
    complete(account, {seen = monotonic(), idleOnDisk = 0})
    if isOld then
        account.seen = monotonic()
    end
    return account
end

function restoreMembership(membership, isOld)
    local hadView = membership.view ~= nil
    local fresh = createMembership(membership.username, membership.room, membership.nick)
    complete(membership, fresh)
    complete(membership.view, newView())
    if not convert(membership) and not hadView then
        outdate(membership.view)
    end
    restoreEmpty(membership)
    if not isKnownPhase(membership.place.phase) then
        membership.place = inSharedQueue("lost")
    end
    if isOld then
        membership.part = nil
        membership.nickFree = 0
        if membership.detachedAt == nil then
            membership.detachedAt = nil
        else
            membership.detachedAt = monotonic()
        end
    end
    restoreReader(membership.view)
    restorePresence(membership.shownPresence)
    restorePresence(membership.view.self)
    for session in pairs(membership.attached) do
        noteJoined(session, membership.room)
    end
    if membership.occupant ~= occupantJid(membership.username) then
        addFormerOccupant(membership.username, membership.room, membership.occupant, membership.nick)
    end
end

function restorePresence(presence)
    if presence ~= nil then
        restoreInterned(presence)
    end
end

function complete(old, fresh)
    local target = old
    for key, value in pairs(fresh) do
        if target[key] == nil then
            target[key] = value
        end
    end
    return old
end

function state_snapshot.snapshot()
    return {
        accounts = accounts,
        refusals = allRefusals(),
        pendingIqs = pendingIqs,
        joined = joined,
        counters = counters,
        formerOccupants = formerOccupants,
        numbers = numbers(),
        logs = logs,
        deliveries = deliveries(),
        dirty = dirtyRecords(),
        loading = loading(),
        sentPresences = sentPresences(),
        marks = pendingMarks(),
        selfMarkingRooms = selfMarkingRooms(),
        deletions = deletions,
        edits = pendingEdits
    }
end

--- Takes over the state of the previous instance. Returns whether there was any. Timers are still those of the previous
-- instance.
function state_snapshot.restore(saved)
    if saved.accounts == nil then
        return false
    end
    local isOld = saved.logs == nil
    if saved.numbers == nil or saved.logs == nil then
        startNumbers()
    else
        restoreNumbers(saved.numbers)
        restoreLogs(saved.logs)
        restoreDeliveries(saved.deliveries or {})
        restoreDirty(saved.dirty or {})
        restoreMarks(saved.marks or {})
        restoreDeletions(saved.deletions or {})
        restoreEdits(saved.edits or {})
    end
    for _, account in pairs(saved.accounts) do
        for _, membership in pairs(account.memberships) do
            restoreMembership(membership, isOld)
        end
        accounts[occupantJid(account.username)] = restoreAccount(account, isOld)
    end
    if saved.formerOccupants ~= nil then
        restoreFormerOccupants(saved.formerOccupants)
    end
    if saved.pendingIqs ~= nil and not isOld then
        restorePendingIqs(saved.pendingIqs)
    end
    if saved.refusals ~= nil then
        restoreRefusals(saved.refusals)
    end
    if saved.joined ~= nil then
        restoreJoined(saved.joined)
    end
    if saved.sentPresences ~= nil then
        restoreSentPresences(saved.sentPresences)
    end
    if saved.selfMarkingRooms ~= nil then
        restoreSelfMarkingRooms(saved.selfMarkingRooms)
    end
    if saved.counters ~= nil then
        restoreCounters(saved.counters)
    end
    return true
end
end

-- src/main.ts
--
-- Life cycle and the table of hooks: event, handler, priority. Handlers of equal priority run in random order
-- (util/events.lua). So no hook here uses a priority of a module of Prosody.
do
local options = minimix_options
module:hook("pre-presence/full", minimix_turn.turn(client_presence.onPresence), 0.05)
module:hook("pre-presence/bare", minimix_turn.turn(client_presence.onPresence), 0.05)
module:hook("pre-message/full", minimix_turn.turn(client_message.onMessage), -2)
module:hook("pre-message/bare", minimix_turn.turn(client_message.onMessage), -2)
module:hook("carbons-should-copy", client_message.onCarbon, 1)
module:hook("pre-iq/full", minimix_turn.turn(client_iq.onIq), -1)
module:hook("pre-iq/bare", minimix_turn.turn(client_iq.onIq), -1)
module:hook("resource-unbind", minimix_turn.turn(client_presence.onSessionGone), 1)
module:hook("resource-bind", client_joined.onBind, 0.05)
module:hook("resource-bind", minimix_turn.turn(follow_autojoin.onLogin), -1)
if not options.anonymous then
    module:handle_items("pep-service", follow_autojoin.onService, follow_autojoin.onServiceGone, true)
end
if options.archive ~= "mam" then
    module:hook(
        options.resource == nil and "message/bare" or "message/full",
        minimix_turn.turn(archive_gate.fromRoom(room_message.onGroupchatMessage)),
        0.05
    )
end
if options.resource == nil then
    module:hook(
        "presence/bare",
        room_broadcast.passing(minimix_turn.turn(archive_gate.fromRoom(room_presence.onPresence))),
        0.05
    )
    module:hook(
        "message/bare",
        minimix_turn.turn(archive_gate.fromRoom(room_message.onMessage)),
        -0.25
    )
    module:hook("iq/bare", minimix_turn.turn(archive_gate.fromRoom(room_iq.onIq)), 0.05)
else
    module:hook(
        "presence/full",
        room_broadcast.passing(minimix_turn.turn(archive_gate.fromRoom(room_presence.onPresence))),
        0.05
    )
    module:hook(
        "message/full",
        minimix_turn.turn(archive_gate.fromRoom(room_message.onMessage)),
        -0.25
    )
    module:hook("iq/full", minimix_turn.turn(archive_gate.fromRoom(room_iq.onIq)), 0.05)
    module:hook("pre-resource-bind", client_resource.onResourceBind, 1)
end
if options.archive ~= false then
    module:hook("iq-get/self/urn:xmpp:mam:2:query", archive_query.onFormRequest, 1)
    module:hook("iq-set/self/urn:xmpp:mam:2:query", archive_query.onQuery, 1)
    module:hook("account-disco-info", archive_query.onAccountInfo, -1)
end
module:hook(
    options.resource == nil and "message/bare" or "message/full",
    minimix_turn.turnIf(room_message.isLocalError, room_message.onMessage),
    1000
)
module:hook(options.resource == nil and "message/bare" or "message/full", follow_blocking.onPrivateMessage, 100.5)
module:hook("iq-set/self/urn:xmpp:blocking:block", minimix_turn.turn(follow_blocking.onBlock), 1)
module:hook("iq-set/self/urn:xmpp:blocking:unblock", minimix_turn.turn(follow_blocking.onUnblock), 1)
module:hook("message/offline/handle", room_message.onUnkept, -10)
module:hook("cloud_notify/push", push_push.onPush, 1)
if options.archive == "mam" then
    module:hook("archive-should-store", archive_personal.onShouldStore, 0)
end
module:hook("delivery/failure", send_fork.onUndelivered, -1)
module:hook("s2sin-destroyed", minimix_turn.turn(occupancy_watch.onLinkGone), 1)
module:hook("s2sout-destroyed", minimix_turn.turn(occupancy_watch.onLinkGone), 1)
module:hook("s2sin-established", minimix_turn.turn(occupancy_watch.onLinkUp), 1)
module:hook("s2sout-established", minimix_turn.turn(occupancy_watch.onLinkUp), 1)
module:hook_global("server-stopping", occupancy_shown.keepShown, 1)
module:hook_global("server-stopping", slices.finishSlices, 1)
module:hook_global("server-stopping", archive_delivered.saveDelivered)
module:hook_global("server-stopping", state_store.saveLate)
module:hook_global("server-stopping", state_outage.retryNow, -1)
module:hook_global("user-deleted", follow_accounts.onAccountEnded, 1)
module:hook_global("user-disabled", follow_accounts.onAccountEnded, 1)
module:hook("account-disco-info", admin_announce.onAccountInfo, -2)
module:hook_global("stats-update", admin_metrics.updateMetrics)
--- Timers that run until the module is unloaded. While they run, they keep this instance in memory.
local timers = {}

--- Calls `task` every `seconds` seconds, or never.
local function every(seconds, task)
    if seconds ~= math.huge then
        local timer = module:add_timer(seconds, function()
            minimix_turn.inTurn(function()
                task(seconds)
            end)
            return seconds
        end)
        timers[#timers + 1] = timer
    end
end

every(30, client_iq.expireIqs)
every(30, state_driver.keepConnections)
every(600, state_limits.forgetAllowances)
every(math.min(30, math.max(1, options.detachedAfter)), follow_accounts.showAllDetached)
every(options.pingAfter, occupancy_watch.checkQuiet)
every(6 * 3600, archive_expire.expire)
every(math.min(3600, options.inactiveAfter), follow_accounts.leaveInactive)

--- Calls `task` once all hosts and modules are loaded.
local function onceStarted(task)
    if prosody.start_time == nil then
        module:hook_global("server-started", function()
            task()
            return nil
        end)
    else
        task()
    end
end

local isFormerHooked = false

--- Hooked before the account's own handlers, and only after `minimix_resource` has changed: rooms may still write to an
-- address of any form.
local function hookFormerAddresses()
    if state_former.hasFormerOccupants() and not isFormerHooked then
        isFormerHooked = true
        module:hook("presence/bare", minimix_turn.turn(room_former.onFormerPresence), 0.06)
        module:hook("presence/full", minimix_turn.turn(room_former.onFormerPresence), 0.06)
        module:hook("message/bare", minimix_turn.turn(room_former.onFormerMessage), 0.06)
        module:hook("message/full", minimix_turn.turn(room_former.onFormerMessage), 0.06)
        module:hook("iq/bare", minimix_turn.turn(room_former.onFormerIq), 0.06)
        module:hook("iq/full", minimix_turn.turn(room_former.onFormerIq), 0.06)
    end
end

--- Returns stored accounts to their rooms, and follows their bookmarks.
local function comeBack(usernames)
    hookFormerAddresses()
    onceStarted(function()
        follow_accounts.forgetEnded(usernames)
        for _, username in ipairs(usernames) do
            occupancy_former.leaveFormerAddresses(state_former.formerOccupantsOf(username))
        end
        occupancy_watch.bringBack(usernames)
        follow_autojoin.followAll(usernames)
    end)
end

state_outage.onRecovery(occupancy_watch.checkGaps)

module.load = function()
    client_joined.trackAll()
    admin_shell.addShellCommands()
    admin_commands.offerCommands()
    onceStarted(admin_neighbours.checkNeighbours)
    onceStarted(room_firewall.passFirewall)
    occupancy_components.watchComponents()
    if module.reloading ~= true then
        state_store.load(comeBack)
    end
    state_driver.keepConnections()
end

module.save = function()
    slices.finishSlices()
    archive_delivered.saveDelivered()
    state_store.saveLate()
    state_outage.retryNow()
    return state_snapshot.snapshot()
end

module.restore = function(saved)
    local state = saved
    if state_snapshot.restore(state) then
        archive_entries.restoreUnwritten()
        archive_delivered.reopenParts()
        hookFormerAddresses()
        occupancy_resume.resumeAll()
        occupancy_former.leaveFormerAddresses(state_former.allFormerOccupants())
        state_store.restoreLoading(state.loading, comeBack)
        settings_bookmark_write.retryEdits()
    else
        state_store.load(comeBack)
    end
end

module.unload = function()
    for _, timer in ipairs(timers) do
        timer:stop()
    end
    slices.finishSlices()
    admin_shell.removeShellCommands()
    client_joined.untrackAll()
    if module.reloading ~= true then
        archive_delivered.saveDelivered()
        state_store.saveLate()
        state_outage.retryNow()
        client_iq.giveUpIqs()
        follow_accounts.withdrawAll()
    end
end
end
