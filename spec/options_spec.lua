-- O1: every option has the effect that the README describes. An invalid value is logged and not used.

local scene = require "support.scene";
local new_host = require "support.host".new;

local minute, hour, day = 60, 3600, 86400;

local function in_room(options, fields)
	fields = fields or {};
	fields.options = options;
	return scene.in_room(fields);
end

local function say(s, count)
	for i = 1, count do
		s.room:say("Bob", tostring(i), "b"..i);
	end
	s:wait(2);
end

-- Returns the stored messages of the room.
local function kept(s)
	local items = s.host.storage["example.org"].minimix_archive["room@rooms.example.org"];
	return items and #items or 0;
end

local function pings(s)
	local count = 0;
	for _, stanza in ipairs(s.room.received) do
		if stanza:get_child("ping", "urn:xmpp:ping") then count = count + 1; end
	end
	return count;
end

local function is_in(s, room)
	return s:occupants(room)[1] ~= nil;
end

-- Returns the storage of a server that stopped with the account in a number of rooms, each of another service.
local function stopped_in(count)
	local rooms = {};
	for i = 1, count do
		rooms[("room@rooms%d.example.org"):format(i)] = { nick = "Alice", state = "in" };
	end
	local function record() return { seen = require "support.clock".now, rooms = rooms }; end
	return { ["example.org"] = { minimix = { alice = record } } };
end

describe("O1: the option", function ()
	it("minimix_resource is the resource of the occupant JID", function ()
		local function occupant(resource)
			return in_room({}, { resource = resource }).room.received[1].attr.from;
		end
		assert.equal("alice@example.org/minimix", occupant(nil));
		assert.equal("alice@example.org/room", occupant "room");
		assert.equal("alice@example.org", occupant(false));
	end);

	it("minimix_join_timeout ends a join that the room does not answer", function ()
		local s = scene.new { options = { minimix_join_timeout = "1 min" }; remote = true };
		local phone = s:client "phone";
		phone:send(scene.join "Alice");
		s.host:tick(minute - 1);
		assert.same({}, scene.seen(phone));
		s.host:tick(2);
		assert.same({ "presence error room wait remote-server-timeout" }, (function ()
			local lines = scene.seen(phone);
			lines[1] = lines[1]:gsub("room/Alice", "room");
			return lines;
		end)());
		s.host:drop();
	end);

	it("minimix_iq_timeout ends a request that the room does not answer", function ()
		local s, phone = in_room({ minimix_iq_timeout = 40 }, { remote = true });
		phone:send(scene.query("<query xmlns='jabber:iq:version'/>", { to = "Bob" }));
		s.host:tick(39);
		assert.same({}, scene.seen(phone));
		s.host:tick(61);
		assert.same({ "iq error room/Bob wait remote-server-timeout" }, scene.seen(phone));
		s.host:drop();
	end);

	it("minimix_max_pending_iqs limits the pending IQs of a session", function ()
		local s, phone = in_room({ minimix_max_pending_iqs = 1 }, { remote = true });
		phone:send(scene.query("<query xmlns='jabber:iq:version'/>", { to = "Bob"; id = "q1" }));
		phone:send(scene.query("<query xmlns='jabber:iq:version'/>", { to = "Bob"; id = "q2" }));
		assert.same({ "iq error room/Bob wait resource-constraint" }, scene.seen(phone));
		s.host:drop();
	end);

	it("minimix_detached_after and minimix_detached_show set the presence without attached sessions", function ()
		local s, phone = in_room { minimix_detached_after = "10 minutes"; minimix_detached_show = "away" };
		phone:close();
		s:wait(9 * minute);
		assert.same({}, s:upstream());
		s:wait(2 * minute);
		assert.same({ "alice presence - room/Alice away" }, s:upstream());
	end);

	it("minimix_detached_show may be none", function ()
		local s, phone = in_room { minimix_detached_after = 0; minimix_detached_show = "none" };
		phone:close();
		s:wait(5 * minute);
		for _, line in ipairs(s:upstream()) do
			assert.equal("alice presence - room/Alice", line);
		end
	end);

	it("minimix_detached_after may be never", function ()
		local s, phone = in_room { minimix_detached_after = "never" };
		phone:close();
		s:wait(day);
		assert.same({}, s:upstream());
	end);

	it("minimix_ping_after sets the interval of self-pings in a quiet room", function ()
		local s = in_room { minimix_ping_after = 100 };
		local before = pings(s);
		s:wait(1000);
		local asked = pings(s) - before;
		assert.is_true(asked >= 7 and asked <= 10, ("%d times in 1000 s"):format(asked));
	end);

	it("minimix_ping_after may be never", function ()
		local s = in_room { minimix_ping_after = "never" };
		local before = pings(s);
		s:wait(day);
		assert.equal(before, pings(s));
	end);

	it("minimix_rejoin_rate sets the number of rejoins per second", function ()
		local s = scene.new { storage = stopped_in(50); options = { minimix_rejoin_rate = 10 } };
		local before = s.host:metric("memberships", { "lost" });
		s:wait(3);
		local lost = s.host:metric("memberships", { "lost" });
		assert.is_true(lost >= 15 and lost <= 30, ("%d of %d to go"):format(lost, before));
	end);

	it("minimix_inactive_after makes an unused account leave", function ()
		local s, phone = in_room { minimix_inactive_after = "2 hours" };
		phone:close();
		s:wait(hour);
		assert.is_true(is_in(s));
		s:wait(3 * hour);
		assert.is_false(is_in(s));
	end);

	it("minimix_inactive_after may be never #once", function ()
		local s, phone = in_room { minimix_inactive_after = "never"; minimix_ping_after = "never"; minimix_detached_after = "50 days" };
		phone:close();
		s:wait(40 * day);
		assert.is_true(is_in(s));
	end);

	it("minimix_archive turns the archive on and off", function ()
		local s = in_room { minimix_archive = true };
		say(s, 1);
		assert.same({ "1" }, s:history(s:client "laptop"));
		assert.equal(1, s.host:metric "archive_writes");
		s = in_room { minimix_archive = false };
		say(s, 1);
		assert.same({}, s:history(s:client "laptop"));
		assert.equal(0, s.host:metric "archive_writes");
	end);

	it("minimix_archive may be mam, which stores messages in mod_mam's archive", function ()
		local s = in_room({ minimix_archive = "mam" }, { modules = { "mam" } });
		say(s, 1);
		assert.equal(0, s.host:metric "archive_writes");
		assert.is_nil(s.host:last_log("warn", "mod_mam is not loaded"));
	end);

	it("minimix_archive_expires_after sets the lifetime of messages", function ()
		local s = in_room { minimix_archive_expires_after = "1 day" };
		say(s, 1);
		s:wait(20 * hour);
		assert.equal(1, kept(s));
		s:wait(12 * hour);
		assert.equal(0, kept(s));
	end);

	it("minimix_archive_expires_after may be never #once", function ()
		local s = in_room {
			minimix_archive_expires_after = "never"; minimix_inactive_after = "never"; minimix_ping_after = "never";
		};
		say(s, 1);
		s:wait(40 * day);
		assert.equal(1, kept(s));
	end);

	it("minimix_max_kept_size limits the size of archived messages", function ()
		local s = in_room { minimix_max_kept_size = 1000 };
		s.room:say("Bob", ("long "):rep(200), "b1");
		s.room:say("Bob", "short", "b2");
		s:wait(2);
		assert.same({ "short" }, s:history(s:client "laptop"));
	end);

	it("minimix_history sets the history of a client that asks for no limit", function ()
		local s = in_room { minimix_history = 2 };
		say(s, 5);
		assert.same({ "4", "5" }, s:history(s:client "laptop"));
	end);

	it("minimix_max_history limits the history of a client", function ()
		local s = in_room { minimix_max_history = 3 };
		say(s, 5);
		local laptop = s:client "laptop";
		laptop:send(scene.join("Alice", { muc = "<history maxstanzas='100'/>" }));
		s:deliver();
		assert.same({ "3", "4", "5" }, scene.bodies(laptop:take()));
	end);
end);

