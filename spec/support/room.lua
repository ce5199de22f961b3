-- A small XEP-0045 room. It sends presence like mod_muc: a new stanza for each recipient. A message is the same table
-- for all recipients, with another `to`.

local st = require "util.stanza";
local jid = require "util.jid";
local datetime = require "util.datetime";
local new_id = require "util.id".short;

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_user = xmlns_muc.."#user";

local room = {};
room.__index = room;

-- fields: jid, subject, password, members_only, whois ("anyone"), members ({ [bare JID] = affiliation }), limit (of
-- occupants), creates (the first join creates the room: 201), refuse ({ type, condition } for any join), silent
-- (answers nothing), ignores(room, stanza) -> whether this stanza is lost, occupant_ids, on_iq(room, stanza) -> reply,
-- nil, or true for none, records (false: `received` stays empty)
function room.new(fields)
	local self = setmetatable({}, room);
	for name, value in pairs(fields) do
		self[name] = value;
	end
	self.subject = self.subject or "";
	self.members = self.members or {};
	self.occupants = {}; -- in order of arrival
	self.history = {};
	self.errors = {}; -- stanzas with type='error'; a service removes their senders
	self.received = {};
	self.send = self.send or function () end;
	return self;
end

-- Occupants

local function find(self, is_wanted)
	for i, occupant in ipairs(self.occupants) do
		if is_wanted(occupant) then return occupant, i; end
	end
end

-- Finds an occupant by real JID or by nick.
function room:occupant(name)
	return find(self, function (occupant) return occupant.jid == name or occupant.nick == name; end);
end

local function by_jid(self, real_jid)
	return find(self, function (occupant) return occupant.jid == real_jid; end);
end

local function by_nick(self, nick)
	return find(self, function (occupant) return occupant.nick == nick; end);
end

local function remove(self, occupant)
	local _, i = find(self, function (other) return other == occupant; end);
	table.remove(self.occupants, i);
end

local function affiliation_of(self, real_jid)
	return self.members[jid.bare(real_jid)] or "none";
end

local function default_role(affiliation)
	if affiliation == "owner" or affiliation == "admin" then return "moderator"; end
	return "participant";
end

local function address(self, nick)
	return self.jid.."/"..nick;
end

-- Sending

-- Occupants that a spec adds have no server. They keep the stanzas that they get.
local function route(self, occupant, stanza)
	stanza.attr.to = occupant.jid;
	if occupant.inbox then
		table.insert(occupant.inbox, st.clone(stanza));
	else
		self.send(stanza);
	end
end

