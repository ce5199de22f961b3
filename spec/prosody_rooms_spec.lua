-- The main flows with Prosody's own mod_muc as the service.

local scene = require "support.scene";

local join, leave, message, presence, query, seen, whisper =
	scene.join, scene.leave, scene.message, scene.presence, scene.query, scene.seen, scene.whisper;

local owner_form = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"
	.."<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>%s</x></query>";

local function admin(item)
	return "<query xmlns='http://jabber.org/protocol/muc#admin'>"..item.."</query>";
end

local function contains(list, line)
	for _, candidate in ipairs(list) do
		if candidate == line then return true; end
	end
	return false;
end

for _, resource in ipairs { false, "minimix" } do
	describe("in a room of Prosody, with the account's "..(resource and "full" or "bare").." JID,", function ()
		-- Returns a scene with Alice's phone and laptop in a room that she created, and Bob.
		local function in_room(modules)
			local s = scene.new { prosody = true, resource = resource, modules = modules };
			local phone, laptop, bob = s:client "phone", s:client "laptop", s:client("phone", "bob");
			phone:send(join "Alice");
			phone:send(query(owner_form:format "", { id = "own", type = "set" }));
			laptop:send(join("Alice", { id = "j2" }));
			bob:send(join "Bob");
			return s, phone, laptop, bob;
		end

		local function settled_room(modules)
			local s, phone, laptop, bob = in_room(modules);
			for _, client in ipairs { phone, laptop, bob } do client:take(); end
			return s, phone, laptop, bob;
		end

		it("J1, J2, C7: a session creates it, and the next one attaches", function ()
			local s, phone, laptop, bob = in_room();
			assert.same({
				"presence - room/Alice 110 201"; "message groupchat room subject:"; "iq result room"; "presence - room/Bob";
			}, seen(phone));
			assert.same({ "presence - room/Alice 110"; "message groupchat room subject:"; "presence - room/Bob" }, seen(laptop));
			local got = seen(bob);
			assert.equal("presence - room/Alice", got[1]);
			assert.equal("presence - room/Bob 110", got[2]);
			assert.same({}, s.host.unhandled);
		end);

		it("C1, R1: each occupant receives a message once", function ()
			local _, phone, laptop, bob = settled_room();
			phone:send(message("hi", { id = "m1" }));
			bob:send(message("hello", { id = "m1" }));
			local expected = { "message groupchat room/Alice hi"; "message groupchat room/Bob hello" };
			for _, client in ipairs { phone, laptop, bob } do
				assert.same(expected, seen(client));
			end
		end);

		it("C6: private messages work in both directions", function ()
			local _, phone, laptop, bob = settled_room { "carbons" };
			laptop:send("<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
			laptop:take();
			phone:send(whisper("Bob", "psst", { content = "<x xmlns='http://jabber.org/protocol/muc#user'/>" }));
			assert.same({ "message chat room/Alice psst" }, seen(bob));
			assert.same({ "message chat alice@example.org carbon:psst" }, seen(laptop));
			bob:send(whisper("Alice", "yes?"));
			assert.same({ "message chat room/Bob yes?" }, seen(phone));
			assert.same({ "message chat room/Bob yes?" }, seen(laptop));
		end);

		it("C3: an owner kicks", function ()
			local _, phone, laptop, bob = settled_room();
			phone:send(query(admin "<item nick='Bob' role='none'/>", { id = "kick", type = "set" }));
			local got = scene.take(phone);
			local lines = scene.lines(got);
			assert.is_true(contains(lines, "iq result room"));
			assert.is_true(contains(lines, "presence unavailable room/Bob 307"));
			assert.same({ "presence unavailable room/Bob 307" }, seen(laptop));
			assert.same({ "presence unavailable room/Bob 110 307" }, seen(bob));
		end);

		it("R2, C7: an owner destroys it", function ()
			local s, phone, laptop, bob = settled_room();
			phone:send(query("<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='other@rooms.example.org'/></query>",
				{ id = "destroy", type = "set" }));
			assert.is_true(contains(seen(phone), "iq result room"));
			assert.matches("^presence unavailable room/Alice", seen(laptop)[1]);
			assert.matches("^presence unavailable room/Bob", seen(bob)[1]);
			s:wait(3600);
			assert.is_true(s:is_forgotten());
		end);

		it("C5: an occupant's query to the account's client is answered", function ()
			local _, phone, laptop, bob = settled_room();
			bob:send(query("<query xmlns='jabber:iq:version'/>", { id = "v1", to = "Alice" }));
			local asked = scene.take(phone)[1] or scene.take(laptop)[1];
			assert.equal("iq get room/Bob query", scene.line(asked));
			phone:send(("<iq type='result' id='%s' to='room@rooms.example.org/Bob'><query xmlns='jabber:iq:version'><name>N</name></query></iq>")
				:format(asked.attr.id));
			local got = scene.take(bob);
			assert.equal("v1", got[1].attr.id);
			assert.equal("iq result room/Alice query", scene.line(got[1]));
		end);

		it("C5: an occupant's query for the account's vCard is answered", function ()
			local _, phone, laptop, bob = settled_room { "vcard" };
			phone:send("<iq type='set' id='v0'><vCard xmlns='vcard-temp'><FN>Alice</FN></vCard></iq>");
			phone:take();
			bob:send(query("<vCard xmlns='vcard-temp'/>", { id = "v1", to = "Alice" }));
			local got = scene.take(bob);
			assert.equal("v1", got[1].attr.id);
			assert.equal("Alice", got[1]:find "{vcard-temp}vCard/FN#");
			assert.same({}, seen(phone));
			assert.same({}, seen(laptop));
		end);

		it("C2: all sessions see a nick change, and one session the error for a taken nick", function ()
			local _, phone, laptop, bob = settled_room();
			laptop:send(presence("Bob", { id = "n1" }));
			assert.same({ "presence error room/Bob cancel conflict" }, seen(laptop));
			assert.same({}, seen(phone));
			laptop:send(presence("Alicia", { id = "n2" }));
			local expected = { "presence unavailable room/Alice 110 303"; "presence - room/Alicia 110" };
			assert.same(expected, seen(phone));
			assert.same(expected, seen(laptop));
			assert.equal("presence - room/Alicia", seen(bob)[2]);
		end);

		it("C7: a visitor requests voice, and an owner is asked", function ()
			local _, phone, laptop, bob = settled_room();
			phone:send(query(owner_form:format "<field var='muc#roomconfig_moderatedroom'><value>1</value></field>", { id = "own", type = "set" }));
			phone:send(query(admin "<item nick='Bob' role='visitor'/>", { id = "mute", type = "set" }));
			seen(phone);
			seen(laptop);
			seen(bob);
			bob:send(message("hi", { id = "m1" }));
			assert.same({ "message error room auth forbidden" }, seen(bob));
			bob:send(message(nil, { type = "normal", content = "<x xmlns='jabber:x:data' type='submit'>"
				.."<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field>"
				.."<field var='muc#role'><value>participant</value></field></x>" }));
			assert.same({ "message normal room" }, seen(phone));
			assert.same({ "message normal room" }, seen(laptop));
		end);

		it("L1, L3: sessions come and go, and the account stays until the last one leaves", function ()
			local s, phone, laptop, bob = settled_room();
			phone:lose();
			assert.same({}, seen(bob));
			laptop:send(leave "Alice");
			assert.same({ "presence unavailable room/Alice 110" }, seen(laptop));
			assert.same({ "presence unavailable room/Alice" }, seen(bob));
			assert.is_true(s:is_forgotten());
		end);

		it("J4: one session fails, and the next succeeds", function ()
			local s = scene.new { prosody = true, resource = resource };
			local bob, phone, laptop = s:client("phone", "bob"), s:client "phone", s:client "laptop";
			bob:send(join "Bob");
			bob:send(query(owner_form:format "<field var='muc#roomconfig_roomsecret'><value>secret</value></field>", { id = "own", type = "set" }));
			seen(bob);
			phone:send(join "Alice");
			assert.same({ "presence error room/Alice auth not-authorized" }, seen(phone));
			laptop:send(join("Alice", { muc = "<password>secret</password>" }));
			assert.is_true(contains(seen(laptop), "presence - room/Alice 110"));
		end);

		it("J6: a session that needs a real join gets all of the answer, and no other session does", function ()
			local _, phone, laptop = settled_room();
			laptop:send(join("Alice", { id = "mav", muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
			local got = seen(laptop);
			assert.equal("presence - room/Bob", got[1]);
			assert.equal("presence - room/Alice 110", got[2]);
			assert.equal("message groupchat room subject:", got[#got]);
			assert.same({}, seen(phone));
		end);

		it("R6: a session that ends with unacknowledged stanzas causes no error", function ()
			local _, phone, laptop, bob = settled_room();
			phone:hibernate();
			bob:send(message "one");
			bob:send(presence("Bob", { content = "<show>away</show>" }));
			phone:expire();
			bob:send(message "two");
			assert.same({
				"message groupchat room/Bob one"; "presence - room/Bob away"; "message groupchat room/Bob two";
			}, seen(laptop));
		end);
	end);
end
