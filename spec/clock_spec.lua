-- B5, H6: a wall clock that jumps only changes time stamps.

local datetime = require "util.datetime";
local clock = require "support.clock";
local mam = require "support.mam";
local scene = require "support.scene";
local st = require "util.stanza";

local join, leave, query, seen = scene.join, scene.leave, scene.query, scene.seen;
local room_jid = "room@rooms.example.org";
local numbers = scene.numbers;
local hour, day = 3600, 86400;

local jumps = {
	["3 seconds forward"] = 3; ["3 seconds back"] = -3; ["2 hours forward"] = 2 * hour; ["2 hours back"] = -2 * hour;
	["60 days forward"] = 60 * day; ["60 days back"] = -60 * day;
};

local function read(client)
	return mam.page_through(client, { with = room_jid; max = 20 });
end

-- Returns the time stamp of each archived message.
local function stamps(client)
	client:take();
	client:send(mam.query { with = room_jid });
	local times = {};
	for _, stanza in ipairs(client:take()) do
		local delay = stanza:find "{urn:xmpp:mam:2}result/{urn:xmpp:forward:0}forwarded/{urn:xmpp:delay}delay@stamp";
		if delay then table.insert(times, datetime.parse(delay)); end
	end
	return times;
end

for name, seconds in pairs(jumps) do
	describe("a clock that jumps "..name.." while the server runs", function ()
		it("B5: prevents no join", function ()
			local s, phone = scene.in_room { options = { minimix_join_rate = 1 } };
			clock.jump(seconds);
			for i = 1, 20 do
				phone:send(join("Alice", { room = "room"..i }));
				s:wait(5);
			end
			for _, line in ipairs(seen(phone)) do
				assert.is_nil(line:find "resource%-constraint");
			end
		end);

		it("H1: does not change the archive or the history of a join", function ()
			local s, phone = scene.in_room { modules = { "disco" } };
			s:count(1, 3);
			s:wait(2);
			clock.jump(seconds);
			s:count(4, 6);
			s:wait(7 * hour);
			s:count(7, 9);
			assert.same(numbers(1, 9), read(phone));
			assert.same(numbers(1, 9), s:history(s:client "laptop"));
			s:restart { killed = true };
			assert.same(numbers(1, 9), read(s:client "phone"));
		end);

		it("H3: leaves pages complete in both directions, with the time of each message", function ()
			local s, phone = scene.in_room { modules = { "disco" } };
			local times = {};
			for i, jump in ipairs { 0, seconds, -seconds, seconds } do
				s:wait(2);
				clock.jump(jump);
				s:count(3 * i - 2, 3 * i);
				for _ = 1, 3 do table.insert(times, os.time()); end
			end
			s:wait(2);
			for _ = 1, 2 do
				for max = 1, 5 do
					for _, backwards in ipairs { false, true } do
						assert.same(numbers(1, 12), mam.page_through(phone, { with = room_jid; max = max }, backwards));
					end
				end
				assert.same(times, stamps(phone));
				s:restart { killed = true };
				phone = s:client "phone";
			end
		end);

		it("P6: neither makes an account leave, nor shows it as detached", function ()
			local s, phone = scene.in_room();
			phone:close();
			s:wait(10);
			s:upstream();
			clock.jump(seconds);
			s:wait(61);
			assert.same({}, s:upstream());
			s:wait(3 * hour);
			assert.same({ "Alice" }, s:occupants());
		end);

		it("C3: ends no pending IQ early, and keeps none forever", function ()
			local s, phone = scene.in_room { remote = true };
			phone:send(query "<query xmlns='urn:example:unheard-of'/>");
			s.host:drop();
			clock.jump(seconds);
			s:wait(60);
			assert.same({}, seen(phone));
			s:wait(120);
			assert.same({ "iq error room wait remote-server-timeout" }, seen(phone));
		end);

		it("P3: does not prevent the query for missed messages", function ()
			local s, phone = scene.in_room { remote = true; bounces = true; modules = { "disco" } };
			mam.keep(s.room);
			s:count(1, 2);
			s:wait(2);
			clock.jump(seconds);
			s.room:remove("Alice", "332");
			s:count(3, 4);
			s:wait(60);
			s:count(5, 6);
			s:wait(2);
			assert.same(numbers(1, 6), read(phone));
		end);

		it("P3: prevents no missed message from an archive without ids", function ()
			local s, phone = scene.in_room { remote = true; bounces = true; modules = { "disco" } };
			mam.keep(s.room);
			local send = s.room.send;
			local function without_ids(tag)
				if tag.name == "stanza-id" then return nil; end
				if tag.name == "result" then tag.attr.id = nil; end
				return tag:maptags(without_ids);
			end
			function s.room.send(stanza)
				send(st.clone(stanza):maptags(without_ids));
			end
			s:wait(60);
			clock.jump(seconds);
			s:count(1, 2);
			s:wait(2);
			s:link "destroyed";
			s:wait(1);
			s.room:forget(s:occupant_jid());
			-- The archive has lost the last message of the account.
			table.remove(s.room.history);
			s:count(3, 4);
			s:wait(60);
			s:count(5, 6);
			s:wait(2);
			assert.same(numbers(1, 6), read(phone));
		end);

		for _, archive in ipairs { "own"; "mam" } do
			-- The clock jumps after the account has got `known` messages of a room without an archive.
			local function misses_messages(known)
				local s, phone = scene.in_room {
					remote = true; modules = { "disco"; "mam" };
					options = { minimix_archive = archive == "mam" and "mam" or nil };
				};
				s:wait(2);
				clock.jump(seconds);
				s:count(1, known);
				s:wait(2);
				s:link "destroyed";
				s:wait(1);
				s.room:forget "Alice";
				return s, phone;
			end

			local function reads_all_after_a_minute(s, phone)
				s:wait(60);
				s:count(8, 9);
				s:wait(2);
				assert.same(numbers(1, 9), read(phone));
			end

			it(("P3: prevents no missed message from its history (%s archive)"):format(archive), function ()
				local s, phone = misses_messages(3);
				s:count(4, 7);
				reads_all_after_a_minute(s, phone);
			end);

			it(("P3: prevents no missed message from its history, which has no others (%s archive)"):format(archive), function ()
				local s, phone = misses_messages(3);
				s.room.history = {};
				s:count(4, 7);
				reads_all_after_a_minute(s, phone);
			end);

			it(("P3: prevents no missed message from its history, if the account has none (%s archive)"):format(archive), function ()
				local s, phone = misses_messages(0);
				s:count(1, 7);
				reads_all_after_a_minute(s, phone);
			end);
		end
	end);

	describe("a clock that jumps "..name.." while the server is down", function ()
		it("H1, H6: does not change the archive", function ()
			local s, phone = scene.in_room { modules = { "disco" } };
			s:count(1, 3);
			s:wait(2);
			phone:send(leave "Alice");
			s:deliver();
			s:restart { killed = true };
			clock.jump(seconds);
			s:restart { killed = true };
			local desk = s:client("desk", "carol");
			s:enter(desk, "Carol", { muc = "<history maxstanzas='0'/>" });
			s:count(4, 5);
			s:wait(7 * hour);
			assert.same(numbers(1, 3), read(s:client "phone"));
			assert.same(numbers(4, 5), read(desk));
		end);

		it("P6: lets accounts rejoin and stay", function ()
			local s, phone = scene.in_room();
			phone:close();
			s:wait(10);
			s:restart { killed = true };
			clock.jump(seconds);
			s:restart { killed = true };
			s:wait(3 * hour);
			assert.same({ "Alice" }, s:occupants());
		end);
	end);
