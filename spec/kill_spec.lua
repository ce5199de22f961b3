-- P1, H1: the server is killed at each write of a story, before and after the write. What a client has been told stays
-- true. From that write on nothing reaches storage, rooms and clients.

local backend = require "support.backend";
local mam = require "support.mam";
local scene = require "support.scene";
local xml = require "support.xml";

local join, leave = scene.join, scene.leave;
local room_names = { "room"; "second"; "third"; "fourth" };
-- Names of writes, with the result while the server is dead.
local writes = { set = true; append = "an id"; delete = true };

-- Stores that count their writes, and stop the server at a given one.
local function new_killer(at, when)
	local killer = { count = 0; dead = false };
	local function kill()
		killer.dead = true;
	end
	function killer.wrap(store, name)
		if not name:find "^minimix" then return store; end
		return setmetatable({}, { __index = function (_, method)
			local f = store[method];
			if type(f) ~= "function" or not writes[method] then return f; end
			return function (_, ...)
				if killer.dead then return writes[method]; end
				killer.count = killer.count + 1;
				local is_last = killer.count == at;
				if is_last and when == "before" then
					kill();
					return writes[method];
				end
				local result, err = f(store, ...);
				if is_last then kill(); end
				return result, err;
			end;
		end });
	end
	return killer;
end

local function room_jid(name)
	return name.."@rooms.example.org";
end

-- Returns whether the client's last own presence of a room says that it is in, and the number of these presences.
local function told(inbox, name)
	local inside, count = nil, 0;
	for _, stanza in ipairs(inbox) do
		local x = stanza.name == "presence" and stanza.attr.from:find(room_jid(name), 1, true) == 1
			and stanza:get_child("x", "http://jabber.org/protocol/muc#user");
		if x and x:get_child_with_attr("status", nil, "code", "110") then
			inside, count = stanza.attr.type == nil, count + 1;
		end
	end
	return inside, count;
end

local function heard(inbox)
	local bodies = {};
	for _, stanza in ipairs(inbox) do
		if stanza.attr.type == "groupchat" and stanza:get_child_text "body" then
			table.insert(bodies, stanza:get_child_text "body");
		end
	end
	return bodies;
end

local function bookmark(action, name)
	return ("<iq type='set' id='b'><pubsub xmlns='http://jabber.org/protocol/pubsub'>%s</pubsub></iq>"):format(
		action == "publish" and ([[<publish node='urn:xmpp:bookmarks:1'><item id='%s'>
			<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'><nick>Alice</nick></conference></item></publish>]]):format(room_jid(name))
		or ("<retract node='urn:xmpp:bookmarks:1' notify='true'><item id='%s'/></retract>"):format(room_jid(name)));
end

-- The story. Each step says which room it changes, and whether the account is in it afterwards.
local steps = {
	{ "room", true, function (s, phone) phone:send(join "Alice"); s:deliver(); end };
	{ nil, nil, function (s) s:count(1, 3); s:wait(2); end };
	{ "second", true, function (_, phone) phone:send(join("Alice", { room = "second" })); end };
	{ "second", false, function (s, phone) phone:send(leave("Alice", { room = "second" })); s:wait(1); end };
	{ "third", true, function (_, phone) phone:send(join("Alice", { room = "third" })); end };
	{ "third", false, function (s) s.rooms.third:kick "Alice"; s:wait(6); end };
	{ "fourth", true, function (s, phone) phone:send(xml.parse(bookmark("publish", "fourth"))); s:wait(10); end };
	{ nil, nil, function (s) s:count(4, 6); s:wait(2); end };
	{ "fourth", false, function (s, phone) phone:send(xml.parse(bookmark("retract", "fourth"))); s:wait(10); end };
	{ nil, nil, function (s) s:count(7, 8); s:wait(2); end };
};

local function is_in(s, name)
	return s.rooms[name]:occupant(s:occupant_jid()) ~= nil;
end

-- Plays the story. Returns the number of writes, and the differences after the kill and the restart.
local function play(name, at, when)
	local where = backend.open(name);
	local killer = new_killer(at, when);
	local s = scene.new { modules = { "disco"; "mam"; "pep"; "bookmarks" }; options = where.options; data = where.data; wrap_store = killer.wrap; bounces = true };
	for _, other in ipairs { "second"; "third"; "fourth" } do s:add_room(other); end
	for _, room in pairs(s.rooms) do
		room:enter "Bob";
		local receive = room.receive;
		function room.receive(...)
			if not killer.dead then return receive(...); end
		end
	end
	local phone = s:client "phone";
	local inbox = {};
	-- Prosody sends what it has written to a stream when the event is over (net.server_epoll).
	local function flush()
		if s.host.depth == 0 and not killer.dead then inbox = table.move(phone.inbox, 1, #phone.inbox, 1, {}); end
	end
	for _, method in ipairs { "run"; "tick" } do
		local f = s.host[method];
		s.host[method] = function (...)
			f(...);
			flush();
		end;
	end
	-- Whether the account must be in a room: true, false, or "unknown".
	local known, pending, before = {}, nil, 0;
	for _, step in ipairs(steps) do
		local room, inside, act = step[1], step[2], step[3];
		pending = room;
		before = room and select(2, told(phone.inbox, room));
		act(s, phone);
		if killer.dead then break; end
		if room then known[room] = inside; end
		pending = nil;
	end
	if pending then
		local inside, count = told(inbox, pending);
		if count > before then known[pending] = inside; else known[pending] = "unknown"; end
	end
	local messages = heard(inbox);
	local count = killer.count;
	killer.dead = false;
	killer.count = -math.huge;
	-- Nothing can be fetched again.
	for _, room in pairs(s.rooms) do room.history = {}; end
	s:restart { killed = true };
	s:wait(40);
	local problems = {};
	for _, room in ipairs(room_names) do
		local expected = known[room] or false;
		if expected ~= "unknown" and is_in(s, room) ~= expected then
			table.insert(problems, ("is %sin %s"):format(is_in(s, room) and "" or "not ", room));
		end
	end
	local read = {};
	for _, body in ipairs(mam.page_through(s:client "reader", { with = room_jid "room"; max = 50 })) do
		if read[body] then table.insert(problems, "reads "..body.." twice"); end
		read[body] = true;
	end
	for _, body in ipairs(messages) do
		if not read[body] then table.insert(problems, "has lost "..body); end
	end
	where.close();
	return count, problems;
end

for _, name in ipairs { "memory"; "internal"; "SQLite" } do
	describe("P1, H1: a server killed at a write, on "..name, function ()
		it("loses nothing that a client has been told", function ()
			local total = play(name);
			assert.is_true(total > 10);
			local found = {};
			local step = os.getenv "MINIMIX_LONG" == "1" and 1 or 3;
			for at = 1, total, step do
				for _, when in ipairs { "before"; "after" } do
					local _, problems = play(name, at, when);
					for _, problem in ipairs(problems) do
						table.insert(found, ("killed %s write %d of %d: %s"):format(when, at, total, problem));
					end
				end
			end
			assert.same({}, found);
		end);
	end);
end