describe("O1: an invalid value", function ()
	local bad = {
		{ "minimix_resource", "", "a resource that a client could bind, or false, got ; using minimix" };
		{ "minimix_resource", 5, "got 5; using minimix" };
		{ "minimix_resource", true, "got true; using minimix" };
		{ "minimix_resource", "no\tthing", "got no\tthing; using minimix" };
		{ "minimix_join_timeout", 0, "a number of seconds from 1 to 3600, .- got 0; using 60" };
		{ "minimix_join_timeout", "never", "got never; using 60" };
		{ "minimix_iq_timeout", "5 lightyears", "got 5 lightyears; using 120" };
		{ "minimix_iq_timeout", "2 hours", "got 2 hours; using 120" };
		{ "minimix_max_pending_iqs", 0, "a whole number from 1, got 0; using 64" };
		{ "minimix_max_pending_iqs", "many", "got many; using 64" };
		{ "minimix_exclude", { "irc.example.org"; 5 }, "a list of domains, got 5; using none" };
		{ "minimix_exclude", { "room@irc.example.org" }, "a list of domains, got room@irc.example.org; using none" };
		{ "minimix_exclude", true, "a list of domains, got true; using none" };
		{ "minimix_max_rooms", 0, "a whole number from 1, got 0; using 100" };
		{ "minimix_join_rate", "fast", "a whole number from 1, got fast; using 10" };
		{ "minimix_join_burst", 0.5, "a whole number from 1, got 0.5; using 500" };
		{ "minimix_max_nick_requests", -3, "a whole number from 1, got %-3; using 16" };
		{ "minimix_max_occupants", -1, "a whole number from 0, got %-1; using 5000" };
		{ "minimix_max_room_size", -1, "a whole number from 0, got %-1; using 8388608" };
		{ "minimix_max_cached_size", false, "a whole number from 0, got false; using 16384" };
		{ "minimix_autojoin", "yes", "true or false, got yes; using true" };
		{ "minimix_bookmark_write", 1, "true or false, got 1; using false" };
		{ "minimix_detached_after", -1, "got %-1; using 300" };
		{ "minimix_detached_show", "chat", "one of xa, away, dnd, none, got chat; using xa" };
		{ "minimix_ping_after", {}, "got table.-; using 900" };
		{ "minimix_ping_after", "5m", "got 5m; using 900" };
		{ "minimix_rejoin_rate", 1.5, "a whole number from 1, got 1.5; using 100" };
		{ "minimix_inactive_after", false, "got false; using 2592000" };
		{ "minimix_archive", "yes", 'true, false or "mam", got yes; using true' };
		{ "minimix_archive_expires_after", 5, "from 60, .- got 5; using 604800" };
		{ "minimix_max_kept_size", 0, "a whole number from 1, got 0; using 65536" };
		{ "minimix_history", -1, "a whole number from 0, got %-1; using 20" };
		{ "minimix_max_history_size", -1, "a whole number from 0, got %-1; using 2097152" };
		{ "minimix_max_gap_size", 0.5, "a whole number from 0, got 0.5; using 524288" };
		{ "minimix_max_query_rooms", 0, "a whole number from 1, got 0; using 200" };
		{ "minimix_max_history", "all", "a whole number from 0, got all; using 1000" };
		{ "minimix_max_history_size", -1, "a whole number from 0, got %-1; using 2097152" };
		{ "minimix_max_gap_size", "much", "a whole number from 0, got much; using 524288" };
		{ "minimix_max_query_rooms", 0, "a whole number from 1, got 0; using 200" };
		-- options of mod_mam
		{ "archive_store", 5, "a string, got 5; using archive" };
		{ "max_archive_query_results", "all", "a whole number from 0, got all; using 50" };
	};

	for _, case in ipairs(bad) do
		local name, value, message = table.unpack(case);
		it(("of %s is logged, with the value that is used instead: %s"):format(name, tostring(value)), function ()
			local host = new_host { options = { [name] = value } };
			host:expect_error(("^Invalid value for %s: expected .*%s$"):format(name, message:gsub("%$$", "")));
		end);
	end

	it("is not used", function ()
		local s = scene.new { options = { minimix_history = -1 } };
		s.host:expect_error "minimix_history";
		s.room:enter "Bob";
		s:enter(s:client "phone");
		say(s, 3);
		assert.same({ "1", "2", "3" }, s:history(s:client "laptop"));
	end);
end);

