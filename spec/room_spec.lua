local st = require "util.stanza";
local spec_host = require "support.host";
local spec_room = require "support.room";

local function join(nick, muc)
	return ("<presence id='j1' to='room@rooms.example.org/%s'><x xmlns='http://jabber.org/protocol/muc'>%s</x></presence>"):format(nick, muc or "");
end

local function summary(stanza)
	local parts = { stanza.name, stanza.attr.type or "-", stanza.attr.from };
	local x = stanza:get_child("x", "http://jabber.org/protocol/muc#user");
	for status in (x or st.stanza("x")):childtags("status") do
		table.insert(parts, status.attr.code);
	end
	local condition = stanza.attr.type == "error" and select(2, stanza:get_error());
	table.insert(parts, condition or stanza:get_child_text("body") or stanza:get_child_text("subject"));
	return (table.concat(parts, " "):gsub("room@rooms.example.org", "room"));
end

local function summaries(stanzas)
	local lines = {};
	for i, stanza in ipairs(stanzas) do
		lines[i] = summary(stanza);
	end
	return lines;
end

-- These specs run without the module: the room and the client exchange stanzas directly.
local function new_room(fields, options)
	local host = spec_host.new { module_file = "spec/support/fixtures/mod_relay.lua" };
	fields.jid = "room@rooms.example.org";
	local room = host:attach(spec_room.new(fields), options);
	return room, host:client("alice", "phone"), host;
end

describe("the room", function ()
	it("admits occupants, in the order of XEP-0045", function ()
		local room, phone = new_room { subject = "Tea" };
		room:enter("Bob");
		room:say("Bob", "early");
		phone:send(join "Alice");
		assert.same({
			"presence - room/Bob";
			"presence - room/Alice 110";
			"message groupchat room/Bob early";
			"message groupchat room Tea";
		}, summaries(phone:take()));
		assert.equal("presence - room/Alice", summary(room:occupant("Bob").inbox[3]));
	end);

	it("honours the requested history", function ()
		local room, phone, host = new_room {};
		room:enter("Bob");
		for i = 1, 3 do
			room:say("Bob", tostring(i));
			host:tick(10);
		end
		phone:send(join("Alice", "<history maxstanzas='1'/>"));
		phone:send(join("Alice", "<history maxstanzas='0'/>"));
		phone:send(join("Alice", "<history seconds='20'/>"));
		local bodies = {};
		for _, stanza in ipairs(phone:take()) do
			table.insert(bodies, stanza:get_child_text("body"));
		end
		assert.same({ "3", "2", "3" }, bodies);
	end);

	it("refuses, with the id of the join", function ()
		local room, phone = new_room { password = "secret"; creates = true };
		phone:send(join "Alice");
		assert.equal("j1", phone.inbox[1].attr.id);
		assert.same({ "presence error room/Alice not-authorized" }, summaries(phone:take()));
		room.password = nil;
		room:enter("Alice");
		phone:send(join "Alice");
		assert.same({ "presence error room/Alice conflict" }, summaries(phone:take()));
		room:leave("Alice");
		phone:send(join "Alice");
		assert.equal("presence - room/Alice 110 201", summary(phone:take()[1]));
	end);

	it("reflects messages with their id and its own", function ()
		local room, phone = new_room {};
		room:enter("Bob");
		phone:send(join "Alice");
		phone:take();
		phone:send("<message id='m1' type='groupchat' to='room@rooms.example.org'><body>hi</body></message>");
		local reflected = phone:take();
		assert.equal(1, #reflected);
		assert.equal("m1", reflected[1].attr.id);
		assert.equal("room@rooms.example.org", reflected[1]:get_child("stanza-id", "urn:xmpp:sid:0").attr.by);
		assert.equal("hi", room:occupant("Bob").inbox[3]:get_child_text("body"));
	end);

	it("forwards private messages and queries, and answers self-pings", function ()
		local room, phone = new_room {};
		local bob = room:enter("Bob");
		phone:send("<iq type='get' id='p0' to='room@rooms.example.org/Alice'><ping xmlns='urn:xmpp:ping'/></iq>");
		assert.equal("iq error room/Alice not-acceptable", summary(phone:take()[1]));
		phone:send(join "Alice");
		phone:take();
		phone:send("<message type='chat' to='room@rooms.example.org/Bob'><body>psst</body></message>");
		assert.equal("message chat room/Alice psst", summary(bob.inbox[#bob.inbox]));
		room:whisper("Bob", "Alice", "yes?");
		phone:send("<iq type='get' id='p1' to='room@rooms.example.org/Alice'><ping xmlns='urn:xmpp:ping'/></iq>");
		phone:send("<iq type='get' id='v1' to='room@rooms.example.org/Bob'><query xmlns='jabber:iq:version'/></iq>");
		assert.equal("v1", bob.inbox[#bob.inbox].attr.id);
		local id = room:query("Bob", "Alice", st.stanza("query", { xmlns = "jabber:iq:version" }));
		assert.same({ "message chat room/Bob yes?"; "iq result room/Alice"; "iq get room/Bob" }, summaries(phone.inbox));
		assert.equal(id, phone:take()[3].attr.id);
	end);

	it("changes nicks in pairs", function ()
		local room, phone = new_room {};
		room:enter("Bob");
		phone:send(join "Alice");
		phone:take();
		phone:send("<presence to='room@rooms.example.org/Bob'/>");
		phone:send("<presence to='room@rooms.example.org/Alicia'/>");
		room:rename("Bob", "Bert");
		assert.same({
			"presence error room/Bob conflict";
			"presence unavailable room/Alice 303 110";
			"presence - room/Alicia 110";
			"presence unavailable room/Bob 303";
			"presence - room/Bert";
		}, summaries(phone:take()));
	end);

	local ways_out = {
		leave = { function (room) room:leave("Alice"); end, "presence unavailable room/Alice 110" };
		kick = { function (room) room:kick("Alice"); end, "presence unavailable room/Alice 307 110" };
		ban = { function (room) room:ban("Alice"); end, "presence unavailable room/Alice 301 110" };
		shutdown = { function (room) room:remove("Alice", "332"); end, "presence unavailable room/Alice 332 110" };
		destruction = { function (room) room:destroy("other@rooms.example.org", "moved"); end, "presence unavailable room/Alice 110" };
	};
	for name, way in pairs(ways_out) do
		it("sends the final presence on "..name, function ()
			local room, phone = new_room {};
			phone:send(join "Alice");
			phone:take();
			way[1](room);
			assert.same({ way[2] }, summaries(phone:take()));
			assert.is_nil(room:occupant("Alice"));
		end);
	end

	it("forgets occupants without a stanza", function ()
		local room, phone = new_room {};
		phone:send(join "Alice");
		phone:take();
		room:forget();
		phone:send("<message type='groupchat' to='room@rooms.example.org'><body>hi</body></message>");
		assert.same({ "message error room not-acceptable" }, summaries(phone:take()));
	end);

	it("removes occupants that answer with an error", function ()
		local room, phone = new_room {};
		phone:send(join "Alice");
		phone:send("<message type='error' to='room@rooms.example.org'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>");
		assert.equal(1, #room.errors);
		assert.is_nil(room:occupant("Alice"));
	end);

	it("answers on delivery when it is remote", function ()
		local _, phone, host = new_room({}, { remote = true });
		phone:send(join "Alice");
		assert.same({}, phone:take());
		host:deliver();
		assert.same({ "presence - room/Alice 110"; "message groupchat room " }, summaries(phone:take()));
	end);
end);
