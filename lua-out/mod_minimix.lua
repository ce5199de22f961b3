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
["namespaces"] = function(...)
local ____exports = {}
____exports.MUC = "http://jabber.org/protocol/muc"
____exports.MUC_OWNER = "http://jabber.org/protocol/muc#owner"
____exports.MUC_USER = "http://jabber.org/protocol/muc#user"
____exports.CARBONS = "urn:xmpp:carbons:2"
____exports.CONFERENCE = "jabber:x:conference"
____exports.DATAFORM = "jabber:x:data"
____exports.DELAY = "urn:xmpp:delay"
____exports.FORWARD = "urn:xmpp:forward:0"
____exports.HINTS = "urn:xmpp:hints"
____exports.PING = "urn:xmpp:ping"
____exports.PUBSUB = "http://jabber.org/protocol/pubsub"
____exports.VCARD = "vcard-temp"
____exports.VCARD_UPDATE = "vcard-temp:x:update"
return ____exports
 end,
["options"] = function(...)
local ____exports = {}
local text, oneOf, count, period, parsePeriod, refuse, units
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
function count(name, fallback, least)
    local ____temp_1 = module:get_option(name)
    if ____temp_1 == nil then
        ____temp_1 = fallback
    end
    local value = ____temp_1
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
    local ____temp_2 = module:get_option(name)
    if ____temp_2 == nil then
        ____temp_2 = fallback
    end
    local value = ____temp_2
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
    local ____temp_3
    if factor == nil then
        ____temp_3 = nil
    else
        ____temp_3 = (tonumber(amount) or 0) * factor
    end
    return ____temp_3
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
--- Accounts of an anonymous host end with their last session, and nothing of them is kept.
____exports.anonymous = module:get_option("authentication") == "anonymous"
return ____exports
 end,
