-- H: messages of rooms in the archive of the account (XEP-0313).

local st = require "util.stanza";
local datetime = require "util.datetime";
local jid = require "util.jid";
local backend = require "support.backend";
local clock = require "support.clock";
local faulty = require "support.faulty";
local mam = require "support.mam";
local scene = require "support.scene";
local server = require "support.prosody";

local xmlns_mam = "urn:xmpp:mam:2";
local query, ask, page_through, message_in = mam.query, mam.ask, mam.page_through, mam.message_in;
local room_jid = "room@rooms.example.org";
local numbers = scene.numbers;

local in_room = scene.in_room;

local function features(client)
	client:take();
	client:send(("<iq type='get' id='d1' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"):format(client.bare_jid));
	local list = {};
	for tag in client:take()[1]:get_child("query", "http://jabber.org/protocol/disco#info"):childtags("feature") do
		list[tag.attr.var] = true;
	end
	return list;
end

for _, modules in ipairs { { "disco" }, { "disco", "mam" } } do
	local with_mam = modules[2] ~= nil;
	describe(with_mam and "with mod_mam, a room's log" or "without mod_mam, a room's log", function ()
		local function here(fields)
			fields = fields or {};
			fields.modules = modules;
			return in_room(fields);
		end

		it("H3: is in the account's archive, as the room sent it", function ()
			local s, phone = here();
			local id = s.room:say("Bob", "hello");
			s:wait(2);
			phone:take();
			phone:send(query { with = room_jid });
			local stanzas = phone:take();
			assert.equal(2, #stanzas);
			local result = stanzas[1];
			assert.equal("alice@example.org", result.attr.from);
			assert.equal(phone.jid, result.attr.to);
			local message = message_in(result);
			assert.equal(room_jid.."/Bob", message.attr.from);
			assert.equal("groupchat", message.attr.type);
			assert.equal(id, message.attr.id);
			assert.is_nil(message.attr.to);
			assert.truthy(message:get_child_with_attr("stanza-id", "urn:xmpp:sid:0", "by", room_jid));
			local delay = result:find("{urn:xmpp:mam:2}result/{urn:xmpp:forward:0}forwarded/{urn:xmpp:delay}delay");
			assert.equal(datetime.datetime(s.host.time() - 2), delay.attr.stamp);
		end);

		it("H3: is paged through in both directions", function ()
			local s, phone = here();
			s:count(1, 23);
			assert.same(numbers(1, 23), page_through(phone, { with = room_jid, max = 5 }));
			assert.same(numbers(1, 23), page_through(phone, { with = room_jid, max = 5 }, true));
			assert.same(numbers(1, 23), page_through(phone, { with = room_jid, max = 23 }, true));
			assert.same(numbers(1, 23), page_through(phone, { with = room_jid }));
		end);

		it("H3: is found on the first page, the last page, and between two messages", function ()
			local s, phone = here();
			s:count(1, 10);
			local _, ids = ask(phone, { with = room_jid });
			assert.same(numbers(1, 3), (ask(phone, { with = room_jid, max = 3 })));
			assert.same(numbers(8, 10), (ask(phone, { with = room_jid, max = 3, before = true })));
			assert.same(numbers(4, 6), (ask(phone, { with = room_jid, ["after-id"] = ids[3], ["before-id"] = ids[7] })));
			assert.same(numbers(5, 6), (ask(phone, { with = room_jid, ["after-id"] = ids[3], ["before-id"] = ids[7], max = 2, before = true })));
			assert.same(numbers(3, 1), (ask(phone, { with = room_jid, max = 3, flip = true })));
			assert.same({ "2", "9" }, (ask(phone, { with = room_jid, ids = { ids[9], ids[2] } })));
			assert.same({ "9" }, (ask(phone, { with = room_jid, ids = { ids[9], ids[2] }, max = 1, after = ids[2] })));
		end);

		it("H3: is found by time", function ()
			local s, phone = here();
			for i = 1, 5 do
				s:count(i, i);
				s:wait(10);
			end
			local start = s.host.time() - 50;
			local function at(seconds) return datetime.datetime(start + seconds); end
			assert.same(numbers(2, 5), (ask(phone, { with = room_jid, start = at(1) })));
			assert.same(numbers(2, 4), (ask(phone, { with = room_jid, start = at(10), ["end"] = at(30) })));
			assert.same(numbers(3, 4), (ask(phone, { with = room_jid, start = at(10), ["end"] = at(30), max = 2, before = true })));
			assert.same({}, (ask(phone, { with = room_jid, start = at(100) })));
		end);

		it("H3: comes in pages that tell whether they are the last, and the total number", function ()
			local s, phone = here();
			s:count(1, 10);
			local function page(fields)
				fields.with = room_jid;
				return (select(3, ask(phone, fields)));
			end
			assert.is_false(page({ max = 9 }).complete);
			assert.is_true(page({ max = 10 }).complete);
			assert.equal("10", page({ max = 10 }).count);
			assert.same({ complete = false, count = "10" }, page { max = 0 });
			assert.same({ complete = true, count = "0" }, page { start = "2030-01-01T00:00:00Z" });
		end);

		it("H3: is refused for an invalid query", function ()
			local s, phone = here();
			s:count(1, 1);
			local function refusal(fields)
				fields.with = room_jid;
				return (ask(phone, fields));
			end
			for _, name in ipairs { "before", "after", "before-id", "after-id" } do
				assert.equal("item-not-found", refusal { [name] = "nonsense" });
			end
			assert.equal("item-not-found", refusal { ids = { "nonsense" } });
			assert.equal("bad-request", refusal { start = "yesterday" });
			assert.equal("bad-request", refusal { max = "-1" });
			assert.equal("bad-request", refusal { max = "many" });
			assert.equal("feature-not-implemented", refusal { index = "3" });
			assert.equal("feature-not-implemented", refusal { ["unheard-of"] = "x" });
		end);

		it("H3: is readable for the account if it was delivered to it", function ()
			local s, phone = here();
			s:count(1, 2);
			s:wait(2);
			phone:send(scene.leave "Alice");
			s:deliver();
			s:count(3, 4);
			s:wait(2);
			assert.same({ "1", "2" }, (ask(phone, { with = room_jid })));
			s:enter(phone, "Alice", { muc = "<history maxstanzas='0'/>" });
			s:count(5, 6);
			assert.same({ "1", "2", "5", "6" }, (ask(phone, { with = room_jid })));
			assert.same({ "1", "2", "5", "6" }, page_through(phone, { with = room_jid, max = 1 }, true));
		end);

		it("H3: can be queried at the account's bare JID", function ()
			local s, phone = here();
			s:count(1, 1);
			local iq = query { with = room_jid };
			iq.attr.to = "alice@example.org";
			phone:take();
			phone:send(iq);
			assert.equal(2, #phone:take());
		end);

		it("H3: is readable for no other account", function ()
			local s = here();
			s:count(1, 1);
			local mallory = s:client("phone", "mallory");
			local answer = ask(mallory, { with = room_jid });
			assert.same(with_mam and {} or "service-unavailable", answer);
			local iq = query { with = room_jid };
			iq.attr.to = "alice@example.org";
			mallory:take();
			mallory:send(iq);
			assert.equal("error", mallory:take()[1].attr.type);
		end);

		it("H3: is announced only if it exists", function ()
			local _, phone = here();
			local list = features(phone);
			assert.equal(with_mam, list[xmlns_mam] or false);
			assert.equal(with_mam, list[xmlns_mam.."#groupchat-field"] or false);
			assert.equal(with_mam, list[xmlns_mam.."#groupchat-available"] or false);
			phone:send("<iq type='get' id='f1'><query xmlns='urn:xmpp:mam:2'/></iq>");
			local form = phone:take()[1]:find("{urn:xmpp:mam:2}query/{jabber:x:data}x");
			assert.truthy(form:get_child_with_attr("field", nil, "var", "include-groupchat"));
		end);
	end);
end

describe("the archive of the account", function ()
	local function here()
		local s, phone = in_room { modules = { "disco", "mam" } };
		local carol = s:client("phone", "carol");
		return s, phone, carol;
	end

	local function write(carol, body)
		carol:send(("<message type='chat' to='alice@example.org'><body>%s</body></message>"):format(body));
	end

	-- Messages 1, 2, ... from Carol, alternating between two rooms, two per second.
	local function mixed(count)
		local s, phone, carol = here();
		local other = s:add_room "other";
		other:enter "Bob";
		s:enter(phone, "Alice", { room = "other" });
		for i = 1, count do
			if i % 3 == 0 then
				write(carol, i);
			else
				(i % 3 == 1 and s.room or other):say("Bob", tostring(i));
			end
			if i % 2 == 0 then s:wait(1); end
		end
		return s, phone;
	end

	local function sorted(list)
		table.sort(list, function (a, b) return tonumber(a) < tonumber(b); end);
		return list;
	end

	it("H3: contains messages of rooms only if the query asks for them", function ()
		local s, phone, carol = here();
		s:count(1, 3);
		write(carol, "hello");
		assert.same({ "hello" }, (ask(phone, {})));
		assert.same({ "hello" }, (ask(phone, { ["include-groupchat"] = "false" })));
		assert.same({ "hello" }, (ask(phone, { with = "carol@example.org" })));
		assert.same({}, (ask(phone, { with = room_jid, ["include-groupchat"] = "false" })));
	end);

	it("H3: contains all messages, once and in order of time, if the query asks for them", function ()
		local _, phone = mixed(40);
		for _, max in ipairs { 1, 3, 7, 50 } do
			for _, backwards in ipairs { false, true } do
				local all = page_through(phone, { ["include-groupchat"] = "true", max = max }, backwards);
				local order = {};
				for i, body in ipairs(all) do
					order[i] = math.floor((tonumber(body) + 1) / 2);
				end
				assert.same(sorted { table.unpack(order) }, order);
				assert.same(numbers(1, 40), sorted(all));
			end
		end
	end);

	it("H3: finds a message by its id in any of its stores", function ()
		local _, phone = mixed(12);
		local _, ids = ask(phone, { ["include-groupchat"] = "true" });
		local bodies = ask(phone, { ["include-groupchat"] = "true", ids = { ids[3], ids[1], ids[2] } });
		assert.same(numbers(1, 3), sorted(bodies));
		assert.equal("item-not-found", (ask(phone, { ["include-groupchat"] = "true", ids = { ids[3], "nonsense" } })));
		assert.same({}, (ask(phone, { ["include-groupchat"] = "true", ["after-id"] = ids[12] })));
	end);

	it("H3: has private messages together with the room's, and alone for an occupant", function ()
		local s, phone = here();
		s.room:say("Bob", "to all");
		s.room:whisper("Bob", "Alice", "to Alice");
		s:wait(1);
		phone:send(scene.whisper("Bob", "to Bob"));
		s:deliver();
		s:wait(1);
		s.room:say("Bob", "to all again");
		local both = ask(phone, { with = room_jid });
		assert.same({ "to Alice", "to all", "to Bob", "to all again" }, both);
		assert.same({ "to Alice", "to Bob" }, (ask(phone, { with = room_jid.."/Bob" })));
		assert.same(both, (ask(phone, { with = room_jid.."/Bob", ["include-groupchat"] = "true" })));
		assert.same({}, (ask(phone, { with = room_jid.."/Carol", ["include-groupchat"] = "true" })));
		assert.same({ "to Alice", "to Bob" }, (ask(phone, { with = room_jid, ["include-groupchat"] = "false" })));
	end);
end);


-- Returns a message of the past, as it comes on a join or from the room's archive.
local function add_history(room, from, to)
	for i = from, to do
		local message = st.message({ type = "groupchat", from = room.jid.."/Bob", id = "past"..i }, tostring(i));
		message:tag("stanza-id", { xmlns = "urn:xmpp:sid:0"; by = room.jid; id = "room-id-"..i }):up();
		table.insert(room.history, { stanza = message; time = os.time() });
	end
end

local function history_of(client, s, muc)
	client:take();
	client:send(scene.join("Alice", { muc = muc }));
	s:deliver();
	local bodies = {};
	for _, stanza in ipairs(client:take()) do
		if stanza.name == "message" and stanza:get_child("body") then
			assert.truthy(stanza:get_child_with_attr("delay", "urn:xmpp:delay", "from", room_jid));
			table.insert(bodies, stanza:get_child_text("body"));
		end
	end
	return bodies;
end

-- Returns the content of a store, by key.
local function stored(s, name)
	local keys = {};
	for key, items in pairs((s.host.storage["example.org"] or {})[name] or {}) do
		keys[key] = #items;
	end
	return keys;
end

describe("with minimix_archive = 'mam'", function ()
	local function here(fields)
		fields = fields or {};
		fields.modules = { "disco"; "mam" };
		fields.options = { minimix_archive = "mam" };
		return in_room(fields);
	end

	it("H1: messages are stored in mod_mam's archive, once for each account", function ()
		local s, phone = here();
		local laptop = s:client "laptop";
		s:enter(laptop);
		s:enter(s:client("phone", "carol"), "Carol");
		s:count(1, 3);
		phone:send(scene.message("4"));
		s:deliver();
		phone:send(scene.message(nil, { content = "<subject>Tea</subject>" }));
		s:deliver();
		assert.same({ alice = 4; carol = 4 }, stored(s, "archive"));
		assert.same({}, stored(s, "minimix_archive"));
		assert.same(numbers(1, 4), (ask(phone, { with = room_jid })));
	end);

	it("H1: archive_store names mod_mam's archive", function ()
		local s, phone = in_room {
			modules = { "disco"; "mam" };
			options = { minimix_archive = "mam"; archive_store = "elsewhere" };
		};
		s:count(1, 2);
		assert.same({ alice = 2 }, stored(s, "elsewhere"));
		assert.same(numbers(1, 2), (ask(phone, { with = room_jid })));
	end);

	it("H2: a session that attaches gets its history from mod_mam's archive", function ()
		local s = here();
		s:count(1, 30);
		assert.same(numbers(11, 30), history_of(s:client "laptop", s));
		assert.same(numbers(28, 30), history_of(s:client "tablet", s, "<history maxstanzas='3'/>"));
	end);

	it("H2: history of a join is not stored a second time", function ()
		local s, phone = here();
		s:count(1, 3);
		phone:send(scene.leave "Alice");
		s:deliver();
		s:enter(phone);
		assert.same({ alice = 3 }, stored(s, "archive"));
	end);

	it("P3: missed messages are stored at the end", function ()
		local s, phone = here();
		s:count(1, 2);
		s:wait(5);
		s.room:forget "Alice";
		s:count(3, 4);
		s:from("Bob", "<presence type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>");
		s:wait(10);
		assert.same(numbers(1, 4), (ask(phone, { with = room_jid })));
	end);

	it("H3: default queries return no messages of rooms", function ()
		local s, phone = here();
		s:count(1, 3);
		s.room:whisper("Bob", "Alice", "psst");
		assert.same({ "psst" }, (ask(phone, {})));
		assert.same({ "psst" }, page_through(phone, { max = 1 }, true));
		assert.same({ "psst" }, (ask(phone, { with = room_jid, ["include-groupchat"] = "false" })));
		assert.same({ "1"; "2"; "3"; "psst" }, (ask(phone, { ["include-groupchat"] = "true" })));
	end);
end);

describe("with minimix_archive = false", function ()
	it("H1: no message is stored, and no archive is announced", function ()
		local s, phone = in_room { modules = { "disco"; "mam" }; options = { minimix_archive = false } };
		s:count(1, 3);
		s:wait(5);
		assert.same({}, stored(s, "archive"));
		assert.same({}, stored(s, "minimix_archive"));
		assert.same({}, history_of(s:client "laptop", s));
		assert.is_nil(features(phone)[xmlns_mam.."#groupchat-field"]);
		assert.same({}, (ask(phone, { with = room_jid })));
	end);
end);

it("H3: a page has at most max_archive_query_results messages", function ()
	local s, phone = in_room { modules = { "disco"; "mam" }; options = { max_archive_query_results = 3 } };
	s:count(1, 10);
	assert.same(numbers(1, 3), (ask(phone, { with = room_jid })));
	assert.same(numbers(1, 3), (ask(phone, { with = room_jid, max = 100 })));
	assert.same(numbers(1, 2), (ask(phone, { with = room_jid, max = 2 })));
end);

describe("retention", function ()
	local day = 86400;

	it("H5: deletes expired messages, and their ranges", function ()
		local s, phone = in_room { options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" } };
		s:count(1, 5);
		s:wait(2);
		s.host:tick(day);
		s:count(6, 8);
		s:wait(2);
		s.host:tick(1.5 * day);
		assert.same({ [room_jid] = 3 }, stored(s, "minimix_archive"));
		assert.same(numbers(6, 8), (ask(phone, { with = room_jid })));
		assert.same(numbers(6, 8), history_of(s:client "laptop", s));
	end);

	it("H5: deletes the log of a room that no account has ranges for", function ()
		local s, phone = in_room { options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" } };
		s:count(1, 5);
		s:wait(2);
		phone:send(scene.leave "Alice");
		s:deliver();
		s.host:tick(3 * day);
		assert.same({}, stored(s, "minimix_archive"));
		assert.is_nil(s.host.storage["example.org"].minimix_parts.alice);
	end);

	it("H5: keeps the log of an account that has just joined", function ()
		local s = in_room { options = { minimix_archive_expires_after = "never" } };
		s.host:tick(6 * 3600 - 1);
		s:count(1, 2);
		s.host:tick(1);
		assert.same({ [room_jid] = 2 }, stored(s, "minimix_archive"));
	end);

	it("H5: deletes a deleted user's ranges, and keeps those of others", function ()
		local s = in_room();
		local carol = s:client("phone", "carol");
		s:enter(carol, "Carol");
		s:count(1, 3);
		s:wait(2);
		s.host:delete_user "alice";
		s:wait(2);
		assert.is_nil(s.host.storage["example.org"].minimix_parts.alice);
		assert.same(numbers(1, 3), (ask(carol, { with = room_jid })));
		s.host:delete_user "carol";
		s.host:tick(7 * 3600);
		assert.same({}, stored(s, "minimix_archive"));
	end);

	it("B1: messages that are too large are not stored", function ()
		local s, phone = in_room { options = { minimix_max_kept_size = 1000 } };
		s.room:say("Bob", ("x"):rep(2000));
		s.room:say("Bob", "short");
		assert.same({ "short" }, (ask(phone, { with = room_jid })));
	end);

	it("B1: messages with so many elements that they take eight times the limit in memory are not stored", function ()
		local s, phone = in_room();
		for _, count in ipairs { 2000, 1000 } do
			s:from("Bob", ("<message type='groupchat'><body>%d</body>%s</message>"):format(count, ("<a/>"):rep(count)));
		end
		assert.same({ "2000", "1000" }, scene.bodies(scene.take(phone)));
		assert.same({ "1000" }, (ask(phone, { with = room_jid })));
	end);

	for _, name in ipairs { "memory"; "internal"; "SQLite" } do
		it("H3: a page that begins at a deleted message is refused ("..name..")", function ()
			local where = backend.open(name);
			where.options.minimix_archive_expires_after = "1d";
			local s, phone = in_room { options = where.options; data = where.data };
			s:count(1, 5);
			local _, ids = ask(phone, { with = room_jid, max = 3 });
			assert.same(numbers(4, 5), (ask(phone, { with = room_jid, after = ids[3] })));
			s.host:tick(2 * 86400);
			s:count(6, 6);
			assert.equal("item-not-found", (ask(phone, { with = room_jid, after = ids[3] })));
			assert.same({ "6" }, (ask(phone, { with = room_jid })));
			where.close();
		end);
	end

	local function count_queries(counter)
		return function (store, name)
			if name ~= "minimix_archive" then return store; end
			return setmetatable({
				find = function (_, ...)
					counter.queries = counter.queries + 1;
					return store:find(...);
				end;
			}, { __index = store });
		end
	end

	for _, name in ipairs { "memory"; "internal"; "SQLite" } do
		it("H3, B4: large messages are read in parts ("..name..")", function ()
			local where = backend.open(name);
			local counter = { queries = 0 };
			local s, phone = in_room { options = where.options; data = where.data; wrap_store = count_queries(counter) };
			local text = ("x"):rep(30000);
			for i = 1, 60 do s.room:say("Bob", i..text); end
			for _, limits in ipairs { { max = 40 }; { max = 40; before = "" } } do
				counter.queries = 0;
				local bodies = ask(phone, { with = room_jid, max = limits.max, before = limits.before });
				for i, body in ipairs(bodies) do bodies[i] = body:gsub("x", ""); end
				assert.same(limits.before and numbers(21, 60) or numbers(1, 40), bodies);
				-- The driver of 13.0 searches its index for each query.
				assert.is_true(name ~= "internal" or not server.is_13 or counter.queries <= 4, counter.queries);
			end
			where.close();
		end);
	end

	it("B1: the oldest messages are deleted when the storage is full", function ()
		local where = backend.open "internal";
		where.options.storage_archive_item_limit = 20;
		local s, phone = in_room { options = where.options; data = where.data };
		s:count(1, 50);
		local bodies = ask(phone, { with = room_jid });
		assert.same(numbers(51 - #bodies, 50), bodies);
		assert.is_true(#bodies >= 18 and #bodies <= 20);
		where.close();
	end);

	it("B1: few large messages are kept in memory, and all are replayed", function ()
		local s = in_room();
		local big = ("x"):rep(30000);
		for i = 1, 20 do s.room:say("Bob", i..big); end
		local bodies = history_of(s:client "laptop", s);
		assert.equal(20, #bodies);
		for i, body in ipairs(bodies) do assert.equal(i..big, body); end
	end);
end);

describe("messages that accounts missed", function ()
	for _, archive in ipairs { true, "mam" } do
		for _, remote in ipairs { false, true } do
			it(("P3: are all stored for each account (%s, %s)"):format(archive, remote and "remote" or "local"), function ()
				local s, phone = in_room {
					modules = { "disco"; "mam" }; options = { minimix_archive = archive }; remote = remote;
				};
				mam.keep(s.room);
				local carol = s:client("phone", "carol");
				s:enter(carol, "Carol");
				add_history(s.room, 1, 3);
				s:count(4, 5);
				s:wait(3);
				s.room:forget "Alice";
				s.room:forget "Carol";
				for i = 6, 205 do
					s:count(i, i);
					if i % 20 == 0 then s:wait(1); end
				end
				for _, nick in ipairs { "Alice"; "Carol" } do
					s:from("Bob", ("<presence type='error'>%s</presence>"):format(scene.error("cancel", "item-not-found")),
						s:occupant_jid(nick:lower()));
				end
				s:wait(60);
				s:count(206, 210);
				s:wait(2);
				assert.same(numbers(4, 210), page_through(phone, { with = room_jid }));
				assert.same(numbers(4, 210), page_through(carol, { with = room_jid }));
			end);
		end
	end

	for _, event in ipairs { "s2sin-destroyed"; "s2sin-established" } do
		it(("P3: delay messages after a broken link until they are stored (%s)"):format(event), function ()
			local s, phone = in_room { remote = true };
			mam.keep(s.room);
			s:enter(s:client("phone", "carol"), "Carol");
			s:count(1, 2);
			s:wait(3);
			add_history(s.room, 3, 4);
			s.host:fire(event, { session = {
				type = "s2sin"; direction = "incoming"; from_host = "rooms.example.org"; to_host = s.host.name;
			} });
			s:count(5, 6);
			local laptop = s:client "laptop";
			assert.same({ "1"; "2"; "5"; "6" }, history_of(laptop, s));
			s:wait(10);
			s:count(7, 8);
			s:wait(2);
			assert.same(numbers(1, 8), page_through(phone, { with = room_jid }));
			local bodies = {};
			for _, stanza in ipairs(laptop:take()) do
				if stanza:get_child("body") then table.insert(bodies, stanza:get_child_text "body"); end
			end
			table.sort(bodies);
			assert.same({ "3"; "4"; "7"; "8" }, bodies);
		end);
	end

	it("P3: delay messages after a broken link until the room answers a self-ping from before", function ()
		local s, phone = in_room { remote = true; modules = { "disco" } };
		mam.keep(s.room);
		s:count(1, 2);
		s:wait(70);
		local ping;
		function s.room.ignores(_, stanza)
			ping = stanza:get_child("ping", "urn:xmpp:ping") and st.clone(stanza);
			return ping ~= nil;
		end
		phone:send(("<iq type='get' id='p1' to='%s/Alice'><ping xmlns='urn:xmpp:ping'/></iq>"):format(room_jid));
		s:deliver();
		s.room.ignores = nil;
		s.host:fire("s2sin-established", { session = {
			type = "s2sin"; direction = "incoming"; from_host = "rooms.example.org"; to_host = s.host.name;
		} });
		s:count(3, 4);
		s:wait(3);
		s.room:receive(ping);
		s:wait(10);
		s:count(5, 6);
		s:wait(2);
		assert.same(numbers(1, 6), page_through(phone, { with = room_jid }));
	end);

	-- Carol continues. The room has lost alice, and alice has not noticed yet.
	local function with_carol(before)
		local s, phone = in_room { modules = { "disco"; "mam" }; remote = true };
		mam.keep(s.room);
		local carol = s:client("phone", "carol");
		s:enter(carol, "Carol");
		s:wait(3);
		s:count(1, before);
		s:wait(3);
		s.room:forget "Alice";
		return s, phone, carol;
	end

	local function comes_back(s)
		s:from("Bob", ("<presence type='error'>%s</presence>"):format(scene.error("cancel", "item-not-found")), s:occupant_jid "alice");
		s:wait(60);
	end

	it("P3: are fetched after a session's join that did not wait for the room's archive", function ()
		local s = with_carol(5);
		local function asks_archive(_, stanza)
			return stanza.name == "iq" and stanza:get_child("query", "urn:xmpp:mam:2") ~= nil;
		end
		s:count(6, 9);
		s.room.ignores = asks_archive;
		s:restart();
		s:wait(4);
		local laptop = s:client "laptop";
		laptop:send(scene.join "Alice");
		s:wait(30);
		assert.same({ "Carol"; "Alice" }, s:occupants());
		s.room.ignores = nil;
		s:count(10, 12);
		s:wait(300);
		assert.same(numbers(1, 12), page_through(laptop, { with = room_jid }));
	end);

	-- The message after which the first query to the room's archive starts.
	local function watch(s)
		local after;
		local on_iq = s.room.on_iq;
		function s.room.on_iq(room, iq)
			if jid.node(iq.attr.from) == "alice" then
				after = after or iq:find "{urn:xmpp:mam:2}query/{http://jabber.org/protocol/rsm}set/after#";
			end
			return on_iq(room, iq);
		end
		return function () return after; end;
	end

	local function id_of(s, number)
		return s.room.history[number].stanza:get_child_with_attr("stanza-id", "urn:xmpp:sid:0", "by", room_jid).attr.id;
	end

	it("P3: begin after the last message of the account, also when others have later ones", function ()
		local s, phone = with_carol(2);
		local asked_after = watch(s);
		s:count(3, 80);
		comes_back(s);
		assert.equal(id_of(s, 2), asked_after());
		assert.same(numbers(1, 80), page_through(phone, { with = room_jid }));
	end);

	it("P3: begin after the last message of the account when the server was killed", function ()
		local s = with_carol(2);
		s:count(3, 80);
		s:wait(3);
		s:restart { killed = true };
		local asked_after = watch(s);
		s:wait(60);
		assert.equal(id_of(s, 2), asked_after());
		assert.same(numbers(1, 80), page_through(s:client "phone", { with = room_jid }));
	end);

	it("P3: are all messages since the account joined, if it has received none", function ()
		local s, phone = with_carol(0);
		-- Carol gets another content, as from a gateway.
		local send = s.room.send;
		function s.room.send(stanza)
			local body = stanza:get_child_text "body";
			send(body and st.clone(stanza):maptags(function (tag)
				return tag.name == "body" and st.stanza("body"):text(body.." for Carol") or tag;
			end) or stanza);
		end
		s:count(1, 2);
		s.room.send = send;
		s:wait(3);
		s:count(3, 3);
		comes_back(s);
		-- Messages in the log keep their positions.
		local bodies = ask(phone, { with = room_jid });
		table.sort(bodies);
		assert.same(numbers(1, 3), bodies);
	end);

	for _, archive in ipairs { "own"; "mam" } do
		it(("H1, H6: are all since the join if the link breaks in the same second (%s archive)"):format(archive), function ()
			local options = { minimix_archive = archive == "mam" and "mam" or nil };
			local s = scene.new { modules = { "disco"; "mam" }; remote = true; options = options };
			mam.keep(s.room);
			s.room:enter "Bob";
			s.room:say("Bob", "before the join");
			local phone = s:client "phone";
			phone:send(scene.join("Alice", { muc = "<history maxstanzas='0'/>" }));
			s:deliver();
			s:link "destroyed";
			s:count(1, 3);
			s.room:forget "Alice";
			s:count(4, 80);
			s:wait(60);
			assert.same(numbers(1, 80), page_through(phone, { with = room_jid }));
		end);
	end

	for how, options in pairs { ["is killed"] = { killed = true }; ["restarts"] = {} } do
		it("H6: do not begin before the join, in the same second, when the server "..how, function ()
			local s = scene.new();
			mam.keep(s.room);
			s.room:enter "Bob";
			s.room:say("Bob", "before the join");
			s:enter(s:client "phone", "Alice", { muc = "<history maxstanzas='0'/>" });
			s:restart(options);
			s.room:say("Bob", "after the join");
			s:wait(60);
			local phone = s:client "phone";
			assert.same({ "after the join" }, (ask(phone, { with = room_jid })));
			assert.same({ "after the join" }, s:history(phone));
		end);

		it("H6: do not begin before the join, in the history of a room without an archive, when the server "..how, function ()
			local s = scene.new();
			s.room:enter "Bob";
			s.room:say("Bob", "before the join");
			s:enter(s:client "phone", "Alice", { muc = "<history maxstanzas='0'/>" });
			s:restart(options);
			s:wait(60);
			local phone = s:client "phone";
			assert.same({}, (ask(phone, { with = room_jid })));
			assert.same({}, s:history(phone));
		end);
	end

	it("H1: are requested after a session has joined again without history", function ()
		local s, phone = in_room { modules = { "disco"; "mam" }; remote = true };
		mam.keep(s.room);
		s:wait(5);
		s:count(1, 2);
		s:wait(5);
		phone:take();
		s.room:forget "Alice";
		s:count(3, 5);
		phone:send(scene.join("Alice", { muc = "<history maxstanzas='0'/><mav xmlns='urn:example:mav'/>" }));
		s:wait(5);
		assert.same(numbers(3, 5), scene.bodies(phone:take()));
		assert.same(numbers(1, 5), page_through(phone, { with = room_jid }));
	end);

	it("H5: do not begin with expired ones after a room was quiet", function ()
		local s = in_room {
			modules = { "disco"; "mam" };
			options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" };
		};
		mam.keep(s.room);
		s:wait(5);
		s:count(1, 5);
		s.host:tick(3 * 86400);
		s:restart();
		s:count(6, 8);
		s:wait(60);
		assert.same(numbers(6, 8), page_through(s:client "phone", { with = room_jid }));
	end);

	-- The room sends alice other texts than the others.
	local function send_alice_others(room)
		local send = room.send;
		function room.send(stanza)
			local for_alice = jid.node(stanza.attr.to) == "alice" and stanza:get_child "body";
			send(for_alice and st.clone(stanza):maptags(function (tag)
				return tag.name == "body" and st.stanza("body"):text "for Alice" or tag;
			end) or stanza);
		end
	end

	it("H1: are kept for the account, also if all are private to it", function ()
		local s, phone = in_room { modules = { "disco"; "mam" } };
		s:enter(s:client("phone", "carol"), "Carol");
		send_alice_others(s.room);
		s:count(1, 1);
		s:wait(2);
		phone:send(scene.leave "Alice");
		s:wait(2);
		s:restart { killed = true };
		assert.same({ "for Alice" }, (ask(s:client "laptop", { with = room_jid })));
	end);

	it("H1: are kept for an account that received nothing else", function ()
		local s = scene.new { modules = { "disco"; "mam" } };
		s.room:enter "Bob";
		s:enter(s:client("phone", "carol"), "Carol");
		local phone = s:client "phone";
		s:enter(phone);
		send_alice_others(s.room);
		s:count(1, 1);
		s:wait(2);
		phone:send(scene.leave "Alice");
		s:wait(2);
		assert.same({ "for Alice" }, (ask(phone, { with = room_jid })));
		s:enter(phone);
		phone:send(scene.leave "Alice");
		s:wait(2);
		assert.same({ "for Alice" }, (ask(phone, { with = room_jid })));
		s:restart { killed = true };
		assert.same({ "for Alice" }, (ask(s:client "laptop", { with = room_jid })));
	end);

	it("H5: include private ones behind ranges that have expired", function ()
		local s = scene.new {
			modules = { "disco"; "mam" };
			options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" };
		};
		s.room:enter "Bob";
		s:enter(s:client("phone", "carol"), "Carol");
		local phone = s:client "phone";
		s:enter(phone);
		s:count(1, 1);
		local send = s.room.send;
		function s.room.send(stanza)
			if jid.node(stanza.attr.to) ~= "alice" then send(stanza); end
		end
		s:count(2, 2);
		s.room.send = send;
		s.host:tick(1.5 * 86400);
		send_alice_others(s.room);
		s:count(3, 3);
		s.room.send = send;
		s:count(4, 4);
		s.host:tick(86400);
		assert.same({ "for Alice"; "4" }, (ask(phone, { with = room_jid })));
	end);

	it("H6: do not include later ones that only others received, if they are late", function ()
		local s = in_room { modules = { "disco"; "mam" }; remote = true };
		s:enter(s:client("phone", "carol"), "Carol");
		s:count(1, 2);
		local send, late = s.room.send, {};
		function s.room.send(stanza)
			if jid.node(stanza.attr.to) == "carol" then table.insert(late, st.clone(stanza)); else send(stanza); end
		end
		s:count(3, 4);
		s:wait(3);
		send(late[1]);
		s:wait(3);
		s:restart { killed = true };
		assert.same(numbers(1, 3), (ask(s:client("reader", "carol"), { with = room_jid })));
		assert.same(numbers(1, 4), (ask(s:client "reader", { with = room_jid })));
	end);

	it("H1: are kept for the account within a second, also if they are in the log already", function ()
		local s = with_carol(2);
		s:count(3, 5);
		s:wait(3);
		s:restart { killed = true };
		s:wait(60);
		s:restart { killed = true };
		assert.same(numbers(1, 5), (ask(s:client "phone", { with = room_jid })));
	end);
end);

describe("P3: messages of a room without an archive while the account rejoins", function ()
	-- The account joins in the second of a message of the room.
	local function joins_within_a_second(archive)
		local options = { minimix_archive = archive == "mam" and "mam" or nil };
		local s = scene.new { modules = { "disco"; "mam" }; remote = true; options = options };
		s.room:enter "Bob";
		s.room:say("Bob", "before the join");
		local phone = s:client "phone";
		phone:send(scene.join("Alice", { muc = "<history maxstanzas='0'/>" }));
		s:deliver();
		return s, phone;
	end

	local function is_lost_for_a_minute(s, from, to)
		s.room:forget "Alice";
		s:count(from, to);
		s:wait(60);
	end

	for _, archive in ipairs { "own"; "mam" } do
		it(("H1, H6: are all since the join if the link breaks in the same second (%s archive)"):format(archive), function ()
			local s, phone = joins_within_a_second(archive);
			s:link "destroyed";
			s:count(1, 3);
			is_lost_for_a_minute(s, 4, 9);
			assert.same(numbers(1, 9), page_through(phone, { with = room_jid }));
		end);

		it(("H6: do not begin before the join, if the account has messages of that second (%s archive)"):format(archive), function ()
			local s, phone = joins_within_a_second(archive);
			s:count(1, 3);
			s:deliver();
			s:link "destroyed";
			is_lost_for_a_minute(s, 4, 9);
			assert.same(numbers(1, 9), page_through(phone, { with = room_jid }));
		end);
	end

	it("H6: do not begin before the last message of the join's history, in the same second", function ()
		local s = scene.new { modules = { "disco"; "mam" }; remote = true };
		s.room:enter "Bob";
		s.room:say("Bob", "before the history of the join");
		s:count(1, 1);
		s:wait(5);
		local phone = s:client "phone";
		phone:send(scene.join("Alice", { muc = "<history maxstanzas='1'/>" }));
		s:wait(5);
		is_lost_for_a_minute(s, 2, 4);
		s:link "destroyed";
		s:wait(60);
		assert.same(numbers(1, 4), page_through(phone, { with = room_jid }));
	end);

	it("H1: are all that a session got when it joined again", function ()
		local s = joins_within_a_second "own";
		s:link "destroyed";
		s.room:forget "Alice";
		s:count(1, 3);
		local laptop = s:client "laptop";
		laptop:send(scene.join "Alice");
		s:wait(60);
		local shown = scene.bodies(laptop:take());
		assert.same(shown, page_through(laptop, { with = room_jid }));
	end);

	it("H1: are stored if they are in the answer to a session that joins again, and go to the others once", function ()
		local s, phone = in_room { modules = { "disco"; "mam" }; remote = true };
		s:wait(5);
		s:count(1, 2);
		s:wait(5);
		local laptop = s:client "laptop";
		s:enter(laptop);
		phone:take();
		s.room:forget "Alice";
		s:count(3, 5);
		laptop:send(scene.join("Alice", { muc = "<mav xmlns='urn:example:mav'/>" }));
		s:deliver();
		assert.same(numbers(1, 5), scene.bodies(laptop:take()));
		assert.same(numbers(3, 5), scene.bodies(phone:take()));
		assert.same(numbers(1, 5), page_through(phone, { with = room_jid }));
	end);

	it("are stored after SIGKILL of the server", function ()
		local s = in_room { modules = { "disco"; "mam" }; remote = true };
		s:count(1, 2);
		s:wait(3);
		s:restart { killed = true };
		s:count(3, 4);
		s.room.history = {};
		s:wait(60);
		s:count(5, 5);
		s:wait(2);
		assert.same(numbers(1, 5), (ask(s:client "phone", { with = room_jid })));
	end);

	it("are stored with the missed messages, and sent once", function ()
		local s, phone = in_room { modules = { "disco"; "mam" }; remote = true };
		s:count(1, 2);
		s:wait(3);
		local send = s.room.send;
		s.room.send = function () end;
		s:count(3, 4);
		s.room.send = send;
		s:link "destroyed";
		s:count(5, 6);
		s.room:forget "Alice";
		s:wait(60);
		local told = {};
		for _, stanza in ipairs(phone:take()) do
			if stanza:get_child "body" then table.insert(told, stanza:get_child_text "body"); end
		end
		table.sort(told);
		assert.same(numbers(1, 6), told);
		assert.same(numbers(1, 6), (ask(phone, { with = room_jid })));
	end);
end);

describe("P3: a room's archive that does not answer", function ()
	-- Counts the queries of the room's archive.
	local function asked(s)
		local times = 0;
		local receive = s.room.receive;
		function s.room.receive(room, stanza)
			if stanza.name == "iq" and stanza:get_child("query", xmlns_mam) then
				times = times + 1;
				if times <= s.silent_for then return; end
			end
			return receive(room, stanza);
		end
		return function () return times; end;
	end

	-- Three messages are lost on a broken link, and one arrives over the next link before the failure is detected.
	local function with_gap(silent_for)
		local s, phone = in_room { modules = { "disco"; "mam" }; remote = true };
		mam.keep(s.room);
		s:count(1, 2);
		s:wait(5);
		local send = s.room.send;
		s.room.send = function () end;
		s:count(3, 5);
		s.room.send = send;
		s:link "destroyed";
		s:count(6, 6);
		s.silent_for = silent_for;
		return s, phone, asked(s);
	end

	it("is asked for messages lost before the last one", function ()
		local s, phone, count = with_gap(0);
		s:wait(20);
		assert.equal(1, count());
		assert.same(numbers(1, 6), (ask(phone, { with = room_jid })));
	end);

	it("is asked again until it answers", function ()
		local s, phone, count = with_gap(3);
		s:wait(300);
		assert.equal(4, count());
		assert.same(numbers(1, 6), (ask(phone, { with = room_jid })));
	end);

	it("is asked again after SIGKILL during the query", function ()
		local s, _, count = with_gap(1);
		s:wait(10);
		assert.equal(1, count());
		s:restart { killed = true };
		s:wait(60);
		local phone = s:client "phone";
		assert.same(numbers(1, 6), (ask(phone, { with = room_jid })));
	end);

	it("is given up when the account rejoins after SIGKILL during the query", function ()
		local s = with_gap(math.huge);
		s:wait(1);
		s:restart { killed = true };
		s:wait(300);
		s:count(7, 7);
		s:wait(2);
		assert.same(numbers(1, 7), (ask(s:client "phone", { with = room_jid })));
	end);

	it("is given up in the end", function ()
		local s, phone, count = with_gap(math.huge);
		s:wait(800);
		assert.equal(7, count());
		s:count(7, 7);
		assert.same({ "1"; "2"; "6"; "7" }, (ask(phone, { with = room_jid })));
	end);
end);

-- Counts the writes to the module's stores, or to one of them.
local function count_writes(counter, only)
	return function (store, name)
		if not name:find "^minimix" or (only and name ~= only) then return store; end
		return setmetatable({}, { __index = function (_, method)
			local f = store[method];
			if type(f) ~= "function" then return f; end
			return function (_, ...)
				if method == "set" or method == "append" or method == "delete" then
					counter.writes = counter.writes + 1;
				end
				return f(store, ...);
			end;
		end });
	end
end

describe("the readers of a message", function ()
	it("H1: cause no further writes, for any number of readers", function ()
		for _, accounts in ipairs { 1, 5, 30 } do
			local counter = { writes = 0 };
			local s = in_room { modules = { "disco" }; wrap_store = count_writes(counter) };
			for i = 2, accounts do
				s:enter(s:client("phone", "user"..i), "User"..i);
			end
			s.room:say("Bob", "what they get begins here");
			s:wait(10);
			counter.writes = 0;
			for i = 1, 20 do
				s.room:say("Bob", tostring(i));
				s:wait(2);
			end
			assert.equal(20, counter.writes);
		end
	end);
end);

describe("messages of one second that an account fetches from the room's archive", function ()
	local function is_stored_once(storage, count, size)
		local counter = { writes = 0 };
		local where = backend.open(storage);
		where.options.minimix_ping_after = 20;
		where.options.minimix_inactive_after = "never";
		local s = scene.new {
			modules = { "disco"; "mam" };
			options = where.options;
			data = where.data;
			wrap_store = count_writes(counter, "minimix_archive");
		};
		mam.keep(s.room);
		s:fill();
		s:enter(s:client("phone", "carol"), "Carol");
		s:wait(5);
		local send, text = s.room.send, ("x"):rep(size);
		function s.room.send(stanza)
			if stanza.attr.type ~= "groupchat" or stanza.attr.to ~= s:occupant_jid() then send(stanza); end
		end
		for i = 1, count do s.room:say("Bob", i..text); end
		s:wait(15);
		-- They are no longer among the newest entries in memory.
		for i = count + 1, count + 60 do s.room:say("Bob", i..text); end
		s.room.send = send;
		s.room:forget(s:occupant_jid());
		s:wait(120);
		local bodies = mam.page_through(s:client "phone", { with = room_jid; max = 100 });
		for i, body in ipairs(bodies) do bodies[i] = body:gsub("x", ""); end
		assert.same(numbers(1, count + 60), bodies);
		assert.equal(count + 60, counter.writes);
		where.close();
	end

	for _, storage in ipairs { "memory"; "internal"; "SQLite" } do
		for count, size in pairs { [30] = 10000; [45] = 4000; [200] = 10 } do
			it(("P3: are stored once (%d of %d bytes, %s)"):format(count, size, storage), function ()
				is_stored_once(storage, count, size);
			end);
		end
	end
end);

describe("the readable messages of an account", function ()
	local function other_account(s)
		local desk = s:client("desk", "anna");
		s:enter(desk, "Anna");
		return desk;
	end

	it("H1: include the first message of the account when the server is killed right after it", function ()
		local s = in_room();
		s:count(1, 1);
		s:restart { killed = true };
		assert.same(numbers(1, 1), (ask(s:client "phone", { with = room_jid })));
	end);

	it("H1: include a message right after the account's return when the server is killed", function ()
		for _, after in ipairs { 0.5; 3; 30 } do
			local s = in_room();
			s:count(1, 1);
			s:restart { killed = true };
			s:wait(after);
			assert.same({ "Alice" }, s:occupants());
			s:count(2, 2);
			s:restart { killed = true };
			assert.same(numbers(1, 2), (ask(s:client "phone", { with = room_jid })));
			s:wait(30);
			s:count(3, 3);
			s:restart { killed = true };
			assert.same(numbers(1, 3), (ask(s:client "phone", { with = room_jid })));
		end
	end);

	it("P1: are written once when the account returns to many rooms", function ()
		local counter = { writes = 0 };
		local s = scene.new { wrap_store = count_writes(counter, "minimix_parts") };
		local phone = s:client "phone";
		for i = 1, 20 do
			s:add_room("room"..i);
			s:enter(phone, "Alice", { room = "room"..i });
		end
		counter.writes = 0;
		s:restart();
		s:wait(20);
		for i = 1, 20 do
			assert.same({ "Alice" }, s:occupants(s.rooms["room"..i]));
		end
		assert.equal(1, counter.writes);
	end);

	it("H1: are complete when the server starts twice within a second", function ()
		local s = in_room();
		s:count(1, 3);
		s:restart { killed = true };
		s:restart { killed = true };
		assert.same(numbers(1, 3), (ask(s:client "phone", { with = room_jid })));
	end);

	for name, seconds in pairs { seconds = 3; hours = 7200; days = 60 * 86400 } do
		it("H6: do not grow by a clock that is set back by "..name.." while the server is down", function ()
			local s, phone = in_room { options = { minimix_archive_expires_after = "never" } };
			s:count(1, 1);
			s:wait(seconds / 2);
			s:count(2, 2);
			phone:send(scene.leave "Alice");
			s:deliver();
			s:wait(5);
			s:restart();
			clock.jump(-seconds);
			s:restart();
			other_account(s);
			s:count(3, 3);
			s:wait(5);
			assert.same(numbers(1, 2), (ask(s:client "phone", { with = room_jid })));
		end);
	end

	-- The room removes the account while the server is down.
	local function removed_meanwhile(s, options)
		local send = s.room.send;
		s.room.send = function () end;
		s.room:ban "Alice";
		s.room.send = send;
		s:restart(options);
	end

	for how, options in pairs { restarts = {}, ["is killed"] = { killed = true } } do
		it(("H6: do not grow if the server %s after the account was removed meanwhile"):format(how), function ()
			local s = in_room();
			s:count(1, 2);
			s:wait(5);
			removed_meanwhile(s, options);
			other_account(s);
			s:count(3, 4);
			s:wait(60);
			s:restart();
			assert.same(numbers(1, 2), (ask(s:client "phone", { with = room_jid })));
		end);

		it(("H6: do not grow if the server %s for days while the account cannot return"):format(how), function ()
			local faults = faulty.new();
			local s = in_room { wrap_store = faults.wrap };
			other_account(s);
			s:count(1, 2);
			s:wait(5);
			s.room.refuse = { "wait", "resource-constraint" };
			removed_meanwhile(s, options);
			s:count(3, 4);
			faults:fail("nil", "writes", { "minimix_parts" }, "alice");
			for _ = 1, 2 do
				s:wait(86400);
				s.host:expect_error "^Storage fails";
				s:restart { killed = true };
			end
			faults:work();
			s:wait(86400);
			s:restart(options);
			assert.same(numbers(1, 2), (ask(s:client "phone", { with = room_jid })));
		end);
	end
end);
