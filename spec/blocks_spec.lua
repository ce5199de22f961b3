-- B4: no event, timer or query blocks the server for long, whatever a hostile room does. Each attack arrives in one read of
-- a socket. Prints the longest time of each, in milliseconds of a slow machine.

local st = require "util.stanza";
local datetime = require "util.datetime";
local clock = require "support.clock";
local mam = require "support.mam";
local scene = require "support.scene";
local work = require "support.work";

local limit = 0.05;

local function assert_short(name, f)
	local seconds = work.longest(f);
	print(("%s: %.1f ms"):format(name, seconds * 1000));
	assert(seconds < limit, ("%s: %.0f ms in one go"):format(name, seconds * 1000));
end

local function said(room, body, id, time)
	local message = st.message({ type = "groupchat"; from = room.jid.."/Eve"; id = id; xmlns = "jabber:client" }):text_tag("body", body);
	return st.stanza("forwarded", { xmlns = "urn:xmpp:forward:0" })
		:tag("delay", { xmlns = "urn:xmpp:delay"; stamp = datetime.datetime(time) }):up()
		:add_child(message);
end

-- Messages of the room, one each `step` seconds.
local function talk(s, count, step, id)
	for i = 1, count do
		s:from("Bob", ("<message type='groupchat' id='%s'><body>%d</body></message>"):format(id or "m"..i, i));
		s.host:tick(step or 0);
	end
end

-- The room's archive answers its next query with these children of results, and the end of the page, at once.
local function answer_with(s, results)
	function s.room.on_iq(room, iq)
		local query = iq:get_child("query", "urn:xmpp:mam:2");
		if not query then return; end
		room.on_iq = nil;
		for n, forwarded in ipairs(results) do
			room.send(st.message({ from = room.jid; to = iq.attr.from })
				:tag("result", { xmlns = "urn:xmpp:mam:2"; queryid = query.attr.queryid; id = "a"..n }):add_child(forwarded):reset());
		end
		return st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2"; complete = "true" }):reset();
	end
end

local function assert_well(s, phone)
	phone:take();
	s.room:say("Bob", "hi");
	s:deliver();
	assert.same({ "message groupchat room/Bob hi" }, scene.seen(phone));
end

for name, attack in pairs {
	["results that go back in time"] = function (i) return "m"..i, os.time() - 3000 - i * 10; end;
	["results that go forward in steps"] = function (i) return "x"..i, os.time() - 3600 * 50 + i * 3600; end;
	["results that repeat one id"] = function () return "same", os.time() - 1000; end;
} do
	it("B4: "..name.." are handled in slices #once", function ()
		local s, phone = scene.in_room();
		talk(s, 200, 900);
		talk(s, 300, 0, "same");
		local results = {};
		for i = 1, 50 do results[i] = said(s.room, "past "..i, attack(i)); end
		answer_with(s, results);
		assert_short(name, function () s:lose_and_return(); end);
		assert_well(s, phone);
	end);
end

-- The account is in the room, and the room's archive does not answer: messages are buffered.
local function in_gap(fields)
	local s, phone = scene.in_room { modules = { "mam" }; wrap_store = fields and fields.wrap_store };
	s.room:say("Bob", "before");
	local asked = 0;
	function s.room.on_iq(_, iq)
		if not iq:get_child("query", "urn:xmpp:mam:2") then return; end
		asked = asked + 1;
		return asked > 1 or st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2"; complete = "true" }):reset();
	end
	s:lose_and_return();
	assert.equal(2, asked);
	phone:take();
	return s, phone;
end

