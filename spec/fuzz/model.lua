-- A session's view of a room, as expected from the stanzas that it sent and received. The model does not know the
-- module.
--
-- A session is "out" of a room, "asking" to join, "in", or "leaving". While it asks or leaves, it may or may not
-- receive the room's stanzas. In the other states this is definite.

local jid = require "util.jid";
local ledger = require "fuzz.ledger";

-- Marks in a presence that make its 110 implausible.
local xmlns_mistake = "urn:example:mistake";
local xmlns_user = "http://jabber.org/protocol/muc#user";

-- Stands for 110 where a service omits it. The module does not know it.
local code_own = "own";

local model = { xmlns_mistake = xmlns_mistake, code_own = code_own };

local function codes_of(stanza)
	local codes = {};
	local x = stanza:get_child("x", xmlns_user);
	for _, tag in ipairs(x and x.tags or {}) do
		if tag.name == "status" and tag.attr.code then codes[tag.attr.code] = true; end
	end
	codes.omitted = codes[code_own] and not codes["110"];
	codes["110"] = codes["110"] or codes[code_own];
	if stanza:get_child("mistake", xmlns_mistake) then codes["110"] = nil; end
	return codes, x and x:get_child("item");
end
model.codes_of = codes_of;

-- known: the session has written to the room from its full JID
local function new_place(known)
	-- sent: ids of its presences since the last leave; sent_before_leave: of those before a leave without an answer
	return { state = "out"; asked = {}; view = {}; sent = {}; sent_before_leave = {}; known = known };
end

-- before: the previous session with the same full JID. Rooms may still answer the requests that it sent from its own
-- address.
function model.session(client, account, before)
	local requests = {};
	for key, request in pairs(before and before.requests or {}) do
		if request.direct then requests[key] = { count = request.count; direct = true }; end
	end
	local places = {};
	for address, place in pairs(before and before.places or {}) do
		places[address] = new_place(place.known);
	end
	return { client = client; account = account; places = places; requests = requests };
end

-- The state of a session in a room.
function model.place(session, room)
	local place = session.places[room.jid];
	if not place then
		place = new_place();
		session.places[room.jid] = place;
	end
	return place;
end

function model.is_in(session, room)
	local place = session.places[room.jid];
	return place and place.state == "in";
end

function model.is_out(session, room)
	local place = session.places[room.jid];
	return not place or place.state == "out";
end

-- Requests that may still get an error or an answer.

local function request_key(kind, room_jid, id)
	-- An empty id counts as none.
	return ("%s %s %s"):format(kind, room_jid, id or "");
end

-- must: the request needs an answer in the end
function model.asks(session, kind, room, id, must)
	local key = request_key(kind, room.jid, id);
	local request = session.requests[key] or { count = 0 };
	request.count = request.count + 1;
	request.must = must;
	local place = model.place(session, room);
	place.known = true;
	if kind == "presence" then place.sent[id or ""] = true; end
	request.direct = request.direct or place.state ~= "in";
	session.requests[key] = request;
	return request;
end

-- mod_muc gives an id to a message without one. It answers the final unavailable of a session, which has none.
local function is_of_real_room(session, kind, room, id)
	local request = session.requests[request_key(kind, room.jid, id)];
	return room.is_real and not (request and request.count > 0);
end

local function is_asked(session, kind, room, id)
	if is_of_real_room(session, kind, room, id) then id = nil; end
	if room.is_real and kind == "presence" and not id then return model.place(session, room).known; end
	local request = session.requests[request_key(kind, room.jid, id)];
	if not request or request.count == 0 then return false; end
	-- A liar may answer a session twice if it knows the full JID.
	if not (room.lies and request.direct) then
		request.count = request.count - 1;
	end
	return true;
end

-- Stanzas of the session

-- Whether the session has sent a presence without an id. Its answer would look like that to the next one.
function model.has_sent_without_id(session, room)
	local place = model.place(session, room);
	return place.sent[""] or place.sent_before_leave[""];
end

