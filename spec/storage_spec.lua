-- S: storage may fail at any time, and no result that a client has seen is lost.

local clock = require "support.clock";
local faulty = require "support.faulty";
local mam = require "support.mam";
local scene = require "support.scene";
local jid = require "util.jid";
local st = require "util.stanza";
local xml = require "util.xml";

local join, leave, seen = scene.join, scene.leave, scene.seen;
local ask = mam.ask;
local room_jid = "room@rooms.example.org";
local numbers = scene.numbers;
local hour, day = 3600, 86400;

local function new_scene(fields)
	local faults = faulty.new();
	fields = fields or {};
	fields.wrap_store = faults.wrap;
	return scene.new(fields), faults;
end

local function in_room(fields)
	local s, faults = new_scene(fields);
	return s, faults, s:fill();
end

-- Returns a scene after a restart of the server: the account has not rejoined, and has missed messages 61 to 63.
local function missed_by_account()
	local s, faults = in_room { remote = true; bounces = true; modules = { "disco" } };
	s:count(1, 60);
	s:wait(2);
	-- Otherwise the entries in memory are enough to place the messages.
	clock.jump(-7200);
	s:restart { killed = true };
	s.room.on_iq = function () return true; end;
	s:wait(1);
	s:count(61, 63);
	return s, faults;
end

-- Returns everything that an account reads of a room.
local function read(client, room)
	return mam.page_through(client, { with = room or room_jid; max = 20 });
end

-- Passes stanzas of the room, but to these accounts no messages.
local function withhold(room, send, usernames)
	function room.send(stanza)
		local is_lost = stanza.attr.type == "groupchat" and usernames[jid.node(stanza.attr.to)];
		if not is_lost then send(stanza); end
	end
end

-- level: nil for all
local function count_lines(s, pattern, level)
	local count = 0;
	for _, entry in ipairs(s.host.log) do
		if entry.message:find(pattern) and (not level or entry.level == level) then count = count + 1; end
	end
	return count;
end

-- One log line at the beginning, and one at the end.
local function assert_one_outage(s)
	assert.equal(1, count_lines(s, "^Storage fails"));
	assert.equal(1, count_lines(s, "^Storage works again"));
	s.host:expect_error "^Storage fails";
end

