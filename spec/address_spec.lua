-- O5: a changed `minimix_resource` leaves rooms under the former address before it joins under the present one.

local jid = require "util.jid";
local scene = require "support.scene";

local seen = scene.seen;
local room_jid = "room@rooms.example.org";

local function full(resource)
	return jid.join("alice", "example.org", resource or nil);
end

local function jids_of(s)
	local jids = {};
	for _, occupant in ipairs(s.room.occupants) do
		if not occupant.inbox then table.insert(jids, occupant.jid); end
	end
	return jids;
end

-- Returns the joins and leaves that reached the room since the last call, as "leave <sender>" and "join <sender>".
local function moves(s)
	local lines = {};
	for _, stanza in ipairs(s:arrived()) do
		if stanza.name == "presence" then
			local is_join = stanza:get_child("x", "http://jabber.org/protocol/muc");
			table.insert(lines, (is_join and "join " or stanza.attr.type and "leave " or "update ")..stanza.attr.from);
		end
	end
	return lines;
end

local function in_room(resource, remote)
	return scene.in_room { resource = resource; remote = remote };
end

-- The changes from one address to another. "minimix" is the default.
local changes = {
	{ about = "the bare JID to a full one"; from = false; to = "minimix" };
	{ about = "a full JID to the bare one"; from = "minimix"; to = false };
	{ about = "one full JID to another"; from = "minimix"; to = "other" };
};

for _, change in ipairs(changes) do
	for _, remote in ipairs { false, true } do
		local where = ("from %s, in a room of %s server,"):format(change.about, remote and "another" or "this");

		describe("a changed minimix_resource, "..where, function ()
			for _, killed in ipairs { false, true } do
				it("O5: leaves under the former address before it joins, across a "..(killed and "kill" or "restart"), function ()
					local s = in_room(change.from, remote);
					s:change_resource(change.to);
					s:restart { killed = killed };
					s:wait(60);
					assert.same({ "leave "..full(change.from); "join "..full(change.to) }, moves(s));
					assert.same({ full(change.to) }, jids_of(s));
				end);
			end

			it("O5: changes the address on a reload, and sessions stay in the room", function ()
				local s, phone = in_room(change.from, remote);
				s:change_resource(change.to);
				s.host:reload();
				s:wait(60);
				assert.same({ "leave "..full(change.from); "join "..full(change.to) }, moves(s));
				assert.same({ full(change.to) }, jids_of(s));
				-- Nothing is new to them: the JID in their own presence is that of the session.
				assert.same({}, seen(phone));
				s.room:say("Bob", "hi");
				assert.same({ "message groupchat room/Bob hi" }, seen(phone));
			end);

			it("O5: leaves under the former address before a client's join, which is not delayed", function ()
				local s = in_room(change.from, remote);
				s:change_resource(change.to);
				s:restart();
				local phone = s:client "phone";
				phone:send(scene.join "Alice");
				s:deliver();
				assert.equal("leave "..full(change.from), moves(s)[1]);
				s:wait(60);
				assert.same({ full(change.to) }, jids_of(s));
				assert.equal("message groupchat room subject:", seen(phone)[3]);
			end);
		end);
	end
end

describe("a former address", function ()
	it("O5: is the bare JID for a record of a version that stored no address", function ()
		local record = { seen = os.time(); rooms = { [room_jid] = { nick = "Alice"; state = "in"; since = os.time() } } };
		local s = scene.new { storage = { ["example.org"] = { minimix = { alice = function () return record; end } } } };
		s.room:enter("Alice", { jid = "alice@example.org" });
		s.room:enter "Bob";
		s:wait(60);
		assert.same({ "leave alice@example.org"; "join alice@example.org/minimix" }, moves(s));
	end);

	it("L5: leaves are retried until the room confirms them, across a restart", function ()
		local s = in_room(false, true);
		s:change_resource();
		s:restart();
		local receive = s.room.receive;
		function s.room.receive(self, stanza)
			if stanza.attr.from ~= "alice@example.org" then return receive(self, stanza); end
			table.insert(self.received, stanza);
		end
		s:wait(120);
		assert.same({ "alice@example.org"; "alice@example.org/minimix" }, jids_of(s));
		s.host:restart();
		s.host:attach(s.room, { remote = true });
		s.room.receive = receive;
		s:wait(120);
		assert.same({ "alice@example.org/minimix" }, jids_of(s));
		moves(s);
		s:wait(3600);
		assert.same({ "update alice@example.org/minimix" }, moves(s)); -- without an attached session
	end);

	it("L5: a lost first leave is sent again", function ()
		local s = in_room(false, true);
		s:change_resource();
		s:restart();
		s:client("phone"):send(scene.join "Alice");
		s.host:drop();
		s:wait(120);
		assert.same({ "alice@example.org/minimix" }, jids_of(s));
	end);

	it("L5: a leave that was in flight is retried under this address only", function ()
		local s, phone = in_room(false, true);
		phone:send(scene.leave "Alice");
		s.host:drop();
		s:change_resource();
		s:restart();
		s:wait(60);
		assert.same({}, jids_of(s));
		assert.is_true(s:is_forgotten());
	end);

	it("R6: stanzas of the room to this address cause no error, and reach no client", function ()
		local s = in_room(false, true);
		s:change_resource();
		s:restart();
		local phone = s:client "phone";
		for _, stanza in ipairs {
			"<message type='groupchat' id='g1'><body>hi</body></message>";
			"<message type='error' id='g2'>"..scene.error("cancel", "forbidden").."</message>";
			"<presence>"..scene.status().."</presence>";
			"<presence type='unavailable'>"..scene.status().."</presence>";
		} do
			assert.is_true(s:from("Bob", stanza, "alice@example.org"), stanza);
		end
		assert.same({}, seen(phone));
	end);

	it("L6: leaves when the account is deleted", function ()
		local s = in_room(false, true);
		s:change_resource();
		s:restart();
		s.host:delete_user "alice";
		s:wait(60);
		assert.same({}, jids_of(s));
		assert.is_nil(s.host.storage["example.org"].minimix.alice);
	end);
end);