["state.memberships"] = function(...)
local ____exports = {}
local membershipList, isEmpty
local cache = require("util.cache")
local jids = require("util.jid")
local options = require("options")
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
--- Takes a session out of the line; whether it stood there.
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
            seen = os.time()
        }
        ____exports.accounts[occupant] = account
    end
    local membership = {
        username = username,
        occupant = occupant,
        room = room,
        phase = "joining",
        established = false,
        nick = nick,
        wantedNick = nick,
        password = nil,
        attached = {},
        shown = nil,
        shownText = nil,
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
    return membership.attached[session] ~= nil
end
function ____exports.hasAttached(membership)
    return not isEmpty(membership.attached)
end
function ____exports.attachSession(membership, session, presence, id)
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
    ____exports.stopWaiting(membership, request.session)
    local ____membership_waiting_0 = membership.waiting
    ____membership_waiting_0[#____membership_waiting_0 + 1] = request
end
--- The first in line, who stands there no longer.
function ____exports.nextWaiting(membership)
    return table.remove(membership.waiting, 1)
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
["room.fork"] = function(...)
local ____exports = {}
local jids = require("util.jid")
local ____memberships = require("state.memberships")
local findMembership = ____memberships.findMembership
local occupantJid = ____memberships.occupantJid
--- Sends a stanza to one session. The stanza is lent, as Prosody's own rooms lend theirs (muc.lib.lua, route_to_occupant):
-- `to` is swapped and put back, and whoever wants to keep the stanza clones it.
function ____exports.sendTo(fullJid, stanza)
    local session = prosody.full_sessions[fullJid]
    if session == nil then
        return
    end
    local to = stanza.attr.to
    stanza.attr.to = fullJid
    session.send(stanza)
    stanza.attr.to = to
end
--- Hands a stanza of the room to every attached session.
function ____exports.fork(membership, stanza)
    local to = stanza.attr.to
    for fullJid in pairs(membership.attached) do
        local session = prosody.full_sessions[fullJid]
        if session ~= nil then
            stanza.attr.to = fullJid
            session.send(stanza)
        end
    end
    stanza.attr.to = to
end
--- `delivery/failure`: a session died before it acknowledged a stanza. An error for it would tell the room of an occupant
-- that cannot be reached; the account can. Private messages take mod_smacks' ordinary way, which may still deliver them.
function ____exports.onUndelivered(event)
    local session = event.session
    local stanza = event.stanza
    local from = stanza.attr.from
    if from == nil or stanza.name == "message" and stanza.attr.type ~= "groupchat" then
        return nil
    end
    local ____temp_0
    if findMembership(
        occupantJid(session.username),
        jids.bare(from)
    ) == nil then
        ____temp_0 = nil
    else
        ____temp_0 = true
    end
    return ____temp_0
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
local membershipOf = ____memberships.membershipOf
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
    local membership = joinedRoom(session, to)
    if to == nil or membership == nil then
        return nil
    end
    local ____type = stanza.attr.type
    if ____type == "error" then
        return true
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
    membership.unreflected:set(stanza.attr.id or "", session.full_jid)
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
local chooseShown, detachedPresence
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
    if attachment == nil then
        return false
    end
    local text = tostring(attachment.presence)
    if text == membership.shownText then
        return false
    end
    membership.shownText = text
    local presence = st.clone(attachment.presence)
    presence.attr.to = (membership.room .. "/") .. membership.nick
    presence.attr.id = attachment.id
    sendUpstream(membership, presence)
    return true
end
--- What the account has to show now, noted as shown: a join of the account's own carries it.
function ____exports.presenceToShow(membership)
    local attachment = chooseShown(membership)
    local presence = attachment == nil and detachedPresence(membership) or attachment.presence
    membership.shownText = tostring(presence)
    return st.clone(presence)
end
--- Shows the room that nobody is there to read, if it does not know yet.
function ____exports.showDetached(membership)
    local presence = detachedPresence(membership)
    local text = tostring(presence)
    membership.shown = nil
    if text ~= membership.shownText then
        membership.shownText = text
        presence.attr.to = (membership.room .. "/") .. membership.nick
        sendUpstream(membership, presence)
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
    local key = request.id or id.medium()
    membership.nickRequests[key] = request
    local presence = presenceContent(request.stanza)
    attachSession(membership, request.session, presence, key)
    local change = st.clone(presence)
    change.attr.to = (membership.room .. "/") .. request.nick
    change.attr.id = key
    sendUpstream(membership, change)
end
--- Asks for the nick that was taken when the account came back. If it is taken again, the room's refusal goes nowhere.
function ____exports.regainNick(membership)
    local presence = ____exports.presenceToShow(membership)
    presence.attr.to = (membership.room .. "/") .. membership.wantedNick
    sendUpstream(membership, presence)
end
return ____exports
 end,
["keep.ping"] = function(...)
local ____exports = {}
local id = require("util.id")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local PING = ____namespaces.PING
--- Seconds until a ping counts as unanswered.
local PATIENCE = 30
local pings = {}
--- Pings the account's own occupant. Rooms answer in order, so the answer also tells that all they had to say to an
-- earlier stanza has been said. A room that stays silent for 30 s counts as `remote-server-timeout`.
function ____exports.selfPing(membership, answered)
    local key = "mm-" .. id.medium()
    local timer = module:add_timer(
        PATIENCE,
        function()
            pings[key] = nil
            answered("remote-server-timeout")
            return nil
        end
    )
    pings[key] = {room = membership.room, answered = answered, timer = timer}
    local to = (membership.room .. "/") .. membership.nick
    module:send(st.iq({type = "get", id = key, from = membership.occupant, to = to}):tag("ping", {xmlns = PING}):reset())
end
--- Takes the answer to a self-ping; whether it was one.
function ____exports.takePong(room, stanza)
    local key = stanza.attr.id
    local ____temp_0
    if key == nil then
        ____temp_0 = nil
    else
        ____temp_0 = pings[key]
    end
    local ping = ____temp_0
    if key == nil or ping == nil or ping.room ~= room then
        return false
    end
    pings[key] = nil
    ping.timer:stop()
    if stanza.attr.type == "result" then
        ping.answered(nil)
    else
        local ____, condition = stanza:get_error()
        ping.answered(condition or "undefined-condition")
    end
    return true
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
["room.replay"] = function(...)
local ____exports = {}
local addStatus, emptySubject, ownAffiliation, itemOf
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local MUC_USER = ____namespaces.MUC_USER
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
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
--- The whole of XEP-0045 7.1 from what the room showed the account: the room, the other occupants, the own presence, the
-- subject. Nothing of the room comes in between, as all of it is sent in one go.
function ____exports.replay(membership, request)
    if membership.roomPresence ~= nil then
        sendTo(request.session, membership.roomPresence)
    end
    for ____, presence in pairs(membership.occupants) do
        sendTo(request.session, presence)
    end
    local ____self = ____exports.selfPresence(membership, request)
    if ____self ~= nil then
        sendTo(request.session, ____self)
    end
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
local asksForMore, resync, resyncUnanswered
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
    attachSession(
        membership,
        request.session,
        presenceContent(request.stanza),
        nil
    )
    showBest(membership)
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
    local join = st.clone(request.stanza)
    join.attr.to = (membership.room .. "/") .. membership.nick
    sendUpstream(membership, join)
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
local joinUnanswered, forgetOthers, rejoinRefused, refuseWaiting, isTemporary, startOver, joinPresence, noAnswer, ownAddress, leaveUnanswered, LONGEST_PAUSE, TRIES_UNTIL_TOLD, NICK_TRIES
local st = require("util.stanza")
local ____availability = require("client.availability")
local presenceToShow = ____availability.presenceToShow
local showBest = ____availability.showBest
local ____serve = require("client.serve")
local resyncComplete = ____serve.resyncComplete
local serveWaiting = ____serve.serveWaiting
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
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
    attachSession(membership, request.session, presence, request.id)
    membership.shown = request.session
    membership.shownText = tostring(presence)
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
    detachSession(membership, request.session)
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
        ____exports.rejoin(membership)
        return
    end
    if condition == "conflict" or isTemporary(____error) then
        refuseWaiting(membership, ____error)
        ____exports.lost(membership)
        return
    end
    local next = nextWaiting(membership)
    if next ~= nil then
        ____exports.enter(membership, next)
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
function refuseWaiting(membership, ____error)
    local waiting = membership.waiting
    membership.waiting = {}
    for ____, request in ipairs(waiting) do
        local answer = st.clone(____error)
        answer.attr.id = request.id
        sendTo(request.session, answer)
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
    membership.resync = nil
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
--- The account joins by itself, and finds out what has changed since it was in the room.
function ____exports.rejoin(membership)
    membership.phase = "joining"
    membership.request = nil
    local resync = {request = nil, shown = {}, selfShown = false}
    membership.resync = resync
    setTimer(
        membership,
        options.answerTimeout,
        function()
            refuseWaiting(
                membership,
                noAnswer(membership)
            )
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
    x:tag("history", {maxstanzas = "0"}):up()
    if membership.password ~= nil then
        x:tag("password"):text(membership.password):up()
    end
    presence:add_direct_child(x)
    return presence
end
function noAnswer(membership)
    return st.error_reply(
        st.presence({
            to = ownAddress(membership),
            from = membership.occupant
        }),
        "wait",
        "remote-server-timeout",
        nil,
        membership.room
    )
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
--- The account is not in the room (any more). Whoever waits to join starts anew; without them nothing is left.
function ____exports.over(membership)
    stopTimer(membership)
    forgetRoom(membership)
    detachAll(membership)
    membership.established = false
    membership.resync = nil
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
    sendTo(request.session, ____error)
    detachSession(membership, request.session)
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
local ____store = require("keep.store")
local close = ____store.close
local save = ____store.save
--- Leaves every room and keeps nothing. Rooms are told once: there will be nobody to ask whether they heard it.
function ____exports.forgetAccount(username)
    for ____, membership in ipairs(membershipsOf(username)) do
        withdraw(membership)
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
local join, joinRequest, mayBeRoom, update, sessionLeaves, isLast, sessionOffline, detach
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
local wait = ____memberships.wait
local ____pending = require("state.pending")
local forgetIqsOf = ____pending.forgetIqsOf
local ____availability = require("client.availability")
local changeNick = ____availability.changeNick
local showBest = ____availability.showBest
local updatePresence = ____availability.updatePresence
local ____serve = require("client.serve")
local serve = ____serve.serve
function join(session, stanza, room, nick, membership)
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
    elseif isAttached(membership, session.full_jid) and nick ~= membership.nick then
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
    if nick == nil or nick == membership.nick then
        updatePresence(membership, session, stanza)
    else
        changeNick(
            membership,
            joinRequest(session, stanza, nick)
        )
    end
end
function sessionLeaves(membership, session, stanza)
    if membership.phase == "leaving" then
        return
    end
    if not isLast(membership, session) then
        detachSession(membership, session)
        sendTo(
            session,
            ownUnavailable(membership, stanza.attr.id)
        )
        showBest(membership)
        return
    end
    if membership.phase == "lost" then
        detachSession(membership, session)
        sendTo(
            session,
            ownUnavailable(membership, stanza.attr.id)
        )
    end
    leave(membership, stanza)
end
function isLast(membership, session)
    for other in pairs(membership.attached) do
        if other ~= session then
            return false
        end
    end
    return #membership.waiting == 0
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
    local resync = membership.resync
    if resync ~= nil and resync.request ~= nil and resync.request.session == session then
        resync.request = nil
    end
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
    local membership = membershipOf(session, room)
    if ____type == nil and stanza:get_child("x", MUC) ~= nil then
        local nick = jids.resource(to)
        local ____temp_0
        if nick == nil then
            ____temp_0 = nil
        else
            ____temp_0 = join(
                session,
                stanza,
                room,
                nick,
                membership
            )
        end
        return ____temp_0
    end
    if membership == nil then
        return nil
    end
    if ____type == "unavailable" and stopWaiting(membership, session.full_jid) then
        sendTo(
            session.full_jid,
            ownUnavailable(membership, stanza.attr.id)
        )
    end
    if not isAttached(membership, session.full_jid) then
        return nil
    end
    if ____type == nil then
        update(
            membership,
            session.full_jid,
            stanza,
            jids.resource(to)
        )
        return true
    end
    if ____type == "unavailable" then
        sessionLeaves(membership, session.full_jid, stanza)
        return true
    end
    local ____temp_1
    if ____type == "error" then
        ____temp_1 = true
    else
        ____temp_1 = nil
    end
    return ____temp_1
end
--- `resource-unbind`: the session is no more. The account stays in its rooms, which hear nothing of it.
function ____exports.onSessionGone(event)
    local session = event.session
    for ____, membership in ipairs(membershipsOf(session.username)) do
        detach(membership, session.full_jid)
    end
    forgetIqsOf(session.full_jid)
    sessionEnded(session.username)
    return nil
end
return ____exports
 end,
["keep.watch"] = function(...)
local ____exports = {}
local checked, checkAfter, comeBack, shuffled
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
        membership.unanswered = 0
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
local onAnswer, onRequest
local jids = require("util.jid")
local st = require("util.stanza")
local ____ping = require("keep.ping")
local takePong = ____ping.takePong
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
    if takePong(room, stanza) then
        return true
    end
    local ____temp_1
    if stanza.attr.id == nil then
        ____temp_1 = nil
    else
        ____temp_1 = takeIq(stanza.attr.id, room)
    end
    local pending = ____temp_1
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
    if query == nil or query.attr.xmlns == VCARD or query.attr.xmlns == PUBSUB then
        return nil
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
--- `iq/bare` or `iq/full`, by the shape of the occupant JID.
function ____exports.onIq(event)
    local stanza = event.stanza
    local from = stanza.attr.from
    local to = stanza.attr.to
    if from == nil or to == nil then
        return nil
    end
    local room = jids.bare(from)
    local ____type = stanza.attr.type
    if ____type == "result" or ____type == "error" then
        return onAnswer(room, stanza)
    end
    local membership = findMembership(to, room)
    local ____temp_0
    if membership == nil then
        ____temp_0 = nil
    else
        ____temp_0 = onRequest(membership, event)
    end
    return ____temp_0
end
return ____exports
 end,
["room.message"] = function(...)
local ____exports = {}
local onGroupchat, isSameSubject, isSubject, noteConfiguration, noteReflection, onError, isInvitation
local jids = require("util.jid")
local st = require("util.stanza")
local ____serve = require("client.serve")
local resyncComplete = ____serve.resyncComplete
local ____watch = require("keep.watch")
local check = ____watch.check
local ____namespaces = require("namespaces")
local CONFERENCE = ____namespaces.CONFERENCE
local DELAY = ____namespaces.DELAY
local MUC_USER = ____namespaces.MUC_USER
local ____memberships = require("state.memberships")
local findMembership = ____memberships.findMembership
local hasAttached = ____memberships.hasAttached
local ____occupancy = require("occupancy")
local joinComplete = ____occupancy.joinComplete
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
function onGroupchat(membership, stanza, nick)
    local subject = isSubject(stanza)
    local before = membership.subject
    if subject then
        local copy = st.clone(stanza)
        copy.attr.to = nil
        membership.subject = copy
    elseif nick == nil then
        noteConfiguration(membership, stanza)
    elseif nick == membership.nick then
        noteReflection(membership, stanza)
    end
    local resync = membership.resync
    if resync ~= nil and resync.selfShown and (subject or stanza:get_child("delay", DELAY) ~= nil) then
        if resync.request ~= nil then
            sendTo(resync.request.session, stanza)
        elseif subject and not isSameSubject(before, stanza) then
            fork(membership, stanza)
        end
    else
        fork(membership, stanza)
    end
    if subject and membership.phase == "entering" then
        joinComplete(membership)
    elseif subject and resync ~= nil and resync.selfShown then
        resyncComplete(membership)
    end
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
        local ____temp_0
        if tag.name == "status" then
            ____temp_0 = tag.attr.code
        else
            ____temp_0 = nil
        end
        local code = ____temp_0
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
function noteReflection(membership, stanza)
    membership.unreflected:set(stanza.attr.id or "", nil)
end
function onError(membership, stanza)
    local ____, condition = stanza:get_error()
    if condition == "not-acceptable" then
        check(membership)
    end
    local id = stanza.attr.id or ""
    local sender = membership.unreflected:get(id)
    if sender == nil then
        module:log("debug", "Message error from %s to %s answers nothing", membership.room, membership.username)
        return
    end
    membership.unreflected:set(id, nil)
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
    if isInvitation(stanza) or not hasAttached(membership) then
        return nil
    end
    fork(membership, stanza)
    return true
end
return ____exports
 end,
["room.presence"] = function(...)
local ____exports = {}
local onRoomPresence, onAvailable, forward, isSelf, onSelfAvailable, onBack, announceNick, onResyncSelf, onUnavailable, onRenamed, onRemoved, isTechnical, onError, keep, isSame, withoutId, selfNick, hasStatus, itemNick
local jids = require("util.jid")
local st = require("util.stanza")
local ____availability = require("client.availability")
local regainNick = ____availability.regainNick
local ____serve = require("client.serve")
local attach = ____serve.attach
local ____upstream = require("client.upstream")
local unlockRoom = ____upstream.unlockRoom
local ____store = require("keep.store")
local save = ____store.save
local ____watch = require("keep.watch")
local check = ____watch.check
local ____namespaces = require("namespaces")
local MUC_USER = ____namespaces.MUC_USER
local ____occupancy = require("occupancy")
local joinAccepted = ____occupancy.joinAccepted
local joinRefused = ____occupancy.joinRefused
local leaveRefused = ____occupancy.leaveRefused
local lost = ____occupancy.lost
local over = ____occupancy.over
local ____memberships = require("state.memberships")
local findMembership = ____memberships.findMembership
local isComingBack = ____memberships.isComingBack
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
local ____replay = require("room.replay")
local nickChange = ____replay.nickChange
local selfPresence = ____replay.selfPresence
function onRoomPresence(membership, stanza)
    local before = membership.roomPresence
    local copy = stanza.attr.type == nil and keep(stanza) or nil
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
    local copy = keep(stanza)
    membership.occupants[nick] = copy
    if membership.resync ~= nil then
        membership.resync.shown[nick] = true
    end
    forward(
        membership,
        stanza,
        isSame(before, copy)
    )
end
function forward(membership, stanza, known)
    local resync = membership.resync
    if resync == nil or resync.selfShown or not known then
        fork(membership, stanza)
    end
    if resync ~= nil and not resync.selfShown and resync.request ~= nil then
        if known or membership.attached[resync.request.session] == nil then
            sendTo(resync.request.session, stanza)
        end
    end
end
function isSelf(membership, nick, stanza)
    return nick == membership.nick or membership.phase == "joining" and hasStatus(stanza, "110")
end
function onSelfAvailable(membership, nick, stanza)
    local before = membership.self
    local copy = keep(stanza)
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
        fork(membership, stanza)
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
    membership.self = keep(stanza)
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
    local ____temp_0
    if request == nil then
        ____temp_0 = nil
    else
        ____temp_0 = selfPresence(membership, request)
    end
    local answer = ____temp_0
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
    local ____hasStatus_result_1
    if hasStatus(stanza, "303") then
        ____hasStatus_result_1 = itemNick(stanza)
    else
        ____hasStatus_result_1 = nil
    end
    local newNick = ____hasStatus_result_1
    if newNick ~= nil then
        onRenamed(membership, newNick, stanza)
    else
        onRemoved(membership, stanza)
    end
end
function onRenamed(membership, nick, stanza)
    membership.nick = nick
    membership.wantedNick = nick
    for id, request in pairs(membership.nickRequests) do
        if request.nick == nick then
            membership.nickRequests[id] = nil
        end
    end
    save(membership.username)
    fork(membership, stanza)
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
    local ____temp_2
    if id == nil then
        ____temp_2 = nil
    else
        ____temp_2 = membership.nickRequests[id]
    end
    local request = ____temp_2
    if id == nil or request == nil then
        module:log("debug", "Presence error from %s to %s answers nothing", membership.room, membership.username)
        check(membership)
        return
    end
    membership.nickRequests[id] = nil
    local ____error = st.clone(stanza)
    ____error.attr.id = request.id
    sendTo(request.session, ____error)
end
function keep(stanza)
    local copy = st.clone(stanza)
    copy.attr.to = nil
    return copy
end
function isSame(one, other)
    if one == nil or other == nil then
        return one == other
    end
    return withoutId(one) == withoutId(other)
end
function withoutId(stanza)
    local id = stanza.attr.id
    stanza.attr.id = nil
    local text = tostring(stanza)
    stanza.attr.id = id
    return text
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
    local ____temp_3
    if x == nil then
        ____temp_3 = nil
    else
        ____temp_3 = x:get_child("item")
    end
    local item = ____temp_3
    local ____temp_4
    if item == nil then
        ____temp_4 = nil
    else
        ____temp_4 = item.attr.nick
    end
    return ____temp_4
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
    if membership == nil then
        return nil
    end
    local ____type = stanza.attr.type
    local nick = jids.resource(from)
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
        end
    end
    restorePendingIqs(saved.pendingIqs)
end
return ____exports
 end,
["main"] = function(...)
local ____exports = {}
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
module:hook("delivery/failure", onUndelivered, 1)
module:hook("s2sin-destroyed", onLinkGone, 1)
module:hook("s2sout-destroyed", onLinkGone, 1)
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
module.save = function() return snapshot() end
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
