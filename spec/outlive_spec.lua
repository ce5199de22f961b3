-- P: the account outlives its clients, the servers of its rooms and this server. These specs need virtual time.

local st = require "util.stanza";
local scene = require "support.scene";
local xml = require "util.xml";

local join, leave, seen = scene.join, scene.leave, scene.seen;
local minute, hour, day = 60, 3600, 86400;
local ping = "<ping xmlns='urn:xmpp:ping'/>";

local in_room = scene.in_room;

-- Returns the times at which the room receives stanzas of this kind from now on.
local function times_of(s, room, is_wanted)
	local times = {};
	function room.receive(...)
		local stanza = select(2, ...);
		if is_wanted(stanza) then
			table.insert(times, s.host.time());
		end
		return getmetatable(room).__index.receive(...);
	end
	return times;
end

local function is_join(stanza)
	return stanza.name == "presence" and stanza:get_child("x", "http://jabber.org/protocol/muc") ~= nil;
end

local function is_leave(stanza)
	return stanza.name == "presence" and stanza.attr.type == "unavailable";
end

local function is_ping(stanza)
	return stanza.name == "iq" and stanza:get_child("ping", "urn:xmpp:ping") ~= nil;
end

-- Returns the account's record in a store of the module.
local function stored(s, name)
	local found;
	local function look(t)
		for key, value in pairs(t) do
			if key == name and type(value) == "table" then found = value.alice or found; end
			if type(value) == "table" then look(value); end
		end
	end
	look(s.host.storage);
	return found;
end

-- Returns what a session receives that joins now.
local function seen_by_join(s)
	local phone = s:client "phone";
	phone:send(join "Alice");
	s:deliver();
	return seen(phone);
end

-- The room has lost the occupant. It answers as Prosody answers for an unknown room.
local function vanish(s)
	s.room:forget();
	function s.room.on_iq(room, stanza)
		if not room:occupant(stanza.attr.from) then
			return st.error_reply(stanza, "cancel", "item-not-found");
		end
	end
end

local function assert_pauses(times, from)
	for i = 2, #times do
		local pause = times[i] - times[i - 1];
		local wanted = math.min(2 ^ (i - 2 + from), 900);
		assert.is_true(pause >= wanted * 0.75 and pause <= wanted * 1.25, ("pause %d is %g s"):format(i - 1, pause));
	end
end

