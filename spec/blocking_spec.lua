-- XEP-0191: the account leaves blocked rooms and receives nothing from blocked occupants. Rooms of this server: see
-- e2e/blocking.test.ts.

local scene = require "support.scene";
local mam = require "support.mam";

local join, seen = scene.join, scene.seen;

local function blocks(client, command, address)
	client:send(("<iq type='set' id='b1'><%s xmlns='urn:xmpp:blocking'><item jid='%s'/></%s></iq>"):format(command, address, command));
end

-- Returns a scene with the phone attached to a room of another server, as "Alice".
local function in_room()
	return scene.in_room { remote = true, modules = { "blocklist" } };
end

-- Returns a function that counts the leaves that the room has received since this call.
local function leaves_of(s)
	local count = 0;
	function s.room.receive(room, stanza)
		if stanza.name == "presence" and stanza.attr.type == "unavailable" then count = count + 1; end
		return getmetatable(room).__index.receive(room, stanza);
	end
	return function () return count; end;
end

-- The room, its service, and the account's own nick there.
local addresses = { "room@rooms.example.org", "rooms.example.org", "room@rooms.example.org/Alice" };

for _, address in ipairs(addresses) do
	describe("a remote room, when "..address.." is blocked,", function ()
		it("L2: the account leaves, and the session is told at once", function ()
			local s, phone = in_room();
			blocks(phone, "block", address);
			assert.same({ "presence unavailable room/Alice 110"; "iq result -" }, seen(phone));
			s:deliver();
			assert.same({}, s:occupants());
			s.room:say("Bob", "hi");
			assert.same({}, phone:take());
		end);

		it("L5: the account leaves although the first leave is lost, and retries end", function ()
			local s, phone = in_room();
			local leaves = leaves_of(s);
			blocks(phone, "block", address);
			s.host:drop();
			s:restart { killed = true };
			s:wait(3600);
			assert.same({}, s:occupants());
			assert(leaves() > 0 and leaves() < 10, leaves());
			local before = leaves();
			s:wait(6 * 3600);
			assert.equal(before, leaves());
			s:restart();
			s:wait(60);
			assert.equal(before, leaves());
		end);
	end);
end

-- Returns a function that counts the joins and self-pings that the room has received since this call.
local function questions_of(s)
	local count = 0;
	function s.room.receive(room, stanza)
		if stanza.name == "iq" or stanza.name == "presence" and not stanza.attr.type then count = count + 1; end
		return getmetatable(room).__index.receive(room, stanza);
	end
	return function () return count; end;
end

for _, address in ipairs(addresses) do
	describe("a remote room, when "..address.." was blocked while the module was not loaded,", function ()
		it("P1: the account leaves and does not rejoin", function ()
			local s, phone = in_room();
			s.host:unload();
			s:deliver();
			blocks(phone, "block", address);
			s.host:load();
			local joins = 0;
			function s.room.receive(room, stanza)
				if stanza.name == "presence" and not stanza.attr.type then joins = joins + 1; end
				return getmetatable(room).__index.receive(room, stanza);
			end
			s:wait(3600);
			assert.equal(0, joins);
			assert.same({}, s:occupants());
		end);
	end);

	describe("a remote room, when "..address.." is blocked and another module hid that from this one,", function ()
		it("P2: the account leaves once the room does not answer, and retries end", function ()
			local s, phone = in_room();
			local blocklist = prosody.hosts[s.host.name].modules.blocklist.module;
			blocklist:open_store():set("alice", { [address] = true });
			require "core.modulemanager".reload(s.host.name, "blocklist");
			s:wait(3600);
			assert.same({}, s:occupants());
			assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
			local questions = questions_of(s);
			s:wait(6 * 3600);
			assert.equal(0, questions());
		end);
	end);

	describe("a remote room, when "..address.." is unblocked,", function ()
		it("J1: a client can join, also while leaves are retried", function ()
			local s, phone = in_room();
			blocks(phone, "block", address);
			s:wait(10);
			blocks(phone, "unblock", address);
			phone:take();
			phone:send(join "Alice");
			s:wait(3600);
			assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
			assert.same({ "Alice" }, s:occupants());
		end);
	end);
