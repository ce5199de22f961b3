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
____exports.MUC_USER = "http://jabber.org/protocol/muc#user"
____exports.CARBONS = "urn:xmpp:carbons:2"
____exports.CONFERENCE = "jabber:x:conference"
____exports.DELAY = "urn:xmpp:delay"
____exports.FORWARD = "urn:xmpp:forward:0"
____exports.HINTS = "urn:xmpp:hints"
____exports.PING = "urn:xmpp:ping"
____exports.PUBSUB = "http://jabber.org/protocol/pubsub"
____exports.VCARD = "vcard-temp"
return ____exports
 end,
["options"] = function(...)
local ____exports = {}
--- The fixed resource of the occupant JID, or undefined for the bare JID.
____exports.resource = module:get_option_string("minimix_resource")
--- Seconds that a room has to answer a join or a leave.
____exports.answerTimeout = module:get_option_number("minimix_join_timeout", 60)
--- Answers to IQs awaited at one time, for each session; and the seconds that an answer may take.
____exports.maxPendingIqs = module:get_option_number("minimix_max_pending_iqs", 64)
____exports.iqTimeout = module:get_option_number("minimix_iq_timeout", 120)
--- `pre-resource-bind`: no client may take the resource that is the account's in its rooms; it is given a random one.
function ____exports.onResourceBind(event)
    if event.resource == ____exports.resource then
        event.resource = nil
    end
end
return ____exports
 end,
["state.memberships"] = function(...)
local ____exports = {}
local isEmpty
local cache = require("util.cache")
local jids = require("util.jid")
local options = require("options")
--- Stops whatever waits for an answer of the room.
function ____exports.stopTimers(membership)
    if membership.timer ~= nil then
        membership.timer:stop()
        membership.timer = nil
    end
    if membership.resync ~= nil then
        membership.resync.timer:stop()
        membership.resync = nil
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
local accounts = {}
--- The address the account uses towards rooms. Nothing else in the module knows its shape.
function ____exports.occupantJid(username)
    return jids.join(username, module.host, options.resource)
