-- mod_minimix: compiled from TypeScript by TypeScriptToLua; edit src/ instead.
local ____modules = {}
local ____moduleCache = {}
local ____originalRequire = require
local function require(file, ...)
    if ____moduleCache[file] then
        return ____moduleCache[file].value
    end
    if ____modules[file] then
        local module = ____modules[file]
        local value = nil
        if (select("#", ...) > 0) then value = module(...) else value = module(file) end
        ____moduleCache[file] = { value = value }
        return value
    else
        if ____originalRequire then
            return ____originalRequire(file)
        else
            error("module '" .. file .. "' not found")
        end
    end
end
____modules = {
["client.archive-page"] = function(...)
local ____exports = {}
local findPlace, openCursors, readIds, takePage, countItems, nextItem, peek, readOn, read, rangeQuery, roughly, consider, isPast, isAtOrPast, isAhead, LARGEST_CHUNK, COUNTED
function findPlace(archives, id)
    for rank = 1, #archives do
        local archive = archives[rank]
        local stanza, when, label = archive.store:get(archive.key, id)
        if stanza ~= nil and archive.holds(label or "") then
            return {
                id = id,
                when = tonumber(when) or 0,
                rank = rank,
                label = label or ""
            }
        end
    end
    return nil
end
function openCursors(archives, max)
    local cursors = {}
    for rank = 1, #archives do
        local chunk = max == 0 and LARGEST_CHUNK or max + 1
        local archive = archives[rank]
        cursors[#cursors + 1] = {
            archive = archive,
            rank = rank,
            items = {},
            passed = 0,
            chunk = chunk,
            last = nil,
            ended = false
        }
    end
    return cursors
end
function readIds(archives, walk, ids)
    local missing = {}
    for ____, id in ipairs(ids) do
        missing[id] = true
    end
    local cursors = openCursors(archives, #ids)
    for ____, cursor in ipairs(cursors) do
        for ____, item in ipairs(read(cursor, {ids = ids, reverse = walk.query.reverse})) do
            if cursor.archive.holds(item.label) then
                missing[item.id] = nil
                consider(cursor, walk, item)
            end
            if walk.from ~= nil and walk.from.id == item.id then
                cursor.items = {}
            end
        end
        cursor.ended = true
    end
    return (next(missing)) == nil and cursors or nil
end
function takePage(cursors, walk)
    local max = walk.query.max
    local reverse = walk.query.reverse
    local items = {}
    local item = nextItem(cursors, walk)
    while item ~= nil and #items < max do
        if reverse then
            table.insert(items, 1, item)
        else
            items[#items + 1] = item
        end
        item = nextItem(cursors, walk)
    end
    local complete = item == nil
    local isAll = complete and walk.from == nil and walk.to == nil
    return {items = items, complete = complete, count = isAll and #items or nil}
end
function countItems(cursors, walk)
    local count = 0
    while count <= COUNTED and nextItem(cursors, walk) ~= nil do
        count = count + 1
    end
    local ____temp_3 = {}
    local ____temp_4 = count == 0
    local ____temp_2
    if count > COUNTED then
        ____temp_2 = nil
    else
        ____temp_2 = count
    end
    return {items = ____temp_3, complete = ____temp_4, count = ____temp_2}
end
function nextItem(cursors, walk)
    local best
    local cursorOfBest
    for ____, cursor in ipairs(cursors) do
        local item = peek(cursor, walk)
        if item ~= nil and (best == nil or isAhead(best, item, walk.query.reverse)) then
            best = item
            cursorOfBest = cursor
        end
    end
    if cursorOfBest ~= nil then
        cursorOfBest.passed = cursorOfBest.passed + 1
    end
    return best
end
function peek(cursor, walk)
    while cursor.passed == #cursor.items and not cursor.ended do
        readOn(cursor, walk)
    end
    return cursor.items[cursor.passed + 1]
end
function readOn(cursor, walk)
    local items = read(
        cursor,
        rangeQuery(cursor, walk)
    )
    for ____, item in ipairs(items) do
        consider(cursor, walk, item)
        cursor.last = item
    end
    if #items < cursor.chunk then
        cursor.ended = true
    end
    cursor.chunk = math.min(cursor.chunk * 2, LARGEST_CHUNK)
end
function read(cursor, query)
    local archive = cursor.archive
    local items = {}
    local results, problem = archive.store:find(archive.key, query)
    if results == nil then
        module:log("error", "Could not read the archive of %s: %s", archive.key, problem)
        return items
    end
    for id, stanza, when, label in results do
        items[#items + 1] = {
            id = id,
            stanza = stanza,
            when = tonumber(when) or 0,
            label = label,
            rank = cursor.rank
        }
    end
    return items
end
function rangeQuery(cursor, walk)
    local start = walk.query.start
    local ____end = walk.query["end"]
    local reverse = walk.query.reverse
    local label = cursor.archive.label
    local from = cursor.last or walk.from
    local id = from ~= nil and from.rank == cursor.rank and (label or from.label) == from.label and from.id or nil
    local ____cursor_chunk_11 = cursor.chunk
    local ____reverse_12 = reverse
    local ____roughly_6 = roughly
    local ____temp_5
    if reverse or from == nil then
        ____temp_5 = start
    else
        ____temp_5 = math.max(start or 0, from.when)
    end
    local ____roughly_6_result_13 = ____roughly_6(____temp_5, -1)
    local ____roughly_8 = roughly
    local ____temp_7
    if not reverse or from == nil then
        ____temp_7 = ____end
    else
        ____temp_7 = math.min(____end or math.huge, from.when)
    end
    local ____roughly_8_result_14 = ____roughly_8(____temp_7, 1)
    local ____reverse_9
    if reverse then
        ____reverse_9 = nil
    else
        ____reverse_9 = id
    end
    local ____reverse_10
    if reverse then
        ____reverse_10 = id
    else
        ____reverse_10 = nil
    end
    return {
        with = label,
        limit = ____cursor_chunk_11,
        reverse = ____reverse_12,
        start = ____roughly_6_result_13,
        ["end"] = ____roughly_8_result_14,
        after = ____reverse_9,
        before = ____reverse_10
    }
end
function roughly(seconds, more)
    local ____temp_15
    if seconds == nil then
        ____temp_15 = nil
    else
        ____temp_15 = math.floor(seconds) + more
    end
    return ____temp_15
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
    local inTime = item.when >= (query.start or 0) and item.when <= (query["end"] or math.huge)
    if inTime and cursor.archive.holds(item.label) and query.wants(item.stanza) then
        local ____cursor_items_16 = cursor.items
        ____cursor_items_16[#____cursor_items_16 + 1] = item
    end
end
function isPast(place, item, reverse)
    local ____temp_17
    if place.rank == item.rank then
        ____temp_17 = place.id ~= item.id
    else
        ____temp_17 = isAhead(item, place, reverse)
    end
    return ____temp_17
end
function isAtOrPast(place, item, reverse)
    if place.rank ~= item.rank then
        return isAhead(item, place, reverse)
    end
    local ____temp_19 = place.id == item.id
    if not ____temp_19 then
        local ____reverse_18
        if reverse then
            ____reverse_18 = item.when < place.when
        else
            ____reverse_18 = item.when > place.when
        end
        ____temp_19 = ____reverse_18
    end
    return ____temp_19
end
function isAhead(one, other, reverse)
    local isLater = one.when > other.when or one.when == other.when and one.rank > other.rank
    return isLater ~= reverse
end
LARGEST_CHUNK = 1000
COUNTED = 10000
--- A page of these archives; undefined if an id that the query names is not in them.
function ____exports.readPage(archives, query)
    local ____temp_0
    if query.after == nil then
        ____temp_0 = nil
    else
        ____temp_0 = findPlace(archives, query.after)
    end
    local after = ____temp_0
    local ____temp_1
    if query.before == nil then
        ____temp_1 = nil
    else
        ____temp_1 = findPlace(archives, query.before)
    end
    local before = ____temp_1
    if after == nil ~= (query.after == nil) or before == nil ~= (query.before == nil) then
        return nil
    end
    local walk = query.reverse and ({query = query, from = before, to = after}) or ({query = query, from = after, to = before})
    local cursors = query.ids == nil and openCursors(archives, query.max) or readIds(archives, walk, query.ids)
    if cursors == nil then
        return nil
    end
    return query.max == 0 and countItems(cursors, walk) or takePage(cursors, walk)
end
return ____exports
 end,
["options"] = function(...)
local ____exports = {}
local text, oneOf, archiveOption, count, period, parsePeriod, refuse, units
function text(name)
    local value = module:get_option(name)
    if value == nil or type(value) == "string" and value ~= "" then
        return value
    end
    refuse(name, value, "a text", nil)
    return nil
end
function oneOf(name, fallback, values)
    local ____temp_0 = module:get_option(name)
    if ____temp_0 == nil then
        ____temp_0 = fallback
    end
    local value = ____temp_0
    for ____, allowed in ipairs(values) do
        if value == allowed then
            return allowed
        end
    end
    return refuse(
        name,
        value,
        "one of " .. table.concat(values, ", "),
        fallback
    )
end
function archiveOption()
    local ____temp_1 = module:get_option("minimix_archive")
    if ____temp_1 == nil then
        ____temp_1 = true
    end
    local value = ____temp_1
    if value == true or value == false or value == "mam" then
        return value
    end
    return refuse("minimix_archive", value, "true, false or \"mam\"", true)
end
function count(name, fallback, least)
    local ____temp_2 = module:get_option(name)
    if ____temp_2 == nil then
        ____temp_2 = fallback
    end
    local value = ____temp_2
    if type(value) == "number" and value >= least and value == math.floor(value) then
        return value
    end
    return refuse(
        name,
        value,
        "a whole number from " .. tostring(least),
        fallback
    )
end
function period(name, fallback, least)
    local ____temp_3 = module:get_option(name)
    if ____temp_3 == nil then
        ____temp_3 = fallback
    end
    local value = ____temp_3
    local seconds = value == "never" and math.huge or parsePeriod(value)
    if seconds ~= nil and seconds >= least then
        return seconds
    end
    return refuse(
        name,
        value,
        ("a number of seconds from " .. tostring(least)) .. ", or a text such as \"5 minutes\"",
        fallback
    )
end
function parsePeriod(value)
    if type(value) ~= "string" then
        return type(value) == "number" and value or nil
    end
    local amount, unit = string.match(
        string.lower(value),
        "^(%d+)%s*([smhdwy]?[io]?n?)"
    )
    local factor = units[unit or ""]
    local ____temp_4
    if factor == nil then
        ____temp_4 = nil
    else
        ____temp_4 = (tonumber(amount) or 0) * factor
    end
    return ____temp_4
end
function refuse(name, value, wanted, fallback)
    module:log(
        "error",
        "Option %s is to be %s, not %s; using %s",
        name,
        wanted,
        tostring(value),
        tostring(fallback)
    )
    return fallback
end
local DAY = 86400
units = {}
units.s = 1
units.min = 60
units.h = 3600
units.ho = 3600
units.d = DAY
units.w = 7 * DAY
units.mon = 31 * DAY
units.y = 365.2425 * DAY
--- The fixed resource of the occupant JID, or undefined for the bare JID.
____exports.resource = text("minimix_resource")
--- Seconds that a room has to answer a join or a leave.
____exports.answerTimeout = period("minimix_join_timeout", 60, 1)
--- IQs of one session that wait for an answer at a time; and the seconds that an answer may take.
____exports.maxPendingIqs = count("minimix_max_pending_iqs", 64, 1)
____exports.iqTimeout = period("minimix_iq_timeout", 120, 1)
--- Seconds without any session attached after which the room is shown so; and how: `<show/>`, or "none" to look available.
____exports.detachedAfter = period("minimix_detached_after", 300, 0)
____exports.detachedShow = oneOf("minimix_detached_show", "xa", {"xa", "away", "dnd", "none"})
--- Seconds after which a quiet room is asked whether the account is still in it.
____exports.pingAfter = period("minimix_ping_after", 900, 1)
--- Rooms that accounts come back to in a second when the server starts.
____exports.rejoinRate = count("minimix_rejoin_rate", 100, 1)
--- Seconds without a session after which an account leaves its rooms.
____exports.inactiveAfter = period("minimix_inactive_after", 30 * DAY, 1)
--- Whether messages of rooms are kept: in an archive of our own, in mod_mam's (a copy for each account), or not at all.
____exports.archive = archiveOption()
--- Seconds that messages are kept.
____exports.archiveExpiresAfter = period("minimix_archive_expires_after", 7 * DAY, 60)
--- Where mod_mam keeps its archive, and what it gives of it at a time: its own options.
____exports.personalArchive = text("archive_store") or "archive"
____exports.maxArchivePage = count("max_archive_query_results", 50, 0)
--- Messages of the past that a joining session is sent when it does not say how many, and at the most.
____exports.history = count("minimix_history", 20, 0)
____exports.maxHistory = count("minimix_max_history", 1000, 0)
--- Whether stanzas are written as text once for all; off only to show in tests that it makes no difference.
____exports.readyText = module:get_option("minimix_ready_text") ~= false
--- Accounts of an anonymous host end with their last session, and nothing of them is kept.
____exports.anonymous = module:get_option("authentication") == "anonymous"
return ____exports
 end,
["namespaces"] = function(...)
local ____exports = {}
____exports.MUC = "http://jabber.org/protocol/muc"
____exports.MUC_OWNER = "http://jabber.org/protocol/muc#owner"
____exports.MUC_USER = "http://jabber.org/protocol/muc#user"
____exports.AFFILIATIONS = "urn:xmpp:muc:affiliations:1"
____exports.CARBONS = "urn:xmpp:carbons:2"
____exports.CONFERENCE = "jabber:x:conference"
____exports.DATAFORM = "jabber:x:data"
____exports.DELAY = "urn:xmpp:delay"
____exports.FORWARD = "urn:xmpp:forward:0"
____exports.HINTS = "urn:xmpp:hints"
____exports.PING = "urn:xmpp:ping"
____exports.PUBSUB = "http://jabber.org/protocol/pubsub"
____exports.MAM = "urn:xmpp:mam:2"
____exports.RSM = "http://jabber.org/protocol/rsm"
____exports.STANZA_ID = "urn:xmpp:sid:0"
____exports.VCARD = "vcard-temp"
____exports.VCARD_UPDATE = "vcard-temp:x:update"
return ____exports
 end,
["text"] = function(...)
local ____exports = {}
local write, writeAttributes, sortNames, prefixedAttribute, source, sourceTags, sourceText, SEPARATOR, names
local st = require("util.stanza")
function write(element, parts, outerNamespace)
    local attr = element.attr
    parts[#parts + 1] = "<"
    parts[#parts + 1] = element.name
    writeAttributes(attr, parts, outerNamespace)
    local children = element
    if #children == 0 then
        parts[#parts + 1] = "/>"
        return
    end
    parts[#parts + 1] = ">"
    for ____, child in ipairs(children) do
        if type(child) == "string" then
            parts[#parts + 1] = st.xml_escape(child)
        else
            write(child, parts, attr.xmlns)
        end
    end
    parts[#parts + 1] = "</"
    parts[#parts + 1] = element.name
    parts[#parts + 1] = ">"
end
function writeAttributes(attr, parts, outerNamespace)
    local count = sortNames(attr)
    local prefixes = 0
    for i = 0, count - 1 do
        local name = names[i + 1] or ""
        local value = attr[name] or ""
        if (string.match(name, SEPARATOR)) ~= nil then
            prefixes = prefixes + 1
            parts[#parts + 1] = prefixedAttribute(name, value, prefixes)
        elseif name ~= "xmlns" or value ~= outerNamespace then
            parts[#parts + 1] = (((" " .. name) .. "='") .. st.xml_escape(value)) .. "'"
        end
    end
end
function sortNames(attr)
    local count = 0
    for key in pairs(attr) do
        local name = key
        local at = count
        while at > 0 and (names[at] or "") > name do
            names[at + 1] = names[at] or ""
            at = at - 1
        end
        names[at + 1] = name
        count = count + 1
    end
    return count
end
function prefixedAttribute(name, value, number)
    local namespace, ____local = string.match(name, ("^(.-)" .. SEPARATOR) .. "(.*)$")
    local prefix = "ns" .. string.format("%d", number)
    return (((((((((" xmlns:" .. prefix) .. "='") .. st.xml_escape(namespace or "")) .. "' ") .. prefix) .. ":") .. (____local or "")) .. "='") .. st.xml_escape(value)) .. "'"
end
--- A stanza as XML without `to`, and the same text for the same content: attributes stand in order of their names, where
-- `tostring` writes them in the order of a hash, which is another for every copy (util/stanza.lua, _dostring).
function ____exports.textOf(stanza)
    if stanza ~= source or #stanza.tags ~= sourceTags then
        local parts = {}
        local to = stanza.attr.to
        stanza.attr.to = nil
        write(stanza, parts, nil)
        stanza.attr.to = to
        source = stanza
        sourceTags = #stanza.tags
        sourceText = table.concat(parts)
    end
    return sourceText
end
sourceTags = 0
sourceText = ""
SEPARATOR = string.char(1)
names = {}
return ____exports
 end,
["state.held"] = function(...)
local ____exports = {}
local toldAgain
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local MUC_USER = ____namespaces.MUC_USER
local ____text = require("text")
local textOf = ____text.textOf
function toldAgain(presence)
    local x = presence:get_child("x", MUC_USER)
    local ____temp_0
    if x == nil then
        ____temp_0 = nil
    else
        ____temp_0 = x:get_child("item")
    end
    local item = ____temp_0
    if item == nil or #item.tags == 0 then
        return presence
    end
    local copy = st.clone(presence)
    local copied = copy:get_child("x", MUC_USER)
    if copied ~= nil then
        for ____, tag in ipairs(copied.tags) do
            tag:maptags(function(child)
                local ____temp_1
                if child.name == "actor" or child.name == "reason" then
                    ____temp_1 = nil
                else
                    ____temp_1 = child
                end
                return ____temp_1
            end)
        end
    end
    return copy
end
--- By text. Entries go with the last membership that refers to them.
local held = setmetatable({}, {__mode = "v"})
--- The stanza held last and what became of it: a room of this server hands one table to every account.
local source
local latest
--- What is to be shown of a presence to those who come later.
function ____exports.hold(presence)
    if presence == source and latest ~= nil then
        return latest
    end
    local lasting = toldAgain(presence)
    local text = textOf(lasting)
    local found = held[text]
    if found == nil then
        local stanza = st.clone(lasting)
        stanza.attr.to = nil
        found = {stanza = stanza, text = text}
        held[text] = found
    end
    source = presence
    latest = found
    return found
end
return ____exports
 end,
["state.sessions"] = function(...)
local ____exports = {}
local joined = {}
function ____exports.noteJoined(session, room)
    local rooms = joined[session]
    if rooms == nil then
        rooms = {}
        joined[session] = rooms
    end
    rooms[room] = true
end
function ____exports.hasJoined(session, room)
    local rooms = joined[session]
    return rooms ~= nil and rooms[room] ~= nil
end
--- The session is no more.
function ____exports.forgetJoined(session)
    joined[session] = nil
end
return ____exports
 end,
["state.memberships"] = function(...)
local ____exports = {}
local membershipList, isEmpty, NOBODY
local cache = require("util.cache")
local jids = require("util.jid")
local options = require("options")
local ____sessions = require("state.sessions")
local noteJoined = ____sessions.noteJoined
function membershipList(account)
    local list = {}
    for ____, membership in pairs(account.memberships) do
        list[#list + 1] = membership
    end
    return list
end
function ____exports.stopTimer(membership)
    if membership.timer ~= nil then
        membership.timer:stop()
        membership.timer = nil
    end
end
function isEmpty(map)
    return (next(map)) == nil
end
--- The session whose join the room itself answers while the account is in the room already.
function ____exports.askingSession(membership)
    local resync = membership.resync
    local ____temp_1
    if resync == nil or resync.request == nil then
        ____temp_1 = nil
    else
        ____temp_1 = resync.request.session
    end
    return ____temp_1
end
--- Takes a session out of the line, or out of the resync made for it; whether it stood there.
function ____exports.stopWaiting(membership, session)
    local others = {}
    local found = false
    for ____, request in ipairs(membership.waiting) do
        if request.session == session then
            found = true
        else
            others[#others + 1] = request
        end
    end
    membership.waiting = others
    local resync = membership.resync
    if resync ~= nil and resync.request ~= nil and resync.request.session == session then
        resync.request.session = nil
        return true
    end
    return found
end
--- Errors come back at once or never; older messages are forgotten.
local UNREFLECTED_MESSAGES = 64
--- By occupant JID, which is what stanzas from rooms are addressed to.
____exports.accounts = {}
--- The address the account uses towards rooms. Nothing else in the module knows its shape.
function ____exports.occupantJid(username)
    return jids.join(username, module.host, options.resource)
end
--- Whether rooms know an account by this JID; sessions may have joined some by their own.
function ____exports.isOccupantJid(jid)
    return ____exports.occupantJid(jids.node(jid) or "") == jid
end
function ____exports.findAccount(username)
    return ____exports.accounts[____exports.occupantJid(username)]
end
--- The membership of the account behind an occupant JID in a room (both as in a stanza's addresses, prepped).
function ____exports.findMembership(occupant, room)
    local account = ____exports.accounts[occupant]
    if account == nil then
        return nil
    end
    return account.memberships[room]
end
--- The membership of a session's account in a room.
function ____exports.membershipOf(session, room)
    return ____exports.findMembership(
        ____exports.occupantJid(session.username),
        room
    )
end
--- All memberships of an account, as a list: its user may drop memberships while going through it.
function ____exports.membershipsOf(username)
    local account = ____exports.findAccount(username)
    return account == nil and ({}) or membershipList(account)
end
--- All memberships of this host, as a list.
function ____exports.allMemberships()
    local list = {}
    for ____, account in pairs(____exports.accounts) do
        for ____, membership in pairs(account.memberships) do
            list[#list + 1] = membership
        end
    end
    return list
end
--- A new membership, of an account that is not in the room yet.
function ____exports.createMembership(username, room, nick)
    local occupant = ____exports.occupantJid(username)
    local account = ____exports.accounts[occupant]
    if account == nil then
        account = {
            username = username,
            memberships = {},
            seen = os.time(),
            parts = nil
        }
        ____exports.accounts[occupant] = account
    end
    local membership = {
        username = username,
        occupant = occupant,
        room = room,
        phase = "joining",
        established = false,
        since = nil,
        nick = nick,
        wantedNick = nick,
        password = nil,
        attached = {},
        shown = nil,
        shownPresence = nil,
        detachedAt = nil,
        request = nil,
        waiting = {},
        timer = nil,
        tries = 0,
        heard = false,
        checking = false,
        unanswered = 0,
        resync = nil,
        nickRequests = {},
        unreflected = cache.new(UNREFLECTED_MESSAGES),
        log = nil,
        part = nil,
        catchUp = nil,
        occupants = {},
        self = nil,
        roomPresence = nil,
        subject = nil,
        nonAnonymous = false,
        logged = false
    }
    account.memberships[room] = membership
    return membership
end
--- Forgets a membership, and the account when it was the last.
function ____exports.dropMembership(membership)
    ____exports.stopTimer(membership)
    local account = ____exports.accounts[membership.occupant]
    if account == nil then
        return
    end
    account.memberships[membership.room] = nil
    if isEmpty(account.memberships) then
        ____exports.accounts[membership.occupant] = nil
    end
end
--- Whether this is still the account's membership in that room, and not one dropped meanwhile.
function ____exports.isCurrent(membership)
    return ____exports.findMembership(membership.occupant, membership.room) == membership
end
--- Sets what ends the phase if the room does not, in place of what was set before.
function ____exports.setTimer(membership, seconds, callback)
    ____exports.stopTimer(membership)
    membership.timer = module:add_timer(
        seconds,
        function()
            membership.timer = nil
            callback()
            return nil
        end
    )
end
--- Whether the account is in the room as far as anybody can tell.
function ____exports.isReached(membership)
    local inside = membership.phase == "joined" or membership.phase == "entering"
    return inside and membership.unanswered == 0
end
--- Whether the account is out of the room for now and on its way back, which its sessions do not know.
function ____exports.isComingBack(membership)
    return membership.phase == "lost" or membership.phase == "joining" and membership.request == nil
end
function ____exports.isAttached(membership, session)
    return session ~= nil and membership.attached[session] ~= nil
end
function ____exports.hasAttached(membership)
    return not isEmpty(membership.attached)
end
function ____exports.attachSession(membership, session, presence, id)
    noteJoined(session, membership.room)
    membership.attached[session] = {presence = presence, id = id}
    membership.detachedAt = nil
end
function ____exports.detachSession(membership, session)
    membership.attached[session] = nil
    if not ____exports.hasAttached(membership) and membership.detachedAt == nil then
        membership.detachedAt = os.time()
    end
end
function ____exports.detachAll(membership)
    for session in pairs(membership.attached) do
        ____exports.detachSession(membership, session)
    end
end
--- Puts a request in line, in place of an earlier one of the same session.
function ____exports.wait(membership, request)
    if request.session ~= nil then
        ____exports.stopWaiting(membership, request.session)
    end
    local ____membership_waiting_0 = membership.waiting
    ____membership_waiting_0[#____membership_waiting_0 + 1] = request
end
--- The first in line, who stands there no longer.
function ____exports.nextWaiting(membership)
    return table.remove(membership.waiting, 1)
end
function ____exports.isWaiting(membership, session)
    for ____, request in ipairs(membership.waiting) do
        if request.session == session then
            return true
        end
    end
    return ____exports.askingSession(membership) == session
end
--- Whether somebody is about to join, though not attached yet.
function ____exports.hasWaiting(membership)
    return #membership.waiting > 0 or ____exports.askingSession(membership) ~= nil
end
--- A session is gone: what it asked for is nobody's now.
function ____exports.forgetSession(membership, session)
    ____exports.stopWaiting(membership, session)
    if membership.request ~= nil and membership.request.session == session then
        membership.request.session = nil
    end
    for ____, request in pairs(membership.nickRequests) do
        if request.session == session then
            request.session = nil
        end
    end
    for ____, senders in membership.unreflected:items() do
        for i = 1, #senders do
            if senders[i] == session then
                senders[i] = NOBODY
            end
        end
    end
end
--- Stands for a session that is gone: no session has an empty name.
NOBODY = ""
--- Notes who sent a message: its error is for that session. Two sessions may well use the same id.
function ____exports.noteSent(membership, id, session)
    local senders = membership.unreflected:get(id or "")
    if senders == nil then
        membership.unreflected:set(id or "", {session})
    elseif #senders < UNREFLECTED_MESSAGES then
        senders[#senders + 1] = session
    end
end
--- Who sent the message that a room reflects or refuses, in the order they were sent; it will do so only once.
function ____exports.takeSender(membership, id)
    local senders = membership.unreflected:get(id or "")
    if senders == nil then
        return nil
    end
    local sender = table.remove(senders, 1)
    if #senders == 0 then
        membership.unreflected:set(id or "", nil)
    end
    return sender
end
--- Forgets what the room showed: the next join starts from nothing.
function ____exports.forgetRoom(membership)
    for nick in pairs(membership.occupants) do
        membership.occupants[nick] = nil
    end
    membership.self = nil
    membership.roomPresence = nil
    membership.subject = nil
    membership.nonAnonymous = false
    membership.logged = false
end
return ____exports
 end,
["state.logs"] = function(...)
local ____exports = {}
____exports.OPEN = 0
--- Entries of a room held in memory: what is replayed to a client that asks for nothing special, and then some.
____exports.RECENT = 50
local logs = {}
local lastNumber = os.time() * 1000
--- What this start of the server found: entries of before are numbered lower, those to come higher.
____exports.START = lastNumber
--- The next number, higher than all before, those of earlier starts of the server too.
function ____exports.nextNumber()
    lastNumber = math.max(
        lastNumber + 1,
        os.time() * 1000
    )
    return lastNumber
end
function ____exports.logOf(room)
    local log = logs[room]
    if log == nil then
        log = {
            room = room,
            last = ____exports.START,
            recent = {},
            filled = false,
            source = nil,
            current = nil,
            readers = {},
            settling = false
        }
        logs[room] = log
    end
    return log
end
--- Frees the memory of a log that no account of this host reads any more.
function ____exports.dropLog(log)
    logs[log.room] = nil
end
function ____exports.addRecent(log, entry)
    local ____log_recent_0 = log.recent
    ____log_recent_0[#____log_recent_0 + 1] = entry
    if #log.recent > ____exports.RECENT then
        table.remove(log.recent, 1)
        log.filled = true
    end
end
--- Puts entries of before this start in front of what has come since.
function ____exports.fillRecent(log, entries)
    for i = #entries, 1, -1 do
        local entry = entries[i]
        if entry ~= nil and #log.recent < ____exports.RECENT then
            table.insert(log.recent, 1, entry)
        end
    end
end
--- Takes over a log from the instance of the module before a reload.
function ____exports.restoreLog(log)
    logs[log.room] = log
    log.settling = false
end
return ____exports
 end,
["stanzas"] = function(...)
local ____exports = {}
local isSameAttributes, kept
local datetime = require("util.datetime")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local DELAY = ____namespaces.DELAY
local HINTS = ____namespaces.HINTS
local STANZA_ID = ____namespaces.STANZA_ID
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
--- Rooms mark the past in their own name (XEP-0045 7.2.14), some leave the name out; a client's own delay is another.
function ____exports.isDelayBy(tag, room)
    return tag.name == "delay" and tag.attr.xmlns == DELAY and (tag.attr.from == nil or tag.attr.from == room)
end
--- Whether two elements say the same: name, attributes, children, in this order. `ignored` is an attribute of theirs.
function ____exports.isSameElement(one, other, ignored)
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
            if not ____exports.isSameElement(child, counterpart) then
                return false
            end
        elseif child ~= counterpart then
            return false
        end
    end
    return true
end
--- The id that a room gave a message (XEP-0359).
function ____exports.stanzaIdBy(stanza, room)
    local element = stanza:get_child_with_attr("stanza-id", STANZA_ID, "by", room)
    local ____temp_0
    if element == nil then
        ____temp_0 = nil
    else
        ____temp_0 = element.attr.id
    end
    return ____temp_0
end
--- The stamp by which a room marks a message of the past (XEP-0045 7.2.14); undefined for what is said now.
function ____exports.delayBy(stanza, room)
    for ____, tag in ipairs(stanza.tags) do
        if ____exports.isDelayBy(tag, room) then
            return tag.attr.stamp
        end
    end
    return nil
end
--- Marks a message as one of the past, in the name of its room.
function ____exports.addDelay(stanza, room, when)
    stanza:add_direct_child(st.stanza(
        "delay",
        {
            xmlns = DELAY,
            from = room,
            stamp = datetime.datetime(when)
        }
    ))
end
--- Whether a message of a room is worth keeping: what mod_mam's `should_store` says of messages of other types.
function ____exports.isWorthKeeping(stanza)
    if stanza:get_child("no-store", HINTS) ~= nil or stanza:get_child("no-permanent-store", HINTS) ~= nil then
        return false
    end
    for ____, tag in ipairs(stanza.tags) do
        local keep = kept[tag.attr.xmlns or ""]
        if keep == true or keep == tag.name or tag.name == "body" then
            return true
        end
    end
    return false
end
--- Payload by which a message without a body is kept: the element's name, or true for all of the namespace.
kept = {}
kept[HINTS] = "store"
kept["urn:xmpp:eme:0"] = "encryption"
kept["urn:xmpp:receipts"] = true
kept["urn:xmpp:chat-markers:0"] = true
kept["urn:xmpp:jingle-message:0"] = true
kept["urn:xmpp:jingle-message:1"] = true
return ____exports
 end,
["keep.log"] = function(...)
local ____exports = {}
local isAnothers, entryFor, newEntry, isSameMessage, pastEntry, withoutDelay, append, write, keyOf, receive, receivePast, start, stop, isOpen, includes, insert, settleSoon, settle, markChanged, saveParts, partsOf, rangesOf, fill, find, nothing, storedEntry, parseLabel, mayRead, storedParts, deleteUnread, stringsOf, store, partsStore, SETTLE, changed
local datetime = require("util.datetime")
local hashes = require("util.hashes")
local st = require("util.stanza")
local options = require("options")
local ____logs = require("state.logs")
local addRecent = ____logs.addRecent
local dropLog = ____logs.dropLog
local fillRecent = ____logs.fillRecent
local logOf = ____logs.logOf
local nextNumber = ____logs.nextNumber
local OPEN = ____logs.OPEN
local RECENT = ____logs.RECENT
local START = ____logs.START
local ____memberships = require("state.memberships")
local accounts = ____memberships.accounts
local findAccount = ____memberships.findAccount
local ____stanzas = require("stanzas")
local delayBy = ____stanzas.delayBy
local isDelayBy = ____stanzas.isDelayBy
local isSameElement = ____stanzas.isSameElement
local isWorthKeeping = ____stanzas.isWorthKeeping
local stanzaIdBy = ____stanzas.stanzaIdBy
function isAnothers(entry, membership)
    return entry ~= nil and entry.owner ~= nil and entry.owner ~= membership.username
end
function entryFor(log, membership, part, stanza)
    local stamp = delayBy(stanza, log.room)
    local ____temp_1
    if stamp == nil then
        ____temp_1 = nil
    else
        ____temp_1 = datetime.parse(stamp)
    end
    local past = ____temp_1
    local ____temp_2
    if past == nil then
        ____temp_2 = newEntry(log, membership, part, stanza)
    else
        ____temp_2 = pastEntry(log, stanza, past)
    end
    return ____temp_2
end
function newEntry(log, membership, part, stanza)
    local owner
    for i = #log.recent, 1, -1 do
        local entry = log.recent[i]
        if entry == nil or entry.number <= part.position then
            break
        end
        if entry.owner == nil or entry.owner == membership.username then
            if isSameElement(entry.stanza, stanza, "to") then
                return entry
            end
            if isSameMessage(log, entry.stanza, stanza) then
                owner = membership.username
            end
        end
    end
    local content = st.clone(stanza)
    content.attr.to = nil
    return append(
        log,
        content,
        os.time(),
        owner
    )
end
function isSameMessage(log, one, other)
    local id = stanzaIdBy(one, log.room) or one.attr.id
    return id ~= nil and one.attr.from == other.attr.from and id == (stanzaIdBy(other, log.room) or other.attr.id)
end
function pastEntry(log, stanza, when)
    fill(log)
    local content = withoutDelay(log, stanza)
    local newest
    for ____, entry in ipairs(log.recent) do
        if entry.owner == nil and (isSameElement(entry.stanza, content) or isSameMessage(log, entry.stanza, content)) then
            return entry
        end
        newest = entry
    end
    local ____temp_3
    if newest == nil or newest.when <= when then
        ____temp_3 = append(log, content, when, nil)
    else
        ____temp_3 = nil
    end
    return ____temp_3
end
function withoutDelay(log, stanza)
    local content = st.clone(stanza)
    content.attr.to = nil
    content:maptags(function(tag)
        local ____isDelayBy_result_4
        if isDelayBy(tag, log.room) then
            ____isDelayBy_result_4 = nil
        else
            ____isDelayBy_result_4 = tag
        end
        return ____isDelayBy_result_4
    end)
    return content
end
function append(log, stanza, when, owner)
    local number = nextNumber()
    local label = string.format("%d", number)
    local id = write(log.room, stanza, when, owner == nil and label or (label .. " ") .. owner)
    if id == nil then
        return nil
    end
    local entry = {
        number = number,
        before = owner == nil and log.last or nil,
        owner = owner,
        id = id,
        when = when,
        stanza = stanza
    }
    addRecent(log, entry)
    if owner == nil then
        log.last = number
        settleSoon(log)
    end
    return entry
end
function write(room, stanza, when, label)
    local key = keyOf(room)
    local id, problem = store:append(
        key,
        nil,
        stanza,
        when,
        label
    )
    if id == nil and problem == "quota-limit" and store.caps ~= nil and store.caps.quota ~= nil then
        store:delete(
            key,
            {truncate = math.floor(store.caps.quota * 0.99)}
        )
        id, problem = store:append(
            key,
            nil,
            stanza,
            when,
            label
        )
    end
    if id == nil then
        module:log("error", "Could not store a message of %s: %s", room, problem)
    end
    return id
end
function keyOf(room)
    return string.len(room) <= 80 and room or hashes.sha1(room, true)
end
function receive(membership, log, part, entry)
    if entry.owner ~= nil then
        return true
    end
    if entry.number <= part.position then
        return receivePast(membership, part, entry)
    end
    if not part.open or entry.before ~= part.position then
        if part.open then
            stop(membership, part)
        end
        start(membership, part, entry)
        settleSoon(log)
    end
    part.position = entry.number
    return true
end
function receivePast(membership, part, entry)
    local ranges = rangesOf(membership)
    if includes(ranges, part, entry.number) then
        return false
    end
    insert(ranges, entry)
    markChanged(membership)
    return true
end
function start(membership, part, entry)
    local ranges = rangesOf(membership)
    local last = #ranges - 1
    if last > 0 and ranges[last + 1] == entry.before then
        ranges[last + 1] = OPEN
    else
        ranges[#ranges + 1] = entry.number
        ranges[#ranges + 1] = OPEN
    end
    part.open = true
    markChanged(membership)
end
function stop(membership, part)
    local ranges = rangesOf(membership)
    if isOpen(ranges) then
        ranges[#ranges] = part.position
    end
    part.open = false
    markChanged(membership)
end
function isOpen(ranges)
    return #ranges > 0 and ranges[#ranges] == OPEN
end
function includes(ranges, part, number)
    for i = 1, #ranges, 2 do
        local first = ranges[i] or 0
        local last = ranges[i + 1] or 0
        local ____end = last == OPEN and (part == nil and START or part.position) or last
        if number >= first and number <= ____end then
            return true
        end
    end
    return false
end
function insert(ranges, entry)
    local at = #ranges
    while at > 0 and (ranges[at - 2 + 1] or 0) > entry.number do
        at = at - 2
    end
    if at > 0 and ranges[at] == entry.before then
        ranges[at] = entry.number
    else
        table.insert(ranges, at + 1, entry.number)
        table.insert(ranges, at + 2, entry.number)
    end
end
function settleSoon(log)
    if log.settling then
        return
    end
    log.settling = true
    module:add_timer(
        SETTLE,
        function()
            log.settling = false
            settle(log)
            return nil
        end
    )
end
function settle(log)
    for ____, membership in pairs(log.readers) do
        local part = membership.part
        if part ~= nil and part.open and part.position ~= log.last then
            stop(membership, part)
        end
    end
    ____exports.saveChanged()
end
function markChanged(membership)
    changed[membership.username] = true
end
--- Writes what is not written yet.
function ____exports.saveChanged()
    for username in pairs(changed) do
        saveParts(username)
    end
end
function saveParts(username)
    changed[username] = nil
    local account = findAccount(username)
    if account ~= nil and account.parts ~= nil and not options.anonymous then
        partsStore:set(username, account.parts)
    end
end
function partsOf(account)
    if account.parts == nil then
        account.parts = (partsStore:get(account.username)) or ({})
    end
    return account.parts
end
function rangesOf(membership)
    local account = accounts[membership.occupant]
    if account == nil then
        return {}
    end
    local parts = partsOf(account)
    local ranges = parts[membership.room]
    if ranges == nil then
        ranges = {}
        parts[membership.room] = ranges
    end
    return ranges
end
function fill(log)
    if log.filled then
        return
    end
    log.filled = true
    local first = log.recent[1]
    local entries = {}
    for id, stanza, when, label in find(log.room, {reverse = true, limit = RECENT}) do
        local entry = storedEntry(id, stanza, when, label)
        if first == nil or entry.number < first.number then
            table.insert(entries, 1, entry)
        end
    end
    fillRecent(log, entries)
end
function find(room, query)
    local results, problem = store:find(
        keyOf(room),
        query
    )
    if results ~= nil then
        return results
    end
    if problem ~= "item-not-found" then
        module:log("error", "Could not read the archive of %s: %s", room, problem)
    end
    return nothing
end
function nothing()
    return nil
end
function storedEntry(id, stanza, when, label)
    local number, owner = parseLabel(label)
    return {
        number = number,
        before = nil,
        owner = owner,
        id = id,
        when = when,
        stanza = stanza
    }
end
function parseLabel(label)
    local digits, owner = string.match(label, "^(%d+) ?(.*)$")
    local ____temp_6 = tonumber(digits) or 0
    local ____temp_5
    if owner == "" then
        ____temp_5 = nil
    else
        ____temp_5 = owner
    end
    return ____temp_6, ____temp_5
end
function mayRead(username, ranges, part, label)
    local number, owner = parseLabel(label)
    local ____temp_9
    if owner == nil then
        ____temp_9 = includes(ranges, part, number)
    else
        ____temp_9 = owner == username
    end
    return ____temp_9
end
--- Rooms of whose log an account got something, the ones it has left included.
function ____exports.roomsRead(username)
    local rooms = {}
    for room in pairs(storedParts(
        username,
        findAccount(username)
    )) do
        rooms[#rooms + 1] = room
    end
    table.sort(rooms)
    return rooms
end
function storedParts(username, account)
    return account == nil and ((partsStore:get(username)) or ({})) or partsOf(account)
end
function deleteUnread()
    local wanted = {}
    for ____, username in ipairs(stringsOf(partsStore:users())) do
        for ____, room in ipairs(____exports.roomsRead(username)) do
            wanted[keyOf(room)] = true
        end
    end
    for ____, key in ipairs(stringsOf(store:users())) do
        if not (wanted[key] ~= nil) then
            store:delete(key)
        end
    end
end
function stringsOf(iterator)
    local list = {}
    for value in iterator do
        if type(value) == "string" and value ~= "" then
            list[#list + 1] = value
        end
    end
    return list
end
store = module:open_store("minimix_archive", "archive")
partsStore = module:open_store("minimix_parts", "keyval")
SETTLE = 1
--- The account came into the room: what is said from now on is for it.
function ____exports.openPart(membership)
    if options.archive ~= true or membership.part ~= nil then
        return
    end
    local log = logOf(membership.room)
    local open = isOpen(rangesOf(membership))
    membership.part = {open = open, position = open and START or log.last}
    membership.log = log
    log.readers[membership.username] = membership
end
--- The account is out of the room.
function ____exports.closePart(membership)
    local log = membership.log
    local part = membership.part
    membership.log = nil
    membership.part = nil
    if log == nil or part == nil then
        return
    end
    log.readers[membership.username] = nil
    if (next(log.readers)) == nil then
        dropLog(log)
    end
    if part.open then
        stop(membership, part)
        saveParts(membership.username)
    end
end
--- Takes down a message that an account was shown. Gives its entry if it is worth one and the account has not had it
-- before. A room of this server hands the same table to every account (muc.lib.lua, broadcast), so that all but the
-- first only look at what was taken down last.
function ____exports.takeDown(membership, stanza)
    local log = membership.log
    local part = membership.part
    if log == nil or part == nil then
        return nil
    end
    if log.source ~= stanza or isAnothers(log.current, membership) then
        log.source = stanza
        local ____isWorthKeeping_result_0
        if isWorthKeeping(stanza) then
            ____isWorthKeeping_result_0 = entryFor(log, membership, part, stanza)
        else
            ____isWorthKeeping_result_0 = nil
        end
        log.current = ____isWorthKeeping_result_0
    end
    local entry = log.current
    if entry == nil or not receive(membership, log, part, entry) then
        return nil
    end
    return entry
end
changed = {}
--- What an account got of a room's log, left rooms included; undefined if it never was in the room.
function ____exports.archiveOf(username, room)
    local account = findAccount(username)
    local ranges = storedParts(username, account)[room]
    local ____temp_7
    if account == nil then
        ____temp_7 = nil
    else
        ____temp_7 = account.memberships[room]
    end
    local membership = ____temp_7
    local ____temp_8
    if membership == nil then
        ____temp_8 = nil
    else
        ____temp_8 = membership.part
    end
    local part = ____temp_8
    if ranges == nil and part == nil then
        return nil
    end
    return {
        store = store,
        key = keyOf(room),
        label = nil,
        holds = function(label) return mayRead(username, ranges or ({}), part, label) end
    }
end
--- What an account may read of a room's log, in its order. `visit` returns true to end it.
local function read(membership, ranges, query, visit)
    for id, stanza, when, label in find(membership.room, query) do
        if mayRead(membership.username, ranges, membership.part, label) and visit(storedEntry(id, stanza, when, label)) then
            return
        end
    end
end
--- What an account got last in its room, newest first. `visit` returns true to end it. Reads from disk only what is not
-- in memory.
function ____exports.readBack(membership, visit)
    local log = membership.log
    local part = membership.part
    if log == nil or part == nil then
        return
    end
    fill(log)
    local ranges = rangesOf(membership)
    local oldest
    for i = #log.recent, 1, -1 do
        local entry = log.recent[i]
        if entry ~= nil then
            oldest = entry.id
            local isOwn = entry.owner == membership.username
            if (isOwn or entry.owner == nil and includes(ranges, part, entry.number)) and visit(entry) then
                return
            end
        end
    end
    if oldest ~= nil and #log.recent >= RECENT then
        read(membership, ranges, {reverse = true, before = oldest}, visit)
    end
end
--- What an account got last in its room.
function ____exports.newestEntry(membership)
    local newest
    ____exports.readBack(
        membership,
        function(entry)
            newest = entry
            return true
        end
    )
    return newest
end
--- Deletes what has passed its time; and the logs of rooms of which no account has a part any more.
function ____exports.expire()
    if options.archiveExpiresAfter ~= math.huge then
        local before = os.time() - options.archiveExpiresAfter
        for ____, key in ipairs(stringsOf(store:users())) do
            store:delete(key, {["end"] = before})
        end
    end
    deleteUnread()
end
return ____exports
 end,
["client.archive-form"] = function(...)
local ____exports = {}
local checkForm, isKnown, parseTime, parseBoolean, valueOf, valuesOf, text, fields, MAX_IDS
local datetime = require("util.datetime")
local jids = require("util.jid")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local DATAFORM = ____namespaces.DATAFORM
local MAM = ____namespaces.MAM
local RSM = ____namespaces.RSM
function checkForm(form)
    for ____, field in ipairs(form.tags) do
        local name = field.attr.var
        if field.name == "field" and name ~= "FORM_TYPE" and not isKnown(name) then
            return "feature-not-implemented"
        end
    end
    for ____, name in ipairs({"start", "end"}) do
        if valueOf(form, name) ~= nil and parseTime(form, name) == nil then
            return "bad-request"
        end
    end
    local ids = valuesOf(form, "ids")
    return ids ~= nil and #ids > MAX_IDS and "policy-violation" or nil
end
function isKnown(name)
    for ____, field in ipairs(fields) do
        if field.name == name then
            return true
        end
    end
    return false
end
function parseTime(form, name)
    local value = valueOf(form, name)
    local ____temp_2
    if value == nil then
        ____temp_2 = nil
    else
        ____temp_2 = datetime.parse(value)
    end
    return ____temp_2
end
function parseBoolean(value)
    if value == nil then
        return nil
    end
    return value == "true" or value == "1"
end
function valueOf(form, name)
    local values = valuesOf(form, name)
    local ____temp_3
    if values == nil then
        ____temp_3 = nil
    else
        ____temp_3 = values[1]
    end
    return ____temp_3
end
function valuesOf(form, name)
    local field = form:get_child_with_attr("field", nil, "var", name)
    if field == nil then
        return nil
    end
    local values = {}
    for ____, tag in ipairs(field.tags) do
        local ____temp_4
        if tag.name == "value" then
            ____temp_4 = text(tag:get_text())
        else
            ____temp_4 = nil
        end
        local value = ____temp_4
        if value ~= nil then
            values[#values + 1] = value
        end
    end
    local ____temp_5
    if #values == 0 then
        ____temp_5 = nil
    else
        ____temp_5 = values
    end
    return ____temp_5
end
function text(value)
    local ____temp_6
    if value == "" then
        ____temp_6 = nil
    else
        ____temp_6 = value
    end
    return ____temp_6
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
--- The form that tells clients what they may ask.
function ____exports.queryForm()
    local form = st.stanza("x", {xmlns = DATAFORM, type = "form"})
    form:tag("field", {var = "FORM_TYPE", type = "hidden"}):tag("value"):text(MAM):up():up()
    for ____, field in ipairs(fields) do
        form:tag("field", {var = field.name, type = field.type})
        if field.name == "ids" then
            form:tag("validate", {xmlns = "http://jabber.org/protocol/xdata-validate", datatype = "xs:string"})
            form:tag("open"):up():up()
        end
        form:up()
    end
    return form
end
--- With whom the messages are that a query asks for, and whether it wants those of rooms: enough to say whose it is.
function ____exports.readScope(query)
    local form = query:get_child("x", DATAFORM)
    local ____temp_0
    if form == nil then
        ____temp_0 = nil
    else
        ____temp_0 = jids.prep(valueOf(form, "with") or "")
    end
    local jid = ____temp_0
    local ____temp_1
    if form == nil then
        ____temp_1 = nil
    else
        ____temp_1 = parseBoolean(valueOf(form, "include-groupchat"))
    end
    return jid, ____temp_1
end
--- What a query asks for, or why it cannot be answered.
function ____exports.readRequest(query)
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
    local jid, includeGroupchat = ____exports.readScope(query)
    return {
        with = jid,
        includeGroupchat = includeGroupchat,
        start = parseTime(form, "start"),
        ["end"] = parseTime(form, "end"),
        after = text(set:get_child_text("after")) or valueOf(form, "after-id"),
        before = text(set:get_child_text("before")) or valueOf(form, "before-id"),
        ids = valuesOf(form, "ids"),
        reverse = set:get_child("before") ~= nil,
        flipped = query:get_child("flip-page", MAM) ~= nil,
        max = max
    }
end
return ____exports
 end,
["client.archive"] = function(...)
local ____exports = {}
local scopeOf, scopeOfAll, scopeWithoutRooms, hasPersonalArchive, personalArchive, isWanted, sendPage, result, personalStore
local datetime = require("util.datetime")
local jids = require("util.jid")
local rsm = require("util.rsm")
local st = require("util.stanza")
local ____log = require("keep.log")
local archiveOf = ____log.archiveOf
local roomsRead = ____log.roomsRead
local ____namespaces = require("namespaces")
local DELAY = ____namespaces.DELAY
local FORWARD = ____namespaces.FORWARD
local MAM = ____namespaces.MAM
local options = require("options")
local ____archive_2Dform = require("client.archive-form")
local queryForm = ____archive_2Dform.queryForm
local readRequest = ____archive_2Dform.readRequest
local readScope = ____archive_2Dform.readScope
local ____archive_2Dpage = require("client.archive-page")
local readPage = ____archive_2Dpage.readPage
function scopeOf(session, query)
    local jid, includeGroupchat = readScope(query)
    local username = session.username
    if options.archive == "mam" then
        return scopeWithoutRooms(username, jid, includeGroupchat)
    end
    if jid == nil then
        return includeGroupchat == true and hasPersonalArchive() and scopeOfAll(session) or nil
    end
    local room = jids.bare(jid)
    local log = archiveOf(username, room)
    local ____includeGroupchat_1 = includeGroupchat
    if ____includeGroupchat_1 == nil then
        ____includeGroupchat_1 = jid == room
    end
    local groupchat = ____includeGroupchat_1
    if log == nil or not groupchat then
        return nil
    end
    local archives = hasPersonalArchive() and ({
        personalArchive(username, room),
        log
    }) or ({log})
    local ____archives_3 = archives
    local ____temp_2
    if jid == room then
        ____temp_2 = nil
    else
        ____temp_2 = jid
    end
    return {archives = ____archives_3, address = ____temp_2, groupchat = groupchat}
end
function scopeOfAll(session)
    session.mam_requested = true
    local archives = {personalArchive(session.username, nil)}
    for ____, room in ipairs(roomsRead(session.username)) do
        local log = archiveOf(session.username, room)
        if log ~= nil then
            archives[#archives + 1] = log
        end
    end
    return {archives = archives, address = nil, groupchat = true}
end
function scopeWithoutRooms(username, jid, includeGroupchat)
    local ____includeGroupchat_4 = includeGroupchat
    if ____includeGroupchat_4 == nil then
        ____includeGroupchat_4 = jid ~= nil
    end
    local groupchat = ____includeGroupchat_4
    if groupchat or not hasPersonalArchive() then
        return nil
    end
    local ____temp_5
    if jid == nil then
        ____temp_5 = nil
    else
        ____temp_5 = jids.bare(jid)
    end
    local room = ____temp_5
    local ____temp_7 = {personalArchive(username, room)}
    local ____temp_6
    if jid == room then
        ____temp_6 = nil
    else
        ____temp_6 = jid
    end
    return {archives = ____temp_7, address = ____temp_6, groupchat = groupchat}
end
function hasPersonalArchive()
    local host = prosody.hosts[module.host]
    return host ~= nil and host.modules.mam ~= nil
end
function personalArchive(username, label)
    return {
        store = personalStore,
        key = username,
        label = label,
        holds = function() return true end
    }
end
function isWanted(scope, message)
    local isBetween = scope.address == nil or message.attr.from == scope.address or message.attr.to == scope.address
    return isBetween and (scope.groupchat or message.attr.type ~= "groupchat")
end
function sendPage(session, stanza, queryId, request, page)
    local items = page.items
    local count = #items
    for i = 1, count do
        local item = items[(request.flipped and count - i or i - 1) + 1]
        if item ~= nil then
            session.send(result(session, queryId, item))
        end
    end
    local first = items[1]
    local last = items[count]
    local fin = st.stanza("fin", {xmlns = MAM, complete = page.complete and "true" or nil})
    local ____rsm_generate_10 = rsm.generate
    local ____temp_8
    if first == nil then
        ____temp_8 = nil
    else
        ____temp_8 = first.id
    end
    local ____temp_9
    if last == nil then
        ____temp_9 = nil
    else
        ____temp_9 = last.id
    end
    local set = ____rsm_generate_10({first = ____temp_8, last = ____temp_9, count = page.count})
    session.send(st.reply(stanza):add_child(fin:add_child(set)))
end
function result(session, queryId, item)
    local message = st.clone(item.stanza)
    message.attr.xmlns = "jabber:client"
    return st.message({
        from = jids.bare(session.full_jid),
        to = session.full_jid
    }):tag("result", {xmlns = MAM, queryid = queryId, id = item.id}):tag("forwarded", {xmlns = FORWARD}):tag(
        "delay",
        {
            xmlns = DELAY,
            stamp = datetime.datetime(item.when)
        }
    ):up():add_child(message):reset()
end
personalStore = module:open_store(options.personalArchive, "archive")
--- `account-disco-info`: XEP-0313 7. Without mod_mam there is no archive to include anything in.
function ____exports.onAccountInfo(event)
    if hasPersonalArchive() then
        event.reply:tag("feature", {var = MAM .. "#groupchat-field"}):up()
        event.reply:tag("feature", {var = MAM .. "#groupchat-available"}):up()
    end
end
--- `iq-get/self/urn:xmpp:mam:2:query`: XEP-0313 4.1.5.
function ____exports.onFormRequest(event)
    local query = st.stanza("query", {xmlns = MAM}):add_child(queryForm())
    event.origin.send(st.reply(event.stanza):add_child(query))
    return true
end
--- `iq-set/self/urn:xmpp:mam:2:query`.
function ____exports.onQuery(event)
    local session = event.origin
    local stanza = event.stanza
    local query = stanza:get_child("query", MAM)
    local ____temp_0
    if query == nil then
        ____temp_0 = nil
    else
        ____temp_0 = scopeOf(session, query)
    end
    local scope = ____temp_0
    if query == nil or scope == nil then
        return nil
    end
    local request, refusal = readRequest(query)
    if request == nil then
        session.send(st.error_reply(stanza, "modify", refusal))
        return true
    end
    local page = readPage(
        scope.archives,
        {
            wants = function(message) return isWanted(scope, message) end,
            start = request.start,
            ["end"] = request["end"],
            after = request.after,
            before = request.before,
            ids = request.ids,
            reverse = request.reverse,
            max = math.min(request.max or options.maxArchivePage, options.maxArchivePage)
        }
    )
    if page == nil then
        session.send(st.error_reply(stanza, "cancel", "item-not-found"))
    else
        sendPage(
            session,
            stanza,
            query.attr.queryid,
            request,
            page
        )
    end
    return true
end
return ____exports
 end,
["room.fork"] = function(...)
local ____exports = {}
local lend, isPlainStream, passesFilters, writeText, plainSends
local jids = require("util.jid")
local st = require("util.stanza")
local options = require("options")
local ____sessions = require("state.sessions")
local hasJoined = ____sessions.hasJoined
local ____text = require("text")
local textOf = ____text.textOf
--- Sends a stanza to one session, if it is there still.
function ____exports.sendTo(fullJid, stanza)
    local ____temp_0
    if fullJid == nil then
        ____temp_0 = nil
    else
        ____temp_0 = prosody.full_sessions[fullJid]
    end
    local session = ____temp_0
    if session ~= nil then
        lend(session, stanza, nil)
    end
end
function lend(session, stanza, text)
    local attr = stanza.attr
    local to = attr.to
    attr.to = session.full_jid
    if not isPlainStream(session) then
        session.send(stanza)
    elseif passesFilters(session, stanza) then
        writeText(
            session,
            stanza.name,
            text or textOf(stanza)
        )
    end
    attr.to = to
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
    local ____temp_2
    if session.filters == nil then
        ____temp_2 = nil
    else
        ____temp_2 = session.filters["stanzas/out"]
    end
    local filters = ____temp_2
    if filters == nil or #filters == 0 then
        return true
    end
    local filtered = session.filter("stanzas/out", stanza)
    if filtered == stanza then
        return true
    end
    if filtered ~= nil then
        session.rawsend(filtered)
    end
    return false
end
function writeText(session, name, text)
    local start = ((("<" .. name) .. " to='") .. st.xml_escape(session.full_jid)) .. "'"
    session.log("debug", "Sending[%s]: %s>", session.type, start)
    session.rawsend(start .. string.sub(
        text,
        string.len(name) + 2
    ))
end
--- Hands a stanza of the room to every attached session, but for one that gets it otherwise.
function ____exports.fork(membership, stanza, except)
    for fullJid in pairs(membership.attached) do
        if fullJid ~= except then
            ____exports.sendTo(fullJid, stanza)
        end
    end
end
--- Sends a session a presence that is held as text already.
function ____exports.sendHeld(fullJid, held)
    local ____temp_1
    if fullJid == nil then
        ____temp_1 = nil
    else
        ____temp_1 = prosody.full_sessions[fullJid]
    end
    local session = ____temp_1
    if session ~= nil then
        lend(session, held.stanza, held.text)
    end
end
plainSends = setmetatable({}, {__mode = "k"})
--- `delivery/failure`, after mod_smacks has had its say, which may still deliver a private message: a session died before
-- it acknowledged a stanza. An error for it would tell the room of an occupant out of reach; the account is not.
function ____exports.onUndelivered(event)
    local session = event.session
    local from = event.stanza.attr.from
    local ____temp_3
    if from ~= nil and hasJoined(
        session.full_jid,
        jids.bare(from)
    ) then
        ____temp_3 = true
    else
        ____temp_3 = nil
    end
    return ____temp_3
end
return ____exports
 end,
["state.pending"] = function(...)
local ____exports = {}
local forgetIq, iqsOfSession
local id = require("util.id")
local st = require("util.stanza")
local options = require("options")
function forgetIq(key, pending)
    ____exports.pendingIqs[key] = nil
    local open = (iqsOfSession[pending.session] or 1) - 1
    if open > 0 then
        iqsOfSession[pending.session] = open
    else
        iqsOfSession[pending.session] = nil
    end
end
--- By the id they were sent with.
____exports.pendingIqs = {}
iqsOfSession = {}
--- Notes an IQ that is about to leave and gives the id to send it with; undefined when the session has too many open.
function ____exports.expectIqAnswer(session, room, request)
    local open = iqsOfSession[session] or 0
    if open >= options.maxPendingIqs then
        return nil
    end
    iqsOfSession[session] = open + 1
    local key = "mm-" .. id.medium()
    ____exports.pendingIqs[key] = {
        session = session,
        room = room,
        expires = os.time() + options.iqTimeout,
        request = st.clone(request, true)
    }
    return key
end
--- The IQ that an answer from a room belongs to; it is not pending any more.
function ____exports.takeIq(key, room)
    local pending = ____exports.pendingIqs[key]
    if pending == nil or pending.room ~= room then
        return nil
    end
    forgetIq(key, pending)
    return pending
end
--- Forgets the IQs whose time is over and returns them.
function ____exports.takeExpiredIqs()
    local now = os.time()
    local expired = {}
    for key, pending in pairs(____exports.pendingIqs) do
        if pending.expires <= now then
            expired[#expired + 1] = pending
            forgetIq(key, pending)
        end
    end
    return expired
end
--- Forgets the IQs of a session that is gone; late answers are dropped.
function ____exports.forgetIqsOf(session)
    for key, pending in pairs(____exports.pendingIqs) do
        if pending.session == session then
            forgetIq(key, pending)
        end
    end
end
--- Takes over the IQs that an instance of the module before a reload has sent.
function ____exports.restorePendingIqs(saved)
    for key, pending in pairs(saved) do
        ____exports.pendingIqs[key] = pending
        iqsOfSession[pending.session] = (iqsOfSession[pending.session] or 0) + 1
    end
end
return ____exports
 end,
["client.iq"] = function(...)
local ____exports = {}
local isSelfPing, pong, isArchiveQuery, request, forward
local jids = require("util.jid")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local PING = ____namespaces.PING
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
local ____memberships = require("state.memberships")
local isAttached = ____memberships.isAttached
local isReached = ____memberships.isReached
local membershipOf = ____memberships.membershipOf
local ____pending = require("state.pending")
local expectIqAnswer = ____pending.expectIqAnswer
local takeExpiredIqs = ____pending.takeExpiredIqs
function isSelfPing(membership, to, stanza)
    return stanza.attr.type == "get" and jids.resource(to) == membership.nick and stanza:get_child("ping", PING) ~= nil
end
function pong(membership, attached, stanza)
    if not attached then
        return st.error_reply(
            stanza,
            "cancel",
            "not-acceptable",
            nil,
            membership.room
        )
    end
    if isReached(membership) then
        return st.reply(stanza)
    end
    return st.error_reply(
        stanza,
        "wait",
        "remote-server-timeout",
        nil,
        membership.room
    )
end
function isArchiveQuery(stanza)
    local query = stanza.tags[1]
    local ____temp_0
    if query == nil then
        ____temp_0 = nil
    else
        ____temp_0 = query.attr.xmlns
    end
    local xmlns = ____temp_0
    return xmlns ~= nil and string.sub(xmlns, 1, 13) == "urn:xmpp:mam:"
end
function request(membership, session, stanza)
    local id = expectIqAnswer(session.full_jid, membership.room, stanza)
    if id == nil then
        session.send(st.error_reply(stanza, "wait", "resource-constraint", "Too many requests are unanswered"))
        return
    end
    forward(membership, stanza, id)
end
function forward(membership, stanza, id)
    local copy = st.clone(stanza)
    copy.attr.from = membership.occupant
    copy.attr.id = id
    module:send(copy)
end
--- `pre-iq/bare` and `pre-iq/full`.
function ____exports.onIq(event)
    local session = event.origin
    local stanza = event.stanza
    local to = stanza.attr.to
    if to == nil then
        return nil
    end
    local membership = membershipOf(
        session,
        jids.bare(to)
    )
    if membership == nil then
        return nil
    end
    local attached = isAttached(membership, session.full_jid)
    if isSelfPing(membership, to, stanza) then
        session.send(pong(membership, attached, stanza))
        return true
    end
    if not attached or isArchiveQuery(stanza) then
        return nil
    end
    local ____type = stanza.attr.type
    if ____type == "get" or ____type == "set" then
        request(membership, session, stanza)
    else
        forward(membership, stanza, stanza.attr.id)
    end
    return true
end
--- Tells the sessions whose IQs the rooms have not answered in time.
function ____exports.expireIqs()
    for ____, pending in ipairs(takeExpiredIqs()) do
        local ____error = st.error_reply(pending.request, "wait", "remote-server-timeout")
        sendTo(pending.session, ____error)
    end
end
return ____exports
 end,
["client.upstream"] = function(...)
local ____exports = {}
local id = require("util.id")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local DATAFORM = ____namespaces.DATAFORM
local MUC_OWNER = ____namespaces.MUC_OWNER
--- Sends a client's stanza to the room from the account's occupant JID. No origin is given to `module:send`, so that the
-- room's answers come back through this host's events and not straight to a client. A room of this server answers
-- before this returns: write state first.
function ____exports.sendUpstream(membership, stanza)
    local copy = st.clone(stanza)
    copy.attr.from = membership.occupant
    module:send(copy)
end
--- A room that is not persistent is gone with its service, and whoever comes back first makes it anew, locked: it is
-- opened to the others with the service's defaults (XEP-0045 10.1.2).
function ____exports.unlockRoom(membership)
    local form = st.iq({
        type = "set",
        id = id.medium(),
        from = membership.occupant,
        to = membership.room
    }):tag("query", {xmlns = MUC_OWNER}):tag("x", {xmlns = DATAFORM, type = "submit"}):reset()
    module:send(form)
end
return ____exports
 end,
["client.message"] = function(...)
local ____exports = {}
local joinedRoom, isPrivate, copyToOthers, sentCarbon
local jids = require("util.jid")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local CARBONS = ____namespaces.CARBONS
local FORWARD = ____namespaces.FORWARD
local HINTS = ____namespaces.HINTS
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
local ____memberships = require("state.memberships")
local isAttached = ____memberships.isAttached
local isComingBack = ____memberships.isComingBack
local noteSent = ____memberships.noteSent
local membershipOf = ____memberships.membershipOf
local ____sessions = require("state.sessions")
local hasJoined = ____sessions.hasJoined
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
function joinedRoom(session, to)
    if to == nil then
        return nil
    end
    local membership = membershipOf(
        session,
        jids.bare(to)
    )
    return membership ~= nil and isAttached(membership, session.full_jid) and membership or nil
end
function isPrivate(stanza, to)
    return stanza.attr.type ~= "groupchat" and jids.resource(to) ~= nil
end
function copyToOthers(membership, sender, stanza)
    if stanza:get_child("private", CARBONS) ~= nil or stanza:get_child("no-copy", HINTS) ~= nil then
        return
    end
    for fullJid in pairs(membership.attached) do
        local session = prosody.full_sessions[fullJid]
        if session ~= nil and session.want_carbons ~= nil and fullJid ~= sender.full_jid then
            sendTo(
                fullJid,
                sentCarbon(sender, stanza)
            )
        end
    end
end
function sentCarbon(sender, stanza)
    local copy = st.clone(stanza)
    copy.attr.xmlns = "jabber:client"
    return st.message({
        from = jids.bare(sender.full_jid),
        type = stanza.attr.type
    }):tag("sent", {xmlns = CARBONS}):tag("forwarded", {xmlns = FORWARD}):add_child(copy):reset()
end
--- `pre-message/bare` and `pre-message/full`, after the hooks that archive and copy what a client sends.
function ____exports.onMessage(event)
    local session = event.origin
    local stanza = event.stanza
    local to = stanza.attr.to
    if to ~= nil and stanza.attr.type == "error" then
        local ____hasJoined_result_0
        if hasJoined(
            session.full_jid,
            jids.bare(to)
        ) then
            ____hasJoined_result_0 = true
        else
            ____hasJoined_result_0 = nil
        end
        return ____hasJoined_result_0
    end
    local membership = joinedRoom(session, to)
    if to == nil or membership == nil then
        return nil
    end
    if isComingBack(membership) then
        session.send(st.error_reply(
            stanza,
            "wait",
            "remote-server-timeout",
            nil,
            membership.room
        ))
        return true
    end
    noteSent(membership, stanza.attr.id, session.full_jid)
    if isPrivate(stanza, to) then
        copyToOthers(membership, session, stanza)
    end
    sendUpstream(membership, stanza)
    return true
end
--- `carbons-should-copy`: mod_carbons of 13.0 copies what a client sends to an occupant to every device; it is for those
-- in the room (XEP-0280 6.1), and comes from here.
function ____exports.onCarbon(event)
    local session = event.session
    local stanza = event.stanza
    if session.full_jid ~= stanza.attr.from or joinedRoom(session, stanza.attr.to) == nil then
        return nil
    end
    return false
end
return ____exports
 end,
["state.availability"] = function(...)
local ____exports = {}
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
--- Most available first; `dnd` is somebody at the keyboard, `away` nobody.
local ranks = {}
ranks.chat = 5
ranks[""] = 4
ranks.dnd = 3
ranks.away = 2
ranks.xa = 1
--- A client's presence bare of its addresses and of the join, as the account may show it.
function ____exports.presenceContent(stanza)
    local content = st.clone(stanza)
    content.attr.from = nil
    content.attr.to = nil
    content.attr.id = nil
    content:maptags(function(tag)
        local ____temp_0
        if tag.name == "x" and tag.attr.xmlns == MUC then
            ____temp_0 = nil
        else
            ____temp_0 = tag
        end
        return ____temp_0
    end)
    return content
end
local function priority(attachment)
    return tonumber(attachment.presence:get_child_text("priority") or "0") or 0
end
local function rank(attachment)
    return ranks[attachment.presence:get_child_text("show") or ""] or 0
end
local function isBetter(one, other)
    local difference = priority(one) - priority(other)
    if difference ~= 0 then
        return difference > 0
    end
    return rank(one) > rank(other)
end
--- The session to show: highest priority, then most available, then the one already shown.
function ____exports.bestSession(membership)
    local best = membership.shown
    local ____temp_1
    if best == nil then
        ____temp_1 = nil
    else
        ____temp_1 = membership.attached[best]
    end
    local bestAttachment = ____temp_1
    for session, attachment in pairs(membership.attached) do
        if bestAttachment == nil or isBetter(attachment, bestAttachment) then
            best = session
            bestAttachment = attachment
        end
    end
    local ____temp_2
    if bestAttachment == nil then
        ____temp_2 = nil
    else
        ____temp_2 = best
    end
    return ____temp_2
end
return ____exports
 end,
["client.availability"] = function(...)
local ____exports = {}
local chooseShown, noteShown, detachedPresence
local id = require("util.id")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local VCARD_UPDATE = ____namespaces.VCARD_UPDATE
local options = require("options")
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
local ____availability = require("state.availability")
local bestSession = ____availability.bestSession
local presenceContent = ____availability.presenceContent
local ____stanzas = require("stanzas")
local isSameElement = ____stanzas.isSameElement
local ____memberships = require("state.memberships")
local attachSession = ____memberships.attachSession
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
function chooseShown(membership)
    local best = bestSession(membership)
    if best == nil then
        return nil
    end
    membership.shown = best
    return membership.attached[best]
end
function noteShown(membership, presence)
    local shown = membership.shownPresence
    membership.shownPresence = presence
    return shown == nil or not isSameElement(shown, presence)
end
function detachedPresence(membership)
    local presence = st.presence()
    if options.detachedShow ~= "none" then
        presence:tag("show"):text(options.detachedShow):up()
    end
    local ____temp_0
    if membership.self == nil then
        ____temp_0 = nil
    else
        ____temp_0 = membership.self:get_child("x", VCARD_UPDATE)
    end
    local update = ____temp_0
    if update ~= nil then
        presence:add_direct_child(st.clone(update))
    end
    return presence
end
--- Shows the room the best presence among the attached sessions; whether that was news to it.
function ____exports.showBest(membership)
    local attachment = chooseShown(membership)
    if attachment == nil or not noteShown(membership, attachment.presence) then
        return false
    end
    local presence = st.clone(attachment.presence)
    presence.attr.to = (membership.room .. "/") .. membership.nick
    presence.attr.id = attachment.id
    sendUpstream(membership, presence)
    return true
end
--- What the account has to show now, noted as shown: a join carries it. `request` is of who is about to be the first.
function ____exports.presenceToShow(membership, request)
    local attachment = chooseShown(membership)
    local presence
    if attachment ~= nil then
        presence = attachment.presence
    elseif request ~= nil then
        presence = presenceContent(request.stanza)
    else
        presence = detachedPresence(membership)
    end
    membership.shownPresence = presence
    return st.clone(presence)
end
--- Shows the room that nobody is there to read, if it does not know yet.
function ____exports.showDetached(membership)
    local presence = detachedPresence(membership)
    membership.shown = nil
    if noteShown(membership, presence) then
        local copy = st.clone(presence)
        copy.attr.to = (membership.room .. "/") .. membership.nick
        sendUpstream(membership, copy)
    end
end
--- A session's directed presence without `<x/>` (XEP-0045 7.7). Each is answered, by the room or with what it shows.
function ____exports.updatePresence(membership, session, stanza)
    attachSession(
        membership,
        session,
        presenceContent(stanza),
        stanza.attr.id
    )
    if not ____exports.showBest(membership) and membership.self ~= nil then
        local ____self = st.clone(membership.self)
        ____self.attr.id = stanza.attr.id
        sendTo(session, ____self)
    end
end
--- A session's presence to another nick is a nick change of the account (XEP-0045 7.6). Its error is for that session.
function ____exports.changeNick(membership, request)
    local session = request.session
    local taken = request.id == nil or membership.nickRequests[request.id] ~= nil
    local key = taken and id.medium() or request.id
    local ____membership_nickRequests_7 = membership.nickRequests
    local ____session_2 = session
    local ____request_id_3 = request.id
    local ____request_nick_4 = request.nick
    local ____request_stanza_5 = request.stanza
    local ____temp_6 = {session = membership.shown, presence = membership.shownPresence}
    local ____temp_1
    if session == nil then
        ____temp_1 = nil
    else
        ____temp_1 = membership.attached[session]
    end
    ____membership_nickRequests_7[key] = {
        session = ____session_2,
        id = ____request_id_3,
        nick = ____request_nick_4,
        stanza = ____request_stanza_5,
        before = ____temp_6,
        attachmentBefore = ____temp_1
    }
    if session ~= nil then
        attachSession(
            membership,
            session,
            presenceContent(request.stanza),
            key
        )
    end
    local change = ____exports.presenceToShow(membership)
    change.attr.to = (membership.room .. "/") .. request.nick
    change.attr.id = key
    sendUpstream(membership, change)
end
--- The room refused a nick, and the presence that came with it; unless the session has shown another one since.
function ____exports.nickRefused(membership, key, request)
    local session = request.session
    local ____temp_8
    if session == nil then
        ____temp_8 = nil
    else
        ____temp_8 = membership.attached[session]
    end
    local attachment = ____temp_8
    local before = request.attachmentBefore
    if session ~= nil and attachment ~= nil and attachment.id == key and before ~= nil then
        membership.attached[session] = before
        membership.shown = request.before.session
        membership.shownPresence = request.before.presence
    end
end
--- Asks for the nick that was taken when the account came back. If it is taken again, the room's refusal goes nowhere.
function ____exports.regainNick(membership)
    local presence = ____exports.presenceToShow(membership)
    presence.attr.to = (membership.room .. "/") .. membership.wantedNick
    sendUpstream(membership, presence)
end
return ____exports
 end,
["keep.ask"] = function(...)
local ____exports = {}
local id = require("util.id")
local st = require("util.stanza")
--- Seconds until a question counts as unanswered.
local PATIENCE = 30
--- By the id they were sent with.
local questions = {}
--- Sends an IQ from the occupant JID to the room or one of its occupants; calls back once, after 30 s at the latest.
function ____exports.ask(membership, to, ____type, query, answered)
    local key = "mm-" .. id.medium()
    local timer = module:add_timer(
        PATIENCE,
        function()
            questions[key] = nil
            answered(nil)
            return nil
        end
    )
    questions[key] = {room = membership.room, answered = answered, timer = timer}
    module:send(st.iq({type = ____type, id = key, from = membership.occupant, to = to}):add_child(query):reset())
end
--- Takes the answer to a question of the account's own; whether it was one.
function ____exports.takeAnswer(room, stanza)
    local key = stanza.attr.id
    local ____temp_0
    if key == nil then
        ____temp_0 = nil
    else
        ____temp_0 = questions[key]
    end
    local question = ____temp_0
    if key == nil or question == nil or question.room ~= room then
        return false
    end
    questions[key] = nil
    question.timer:stop()
    question.answered(stanza)
    return true
end
return ____exports
 end,
["keep.ping"] = function(...)
local ____exports = {}
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local PING = ____namespaces.PING
local ____ask = require("keep.ask")
local ask = ____ask.ask
--- Pings the account's own occupant. Rooms answer in order, so the answer also tells that all they had to say to an
-- earlier stanza has been said. A room that stays silent counts as `remote-server-timeout`.
function ____exports.selfPing(membership, answered)
    local ping = st.stanza("ping", {xmlns = PING})
    ask(
        membership,
        (membership.room .. "/") .. membership.nick,
        "get",
        ping,
        function(answer)
            if answer == nil then
                answered("remote-server-timeout")
            elseif answer.attr.type == "result" then
                answered(nil)
            else
                local ____, condition = answer:get_error()
                answered(condition or "undefined-condition")
            end
        end
    )
end
--- XEP-0410 3: whether the error of a self-ping says that the account is in the room all the same.
function ____exports.saysJoined(condition)
    return condition == "service-unavailable" or condition == "feature-not-implemented" or condition == "item-not-found"
end
--- XEP-0410 3: whether the error of a self-ping says nothing, as the room was not reached.
function ____exports.saysNothing(condition)
    return condition == "remote-server-not-found" or condition == "remote-server-timeout"
end
return ____exports
 end,
["room.history"] = function(...)
local ____exports = {}
local select, limitsOf
local datetime = require("util.datetime")
local st = require("util.stanza")
local ____log = require("keep.log")
local readBack = ____log.readBack
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
local options = require("options")
local ____stanzas = require("stanzas")
local addDelay = ____stanzas.addDelay
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
function select(membership, session, limits)
    local messages = {}
    local chars = 0
    readBack(
        membership,
        function(entry)
            if entry.when < limits.since then
                return true
            end
            local message = ____exports.delayed(membership.room, entry)
            if limits.chars ~= math.huge then
                message.attr.to = session
                chars = chars + string.len(tostring(message))
                if chars > limits.chars then
                    return true
                end
            end
            messages[#messages + 1] = message
            return #messages >= limits.stanzas
        end
    )
    return messages
end
--- A message of the past as a room sends it.
function ____exports.delayed(room, entry)
    local message = st.clone(entry.stanza)
    addDelay(message, room, entry.when)
    return message
end
function limitsOf(join)
    local x = join:get_child("x", MUC)
    local ____temp_0
    if x == nil then
        ____temp_0 = nil
    else
        ____temp_0 = x:get_child("history")
    end
    local wish = ____temp_0
    local attr = wish == nil and ({}) or wish.attr
    local stanzas = tonumber(attr.maxstanzas)
    local chars = tonumber(attr.maxchars)
    local seconds = tonumber(attr.seconds)
    local ____temp_1
    if attr.since == nil then
        ____temp_1 = nil
    else
        ____temp_1 = datetime.parse(attr.since)
    end
    local stamp = ____temp_1
    local bounded = chars ~= nil or seconds ~= nil or stamp ~= nil
    return {
        stanzas = math.min(stanzas or (bounded and options.maxHistory or options.history), options.maxHistory),
        chars = chars or math.huge,
        since = math.max(
            stamp or 0,
            seconds == nil and 0 or os.time() - seconds
        )
    }
end
--- Sends a session the account's history of the room, oldest first.
function ____exports.sendHistory(membership, request)
    local limits = limitsOf(request.stanza)
    if limits.stanzas <= 0 or limits.chars <= 0 then
        return
    end
    local messages = select(membership, request.session, limits)
    for i = #messages, 1, -1 do
        local message = messages[i]
        if message ~= nil then
            sendTo(request.session, message)
        end
    end
end
return ____exports
 end,
["room.replay"] = function(...)
local ____exports = {}
local addStatus, emptySubject, ownAffiliation, itemOf
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local MUC_USER = ____namespaces.MUC_USER
local ____fork = require("room.fork")
local sendHeld = ____fork.sendHeld
local sendTo = ____fork.sendTo
local ____history = require("room.history")
local sendHistory = ____history.sendHistory
--- Clients count as joined only at the subject (XEP-0045 7.2.15), so a room that never sent one has an empty one.
function ____exports.sendSubject(membership, request)
    sendTo(
        request.session,
        membership.subject or emptySubject(membership)
    )
end
--- The account's own presence as the answer to one session's join. It carries the join's id, as Movim finds it by that,
-- and the status codes of XEP-0045 7.2.2 to 7.2.12 that are true for this session; 201 only ever went to the creator.
function ____exports.selfPresence(membership, request)
    if membership.self == nil then
        return nil
    end
    local ____self = st.clone(membership.self)
    ____self.attr.id = request.id
    local x = ____self:get_child("x", MUC_USER)
    if x == nil then
        x = st.stanza("x", {xmlns = MUC_USER})
        ____self:add_direct_child(x)
    end
    x:maptags(function(tag)
        local ____temp_0
        if tag.name == "status" then
            ____temp_0 = nil
        else
            ____temp_0 = tag
        end
        return ____temp_0
    end)
    if membership.nonAnonymous then
        addStatus(x, "100")
    end
    addStatus(x, "110")
    if membership.logged then
        addStatus(x, "170")
    end
    if request.nick ~= membership.nick then
        addStatus(x, "210")
    end
    return ____self
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
    local ____self = membership.self
    local ____temp_1
    if ____self == nil then
        ____temp_1 = nil
    else
        ____temp_1 = itemOf(____self).affiliation
    end
    return ____temp_1 or "none"
end
function itemOf(presence)
    local x = presence:get_child("x", MUC_USER)
    local ____temp_2
    if x == nil then
        ____temp_2 = nil
    else
        ____temp_2 = x:get_child("item")
    end
    local item = ____temp_2
    return item == nil and ({}) or item.attr
end
--- The whole of XEP-0045 7.1 from what the room showed the account: the room, the other occupants, the own presence,
-- history, the subject. Nothing of the room comes in between, as all of it is sent in one go.
function ____exports.replay(membership, request)
    if membership.roomPresence ~= nil then
        sendTo(request.session, membership.roomPresence)
    end
    for ____, held in pairs(membership.occupants) do
        sendHeld(request.session, held)
    end
    local ____self = ____exports.selfPresence(membership, request)
    if ____self ~= nil then
        sendTo(request.session, ____self)
    end
    sendHistory(membership, request)
    ____exports.sendSubject(membership, request)
end
--- The answer to a session that leaves while the account stays (XEP-0045 7.14).
function ____exports.ownUnavailable(membership, id)
    local from = (membership.room .. "/") .. membership.nick
    return st.presence({type = "unavailable", from = from, id = id}):tag("x", {xmlns = MUC_USER}):tag(
        "item",
        {
            affiliation = ownAffiliation(membership),
            role = "none"
        }
    ):up():tag("status", {code = "110"}):reset()
end
--- What a session is told when the account cannot be brought back: removed for technical reasons (XEP-0045 15.6.2).
function ____exports.technicalRemoval(membership)
    local unavailable = ____exports.ownUnavailable(membership, nil)
    local x = unavailable:get_child("x", MUC_USER)
    if x ~= nil then
        addStatus(x, "333")
    end
    return unavailable
end
--- Somebody who went while the account was not there to see it.
function ____exports.occupantGone(membership, nick)
    return st.presence({type = "unavailable", from = (membership.room .. "/") .. nick}):tag("x", {xmlns = MUC_USER}):tag("item", {affiliation = "none", role = "none"}):reset()
end
--- The first half of a nick change (XEP-0045 7.6) from the nick of `before` to the account's nick now.
function ____exports.nickChange(membership, before)
    local item = itemOf(before)
    return st.presence({type = "unavailable", from = before.attr.from}):tag("x", {xmlns = MUC_USER}):tag("item", {affiliation = item.affiliation, role = item.role, nick = membership.nick}):up():tag("status", {code = "303"}):up():tag("status", {code = "110"}):reset()
end
return ____exports
 end,
["client.serve"] = function(...)
local ____exports = {}
local asksForMore, resync, repeatedJoin, resyncUnanswered
local st = require("util.stanza")
local ____ping = require("keep.ping")
local selfPing = ____ping.selfPing
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
local ____replay = require("room.replay")
local replay = ____replay.replay
local sendSubject = ____replay.sendSubject
local ____availability = require("state.availability")
local presenceContent = ____availability.presenceContent
local ____memberships = require("state.memberships")
local attachSession = ____memberships.attachSession
local nextWaiting = ____memberships.nextWaiting
local wait = ____memberships.wait
local ____availability = require("client.availability")
local presenceToShow = ____availability.presenceToShow
local showBest = ____availability.showBest
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
--- Lets a session in under the account's nick: from what is known of the room or, where that is not enough, by a join.
function ____exports.serve(membership, request)
    if membership.resync ~= nil then
        wait(membership, request)
    elseif asksForMore(request.stanza) then
        resync(membership, request)
    else
        replay(membership, request)
        ____exports.attach(membership, request)
    end
end
--- Serves who is in line, until one needs a full answer of the room: that is for one session at a time.
function ____exports.serveWaiting(membership)
    while membership.phase == "joined" and membership.resync == nil do
        local request = nextWaiting(membership)
        if request == nil then
            return
        end
        ____exports.serve(membership, request)
    end
end
--- The session gets the room's traffic from now on.
function ____exports.attach(membership, request)
    if request.session ~= nil then
        attachSession(
            membership,
            request.session,
            presenceContent(request.stanza),
            nil
        )
        showBest(membership)
    end
end
function asksForMore(stanza)
    local x = stanza:get_child("x", MUC)
    if x ~= nil then
        for ____, tag in ipairs(x.tags) do
            if tag.name ~= "history" and tag.name ~= "password" then
                return true
            end
        end
    end
    return false
end
function resync(membership, request)
    local open = {request = request, shown = {}, selfShown = false}
    membership.resync = open
    sendUpstream(
        membership,
        repeatedJoin(membership, request)
    )
    if membership.resync == open then
        selfPing(
            membership,
            function()
                if membership.resync == open then
                    resyncUnanswered(membership, open)
                end
            end
        )
    end
end
function repeatedJoin(membership, request)
    local presence = presenceToShow(membership, request)
    presence.attr.to = (membership.room .. "/") .. membership.nick
    presence.attr.id = request.id
    local x = request.stanza:get_child("x", MUC)
    if x ~= nil then
        presence:add_direct_child(st.clone(x))
    end
    return presence
end
function resyncUnanswered(membership, open)
    if open.request ~= nil then
        if open.selfShown then
            sendSubject(membership, open.request)
        else
            replay(membership, open.request)
            ____exports.attach(membership, open.request)
        end
    end
    ____exports.resyncComplete(membership)
end
--- The subject came, or the room will not send it.
function ____exports.resyncComplete(membership)
    membership.resync = nil
    showBest(membership)
    ____exports.serveWaiting(membership)
end
return ____exports
 end,
["keep.catchup"] = function(...)
local ____exports = {}
local knownUntil, askPage, isUnknownId, pageQuery, lastOfPage, asDelayed, finish, PAGE
local datetime = require("util.datetime")
local id = require("util.id")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local DATAFORM = ____namespaces.DATAFORM
local DELAY = ____namespaces.DELAY
local FORWARD = ____namespaces.FORWARD
local MAM = ____namespaces.MAM
local RSM = ____namespaces.RSM
local STANZA_ID = ____namespaces.STANZA_ID
local options = require("options")
local ____fork = require("room.fork")
local fork = ____fork.fork
local ____memberships = require("state.memberships")
local isCurrent = ____memberships.isCurrent
local ____stanzas = require("stanzas")
local stanzaIdBy = ____stanzas.stanzaIdBy
local ____ask = require("keep.ask")
local ask = ____ask.ask
local ____log = require("keep.log")
local newestEntry = ____log.newestEntry
local openPart = ____log.openPart
local takeDown = ____log.takeDown
function knownUntil(membership, newest)
    return newest == nil and (membership.since or os.time()) or newest.when
end
function askPage(membership, catching, after, start)
    local query = pageQuery(catching, after, start)
    ask(
        membership,
        membership.room,
        "set",
        query,
        function(answer)
            if membership.catchUp ~= catching or not isCurrent(membership) then
                return
            end
            local ____temp_1
            if answer == nil then
                ____temp_1 = nil
            else
                ____temp_1 = answer:get_child("fin", MAM)
            end
            local fin = ____temp_1
            local ____temp_2
            if fin == nil then
                ____temp_2 = nil
            else
                ____temp_2 = lastOfPage(fin)
            end
            local next = ____temp_2
            if answer ~= nil and answer.attr.type == "error" and after ~= nil and isUnknownId(answer) then
                askPage(membership, catching, nil, start)
            elseif fin == nil or fin.attr.complete == "true" or next == nil or catching.left <= 0 then
                finish(membership, catching)
            else
                askPage(membership, catching, next, start)
            end
        end
    )
end
function isUnknownId(answer)
    local ____, condition = answer:get_error()
    return condition == "item-not-found"
end
function pageQuery(catching, after, start)
    local query = st.stanza("query", {xmlns = MAM, queryid = catching.queryId})
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
    local set = fin:get_child("set", RSM)
    local ____temp_3
    if set == nil then
        ____temp_3 = nil
    else
        ____temp_3 = set:get_child_text("last")
    end
    return ____temp_3
end
function asDelayed(membership, message, delay, archiveId)
    local delayed = st.clone(message)
    delayed.attr.xmlns = nil
    delayed.attr.to = membership.occupant
    if archiveId ~= nil and stanzaIdBy(delayed, membership.room) == nil then
        delayed:add_direct_child(st.stanza("stanza-id", {xmlns = STANZA_ID, by = membership.room, id = archiveId}))
    end
    delayed:add_direct_child(st.stanza("delay", {xmlns = DELAY, from = membership.room, stamp = delay.attr.stamp}))
    return delayed
end
--- A message of the past: into the archive, and to who was attached all the time, if it is new.
function ____exports.missed(membership, delayed)
    if takeDown(membership, delayed) ~= nil then
        fork(membership, delayed)
    end
end
function finish(membership, catching)
    membership.catchUp = nil
    for ____, message in ipairs(catching.held) do
        takeDown(membership, message)
    end
    catching.done()
end
PAGE = 50
--- Asks the room's archive, page by page, for what came after the last message that the account got, and then calls
-- `done`. What the room says meanwhile is taken down after that, in its place.
function ____exports.catchUp(membership, done)
    openPart(membership)
    local before = membership.catchUp
    local newest = newestEntry(membership)
    if membership.part == nil or newest == nil and membership.since == nil then
        done()
        return
    end
    local catching = {
        queryId = id.medium(),
        held = before == nil and ({}) or before.held,
        left = options.maxHistory,
        done = done
    }
    membership.catchUp = catching
    local ____temp_0
    if newest == nil then
        ____temp_0 = nil
    else
        ____temp_0 = stanzaIdBy(newest.stanza, membership.room)
    end
    local after = ____temp_0
    askPage(
        membership,
        catching,
        after,
        knownUntil(membership, newest)
    )
end
--- A message with `<result/>` from the room: whether it is one that was asked for here.
function ____exports.takeResult(membership, stanza)
    local catching = membership.catchUp
    local result = stanza:get_child("result", MAM)
    if catching == nil or result == nil or result.attr.queryid ~= catching.queryId then
        return false
    end
    catching.left = catching.left - 1
    local forwarded = result:get_child("forwarded", FORWARD)
    local ____temp_4
    if forwarded == nil then
        ____temp_4 = nil
    else
        ____temp_4 = forwarded:get_child("message", "jabber:client")
    end
    local message = ____temp_4
    local ____temp_5
    if forwarded == nil then
        ____temp_5 = nil
    else
        ____temp_5 = forwarded:get_child("delay", DELAY)
    end
    local delay = ____temp_5
    if message ~= nil and delay ~= nil and message.attr.type == "groupchat" then
        ____exports.missed(
            membership,
            asDelayed(membership, message, delay, result.attr.id)
        )
    end
    return true
end
--- Where the history of a join has to start for nothing to be missed, as XEP-0045 7.2.14 writes it.
function ____exports.historySince(membership)
    if membership.part == nil then
        return nil
    end
    local newest = newestEntry(membership)
    local ____temp_6
    if newest == nil and membership.since == nil then
        ____temp_6 = nil
    else
        ____temp_6 = datetime.datetime(knownUntil(membership, newest))
    end
    return ____temp_6
end
return ____exports
 end,
["keep.store"] = function(...)
local ____exports = {}
local recordOf, stateOf, usernames, loadAccount, store
local options = require("options")
local ____memberships = require("state.memberships")
local createMembership = ____memberships.createMembership
local findAccount = ____memberships.findAccount
function recordOf(username)
    local account = findAccount(username)
    if account == nil then
        return nil
    end
    local rooms = {}
    for room, membership in pairs(account.memberships) do
        local ____room_2 = room
        local ____membership_nick_1 = membership.nick
        local ____temp_0
        if membership.wantedNick == membership.nick then
            ____temp_0 = nil
        else
            ____temp_0 = membership.wantedNick
        end
        rooms[____room_2] = {
            nick = ____membership_nick_1,
            wanted = ____temp_0,
            password = membership.password,
            since = membership.since,
            state = stateOf(membership)
        }
    end
    return {seen = account.seen, rooms = rooms}
end
function stateOf(membership)
    if membership.phase == "leaving" then
        return "leaving"
    end
    return membership.established and "in" or "joining"
end
function usernames()
    local list = {}
    for username in store:users() do
        if type(username) == "string" and username ~= "" then
            list[#list + 1] = username
        end
    end
    return list
end
function loadAccount(username, record)
    for room, saved in pairs(record.rooms) do
        local membership = createMembership(username, room, saved.nick)
        membership.wantedNick = saved.wanted or saved.nick
        membership.password = saved.password
        membership.since = saved.since
        membership.established = saved.state == "in"
        membership.phase = saved.state == "in" and "lost" or "leaving"
        membership.detachedAt = record.seen
    end
    local account = findAccount(username)
    if account ~= nil then
        account.seen = record.seen
    end
end
store = module:open_store("minimix", "keyval")
local closed = false
--- Nothing is written any more: what the account does from now on is not its user's doing.
function ____exports.close()
    closed = true
end
--- Writes down what an account's memberships are now. The write is done when this returns, so what a client is told
-- afterwards survives a killed server.
function ____exports.save(username)
    if options.anonymous or closed then
        return
    end
    local saved, problem = store:set(
        username,
        recordOf(username)
    )
    if saved ~= true then
        module:log("error", "Could not write the rooms of %s: %s", username, problem)
    end
end
--- Reads all accounts' memberships, each of them lost for now. A record that cannot be read is left alone.
function ____exports.load()
    if options.anonymous then
        return
    end
    for ____, username in ipairs(usernames()) do
        local record, problem = store:get(username)
        if record ~= nil then
            loadAccount(username, record)
        elseif problem ~= nil then
            module:log("error", "Could not read the rooms of %s: %s", username, problem)
        end
    end
end
return ____exports
 end,
["occupancy"] = function(...)
local ____exports = {}
local joinUnanswered, detachAsking, forgetOthers, rejoinRefused, refuseWaiting, isTemporary, joinAgain, startOver, joinPresence, ownAddress, leaveUnanswered, resyncLost, LONGEST_PAUSE, TRIES_UNTIL_TOLD, NICK_TRIES
local st = require("util.stanza")
local ____availability = require("client.availability")
local presenceToShow = ____availability.presenceToShow
local showBest = ____availability.showBest
local ____serve = require("client.serve")
local resyncComplete = ____serve.resyncComplete
local serveWaiting = ____serve.serveWaiting
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
local ____catchup = require("keep.catchup")
local catchUp = ____catchup.catchUp
local historySince = ____catchup.historySince
local ____log = require("keep.log")
local closePart = ____log.closePart
local openPart = ____log.openPart
local ____ping = require("keep.ping")
local saysJoined = ____ping.saysJoined
local saysNothing = ____ping.saysNothing
local selfPing = ____ping.selfPing
local ____store = require("keep.store")
local save = ____store.save
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
local options = require("options")
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
local ____replay = require("room.replay")
local occupantGone = ____replay.occupantGone
local ownUnavailable = ____replay.ownUnavailable
local technicalRemoval = ____replay.technicalRemoval
local ____availability = require("state.availability")
local presenceContent = ____availability.presenceContent
local ____memberships = require("state.memberships")
local attachSession = ____memberships.attachSession
local detachAll = ____memberships.detachAll
local detachSession = ____memberships.detachSession
local dropMembership = ____memberships.dropMembership
local forgetRoom = ____memberships.forgetRoom
local hasAttached = ____memberships.hasAttached
local isComingBack = ____memberships.isComingBack
local isCurrent = ____memberships.isCurrent
local nextWaiting = ____memberships.nextWaiting
local setTimer = ____memberships.setTimer
local stopTimer = ____memberships.stopTimer
--- A session's join goes to the room. The one who asked is attached already: the answers are for it.
function ____exports.enter(membership, request)
    membership.phase = "joining"
    membership.request = request
    membership.resync = nil
    membership.nick = request.nick
    local presence = presenceContent(request.stanza)
    if not hasAttached(membership) then
        forgetRoom(membership)
    end
    if request.session ~= nil then
        attachSession(membership, request.session, presence, request.id)
    end
    membership.shown = request.session
    membership.shownPresence = presence
    if not membership.established then
        save(membership.username)
    end
    setTimer(
        membership,
        options.answerTimeout,
        function()
            joinUnanswered(membership, request)
        end
    )
    sendUpstream(membership, request.stanza)
end
function joinUnanswered(membership, request)
    detachAsking(membership, request)
    sendTo(
        request.session,
        st.error_reply(
            request.stanza,
            "wait",
            "remote-server-timeout",
            nil,
            membership.room
        )
    )
    if membership.established then
        ____exports.lost(membership)
    else
        ____exports.leave(
            membership,
            st.presence({type = "unavailable"})
        )
    end
end
function detachAsking(membership, request)
    if request.session ~= nil then
        detachSession(membership, request.session)
    end
end
--- All that a room sends on a join has come.
function ____exports.joinComplete(membership)
    stopTimer(membership)
    membership.phase = "joined"
    membership.tries = 0
    local resync = membership.resync
    membership.resync = nil
    if resync ~= nil then
        forgetOthers(membership, resync)
    end
    showBest(membership)
    serveWaiting(membership)
end
function forgetOthers(membership, resync)
    for nick in pairs(membership.occupants) do
        if not (resync.shown[nick] ~= nil) then
            membership.occupants[nick] = nil
            fork(
                membership,
                occupantGone(membership, nick)
            )
        end
    end
end
function rejoinRefused(membership, ____error)
    local ____, condition = ____error:get_error()
    if condition == "conflict" and string.len(membership.nick) < string.len(membership.wantedNick) + NICK_TRIES then
        membership.nick = membership.nick .. "_"
        joinAgain(membership)
        return
    end
    if condition == "remote-server-not-found" or condition == "remote-server-timeout" then
        refuseWaiting(membership)
        ____exports.lost(membership)
        return
    end
    local next = nextWaiting(membership)
    if next ~= nil then
        ____exports.enter(membership, next)
        return
    end
    if condition == "conflict" or isTemporary(____error) then
        ____exports.lost(membership)
        return
    end
    module:log(
        "info",
        "%s cannot be brought back to %s: %s",
        membership.username,
        membership.room,
        condition
    )
    fork(
        membership,
        technicalRemoval(membership)
    )
    ____exports.over(membership)
end
function refuseWaiting(membership)
    local waiting = membership.waiting
    membership.waiting = {}
    for ____, request in ipairs(waiting) do
        sendTo(
            request.session,
            st.error_reply(
                request.stanza,
                "wait",
                "remote-server-timeout",
                nil,
                membership.room
            )
        )
    end
end
function isTemporary(____error)
    local ____type, condition = ____error:get_error()
    return ____type == "wait" or condition == "item-not-found" or condition == "recipient-unavailable" or condition == "remote-server-not-found" or condition == "remote-server-timeout" or condition == "service-unavailable" or condition == "undefined-condition"
end
--- The account is out of the room without anybody's will, and will be back. Its sessions learn of it only when that takes
-- too long; then they may try themselves.
function ____exports.lost(membership)
    membership.phase = "lost"
    membership.request = nil
    resyncLost(membership)
    membership.nick = membership.wantedNick
    membership.tries = membership.tries + 1
    if membership.tries == TRIES_UNTIL_TOLD then
        fork(
            membership,
            technicalRemoval(membership)
        )
        detachAll(membership)
    end
    setTimer(
        membership,
        ____exports.pause(membership.tries),
        function()
            ____exports.rejoin(membership)
        end
    )
end
--- Seconds to wait after so many tries: 1 s, doubled up to 15 min, give or take a quarter, so that not all come at once.
function ____exports.pause(tries)
    return math.min(
        2 ^ math.min(tries - 1, 10),
        LONGEST_PAUSE
    ) * (0.75 + math.random() / 2)
end
--- The account joins by itself, and finds out what was said and what has changed since it was in the room.
function ____exports.rejoin(membership)
    stopTimer(membership)
    membership.phase = "joining"
    membership.request = nil
    if membership.established then
        catchUp(
            membership,
            function()
                if isCurrent(membership) and isComingBack(membership) then
                    joinAgain(membership)
                end
            end
        )
    else
        joinAgain(membership)
    end
end
function joinAgain(membership)
    membership.phase = "joining"
    local resync = {request = nil, shown = {}, selfShown = false}
    membership.resync = resync
    setTimer(
        membership,
        options.answerTimeout,
        function()
            refuseWaiting(membership)
            ____exports.lost(membership)
        end
    )
    sendUpstream(
        membership,
        joinPresence(membership)
    )
    if membership.resync == resync then
        selfPing(
            membership,
            function()
                if membership.resync == resync and membership.phase == "entering" then
                    startOver(membership)
                end
            end
        )
    end
end
function startOver(membership)
    local resync = {request = nil, shown = {}, selfShown = false}
    membership.phase = "joining"
    membership.resync = resync
    setTimer(
        membership,
        options.answerTimeout,
        function()
            ____exports.lost(membership)
        end
    )
    local unavailable = st.presence({
        type = "unavailable",
        to = ownAddress(membership)
    })
    sendUpstream(membership, unavailable)
    sendUpstream(
        membership,
        joinPresence(membership)
    )
end
function joinPresence(membership)
    local presence = presenceToShow(membership)
    presence.attr.to = ownAddress(membership)
    local x = st.stanza("x", {xmlns = MUC})
    local since = historySince(membership)
    x:tag("history", since == nil and ({maxstanzas = "0"}) or ({since = since})):up()
    if membership.password ~= nil then
        x:tag("password"):text(membership.password):up()
    end
    presence:add_direct_child(x)
    return presence
end
function ownAddress(membership)
    return (membership.room .. "/") .. membership.nick
end
--- The account goes out of the room; `unavailable` may carry a client's parting words.
function ____exports.leave(membership, unavailable)
    membership.phase = "leaving"
    membership.request = nil
    membership.resync = nil
    membership.tries = 0
    save(membership.username)
    setTimer(
        membership,
        options.answerTimeout,
        function()
            leaveUnanswered(membership, unavailable.attr.id)
        end
    )
    local presence = st.clone(unavailable)
    presence.attr.to = ownAddress(membership)
    sendUpstream(membership, presence)
end
function leaveUnanswered(membership, id)
    fork(
        membership,
        ownUnavailable(membership, id)
    )
    detachAll(membership)
    local next = nextWaiting(membership)
    if next ~= nil then
        ____exports.enter(membership, next)
    else
        ____exports.retryLeave(membership)
    end
end
--- Leaves again, and asks whether it is out: a room says nothing to the leave of who is not in it.
function ____exports.retryLeave(membership)
    membership.phase = "leaving"
    membership.tries = membership.tries + 1
    sendUpstream(
        membership,
        st.presence({
            type = "unavailable",
            to = ownAddress(membership)
        })
    )
    if not isCurrent(membership) then
        return
    end
    selfPing(
        membership,
        function(condition)
            if membership.phase ~= "leaving" or not isCurrent(membership) then
                return
            end
            local unknown = condition == nil or saysJoined(condition) or saysNothing(condition)
            if unknown and (membership.established or membership.tries < TRIES_UNTIL_TOLD) then
                setTimer(
                    membership,
                    ____exports.pause(membership.tries),
                    function()
                        ____exports.retryLeave(membership)
                    end
                )
            else
                ____exports.over(membership)
            end
        end
    )
end
function resyncLost(membership)
    local resync = membership.resync
    local ____temp_2
    if resync == nil or resync.selfShown then
        ____temp_2 = nil
    else
        ____temp_2 = resync.request
    end
    local request = ____temp_2
    if request ~= nil and request.session ~= nil then
        table.insert(membership.waiting, 1, request)
    end
    membership.resync = nil
end
--- The account is not in the room (any more). Whoever waits to join starts anew; without them nothing is left.
function ____exports.over(membership)
    stopTimer(membership)
    closePart(membership)
    forgetRoom(membership)
    membership.since = nil
    membership.catchUp = nil
    detachAll(membership)
    membership.established = false
    resyncLost(membership)
    local next = nextWaiting(membership)
    if next == nil then
        dropMembership(membership)
        save(membership.username)
    else
        ____exports.enter(membership, next)
    end
end
--- Seconds between our own presence and the subject; not every service sends one to a new room.
local SUBJECT_TIMEOUT = 10
LONGEST_PAUSE = 900
TRIES_UNTIL_TOLD = 8
NICK_TRIES = 3
--- The room let the account in: our own presence came. History and subject follow.
function ____exports.joinAccepted(membership)
    local request = membership.request
    if request ~= nil then
        local x = request.stanza:get_child("x", MUC)
        local ____membership_1 = membership
        local ____temp_0
        if x == nil then
            ____temp_0 = nil
        else
            ____temp_0 = x:get_child_text("password")
        end
        ____membership_1.password = ____temp_0
        membership.wantedNick = membership.nick
    end
    membership.request = nil
    membership.phase = "entering"
    membership.established = true
    if membership.since == nil then
        membership.since = os.time()
    end
    openPart(membership)
    membership.unanswered = 0
    save(membership.username)
    setTimer(
        membership,
        SUBJECT_TIMEOUT,
        function()
            ____exports.joinComplete(membership)
        end
    )
end
--- The room refused a join.
function ____exports.joinRefused(membership, ____error)
    local request = membership.request
    if request == nil then
        rejoinRefused(membership, ____error)
        return
    end
    if ____error.attr.id ~= nil and request.id ~= nil and ____error.attr.id ~= request.id then
        return
    end
    local answer = st.clone(____error)
    answer.attr.id = request.id
    sendTo(request.session, answer)
    detachAsking(membership, request)
    membership.request = nil
    local next = nextWaiting(membership)
    if next ~= nil then
        ____exports.enter(membership, next)
    elseif membership.established and isTemporary(____error) then
        ____exports.lost(membership)
    else
        ____exports.over(membership)
    end
end
--- An error came back for a leave: the room was not reached, or has no such occupant.
function ____exports.leaveRefused(membership, ____error)
    if not isTemporary(____error) then
        fork(
            membership,
            ownUnavailable(membership, ____error.attr.id)
        )
        ____exports.over(membership)
    elseif membership.tries == 0 then
        leaveUnanswered(membership, ____error.attr.id)
    end
end
--- Sets what ends the phase of a membership that was taken over from storage or from the module before a reload.
function ____exports.resume(membership)
    local request = membership.request
    if membership.phase == "lost" then
        ____exports.rejoin(membership)
    elseif membership.phase == "leaving" then
        ____exports.retryLeave(membership)
    elseif membership.phase == "entering" then
        setTimer(
            membership,
            SUBJECT_TIMEOUT,
            function()
                ____exports.joinComplete(membership)
            end
        )
    elseif membership.phase == "joining" and request ~= nil then
        setTimer(
            membership,
            options.answerTimeout,
            function()
                joinUnanswered(membership, request)
            end
        )
    elseif membership.phase == "joining" then
        setTimer(
            membership,
            options.answerTimeout,
            function()
                ____exports.lost(membership)
            end
        )
    elseif membership.resync ~= nil then
        resyncComplete(membership)
    end
end
return ____exports
 end,
["keep.accounts"] = function(...)
local ____exports = {}
local withdraw, leaveAll
local st = require("util.stanza")
local ____availability = require("client.availability")
local showDetached = ____availability.showDetached
local options = require("options")
local ____occupancy = require("occupancy")
local leave = ____occupancy.leave
local ____fork = require("room.fork")
local fork = ____fork.fork
local ____replay = require("room.replay")
local technicalRemoval = ____replay.technicalRemoval
local ____memberships = require("state.memberships")
local accounts = ____memberships.accounts
local allMemberships = ____memberships.allMemberships
local detachAll = ____memberships.detachAll
local dropMembership = ____memberships.dropMembership
local findAccount = ____memberships.findAccount
local hasAttached = ____memberships.hasAttached
local membershipsOf = ____memberships.membershipsOf
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
local ____log = require("keep.log")
local closePart = ____log.closePart
local ____store = require("keep.store")
local close = ____store.close
local save = ____store.save
--- Leaves every room and keeps nothing. Rooms are told once: there will be nobody to ask whether they heard it.
function ____exports.forgetAccount(username)
    for ____, membership in ipairs(membershipsOf(username)) do
        withdraw(membership)
        closePart(membership)
        dropMembership(membership)
    end
    save(username)
end
function withdraw(membership)
    sendUpstream(
        membership,
        st.presence({type = "unavailable", to = (membership.room .. "/") .. membership.nick})
    )
end
function leaveAll(account)
    for ____, membership in ipairs(membershipsOf(account.username)) do
        if membership.phase ~= "leaving" then
            module:log("info", "%s is not used any more and leaves %s", account.username, membership.room)
            leave(
                membership,
                st.presence({type = "unavailable"})
            )
        end
    end
end
--- Whether a client of the account is connected, be it in hibernation.
local function hasSession(username)
    local host = prosody.hosts[module.host]
    return host ~= nil and host.sessions ~= nil and host.sessions[username] ~= nil
end
--- A session ended. From the last one on the account's time without any runs; on an anonymous host it is over.
function ____exports.sessionEnded(username)
    local account = findAccount(username)
    if account == nil or hasSession(username) then
        return
    end
    if options.anonymous then
        ____exports.forgetAccount(username)
    else
        account.seen = os.time()
        save(username)
    end
end
--- `user-deleted` and `user-disabled`.
function ____exports.onAccountGone(event)
    if event.host == module.host then
        ____exports.forgetAccount(event.username)
    end
end
--- Accounts that nobody uses leave their rooms: a bot that came once must not sit there for ever.
function ____exports.leaveInactive()
    local now = os.time()
    for ____, account in pairs(accounts) do
        if now - account.seen > options.inactiveAfter and not hasSession(account.username) then
            leaveAll(account)
        end
    end
end
--- Rooms in which no session has been attached for a while are shown that nobody is there.
function ____exports.showAllDetached()
    local now = os.time()
    for ____, membership in ipairs(allMemberships()) do
        local since = membership.detachedAt
        if since ~= nil and now - since >= options.detachedAfter and membership.phase == "joined" then
            showDetached(membership)
        end
    end
end
--- The module is unloaded for good: the rooms are left, as nobody would answer them any more, and the sessions are told,
-- so that their clients join by themselves. What is stored stays for when the module is loaded again.
function ____exports.withdrawAll()
    close()
    for ____, membership in ipairs(allMemberships()) do
        if hasAttached(membership) then
            fork(
                membership,
                technicalRemoval(membership)
            )
            detachAll(membership)
        end
        membership.waiting = {}
        membership.phase = "leaving"
        withdraw(membership)
    end
end
return ____exports
 end,
["client.presence"] = function(...)
local ____exports = {}
local join, joinRequest, mayBeRoom, update, sessionLeaves, detachOrLeave, isLast, sessionOffline, detach
local jids = require("util.jid")
local st = require("util.stanza")
local ____accounts = require("keep.accounts")
local sessionEnded = ____accounts.sessionEnded
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
local ____occupancy = require("occupancy")
local enter = ____occupancy.enter
local leave = ____occupancy.leave
local rejoin = ____occupancy.rejoin
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
local ____replay = require("room.replay")
local ownUnavailable = ____replay.ownUnavailable
local ____memberships = require("state.memberships")
local createMembership = ____memberships.createMembership
local detachSession = ____memberships.detachSession
local isAttached = ____memberships.isAttached
local membershipOf = ____memberships.membershipOf
local membershipsOf = ____memberships.membershipsOf
local stopWaiting = ____memberships.stopWaiting
local forgetSession = ____memberships.forgetSession
local isWaiting = ____memberships.isWaiting
local hasWaiting = ____memberships.hasWaiting
local wait = ____memberships.wait
local ____sessions = require("state.sessions")
local forgetJoined = ____sessions.forgetJoined
local hasJoined = ____sessions.hasJoined
local ____pending = require("state.pending")
local forgetIqsOf = ____pending.forgetIqsOf
local ____availability = require("client.availability")
local changeNick = ____availability.changeNick
local showBest = ____availability.showBest
local updatePresence = ____availability.updatePresence
local ____serve = require("client.serve")
local serve = ____serve.serve
function join(session, stanza, room, wanted, membership)
    local attached = membership ~= nil and isAttached(membership, session.full_jid)
    local nick = wanted or (attached and membership.nick or nil)
    if nick == nil then
        return nil
    end
    local request = joinRequest(session.full_jid, stanza, nick)
    if membership == nil then
        if not mayBeRoom(session, room) then
            return nil
        end
        enter(
            createMembership(session.username, room, nick),
            request
        )
    elseif membership.phase == "leaving" and membership.tries > 0 then
        enter(membership, request)
    elseif membership.phase ~= "joined" then
        wait(membership, request)
        if membership.phase == "lost" then
            rejoin(membership)
        end
    elseif attached and nick ~= membership.nick then
        changeNick(membership, request)
    else
        serve(membership, request)
    end
    return true
end
function joinRequest(session, stanza, nick)
    return {
        session = session,
        id = stanza.attr.id,
        nick = nick,
        stanza = st.clone(stanza)
    }
end
function mayBeRoom(session, room)
    local host = prosody.hosts[jids.host(room)]
    if host ~= nil and host.type == "local" then
        return false
    end
    local ____temp_2
    if session.roster == nil then
        ____temp_2 = nil
    else
        ____temp_2 = session.roster[room]
    end
    local contact = ____temp_2
    return contact == nil or contact.subscription == "none"
end
function update(membership, session, stanza, nick)
    if not isAttached(membership, session) then
        local ____isWaiting_result_3
        if isWaiting(membership, session) then
            ____isWaiting_result_3 = true
        else
            ____isWaiting_result_3 = nil
        end
        return ____isWaiting_result_3
    end
    if nick == nil or nick == membership.nick then
        updatePresence(membership, session, stanza)
    else
        changeNick(
            membership,
            joinRequest(session, stanza, nick)
        )
    end
    return true
end
function sessionLeaves(membership, session, stanza)
    local waited = stopWaiting(membership, session)
    if isAttached(membership, session) then
        detachOrLeave(membership, session, stanza)
    elseif waited then
        sendTo(
            session,
            ownUnavailable(membership, stanza.attr.id)
        )
    else
        return nil
    end
    return true
end
function detachOrLeave(membership, session, stanza)
    if membership.phase == "leaving" then
        return
    end
    local last = isLast(membership, session)
    if not last or membership.phase == "lost" then
        detachSession(membership, session)
        sendTo(
            session,
            ownUnavailable(membership, stanza.attr.id)
        )
    end
    if last then
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
    return not hasWaiting(membership)
end
function sessionOffline(session)
    for ____, membership in ipairs(membershipsOf(session.username)) do
        if detach(membership, session.full_jid) and session.destroyed ~= true then
            sendTo(
                session.full_jid,
                ownUnavailable(membership, nil)
            )
        end
    end
end
function detach(membership, session)
    stopWaiting(membership, session)
    if not isAttached(membership, session) then
        return false
    end
    detachSession(membership, session)
    showBest(membership)
    return true
end
--- `pre-presence/full` and `pre-presence/bare`.
function ____exports.onPresence(event)
    local session = event.origin
    local stanza = event.stanza
    local to = stanza.attr.to
    local ____type = stanza.attr.type
    if to == nil then
        if ____type == "unavailable" then
            sessionOffline(session)
        end
        return nil
    end
    local room = jids.bare(to)
    if ____type == "error" then
        local ____hasJoined_result_0
        if hasJoined(session.full_jid, room) then
            ____hasJoined_result_0 = true
        else
            ____hasJoined_result_0 = nil
        end
        return ____hasJoined_result_0
    end
    local membership = membershipOf(session, room)
    if ____type == nil and stanza:get_child("x", MUC) ~= nil then
        return join(
            session,
            stanza,
            room,
            jids.resource(to),
            membership
        )
    end
    if membership == nil then
        return nil
    end
    if ____type == "unavailable" then
        return sessionLeaves(membership, session.full_jid, stanza)
    end
    local ____temp_1
    if ____type == nil then
        ____temp_1 = update(
            membership,
            session.full_jid,
            stanza,
            jids.resource(to)
        )
    else
        ____temp_1 = nil
    end
    return ____temp_1
end
--- `resource-unbind`: the session is no more. The account stays in its rooms, which hear nothing of it.
function ____exports.onSessionGone(event)
    local session = event.session
    for ____, membership in ipairs(membershipsOf(session.username)) do
        forgetSession(membership, session.full_jid)
        detach(membership, session.full_jid)
    end
    forgetIqsOf(session.full_jid)
    forgetJoined(session.full_jid)
    sessionEnded(session.username)
    return nil
end
return ____exports
 end,
["keep.watch"] = function(...)
local ____exports = {}
local checked, reached, checkAfter, comeBack, shuffled
local jids = require("util.jid")
local ____occupancy = require("occupancy")
local lost = ____occupancy.lost
local pause = ____occupancy.pause
local rejoin = ____occupancy.rejoin
local retryLeave = ____occupancy.retryLeave
local ____memberships = require("state.memberships")
local allMemberships = ____memberships.allMemberships
local isCurrent = ____memberships.isCurrent
local setTimer = ____memberships.setTimer
local ____catchup = require("keep.catchup")
local catchUp = ____catchup.catchUp
local ____ping = require("keep.ping")
local saysJoined = ____ping.saysJoined
local saysNothing = ____ping.saysNothing
local selfPing = ____ping.selfPing
--- Asks the room whether the account is in it, and brings it back if not.
function ____exports.check(membership)
    if membership.checking or membership.phase ~= "joined" then
        return
    end
    membership.checking = true
    selfPing(
        membership,
        function(condition)
            membership.checking = false
            if isCurrent(membership) and membership.phase == "joined" then
                checked(membership, condition)
            end
        end
    )
end
function checked(membership, condition)
    if condition == nil or saysJoined(condition) then
        reached(membership)
    elseif saysNothing(condition) then
        membership.unanswered = membership.unanswered + 1
        checkAfter(
            membership,
            pause(membership.unanswered)
        )
    else
        module:log(
            "info",
            "%s is out of %s (%s) and goes back",
            membership.username,
            membership.room,
            condition
        )
        lost(membership)
    end
end
function reached(membership)
    if membership.unanswered > 0 then
        membership.unanswered = 0
        catchUp(
            membership,
            function() return nil end
        )
    end
end
function checkAfter(membership, seconds)
    setTimer(
        membership,
        seconds,
        function()
            ____exports.check(membership)
        end
    )
end
function comeBack(membership)
    if not isCurrent(membership) or membership.timer ~= nil then
        return
    end
    if membership.phase == "lost" then
        rejoin(membership)
    elseif membership.phase == "leaving" then
        retryLeave(membership)
    end
end
function shuffled(list)
    local result = {}
    for ____, item in ipairs(list) do
        table.insert(
            result,
            math.random(#result + 1),
            item
        )
    end
    return result
end
--- Looks after the rooms that have said nothing since the last call, spread over so many seconds.
function ____exports.checkQuiet(spread)
    for ____, membership in ipairs(allMemberships()) do
        if membership.heard then
            membership.heard = false
        elseif membership.phase == "joined" and membership.unanswered == 0 then
            checkAfter(
                membership,
                math.random() * spread
            )
        end
    end
end
--- Seconds within which the rooms of a server are asked after its link broke.
local AFTER_LINK = 5
--- `s2sin-destroyed` and `s2sout-destroyed`: the server on the other end may have gone, and the account with it.
function ____exports.onLinkGone(event)
    local ____temp_0
    if event.session.direction == "outgoing" then
        ____temp_0 = event.session.to_host
    else
        ____temp_0 = event.session.from_host
    end
    local remote = ____temp_0
    if remote == nil then
        return
    end
    for ____, membership in ipairs(allMemberships()) do
        if jids.host(membership.room) == remote and membership.phase == "joined" and membership.unanswered == 0 then
            checkAfter(
                membership,
                1 + math.random() * AFTER_LINK
            )
        end
    end
end
--- Memberships handed out at a time when the account comes back to its rooms, ten times a second.
local STEP = 0.1
--- Brings the accounts back to the rooms they were in when the server stopped, and finishes the leaves that were under
-- way: so many a second, in random order, so that neither this server nor the rooms' are flooded.
function ____exports.bringBack(perSecond)
    local memberships = shuffled(allMemberships())
    if #memberships == 0 then
        return
    end
    module:log("info", "Coming back to %d rooms", #memberships)
    local due = 0
    module:add_timer(
        0,
        function()
            due = due + perSecond * STEP
            while due >= 1 do
                local membership = table.remove(memberships)
                if membership == nil then
                    return nil
                end
                due = due - 1
                comeBack(membership)
            end
            return STEP
        end
    )
end
return ____exports
 end,
["client.resource"] = function(...)
local ____exports = {}
local ____options = require("options")
local resource = ____options.resource
--- `pre-resource-bind`: no client may take the resource that is the account's in its rooms; it is given a random one.
function ____exports.onResourceBind(event)
    if event.resource == resource then
        event.resource = nil
    end
end
return ____exports
 end,
["room.iq"] = function(...)
local ____exports = {}
local onAnswer, onRequest, askAccount
local jids = require("util.jid")
local st = require("util.stanza")
local ____ask = require("keep.ask")
local takeAnswer = ____ask.takeAnswer
local ____namespaces = require("namespaces")
local PING = ____namespaces.PING
local PUBSUB = ____namespaces.PUBSUB
local VCARD = ____namespaces.VCARD
local ____memberships = require("state.memberships")
local findMembership = ____memberships.findMembership
local ____pending = require("state.pending")
local takeIq = ____pending.takeIq
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
function onAnswer(room, stanza)
    if takeAnswer(room, stanza) then
        return true
    end
    local ____temp_2
    if stanza.attr.id == nil then
        ____temp_2 = nil
    else
        ____temp_2 = takeIq(stanza.attr.id, room)
    end
    local pending = ____temp_2
    if pending == nil then
        return nil
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
        return askAccount(membership, stanza)
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
function askAccount(membership, stanza)
    local account = jids.bare(membership.occupant)
    if stanza.attr.to == account then
        return nil
    end
    local copy = st.clone(stanza)
    copy.attr.to = account
    module:send(copy)
    return true
end
--- `iq/bare` or `iq/full`, by the shape of the occupant JID.
function ____exports.onIq(event)
    local stanza = event.stanza
    local from = stanza.attr.from
    local to = stanza.attr.to
    if from == nil or to == nil then
        return nil
    end
    local room = jids.bare(from)
    local membership = findMembership(to, room)
    local ____type = stanza.attr.type
    if ____type == "result" or ____type == "error" then
        local ____temp_0
        if stanza.attr.id == nil then
            ____temp_0 = true
        else
            ____temp_0 = onAnswer(room, stanza)
        end
        return ____temp_0
    end
    if membership == nil then
        return nil
    end
    local isRequest = (____type == "get" or ____type == "set") and stanza.attr.id ~= nil
    local ____isRequest_1
    if isRequest then
        ____isRequest_1 = onRequest(membership, event)
    else
        ____isRequest_1 = true
    end
    return ____isRequest_1
end
return ____exports
 end,
["room.message"] = function(...)
local ____exports = {}
local isJoinAffiliations, onGroupchat, keepSubject, isSameSubject, isSubject, noteConfiguration, onError, isInvitation
local jids = require("util.jid")
local st = require("util.stanza")
local ____serve = require("client.serve")
local resyncComplete = ____serve.resyncComplete
local ____catchup = require("keep.catchup")
local missed = ____catchup.missed
local takeResult = ____catchup.takeResult
local ____log = require("keep.log")
local takeDown = ____log.takeDown
local ____watch = require("keep.watch")
local check = ____watch.check
local ____namespaces = require("namespaces")
local AFFILIATIONS = ____namespaces.AFFILIATIONS
local CONFERENCE = ____namespaces.CONFERENCE
local DELAY = ____namespaces.DELAY
local MUC_USER = ____namespaces.MUC_USER
local ____memberships = require("state.memberships")
local askingSession = ____memberships.askingSession
local findMembership = ____memberships.findMembership
local hasAttached = ____memberships.hasAttached
local isAttached = ____memberships.isAttached
local takeSender = ____memberships.takeSender
local ____occupancy = require("occupancy")
local joinComplete = ____occupancy.joinComplete
local ____stanzas = require("stanzas")
local addDelay = ____stanzas.addDelay
local delayBy = ____stanzas.delayBy
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
function isJoinAffiliations(stanza)
    local x = stanza:get_child("x", MUC_USER)
    local ____temp_0
    if x == nil then
        ____temp_0 = nil
    else
        ____temp_0 = x:get_child("mav", AFFILIATIONS)
    end
    local version = ____temp_0
    return version ~= nil and version.attr.since == nil
end
function onGroupchat(membership, stanza, nick)
    if membership.catchUp ~= nil then
        local ____membership_catchUp_held_1 = membership.catchUp.held
        ____membership_catchUp_held_1[#____membership_catchUp_held_1 + 1] = st.clone(stanza)
    end
    local subject = isSubject(stanza)
    local before = membership.subject
    if subject then
        keepSubject(membership, stanza)
    elseif nick == nil then
        noteConfiguration(membership, stanza)
    elseif nick == membership.nick then
        takeSender(membership, stanza.attr.id)
    end
    local resync = membership.resync
    if resync ~= nil and resync.selfShown and (subject or stanza:get_child("delay", DELAY) ~= nil) then
        if resync.request ~= nil then
            sendTo(resync.request.session, stanza)
        elseif not subject then
            missed(membership, stanza)
        elseif not isSameSubject(before, stanza) then
            fork(membership, stanza)
        end
    else
        if not subject and membership.catchUp == nil then
            takeDown(membership, stanza)
        end
        fork(membership, stanza)
    end
    if subject and membership.phase == "entering" then
        joinComplete(membership)
    elseif subject and resync ~= nil and resync.selfShown then
        resyncComplete(membership)
    end
end
function keepSubject(membership, stanza)
    local copy = st.clone(stanza)
    copy.attr.to = nil
    local live = membership.phase == "joined" and membership.resync == nil
    if live and delayBy(copy, membership.room) == nil then
        addDelay(
            copy,
            membership.room,
            os.time()
        )
    end
    membership.subject = copy
end
function isSameSubject(before, stanza)
    return before ~= nil and before:get_child_text("subject") == stanza:get_child_text("subject")
end
function isSubject(stanza)
    return stanza:get_child("subject") ~= nil and stanza:get_child("body") == nil and stanza:get_child("thread") == nil
end
function noteConfiguration(membership, stanza)
    local x = stanza:get_child("x", MUC_USER)
    if x == nil then
        return
    end
    for ____, tag in ipairs(x.tags) do
        local ____temp_2
        if tag.name == "status" then
            ____temp_2 = tag.attr.code
        else
            ____temp_2 = nil
        end
        local code = ____temp_2
        if code == "170" then
            membership.logged = true
        elseif code == "171" then
            membership.logged = false
        elseif code == "172" then
            membership.nonAnonymous = true
        elseif code == "173" then
            membership.nonAnonymous = false
        end
    end
end
function onError(membership, stanza)
    local ____, condition = stanza:get_error()
    if condition == "not-acceptable" then
        check(membership)
    end
    local sender = takeSender(membership, stanza.attr.id)
    if sender == nil then
        module:log("debug", "Message error from %s to %s answers nothing", membership.room, membership.username)
    end
    sendTo(sender, stanza)
end
function isInvitation(stanza)
    local x = stanza:get_child("x", MUC_USER)
    if x ~= nil and (x:get_child("invite") ~= nil or x:get_child("decline") ~= nil) then
        return true
    end
    return stanza:get_child("x", CONFERENCE) ~= nil
end
--- `message/bare` or `message/full`, by the shape of the occupant JID.
function ____exports.onMessage(event)
    local stanza = event.stanza
    local from = stanza.attr.from
    local to = stanza.attr.to
    if from == nil or to == nil then
        return nil
    end
    local membership = findMembership(
        to,
        jids.bare(from)
    )
    if membership == nil then
        return nil
    end
    membership.heard = true
    local ____type = stanza.attr.type
    if ____type == "groupchat" then
        onGroupchat(
            membership,
            stanza,
            jids.resource(from)
        )
        return true
    end
    if ____type == "error" then
        onError(membership, stanza)
        return true
    end
    if takeResult(membership, stanza) then
        return true
    end
    local asking = askingSession(membership)
    if isInvitation(stanza) or asking == nil and not hasAttached(membership) then
        return nil
    end
    local forAsking = asking ~= nil and isJoinAffiliations(stanza)
    if not forAsking then
        fork(membership, stanza)
    end
    if forAsking or not isAttached(membership, asking) then
        sendTo(asking, stanza)
    end
    return true
end
return ____exports
 end,
["room.presence"] = function(...)
local ____exports = {}
local onStray, onRoomPresence, onAvailable, forward, isSelf, onSelfAvailable, onBack, announceNick, onResyncSelf, onUnavailable, onRenamed, onSelfShown, takeNickRequest, onRemoved, isTechnical, onError, keepSelf, isSame, selfNick, hasStatus, itemNick
local jids = require("util.jid")
local st = require("util.stanza")
local ____availability = require("client.availability")
local nickRefused = ____availability.nickRefused
local regainNick = ____availability.regainNick
local ____serve = require("client.serve")
local attach = ____serve.attach
local serve = ____serve.serve
local ____upstream = require("client.upstream")
local unlockRoom = ____upstream.unlockRoom
local ____store = require("keep.store")
local save = ____store.save
local ____watch = require("keep.watch")
local check = ____watch.check
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
local MUC_USER = ____namespaces.MUC_USER
local ____occupancy = require("occupancy")
local joinAccepted = ____occupancy.joinAccepted
local joinRefused = ____occupancy.joinRefused
local leaveRefused = ____occupancy.leaveRefused
local lost = ____occupancy.lost
local over = ____occupancy.over
local ____stanzas = require("stanzas")
local isSameElement = ____stanzas.isSameElement
local ____held = require("state.held")
local hold = ____held.hold
local ____memberships = require("state.memberships")
local askingSession = ____memberships.askingSession
local findMembership = ____memberships.findMembership
local isAttached = ____memberships.isAttached
local isComingBack = ____memberships.isComingBack
local isOccupantJid = ____memberships.isOccupantJid
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
local ____replay = require("room.replay")
local nickChange = ____replay.nickChange
local selfPresence = ____replay.selfPresence
function onStray(stanza, from, to)
    if stanza.attr.type ~= "error" and stanza:get_child("x", MUC_USER) == nil then
        return nil
    end
    if stanza.attr.type == nil and hasStatus(stanza, "110") then
        module:send(st.presence({type = "unavailable", from = to, to = from}))
    end
    return true
end
function onRoomPresence(membership, stanza)
    local before = membership.roomPresence
    local copy = stanza.attr.type == nil and hold(stanza).stanza or nil
    membership.roomPresence = copy
    forward(
        membership,
        stanza,
        isSame(before, copy)
    )
end
function onAvailable(membership, nick, stanza)
    if isSelf(membership, nick, stanza) then
        onSelfAvailable(membership, nick, stanza)
        return
    end
    if membership.self ~= nil and nick == selfNick(membership.self) and nick ~= membership.nick then
        announceNick(membership, membership.self)
    end
    local before = membership.occupants[nick]
    local held = hold(stanza)
    membership.occupants[nick] = held
    if membership.resync ~= nil then
        membership.resync.shown[nick] = true
    end
    forward(
        membership,
        stanza,
        before ~= nil and isSame(before.stanza, held.stanza)
    )
end
function forward(membership, stanza, known)
    local resync = membership.resync
    if resync == nil or resync.selfShown then
        fork(membership, stanza)
        return
    end
    local asking = askingSession(membership)
    if known or not isAttached(membership, asking) then
        sendTo(asking, stanza)
    end
    if not known then
        fork(membership, stanza)
    end
end
function isSelf(membership, nick, stanza)
    return nick == membership.nick or membership.phase == "joining" and hasStatus(stanza, "110")
end
function onSelfAvailable(membership, nick, stanza)
    local before = membership.self
    local copy = keepSelf(stanza)
    local resync = membership.resync
    membership.nick = nick
    if hasStatus(stanza, "100") then
        membership.nonAnonymous = true
    end
    if hasStatus(stanza, "170") then
        membership.logged = true
    end
    if resync == nil or resync.selfShown then
        membership.self = copy
        if membership.phase == "joining" then
            joinAccepted(membership)
        end
        onSelfShown(membership, nick, stanza)
    elseif membership.phase == "joining" then
        onBack(membership, resync, before, stanza)
    else
        membership.self = copy
        onResyncSelf(
            membership,
            resync,
            stanza,
            isSame(before, copy)
        )
    end
end
function onBack(membership, resync, before, stanza)
    resync.selfShown = true
    if before ~= nil and selfNick(before) ~= membership.nick then
        announceNick(membership, before)
    end
    local known = membership.self
    membership.self = keepSelf(stanza)
    joinAccepted(membership)
    if hasStatus(stanza, "201") then
        unlockRoom(membership)
    end
    if not isSame(known, membership.self) then
        fork(membership, stanza)
    end
end
function announceNick(membership, before)
    fork(
        membership,
        nickChange(membership, before)
    )
    local renamed = st.clone(before)
    renamed.attr.from = (membership.room .. "/") .. membership.nick
    membership.self = renamed
    fork(membership, renamed)
end
function onResyncSelf(membership, resync, stanza, known)
    if not known then
        fork(membership, stanza)
    end
    for nick in pairs(membership.occupants) do
        if not (resync.shown[nick] ~= nil) then
            return
        end
    end
    resync.selfShown = true
    local request = resync.request
    local ____temp_1
    if request == nil then
        ____temp_1 = nil
    else
        ____temp_1 = selfPresence(membership, request)
    end
    local answer = ____temp_1
    if request ~= nil and answer ~= nil then
        sendTo(request.session, answer)
        attach(membership, request)
    end
end
function onUnavailable(membership, nick, stanza)
    if nick ~= membership.nick then
        membership.occupants[nick] = nil
        fork(membership, stanza)
        if nick == membership.wantedNick and membership.phase == "joined" then
            regainNick(membership)
        end
        return
    end
    local ____hasStatus_result_2
    if hasStatus(stanza, "303") then
        ____hasStatus_result_2 = itemNick(stanza)
    else
        ____hasStatus_result_2 = nil
    end
    local newNick = ____hasStatus_result_2
    if newNick ~= nil then
        onRenamed(membership, newNick, stanza)
    else
        onRemoved(membership, stanza)
    end
end
function onRenamed(membership, nick, stanza)
    membership.nick = nick
    membership.wantedNick = nick
    save(membership.username)
    fork(membership, stanza)
end
function onSelfShown(membership, nick, stanza)
    local request = takeNickRequest(membership, nick)
    local isJoin = request ~= nil and request.stanza:get_child("x", MUC) ~= nil
    if isJoin and isAttached(membership, request.session) then
        fork(membership, stanza, request.session)
        serve(membership, request)
    else
        fork(membership, stanza)
    end
end
function takeNickRequest(membership, nick)
    for id, request in pairs(membership.nickRequests) do
        if request.nick == nick then
            membership.nickRequests[id] = nil
            return request
        end
    end
    return nil
end
function onRemoved(membership, stanza)
    if isComingBack(membership) then
        return
    end
    if membership.established and membership.phase ~= "leaving" and isTechnical(stanza) then
        lost(membership)
        return
    end
    fork(membership, stanza)
    over(membership)
end
function isTechnical(stanza)
    return hasStatus(stanza, "332") or hasStatus(stanza, "333")
end
function onError(membership, stanza)
    if membership.phase == "joining" then
        joinRefused(membership, stanza)
        return
    end
    if membership.phase == "leaving" then
        leaveRefused(membership, stanza)
        return
    end
    local id = stanza.attr.id
    local ____temp_3
    if id == nil then
        ____temp_3 = nil
    else
        ____temp_3 = membership.nickRequests[id]
    end
    local request = ____temp_3
    if id == nil or request == nil then
        module:log("debug", "Presence error from %s to %s answers nothing", membership.room, membership.username)
        check(membership)
        return
    end
    membership.nickRequests[id] = nil
    nickRefused(membership, id, request)
    local ____error = st.clone(stanza)
    ____error.attr.id = request.id
    sendTo(request.session, ____error)
end
function keepSelf(stanza)
    local copy = st.clone(hold(stanza).stanza)
    local x = copy:get_child("x", MUC_USER)
    if x ~= nil then
        x:maptags(function(tag)
            local ____temp_4
            if tag.name == "status" and tag.attr.code ~= "110" then
                ____temp_4 = nil
            else
                ____temp_4 = tag
            end
            return ____temp_4
        end)
    end
    return copy
end
function isSame(one, other)
    if one == nil or other == nil then
        return one == other
    end
    return isSameElement(one, other, "id")
end
function selfNick(____self)
    return jids.resource(____self.attr.from or "")
end
function hasStatus(stanza, code)
    local x = stanza:get_child("x", MUC_USER)
    return x ~= nil and x:get_child_with_attr("status", nil, "code", code) ~= nil
end
function itemNick(stanza)
    local x = stanza:get_child("x", MUC_USER)
    local ____temp_5
    if x == nil then
        ____temp_5 = nil
    else
        ____temp_5 = x:get_child("item")
    end
    local item = ____temp_5
    local ____temp_6
    if item == nil then
        ____temp_6 = nil
    else
        ____temp_6 = item.attr.nick
    end
    return ____temp_6
end
--- `presence/bare` or `presence/full`, by the shape of the occupant JID.
function ____exports.onPresence(event)
    local stanza = event.stanza
    local from = stanza.attr.from
    local to = stanza.attr.to
    if from == nil or to == nil then
        return nil
    end
    local membership = findMembership(
        to,
        jids.bare(from)
    )
    local ____type = stanza.attr.type
    local nick = jids.resource(from)
    if membership == nil then
        local ____temp_0
        if nick == nil or not isOccupantJid(to) then
            ____temp_0 = nil
        else
            ____temp_0 = onStray(stanza, from, to)
        end
        return ____temp_0
    end
    membership.heard = true
    if ____type == "error" then
        onError(membership, stanza)
    elseif ____type ~= nil and ____type ~= "unavailable" then
        return nil
    elseif nick == nil then
        onRoomPresence(membership, stanza)
    elseif ____type == nil then
        onAvailable(membership, nick, stanza)
    else
        onUnavailable(membership, nick, stanza)
    end
    return true
end
return ____exports
 end,
["state.snapshot"] = function(...)
local ____exports = {}
local ____memberships = require("state.memberships")
local accounts = ____memberships.accounts
local ____logs = require("state.logs")
local restoreLog = ____logs.restoreLog
local ____pending = require("state.pending")
local pendingIqs = ____pending.pendingIqs
local restorePendingIqs = ____pending.restorePendingIqs
function ____exports.snapshot()
    return {accounts = accounts, pendingIqs = pendingIqs}
end
--- Takes over what the instance before had; timers end with the instance that set them.
function ____exports.restore(saved)
    for occupant, account in pairs(saved.accounts) do
        accounts[occupant] = account
        for ____, membership in pairs(account.memberships) do
            membership.timer = nil
            membership.checking = false
            membership.catchUp = nil
            if membership.log ~= nil then
                restoreLog(membership.log)
            end
        end
    end
    restorePendingIqs(saved.pendingIqs)
end
return ____exports
 end,
["main"] = function(...)
local ____exports = {}
local ____archive = require("client.archive")
local onAccountInfo = ____archive.onAccountInfo
local onArchiveFormRequest = ____archive.onFormRequest
local onArchiveQuery = ____archive.onQuery
local ____iq = require("client.iq")
local expireIqs = ____iq.expireIqs
local onClientIq = ____iq.onIq
local ____message = require("client.message")
local onCarbon = ____message.onCarbon
local onClientMessage = ____message.onMessage
local ____presence = require("client.presence")
local onClientPresence = ____presence.onPresence
local onSessionGone = ____presence.onSessionGone
local ____accounts = require("keep.accounts")
local leaveInactive = ____accounts.leaveInactive
local onAccountGone = ____accounts.onAccountGone
local showAllDetached = ____accounts.showAllDetached
local withdrawAll = ____accounts.withdrawAll
local ____log = require("keep.log")
local expire = ____log.expire
local saveChanged = ____log.saveChanged
local ____store = require("keep.store")
local load = ____store.load
local ____watch = require("keep.watch")
local bringBack = ____watch.bringBack
local checkQuiet = ____watch.checkQuiet
local onLinkGone = ____watch.onLinkGone
local ____occupancy = require("occupancy")
local resume = ____occupancy.resume
local options = require("options")
local ____resource = require("client.resource")
local onResourceBind = ____resource.onResourceBind
local ____fork = require("room.fork")
local onUndelivered = ____fork.onUndelivered
local ____iq = require("room.iq")
local onRoomIq = ____iq.onIq
local ____message = require("room.message")
local onRoomMessage = ____message.onMessage
local ____presence = require("room.presence")
local onRoomPresence = ____presence.onPresence
local ____memberships = require("state.memberships")
local allMemberships = ____memberships.allMemberships
local ____snapshot = require("state.snapshot")
local restore = ____snapshot.restore
local snapshot = ____snapshot.snapshot
module:hook("pre-presence/full", onClientPresence, 0.05)
module:hook("pre-presence/bare", onClientPresence, 0.05)
module:hook("pre-message/full", onClientMessage, -2)
module:hook("pre-message/bare", onClientMessage, -2)
module:hook("carbons-should-copy", onCarbon, 1)
module:hook("pre-iq/full", onClientIq, -1)
module:hook("pre-iq/bare", onClientIq, -1)
module:hook("resource-unbind", onSessionGone, 1)
if options.resource == nil then
    module:hook("presence/bare", onRoomPresence, 0.05)
    module:hook("message/bare", onRoomMessage, -0.25)
    module:hook("iq/bare", onRoomIq, 0.05)
else
    module:hook("presence/full", onRoomPresence, 0.05)
    module:hook("message/full", onRoomMessage, -0.25)
    module:hook("iq/full", onRoomIq, 0.05)
    module:hook("pre-resource-bind", onResourceBind, 1)
end
if options.archive ~= false then
    module:hook("iq-get/self/urn:xmpp:mam:2:query", onArchiveFormRequest, 1)
    module:hook("iq-set/self/urn:xmpp:mam:2:query", onArchiveQuery, 1)
    module:hook("account-disco-info", onAccountInfo, -1)
end
module:hook("delivery/failure", onUndelivered, -1)
module:hook("s2sin-destroyed", onLinkGone, 1)
module:hook("s2sout-destroyed", onLinkGone, 1)
module:hook_global("server-stopping", saveChanged)
module:hook_global("user-deleted", onAccountGone)
module:hook_global("user-disabled", onAccountGone)
--- Calls `task` every so many seconds, or never.
local function every(seconds, task)
    if seconds ~= math.huge then
        module:add_timer(
            seconds,
            function()
                task(seconds)
                return seconds
            end
        )
    end
end
every(30, expireIqs)
every(
    math.min(
        30,
        math.max(1, options.detachedAfter)
    ),
    showAllDetached
)
every(options.pingAfter, checkQuiet)
every(6 * 3600, expire)
every(
    math.min(3600, options.inactiveAfter),
    leaveInactive
)
module.load = function()
    if module.reloading ~= true then
        load()
        if prosody.start_time == nil then
            module:hook_global(
                "server-started",
                function()
                    bringBack(options.rejoinRate)
                    return nil
                end
            )
        else
            bringBack(options.rejoinRate)
        end
    end
end
module.save = function()
    saveChanged()
    return snapshot()
end
module.restore = function(saved)
    restore(saved)
    for ____, membership in ipairs(allMemberships()) do
        resume(membership)
    end
end
module.unload = function()
    if module.reloading ~= true then
        withdrawAll()
    end
end
return ____exports
 end,
}
local ____entry = require("main", ...)
return ____entry