for _, kind in ipairs(faulty.kinds) do
	describe("while storage fails ("..kind..")", function ()
		it("S2: a join is remembered", function ()
			local s, faults = new_scene();
			s.room:enter "Bob";
			local phone = s:client "phone";
			faults:fail(kind);
			s:enter(phone);
			assert.same({ "Alice" }, s:occupants());
			s:wait(30);
			faults:work();
			s:wait(15);
			assert_one_outage(s);
			s:restart { killed = true };
			s:wait(30);
			assert.same({ "Alice" }, s:occupants());
		end);

		it("S2: a leave is remembered", function ()
			local s, faults, phone = in_room();
			faults:fail(kind);
			phone:send(leave "Alice");
			s:deliver();
			s:wait(5);
			assert.same({}, s:occupants());
			faults:work();
			s:wait(15);
			assert_one_outage(s);
			s:restart { killed = true };
			s:wait(30);
			assert.same({}, s:occupants());
		end);

		it("S2: a kick is remembered", function ()
			local s, faults = in_room();
			faults:fail(kind);
			s.room:kick "Alice";
			s:wait(5);
			faults:work();
			s:wait(15);
			assert_one_outage(s);
			s:restart { killed = true };
			s:wait(30);
			assert.same({}, s:occupants());
		end);

		it("S3: messages are archived later, once and in order", function ()
			local s, faults, phone = in_room { modules = { "disco" } };
			s:count(1, 3);
			s:wait(2);
			faults:fail(kind);
			s:count(4, 6);
			s:wait(20);
			s:count(7, 80);
			s:wait(10);
			faults:work();
			s:count(81, 82);
			s:wait(15);
			s:count(83, 85);
			s:wait(2);
			assert_one_outage(s);
			assert.same(numbers(1, 85), read(phone));
			s:restart { killed = true };
			assert.same(numbers(1, 85), read(s:client "phone"));
		end);

		it("S3: messages before the account has rejoined a room without history are archived later", function ()
			local s, faults = missed_by_account();
			s.room.history = {};
			faults:fail(kind);
			s.room.on_iq = nil;
			s:wait(90);
			s:count(64, 65);
			faults:work();
			s:wait(20);
			assert_one_outage(s);
			assert.same(numbers(1, 65), read(s:client "phone"));
		end);

		-- Each `change` ends the attempts to store the room's history while live messages wait behind it.
		for what, change in pairs {
			["the link breaks again"] = function (s)
				s:link "destroyed";
				s:wait(5);
				s:link "established";
			end;
			["the account leaves"] = function (_, phone)
				phone:send(leave "Alice");
			end;
			["the account is kicked"] = function (s)
				s.room:kick "Alice";
			end;
		} do
			it("S3: messages behind history that cannot be stored are archived later if "..what, function ()
				local s, faults = missed_by_account();
				faults:fail(kind, "reads");
				s.room.on_iq = nil;
				s:wait(90);
				local phone = s:client "phone";
				s:enter(phone);
				s:count(64, 66);
				change(s, phone);
				s:wait(5);
				faults:work();
				s:wait(60);
				assert_one_outage(s);
				local bodies = read(s:client "laptop");
				assert.same({ "64"; "65"; "66" }, { table.unpack(bodies, #bodies - 2) });
			end);
		end

		-- Carol has two messages in another form than alice.
		local function with_private_entries(s)
			local carol = s:client("phone", "carol");
			s:enter(carol, "Carol");
			local send = s.room.send;
			function s.room.send(stanza)
				if jid.node(stanza.attr.to) == "carol" and stanza:get_child "body" then
					stanza = st.clone(stanza):maptags(function (tag)
						return tag.name == "body" and st.stanza("body"):text "for Carol" or tag;
					end);
				end
				send(stanza);
			end
			s:count(1, 2);
			s.room.send = send;
			s:wait(2);
			assert.equal(4, #s.host.storage["example.org"].minimix_archive[room_jid]);
			return carol;
		end

		for _, what in ipairs { "reads"; "writes" } do
			it(("H5: a user is deleted later, with all private entries (%s fail)"):format(what), function ()
				local s, faults, phone = in_room();
				local stores, carol = s.host.storage["example.org"], with_private_entries(s);
				carol:close();
				faults:fail(kind, what);
				s.host:delete_user "carol";
				s:wait(30);
				faults:work();
				s:wait(30);
				assert_one_outage(s);
				assert.is_nil(stores.minimix_parts.carol);
				assert.equal(2, #stores.minimix_archive[room_jid]);
				assert.same({ "1"; "2" }, read(phone));
			end);
		end

		for what, failing in pairs {
			reads = { "minimix_parts"; "minimix_archive" };
			deletions = { "minimix_archive" };
		} do
			it(("H5: the private entries of a deleted user are deleted later, over a reload (%s fail)"):format(what), function ()
				local s, faults, phone = in_room();
				local stores, carol = s.host.storage["example.org"], with_private_entries(s);
				carol:close();
				faults:fail(kind, what == "reads" and "reads" or "writes", failing);
				s.host:delete_user "carol";
				s:wait(100);
				assert.equal(1, count_lines(s, "^Storage fails"));
				assert.equal(0, count_lines(s, "^Storage works again"));
				s.host:reload();
				s:wait(10);
				faults:work();
				s:wait(30);
				s.host:expect_error "^Storage fails";
				assert.equal(1, count_lines(s, "^Storage works again"));
				assert.equal(2, #stores.minimix_archive[room_jid]);
				assert.same({ "1"; "2" }, read(phone));
			end);
		end

		for what, stores in pairs {
			deletions = { "minimix_archive" };
			reads = { "minimix_archive" };
			["reads of records"] = { "minimix_parts" };
		} do
			it(("H5: expired messages and unused logs are deleted later (%s fail)"):format(what), function ()
				local s, faults, phone = in_room {
					options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" };
				};
				local other = s:add_room "other";
				other:enter "Bob";
				phone:send(join("Alice", { room = "other" }));
				s:count(1, 2);
				other:say("Bob", "3");
				s:wait(5);
				phone:send(leave("Alice", { room = "other" }));
				s.host:tick(2 * day - hour);
				s:count(4, 4);
				s:wait(2);
				local archive = s.host.storage["example.org"].minimix_archive;
				faults:fail(kind, what == "deletions" and "writes" or "reads", stores);
				s.host:tick(7 * hour);
				assert.equal(3, #archive[room_jid]);
				faults:work();
				s:wait(30);
				assert_one_outage(s);
				assert.equal(1, #archive[room_jid]);
				assert.equal(0, #(archive[other.jid] or {}));
				assert.same({ "4" }, read(phone));
			end);
		end

		for how, restart in pairs {
			["a reload"] = function (s) s.host:reload(); end;
			["SIGKILL"] = function (s) s:restart { killed = true }; end;
		} do
			it("H5: another user of that name does not read private entries that "..how.." kept from deletion", function ()
				local s, faults = in_room();
				local carol = with_private_entries(s);
				carol:close();
				faults:fail(kind, "writes", { "minimix_archive" });
				s.host:delete_user "carol";
				s:wait(1);
				s.host:expect_error "^Storage fails";
				restart(s);
				faults:work();
				s:wait(60);
				local other = s:client("desk", "carol");
				s:enter(other, "Carol", { muc = "<history maxstanzas='0'/>" });
				s:count(3, 4);
				s:wait(2);
				assert.same({ "3"; "4" }, read(other));
				assert.same({ "3"; "4" }, s:history(s:client("tablet", "carol")));
				s:restart { killed = true };
				assert.same({ "3"; "4" }, read(s:client("desk", "carol")));
			end);
		end

		it("S3: a session that attaches gets its history and the subject", function ()
			local s, faults = in_room();
			s:count(1, 3);
			s:wait(2);
			faults:fail(kind);
			s:count(4, 5);
			local laptop = s:client "laptop";
			laptop:send(join "Alice");
			local lines = seen(laptop);
			assert.same({ "presence - room/Bob"; "presence - room/Alice 110" }, { lines[1], lines[2] });
			assert.equal("message groupchat room/Bob 5", lines[#lines - 1]);
			assert.truthy(lines[#lines]:find "subject:");
			faults:work();
			s:wait(15);
			assert_one_outage(s);
		end);

		it("S1: queries of the archive get a wait error", function ()
			local s, faults, phone = in_room { modules = { "disco" } };
			s:count(1, 3);
			s:wait(2);
			faults:fail(kind);
			assert.equal("internal-server-error", ask(phone, { with = room_jid }));
			faults:work();
			s:wait(15);
			assert_one_outage(s);
			assert.same(numbers(1, 3), read(phone));
		end);

		it("S4: a module that starts refuses joins with a wait error, and loses no room", function ()
			local s, faults = in_room();
			s:count(1, 3);
			s:wait(2);
			faults:fail(kind);
			s:restart { killed = true };
			s:wait(10);
			local phone = s:client "phone";
			phone:send(join "Alice");
			assert.same({ "presence error room/Alice wait internal-server-error" }, seen(phone));
			phone:send(join("Alice", { room = "other" }));
			assert.same({ "presence error other/Alice wait internal-server-error" }, seen(phone));
			s:wait(30);
			faults:work();
			s:wait(30);
			assert_one_outage(s);
			assert.same({ "Alice" }, s:occupants());
			assert.same(numbers(1, 3), read(phone));
			phone:send(join "Alice");
			s:deliver();
			assert.truthy(seen(phone)[1]);
		end);
	end);
end

describe("writes that fail while reads work", function ()
	it("S2: are retried", function ()
		local s, faults, phone = in_room { modules = { "disco" } };
		s:count(1, 2);
		s:wait(2);
		faults:fail("nil", "writes");
		s:count(3, 4);
		phone:send(join("Alice", { room = "other" }));
		s:wait(60);
		faults:work();
		s:wait(15);
		assert_one_outage(s);
		s:restart { killed = true };
		assert.same(numbers(1, 4), read(s:client "phone"));
	end);

	it("S2: one record that cannot be written does not stop the others", function ()
		local s, faults = new_scene();
		s.room:enter "Bob";
		faults:fail("false", "writes", { "minimix" }, "alice");
		s:enter(s:client "phone");
		s:enter(s:client("desk", "carol"), "Carol");
		s:wait(20);
		s.host:expect_error "^Storage fails";
		s:restart { killed = true };
		s.room.occupants = { (s.room:occupant "Bob") };
		s:wait(30);
		assert.same({ "Carol" }, s:occupants());
	end);
end);

describe("a record that cannot be read", function ()
	it("S5: affects its account only, and is not overwritten", function ()
		local s, faults = in_room();
		s:enter(s:client("desk", "carol"), "Carol");
		s:wait(10);
		faults:fail("nil", "reads", { "minimix" }, "alice");
		s:restart { killed = true };
		s.room:forget "Alice";
		s:wait(30);
		s.host:expect_error "alice in minimix cannot be read";
		assert.same({ "Carol" }, s:occupants());
		local phone = s:client "phone";
		phone:send(join "Alice");
		assert.same({ "presence error room/Alice wait internal-server-error" }, seen(phone));
		faults:work();
		s:wait(61);
		phone:send(join "Alice");
		s:deliver();
		local occupants = s:occupants();
		table.sort(occupants);
		assert.same({ "Alice", "Carol" }, occupants);
	end);

	for _, form in ipairs {
		{ "a restart"; function (s) s:restart { killed = true }; end };
		{ "a restart and a reload before it is read"; function (s)
			s:restart { killed = true };
			s.host:reload();
		end };
		{ "an outage"; function (s, faults)
			faults:fail("nil", "reads", { "minimix" });
			s:restart { killed = true };
			faults:fail("nil", "reads", { "minimix" }, "alice");
		end };
	} do
		it("S4: is read again after "..form[1].." although no session asks for it", function ()
			local s, faults = in_room();
			s:enter(s:client("desk", "carol"), "Carol");
			s:wait(10);
			faults:fail("nil", "reads", { "minimix" }, "alice");
			form[2](s, faults);
			s.room:forget "Alice";
			s:wait(30);
			s.host:expect_error "minimix";
			assert.same({ "Carol" }, s:occupants());
			faults:work();
			s:wait(60);
			local occupants = s:occupants();
			table.sort(occupants);
			assert.same({ "Alice", "Carol" }, occupants);
		end);
	end

	for _, what in ipairs { "reads"; "both" } do
		for name, key in pairs { ["its record"] = "alice"; ["all records"] = false } do
			it(("H5: a user deleted before %s can be read comes back to no room (%s fail)"):format(name, what), function ()
				local s, faults = in_room();
				faults:fail("nil", what, nil, key or nil);
				s:restart { killed = true };
				local stored = s.host.storage["example.org"].minimix;
				local record = stored.alice;
				s.host:delete_user "alice";
				-- Prosody could not delete it either.
				stored.alice = record;
				s:wait(30);
				s.host:reload();
				faults:work();
				s:wait(60);
				s.host:expect_error "minimix";
				assert.same({}, s:occupants());
				assert.is_nil(stored.alice);
			end);
		end
	end

	it("S5: is read less and less often, and said once", function ()
		local s, faults = in_room();
		faults:fail("nil", "reads", { "minimix" }, "alice");
		s:restart { killed = true };
		s:wait(24 * 3600);
		assert.truthy(faults.failed > 10 and faults.failed < 200, faults.failed);
		local said = 0;
		for _, entry in ipairs(s.host.log) do
			if entry.message:find "alice in minimix cannot be read" then said = said + 1; end
		end
		assert.equal(1, said);
		s.host:expect_error "alice in minimix cannot be read";
	end);

	it("S1: is read at a session's join after a reload, and the join attaches the session to the stored membership", function ()
		local s, faults = in_room();
		faults:fail("nil", "reads", { "minimix" }, "alice");
		s:restart { killed = true };
		s.host:expect_error "alice in minimix cannot be read";
		faults:work();
		s.host:reload();
		local phone = s:client "phone";
		phone:send(join "Bob");
		s:deliver();
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110 210"; "message groupchat room subject:" }, seen(phone));
	end);

	local records = {
		["is no table"] = "nonsense";
		["has rooms that are none"] = { seen = 1; rooms = "nonsense" };
		["has a room that is none"] = { seen = 1; rooms = { [room_jid] = 1 } };
		["has a room that is no address"] = { seen = 1; rooms = { ["@"] = { nick = "Alice"; state = "in" } } };
		["has a nick that is none"] = { seen = 1; rooms = { [room_jid] = { nick = {}; state = "in" } } };
		["has stamps that are none"] = { seen = {}; rooms = { [room_jid] = { nick = "Alice"; state = "in"; since = "x" } } };
		["is empty"] = {};
	};
	for what, record in pairs(records) do
		it("S5: "..what.." and has no other effect", function ()
			local s = scene.in_room { wrap_store = function (store, name)
				if name ~= "minimix" then return store; end
				return setmetatable({}, { __index = function (_, method)
					return function (_, key, ...)
						if method == "get" and key == "anna" then return record; end
						return store[method](store, key, ...);
					end;
				end });
			end };
			s.host.storage["example.org"].minimix.anna = s.host.storage["example.org"].minimix.alice;
			s:restart { killed = true };
			s:wait(30);
			assert.same({ "Alice" }, s:occupants());
			local desk = s:client("desk", "anna");
			desk:send(join "Anna");
			s:deliver();
			assert.same({ "Alice", "Anna" }, s:occupants());
		end);
	end

	it("S1: with an account's ranges is not overwritten", function ()
		local s, faults, phone = in_room { modules = { "disco" } };
		s:count(1, 3);
		s:wait(2);
		phone:send(leave "Alice");
		s:deliver();
		faults:fail("nil", "reads", { "minimix_parts" });
		s:restart { killed = true };
		phone = s:client "phone";
		s:enter(phone);
		s:count(4, 5);
		s:wait(20);
		faults:work();
		s:wait(15);
		assert_one_outage(s);
		assert.same(numbers(1, 5), read(phone));
		s:restart { killed = true };
		assert.same(numbers(1, 5), read(s:client "phone"));
	end);
end);

describe("messages that cannot be stored", function ()
	it("S3: are limited in bytes, and the room's archive provides the rest #once", function ()
		local s, faults, phone = in_room { modules = { "disco" }; options = { minimix_max_kept_size = 1000000 } };
		mam.keep(s.room);
		local long = ("x"):rep(500000);
		s:count(1, 2);
		s:wait(2);
		faults:fail "nil";
		for i = 3, 20 do
			s.room:say("Bob", i..long);
		end
		s:wait(10);
		assert.is_true(collectgarbage "count" < 1000000);
		faults:work();
		s:wait(60);
		assert_one_outage(s);
		local bodies = read(phone);
		for i, body in ipairs(bodies) do bodies[i] = body:gsub("x", ""); end
		assert.same(numbers(1, 20), bodies);
	end);

	it("S3: are stored within seconds, although a read before fails once", function ()
		local s, faults = in_room { modules = { "disco" } };
		s:count(1, 2);
		s:wait(5);
		faults:fail("nil", "writes", { "minimix_archive" }, nil, 1);
		s:count(3, 4);
		faults:fail("nil", "reads", { "minimix_archive" }, room_jid, 1);
		s:wait(5);
		s.host:expect_error "^Storage fails";
		s:restart { killed = true };
		assert.same(numbers(1, 4), read(s:client "phone"));
	end);
end);

describe("an unused log that cannot be deleted", function ()
	-- The account has left the room "other".
	local function with_unused_log()
		local is_failing = true;
		local s, phone = scene.in_room {
			modules = { "disco" };
			options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" };
			wrap_store = function (store, name)
				if name ~= "minimix_archive" then return store; end
				return setmetatable({}, { __index = function (_, method)
					local f = store[method];
					if type(f) ~= "function" then return f; end
					return function (_, key, query, ...)
						if method == "delete" and not query and is_failing then return nil, "read-only"; end
						return f(store, key, query, ...);
					end;
				end });
			end;
		};
		local other = s:add_room "other";
		other:enter "Bob";
		phone:send(join("Alice", { room = "other" }));
		other:say("Bob", "1");
		s:wait(5);
		phone:send(leave("Alice", { room = "other" }));
		-- Otherwise the message expires first.
		s.host.storage["example.org"].minimix_parts.alice = nil;
		s:restart { killed = true };
		s.room.occupants = { (s.room:occupant "Bob") };
		s.host:tick(6 * hour);
		s:wait(100);
		assert.equal(1, count_lines(s, "^Storage fails"));
		assert.equal(0, count_lines(s, "^Storage works again"));
		s.host:expect_error "^Storage fails";
		return s, s.host.storage["example.org"].minimix_archive, other, function () is_failing = false; end;
	end

	it("H5: is deleted later", function ()
		local s, archive, other, work = with_unused_log();
		assert.equal(1, #archive[other.jid]);
		work();
		s:wait(20);
		assert.equal(1, count_lines(s, "^Storage works again"));
		assert.equal(0, #(archive[other.jid] or {}));
	end);

	it("H5: is kept if the account has returned meanwhile", function ()
		local s, archive, other, work = with_unused_log();
		local phone = s:client "phone";
		phone:send(join("Alice", { room = "other" }));
		other:say("Bob", "2");
		work();
		s:wait(20);
		assert.equal(1, count_lines(s, "^Storage works again"));
		assert.equal(2, #archive[other.jid]);
		-- The room's history has the first.
		assert.same(numbers(1, 2), read(phone, other.jid));
	end);
end);

describe("messages of a room that storage refuses for a long time", function ()
	for what, count in pairs { ["one message"] = 1; ["many messages"] = 30 } do
		for whose, stores in pairs { ["its log's writes"] = room_jid; ["all writes"] = false } do
			it(("S3: are archived later (%s, %s fail)"):format(what, whose), function ()
				local s, faults, phone = in_room { modules = { "disco" } };
				s:count(1, 2);
				s:wait(2);
				faults:fail("nil", "writes", { "minimix_archive" }, stores or nil);
				s:count(3, 2 + count);
				s:wait(900);
				faults:work();
				s:wait(20);
				assert_one_outage(s);
				assert.same(numbers(1, 2 + count), read(phone));
			end);
		end
	end

	local function assert_dropped(s, count)
		assert.equal(count, count_lines(s, "^Dropping a message of room@"));
		assert.equal(1, count_lines(s, "^Storage fails"));
		assert.equal(1, count_lines(s, "^Storage works again"));
	end

	-- Storage never stores the messages "bad", which are the first.
	local function with_bad_messages(bad, others)
		local s, phone = scene.in_room { modules = { "disco" }; wrap_store = function (store, name)
			if name ~= "minimix_archive" then return store; end
			return setmetatable({}, { __index = function (_, method)
				local f = store[method];
				if method ~= "append" then return f and function (_, ...) return f(store, ...); end; end
				return function (_, key, id, stanza, ...)
					if stanza:get_text():find("<body>bad<", 1, true) then return nil, "invalid content"; end
					return f(store, key, id, stanza, ...);
				end;
			end });
		end };
		s:count(1, 2);
		s:wait(2);
		for _ = 1, bad do s.room:say("Bob", "bad"); end
		s:count(3, 2 + others);
		s:wait(400);
		s.host:expect_error "^Storage fails";
		return s, phone;
	end

	it("S3: are dropped if later messages can be stored", function ()
		local s, phone = with_bad_messages(2, 3);
		assert_dropped(s, 2);
		assert.same(numbers(1, 5), read(phone));
		s:restart { killed = true };
		assert.same(numbers(1, 5), read(s:client "phone"));
	end);

	it("S3: are dropped when the first later message is stored", function ()
		local s, phone = with_bad_messages(1, 0);
		assert.equal(0, count_lines(s, "^Storage works again"));
		s:count(3, 4);
		s:wait(20);
		assert_dropped(s, 1);
		assert.same(numbers(1, 4), read(phone));
	end);
end);

describe("the messages of a room", function ()
	local function depth(stanza)
		local deepest = 0;
		for _, tag in ipairs(stanza.tags) do deepest = math.max(deepest, depth(tag)); end
		return deepest + 1;
	end

	it("S5: are stored, even if nested deeper than the driver accepts", function ()
		local s = scene.in_room { wrap_store = function (store, name)
			if name ~= "minimix_archive" then return store; end
			return setmetatable({}, { __index = function (_, method)
				local f = store[method];
				return method ~= "append" and f or function (_, key, id, stanza, ...)
					assert(depth(stanza) <= 50, "too deep");
					return f(store, key, id, stanza, ...);
				end;
			end });
		end };
		local deep = st.message({ from = room_jid.."/Bob", to = s:occupant_jid(), type = "groupchat", id = "deep" }):body "deep";
		for _ = 1, 80 do deep:tag("x", { xmlns = "urn:example:deep" }); end
		s.host:from_room(deep:reset());
		s:count(1, 2);
		s:restart { killed = true };
		assert.same({ "deep"; "1"; "2" }, read(s:client "phone"));
	end);

	it("S3: are read, even if an earlier version stored them as stanzas", function ()
		local as_text = false;
		local s = scene.in_room { wrap_store = function (store, name)
			if name ~= "minimix_archive" then return store; end
			return setmetatable({}, { __index = function (_, method)
				local f = store[method];
				return method ~= "append" and f or function (_, key, id, stanza, ...)
					local stored = as_text and stanza or xml.parse("<message"..stanza:get_text());
					return f(store, key, id, stored, ...);
				end;
			end });
		end };
		s:count(1, 3);
		as_text = true;
		s:count(4, 5);
		s:restart { killed = true };
		s:wait(5);
		s:count(6, 7);
		local phone = s:client "phone";
		assert.same(numbers(1, 7), read(phone));
		phone:send(join("Alice", { muc = "<history maxstanzas='9'/>" }));
		s.host:deliver();
		assert.same(numbers(1, 7), scene.bodies(phone:take()));
	end);
end);

describe("an outage of minutes while missed messages are fetched", function ()
	it("P3: does not end the catch-up", function ()
		local s, faults, phone = in_room { modules = { "disco" }; options = { minimix_ping_after = 20 } };
		mam.keep(s.room);
		local send = s.room.send;
		-- The room sends no history to a join.
		function s.room.send(stanza)
			if not stanza:get_child("delay", "urn:xmpp:delay") then send(stanza); end
		end
		s:count(1, 60);
		s:wait(2);
		s.room.occupants = { (s.room:occupant "Bob") };
		s:count(61, 70);
		faults:fail("nil", "reads");
		s:wait(300);
		assert.same({ "Alice" }, s:occupants());
		faults:work();
		s:wait(20);
		assert_one_outage(s);
		assert.same(numbers(1, 70), read(phone));
	end);
end);

describe("missed messages that wait to be stored", function ()
	it("S3: are stored once if another account fetches them too", function ()
		local s, faults = in_room {
			modules = { "disco"; "mam" };
			options = { minimix_ping_after = 20; minimix_inactive_after = "never" };
		};
		mam.keep(s.room);
		s:enter(s:client("phone", "carol"), "Carol");
		s:wait(5);
		local send = s.room.send;
		withhold(s.room, send, { carol = true });
		s:count(1, 1);
		s:wait(5);
		faults:fail("nil", "writes", { "minimix_archive" });
		withhold(s.room, send, { alice = true; carol = true });
		s:count(2, 80);
		s.room.send = send;
		for _, username in ipairs { "alice"; "carol" } do
			s.room:forget(s:occupant_jid(username));
			s:wait(60);
		end
		assert.same({ "Alice"; "Carol" }, s:occupants());
		faults:work();
		s:wait(30);
		assert_one_outage(s);
		assert.same(numbers(1, 80), read(s:client "phone"));
		assert.same(numbers(1, 80), read(s:client("phone", "carol")));
		local stored = 0;
		for _, write in ipairs(faults.writes) do
			if write == "minimix_archive append "..room_jid then stored = stored + 1; end
		end
		assert.equal(80, stored);
	end);
end);

describe("an account that is put out while its earlier messages cannot be read", function ()
	it("S3: keeps the messages that it received", function ()
		local s, faults = in_room { modules = { "disco" } };
		s:count(1, 3);
		s:wait(2);
		s:restart { killed = true };
		s.room.occupants = { (s.room:occupant "Bob") };
		faults:fail("nil", "reads", { "minimix_parts"; "minimix_archive" });
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
		s:count(4, 6);
		s.room:ban "Alice";
		faults:work();
		s:wait(20);
		assert_one_outage(s);
		assert.same(numbers(1, 6), read(s:client "phone"));
	end);
end);

describe("the history of a rejoin while the account's messages cannot be read", function ()
	-- The account has `kept` messages of one second.
	local function rejoins(pause, kept)
		local s, faults = in_room {
			modules = { "disco" };
			options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" };
		};
		s:wait(5);
		s:count(1, kept);
		s.host:tick(pause);
		s:restart();
		s.room.occupants = { (s.room:occupant "Bob") };
		s:count(kept + 1, kept + 2);
		faults:fail("nil", "reads", { "minimix_parts"; "minimix_archive" });
		s:wait(30);
		assert.same({ "Alice" }, s:occupants());
		s:count(kept + 3, kept + 3);
		faults:work();
		s:wait(30);
		assert_one_outage(s);
		return read(s:client "phone");
	end

	it("S1: is stored once", function ()
		assert.same(numbers(1, 6), rejoins(60, 3));
	end);

	it("S1: is stored once if the room was busy", function ()
		assert.same(numbers(1, 203), rejoins(60, 200));
	end);

	it("S1: is stored once if messages were stored late, after later ones", function ()
		local s, faults = in_room { modules = { "disco"; "mam" }; remote = true; options = { minimix_inactive_after = "never" } };
		mam.keep(s.room);
		s:enter(s:client("phone", "carol"), "Carol");
		s:wait(5);
		s:count(1, 3);
		local send = s.room.send;
		withhold(s.room, send, { alice = true; carol = true });
		s:count(4, 5);
		s:wait(60);
		withhold(s.room, send, { alice = true });
		s:count(6, 7);
		s.room.send = send;
		s:link "destroyed";
		s:wait(60);
		s:restart();
		s.room.occupants = { (s.room:occupant "Bob") };
		faults:fail("nil", "reads", { "minimix_parts"; "minimix_archive" });
		s:wait(60);
		assert.equal(2, #s:occupants());
		faults:work();
		s:wait(30);
		assert_one_outage(s);
		local bodies = read(s:client "phone");
		table.sort(bodies);
		assert.same(numbers(1, 7), bodies);
	end);

	it("H5: does not bring back expired messages", function ()
		assert.same(numbers(4, 6), rejoins(3 * 86400, 3));
	end);
end);

describe("a driver that reports a failure after storing", function ()
	it("S3: does not cause a second copy of a message", function ()
		local lies = false;
		local s, phone = scene.in_room { modules = { "disco" }; wrap_store = function (store, name)
			if name ~= "minimix_archive" then return store; end
			return setmetatable({}, { __index = function (_, method)
				local f = store[method];
				if type(f) ~= "function" then return f; end
				return function (_, ...)
					if method == "append" and lies then
						lies = false;
						f(store, ...);
						return nil, "lost the connection";
					end
					return f(store, ...);
				end;
			end });
		end };
		s:count(1, 2);
		lies = true;
		s:count(3, 6);
		s:wait(10);
		s.host:expect_error "^Storage fails";
		assert.same(numbers(1, 6), read(phone));
	end);
end);

describe("an outage", function ()
	it("S2: is shown in a metric and in the totals", function ()
		local s, faults = in_room();
		assert.equal(0, s.host:metric "storage_waiting");
		faults:fail "nil";
		s:count(1, 3);
		assert.equal(3, s.host:metric "storage_waiting");
		assert.is_true(s.host:metric "storage_failures" > 0);
		faults:work();
		s:wait(10);
		assert_one_outage(s);
		assert.equal(0, s.host:metric "storage_waiting");
	end);

	it("S2: continues over a reload", function ()
		local s, faults, phone = in_room { modules = { "disco" } };
		s:count(1, 2);
		s:wait(2);
		faults:fail "nil";
		s:count(3, 4);
		s.host:reload();
		s:count(5, 6);
		s:wait(10);
		faults:work();
		s:wait(15);
		s.host:expect_error "^Storage fails";
		assert.same(numbers(1, 6), read(phone));
		s:restart { killed = true };
		assert.same(numbers(1, 6), read(s:client "phone"));
	end);

	it("S4: delays no account for long while accounts rejoin", function ()
		local s, faults = new_scene();
		s.room:enter "Bob";
		for i = 1, 20 do
			s:enter(s:client("desk", "user"..i), "User"..i);
		end
		s:wait(10);
		s:restart { killed = true };
		s.room.occupants = { (s.room:occupant "Bob") };
		s:wait(0.3);
		faults:fail "false";
		s:wait(1);
		faults:work();
		s:wait(29);
		assert.equal(20, #s:occupants());
		if count_lines(s, "^Storage fails") > 0 then s.host:expect_error "^Storage fails"; end
	end);
end);

describe("the server stops while writes fail", function ()
	for _, kind in ipairs(faulty.kinds) do
		it("S2: a write that fails once ("..kind..") is repeated", function ()
			local s, faults, phone = in_room { modules = { "disco" } };
			s:count(1, 2);
			s:wait(10);
			s.room:say("Bob", "3");
			-- A nick change right after another is written late.
			phone:send "<presence to='room@rooms.example.org/Alicia'/>";
			phone:send "<presence to='room@rooms.example.org/Ali'/>";
			s:deliver();
			faults:fail(kind, "writes", nil, nil, 1);
			s.host:stop();
			assert.equal(1, faults.failed);
			s.host:expect_error "^Storage fails";
			s:restart { killed = true };
			s.room.occupants = { (s.room:occupant "Bob") };
			s:wait(30);
			assert.same({ "Ali" }, s:occupants());
			assert.same(numbers(1, 3), read(s:client "phone"));
		end);
	end
end);

describe("the module is unloaded", function ()
	it("S2: right after an outage, and writes first", function ()
		local s, faults, phone = in_room { modules = { "disco" } };
		local other = s:add_room "other";
		s:count(1, 2);
		s:wait(5);
		faults:fail "nil";
		s:count(3, 4);
		phone:send(join("Alice", { room = "other" }));
		s:deliver();
		s:wait(3);
		faults:work();
		s.host:unload();
		s.host:expect_error "^Storage fails";
		s.host:load();
		s:wait(30);
		assert.same({ "Alice" }, s:occupants());
		assert.same({ "Alice" }, s:occupants(other));
		assert.same(numbers(1, 4), read(phone));
	end);

	it("H1: in the second of a message, and keeps it", function ()
		local s, _, phone = in_room { modules = { "disco" } };
		s:count(1, 2);
		s:wait(5);
		s:count(3, 4);
		s.host:unload();
		s.host:load();
		s:wait(30);
		assert.same(numbers(1, 4), read(phone));
	end);

	it("S2: during an outage, and rejoins the rooms that are on disk", function ()
		local s, faults = in_room();
		s:wait(5);
		faults:fail "raise";
		s:count(1, 2);
		s.host:unload();
		s.host:load();
		s:wait(5);
		faults:work();
		s:wait(30);
		s.host:expect_error "^Storage fails";
		assert.same({ "Alice" }, s:occupants());
	end);
end);

describe("a reload before storage has been read", function ()
	for _, kind in ipairs(faulty.kinds) do
		it("S4: loses no room ("..kind..")", function ()
			local s, faults = in_room();
			s:enter(s:client("desk", "carol"), "Carol");
			s:wait(5);
			faults:fail(kind);
			s:restart { killed = true };
			s.room.occupants = { (s.room:occupant "Bob") };
			s:wait(3);
			s.host:reload();
			local phone = s:client "phone";
			phone:send(join "Alice");
			assert.same({ "presence error room/Alice wait internal-server-error" }, seen(phone));
			s.host:reload();
			s:wait(20);
			faults:work();
			s:wait(30);
			s.host:expect_error "^Storage fails";
			local occupants = s:occupants();
			table.sort(occupants);
			assert.same({ "Alice", "Carol" }, occupants);
		end);
	end
end);

describe("bookmarks that the module writes, while storage fails:", function ()
	local bookmarks, pubsub = "urn:xmpp:bookmarks:1", "http://jabber.org/protocol/pubsub";

	local function retract(client)
		client:send(("<iq type='set' id='r1'><pubsub xmlns='%s'><retract node='%s' notify='true'><item id='%s'/></retract></pubsub></iq>")
			:format(pubsub, bookmarks, room_jid));
	end

	-- Returns autojoin of the bookmark, or nil without one.
	local function autojoin(client)
		client:take();
		client:send(("<iq type='get' id='g1'><pubsub xmlns='%s'><items node='%s'/></pubsub></iq>"):format(pubsub, bookmarks));
		for _, stanza in ipairs(client:take()) do
			if stanza.attr.id == "g1" then
				return stanza:find("{"..pubsub.."}pubsub/items/item/{"..bookmarks.."}conference@autojoin");
			end
		end
	end

	local function is_bookmarked(client)
		client:take();
		client:send(("<iq type='get' id='g1'><pubsub xmlns='%s'><items node='%s'/></pubsub></iq>"):format(pubsub, bookmarks));
		for _, stanza in ipairs(client:take()) do
			if stanza.attr.id == "g1" then return stanza:find("{"..pubsub.."}pubsub/items/item") ~= nil; end
		end
	end

	for _, what in ipairs { "reads", "writes" } do
		for _, over in ipairs { "", ", over a reload" } do
			it(("P5, S2: a removed bookmark is not restored (%s fail%s)"):format(what, over), function ()
				local s, faults, phone = in_room { modules = { "disco"; "pep" }; options = { minimix_bookmark_write = true } };
				assert.is_true(is_bookmarked(phone));
				s:wait(10);
				faults:fail("nil", what, { "minimix_bookmarks" });
				retract(phone);
				assert.is_false(is_bookmarked(phone));
				if over ~= "" then s.host:reload(); end
				s:wait(15);
				faults:work();
				s:wait(40);
				s.host:expect_error "minimix_bookmarks";
				s:restart { killed = true };
				local laptop = s:client "laptop";
				s:enter(laptop);
				assert.is_false(is_bookmarked(laptop));
			end);
		end
	end

	describe("mod_pep refuses to write a bookmark:", function ()
		-- Returns a scene with a function to make mod_pep work again, and the number of its failures. kind: the service
		-- returns an error, or raises one.
		local function with_failing_pep(kind, joins)
			local s = scene.new { modules = { "disco"; "pep" }; options = { minimix_bookmark_write = true } };
			s.room:enter "Bob";
			local phone = s:client "phone";
			if joins then s:enter(phone); s:wait(10); end
			local state = { failures = 0; is_failing = true };
			local service = prosody.hosts[s.host.name].modules.pep.get_pep_service "alice";
			local publish = service.publish;
			function service.publish(...)
				if not state.is_failing then return publish(...); end
				state.failures = state.failures + 1;
				if kind == "raise" then error "mod_pep fails"; end
				return false, "internal-server-error";
			end
			return s, phone, state;
		end

		local function nick(client)
			client:take();
			client:send(("<iq type='get' id='g1'><pubsub xmlns='%s'><items node='%s'/></pubsub></iq>"):format(pubsub, bookmarks));
			for _, stanza in ipairs(client:take()) do
				if stanza.attr.id == "g1" then
					return stanza:find("{"..pubsub.."}pubsub/items/item/{"..bookmarks.."}conference/nick#");
				end
			end
		end

		for _, kind in ipairs { "nil"; "raise" } do
			it(("S2: the pauses between attempts grow to 15 minutes (%s)"):format(kind), function ()
				local s, phone, state = with_failing_pep(kind);
				s:enter(phone);
				local other = s:add_room "other";
				s:wait(60);
				assert.is_true(state.failures >= 3);
				phone:send(join("Alice", { room = "other" }));
				for _ = 1, 24 do s:wait(300); end
				assert.is_true(state.failures < 30, state.failures);
				assert.equal(1, count_lines(s, "^Could not bookmark", "warn"));
				assert.equal(0, count_lines(s, "^No bookmark of alice is pending"));
				assert.equal(2, s.host:metric "storage_waiting");
				state.is_failing = false;
				for _ = 1, 3 do s:wait(300); end
				assert.equal(1, count_lines(s, "^No bookmark of alice is pending"));
				assert.equal(0, s.host:metric "storage_waiting");
				assert.equal("true", (autojoin(phone)));
				assert.same({ "Alice" }, s:occupants(other));
			end);

			it(("P5: a leave meanwhile is the one that counts (%s)"):format(kind), function ()
				local s, phone, state = with_failing_pep(kind, true);
				phone:send(leave "Alice");
				s:wait(1000);
				s:enter(phone);
				s:wait(1000);
				phone:send(leave "Alice");
				s:wait(5);
				state.is_failing = false;
				s:wait(30);
				assert.equal("false", (autojoin(phone)));
				assert.same({}, s:occupants());
			end);

			it(("P5: a later nick is written (%s)"):format(kind), function ()
				local s, phone, state = with_failing_pep(kind, true);
				phone:send(scene.presence "Alicia");
				s:wait(1000);
				phone:send(scene.presence "Ali");
				s:wait(5);
				state.is_failing = false;
				s:wait(30);
				assert.equal("Ali", nick(phone));
				assert.equal("true", (autojoin(phone)));
			end);

			for what, change in pairs {
				["a join"] = false;
				["a leave"] = leave "Alice";
				["a nick change"] = scene.presence "Ali";
			} do
				it(("P5, S2: %s is written after a reload (%s)"):format(what, kind), function ()
					local s, phone, state = with_failing_pep(kind, change);
					if change then phone:send(change); s:deliver(); else s:enter(phone); end
					s:wait(50);
					s.host:reload();
					state.is_failing = false;
					s:wait(800);
					assert.equal(what == "a leave" and "false" or "true", (autojoin(phone)));
					assert.equal(what == "a nick change" and "Ali" or "Alice", nick(phone));
					assert.equal(1, count_lines(s, "^No bookmark of alice is pending"));
				end);
			end
		end
	end);

	-- mod_pep writes items to an archive store.
	for what, stores in pairs { reads = { "pep"; "pep_data" }; writes = { "pep"; "pep_data"; "pep_"..bookmarks } } do
		local function with_bookmark_write()
			local s, faults = new_scene { modules = { "disco"; "pep" }; options = { minimix_bookmark_write = true } };
			s.room:enter "Bob";
			return s, faults, s:client "phone";
		end

		-- Storage fails meanwhile.
		local function joins_and_leaves(s, faults, phone)
			faults:fail("nil", what, stores);
			s:enter(phone);
			phone:send(leave "Alice");
			s:deliver();
			faults:work();
			s:wait(60);
		end

		it(("P5, S2: a join is bookmarked later (%s fail)"):format(what), function ()
			local s, faults, phone = with_bookmark_write();
			faults:fail("nil", what, stores);
			s:enter(phone);
			faults:work();
			assert.is_nil(autojoin(phone));
			s:wait(60);
			assert.equal("true", (autojoin(phone)));
			if what == "reads" then assert_one_outage(s); end
			s:restart { killed = true };
			s:wait(30);
			local laptop = s:client "laptop";
			s:enter(laptop);
			laptop:send(leave "Alice");
			s:deliver();
			assert.same({}, s:occupants());
			assert.equal("false", (autojoin(laptop)));
		end);

		it(("P5, S2: the autojoin is turned off later after a leave (%s fail)"):format(what), function ()
			local s, faults, phone = with_bookmark_write();
			s:enter(phone);
			assert.equal("true", (autojoin(phone)));
			s:restart();
			phone = s:client "phone";
			joins_and_leaves(s, faults, phone);
			assert.equal("false", (autojoin(phone)));
			assert.same({}, s:occupants());
		end);

		it(("P5, S2: a join and a leave leave no bookmark (%s fail)"):format(what), function ()
			local s, faults, phone = with_bookmark_write();
			joins_and_leaves(s, faults, phone);
			assert.is_nil(autojoin(phone));
			assert.same({}, s:occupants());
			if what == "reads" then assert_one_outage(s); end
		end);
	end
end);
