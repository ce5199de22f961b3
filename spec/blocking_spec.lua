-- XEP-0191: what the account has blocked it does not hear of, and is not in. See e2e/blocking.test.ts for rooms here.

local scene = require "support.scene";

local join, seen = scene.join, scene.seen;

local function blocks(client, command, address)
	client:send(("<iq type='set' id='b1'><%s xmlns='urn:xmpp:blocking'><item jid='%s'/></%s></iq>"):format(command, address, command));
end

-- "Alice" is in a room elsewhere with the phone.
local function in_room()
	local s = scene.new { remote = true, modules = { "blocklist" } };
	s.room:enter "Bob";
	local phone = s:client "phone";
	s:enter(phone);
	return s, phone;
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

for _, address in ipairs { "room@rooms.example.org", "rooms.example.org" } do
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

describe("a room that was blocked while the module was not there", function ()
	it("P1: is left and not joined", function ()
		local s, phone = in_room();
		s.host:unload();
		s:deliver();
		blocks(phone, "block", "room@rooms.example.org");
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

describe("a room that is not blocked any more", function ()
	it("J1: is joined as ever, though the account was still asking", function ()
		local s, phone = in_room();
		blocks(phone, "block", "room@rooms.example.org");
		s:wait(10);
		blocks(phone, "unblock", "room@rooms.example.org");
		phone:take();
		phone:send(join "Alice");
		s:wait(3600);
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
		assert.same({ "Alice" }, s:occupants());
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