describe("O1: a period", function ()
	-- The maximum of one hour shows how the text is parsed.
	local good = { 3600, "3600 s", "60 minutes", "60min", "1 h", "1 Hour" };
	local bad = { 3601, "3600", "3601 s", "61 minutes", "2 hours", "1 day", "1 week", "1 month", "1 year", "1 m", "soon", "-1 s", "" };

	for _, value in ipairs(good) do
		it(("may be %s"):format(value), function ()
			assert.is_nil(new_host { options = { minimix_iq_timeout = value } }:last_log("error"));
		end);
	end

	for _, value in ipairs(bad) do
		it(("of at most one hour may not be %s"):format(value), function ()
			new_host { options = { minimix_iq_timeout = value } }:expect_error "^Invalid value for minimix_iq_timeout: ";
		end);
	end
end);

it("O1: each option of the README has a spec for its effect, and one for an invalid value", function ()
	local function read(path)
		local file = assert(io.open(path));
		local text = file:read "a";
		file:close();
		return text;
	end
	local specs = {};
	for name in require "lfs".dir "spec" do
		if name:match "_spec%.lua$" then table.insert(specs, read("spec/"..name)); end
	end
	local text = table.concat(specs);
	local count = 0;
	for name in read "README.md":gmatch "\n| `(minimix_[%w_]+)` |" do
		count = count + 1;
		assert.truthy(text:find(("{ %q, "):format(name), 1, true), name.." has no bad value");
		assert.truthy(text:find(name.." = ", 1, true) or name == "minimix_resource", name.." is not set anywhere");
	end
	assert.is_true(count > 20);
end);

it("O1: an unknown option is logged", function ()
	local host = new_host { options = { minimix_detached_afer = 10 } };
	host:expect_error "^Unknown option minimix_detached_afer$";
end);

it("O1: valid options, and options of other modules, are not logged", function ()
	local host = new_host { options = { minimix_ping_after = "1 hour"; minimix_archive = false } };
	assert.is_nil(host:last_log("warn", "ption"));
	assert.is_nil(host:last_log("error"));
end);