local function everybody(self)
	return table.move(self.occupants, 1, #self.occupants, 1, {});
end

local function broadcast(self, stanza)
	for _, occupant in ipairs(everybody(self)) do
		route(self, occupant, stanza);
	end
end

local function reply_error(self, stanza, kind, condition)
	if stanza.attr.type == "error" or stanza.attr.type == "result" then return; end
	self.send(st.error_reply(stanza, kind, condition));
end

local function may_see_jid(self, about, receiver)
	return self.whois == "anyone" or receiver == about or receiver.role == "moderator";
end

-- change: presence, unavailable, codes (for all), own_codes, new_nick, reason, destroy ({ jid, reason }), is_probed (the
-- answer to a probe, in which mod_muc omits 110)
local function presence_about(self, about, receiver, change)
	local presence = st.clone(change.presence or about.presence);
	presence.attr.from, presence.attr.to = address(self, change.nick or about.nick), nil;
	presence.attr.type = change.unavailable and "unavailable" or nil;
	presence:tag("x", { xmlns = xmlns_user });
	presence:tag("item", {
		affiliation = about.affiliation;
		role = change.unavailable and not change.new_nick and "none" or about.role;
		nick = change.new_nick;
		jid = may_see_jid(self, about, receiver) and about.jid or nil;
	});
	if change.reason then presence:text_tag("reason", change.reason); end
	presence:up();
	if change.destroy then
		presence:tag("destroy", { jid = change.destroy.jid });
		if change.destroy.reason then presence:text_tag("reason", change.destroy.reason); end
		presence:up();
	end
	for _, code in ipairs(change.codes or {}) do
		presence:tag("status", { code = code }):up();
	end
	if receiver == about and not change.is_probed then
		presence:tag("status", { code = "110" }):up();
		for _, code in ipairs(change.own_codes or {}) do
			presence:tag("status", { code = code }):up();
		end
	end
	presence:up();
	if self.occupant_ids then
		presence:tag("occupant-id", { xmlns = "urn:xmpp:occupant-id:0"; id = "occupant of "..jid.bare(about.jid) }):up();
	end
	return presence;
end

-- Sends to the other occupants first, then to the occupant itself.
local function publish(self, about, change)
	for _, receiver in ipairs(everybody(self)) do
		if receiver ~= about then
			route(self, receiver, presence_about(self, about, receiver, change));
		end
	end
	route(self, about, presence_about(self, about, about, change));
end

-- Joining

local function is_after_limits(entry, history)
	local since = history.since and datetime.parse(history.since);
	local oldest = history.seconds and os.time() - tonumber(history.seconds);
	return entry.time >= (since or 0) and entry.time >= (oldest or 0);
end

local function send_history(self, occupant, x)
	local wanted = x and x:get_child("history");
	local limits = wanted and wanted.attr or {};
	local entries = {};
	for _, entry in ipairs(self.history) do
		if is_after_limits(entry, limits) then
			table.insert(entries, entry);
		end
	end
	local max = limits.maxchars == "0" and 0 or tonumber(limits.maxstanzas) or #entries;
	for i = math.max(#entries - max, 0) + 1, #entries do
		local stanza = st.clone(entries[i].stanza);
		stanza:tag("delay", { xmlns = "urn:xmpp:delay"; from = self.jid; stamp = datetime.datetime(entries[i].time) }):up();
		route(self, occupant, stanza);
	end
end

local function subject_message(self)
	local from = self.subject_from and address(self, self.subject_from) or self.jid;
	return st.message({ type = "groupchat"; from = from; id = new_id() }):text_tag("subject", self.subject);
end

local function send_room(self, occupant, x, own_codes)
	for _, other in ipairs(everybody(self)) do
		if other ~= occupant then
			route(self, occupant, presence_about(self, other, occupant, {}));
		end
	end
	publish(self, occupant, { own_codes = own_codes });
	send_history(self, occupant, x);
	if by_jid(self, occupant.jid) then
		route(self, occupant, subject_message(self));
	end
end

local function refusal(self, stanza, x, nick)
	local affiliation = affiliation_of(self, stanza.attr.from);
	local holder = by_nick(self, nick);
	if self.refuse then return self.refuse[1], self.refuse[2]; end
	if affiliation == "outcast" then return "auth", "forbidden"; end
	if self.members_only and affiliation == "none" then return "auth", "registration-required"; end
	if self.password and x:get_child_text("password") ~= self.password then return "auth", "not-authorized"; end
	if self.limit and #self.occupants >= self.limit then return "wait", "service-unavailable"; end
	if holder and jid.bare(holder.jid) ~= jid.bare(stanza.attr.from) then return "cancel", "conflict"; end
end

local function join_codes(self, is_new)
	local codes = {};
	if self.whois == "anyone" then table.insert(codes, "100"); end
	if is_new then table.insert(codes, "201"); end
	return codes;
end

-- mod_muc and ejabberd also remove what looks like an addition of the room.
local function payload_of(stanza)
	local presence = st.clone(stanza);
	presence:maptags(function (tag)
		local xmlns = tag.attr.xmlns;
		if xmlns ~= xmlns_muc and xmlns ~= xmlns_muc.."#user" then return tag; end
	end);
	return presence;
end

local function join(self, stanza, x, nick)
	local kind, condition = refusal(self, stanza, x, nick);
	if kind then return reply_error(self, stanza, kind, condition); end
	local is_new = self.creates and #self.occupants == 0;
	local real_jid = stanza.attr.from;
	if is_new then self.members[jid.bare(real_jid)] = "owner"; end
	local affiliation = affiliation_of(self, real_jid);
	local occupant = {
		jid = real_jid;
		nick = nick;
		affiliation = affiliation;
		role = default_role(affiliation);
		presence = payload_of(stanza);
	};
	table.insert(self.occupants, occupant);
	send_room(self, occupant, x, join_codes(self, is_new));
end

-- Changes

local function leave(self, occupant, change)
	change.unavailable = true;
	change.presence = change.presence or st.presence();
	publish(self, occupant, change);
	remove(self, occupant);
end

local function rename(self, occupant, nick, presence)
	local old_nick = occupant.nick;
	publish(self, occupant, {
		unavailable = true; presence = st.presence(); nick = old_nick; new_nick = nick; codes = { "303" };
	});
	occupant.nick = nick;
	occupant.presence = presence or occupant.presence;
	publish(self, occupant, {});
end

local function expel(self, occupant, codes, fields)
	fields.codes = codes;
	return leave(self, occupant, fields);
end

local function expel_for_error(self, stanza)
	table.insert(self.errors, st.clone(stanza));
	local occupant = by_jid(self, stanza.attr.from);
	if occupant then
		expel(self, occupant, { "307", "333" }, {});
	end
end

-- What arrives

-- Like mod_muc, the room does not answer a probe of a nick that no occupant has.
local function answer_probe(self, occupant, nick)
	local probed = by_nick(self, nick);
	if probed then route(self, occupant, presence_about(self, probed, occupant, { is_probed = true })); end
end

local function presence_of_occupant(self, occupant, stanza, x)
	local nick = jid.resource(stanza.attr.to);
	if stanza.attr.type == "unavailable" then
		return leave(self, occupant, { presence = payload_of(stanza) });
	elseif stanza.attr.type == "probe" then
		return answer_probe(self, occupant, nick);
	elseif nick ~= occupant.nick then
		if by_nick(self, nick) then return reply_error(self, stanza, "cancel", "conflict"); end
		return rename(self, occupant, nick, payload_of(stanza));
	end
	occupant.presence = payload_of(stanza);
	if x then return send_room(self, occupant, x, join_codes(self)); end
	return publish(self, occupant, {});
end

local function on_presence(self, stanza)
	local nick = jid.resource(stanza.attr.to);
	local x = stanza:get_child("x", xmlns_muc);
	local occupant = by_jid(self, stanza.attr.from);
	if not nick then
		return reply_error(self, stanza, "modify", "jid-malformed");
	elseif occupant then
		return presence_of_occupant(self, occupant, stanza, x);
	elseif stanza.attr.type then
		return;
	elseif not x then
		return reply_error(self, stanza, "cancel", "not-acceptable");
	end
	return join(self, stanza, x, nick);
end

local function speak(self, occupant, stanza)
	if occupant.role == "visitor" then
		return reply_error(self, stanza, "auth", "forbidden");
	end
	local message = st.clone(stanza);
	message.attr.from, message.attr.to = address(self, occupant.nick), nil;
	if message:get_child("subject") and not message:get_child("body") then
		self.subject, self.subject_from = message:get_child_text("subject"), occupant.nick;
	else
		message:tag("stanza-id", { xmlns = "urn:xmpp:sid:0"; by = self.jid; id = new_id() }):up();
		table.insert(self.history, { stanza = st.clone(message); time = os.time() });
	end
	broadcast(self, message);
end

local function whisper(self, occupant, stanza, nick)
	local receiver = by_nick(self, nick);
	if not receiver then return reply_error(self, stanza, "cancel", "item-not-found"); end
	local message = st.clone(stanza);
	message.attr.from = address(self, occupant.nick);
	if not message:get_child("x", xmlns_user) then
		message:tag("x", { xmlns = xmlns_user }):up();
	end
	route(self, receiver, message);
end

local function invite(self, stanza, invitation)
	local x = { xmlns = xmlns_user };
	self.send(st.message({ from = self.jid; to = invitation.attr.to })
		:tag("x", x):tag("invite", { from = stanza.attr.from }):up():up());
end

local function on_message(self, stanza)
	local occupant = by_jid(self, stanza.attr.from);
	local nick = jid.resource(stanza.attr.to);
	if not occupant then return reply_error(self, stanza, "modify", "not-acceptable"); end
	if nick then return whisper(self, occupant, stanza, nick); end
	if stanza.attr.type == "groupchat" then return speak(self, occupant, stanza); end
	local x = stanza:get_child("x", xmlns_user);
	local invitation = x and x:get_child("invite");
	if invitation then return invite(self, stanza, invitation); end
end

local function iq_to_occupant(self, stanza, nick)
	local occupant = by_jid(self, stanza.attr.from);
	local receiver = by_nick(self, nick);
	if not occupant then
		return reply_error(self, stanza, "cancel", "not-acceptable");
	elseif not receiver then
		return reply_error(self, stanza, "cancel", "item-not-found");
	elseif receiver == occupant and stanza:get_child("ping", "urn:xmpp:ping") then
		return self.send(st.reply(stanza));
	end
	local iq = st.clone(stanza);
	iq.attr.from = address(self, occupant.nick);
	route(self, receiver, iq);
end

local function on_iq(self, stanza)
	local reply = self.on_iq and self:on_iq(stanza);
	local nick = jid.resource(stanza.attr.to);
	if reply == true then
		return;
	elseif reply then
		return self.send(reply);
	elseif nick then
		return iq_to_occupant(self, stanza, nick);
	elseif stanza:get_child("query", "http://jabber.org/protocol/disco#info") then
		return self.send(st.reply(stanza):tag("query", { xmlns = "http://jabber.org/protocol/disco#info" })
			:tag("identity", { category = "conference"; type = "text" }):up()
			:tag("feature", { var = xmlns_muc }):up());
	elseif stanza.attr.type == "get" or stanza.attr.type == "set" then
		return reply_error(self, stanza, "cancel", "service-unavailable");
	end
end

local handlers = { presence = on_presence; message = on_message; iq = on_iq };

function room:receive(stanza)
	if self.records ~= false then table.insert(self.received, st.clone(stanza)); end
	if self.silent or self.ignores and self:ignores(stanza) then return; end
	if stanza.attr.type == "error" and stanza.name ~= "iq" then
		return expel_for_error(self, stanza);
	end
	return handlers[stanza.name](self, stanza);
end

-- Actions for specs. Occupants are named by nick or real JID.

local function named(self, name)
	return assert(self:occupant(name), "nobody is called "..name);
end

-- Adds an occupant from elsewhere. fields: jid, affiliation, role, presence
function room:enter(nick, fields)
	fields = fields or {};
	local occupant = {
		nick = nick;
		jid = fields.jid or nick:lower():gsub("[^%w]", "").."@elsewhere.example/client";
		affiliation = fields.affiliation or "none";
		role = fields.role or default_role(fields.affiliation);
		presence = fields.presence or st.presence();
		inbox = {};
	};
	table.insert(self.occupants, occupant);
	publish(self, occupant, {});
	return occupant;
end

-- content: the text of the body, or a message stanza
function room:say(name, content, id)
	local message = content;
	if type(content) == "string" then
		message = st.message({ type = "groupchat"; id = id or new_id() }, content);
	end
	message.attr.type = "groupchat";
	speak(self, named(self, name), message);
	return message.attr.id;
end

function room:whisper(name, to_name, body)
	local message = st.message({ type = "chat"; id = new_id() }, body);
	whisper(self, named(self, name), message, named(self, to_name).nick);
end

function room:set_subject(name, text)
	speak(self, named(self, name), st.message({ type = "groupchat"; id = new_id() }):text_tag("subject", text));
end

-- Sends a query of one occupant to another; `payload` is the child. Returns the id.
function room:query(name, to_name, payload, kind)
	local id = new_id();
	local iq = st.iq({ type = kind or "get"; id = id; from = address(self, named(self, name).nick) }):add_child(payload);
	route(self, named(self, to_name), iq);
	return id;
end

function room:update(name, presence)
	local occupant = named(self, name);
	occupant.presence = presence or occupant.presence;
	publish(self, occupant, {});
end

function room:set_role(name, role, affiliation)
	local occupant = named(self, name);
	occupant.role, occupant.affiliation = role, affiliation or occupant.affiliation;
	publish(self, occupant, {});
end

function room:rename(name, nick)
	rename(self, named(self, name), nick);
end

function room:leave(name)
	leave(self, named(self, name), {});
end

function room:kick(name, reason)
	expel(self, named(self, name), { "307" }, { reason = reason });
end

function room:ban(name, reason)
	local occupant = named(self, name);
	self.members[jid.bare(occupant.jid)] = "outcast";
	occupant.affiliation = "outcast";
	expel(self, occupant, { "301" }, { reason = reason });
end

-- Removes an occupant with a status: 321, 322, 332, 333
function room:remove(name, ...)
	expel(self, named(self, name), { ... }, {});
end

function room:destroy(alternate, reason)
	for _, occupant in ipairs(everybody(self)) do
		route(self, occupant, presence_about(self, occupant, occupant, {
			unavailable = true;
			presence = st.presence();
			destroy = { jid = alternate; reason = reason };
		}));
	end
	self.occupants = {};
end

-- Forgets one occupant or all without a stanza, as when the service restarts.
function room:forget(name)
	if name then
		return remove(self, named(self, name));
	end
	self.occupants = {};
end

return room;
