-- Messages that sessions send, private messages, and messages about rooms (invitations, voice requests).

local scene = require "support.scene";

local leave, message, seen, whisper = scene.leave, scene.message, scene.seen, scene.whisper;

local function last(list)
	return list[#list];
end

local function enable_carbons(client)
	client:send("<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
	client:take();
end

local function refusal(id, kind, condition)
	return "<message type='error'"..(id and " id='"..id.."'" or "")..">"..scene.error(kind or "auth", condition or "forbidden").."</message>";
end

describe("a message to the room", function ()
	scene.everywhere(function (new_scene)
		it("C1: is sent from the account and comes back to all its sessions", function ()
			local s = new_scene();
			local bob = s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			phone:send(message("hi", { id = "m7" }));
			s:deliver();
			assert.same({ "alice message groupchat room hi" }, s:upstream());
			assert.equal("message groupchat room/Alice hi", scene.line(last(bob.inbox)));
			for _, client in ipairs { phone, laptop } do
				local got = scene.take(client);
				assert.equal(1, #got);
				assert.equal("message groupchat room/Alice hi", scene.line(got[1]));
				assert.equal("m7", got[1].attr.id);
			end
		end);

		it("C1: returns its error to the session that sent it, and to no other", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			s.room:set_role("Alice", "visitor");
			seen(phone);
			seen(laptop);
			laptop:send(message("hi", { id = "m7" }));
			s:deliver();
			assert.same({}, seen(phone));
			assert.equal("m7", laptop.inbox[1].attr.id);
			assert.same({ "message error room auth forbidden" }, seen(laptop));
		end);

		it("C8: passes unchanged from a session that has not joined", function ()
			local s = new_scene();
			local phone, tablet = s:client "phone", s:client "tablet";
			s:enter(phone);
			tablet:send(message "hi");
			tablet:send(whisper("Bob", "psst"));
			s:deliver();
			assert.same({
				"alice/tablet message groupchat room hi"; "alice/tablet message chat room/Bob psst";
			}, s:upstream());
			assert.same({
				"message error room modify not-acceptable"; "message error room/Bob modify not-acceptable";
			}, seen(tablet));
			assert.same({}, seen(phone));
		end);
	end);

	it("C1: is sent with its payload", function ()
		local s, phone = scene.two_devices();
		phone:send("<message id='m7' type='groupchat' to='room@rooms.example.org' xml:lang='de'><body>hi</body>"
			.."<origin-id xmlns='urn:xmpp:sid:0' id='m7'/><replace xmlns='urn:xmpp:message-correct:0' id='m6'/>"
			.."<markable xmlns='urn:xmpp:chat-markers:0'/></message>");
		assert.equal("<message from='alice@example.org/minimix' id='m7' to='room@rooms.example.org' type='groupchat' xml:lang='de'><body>hi</body>"
			.."<origin-id id='m7' xmlns='urn:xmpp:sid:0'/><replace id='m6' xmlns='urn:xmpp:message-correct:0'/>"
			.."<markable xmlns='urn:xmpp:chat-markers:0'/></message>", s.host.xml(s:arrived()[1]));
	end);

	it("C1: sets the subject", function ()
		local _, phone, laptop = scene.two_devices();
		phone:send(message(nil, { content = "<subject>Tea</subject>" }));
		assert.same({ "message groupchat room/Alice subject:Tea" }, seen(phone));
		assert.same({ "message groupchat room/Alice subject:Tea" }, seen(laptop));
	end);

	it("C1: may have no id", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send("<message type='groupchat' to='room@rooms.example.org'><body>hi</body></message>");
		assert.is_nil(s:arrived()[1].attr.id);
		s:from(nil, refusal());
		assert.same({ "message error room auth forbidden" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	for whose, remote in pairs { this = false, another = true } do
		it("C1: may have an id that another session uses, in a room of "..whose.." server", function ()
			local s, phone, laptop = scene.two_devices { remote = remote };
			s.room:set_role("Alice", "visitor");
			seen(phone);
			seen(laptop);
			phone:send(message("from the phone", { id = "same" }));
			laptop:send(message("from the laptop", { id = "same" }));
			s:deliver();
			assert.same({ "message error room auth forbidden" }, seen(phone));
			assert.same({ "message error room auth forbidden" }, seen(laptop));
		end);
	end

	it("C1: returns its error although history came when the session had left", function ()
		local s = scene.new { remote = true };
		s.room:enter "Alice";
		s.room:say("Alice", "before");
		s.room:leave "Alice";
		local phone = s:client "phone";
		local release = scene.hold_back(s.room);
		phone:send(scene.join "Alice");
		s:deliver();
		release(1);
		phone:send(scene.leave("Alice", { id = "l1" }));
		phone:send(message("late", { id = "m2" }));
		release();
		s:wait(5);
		local lines = seen(phone);
		assert.equal("message error room modify not-acceptable", lines[#lines]);
	end);

	it("C1: may have the id of another session's message that succeeded", function ()
		local s, phone, laptop = scene.two_devices { remote = true };
		phone:send(message("first", { id = "same" }));
		s:deliver();
		seen(phone);
		seen(laptop);
		s.room:set_role("Alice", "visitor");
		seen(phone);
		seen(laptop);
		laptop:send(message("second", { id = "same" }));
		s:deliver();
		assert.same({}, seen(phone));
		assert.same({ "message error room auth forbidden" }, seen(laptop));
	end);

	it("C1: returns its error once", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(message("hi", { id = "m7" }));
		s:from(nil, refusal "m7");
		s:from(nil, refusal "m7");
		assert.same({ "message error room auth forbidden" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C1: returns a late error", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(message("hi", { id = "m7" }));
		s.host:tick(60);
		for i = 1, 20 do
			s:from("Bob", "<message type='groupchat' id='b"..i.."'><body>hi</body></message>");
		end
		seen(phone);
		seen(laptop);
		s:from(nil, refusal "m7");
		assert.same({ "message error room auth forbidden" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C1: returns its error to no session when the sender has ended", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(message("hi", { id = "m7" }));
		phone:close();
		s:from(nil, refusal "m7");
		assert.same({}, seen(laptop));
	end);

	it("C1: returns no error to another session with the same full JID", function ()
		local s, phone = scene.two_devices();
		s.room.silent = true;
		phone:send(message("hi", { id = "m7" }));
		phone:close();
		local successor = s:client "phone";
		s:from(nil, refusal "m7");
		assert.same({}, seen(successor));
	end);

	it("C1: keeps its error while the sender hibernates", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(message("hi", { id = "m7" }));
		phone:hibernate();
		s:from(nil, refusal "m7");
		phone:resume();
		assert.same({ "message error room auth forbidden" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C1: returns no error of another message", function ()
		local s, phone, laptop = scene.two_devices();
		s:add_room("den", { silent = true });
		s:enter(phone, "Grizzly", { room = "den" });
		s.room.silent = true;
		phone:send(message("hi", { id = "m7" }));
		s:from("den@rooms.example.org", refusal "m7");
		s:from("room@elsewhere.example", refusal "m7");
		phone:take();
		s:from(nil, refusal "m7");
		assert.same({ "message error room auth forbidden" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C1: is not confused with another session's message of the same id", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(message("hi", { id = "m7" }));
		s:from("Bob", "<message type='groupchat' id='m7'><body>mine</body></message>");
		seen(phone);
		seen(laptop);
		s:from(nil, refusal "m7");
		assert.same({ "message error room auth forbidden" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C1: appears under the nick of the account, also when sent to another nick", function ()
		local s, phone, laptop = scene.two_devices();
		s.room:rename("Alice", "Alicia");
		seen(phone);
		seen(laptop);
		laptop:send(message "hi");
		assert.same({ "message groupchat room/Alicia hi" }, seen(phone));
	end);

	it("C1: keeps the order of sending", function ()
		local s, phone, laptop = scene.two_devices { remote = true };
		phone:send(message("1", { id = "a" }));
		laptop:send(message("2", { id = "b" }));
		phone:send(message("3", { id = "c" }));
		s:deliver();
		local expected = {
			"message groupchat room/Alice 1"; "message groupchat room/Alice 2"; "message groupchat room/Alice 3";
		};
		assert.same(expected, seen(phone));
		assert.same(expected, seen(laptop));
	end);

	it("C8: passes unchanged where the account was in another room", function ()
		local s, phone = scene.two_devices();
		local den = s:add_room "den";
		phone:send(message("hi", { room = "den" }));
		assert.same({ "alice/phone message groupchat den hi" }, s:upstream(den));
	end);

	it("C8: passes unchanged from a session that has left", function ()
		local s, phone = scene.two_devices();
		phone:send(leave "Alice");
		seen(phone);
		phone:send(message "hi");
		assert.same({ "alice/phone message groupchat room hi" }, s:upstream());
		assert.same({ "message error room modify not-acceptable" }, seen(phone));
	end);

	it("C8: passes unchanged in a different case", function ()
		local s, phone, laptop = scene.two_devices();
		phone:send("<message type='groupchat' id='m1' to='Room@Rooms.Example.ORG'><body>hi</body></message>");
		assert.same({ "alice message groupchat room hi" }, s:upstream());
		assert.same({ "message groupchat room/Alice hi" }, seen(laptop));
	end);
end);

describe("a private message", function ()
	scene.everywhere(function (new_scene)
		it("C6: is sent from the account", function ()
			local s = new_scene();
			local bob = s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(whisper("Bob", "psst", { id = "m7", content = "<x xmlns='http://jabber.org/protocol/muc#user'/>" }));
			s:deliver();
			assert.same({ "alice message chat room/Bob psst" }, s:upstream());
			assert.equal("message chat room/Alice psst", scene.line(last(bob.inbox)));
			assert.equal("m7", last(bob.inbox).attr.id);
		end);

		it("C6: goes to the attached sessions, once each", function ()
			local s = new_scene { modules = { "carbons" } };
			s.room:enter "Bob";
			local phone, laptop, stranger = s:client "phone", s:client "laptop", s:client "stranger";
			for _, client in ipairs { phone, laptop, stranger } do
				enable_carbons(client);
			end
			s:enter(phone);
			s:enter(laptop);
			s.room:whisper("Bob", "Alice", "psst");
			assert.same({ "message chat room/Bob psst" }, seen(phone));
			assert.same({ "message chat room/Bob psst" }, seen(laptop));
			assert.same({}, seen(stranger));
			assert.same({}, s.host.unhandled);
		end);

		it("C6: is copied to the account's other attached sessions", function ()
			local s = new_scene { modules = { "carbons" } };
			s.room:enter "Bob";
			local phone, laptop, plain, stranger = s:client "phone", s:client "laptop", s:client "plain", s:client "stranger";
			for _, client in ipairs { phone, laptop, stranger } do
				enable_carbons(client);
			end
			for _, client in ipairs { phone, laptop, plain } do
				s:enter(client);
			end
			phone:send(whisper("Bob", "psst", { id = "m7" }));
			s:deliver();
			assert.same({}, seen(phone));
			assert.same({}, seen(plain));
			assert.same({}, seen(stranger));
			local got = scene.take(laptop);
			assert.equal(1, #got);
			assert.equal("alice@example.org", got[1].attr.from);
			local sent = got[1]:find "{urn:xmpp:carbons:2}sent/{urn:xmpp:forward:0}forwarded/{jabber:client}message";
			assert.equal("m7", sent.attr.id);
			assert.equal("room@rooms.example.org/Bob", sent.attr.to);
			assert.equal("alice@example.org/phone", sent.attr.from);
			assert.equal("psst", sent:get_child_text("body", "jabber:client") or sent:get_child_text "body");
			assert.same({ "alice message chat room/Bob psst" }, s:upstream());
		end);
	end);

	it("C6: is copied once, marked as one in a room", function ()
		local _, phone, laptop = scene.two_devices { modules = { "carbons" } };
		enable_carbons(laptop);
		phone:send(whisper("Bob", "psst", { content = "<x xmlns='http://jabber.org/protocol/muc#user'/>" }));
		assert.same({ "message chat alice@example.org carbon:psst" }, seen(laptop));
	end);

	it("C6: is copied to no session without mod_carbons", function ()
		local s, phone, laptop = scene.two_devices();
		phone:send(whisper("Bob", "psst"));
		assert.same({}, seen(laptop));
		assert.same({ "alice message chat room/Bob psst" }, s:upstream());
	end);

	for name, mark in pairs {
		private = "<private xmlns='urn:xmpp:carbons:2'/>";
		["not to be copied"] = "<no-copy xmlns='urn:xmpp:hints'/>";
	} do
		it("C6: is not copied when it is "..name, function ()
			local s, phone, laptop = scene.two_devices { modules = { "carbons" } };
			enable_carbons(laptop);
			phone:send(whisper("Bob", "psst", { content = mark }));
			assert.same({}, seen(laptop));
			assert.same({ "alice message chat room/Bob psst" }, s:upstream());
		end);
	end

	it("C6: leaves a message to a contact to mod_carbons", function ()
		local s, phone, laptop = scene.two_devices { modules = { "carbons" } };
		enable_carbons(laptop);
		s:client("phone", "bob");
		phone:send("<message type='chat' to='bob@example.org' id='m7'><body>hi</body></message>");
		assert.same({ "message chat alice@example.org carbon:hi" }, seen(laptop));
	end);

	it("C6: of a session that has not joined passes to mod_carbons", function ()
		local s, phone = scene.two_devices { modules = { "carbons" } };
		local stranger = s:client "stranger";
		enable_carbons(phone);
		stranger:send(whisper("Bob", "psst"));
		assert.same({ "alice/stranger message chat room/Bob psst" }, s:upstream());
		assert.same({ "message chat alice@example.org carbon:psst" }, seen(phone));
	end);

	it("C1, C6: returns its error to its sender only", function ()
		local _, phone, laptop = scene.two_devices { modules = { "carbons" } };
		enable_carbons(phone);
		enable_carbons(laptop);
		phone:send(whisper("Nobody", "psst", { id = "m7" }));
		assert.equal("m7", phone.inbox[1].attr.id);
		assert.same({ "message error room/Nobody cancel item-not-found" }, seen(phone));
		assert.same({ "message chat alice@example.org carbon:psst" }, seen(laptop));
	end);

	for _, resource in ipairs { false, "minimix" } do
		it("C6: is treated as any message without an attached session, as the account's "..(resource and "full" or "bare").." JID", function ()
			local s = scene.new { resource = resource };
			s.room:enter "Bob";
			local phone, stranger = s:client "phone", s:client "stranger";
			s:enter(phone);
			phone:close();
			stranger:take();
			s.room:whisper("Bob", "Alice", "psst");
			local got = stranger:take();
			assert.equal(1, #got);
			assert.equal("message chat room/Bob psst", scene.line(got[1]));
			assert.same({}, s:upstream());
		end);

		it("R6: without storage causes no error, as the account's "..(resource and "full" or "bare").." JID", function ()
			local s, phone = scene.in_room { resource = resource };
			phone:close();
			s:upstream();
			s.room:whisper("Bob", "Alice", "psst");
			s:from("Bob", "<message type='nonsense' id='m1'/>");
			assert.same({}, s:upstream());
			assert.same({ "Alice" }, s:occupants());
			local stranger = s:client "stranger";
			stranger:hibernate();
			s.room:whisper("Bob", "Alice", "psst");
			stranger:expire();
			assert.same({}, s:upstream());
			s:from("bob@elsewhere.example/client", "<message type='chat' id='m2'><body>hi</body></message>");
			assert.equal("error", s.host.outbox[#s.host.outbox].attr.type);
		end);
	end

	it("C6: without a body goes to the occupant only, and is not copied", function ()
		local s, phone, laptop, bob = scene.two_devices { modules = { "carbons" } };
		enable_carbons(laptop);
		local before = #bob.inbox;
		phone:send(whisper("Bob", nil, { content = "<composing xmlns='http://jabber.org/protocol/chatstates'/>" }));
		assert.equal(before + 1, #bob.inbox);
		assert.same({}, s.host.unhandled);
	end);

	it("C6: waits for hibernating sessions that did not receive it", function ()
		local s, phone, laptop = scene.two_devices();
		phone:hibernate();
		s.room:whisper("Bob", "Alice", "psst");
		phone:resume();
		assert.same({ "message chat room/Bob psst" }, seen(phone));
		assert.same({ "message chat room/Bob psst" }, seen(laptop));
	end);
end);

describe("messages about rooms", function ()
	local invitation = "<message><x xmlns='http://jabber.org/protocol/muc#user'>"
		.."<invite from='bob@elsewhere.example/client'><reason>come</reason></invite></x></message>";
	local decline = "<message><x xmlns='http://jabber.org/protocol/muc#user'>"
		.."<decline from='carol@elsewhere.example'><reason>no</reason></decline></x></message>";
	local invite_bob = "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@example.org'/></x>";
	local direct = "<message><x xmlns='jabber:x:conference' jid='other@rooms.example.org'/></message>";

	local function arrived_at(client)
		return scene.lines(client:take());
	end

	scene.everywhere(function (new_scene)
		it("C7: go to the account as without the module, in the room or not", function ()
			local s = new_scene();
			local phone, stranger = s:client "phone", s:client "stranger";
			for _, mail in ipairs { invitation, decline } do
				s:from(nil, mail, "alice@example.org");
				assert.same({ "message - room" }, arrived_at(phone));
				assert.same({ "message - room" }, arrived_at(stranger));
			end
			s:enter(phone);
			for _, mail in ipairs { invitation, decline } do
				s:from(nil, mail, "alice@example.org");
				assert.same({ "message - room" }, arrived_at(phone));
				assert.same({ "message - room" }, arrived_at(stranger));
			end
			s:from("bob@elsewhere.example/client", direct, "alice@example.org");
			assert.same({ "message - bob@elsewhere.example/client" }, arrived_at(phone));
			assert.same({ "message - bob@elsewhere.example/client" }, arrived_at(stranger));
		end);

		it("C7: are sent from the account if the session has joined", function ()
			local s = new_scene();
			local phone, bob = s:client "phone", s:client("phone", "bob");
			s:enter(phone);
			phone:send(message(nil, { type = "normal", content = invite_bob }));
			phone:send(message(nil, { type = "normal", content = "<x xmlns='jabber:x:data' type='submit'>"
				.."<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field></x>" }));
			s:deliver();
			assert.same({ "alice message normal room"; "alice message normal room" }, s:upstream());
			assert.same({ "message - room" }, arrived_at(bob));
		end);
	end);

	it("C7: are sent as without the module if the session has not joined", function ()
		local s = scene.new();
		local phone, stranger = s:client "phone", s:client "stranger";
		s:enter(phone);
		stranger:send(message(nil, { type = "normal", content = "<x xmlns='http://jabber.org/protocol/muc#user'>"
			.."<decline to='bob@elsewhere.example'/></x>" }));
		assert.same({ "alice/stranger message normal room" }, s:upstream());
	end);

	it("C7: are copied to no session", function ()
		local s, phone, laptop = scene.two_devices { modules = { "carbons" } };
		enable_carbons(laptop);
		s:client("phone", "bob");
		phone:send(message(nil, { type = "normal", content = invite_bob }));
		assert.same({ "alice message normal room" }, s:upstream());
		assert.same({}, seen(laptop));
	end);

	it("C6: are private messages if an occupant sends them", function ()
		local s, phone = scene.two_devices();
		local stranger = s:client "stranger";
		s:from("Bob", "<message type='chat'><body>come</body><x xmlns='jabber:x:conference' jid='other@rooms.example.org'/></message>");
		assert.equal(1, #phone:take());
		assert.same({}, stranger:take());
	end);

	it("C1, C7: return their errors to their sender", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(message(nil, { id = "i1", type = "normal", content = invite_bob }));
		s:from(nil, refusal "i1");
		assert.same({ "message error room auth forbidden" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C7: tell an account outside of the room about an affiliation", function ()
		local s = scene.new();
		local phone = s:client "phone";
		s:from(nil, "<message><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' jid='alice@example.org'/></x></message>",
			"alice@example.org");
		assert.same({ "message - room" }, arrived_at(phone));
	end);
end);
