-- B1: everything that a user, a room or a remote server can make grow has a limit. Only the sender notices the limit.

local st = require "util.stanza";
local clock = require "support.clock";
local mam = require "support.mam";
local scene = require "support.scene";

local join, seen = scene.join, scene.seen;

local function in_room(options, fields)
	fields = fields or {};
	fields.options = options;
	return scene.in_room(fields);
end

local function log_lines(s, pattern)
	local count = 0;
	for _, entry in ipairs(s.host.log) do
		if entry.level == "warn" and entry.message:find "is over the limit" and tostring(entry.message):find(pattern or "") then
			count = count + 1;
		end
	end
	return count;
end

describe("rooms of an account", function ()
	scene.everywhere(function (new_scene)
		it("B1: a join beyond minimix_max_rooms is refused with wait, other joins succeed", function ()
			local s = new_scene { options = { minimix_max_rooms = 1 } };
			local second = s:add_room "second";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			phone:send(join("Alice", { id = "j2", room = "second" }));
			s:deliver();
			assert.same({ "presence error second/Alice wait resource-constraint" }, seen(phone));
			assert.equal(1, s.host:metric("drops", { "limit" }));
			assert.same({}, s:arrived(second));
			laptop:send(join("Alice", { id = "j3" }));
			s:deliver();
			assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
			local other = s:client("tablet", "anna");
			other:send(join("Anna", { id = "j4", room = "second" }));
			s:deliver();
			assert.same({ "presence - second/Anna 110"; "message groupchat second subject:" }, seen(other));
		end);

		it("B1: after a leave, minimix_max_rooms permits another join", function ()
			local s = new_scene { options = { minimix_max_rooms = 1 } };
			s:add_room "second";
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(scene.leave "Alice");
			s:deliver();
			phone:take();
			phone:send(join("Alice", { id = "j2", room = "second" }));
			s:deliver();
			assert.same({ "presence - second/Alice 110"; "message groupchat second subject:" }, seen(phone));
		end);
	end);

	it("B1: minimix_max_rooms logs a line once a minute", function ()
		local s, phone = in_room { minimix_max_rooms = 1 };
		for i = 1, 20 do
			phone:send(join("Alice", { id = "j"..i, room = "other"..i }));
		end
		assert.equal(20, #phone:take());
		assert.equal(1, log_lines(s));
		s:wait(61);
		phone:send(join("Alice", { id = "j21", room = "other" }));
		assert.equal(2, log_lines(s));
	end);
end);

describe("joins of an account", function ()
	it("B1: joins beyond minimix_join_burst are refused with wait", function ()
		local s, phone = in_room { minimix_join_burst = 3; minimix_join_rate = 1 };
		for i = 1, 4 do
			phone:send(join("Alice", { id = "again"..i; muc = "<history maxstanzas='0'/>" }));
		end
		local refused = 0;
		for _, stanza in ipairs(phone:take()) do
			if stanza.attr.type == "error" then
				refused = refused + 1;
				assert.same({ "wait", "resource-constraint" }, { stanza:get_error() });
			end
		end
		assert.equal(2, refused);
		assert.equal(2, s.host:metric("drops", { "limit" }));
		assert.equal(1, log_lines(s, "minimix_join_rate"));
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	end);

	it("B1: minimix_join_rate does not affect other accounts, and permits a join a little later", function ()
		local s, phone = in_room { minimix_join_burst = 1; minimix_join_rate = 1 };
		phone:send(join("Alice", { id = "j2" }));
		assert.same({ "presence error room/Alice wait resource-constraint" }, seen(phone));
		local other = s:client("tablet", "anna");
		other:send(join("Anna", { id = "j3" }));
		assert.equal("message groupchat room subject:", seen(other)[4]);
		phone:take();
		s:wait(2);
		phone:send(join("Alice", { id = "j4" }));
		assert.is_not.equal("presence error room/Alice wait resource-constraint", seen(phone)[1]);
	end);

	it("B1: minimix_join_rate permits this many further joins per second", function ()
		local s, phone = in_room { minimix_join_burst = 6; minimix_join_rate = 3 };
		local function let_in(count)
			local good = 0;
			for i = 1, count do
				phone:send(join("Alice", { id = "again"..i; muc = "<history maxstanzas='0'/>" }));
				if not seen(phone)[1]:find("resource-constraint", 1, true) then good = good + 1; end
			end
			return good;
		end
		-- The first join is that of the phone.
		assert.equal(5, let_in(10));
		s:wait(1);
		assert.equal(3, let_in(10));
		s:wait(10);
		assert.equal(6, let_in(10));
	end);
end);

describe("nick changes", function ()
	it("B1: nick changes beyond minimix_max_nick_requests are refused with wait", function ()
		local s, phone = in_room { minimix_max_nick_requests = 2 };
		s.room.silent = true;
		for i = 1, 3 do
			phone:send(scene.presence("Nick"..i, { id = "n"..i }));
		end
		assert.same({ "presence error room/Nick3 wait resource-constraint" }, seen(phone));
		assert.equal(1, s.host:metric("drops", { "limit" }));
		assert.same({ "alice presence - room/Nick1" }, s:upstream());
		-- The room answers neither the nick change nor the self-ping after it.
		s:wait(26);
		assert.same({ "alice presence - room/Nick2" }, s:upstream());
	end);

	it("B1: of many nick changes the first is stored at once, and the last one soon", function ()
		local writes = 0;
		local function count_writes(store, name)
			if name ~= "minimix" then return store; end
			return setmetatable({ set = function (_, ...)
				writes = writes + 1;
				return store:set(...);
			end }, { __index = store });
		end
		local s, phone = in_room({}, { wrap_store = count_writes });
		local function nick_after_kill()
			s:restart { killed = true };
			s:wait(10);
			return s:occupants()[1];
		end
		s:wait(10);
		writes = 0;
		phone:send(scene.presence "Nick0");
		assert.equal(1, writes);
		for i = 1, 100 do phone:send(scene.presence("Nick"..i)); end
		assert.equal(1, writes);
		s:wait(10);
		assert.equal(2, writes);
		assert.equal("Nick100", nick_after_kill());
		s:enter(s:client "phone");
		s.clients[#s.clients]:send(scene.presence "Late");
		assert.equal("Late", nick_after_kill());
	end);
end);

-- A laptop joins a room that the account is in with the phone.
local function attach(s, laptop)
	s:upstream();
	laptop:send(join("Alice", { id = "j2" }));
	s:deliver();
	return seen(laptop), s:upstream();
end

describe("the cache of a room", function ()
	scene.everywhere(function (new_scene)
		local function crowded(options)
			local s = new_scene { options = options };
			for _, nick in ipairs { "Bob", "Carol", "Dave" } do s.room:enter(nick); end
			local phone = s:client "phone";
			phone:send(join("Alice"));
			s:deliver();
			return s, phone;
		end

		it("B1: beyond minimix_max_occupants the room itself answers a join", function ()
			local s, phone = crowded { minimix_max_occupants = 2 };
			local lines = seen(phone);
			table.sort(lines);
			assert.same({
				"message groupchat room subject:"; "presence - room/Alice 110"; "presence - room/Bob";
				"presence - room/Carol"; "presence - room/Dave";
			}, lines);
			local laptop = s:client "laptop";
			local all, upstream = attach(s, laptop);
			table.sort(all);
			assert.same(lines, all);
			assert.same({ "alice presence - room/Alice join" }, upstream);
			assert.same({}, seen(phone));
			s.room:say("Dave", "hi");
			assert.same({ "message groupchat room/Dave hi" }, seen(phone));
			assert.same({ "message groupchat room/Dave hi" }, seen(laptop));
			assert.equal(1, log_lines(s));
		end);

		it("B1: beyond minimix_max_occupants each leave is forwarded", function ()
			local s, phone = crowded { minimix_max_occupants = 2 };
			phone:take();
			for _, nick in ipairs { "Bob", "Carol", "Dave" } do s.room:leave(nick); end
			assert.same({
				"presence unavailable room/Bob"; "presence unavailable room/Carol"; "presence unavailable room/Dave";
			}, seen(phone));
			local all = attach(s, s:client "laptop");
			assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, all);
		end);

		for name, content in pairs {
			["over minimix_max_cached_size"] = "<status>"..("x"):rep(3000).."</status>";
			["with eight times as much in memory"] = "<a xmlns='a'>"..("<b/>"):rep(100).."</a>";
		} do
			it("B1: a presence "..name.." is forwarded and not cached", function ()
				local s, phone = crowded { minimix_max_cached_size = 2000 };
				phone:take();
				s.room:update("Bob", scene.presence(nil, { content = content }));
				assert.same({ "presence - room/Bob" }, seen(phone));
				local all, upstream = attach(s, s:client "laptop");
				table.sort(all);
				assert.same({
					"message groupchat room subject:"; "presence - room/Alice 110"; "presence - room/Bob";
					"presence - room/Carol"; "presence - room/Dave";
				}, all);
				assert.same({ "alice presence - room/Alice join" }, upstream);
			end);

			it("B1: a presence "..name.." in the answer to the first join is forwarded and not cached", function ()
				local s = new_scene { options = { minimix_max_cached_size = 2000 } };
				for _, nick in ipairs { "Bob", "Carol" } do s.room:enter(nick); end
				s.room:update("Carol", scene.presence(nil, { content = content }));
				local phone = s:client "phone";
				phone:send(join("Alice"));
				s:deliver();
				local lines = seen(phone);
				table.sort(lines);
				assert.same({
					"message groupchat room subject:"; "presence - room/Alice 110"; "presence - room/Bob"; "presence - room/Carol";
				}, lines);
				local all, upstream = attach(s, s:client "laptop");
				table.sort(all);
				assert.same(lines, all);
				assert.same({ "alice presence - room/Alice join" }, upstream);
			end);
		end

		it("B1: beyond minimix_max_room_size presences are forwarded and not cached", function ()
			local s, phone = crowded { minimix_max_room_size = 2000 };
			phone:take();
			for _, nick in ipairs { "Bob", "Carol", "Dave" } do
				s.room:update(nick, scene.presence(nil, { content = "<status>"..("x"):rep(700).."</status>" }));
			end
			assert.same({ "presence - room/Bob"; "presence - room/Carol"; "presence - room/Dave" }, seen(phone));
			assert.equal(1, s.host:metric("drops", { "limit" }));
			local all, upstream = attach(s, s:client "laptop");
			assert.equal(5, #all);
			assert.same({ "alice presence - room/Alice join" }, upstream);
		end);

		it("B1: a replaced presence no longer counts for minimix_max_room_size", function ()
			local s = crowded { minimix_max_room_size = 2000 };
			for i = 1, 50 do
				s.room:update("Bob", scene.presence(nil, { content = "<status>"..("x"):rep(i % 7 * 100).."</status>" }));
			end
			for _, nick in ipairs { "Bob", "Carol" } do s.room:leave(nick); end
			local all, upstream = attach(s, s:client "laptop");
			assert.same({ "presence - room/Dave"; "presence - room/Alice 110"; "message groupchat room subject:" }, all);
			assert.same({}, upstream);
		end);

		it("B1: a subject over minimix_max_cached_size is forwarded and not cached", function ()
			local s, phone = crowded { minimix_max_cached_size = 2000 };
			phone:take();
			local subject = ("x"):rep(3000);
			s.room:set_subject("Bob", subject);
			assert.same({ "message groupchat room/Bob subject:"..subject }, seen(phone));
			local all, upstream = attach(s, s:client "laptop");
			assert.equal("message groupchat room/Bob subject:"..subject, all[#all]);
			assert.same({ "alice presence - room/Alice join" }, upstream);
		end);
	end);

	it("B1: minimix_max_occupants of one room does not affect the cache of another", function ()
		local s = scene.new { options = { minimix_max_occupants = 1 } };
		local small = s:add_room "small";
		for _, nick in ipairs { "Bob", "Carol" } do s.room:enter(nick); end
		small:enter "Eve";
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s:enter(phone, "Alice", { room = "small" });
		s:arrived(small);
		laptop:send(join("Alice", { room = "small" }));
		assert.same({ "presence - small/Eve"; "presence - small/Alice 110"; "message groupchat small subject:" }, seen(laptop));
		assert.same({}, s:arrived(small));
	end);
end);

describe("IQs", function ()
	it("B1: IQs beyond minimix_max_pending_iqs are refused, those of another session are sent", function ()
		local s, phone = in_room { minimix_max_pending_iqs = 2 };
		local laptop = s:client "laptop";
		s:enter(laptop);
		for i = 1, 3 do
			phone:send(scene.query("<query xmlns='jabber:iq:version'/>", { id = "q"..i; to = "Bob" }));
		end
		assert.same({ "iq error room/Bob wait resource-constraint" }, seen(phone));
		assert.equal(1, s.host:metric("drops", { "iq_limit" }));
		assert.equal(1, log_lines(s, "minimix_max_pending_iqs"));
		laptop:send(scene.query("<query xmlns='jabber:iq:version'/>", { id = "q4"; to = "Bob" }));
		assert.same({}, seen(laptop));
		assert.equal(3, #s:upstream());
	end);
end);

describe("messages", function ()
	it("B1: a message over minimix_max_kept_size is forwarded and not archived", function ()
		local s, phone = in_room { minimix_max_kept_size = 1000 };
		s.room:say("Bob", ("x"):rep(2000));
		s.room:say("Bob", "short");
		assert.equal(2, #scene.bodies(phone:take()));
		local laptop = s:client "laptop";
		s:enter(laptop, "Alice", { muc = "" });
		laptop:send(join "Alice");
		assert.same({ "short" }, scene.bodies(laptop:take()));
	end);

	it("B1: a join gets at most minimix_max_history messages of history", function ()
		local s = in_room { minimix_max_history = 3 };
		for i = 1, 5 do s.room:say("Bob", tostring(i)); end
		local laptop, tablet = s:client "laptop", s:client "tablet";
		laptop:send(join("Alice", { muc = "<history maxstanzas='1000'/>" }));
		tablet:send(join("Alice", { muc = "<history maxstanzas='2'/>" }));
		assert.same({ "3", "4", "5" }, scene.bodies(laptop:take()));
		assert.same({ "4", "5" }, scene.bodies(tablet:take()));
	end);
end);

describe("rejoins after a restart", function ()
	it("B1: minimix_rejoin_rate limits rejoins, and not the joins of clients", function ()
		local s = scene.new { options = { minimix_rejoin_rate = 1 } };
		local phone = s:client "phone";
		for i = 1, 20 do
			s:add_room("room"..i);
			s:enter(phone, "Alice", { room = "room"..i });
		end
		s:restart();
		s:wait(2);
		assert(s.host:metric("memberships", { "lost" }) >= 15);
		local laptop, other = s:client "laptop", s:client("tablet", "anna");
		other:send(join("Anna", { room = "room20" }));
		assert.same("message groupchat room20 subject:", table.remove((seen(other))));
		for i = 1, 20 do laptop:send(join("Alice", { room = "room"..i })); end
		s:deliver();
		assert.equal(0, s.host:metric("memberships", { "lost" }));
	end);
end);

-- The account has lost the room and queries its archive. The spec answers the query.
local function asks_archive(answer, options, fields)
	fields = fields or {};
	fields.remote = true;
	local s, phone = in_room(options, fields);
	local asked = 0;
	function s.room.on_iq(_, iq)
		if iq:get_child("query", "urn:xmpp:mam:2") then
			asked = asked + 1;
			return answer(iq, asked);
		end
	end
	s:wait(2);
	s:link "destroyed";
	return s, phone, function () return asked; end;
end

describe("a room's archive", function ()
	it("B1: an archive without an end is asked only once", function ()
		local s, _, asked = asks_archive(function (iq, n)
			return st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2" })
				:tag("set", { xmlns = "http://jabber.org/protocol/rsm" }):text_tag("last", "page"..n);
		end);
		s:wait(60);
		assert.equal(1, asked());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("B1: an archive that does not answer does not lose the messages buffered meanwhile", function ()
		local s, phone, asked = asks_archive(function () return true; end);
		s:wait(10);
		assert.equal(1, asked());
		phone:take();
		for i = 1, 600 do s.room:say("Bob", "flood "..i); end
		assert.equal(600, #phone:take());
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { muc = "<history maxstanzas='1000'/>" }));
		s:deliver();
		local lines = seen(laptop);
		assert.equal("message groupchat room/Bob flood 1", (lines[3]:gsub(" delay.*", "")));
		assert.equal(603, #lines);
	end);
end);

-- Returns the memory in use after garbage collection, in kilobytes.
local function used()
	collectgarbage();
	collectgarbage();
	return collectgarbage "count";
end

-- Returns the kilobytes that a function leaves in use.
local function left_by(f)
	local before = used();
	f();
	return used() - before;
end

-- Elements of four bytes. They take 80 times as much memory.
local function elements(count)
	return ("<a/>"):rep(count);
end

describe("memory", function ()
	local function in_big_room(options)
		return scene.in_room { options = options; resource = "minimix" };
	end

	it("B1: an own presence over minimix_max_cached_size is forwarded, and only its needed parts are kept", function ()
		local s, phone = in_big_room { minimix_max_cached_size = 16384 };
		local giant = ("<presence><status>%s</status>%s</presence>"):format(("x"):rep(400000), scene.status "110");
		assert(left_by(function ()
			s:from("Alice", giant);
			assert.equal(400000, #phone:take()[1]:get_child_text "status");
			s.room.received = {};
			s:from("Bob", "<presence>"..scene.status().."</presence>");
			phone:take();
		end) < 100);
		assert.equal(1, log_lines(s, "minimix_max_cached_size"));
		local all, upstream = attach(s, s:client "laptop");
		assert.equal("presence - room/Alice 110", all[2]);
		assert.same({ "alice presence - room/Alice join" }, upstream);
	end);

	it("B1: an own presence, a subject or a room's presence with thousands of elements is not cached", function ()
		local s, phone = in_big_room { minimix_max_cached_size = 16384 };
		local x = scene.status "110";
		assert(left_by(function ()
			s:from("Alice", ("<presence>%s<b xmlns='b'>%s</b></presence>"):format(x, elements(3800)));
			s:from(nil, ("<presence><b xmlns='b'>%s</b></presence>"):format(elements(3800)));
			s:from("Bob", ("<message type='groupchat'><subject>s</subject><b xmlns='b'>%s</b></message>"):format(elements(3800)));
			assert.equal(3, #phone:take());
			s:from("Bob", "<presence>"..scene.status().."</presence>");
			s:from("Bob", "<message type='groupchat'><body>m</body></message>");
			s.room.received = {};
			phone:take();
		end) < 150);
	end);

	it("B1: long names of attributes are not kept", function ()
		local s, phone = in_big_room();
		assert(left_by(function ()
			for i = 1, 100 do
				s:from("Bob", ("<presence>%s<b xmlns='b' a%d%s='1'/></presence>"):format(scene.status(), i, ("x"):rep(10000)));
				assert.equal(1, #phone:take());
			end
			s.room.received = {};
			s:from("Bob", "<presence>"..scene.status().."</presence>");
			phone:take();
		end) < 150);
	end);

	it("B1: a client's presence over minimix_max_cached_size is refused", function ()
		local s, phone = in_big_room { minimix_max_cached_size = 2000 };
		phone:send(scene.presence("Alice", { content = "<status>"..("x"):rep(3000).."</status>" }));
		assert.same({ "presence error room/Alice modify policy-violation" }, seen(phone));
		phone:send(join("Alice", { content = "<status>"..("x"):rep(3000).."</status>" }));
		assert.same({ "presence error room/Alice modify policy-violation" }, seen(phone));
		assert.same({}, s:upstream());
	end);

	it("B3: a stanza with deep nesting or too many elements is dropped, and the next one is not", function ()
		local s, phone = in_big_room();
		local deep = ("<a>"):rep(2000)..("</a>"):rep(2000);
		for _, content in ipairs { deep, elements(8000) } do
			s:from("Bob", ("<message type='groupchat'><body>b</body><b xmlns='b'>%s</b></message>"):format(content));
			s:from("Bob", ("<message type='chat'><body>b</body><b xmlns='b'>%s</b></message>"):format(content));
			s:from("Bob", ("<presence><b xmlns='b'>%s</b></presence>"):format(content));
		end
		s:from("Bob", ("<iq type='get' id='1'><b xmlns='b'>%s</b></iq>"):format(deep));
		assert.same({}, seen(phone));
		assert.equal(7, s.host:metric("drops", { "limit" }));
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	end);

	it("B1: the memory for parsing cached presence is freed after a replay #once", function ()
		local s = in_big_room { minimix_max_cached_size = 16384 };
		for i = 1, 30 do
			s:from("N"..i, ("<presence>%s<b xmlns='b'>%s</b></presence>"):format(scene.status(), elements(300)));
		end
		for _, client in ipairs(s.clients) do client:take(); end
		local tablet = s:client("tablet", nil, { bosh = true });
		assert(left_by(function ()
			tablet:send(join("Alice", { id = "j2" }));
			s:deliver();
			assert.equal(33, #tablet:take());
			s.room:say("Bob", "hi");
			for _, client in ipairs(s.clients) do client:take(); end
		end) < 200);
	end);

	it("B1: messages buffered during a gap take at most minimix_max_gap_size #once", function ()
		local s, phone = asks_archive(function () return true; end, { minimix_max_kept_size = 1000 });
		s:wait(10);
		phone:take();
		s.room.received = {};
		local before, most = used(), 0;
		for i = 1, 120 do
			s:from("Bob", ("<message type='groupchat' id='g%d'><body>%s</body></message>"):format(i, ("x"):rep(6000)));
			phone:take();
			if i % 8 == 0 then most = math.max(most, used() - before); end
		end
		assert(most > 400 and most < 524288 * 1.1 / 1024 + 60, most);
		assert.equal(1, log_lines(s, "minimix_max_gap_size"));
		local other = scene.in_room { options = { minimix_max_gap_size = 0 } };
		other.room:remove("Alice", "333");
		other:wait(5);
		assert.same({ "Alice" }, other:occupants());
	end);

	it("B1: ids of messages buffered during a gap count for minimix_max_gap_size #once", function ()
		local s, phone = asks_archive(function () return true; end, { minimix_max_kept_size = 1000 });
		s:wait(10);
		phone:take();
		s.room.received = {};
		local before, most = used(), 0;
		for i = 1, 400 do
			s:from("Bob", ("<message type='groupchat' id='%d%s'><body>hi</body></message>"):format(i, ("x"):rep(6000)));
			phone:take();
			if i % 20 == 0 then most = math.max(most, used() - before); end
		end
		assert(most < 524288 * 1.1 / 1024 + 60, most);
	end);

	it("P2, B1: the account rejoins although its buffer was full before the archive answered", function ()
		local s, phone = in_room(nil, { remote = true });
		s.room:say("Bob", "first");
		s:deliver();
		local ask;
		function s.room.on_iq(_, iq)
			if not iq:get_child("query", "urn:xmpp:mam:2") then return; end
			ask = iq;
			return true;
		end
		s.room:remove("Alice", "333");
		s:wait(3);
		assert(ask);
		for i = 1, 150 do
			s:from("Bob", ("<message type='groupchat' id='g%d'><body>%s</body></message>"):format(i, ("x"):rep(6000)));
		end
		phone:take();
		s.room.on_iq = nil;
		s.room.send(st.reply(ask):tag("fin", { xmlns = "urn:xmpp:mam:2"; complete = "true" }):reset());
		s:wait(40);
		assert.same({ "Alice" }, s:occupants());
		phone:take();
		s.room:say("Bob", "hi");
		s:deliver();
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	end);

	it("B1: a join gets at most minimix_max_history_size of history", function ()
		local s = in_room { minimix_max_history_size = 10000 };
		for i = 1, 20 do s.room:say("Bob", i.." "..("x"):rep(1500)); end
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { muc = "<history maxstanzas='1000'/>" }));
		local lines = seen(laptop);
		assert.equal("message groupchat room/Bob 20 x", lines[#lines - 1]:sub(1, 31));
		assert(#lines >= 3 + 2 and #lines <= 3 + 4, #lines);
		assert.equal(1, log_lines(s, "minimix_max_history_size"));
	end);

	it("B1: a query reads minimix_max_query_rooms rooms, those with the latest messages", function ()
		local s, phone = in_room({ minimix_max_query_rooms = 3 }, { modules = { "mam" } });
		for i = 1, 6 do
			s:add_room("r"..i):enter "Bob";
			s:enter(phone, "Alice", { room = "r"..i });
			s.rooms["r"..i]:say("Bob", "in r"..i);
			s:wait(2);
		end
		for i = 1, 3 do
			phone:send(scene.leave("Alice", { room = "r"..i }));
			s:wait(2);
		end
		assert.same({ "in r4", "in r5", "in r6" }, (function ()
			local bodies = mam.page_through(phone, { ["include-groupchat"] = "true"; max = 10 });
			table.sort(bodies);
			return bodies;
		end)());
		assert.equal(1, log_lines(s, "minimix_max_query_rooms"));
	end);
end);

describe("work in slices", function ()
	scene.everywhere(function (new_scene)
		local function crowd(count, options)
			local s, phone = (function ()
				local s = new_scene { options = options; modules = { "mam" } };
				return s, s:fill();
			end)();
			for i = 1, count do s:from("N"..i, "<presence>"..scene.status().."</presence>"); end
			for i = 1, 10 do s.room:say("Bob", "before "..i); end
			s:deliver();
			phone:take();
			return s, phone;
		end

		for _, options in ipairs { {}, { bosh = true } } do
			it("J2, B4: live stanzas wait until a replay in slices is complete"..(options.bosh and ", over BOSH" or ""), function ()
				local s, phone = crowd(500);
				local laptop = s:client("laptop", nil, options);
				clock.pace = 0.006;
				s.host:run(function ()
					laptop:send(join("Alice", { id = "j2" }));
					s.room:say("Bob", "live");
					s:from("N1", "<presence type='unavailable'>"..scene.status().."</presence>");
				end);
				s:wait(5);
				local lines = seen(laptop);
				local at = {};
				for i, line in ipairs(lines) do at[line] = i; end
				assert.equal(501 + 1 + 10 + 1 + 2, #lines);
				local self, subject = at["presence - room/Alice 110"], at["message groupchat room subject:"];
				assert(at["presence - room/N1"] < self and at["presence - room/N500"] < self);
				assert(self < at["message groupchat room/Bob before 1"]);
				assert(at["message groupchat room/Bob before 10"] < subject);
				assert(subject < at["message groupchat room/Bob live"]);
				assert.equal(#lines, at["presence unavailable room/N1"]);
				local told = seen(phone);
				assert.equal("message groupchat room/Bob live", told[1]);
				assert.equal("presence unavailable room/N1", told[#told]);
			end);
		end

		it("L1, B4: the rest of a replay does not go to a new session with the same full JID", function ()
			local s = crowd(500);
			local laptop = s:client("laptop", nil, { bosh = true });
			clock.pace = 0.006;
			s.host:run(function ()
				laptop:send(join("Alice", { id = "j2" }));
				laptop:lose();
			end);
			local again = s:client("laptop", nil, { bosh = true });
			s:wait(5);
			assert.same({}, seen(again));
		end);

		it("H3, B4: queries answered in slices are complete and answered one after the other", function ()
			local s, phone = crowd(1);
			clock.pace = 0.006;
			s.host:run(function ()
				for n = 1, 2 do
					local query = mam.query { with = s.room.jid; max = n == 1 and 20 or 3 };
					query.attr.id = "q"..n;
					phone:send(query);
				end
			end);
			s:wait(5);
			local order = {};
			for _, stanza in ipairs(phone:take()) do
				table.insert(order, stanza.name == "iq" and stanza.attr.id or mam.message_in(stanza):get_child_text("body"));
			end
			assert.equal("q1 before 1", order[11].." "..order[12]);
			assert.equal(15, #order);
			assert.equal("q2", order[15]);
		end);

		it("O5, B4: a reload completes work in slices", function ()
			local s = crowd(500);
			local laptop = s:client("laptop", nil, { bosh = true });
			clock.pace = 0.006;
			s.host:run(function ()
				laptop:send(join("Alice", { id = "j2" }));
			end);
			s.host:reload();
			assert.equal("message groupchat room subject:", table.remove((seen(laptop))));
		end);
	end);

	it("P3, B4: messages buffered during a gap are archived before later ones", function ()
		local query;
		local s, phone = asks_archive(function (iq)
			query = st.clone(iq);
			return true;
		end, nil, { modules = { "mam" } });
		for _ = 1, 10 do
			if not query then s:wait(1); end
		end
		for i = 1, 20 do s.room:say("Bob", "during "..i); end
		clock.pace = 0.006;
		s.host:run(function ()
			s.room.send(st.reply(query):tag("fin", { xmlns = "urn:xmpp:mam:2"; complete = "true" }):reset());
			for i = 1, 3 do s.room:say("Bob", "after "..i); end
		end);
		s:wait(5);
		clock.pace = 0;
		phone:take();
		local expected = {};
		for i = 1, 20 do table.insert(expected, "during "..i); end
		for i = 1, 3 do table.insert(expected, "after "..i); end
		assert.same(expected, (mam.page_through(phone, { with = s.room.jid; max = 50 })));
	end);
end);

describe("the limits in README.md", function ()
	it("B1: each limit has a spec in this file", function ()
		local readme, here = assert(io.open "README.md"):read "*a", assert(io.open "spec/limits_spec.lua"):read "*a";
		local limits = 0;
		for name in readme:match("\n### Limits\n(.-)\n## "):gmatch "\n| `([%w_]+)`" do
			limits = limits + 1;
			assert.truthy(here:find(name.." = ", 1, true), name);
		end
		assert(limits >= 11, limits);
	end);
end);