end
--- The membership of the account behind an occupant JID in a room (both as in a stanza's addresses, prepped).
function ____exports.findMembership(occupant, room)
    local account = accounts[occupant]
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
--- All memberships of an account, as a list: handlers may drop memberships while going through it.
function ____exports.membershipsOf(username)
    local list = {}
    local account = accounts[____exports.occupantJid(username)]
    if account ~= nil then
        for ____, membership in pairs(account.memberships) do
            list[#list + 1] = membership
        end
    end
    return list
end
--- A new membership, about to join.
function ____exports.createMembership(username, room, nick)
    local occupant = ____exports.occupantJid(username)
    local account = accounts[occupant]
    if account == nil then
        account = {username = username, memberships = {}}
        accounts[occupant] = account
    end
    local membership = {
        username = username,
        occupant = occupant,
        room = room,
        phase = "joining",
        nick = nick,
        attached = {},
        shown = nil,
        shownText = nil,
        request = nil,
        waiting = {},
        timer = nil,
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
    local account = accounts[membership.occupant]
    if account == nil then
        return
    end
    ____exports.stopTimers(membership)
    account.memberships[membership.room] = nil
    if isEmpty(account.memberships) then
        accounts[membership.occupant] = nil
    end
end
function ____exports.isAttached(membership, session)
    return membership.attached[session] ~= nil
end
function ____exports.hasAttached(membership)
    return not isEmpty(membership.attached)
end
--- Puts a request in line, in place of an earlier one of the same session.
function ____exports.wait(membership, request)
    ____exports.stopWaiting(membership, request.session)
    local ____membership_waiting_0 = membership.waiting
    ____membership_waiting_0[#____membership_waiting_0 + 1] = request
end
--- Forgets what the room showed: another join starts from nothing.
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
--- Everything there is, to be handed to the next instance of the module on reload.
function ____exports.saveAccounts()
    return accounts
end
--- Takes over what the instance before a reload had.
function ____exports.restoreAccounts(saved)
    for occupant, account in pairs(saved) do
        accounts[occupant] = account
    end
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
local forgetIq, iqs, iqsOfSession
local id = require("util.id")
local st = require("util.stanza")
local options = require("options")
function forgetIq(key, pending)
    iqs[key] = nil
    local open = (iqsOfSession[pending.session] or 1) - 1
    if open > 0 then
        iqsOfSession[pending.session] = open
    else
        iqsOfSession[pending.session] = nil
    end
end
iqs = {}
iqsOfSession = {}
--- Notes an IQ that is about to leave and gives the id to send it with; undefined when the session has too many open.
function ____exports.expectIqAnswer(session, room, request)
    local open = iqsOfSession[session] or 0
    if open >= options.maxPendingIqs then
        return nil
    end
    iqsOfSession[session] = open + 1
    local key = "mm-" .. id.medium()
    iqs[key] = {
        session = session,
        room = room,
        expires = os.time() + options.iqTimeout,
        request = st.clone(request, true)
    }
    return key
end
--- The IQ that an answer from a room belongs to; it is not pending any more.
function ____exports.takeIq(key, room)
    local pending = iqs[key]
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
    for key, pending in pairs(iqs) do
        if pending.expires <= now then
            expired[#expired + 1] = pending
            forgetIq(key, pending)
        end
    end
    return expired
end
--- Forgets the IQs of a session that is gone; late answers are dropped.
function ____exports.forgetIqsOf(session)
    for key, pending in pairs(iqs) do
        if pending.session == session then
            forgetIq(key, pending)
        end
    end
end
return ____exports
 end,
["client.iq"] = function(...)
local ____exports = {}
local isSelfPing, isArchiveQuery, request, forward
local jids = require("util.jid")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local PING = ____namespaces.PING
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
local ____memberships = require("state.memberships")
local isAttached = ____memberships.isAttached
local membershipOf = ____memberships.membershipOf
local ____pending = require("state.pending")
local expectIqAnswer = ____pending.expectIqAnswer
local takeExpiredIqs = ____pending.takeExpiredIqs
function isSelfPing(membership, to, stanza)
    return stanza.attr.type == "get" and jids.resource(to) == membership.nick and stanza:get_child("ping", PING) ~= nil
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
        session.send(attached and st.reply(stanza) or st.error_reply(stanza, "cancel", "not-acceptable"))
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
local st = require("util.stanza")
--- Sends a client's stanza to the room from the account's occupant JID. No origin is given to `module:send`, so that the
-- room's answers come back through this host's events and not straight to a client. A room of this server answers
-- before this returns: write state first.
function ____exports.sendUpstream(membership, stanza)
    local copy = st.clone(stanza)
    copy.attr.from = membership.occupant
    module:send(copy)
end
--- A presence of the account in its room.
function ____exports.presenceFor(membership, ____type)
    return st.presence({type = ____type, to = (membership.room .. "/") .. membership.nick})
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
["room.replay"] = function(...)
local ____exports = {}
local addStatus, emptySubject, ownAffiliation
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local MUC_USER = ____namespaces.MUC_USER
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
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
    local ____temp_1
    if membership.self == nil then
        ____temp_1 = nil
    else
        ____temp_1 = membership.self:get_child("x", MUC_USER)
    end
    local x = ____temp_1
    local ____temp_2
    if x == nil then
        ____temp_2 = nil
    else
        ____temp_2 = x:get_child("item")
    end
    local item = ____temp_2
    local ____temp_3
    if item == nil then
        ____temp_3 = nil
    else
        ____temp_3 = item.attr.affiliation
    end
    return ____temp_3 or "none"
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
    sendTo(
        request.session,
        membership.subject or emptySubject(membership)
    )
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
local id = require("util.id")
local st = require("util.stanza")
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
local ____availability = require("state.availability")
local bestSession = ____availability.bestSession
local presenceContent = ____availability.presenceContent
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
--- Shows the room the best presence among the attached sessions; whether that was news to it.
function ____exports.showBest(membership)
    local best = bestSession(membership)
    if best == nil then
        return false
    end
    local attachment = membership.attached[best]
    if attachment == nil then
        return false
    end
    membership.shown = best
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
--- A session's directed presence without `<x/>` (XEP-0045 7.7). Each is answered, by the room or with what it shows.
function ____exports.updatePresence(membership, session, stanza)
    membership.attached[session] = {
        presence = presenceContent(stanza),
        id = stanza.attr.id
    }
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
    membership.attached[request.session] = {presence = presence, id = key}
    local change = st.clone(presence)
    change.attr.to = (membership.room .. "/") .. request.nick
    change.attr.id = key
    sendUpstream(membership, change)
end
return ____exports
 end,
["client.occupancy"] = function(...)
local ____exports = {}
local giveUpJoining, serveWaiting, asksForMore, resync, SUBJECT_TIMEOUT
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
local options = require("options")
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
local ____replay = require("room.replay")
local ownUnavailable = ____replay.ownUnavailable
local replay = ____replay.replay
local ____availability = require("state.availability")
local presenceContent = ____availability.presenceContent
local ____memberships = require("state.memberships")
local dropMembership = ____memberships.dropMembership
local forgetRoom = ____memberships.forgetRoom
local stopTimers = ____memberships.stopTimers
local wait = ____memberships.wait
local ____availability = require("client.availability")
local showBest = ____availability.showBest
local ____upstream = require("client.upstream")
local sendUpstream = ____upstream.sendUpstream
--- Sends a join to the room. The one who asked is attached already: the answers are for it.
function ____exports.enter(membership, request)
    membership.phase = "joining"
    membership.request = request
    membership.nick = request.nick
    local presence = presenceContent(request.stanza)
    membership.attached[request.session] = {presence = presence, id = request.id}
    membership.shown = request.session
    membership.shownText = tostring(presence)
    membership.timer = module:add_timer(
        options.answerTimeout,
        function()
            giveUpJoining(membership, request)
            return nil
        end
    )
    sendUpstream(membership, request.stanza)
end
function giveUpJoining(membership, request)
    local ____error = st.error_reply(
        request.stanza,
        "wait",
        "remote-server-timeout",
        nil,
        membership.room
    )
    membership.attached[request.session] = nil
    sendTo(request.session, ____error)
    ____exports.leave(
        membership,
        st.presence({type = "unavailable"})
    )
end
--- All that a room sends on a join has come.
function ____exports.joinComplete(membership)
    stopTimers(membership)
    membership.phase = "joined"
    serveWaiting(membership)
end
function serveWaiting(membership)
    while #membership.waiting > 0 and membership.phase == "joined" and membership.resync == nil do
        local request = table.remove(membership.waiting, 1)
        if request ~= nil then
            ____exports.serve(membership, request)
        end
    end
end
--- Lets a session in under the account's nick: from what is known of the room or, where that is not enough, by a join.
function ____exports.serve(membership, request)
    if not asksForMore(request.stanza) then
        replay(membership, request)
        ____exports.attach(membership, request)
    elseif membership.resync == nil then
        resync(membership, request)
    else
        wait(membership, request)
    end
end
--- The session gets the room's traffic from now on.
function ____exports.attach(membership, request)
    membership.attached[request.session] = {
        presence = presenceContent(request.stanza),
        id = nil
    }
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
    local timer = module:add_timer(
        SUBJECT_TIMEOUT,
        function()
            ____exports.resyncUnanswered(membership)
            return nil
        end
    )
    membership.resync = {request = request, shown = {}, selfShown = false, timer = timer}
    local join = st.clone(request.stanza)
    join.attr.to = (membership.room .. "/") .. membership.nick
    sendUpstream(membership, join)
end
--- Not every service answers a repeated join (ejabberd takes it for a presence update): then what is known must do.
function ____exports.resyncUnanswered(membership)
    local ____temp_0
    if membership.resync == nil then
        ____temp_0 = nil
    else
        ____temp_0 = membership.resync.request
    end
    local request = ____temp_0
    if request ~= nil then
        replay(membership, request)
        ____exports.attach(membership, request)
    end
    ____exports.resyncComplete(membership)
end
function ____exports.resyncComplete(membership)
    stopTimers(membership)
    showBest(membership)
    serveWaiting(membership)
end
--- The account goes out of the room; `unavailable` may carry a client's parting words.
function ____exports.leave(membership, unavailable)
    stopTimers(membership)
    membership.phase = "leaving"
    membership.timer = module:add_timer(
        options.answerTimeout,
        function()
            fork(
                membership,
                ownUnavailable(membership, unavailable.attr.id)
            )
            ____exports.membershipOver(membership)
            return nil
        end
    )
    local presence = st.clone(unavailable)
    presence.attr.to = (membership.room .. "/") .. membership.nick
    sendUpstream(membership, presence)
end
--- The account is not in the room (any more). Whoever waits to join starts anew; without them nothing is left.
function ____exports.membershipOver(membership)
    stopTimers(membership)
    forgetRoom(membership)
    for session in pairs(membership.attached) do
        membership.attached[session] = nil
    end
    local next = table.remove(membership.waiting, 1)
    if next == nil then
        dropMembership(membership)
    else
        ____exports.enter(membership, next)
    end
end
SUBJECT_TIMEOUT = 10
--- The room refused the join: the error is for the one who asked.
function ____exports.joinRefused(membership, ____error)
    local request = membership.request
    if request ~= nil then
        sendTo(request.session, ____error)
    end
    ____exports.membershipOver(membership)
end
--- The room let the account in: our own presence came. Those in line wait for the end of the history, the subject.
function ____exports.joinAccepted(membership)
    stopTimers(membership)
    membership.phase = "entering"
    membership.request = nil
    membership.timer = module:add_timer(
        SUBJECT_TIMEOUT,
        function()
            ____exports.joinComplete(membership)
            return nil
        end
    )
end
return ____exports
 end,
["client.presence"] = function(...)
local ____exports = {}
local join, joinRequest, mayBeRoom, update, sessionLeaves, sessionOffline, detach
local jids = require("util.jid")
local st = require("util.stanza")
local ____namespaces = require("namespaces")
local MUC = ____namespaces.MUC
local ____fork = require("room.fork")
local sendTo = ____fork.sendTo
local ____replay = require("room.replay")
local ownUnavailable = ____replay.ownUnavailable
local ____memberships = require("state.memberships")
local createMembership = ____memberships.createMembership
local hasAttached = ____memberships.hasAttached
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
local ____occupancy = require("client.occupancy")
local enter = ____occupancy.enter
local leave = ____occupancy.leave
local serve = ____occupancy.serve
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
    elseif membership.phase ~= "joined" then
        wait(membership, request)
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
    local attachment = membership.attached[session]
    membership.attached[session] = nil
    if hasAttached(membership) or #membership.waiting > 0 then
        sendTo(
            session,
            ownUnavailable(membership, stanza.attr.id)
        )
        showBest(membership)
        return
    end
    if attachment ~= nil then
        membership.attached[session] = attachment
    end
    leave(membership, stanza)
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
    membership.attached[session] = nil
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
    return nil
end
return ____exports
 end,
["room.iq"] = function(...)
local ____exports = {}
local onAnswer, onRequest
local jids = require("util.jid")
local st = require("util.stanza")
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
local onGroupchat, isSubject, noteConfiguration, noteReflection, onError, isInvitation
local jids = require("util.jid")
local st = require("util.stanza")
local ____occupancy = require("client.occupancy")
local joinComplete = ____occupancy.joinComplete
local resyncComplete = ____occupancy.resyncComplete
local ____namespaces = require("namespaces")
local CONFERENCE = ____namespaces.CONFERENCE
local DELAY = ____namespaces.DELAY
local MUC_USER = ____namespaces.MUC_USER
local ____memberships = require("state.memberships")
local findMembership = ____memberships.findMembership
local hasAttached = ____memberships.hasAttached
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
function onGroupchat(membership, stanza, nick)
    local subject = isSubject(stanza)
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
        end
        if subject then
            resyncComplete(membership)
        end
        return
    end
    fork(membership, stanza)
    if subject and membership.phase == "entering" then
        joinComplete(membership)
    end
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
local onRoomPresence, onAvailable, isSelf, onSelfAvailable, onResyncSelf, sendToAsking, onUnavailable, onError, forgetNickRequests, keep, isSame, hasStatus, itemNick
local jids = require("util.jid")
local st = require("util.stanza")
local ____occupancy = require("client.occupancy")
local attach = ____occupancy.attach
local joinAccepted = ____occupancy.joinAccepted
local joinRefused = ____occupancy.joinRefused
local membershipOver = ____occupancy.membershipOver
local resyncUnanswered = ____occupancy.resyncUnanswered
local ____namespaces = require("namespaces")
local MUC_USER = ____namespaces.MUC_USER
local ____memberships = require("state.memberships")
local findMembership = ____memberships.findMembership
local ____fork = require("room.fork")
local fork = ____fork.fork
local sendTo = ____fork.sendTo
local ____replay = require("room.replay")
local ownUnavailable = ____replay.ownUnavailable
local selfPresence = ____replay.selfPresence
function onRoomPresence(membership, stanza)
    membership.roomPresence = stanza.attr.type == nil and keep(stanza) or nil
    fork(membership, stanza)
end
function onAvailable(membership, nick, stanza)
    if isSelf(membership, nick, stanza) then
        onSelfAvailable(membership, nick, stanza)
        return
    end
    local known = membership.occupants[nick]
    local copy = keep(stanza)
    membership.occupants[nick] = copy
    local resync = membership.resync
    if resync ~= nil and not resync.selfShown and known ~= nil and isSame(known, copy) then
        resync.shown[nick] = true
        sendToAsking(resync, stanza)
    else
        fork(membership, stanza)
    end
end
function isSelf(membership, nick, stanza)
    return nick == membership.nick or membership.phase == "joining" and hasStatus(stanza, "110")
end
function onSelfAvailable(membership, nick, stanza)
    local before = membership.self
    local copy = keep(stanza)
    membership.self = copy
    membership.nick = nick
    if hasStatus(stanza, "100") then
        membership.nonAnonymous = true
    end
    if hasStatus(stanza, "170") then
        membership.logged = true
    end
    local resync = membership.resync
    if membership.phase == "joining" then
        joinAccepted(membership)
        fork(membership, stanza)
    elseif resync ~= nil and not resync.selfShown then
        onResyncSelf(
            membership,
            resync,
            copy,
            before ~= nil and isSame(before, copy)
        )
    else
        fork(membership, stanza)
    end
end
function onResyncSelf(membership, resync, ____self, known)
    if not known then
        fork(membership, ____self)
    end
    for nick in pairs(membership.occupants) do
        if not (resync.shown[nick] ~= nil) then
            resyncUnanswered(membership)
            return
        end
    end
    resync.selfShown = true
    local request = resync.request
    if request ~= nil then
        local answer = selfPresence(membership, request)
        if answer ~= nil then
            sendTo(request.session, answer)
        end
        attach(membership, request)
    end
end
function sendToAsking(resync, stanza)
    if resync.request ~= nil then
        sendTo(resync.request.session, stanza)
    end
end
function onUnavailable(membership, nick, stanza)
    if nick ~= membership.nick then
        membership.occupants[nick] = nil
        fork(membership, stanza)
        return
    end
    local ____hasStatus_result_0
    if hasStatus(stanza, "303") then
        ____hasStatus_result_0 = itemNick(stanza)
    else
        ____hasStatus_result_0 = nil
    end
    local newNick = ____hasStatus_result_0
    if newNick ~= nil then
        membership.nick = newNick
        forgetNickRequests(membership, newNick)
        fork(membership, stanza)
        return
    end
    fork(membership, stanza)
    membershipOver(membership)
end
function onError(membership, stanza)
    if membership.phase == "joining" then
        joinRefused(membership, stanza)
        return
    end
    if membership.phase == "leaving" then
        fork(
            membership,
            ownUnavailable(membership, nil)
        )
        membershipOver(membership)
        return
    end
    local id = stanza.attr.id
    local ____temp_1
    if id == nil then
        ____temp_1 = nil
    else
        ____temp_1 = membership.nickRequests[id]
    end
    local request = ____temp_1
    if id == nil or request == nil then
        module:log("debug", "Presence error from %s to %s answers nothing", membership.room, membership.username)
        return
    end
    membership.nickRequests[id] = nil
    local ____error = st.clone(stanza)
    ____error.attr.id = request.id
    sendTo(request.session, ____error)
end
function forgetNickRequests(membership, nick)
    for id, request in pairs(membership.nickRequests) do
        if request.nick == nick then
            membership.nickRequests[id] = nil
        end
    end
end
function keep(stanza)
    local copy = st.clone(stanza)
    copy.attr.to = nil
    return copy
end
function isSame(one, other)
    return tostring(one) == tostring(other)
end
function hasStatus(stanza, code)
    local x = stanza:get_child("x", MUC_USER)
    return x ~= nil and x:get_child_with_attr("status", nil, "code", code) ~= nil
end
function itemNick(stanza)
    local x = stanza:get_child("x", MUC_USER)
    local ____temp_2
    if x == nil then
        ____temp_2 = nil
    else
        ____temp_2 = x:get_child("item")
    end
    local item = ____temp_2
    local ____temp_3
    if item == nil then
        ____temp_3 = nil
    else
        ____temp_3 = item.attr.nick
    end
    return ____temp_3
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
local ____options = require("options")
local onResourceBind = ____options.onResourceBind
local resource = ____options.resource
local ____fork = require("room.fork")
local onUndelivered = ____fork.onUndelivered
local ____iq = require("room.iq")
local onRoomIq = ____iq.onIq
local ____message = require("room.message")
local onRoomMessage = ____message.onMessage
local ____presence = require("room.presence")
local onRoomPresence = ____presence.onPresence
local ____memberships = require("state.memberships")
local restoreAccounts = ____memberships.restoreAccounts
local saveAccounts = ____memberships.saveAccounts
module:hook("pre-presence/full", onClientPresence, 0.05)
module:hook("pre-presence/bare", onClientPresence, 0.05)
module:hook("pre-message/full", onClientMessage, -2)
module:hook("pre-message/bare", onClientMessage, -2)
module:hook("carbons-should-copy", onCarbon, 1)
module:hook("pre-iq/full", onClientIq, -1)
module:hook("pre-iq/bare", onClientIq, -1)
module:hook("resource-unbind", onSessionGone, 1)
if resource == nil then
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
--- How often unanswered IQs are looked for, in seconds.
local SWEEP = 30
module:add_timer(
    SWEEP,
    function()
        expireIqs()
        return SWEEP
    end
)
module.save = function() return saveAccounts() end
module.restore = function(saved)
    restoreAccounts(saved)
end
return ____exports
 end,
}
local ____entry = require("main", ...)
return ____entry