end

describe("a blocked nick", function ()
	scene.everywhere(function (new_scene)
		local function in_room_here(fields)
			fields = fields or {};
			fields.modules = { "blocklist" };
			local s = new_scene(fields);
			return s, s:fill();
		end

		it("L2: the account leaves if its own nick is blocked, and the session is told", function ()
			local s, phone = in_room_here();
			blocks(phone, "block", "room@rooms.example.org/Alice");
			s:wait(600);
			assert.same({}, s:occupants());
			assert.same({ "presence unavailable room/Alice 110"; "iq result -" }, seen(phone));
			assert.is_true(s:is_forgotten());
		end);

		it("R2: the account leaves if the room gives it a blocked nick, also while messages arrive", function ()
			local s, phone = in_room_here();
			blocks(phone, "block", "room@rooms.example.org/Troll");
			s.room:rename("Alice", "Troll");
			for _ = 1, 60 do
				s.room:say("Bob", "noise");
				s:wait(1);
			end
			assert.same({}, s:occupants());
			s:wait(600);
			assert.equal("presence unavailable room/Troll 110", table.remove(seen(phone)));
			assert.is_true(s:is_forgotten());
		end);

		it("R6: messages of a blocked occupant are dropped, without an error to the room", function ()
			-- An option of 13.0. On 0.12 it is always on.
			local s, phone = in_room_here { options = { bounce_blocked_messages = true } };
			blocks(phone, "block", "room@rooms.example.org/Bob");
			phone:take();
			s.room:say("Bob", "hi");
			s.room:whisper("Bob", "Alice", "hi");
			s:deliver();
			s:wait(60);
			assert.same({}, seen(phone));
			assert.same({ "Alice" }, s:occupants());
		end);

		it("H2: history contains no messages of a blocked occupant", function ()
			local s, phone = in_room_here();
			s.room:enter "Carol";
			s.room:say("Bob", "from Bob");
			s.room:say("Carol", "from Carol");
			s:wait(2);
			blocks(phone, "block", "room@rooms.example.org/Bob");
			local laptop = s:client "laptop";
			laptop:send(join "Alice");
			s:deliver();
			assert.same({
				"presence - room/Carol"; "presence - room/Alice 110"; "message groupchat room/Carol from Carol";
				"message groupchat room subject:";
			}, seen(laptop));
		end);
	end);

	it("P3: messages of a blocked occupant are not fetched from the room's archive", function ()
		local s, phone = in_room();
		mam.keep(s.room);
		s.room:enter "Carol";
		s.room:say("Bob", "before");
		s:wait(2);
		blocks(phone, "block", "room@rooms.example.org/Bob");
		phone:take();
		s.room:forget "Alice";
		s.room:say("Bob", "from Bob");
		s.room:say("Carol", "from Carol");
		s:link "destroyed";
		s:wait(60);
		assert.same({ "message groupchat room/Carol from Carol" }, seen(phone));
	end);

	it("P2: the account does not ask for its former nick while that is blocked", function ()
		local s = scene.new { remote = true, modules = { "blocklist" } };
		local phone = s:client "phone";
		s:enter(phone);
		s.room:enter "Bob";
		s.room:remove("Alice", "332");
		s.room:enter("Alice", { jid = "mallory@elsewhere.example/client" });
		s:wait(60);
		assert.same({ "Alice_" }, s:occupants());
		blocks(phone, "block", "room@rooms.example.org/Alice");
		s.room:remove("Alice_", "332");
		s:wait(60);
		assert.same({ "Alice_" }, s:occupants());
		s.room:leave "mallory@elsewhere.example/client";
		s:wait(3600);
		assert.same({ "Alice_" }, s:occupants());
	end);
end);

describe("blocking an address without effect on rooms", function ()
	it("L2: leaves the account in its rooms", function ()
		local s, phone = in_room();
		blocks(phone, "block", "@");
		blocks(phone, "block", "other@rooms.example.org");
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
	end);
end);