describe("P2: an account that the room does not admit again", function ()
	it("retries after 1 s, then 2 s, up to 15 min", function ()
		local s = in_room();
		local joins = times_of(s, s.room, is_join);
		s.room.refuse = { "wait", "service-unavailable" };
		table.insert(joins, s.host.time());
		s.room:remove("Alice", "332");
		s.host:tick(3 * hour);
		assert_pauses(joins, 0);
		assert.is_true(#joins > 15);
	end);

	it("uses another random delay than other accounts", function ()
		local s = scene.new();
		local phone, different, last = s:client "phone", 0, nil;
		local joins = {};
		for i = 1, 20 do
			local room = s:add_room("r"..i);
			phone:send(join("Alice", { room = "r"..i }));
			joins[i] = times_of(s, room, is_join);
		end
		for i = 1, 20 do s.rooms["r"..i]:remove("Alice", "332"); end
		s.host:tick(2);
		for i = 1, 20 do
			assert.equal(1, #joins[i]);
			if joins[i][1] ~= last then different = different + 1; end
			last = joins[i][1];
		end
		assert.is_true(different > 10);
	end);

	it("waits longer each time if it is removed again at once, and tells its sessions in the end", function ()
		local s, phone = in_room();
		local joins = times_of(s, s.room, is_join);
		local receive = s.room.receive;
		function s.room.receive(room, stanza)
			receive(room, stanza);
			if is_join(stanza) then room:remove("Alice", "333"); end
		end
		s.room:remove("Alice", "333");
		s.host:tick(hour);
		assert.is_true(#joins < 15, #joins.." joins");
		assert.same({ "presence unavailable room/Alice 110 333" }, seen(phone));
	end);

	it("has the initial back-off again after a while in the room", function ()
		local s = in_room();
		for _ = 1, 10 do
			local joins = times_of(s, s.room, is_join);
			s.room:remove("Alice", "332");
			s.host:tick(2);
			assert.equal(1, #joins);
			s.host:tick(2 * minute);
		end
	end);

	for _, condition in ipairs { "not-authorized", "policy-violation", "internal-server-error", "host-unknown" } do
		it("keeps retrying when the server was unreachable: "..condition, function ()
			local s = in_room();
			s.room.silent = true;
			s.room:remove("Alice", "332");
			s.host:tick(2);
			s:from("Alice", ("<presence type='error'>%s</presence>"):format(scene.error("cancel", condition):gsub("</error>",
				"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Server-to-server connection failed: no</text></error>")));
			s.room.silent = nil;
			s.host:tick(minute);
			assert.same({ "Alice" }, s:occupants());
		end);
	end

	it("rejoins soon after the link to the room's server is back, after any outage", function ()
		local s = in_room { remote = true };
		s.room.refuse = { "wait", "service-unavailable" };
		s.room:remove("Alice", "332");
		s:wait(3 * hour);
		s.room.refuse = nil;
		s.host:drop();
		s:link("established");
		s:wait(30);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("does not retry more often for a flapping link", function ()
		local s = in_room();
		s.room.refuse = { "wait", "service-unavailable" };
		s.room:remove("Alice", "332");
		s.host:tick(hour);
		local joins = times_of(s, s.room, is_join);
		for _ = 1, 600 do
			s:link("established");
			s:link("destroyed");
			s.host:tick(1);
		end
		assert.is_true(#joins > 10 and #joins <= 50, #joins.." joins");
	end);
end);

describe("presence that a room sent before it removed the account", function ()
	local function crosses(s)
		s:from("Carol", "<presence>"..scene.status().."</presence>");
		s:from("Alice", "<presence type='unavailable'>"..scene.status("110", { role = "none" }).."</presence>");
	end

	it("R3: does not count as the answer to the rejoin", function ()
		local s, phone = in_room { remote = true; options = { minimix_archive = false } };
		s.room:enter "Carol";
		seen(phone);
		s.room:remove("Alice", "332");
		s.room:leave "Carol";
		local pass = scene.hold_back(s.room);
		s:wait(5);
		crosses(s);
		pass();
		assert.same({ "presence unavailable room/Carol" }, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R2: does not count as the answer to a session's join", function ()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		phone:send(scene.join "Alice");
		crosses(s);
		s:deliver();
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
	end);
end);

describe("P2: an account that rejoins while its nick is taken", function ()
	for _, resource in ipairs { false, "minimix" } do
		it("uses another nick until its own is free, and its sessions see nick changes", function ()
			local s = scene.new { remote = true; resource = resource };
			s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			s.room:remove("Alice", "332");
			local thief = s.room:enter "Alice";
			s:wait(10);
			assert.same({ "Alice_" }, s:occupants());
			assert.same({
				"presence unavailable room/Alice 110 303"; "presence - room/Alice_ 110"; "presence - room/Alice";
			}, seen(phone));
			phone:send(scene.query(ping, { to = "Alice_" }));
			s:deliver();
			assert.same({ "iq result room/Alice_" }, seen(phone));
			s.room:leave(thief.jid);
			s:wait(1);
			assert.same({ "Alice" }, s:occupants());
			assert.same({
				"presence unavailable room/Alice"; "presence unavailable room/Alice_ 110 303"; "presence - room/Alice 110";
			}, seen(phone));
		end);
	end

	it("asks for its nick when a local room has sent all its occupants", function ()
		local s = in_room();
		s.room:remove("Alice", "332");
		local thief = s.room:enter "Alice";
		s:wait(10);
		s:upstream();
		s.host:run(function ()
			s.room:leave(thief.jid);
			assert.same({}, s:upstream());
			assert.same({ "Alice_" }, s:occupants());
		end);
		assert.same({ "alice presence - room/Alice" }, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("stops when the room removes the account as the nick becomes free", function ()
		local s, phone = in_room();
		s.room:remove("Alice", "332");
		local thief = s.room:enter "Alice";
		s:wait(10);
		assert.same({ "Alice_" }, s:occupants());
		s.host:run(function ()
			s.room:leave(thief.jid);
			s.room:kick "Alice_";
			s:upstream();
		end);
		s:wait(60);
		assert.same({}, s:upstream());
		assert.same({}, s:occupants());
		phone:take();
	end);

	it("is not confused with the occupant that has the nick, which the room shows before it refuses", function ()
		local s = in_room { remote = true };
		s.room:forget "Alice";
		s.room:enter("Alice", { jid = "mallory@elsewhere.example/client" });
		s:restart();
		local class, is_first = getmetatable(s.room).__index, true;
		function s.room.receive(room, stanza)
			if not (is_first and is_join(stanza)) then return class.receive(room, stanza); end
			is_first = false;
			s:from("Alice", "<presence>"..scene.status "".."</presence>");
			class.receive(room, stanza);
			s:from("Alice", "<presence type='unavailable'>"..scene.status "".."</presence>");
		end
		s:wait(60);
		assert.same({ "Alice_" }, s:occupants());
		assert.is_false(s:is_forgotten());
	end);

	describe("and is lost again,", function ()
		local s, phone;

		before_each(function ()
			s = scene.new { remote = true };
			phone = s:client "phone";
			s:enter(phone);
			s.room:remove("Alice", "332");
			s.room:enter "Alice";
			s:wait(10);
			assert.same({ "Alice_" }, s:occupants());
			phone:take();
			s.room:remove("Alice_", "332");
		end);

		it("C2: answers a presence update under the nick that the session knows", function ()
			phone:send(scene.presence("Alice_", { id = "s1"; content = "<show>away</show>" }));
			assert.same({ "presence - room/Alice_ 110" }, seen(phone));
			s:wait(60);
			assert.same({ "Alice_" }, s:occupants());
			assert.same({ "presence - room/Alice"; "presence - room/Alice_ 110 away" }, seen(phone));
		end);

		it("C2: answers a nick change to the nick that is taken when it is back", function ()
			phone:send(scene.presence("Alice", { id = "n1" }));
			assert.same({}, seen(phone));
			s:wait(60);
			assert.same({ "Alice_" }, s:occupants());
			assert.same({ "presence - room/Alice"; "presence error room/Alice cancel conflict" }, seen(phone));
		end);

		it("L2: confirms a leave under the nick that the session knows", function ()
			phone:send(leave "Alice_");
			assert.same({ "presence unavailable room/Alice_ 110" }, seen(phone));
		end);

		it("C4: answers a self-ping under the nick that the session knows", function ()
			phone:send(scene.query(ping, { to = "Alice_" }));
			assert.same({ "iq error room/Alice_ wait remote-server-timeout" }, seen(phone));
		end);

		it("R3: tells its sessions under the nick that they know if it cannot come back", function ()
			s.room.refuse = { "wait", "service-unavailable" };
			s:wait(1200);
			assert.same({ "presence unavailable room/Alice_ 110 333" }, seen(phone));
		end);
	end);

	it("regains the nick although no session was online when it became free", function ()
		local s, phone = in_room();
		s.room:remove("Alice", "332");
		local thief = s.room:enter "Alice";
		s:wait(10);
		s.room:remove("Alice_", "332");
		s.room:forget(thief.jid);
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
		local got = seen(phone);
		assert.equal("presence - room/Alice 110", got[#got]);
	end);
end);

describe("P2: an account that was removed without a stanza to its sessions", function ()
	it("gives a session that joins with another password the subject, which the others know", function ()
		local s, phone = in_room { remote = true };
		s.room:forget "Alice";
		s.room.password = "secret";
		phone:send(scene.message "hi");
		s:deliver();
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2"; muc = "<password>secret</password>" }));
		s:wait(30);
		local lines = seen(laptop);
		assert.equal("presence - room/Alice 110", lines[#lines - 1]);
		assert.equal("message groupchat room subject:", lines[#lines]);
		assert.same({ "message error room modify not-acceptable" }, seen(phone));
	end);

	it("tells its sessions when the room refuses a new join", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		laptop:take();
		s.room:forget();
		s.room.password = "secret";
		phone:send(scene.message "hi");
		s:deliver();
		phone:send(join("Al", { id = "j3" }));
		s:wait(60);
		local lines = seen(phone);
		assert.equal("presence error room/Al auth not-authorized", lines[#lines - 1]);
		assert.equal("presence unavailable room/Alice 110 333", lines[#lines]);
		assert.same({ "presence unavailable room/Alice 110 333" }, seen(laptop));
		assert.is_true(s:is_forgotten());
	end);
end);

describe("P2: a quiet room", function ()
	it("gets a self-ping about every 15 minutes, and an active room none", function ()
		local s = in_room();
		local lively = s:add_room "lively";
		lively:enter "Bob";
		s.clients[1]:send(join("Alice", { room = "lively" }));
		local quiet_pings, lively_pings = times_of(s, s.room, is_ping), times_of(s, lively, is_ping);
		for _ = 1, 4 * 60 do
			s.host:tick(minute);
			lively:say("Bob", "hi");
		end
		assert.is_true(#quiet_pings >= 14 and #quiet_pings <= 16, #quiet_pings.." pings");
		assert.same({}, lively_pings);
	end);

	it("gets self-pings at another time than other rooms", function ()
		local s = scene.new();
		local phone, first, last = s:client "phone", math.huge, 0;
		local pings = {};
		for i = 1, 20 do
			pings[i] = times_of(s, s:add_room("r"..i), is_ping);
			phone:send(join("Alice", { room = "r"..i }));
		end
		s.host:tick(45 * minute);
		for i = 1, 20 do
			assert.is_true(#pings[i] > 0);
			first, last = math.min(first, pings[i][1]), math.max(last, pings[i][1]);
		end
		assert.is_true(last - first > 5 * minute);
	end);

	it("that no longer exists is created again", function ()
		local s, phone = in_room();
		vanish(s);
		s.host:tick(hour);
		assert.same({ "Alice" }, s:occupants());
		assert.same({ "presence unavailable room/Bob" }, seen(phone));
	end);

	it("gets no second join if its answer crosses a nick change", function ()
		local s, phone = in_room { remote = true };
		local release = scene.hold_back(s.room);
		s:link("destroyed");
		s.host:tick(10);
		s.room:rename("Alice", "Alicia");
		s:deliver();
		release();
		s:wait(minute);
		assert.same({ "presence unavailable room/Alice 110 303"; "presence - room/Alicia 110" }, seen(phone));
		assert.same({}, s:upstream());
	end);
end);

describe("P2: a broken link", function ()
	it("leads to one self-ping to each room within seconds", function ()
		local s, phone = in_room();
		local pings = times_of(s, s.room, is_ping);
		for _ = 1, 3 do s:link("destroyed"); end
		s.host:tick(10);
		assert.equal(1, #pings);
		assert.same({}, s:upstream());
		assert.same({}, seen(phone));
	end);

	it("leads to a rejoin if the account is out", function ()
		local s, phone = in_room { remote = true };
		s.room:forget "Alice";
		s:link("destroyed");
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
		assert.same({}, seen(phone));
	end);

	it("leads to a rejoin although the archive was asked before the account was known to be out", function ()
		local s, phone = in_room { remote = true };
		local queries = 0;
		function s.room.receive(room, stanza)
			if stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") then
				queries = queries + 1;
				if queries == 1 then return; end
			end
			return getmetatable(room).__index.receive(room, stanza);
		end
		s:link("destroyed");
		while queries == 0 do s:wait(1); end
		s.room:forget "Alice";
		phone:send(scene.message "hi");
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
		assert.same({ "message error room modify not-acceptable" }, seen(phone));
		assert.is_true(queries > 1);
	end);

	it("P3: leads to a query for messages that may be lost", function ()
		local s = in_room();
		local queries = times_of(s, s.room, function (stanza)
			return stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") ~= nil;
		end);
		s:link("destroyed");
		s.host:tick(10);
		assert.equal(1, #queries);
	end);

	it("C4: lets self-pings time out while the room is unreachable, and only then", function ()
		local s, phone = in_room { remote = true };
		s:link("destroyed");
		s.host:tick(10);
		s.host:drop();
		s.host:tick(30);
		phone:send(scene.query(ping, { to = "Alice" }));
		assert.same({ "iq error room/Alice wait remote-server-timeout" }, seen(phone));
		s:wait(10);
		phone:send(scene.query(ping, { to = "Alice" }));
		assert.same({ "iq result room/Alice" }, seen(phone));
	end);

	it("P3: does not forward archive results after a reload", function ()
		local s, phone = in_room { remote = true };
		local id;
		function s.room.on_iq(_, stanza)
			local query = stanza:get_child("query", "urn:xmpp:mam:2");
			if query then id = query.attr.queryid; return st.reply(stanza):reset(); end
		end
		s:link("destroyed");
		s:wait(8);
		s.host:reload();
		s:from(nil, ("<message><result xmlns='urn:xmpp:mam:2' queryid='%s' id='1'/></message>"):format(id));
		assert.same({}, seen(phone));
	end);

	it("C4: lets self-pings time out while the account rejoins", function ()
		local s, phone = in_room();
		s.room.refuse = { "wait", "service-unavailable" };
		s.room:remove("Alice", "332");
		for _ = 1, 60 do
			phone:send(scene.query(ping, { to = "Alice" }));
			assert.same({ "iq error room/Alice wait remote-server-timeout" }, seen(phone));
			s.host:tick(1);
		end
	end);
end);

describe("P1: a server that restarts", function ()
	for _, killed in ipairs { true, false } do
		local how = killed and "after it was killed" or "after it was stopped";

		scene.everywhere(function (new_scene)
			it("restores the account, with nick and password, "..how, function ()
				local s = new_scene { room = { password = "secret" } };
				s.room:enter "Bob";
				local phone = s:client "phone";
				s:enter(phone, "Alice", { muc = "<password>secret</password>" });
				s.room:forget "Alice";
				s:restart { killed = killed };
				s:wait(10);
				assert.same({ "Alice" }, s:occupants());
				local laptop = s:client "laptop";
				laptop:send(join("Alice", { muc = "<history maxstanzas='0'/>" }));
				s:deliver();
				assert.same({
					"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
				}, seen(laptop));
			end);

			it("creates no second occupant if the room still has the account, "..how, function ()
				local s = new_scene();
				s.room:enter "Bob";
				s:enter(s:client "phone");
				s:restart { killed = killed };
				s:wait(10);
				assert.same({ "Alice" }, s:occupants());
			end);
		end);
	end

	it("waits for the answer to the join, and ignores other presence of the account", function ()
		local s = in_room { remote = true };
		s.room.silent = true;
		s:restart();
		local joins = times_of(s, s.room, is_join);
		while #joins < 4 do s:wait(1); end
		s:wait(40);
		s.room.silent = false;
		s.room:rename("Alice", "Al");
		local phone = s:client "phone";
		phone:send(join "Al");
		s:wait(minute);
		assert.same({
			"presence - room/Bob"; "presence - room/Al 110"; "message groupchat room subject:";
		}, seen(phone));
		assert.same({ "Al" }, s:occupants());
	end);

	-- The room receives the join of a restarted server, and holds its answers back. lost: it sends them never. pings: it
	-- answers no pings. Returns the scene, the times of joins, and the function that ends this.
	local function unanswered(fields)
		local s = in_room { remote = true };
		s:restart();
		local go_on;
		local joins = times_of(s, s.room, function (stanza)
			if is_join(stanza) and not go_on then
				local send_held, drop_held = scene.hold_back(s.room);
				go_on = fields.lost and drop_held or send_held;
			end
			return is_join(stanza);
		end);
		function s.room.ignores(_, stanza)
			return fields.pings and is_ping(stanza);
		end
		while #joins < 1 do s:wait(1); end
		return s, joins, go_on;
	end

	it("sends no second join to a room that is slow", function ()
		local s, joins, go_on = unanswered {};
		s:wait(50);
		go_on();
		s:wait(minute);
		assert.equal(1, #joins);
		assert.same({ "Alice" }, s:occupants());
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" },
			seen_by_join(s));
	end);

	it("P2: sends a second join soon if the answer is lost", function ()
		local s, joins, go_on = unanswered { lost = true };
		go_on();
		s:wait(25);
		assert.equal(2, #joins);
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" },
			seen_by_join(s));
	end);

	it("P2: sends a second join after the time limit if the room answers no pings", function ()
		local s, joins, go_on = unanswered { lost = true; pings = true };
		go_on();
		s:wait(50);
		assert.equal(1, #joins);
		s:wait(2 * minute);
		assert.equal(2, #joins);
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" },
			seen_by_join(s));
	end);

	for condition, is_answer in pairs {
		["not-acceptable"] = true; ["item-not-found"] = true; ["service-unavailable"] = true; ["internal-server-error"] = true;
		["remote-server-timeout"] = false; ["remote-server-not-found"] = false;
	} do
		it("P2: sends "..(is_answer and "a" or "no").." second join if the room answers the ping with "..condition, function ()
			local s, joins, go_on = unanswered { lost = true };
			go_on();
			function s.room.on_iq(_, stanza)
				return is_ping(stanza) and st.error_reply(stanza, "cancel", condition);
			end
			s:wait(25);
			assert.equal(is_answer and 2 or 1, #joins);
		end);
	end

	-- Returns a scene with the account's rejoin in flight to a room that answers nothing, and the times of joins.
	local function rejoining()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		local joins = times_of(s, s.room, is_join);
		s.room.silent = true;
		while #joins == 0 do s:wait(1); end
		return s, phone, joins;
	end

	for name, condition in pairs {
		["answers nothing"] = false; ["answers nothing, and the module is reloaded"] = "reload"; ["is out of reach"] = "remote-server-timeout"; ["is locked"] = "item-not-found";
		["has another occupant with the nick"] = "conflict";
	} do
		for _, by_session in ipairs { false, true } do
			it(("R2: does not come back after a kick if the room then %s%s"):format(
				name, by_session and ", and a session has sent a join" or ""), function ()
				local s, phone, joins = rejoining();
				local laptop = s:client "laptop";
				if by_session then
					laptop:send(join("Alicia", { id = "j2" }));
					while #joins == 1 do s:wait(1); end
				end
				local nick = by_session and "Alicia" or "Alice";
				s:from(nick, "<presence type='unavailable'>"..scene.status("110 307", { role = "none" }).."</presence>");
				if condition == "reload" then
					s.host:reload();
				elseif condition then
					s:from(nick, "<presence type='error'>"..scene.error("cancel", condition).."</presence>");
				end
				s:wait(hour);
				local sent = #joins;
				s.room.silent = false;
				s:wait(hour);
				assert.same({ "presence unavailable room/"..nick.." 110 307" }, seen(phone));
				assert.equal(by_session and 2 or 1, sent);
				assert.equal(sent, #joins);
				assert.same({}, s:occupants());
				assert.is_true(s:is_forgotten());
				laptop:take();
			end);
		end
	end

	for name, refusal in pairs { ["is admitted"] = false; ["is refused"] = { "wait", "resource-constraint" } } do
		it("R2: does not come back after a kick for sessions other than the next one, which "..name, function ()
			local s, phone = in_room { remote = true };
			s.room:remove("Alice", "332");
			local joins = times_of(s, s.room, is_join);
			function s.room.ignores(_, stanza) return is_join(stanza); end
			while #joins == 0 do s:wait(1); end
			local laptop = s:client "laptop";
			laptop:send(join("Alice", { id = "j2" }));
			s.room.ignores, s.room.refuse = nil, refusal or nil;
			s:from("Alice", "<presence type='unavailable'>"..scene.status("110 307", { role = "none" }).."</presence>");
			s:wait(hour);
			assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
			assert.equal(2, #joins);
			assert.same(refusal and {} or { "Alice" }, s:occupants());
			assert.equal(refusal and 1 or 3, #seen(laptop));
		end);
	end

	it("R2: does not come back after a kick while the room is asked about a rejoin that it has not answered", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		local joins = times_of(s, s.room, is_join);
		function s.room.ignores(_, stanza) return stanza.name == "presence"; end
		while #joins == 0 do s:wait(1); end
		while #s.host.wire == 0 do s.host:tick(1); end
		s:from("Alice", "<presence type='unavailable'>"..scene.status("110 307", { role = "none" }).."</presence>");
		s:wait(hour);
		assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
		assert.equal(1, #joins);
		assert.is_true(s:is_forgotten());
	end);

	for _, is_refused in ipairs { false, true } do
		it("R2: does not come back after a kick if the next session's join is "..(is_refused and "refused" or "not answered"), function ()
			local s, phone, joins = rejoining();
			local laptop = s:client "laptop";
			laptop:send(join("Alicia", { id = "j2" }));
			s:from("Alice", "<presence type='unavailable'>"..scene.status("110 307", { role = "none" }).."</presence>");
			while #joins == 1 do s:wait(1); end
			if is_refused then
				s:from("Alicia", "<presence type='error'>"..scene.error("wait", "resource-constraint").."</presence>");
			end
			s:wait(hour);
			s.room.silent = false;
			s:wait(hour);
			assert.equal(2, #joins);
			assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
			assert.equal("presence error room/Alicia wait "..(is_refused and "resource-constraint" or "remote-server-timeout"), seen(laptop)[1]);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);
	end

	for name, codes in pairs { kick = "307"; ban = "301"; ["loss of membership"] = "321" } do
		for _, nick in ipairs { "Alice", "Alicia" } do
			it(("R2: does not come back after a %s that follows a late answer, as %s"):format(name, nick), function ()
				local s, phone, joins = rejoining();
				local laptop = s:client "laptop";
				if nick == "Alicia" then laptop:send(join("Alicia", { id = "j2" })); end
				s:wait(70);
				local sent = #joins;
				s:from(nick, "<presence>"..scene.status("110").."</presence>");
				s:from(nick, "<presence type='unavailable'>"..scene.status("110 "..codes, { role = "none" }).."</presence>");
				s.room.silent = false;
				s:wait(2 * hour);
				assert.equal(sent, #joins);
				local lines = seen(phone);
				assert.equal("presence unavailable room/"..nick.." 110 "..codes, lines[#lines]);
				assert.is_true(s:is_forgotten());
				laptop:take();
			end);
		end
	end

	it("R2, C2: tells the sessions of a kick under a nick that they do not know, in a room without 110", function ()
		local s, phone, joins = rejoining();
		local laptop = s:client "laptop";
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(70);
		local sent = #joins;
		local own = { jid = s:occupant_jid "alice" };
		s:from("Alicia", "<presence>"..scene.status("", own).."</presence>");
		own.role = "none";
		s:from("Alicia", "<presence type='unavailable'>"..scene.status("307", own).."</presence>");
		s.room.silent = false;
		s:wait(2 * hour);
		assert.equal(sent, #joins);
		local lines = seen(phone);
		assert.equal("presence unavailable room/Alicia 110 307", lines[#lines]);
		laptop:take();
	end);

	it("R2, P1: leaves a room that kicks the account, and then gets a join that has timed out", function ()
		local s = in_room { remote = true };
		s.room:remove("Alice", "332");
		local late;
		function s.room.ignores(_, stanza)
			if is_join(stanza) then late = late or stanza; end
			return late ~= nil;
		end
		s:wait(100);
		s:from("Alice", "<presence type='unavailable'>"..scene.status("110 307", { role = "none" }).."</presence>");
		s.room.ignores = nil;
		local joins = times_of(s, s.room, is_join);
		local _, lose = scene.hold_back(s.room);
		s.room:receive(late);
		assert.same({ "Alice" }, s:occupants());
		lose();
		s.host.wire = {};
		s:restart();
		s:wait(hour);
		assert.same({}, s:occupants());
		assert.equal(1, #joins);
		assert.is_true(s:is_forgotten());
	end);

	it("R2, P1: leaves a local room that kicks the account after the room has told all occupants", function ()
		local s = in_room();
		s.room:enter "Dave";
		s:restart { killed = true };
		s.host:run(function () s.room:kick "Alice"; end);
		s:wait(60);
		local nicks = {};
		for i, occupant in ipairs(s.room.occupants) do nicks[i] = occupant.nick; end
		assert.same({ "Bob"; "Dave" }, nicks);
		assert.is_true(s:is_forgotten());
	end);

	it("R2, J4: joins a local room that kicks the account after the room has told all occupants", function ()
		local s = in_room();
		s.room:enter "Dave";
		-- The archive does not answer, so the account waits.
		function s.room.on_iq(_, stanza) return stanza:get_child("query", "urn:xmpp:mam:2") and true or nil; end
		s:restart { killed = true };
		local phone = s:client "phone";
		phone:send(join "Alice");
		s.host:run(function () s.room:kick "Alice"; end);
		s:wait(60);
		local nicks = {};
		for i, occupant in ipairs(s.room.occupants) do nicks[i] = occupant.nick; end
		assert.same({ "Bob"; "Dave"; "Alice" }, nicks);
	end);

	it("R2, P1: leaves a room that kicks the account, and then gets a join from before the restart", function ()
		local s = in_room { remote = true };
		s:restart { killed = true };
		s.room:forget "Alice";
		s:from("Alice", "<presence type='unavailable'>"..scene.status("110 307", { role = "none" }).."</presence>");
		local _, lose = scene.hold_back(s.room);
		s.room:receive(st.presence({ from = s:occupant_jid(); to = s.room.jid.."/Alice"; id = "j2" })
			:tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		assert.same({ "Alice" }, s:occupants());
		lose();
		s:restart();
		s:wait(hour);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("R2, R3: comes back after a leave that the room confirms while the account is lost, and hides it", function ()
		local s, phone = rejoining();
		local laptop = s:client "laptop";
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(70);
		s:from("Alicia", "<presence type='unavailable'>"..scene.status("110", { role = "none" }).."</presence>");
		s.room.silent = false;
		s:wait(hour);
		for _, line in ipairs(seen(phone)) do assert.is_nil(line:find "unavailable room/Alicia"); end
		assert.same({ "Alice" }, s:occupants());
		laptop:take();
	end);

	it("P2: lets a session's join go first if the answer to the account's own join is lost", function ()
		local s, joins, go_on = unanswered { lost = true };
		go_on();
		s:wait(13);
		local phone = s:client "phone";
		phone:send(join("Alice", { id = "j2" }));
		s:wait(4);
		assert.equal(2, #joins);
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
	end);

	it("does not fail a session's join because the account's own rejoin was not answered", function ()
		-- The rejoin times out while the session's join waits for its turn (J9), at one of these times.
		for seconds = 1, 61, 3 do
			local s = in_room { remote = true };
			s.room.silent = true;
			s:restart();
			local joins = times_of(s, s.room, is_join);
			while #joins < 1 do s:wait(1); end
			s:wait(seconds);
			local phone = s:client "phone";
			phone:send(join("Alice", { id = "j1" }));
			s:wait(10);
			assert.same({}, seen(phone));
			s.room.silent = false;
			phone:send(join("Alice", { id = "j2" }));
			s:wait(minute);
			assert.equal("presence - room/Bob", seen(phone)[1]);
			assert.same({ "Alice" }, s:occupants());
		end
	end);

	it("J4: does not fail a session's join because the room's archive has not answered", function ()
		for seconds = 0, 30, 2 do
			local s = in_room { remote = true };
			-- The archive answers no question.
			function s.room.ignores(_, stanza) return stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") ~= nil; end
			s:restart();
			s:wait(seconds);
			local phone = s:client "phone";
			phone:send(join "Alice");
			s:wait(minute);
			assert.equal("presence - room/Bob", seen(phone)[1]);
			assert.same({ "Alice" }, s:occupants());
		end
	end);

	it("J2: gives a session the subject, although the room took its join for a nick change after a change of the subject", function ()
		local s = in_room { remote = true };
		local is_changed = false;
		function s.room.ignores(room, stanza)
			if is_join(stanza) and not is_changed then
				is_changed = true;
				room:set_subject("Bob", "tea");
			end
			return stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") ~= nil;
		end
		s:restart { killed = true };
		local phone = s:client "phone";
		phone:send(join "Al");
		s:wait(2 * minute);
		local lines = seen(phone);
		table.sort(lines);
		assert.same({ "message groupchat room/Bob subject:tea"; "presence - room/Al 110"; "presence - room/Bob" }, lines);
	end);

	it("J1: does not take an occupant for the account because the room goes on before it gets a session's join", function ()
		local s = in_room { remote = true };
		function s.room.ignores(_, stanza) return stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") ~= nil; end
		s:restart();
		s:wait(2);
		local phone = s:client "phone";
		phone:send(join "Bob");
		s.host:tick(15);
		s.room:update("Bob", st.presence());
		s.room:say("Bob", "hello");
		assert.same({}, seen(phone));
		s:deliver();
		assert.same({ "presence error room/Bob cancel conflict" }, seen(phone));
	end);

	it("J2: gives a session all occupants, although the room took its join for a nick change before a change of the subject", function ()
		local s = in_room { remote = true };
		function s.room.ignores(_, stanza) return stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") ~= nil; end
		s:restart { killed = true };
		local receive = s.room.receive;
		function s.room.receive(room, stanza)
			receive(room, stanza);
			if is_join(stanza) then
				s.room.receive = nil;
				room:set_subject("Bob", "tea");
			end
		end
		local phone = s:client "phone";
		phone:send(join "Al");
		s:wait(minute);
		assert.same({ "presence - room/Bob"; "presence - room/Al 110"; "message groupchat room/Bob subject:tea" }, seen(phone));
		assert.same({ "Al" }, s:occupants());
	end);

	it("R7: waits for the answer to a session's join although the room changes the account's nick meanwhile", function ()
		local s = in_room { remote = true };
		function s.room.ignores(_, stanza) return stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") ~= nil; end
		s:restart { killed = true };
		local phone = s:client "phone";
		phone:send(join("Al", { id = "j2" }));
		s.host:tick(20);
		s.room:rename("Alice", "Alicia");
		s.room:set_subject("Bob", "tea");
		assert.same({}, seen(phone));
		s:wait(minute);
		assert.same({ "presence - room/Bob"; "presence - room/Al 110"; "message groupchat room/Bob subject:tea" }, seen(phone));
		assert.same({ "Al" }, s:occupants());
	end);

	for _, code in ipairs { "110"; "" } do
		it("J2, R7: gives a session all occupants, although the room has the account under another nick that was not stored"
			..(code == "" and ", without 110" or ""), function ()
			local s = scene.new { remote = true };
			s.room:enter "Bob";
			s.room:enter("Alice", { jid = s:occupant_jid() }).inbox = nil;
			local send = s.room.send;
			function s.room.send(stanza)
				local x = stanza:get_child("x", "http://jabber.org/protocol/muc#user");
				if x and code == "" then x:maptags(function (tag) if tag.attr.code ~= "110" then return tag; end end); end
				send(stanza);
			end
			local phone = s:client "phone";
			phone:send(join "Al");
			s:wait(minute);
			local lines = seen(phone);
			table.sort(lines);
			assert.same({ "message groupchat room subject:"; "presence - room/Al 110"; "presence - room/Bob" }, lines);
			assert.same({ "Al" }, s:occupants());
		end);
	end

	it("J4: passes on the error of a session's join to a service out of reach, while the account is lost", function ()
		for seconds = 0, 30, 2 do
			local s = in_room { remote = true };
			s.room.silent = true;
			s:restart();
			s:wait(seconds);
			local phone = s:client "phone";
			phone:send(join "Alice");
			s:wait(3 * minute);
			local answers = seen(phone);
			assert.equal(1, #answers);
			assert.matches("^presence error room/Alice", answers[1]);
		end
	end);

	it("limits the rejoins per second #once", function ()
		local s = scene.new { options = { minimix_max_rooms = 1000 } };
		local phone = s:client "phone";
		for i = 1, 250 do
			s:add_room("r"..i);
			phone:send(join("Alice", { room = "r"..i }));
		end
		for _, room in pairs(s.rooms) do room:forget(); end
		s:restart { killed = true };
		local function count()
			local n = 0;
			for _, room in pairs(s.rooms) do n = n + #room.occupants; end
			return n;
		end
		s.host:tick(0);
		assert.is_true(count() <= 20, count().." rooms");
		s.host:tick(1);
		assert.is_true(count() >= 90 and count() <= 120, count().." rooms");
		s.host:tick(2);
		assert.equal(250, count());
	end);

	it("asks a service for no more rooms at a time than it answers", function ()
		local s = scene.new { remote = true; options = { minimix_archive = false } };
		local phone = s:client "phone";
		local joins = {};
		for i = 1, 30 do
			local room = s:add_room("r"..i);
			phone:send(join("Alice", { room = "r"..i }));
			s:deliver();
			joins[i] = times_of(s, room, is_join);
		end
		local function count()
			local n = 0;
			for i = 1, 30 do n = n + #joins[i]; end
			return n;
		end
		local before = count();
		s:restart { killed = true };
		s.host:tick(5);
		local asked = 0;
		for _, stanza in ipairs(s.host.wire) do
			if is_join(stanza) then asked = asked + 1; end
		end
		assert.equal(10, asked);
		for _ = 1, 5 do
			s:deliver();
			s.host:tick(1);
		end
		assert.equal(30, count() - before);
	end);

	it("sends no second join if a session is faster", function ()
		local s = in_room();
		s.room:forget "Alice";
		s:restart { killed = true };
		local joins = times_of(s, s.room, is_join);
		s:client "phone":send(join "Alice");
		s:wait(minute);
		assert.equal(1, #joins);
	end);

	it("regains the original nick once it is free", function ()
		local s = in_room();
		s.room:remove("Alice", "332");
		s.room:enter "Alice";
		s:wait(10);
		assert.same({ "Alice_" }, s:occupants());
		s.room:forget();
		s:restart { killed = true };
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("does not treat an account with an online client as unused #once", function ()
		local s = in_room { options = { minimix_detached_after = "80 days" } };
		s.host:tick(40 * day);
		s.room:forget "Alice";
		s:restart { killed = true };
		s.host:tick(2 * hour);
		assert.same({ "Alice" }, s:occupants());
		s.host:tick(31 * day);
		assert.same({}, s:occupants());
		assert.is_nil(stored(s, "minimix"));
	end);

	it("asks a room's archive first, while live messages arrive", function ()
		local s = in_room { remote = true };
		s:restart { killed = true };
		s.host:tick(1);
		s.room:set_role("Alice", "moderator");
		s:wait(20);
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { muc = "<history maxstanzas='0'/>" }));
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(laptop));
	end);
end);

describe("L5: a leave that the room does not confirm", function ()
	it("is retried after 1 s, then 2 s, up to 15 min", function ()
		local s, phone = in_room { options = { minimix_join_timeout = 10 } };
		s.room.silent = true;
		phone:send(leave "Alice");
		local leaves = times_of(s, s.room, is_leave);
		s.host:tick(20 * hour);
		for i = 2, #leaves do
			local patience = math.min(5 * 2 ^ (i - 1), 30); -- of the self-ping
			local pause = leaves[i] - leaves[i - 1] - patience;
			local wanted = math.min(2 ^ (i - 2), 900);
			assert.is_true(pause >= wanted * 0.75 and pause <= wanted * 1.25, ("pause %d is %g s"):format(i - 1, pause));
		end
		s.room.silent = nil;
		s.host:tick(hour);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	for _, killed in ipairs { true, false } do
		it("is retried across restarts without an end"..(killed and ", killed ones too" or ""), function ()
			local s, phone = in_room { remote = true };
			s.room.silent = true;
			phone:send(leave "Alice");
			s:deliver();
			for _ = 1, 3 do
				s:restart { killed = killed };
				s:wait(2 * hour);
			end
			assert.same({ "Alice" }, s:occupants());
			s.room.silent = nil;
			s:wait(hour);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
			assert.is_nil(stored(s, "minimix"));
		end);
	end

	it("is not retried forever if the account was never admitted", function ()
		local s = scene.new { remote = true };
		s.room.silent = true;
		s:client "phone":send(join "Alice");
		s:deliver();
		s:restart { killed = true };
		s:wait(minute);
		s:restart { killed = true };
		s:wait(hour);
		assert.is_nil(stored(s, "minimix"));
		assert.is_true(s:is_forgotten());
	end);

	it("is not retried if the room no longer exists", function ()
		local s, phone = in_room();
		vanish(s);
		local leaves = times_of(s, s.room, is_leave);
		s.room.silent = true;
		phone:send(leave "Alice");
		s.room.silent = nil;
		s:from("Alice", "<presence type='error'>"..scene.error("cancel", "item-not-found").."</presence>");
		s.host:tick(hour);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.is_true(#leaves <= 3);
		assert.is_true(s:is_forgotten());
	end);
end);

describe("O5: a reload", function ()
	local needed = { username = true; occupant = true; room = true; nick = true; attached = true };

	-- f(membership) changes the data that the previous instance hands over.
	local function reload_with(s, f)
		local module = s.host:module();
		local save = module.save;
		function module.save()
			local saved = save();
			for _, account in pairs(saved.accounts) do
				for _, membership in pairs(account.memberships) do f(membership, account, saved); end
			end
			return saved;
		end
		s.host:reload();
	end

	local function assert_works(s, phone)
		s.room:say("Bob", "hi");
		s.room:update("Bob", scene.presence(nil, { content = "<show>away</show>" }));
		phone:send(scene.message "ho");
		phone:send(scene.query(ping, { to = "Bob" }));
		phone:send(scene.presence("Alice", { content = "<show>dnd</show>" }));
		s:wait(minute);
		assert.same({
			"message groupchat room/Bob hi"; "presence - room/Bob away"; "message groupchat room/Alice ho";
			"presence - room/Alice 110 dnd";
		}, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		assert.is_true(table.concat(seen(laptop), "; "):find("; message groupchat room subject:", 1, true) ~= nil);
		s.room:remove("Alice", "332");
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
		laptop:close();
		phone:send(leave "Alice");
		s:wait(minute);
		assert.same({}, s:occupants());
	end

	local fields = {};
	do
		local s = in_room();
		reload_with(s, function (membership)
			for name in pairs(membership) do table.insert(fields, name); end
		end);
		table.sort(fields);
	end

	for _, remote in ipairs { false, true } do
		for _, name in ipairs(fields) do
			if not needed[name] then
				it("takes over the state of a version without "..name..(remote and ", elsewhere" or ""), function ()
					local s, phone = in_room { remote = remote };
					reload_with(s, function (membership) membership[name] = nil; end);
					s:wait(10);
					seen(phone);
					if name ~= "established" and name ~= "wantedNick" then assert_works(s, phone); end
				end);
			end
		end
	end

	it("takes over the minimal state of an old version", function ()
		local s, phone = in_room();
		reload_with(s, function (membership, account, saved)
			for name in pairs(membership) do
				if not needed[name] and name ~= "place" and name ~= "established" and name ~= "wantedNick" then membership[name] = nil; end
			end
			account.seen, account.parts, saved.pendingIqs = nil, nil, nil;
		end);
		s:wait(10);
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		s.room:remove("Alice", "332");
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
	end);

	-- Earlier versions held stanzas where this one holds text without the element's name.
	local function as_stanza(name, text)
		return text and xml.parse("<"..name..text) or nil;
	end

	-- The record of a membership before it had a place, a queue and a view.
	local function flatten(membership)
		local view = membership.view;
		local subject, shown = view.subject, membership.shownPresence;
		membership.phase, membership.tries = membership.place.phase, membership.place.tries;
		membership.occupants, membership.occupantCount, membership.occupantSize = {}, 0, 0;
		membership.self = as_stanza("presence", view.self and view.self.text);
		membership.subject = as_stanza("message", subject and subject.text);
		membership.shownPresence = as_stanza("presence", shown and shown.text);
		membership.incomplete = true;
		membership.nonAnonymous, membership.logged, membership.outdated = view.nonAnonymous, view.logged, false;
		membership.waiting, membership.nickRequests, membership.batched = {}, {}, false;
		membership.heard, membership.checking, membership.unanswered = false, false, 0;
		for _, name in ipairs { "place"; "queue"; "view"; "liveness"; "sent" } do membership[name] = nil; end
	end

	for _, remote in ipairs { false, true } do
		local where = remote and "elsewhere" or "here";

		it("takes over flat records of a version before: in the room, "..where, function ()
			local s, phone = in_room { remote = remote };
			reload_with(s, flatten);
			s:wait(10);
			assert.same({}, seen(phone));
			assert_works(s, phone);
		end);

		it("takes over flat records of a version before: lost, "..where, function ()
			local s, phone = in_room { remote = remote };
			s.room:remove("Alice", "332");
			s:deliver();
			reload_with(s, flatten);
			s:wait(30);
			seen(phone);
			assert_works(s, phone);
		end);
	end

	it("takes over flat records of a version before: a join in flight", function ()
		local s = scene.new { remote = true };
		s.room:enter "Bob";
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		reload_with(s, function (membership)
			local operation, queue = membership.place.operation, membership.queue;
			flatten(membership);
			membership.request, membership.waiting = operation.request, queue;
			membership.attached[phone.jid] = { presence = operation.request.stanza };
		end);
		s:wait(10);
		local lines = { "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" };
		assert.same(lines, seen(phone));
		assert.same(lines, seen(laptop));
	end);

	it("takes over flat records of a version before: a leave in flight", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave "Alice");
		s.host:drop();
		reload_with(s, flatten);
		s:wait(minute);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("takes a membership in an unknown phase for lost", function ()
		local s, phone = in_room();
		reload_with(s, function (membership) membership.place = { phase = "hovering"; tries = 0 }; end);
		s:wait(30);
		seen(phone);
		assert_works(s, phone);
	end);

	it("takes over the stored state of a version that handed over nothing", function ()
		local s = in_room();
		s.room:forget "Alice";
		s.host:module().save = nil;
		s.host:reload();
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("continues joins in flight", function ()
		local s = scene.new { remote = true };
		s.room:enter "Bob";
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join("Alice", { id = "j1"; muc = "<history maxstanzas='0'/>" }));
		laptop:send(join("Alice", { id = "j2"; muc = "<history maxstanzas='0'/>" }));
		s.host:reload();
		s:wait(10);
		local expected = { "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" };
		assert.same(expected, seen(phone));
		assert.same(expected, seen(laptop));
	end);

	it("continues a resync in flight", function ()
		local s = in_room { remote = true };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2"; muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/><history maxstanzas='0'/>" }));
		s.host:drop();
		s.host:reload();
		s:wait(minute);
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(laptop));
	end);

	local changes = {
		["a nick change"] = scene.presence("Al", { id = "n1" });
		["a nick change by a join"] = join("Al", { id = "n1" });
		["a nick change by a join that the cache cannot serve"] = join("Al", { id = "n1"; muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" });
	};
	for name, stanza in pairs(changes) do
		it("continues "..name.." in flight", function ()
			local function answer(reload)
				local s, phone = in_room { remote = true };
				phone:send(stanza);
				if reload then s.host:reload(); end
				s:wait(minute);
				assert.same({ "Al" }, s:occupants());
				return { sent = s:upstream(); seen = seen(phone) };
			end
			assert.same(answer(false), answer(true));
		end);
	end

	it("continues a leave in flight", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave "Alice");
		s.host:drop();
		s.host:reload();
		s:wait(5 * minute);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("continues a rejoin in flight", function ()
		for lost = 0, 20 do
			local s, phone = in_room { remote = true };
			s.room:remove("Alice", "332");
			s.host:tick(lost / 10);
			s.host:drop();
			s.host:reload();
			s:wait(3 * minute);
			assert.same({ "Alice" }, s:occupants());
			assert.same({}, seen(phone));
		end
	end);

	it("continues the self-pings to an unreachable room", function ()
		local s, phone = in_room { remote = true };
		s:link("destroyed");
		s.host:tick(10);
		s.host:drop();
		s.host:tick(30);
		s.room:forget "Alice";
		s.host:reload();
		phone:send(scene.query(ping, { to = "Alice" }));
		assert.same({ "iq error room/Alice wait remote-server-timeout" }, seen(phone));
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
		phone:send(scene.query(ping, { to = "Alice" }));
		assert.same({ "iq result room/Alice" }, seen(phone));
	end);

	it("R6: drops errors of sessions that joined before", function ()
		local s, phone = in_room();
		s.host:reload();
		phone:send("<message type='error' to='room@rooms.example.org/Bob'>"..scene.error("cancel", "bad-request").."</message>");
		phone:send("<presence type='error' to='room@rooms.example.org/Bob'>"..scene.error("cancel", "bad-request").."</presence>");
		assert.same({}, s:upstream());
	end);
end);

describe("L6: a user", function ()
	it("after deletion is in no room and in no store", function ()
		local s, phone = in_room();
		phone:send(join("Alice", { room = "room" }));
		s.room:say("Bob", "hi");
		s.host:tick(2);
		s.host:delete_user "alice";
		s.host:tick(minute);
		assert.same({}, s:occupants());
		assert.is_nil(stored(s, "minimix"));
		assert.is_nil(stored(s, "minimix_parts"));
		s:restart { killed = true };
		s.host:tick(minute);
		assert.same({}, s:occupants());
	end);
end);