function model.joins(session, room, id, nick)
	local place = model.place(session, room);
	if not nick and place.state ~= "in" and place.state ~= "asking" then
		-- Not a join: the room decides.
		return model.asks(session, "presence", room, id);
	end
	-- Without a nick it is a join if the account is in when its turn comes.
	local is_unclear = not nick and place.state == "asking";
	table.insert(place.asked, { id = id; nick = nick; doubtful = is_unclear; without_nick = is_unclear });
	if place.state == "out" then
		place.view, place.subject, place.nick = {}, nil, nil;
	end
	if place.state ~= "in" then
		place.state = "asking";
	end
	model.asks(session, "presence", room, id);
end

local function is_all_doubtful(asked)
	for _, request in ipairs(asked) do
		if not request.doubtful then return false; end
	end
	return asked[1] ~= nil;
end

-- Whether a session is in a room, or its join has certainly no answer yet.
function model.is_inside(session, room)
	local place = session.places[room.jid];
	return place ~= nil and (place.state == "in" or place.state == "asking" and not is_all_doubtful(place.asked));
end

function model.leaves(session, room, silently, leave_id)
	local place = model.place(session, room);
	place.known = true;
	if place.state == "out" then return; end
	-- It may have been refused before.
	place.untold = place.untold or silently or place.state == "asking" and is_all_doubtful(place.asked);
	if place.state ~= "leaving" then
		place.withdrawn = place.state == "asking" and place.asked or {};
	end
	place.asked = {};
	for id in pairs(place.sent) do place.sent_before_leave[id] = true; end
	place.sent = {};
	place.state = "leaving";
	place.awaits_leave, place.leave_id = true, leave_id;
end

-- Stanzas to the session