it("B4: messages in the buffer are stored in slices when the room removes the account #once", function ()
	local s, phone = in_gap();
	talk(s, 300);
	assert_short("removal with a full buffer", function ()
		s.room:remove("Alice", "307");
		s:wait(10);
	end);
	phone:take();
	assert.same({ "before", "1", "300" }, (function ()
		local bodies = mam.page_through(phone, { with = s.room.jid; max = 50 });
		return { bodies[1], bodies[2], bodies[#bodies] };
	end)());
end);

it("H3, B4: an archive query waits until messages in the buffer are stored #once", function ()
	local s, phone = in_gap();
	talk(s, 300);
	phone:take();
	work.longest(function ()
		s.host:run(function ()
			s.room:remove("Alice", "307");
			phone:send(mam.query { with = s.room.jid; max = 1; before = true });
		end);
		s:wait(10);
	end);
	local bodies = {};
	for _, stanza in ipairs(phone:take()) do
		if stanza:get_child("result", "urn:xmpp:mam:2") then table.insert(bodies, mam.message_in(stanza):get_child_text "body"); end
	end
	assert.same({ "300" }, bodies);
end);

it("B4: history whose times jump is not searched for at length when a client joins #once", function ()
	local s, phone = scene.in_room();
	talk(s, 300, 900);
	phone:send(scene.leave());
	s:deliver();
	local release = scene.hold_back(s.room);
	phone:send(scene.join("Alice", { id = "j2" }));
	s:deliver();
	release(2);
	phone:take();
	local time = os.time() - 300 * 900;
	assert_short("history with jumping times", function ()
		s.host:run(function ()
			for i = 1, 50 do
				s:from("Bob", ("<message type='groupchat' id='h%d'><body>h</body><delay xmlns='urn:xmpp:delay' from='%s' stamp='%s'/></message>"):format(
					i, s.room.jid, datetime.datetime(time + (i * 7919 % 250) * 1000)));
			end
		end);
	end);
	assert.equal(50, #scene.take(phone));
end);

it("B4: stanzas with thousands of equal elements are handled quickly #once", function ()
	local s, phone = scene.in_room();
	local delay = ("<delay xmlns='urn:xmpp:delay' from='%s' stamp='2020-01-01T00:00:00Z'/>"):format(s.room.jid);
	for _, element in ipairs { "<item affiliation='none' role='participant' nick='x'/>", "<status code='303'/>", "<status code='110'/>" } do
		local x = ("<x xmlns='http://jabber.org/protocol/muc#user'>%s</x>"):format(element:rep(4000));
		assert_short(element, function ()
			s:from("Eve", "<presence>"..x.."</presence>");
			s:from("Bob", "<presence type='unavailable'>"..x.."</presence>");
			s:from(nil, "<message type='groupchat'>"..x.."</message>");
		end);
	end
	for _, element in ipairs { delay, "<body>x</body>", "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='x'/>" } do
		assert_short(element, function () s:from("Eve", "<message type='groupchat'>"..element:rep(4000).."<body>x</body></message>"); end);
	end
	assert_well(s, phone);
end);

-- Drivers for SQL fetch all messages of a query at once, and sort all in a range of time.
local function watch_queries(limits)
	return function (store, name)
		local find = name == "minimix_archive" and store.find;
		if not find then return store; end
		return setmetatable({ find = function (_, key, query)
			assert.is_nil(query.reverse and query.start);
			table.insert(limits, query.limit);
			return find(store, key, query);
		end }, { __index = store });
	end;
end

it("B4: history of large messages is read a few at a time #once", function ()
	local limits = {};
	local s, phone = scene.in_room { wrap_store = watch_queries(limits) };
	for i = 1, 100 do s.room:say("Bob", i..(" "):rep(50000)); end
	phone:take();
	local laptop = s:client "laptop";
	for i = #limits, 1, -1 do limits[i] = nil; end
	laptop:send(scene.join("Alice", { muc = "<history maxstanzas='1000'/>" }));
	s:wait(5);
	assert.equal(40, #scene.bodies(laptop:take()));
	assert.is_true(#limits > 2);
	for i, most in ipairs(limits) do assert.is_true(most <= (i == 1 and 16 or 6), most); end
end);

it("B4: the server has time for others between two slow reads of history #once", function ()
	local reads = {};
	local s = scene.in_room {
		wrap_store = function (store, name)
			if name ~= "minimix_archive" then return store; end
			return setmetatable({}, { __index = function (_, method)
				local f = store[method];
				return method ~= "find" and f or function (_, ...)
					local read = { start = clock.monotonic() };
					clock.elapse(0.04);
					read.stop = clock.monotonic();
					table.insert(reads, read);
					return f(store, ...);
				end;
			end });
		end;
	};
	for i = 1, 60 do s.room:say("Bob", i..("x"):rep(30000)); end
	reads = {};
	local laptop = s:client "laptop";
	laptop:send(scene.join("Alice", { muc = "<history maxstanzas='60'/>" }));
	s:wait(5);
	assert.equal(60, #scene.bodies(laptop:take()));
	assert.is_true(#reads >= 3);
	for i = 2, #reads do
		assert.is_true(reads[i].start - reads[i - 1].stop > 0.029);
	end
end);

-- Reads 5 MB a second.
local function slow_reads(store, name)
	local find = name == "minimix_archive" and store.find;
	if not find then return store; end
	return setmetatable({ find = function (_, key, query)
		local results, problem = find(store, key, query);
		return results and function ()
			local id, stanza, time, with = results();
			if stanza then clock.elapse(#stanza:get_text() / 5e6); end
			return id, stanza, time, with;
		end, problem;
	end }, { __index = store });
end

local function flood(s, count)
	for i = 1, count do
		s:from("Bob", ("<message type='groupchat' id='m%d'><body>%s</body></message>"):format(i, i..("x"):rep(10000)));
	end
end

it("B4: large messages are searched for a copy in slices when the buffer overflows #once", function ()
	local s, phone = in_gap { wrap_store = slow_reads };
	assert_short("overflow of the buffer by large messages", function ()
		for _ = 1, 5 do
			flood(s, 60);
			s:wait(1);
		end
	end);
	assert_well(s, phone);
end);

it("B4: large messages are searched for an archive's results in slices #once", function ()
	local s, phone = scene.in_room { wrap_store = slow_reads };
	local time = os.time();
	flood(s, 100);
	s:wait(30);
	local results = {};
	for i = 1, 50 do results[i] = said(s.room, "new "..i, "n"..i, time + i // 10); end
	local asked;
	function s.room.on_iq(_, iq)
		asked = asked or iq:get_child("query", "urn:xmpp:mam:2") and iq;
		return asked ~= nil;
	end
	s:lose_and_return();
	answer_with(s, results);
	assert_short("results among large messages", function ()
		s.host:run(function () s.room.send(s.room:on_iq(asked)); end);
		s:wait(5);
	end);
	assert_well(s, phone);
end);

it("B1: messages that arrive while others wait to be written do not fill the queue #once", function ()
	local s = in_gap { wrap_store = function (store, name)
		if name ~= "minimix_archive" then return store; end
		return setmetatable({ append = function (_, ...)
			clock.elapse(0.006);
			return store:append(...);
		end }, { __index = store });
	end };
	local desk = s:client("desk", "anna");
	s:enter(desk, "Anna");
	flood(s, 40);
	s.host:run(function ()
		s.room:remove("Alice", "307");
		assert(s.host:metric "storage_waiting" > 30);
		for i = 1, 200 do s.room:say("Bob", i..("x"):rep(10000)); end
		assert(s.host:metric "storage_waiting" < 60, s.host:metric "storage_waiting");
	end);
	s:wait(10);
	assert.equal(0, s.host:metric "storage_waiting");
	desk:take();
	local bodies = mam.page_through(desk, { with = s.room.jid; max = 50 });
	assert.equal("before", table.remove(bodies, 1));
	assert.equal(200, #bodies);
	for i, body in ipairs(bodies) do assert.equal(tostring(i), (body:gsub("x", ""))); end
end);

it("B4: a presence with many attributes is handled quickly #once", function ()
	local s, phone = scene.in_room();
	local presence = st.presence { from = s.room.jid.."/Eve"; to = s:occupant_jid() };
	presence:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):tag("item", { affiliation = "none"; role = "participant" }):up():up();
	local element = st.stanza("x", { xmlns = "urn:x" });
	for i = 1, 10000 do element.attr["a"..i] = "1"; end
	presence:add_child(element);
	assert_short("many attributes", function () s.host:from_room(presence); end);
	assert_well(s, phone);
end);

it("B4: rooms are told in slices that no session is attached", function ()
	local s = scene.new();
	local phone = s:client "phone";
	for i = 1, 20 do
		s:add_room("r"..i);
		s:enter(phone, "Alice", { room = "r"..i });
	end
	phone:unavailable();
	s:wait(1);
	s:sent();
	local told, most = 0, 0;
	local around = clock.around;
	function clock.around(...)
		local again = around(...);
		local now = 0;
		for _, line in ipairs(s:sent()) do now = now + (line:find "xa" and 1 or 0); end
		told, most = told + now, math.max(most, now);
		return again;
	end
	clock.pace = 0.006;
	s:wait(400);
	clock.around = around;
	assert.equal(20, told);
	assert(most <= 2, most.." in one go");
end);
