-- XEP-0191: what the account has blocked it does not hear of, and is not in. See e2e/blocking.test.ts for rooms here.

local scene = require "support.scene";
local mam = require "support.mam";

local join, seen = scene.join, scene.seen;

local function blocks(client, command, address)
	client:send(("<iq type='set' id='b1'><%s xmlns='urn:xmpp:blocking'><item jid='%s'/></%s></iq>"):format(command, address, command));
end

-- "Alice" is in a room elsewhere with the phone.
local function in_room()
	return scene.in_room { remote = true, modules = { "blocklist" } };
end

-- How many leaves the room gets from now on.
local function leaves_of(s)
	local count = 0;
	function s.room.receive(room, stanza)
		if stanza.name == "presence" and stanza.attr.type == "unavailable" then count = count + 1; end
		return getmetatable(room).__index.receive(room, stanza);
	end
	return function () return count; end;
end

-- The room, its service, and the account's own nick in it.
local addresses = { "room@rooms.example.org", "rooms.example.org", "room@rooms.example.org/Alice" };

for _, address in ipairs(addresses) do
	describe("a room elsewhere, when "..address.." is blocked,", function ()
		it("L2: is left, and the session is told at once", function ()
			local s, phone = in_room();
			blocks(phone, "block", address);
			assert.same({ "presence unavailable room/Alice 110"; "iq result -" }, seen(phone));
			s:deliver();
			assert.same({}, s:occupants());
			s.room:say("Bob", "hi");
			assert.same({}, phone:take());
		end);

		it("L5: is left though the first leave gets lost, and nobody asks for ever", function ()
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

-- How many joins and self-pings the room gets from now on.
local function questions_of(s)
	local count = 0;
	function s.room.receive(room, stanza)
		if stanza.name == "iq" or stanza.name == "presence" and not stanza.attr.type then count = count + 1; end
		return getmetatable(room).__index.receive(room, stanza);
	end
	return function () return count; end;
end

for _, address in ipairs(addresses) do
	describe("a room elsewhere, when "..address.." was blocked while the module was not there,", function ()
		it("P1: is left and not joined", function ()
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

	describe("a room elsewhere, when "..address.." is blocked and another module has kept that from this one,", function ()
		it("P2: is left once it does not answer, and nobody asks for ever", function ()
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

	describe("a room elsewhere, when "..address.." is not blocked any more,", function ()
		it("J1: is joined as ever, though the account was still asking", function ()
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

		it("L2: that is the account's own makes it leave, and the session is told", function ()
			local s, phone = in_room_here();
			blocks(phone, "block", "room@rooms.example.org/Alice");
			s:wait(600);
			assert.same({}, s:occupants());
			assert.same({ "presence unavailable room/Alice 110"; "iq result -" }, seen(phone));
			assert.is_true(s:is_forgotten());
		end);

		it("R2: that a room gives the account makes it leave, however much is said", function ()
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

		it("R6: of another is not heard, and no error tells the room so", function ()
			-- For 13.0; 0.12 always does.
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

		it("H2: of another is not heard of what it said before either", function ()
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

	it("P3: of another is not heard of what the room's archive tells after a gap", function ()
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
		s.host:fire("s2sout-destroyed", {
			session = { type = "s2sout"; direction = "outgoing"; from_host = s.host.name; to_host = "rooms.example.org" };
		});
		s:wait(60);
		assert.same({ "message groupchat room/Carol from Carol" }, seen(phone));
	end);

	it("P2: is not asked for, though it is the one that the account wanted", function ()
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

describe("what is blocked in vain", function ()
	it("leaves the account where it is", function ()
		local s, phone = in_room();
		blocks(phone, "block", "@");
		blocks(phone, "block", "other@rooms.example.org");
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
	end);
end);