end

describe("retention", function ()
	it("H5: resumes a week after the clock has jumped", function ()
		local s, phone = scene.in_room { options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" } };
		s:count(1, 3);
		clock.jump(60 * day);
		s:wait(day);
		s:count(4, 5);
		assert.same(numbers(1, 5), read(phone));
		s:wait(5 * day);
		assert.same(numbers(1, 5), read(phone));
		s:wait(1.5 * day);
		assert.same({}, read(phone));
	end);

	it("H5: is not delayed by restarts, nor by days without the server", function ()
		local s = scene.in_room { options = { minimix_archive_expires_after = "2 days"; minimix_inactive_after = "never" } };
		s:count(1, 3);
		s:wait(day);
		s:restart();
		clock.jump(3 * day);
		s:restart();
		s:wait(7 * hour);
		assert.same({}, read(s:client "phone"));
	end);

	it("P6: counts the time for which the server ran, over restarts", function ()
		local s, phone = scene.in_room { options = { minimix_inactive_after = "10 days"; minimix_ping_after = "never" } };
		phone:close();
		for _ = 1, 9 do
			s:wait(day);
			s:restart { killed = true };
			s:wait(10);
			assert.same({ "Alice" }, s:occupants());
		end
		s:wait(2 * day);
		assert.same({}, s:occupants());
	end);
end);