-- The answer to a join also answers earlier joins.
local function answers_join(place, id, is_error)
	local first, last;
	for i, asked in ipairs(place.asked) do
		if asked.id == id then
			first, last = first or i, i;
		end
	end
	if not first then return false; end
	-- Requests that look the same cannot be told apart by their answer.
	for i = first + 1, last do place.asked[i].doubtful = true; end
	if is_error and place.asked[first].without_nick then
		-- The room has refused it as something else, and may not have got the joins before it.
		table.remove(place.asked, first);
		return true;
	end
	place.asked = table.move(place.asked, first + 1, #place.asked, 1, {});
	return true;
end

local function goes_out(place)
	place.awaits_leave, place.leave_id, place.untold, place.withdrawn, place.sent_before_leave = nil, nil, nil, nil, {};
	place.view, place.subject, place.nick = {}, nil, nil;
	place.state = place.asked[1] ~= nil and "asking" or "out";
end

-- Whether an error may answer a presence with the same id that was not a join.
local function is_ambiguous(session, place, room, id)
	local joins = 0;
	for _, asked in ipairs(place.asked) do
		if asked.id == id then joins = joins + 1; end
	end
	local request = session.requests[request_key("presence", room.jid, id)];
	return joins > 0 and request ~= nil and request.count > joins;
end

local function is_one_of(asked, id)
	for _, request in ipairs(asked or {}) do
		if request.id == id then return true; end
	end
	return false;
end

local function on_error(session, place, room, stanza)
	if is_ambiguous(session, place, room, stanza.attr.id) then
		-- An error for a join answers earlier joins as well.
		local doubtful = false;
		for i = #place.asked, 1, -1 do
			local asked = place.asked[i];
			doubtful = doubtful or asked.id == stanza.attr.id;
			asked.doubtful = asked.doubtful or doubtful;
		end
		is_asked(session, "presence", room, stanza.attr.id);
		return;
	end
	if not is_asked(session, "presence", room, stanza.attr.id) then
		return "an error for a presence it never sent";
	end
	if place.awaits_leave and is_one_of(place.withdrawn, stanza.attr.id) and not is_one_of(place.asked, stanza.attr.id) then
		-- The join was refused before the leave arrived. A room says nothing to the leave of a session that is not in it.
		place.untold = true;
	end
	local left = not place.awaits_leave or place.untold;
	if answers_join(place, stanza.attr.id, true) and place.state == "asking" and place.asked[1] == nil and left then
		goes_out(place);
	end
end

-- Older services omit 110. While a room is silent, the presence of another occupant with the requested nick may be
-- taken for the account's own.
local function note_without_110(place, nick, id)
	for _, asked in ipairs(place.asked) do
		local is_its_nick = asked.nick ~= nil and asked.nick:lower() == nick:lower();
		asked.doubtful = asked.doubtful or id ~= nil and asked.id == id and is_its_nick;
	end
end

-- Whether the own presence may be the echo of another presence with the id of a join, and has another nick. If it is not,
-- it answers that join and earlier ones. Marks them.
local function is_echo(session, place, room, nick, id)
	if place.state ~= "in" or not is_ambiguous(session, place, room, id) then return false; end
	local last = 0;
	for i, asked in ipairs(place.asked) do
		if asked.id == id then
			if asked.nick and asked.nick:lower() == nick:lower() then return false; end
			last = i;
		end
	end
	for i = 1, last do place.asked[i].doubtful = true; end
	return true;
end

-- Whether the own presence may show a nick change that the room has made, and not answer a join without an id. Marks
-- these joins.
local function may_be_forced(place, nick, id)
	if place.state ~= "in" or id then return false; end
	local waiting = {};
	for _, asked in ipairs(place.asked) do
		if asked.nick and asked.nick:lower() == nick:lower() then return false; end
		if asked.nick and not asked.id then table.insert(waiting, asked); end
	end
	for _, asked in ipairs(waiting) do asked.doubtful = true; end
	return waiting[1] ~= nil;
end

-- Without 110 a client knows its own presence by its nick. While it joins, that is the nick that it has asked for, and the
-- id tells too. Another one answers an earlier join of the account.
local function is_of_other_join(place, nick, id, codes)
	if not codes.omitted then return false; end
	if place.state == "in" then return place.nick ~= nil and place.nick:lower() ~= nick:lower(); end
	if place.state ~= "asking" then return false; end
	for _, asked in ipairs(place.asked) do
		if not asked.nick or asked.nick:lower() == nick:lower() or id ~= nil and asked.id == id then return false; end
	end
	return true;
end

local function on_available(session, place, room, nick, stanza, codes)
	place.view[nick] = stanza;
	if is_of_other_join(place, nick, stanza.attr.id, codes) then return; end
	if not codes["110"] then return note_without_110(place, nick, stanza.attr.id); end
	place.nick = nick;
	-- A room answers in order. Until it has answered the leave, this may answer what the session sent before.
	local id = stanza.attr.id;
	local is_before_leave = not id or place.sent_before_leave[id];
	if place.awaits_leave and not place.untold and is_before_leave then return; end
	if is_echo(session, place, room, nick, id) or may_be_forced(place, nick, id) then return; end
	local may_be_echo = place.state == "in" and id and is_ambiguous(session, place, room, id);
	if answers_join(place, id) then
		if may_be_echo then table.insert(place.asked, 1, { id = id; nick = nick; doubtful = true }); end
		place.awaits_leave = nil;
	elseif place.state == "asking" and not place.awaits_leave then
		-- A late answer to an earlier join.
		place.asked = {};
	end
	if not place.awaits_leave then
		place.state, place.thrown_out = "in", nil;
	end
end

-- A removal without an id may be the answer to joins without an id under its nick. The account knows from a self-ping.
local function note_removal(place, nick)
	for _, asked in ipairs(place.asked) do
		local is_its_nick = asked.nick ~= nil and asked.nick:lower() == nick:lower();
		asked.doubtful = asked.doubtful or asked.id == nil and is_its_nick;
	end
end

-- Whether an unavailable may answer the session's leave: by its id, or under the nick that the session had.
local function may_answer_leave(place, nick, id)
	if not place.awaits_leave then return false; end
	return id ~= nil and id == place.leave_id or place.nick ~= nil and place.nick:lower() == nick:lower();
end

local function on_unavailable(session, place, room, nick, stanza)
	local codes, item = codes_of(stanza);
	place.view[nick] = nil;
	local is_other = is_of_other_join(place, nick, stanza.attr.id, codes) and not may_answer_leave(place, nick, stanza.attr.id);
	if not codes["110"] or is_other then return; end
	if codes["303"] then
		place.nick = item and item.attr.nick;
		return;
	end
	local was_in = place.state == "in";
	if stanza.attr.id and not place.awaits_leave then
		-- A room may remove the account instead of admitting it. This answers the join with the same id.
		answers_join(place, stanza.attr.id);
	elseif not place.awaits_leave then
		note_removal(place, nick);
	end
	place.thrown_out = not place.awaits_leave;
	goes_out(place);
	return was_in and room.explain and room.explain(session.account, stanza) or nil;
end

local function on_presence(session, room, nick, stanza)
	local place = model.place(session, room);
	local kind = stanza.attr.type;
	if kind == "error" then
		return on_error(session, place, room, stanza);
	elseif place.state == "out" and not (room.lies and place.known) then
		return "a presence of a room it is not in";
	end
	if room.lies then return; end
	if nick and not kind then
		on_available(session, place, room, nick, stanza, codes_of(stanza));
		if place.state == "in" and room.note_in then room.note_in(session.account); end
	elseif nick and kind == "unavailable" then
		return on_unavailable(session, place, room, nick, stanza);
	end
end

local function on_message(session, room, stanza)
	local place = model.place(session, room);
	if stanza.attr.type == "error" then
		local id = stanza.attr.id;
		if is_of_real_room(session, "message", room, id) then id = nil; end
		if not is_asked(session, "message", room, id) then
			return "an error for a message it never sent";
		end
		ledger.got_error(session, room, id);
	elseif stanza.attr.type == "groupchat" then
		if place.state == "out" and not (room.lies and place.known) then
			return "a message of a room it is not in";
		end
		if stanza:get_child("subject") and not stanza:get_child("body") then
			place.subject = stanza:get_child_text("subject");
		end
	end
end

local function on_iq(session, room, stanza)
	if stanza.attr.type == "result" or stanza.attr.type == "error" then
		if not is_asked(session, "iq", room, stanza.attr.id) then
			return "an answer to an IQ it never sent";
		end
	elseif model.is_out(session, room) and not (room.lies and model.place(session, room).known) then
		return "a query from a room it is not in";
	else
		session.asked_by = stanza;
	end
end

-- Handled by Prosody, like a stanza from a sender that shares no room with the account.
local function is_ordinary(session, room, stanza)
	local kind = stanza.attr.type;
	if not room.lies then
		if stanza.name == "message" then
			-- A private message to an account without sessions.
			return stanza.attr.to ~= session.client.jid and kind ~= "groupchat" and kind ~= "error"
				and not model.is_in(session, room);
		end
		-- Subscriptions are sent by the account itself.
		return stanza.name == "presence" and kind == "error" and stanza.attr.to == jid.bare(session.client.jid);
	end
	return stanza.attr.to == jid.bare(session.client.jid) or stanza.name == "message" and kind ~= "groupchat" and kind ~= "error"
		-- Prosody stores these unchanged.
		or stanza.name == "presence" and kind == "subscribe";
end

-- Returns a description of the fault, or nothing.
function model.gets(session, room, stanza)
	if is_ordinary(session, room, stanza) then
		return;
	elseif stanza.attr.to ~= session.client.jid and not (stanza.attr.to == nil and stanza.attr.type == "error") then
		return "a stanza that is not addressed to it";
	end
	if stanza.name == "presence" then
		return on_presence(session, room, jid.resource(stanza.attr.from), stanza);
	elseif stanza.name == "message" then
		return on_message(session, room, stanza);
	end
	return on_iq(session, room, stanza);
end

-- Returns the requests that are unanswered at the end, or nothing.
function model.unsettled(session, rooms)
	for _, room in pairs(rooms) do
		local place = session.places[room.jid];
		if place and not room.lies then
			if place.state == "leaving" and place.untold then goes_out(place); end
			-- The room admitted the session, but the answer was lost.
			if room.lossy and place.thrown_out and place.state == "asking" then place.asked = {}; goes_out(place); end
			if place.state == "asking" and is_all_doubtful(place.asked) then place.asked = {}; goes_out(place); end
			-- The session left and joined again, and that join was refused. The leave needs no answer.
			if place.state == "asking" and place.asked[1] == nil then goes_out(place); end
			if place.state == "asking" or place.state == "leaving" then
				return ("is still %s in %s"):format(place.state, room.jid);
			end
		end
	end
	for key, request in pairs(session.requests) do
		if request.must and request.count > 0 then
			return "has no answer to "..key;
		end
	end
end

return model;
