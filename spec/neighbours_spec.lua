-- O6: other modules of the server see a room's traffic as they would without the module.

local scene = require "support.scene";

local join, leave, status = scene.join, scene.leave, scene.status;
local room_jid = "room@rooms.example.org";

describe("session.rooms_joined", function ()
	local function joined(client)
		local rooms = client.session.rooms_joined;
		return rooms and rooms[room_jid];
	end

	scene.everywhere(function (new_scene)
		it("O6: has the nick of each attached session, and of no other", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			assert.is_nil(joined(phone));
			s:enter(phone);
			assert.equal("Alice", joined(phone));
			assert.is_nil(joined(laptop));
			s:enter(laptop, "Alicia");
			assert.equal("Alice", joined(laptop));
			s.room:rename("Alice", "Alicia");
			assert.same({ "Alicia", "Alicia" }, { joined(phone), joined(laptop) });
			laptop:send(leave "Alicia");
			s:deliver();
			assert.same({ "Alicia" }, { joined(phone), joined(laptop) });
			s.room:kick "Alicia";
			assert.is_nil(joined(phone));
		end);

		it("O6: has no room with a pending or refused join", function ()
			local s = new_scene { room = { silent = true } };
			local phone = s:client "phone";
			phone:send(join "Alice");
			s:deliver();
			assert.is_nil(joined(phone));
			s:from("Alice", "<presence type='error' id='j1'>"..scene.error("auth", "forbidden").."</presence>");
			assert.is_nil(joined(phone));
		end);

		it("O6: exists in sessions from before the load, and survives a reload", function ()
			local s = new_scene();
			local phone = s:client "phone";
			s.host:unload();
			s.host:load();
			s:enter(phone);
			assert.equal("Alice", joined(phone));
			s.host:reload();
			assert.equal("Alice", joined(phone));
			s.host:unload();
			assert.is_nil(joined(phone));
		end);
	end);

	it("O6: keeps the entries of mod_track_muc_joins for excluded rooms", function ()
		local s = scene.new { modules = { "track_muc_joins" }; options = { minimix_exclude = "irc.example.org" } };
		local phone = s:client "phone";
		phone:send("<presence to='tea@irc.example.org/Alice'>"..scene.x().."</presence>");
		s.host:from_room("<presence from='tea@irc.example.org/Alice' to='"..phone.jid.."'>"..status "110".."</presence>");
		s:enter(phone);
		assert.equal("Alice", phone.session.rooms_joined["tea@irc.example.org"]);
		assert.equal("Alice", joined(phone));
	end);
end);

describe("an outgoing rule of the server against the account's join", function ()
	local bookmarks, pubsub = "urn:xmpp:bookmarks:1", "http://jabber.org/protocol/pubsub";

	local function bookmark(client, nick)
		client:send(([[<iq type='set' id='b1'><pubsub xmlns='%s'><publish node='%s'><item id='%s'>
			<conference xmlns='%s' autojoin='true'><nick>%s</nick></conference></item></publish></pubsub></iq>]]):gsub("\n%s*", "")
			:format(pubsub, bookmarks, room_jid, bookmarks, nick));
	end

	-- How a module refuses a presence, and the resulting error.
	local rules = {
		["bounces"] = { word = "policy-violation"; rule = function (event)
			event.origin.send(require "util.stanza".error_reply(event.stanza, "cancel", "policy-violation"));
		end };
		["drops"] = { word = "forbidden"; rule = function () end };
	};

	local function install(s, rule)
		local function handler(event)
			if event.stanza.attr.to:find("^room@rooms%.") and event.stanza.attr.type == nil then
				rule(event);
				return true;
			end
		end
		prosody.hosts[s.host.name].events.add_handler("pre-presence/full", handler, 1);
		return function () prosody.hosts[s.host.name].events.remove_handler("pre-presence/full", handler); end
	end

	local function open()
		return scene.new { modules = { "pep", "bookmarks" }; options = { minimix_rejoin_rate = 5 } };
	end

	local function rooms_of(s)
		local lines = {};
		local commands = s.host:module():shared "/*/admin_shell/env".minimix;
		commands.rooms({ session = { print = function (line) table.insert(lines, line); end } }, "alice@"..s.host.name);
		return table.concat(lines, "\n");
	end

	for way, case in pairs(rules) do
		it("O7: applies to a join by bookmark, until the bookmark changes; it "..way, function ()
			local s = open();
			local remove = install(s, case.rule);
			local phone = s:client "phone";
			bookmark(phone, "Alice");
			s:wait(3600);
			assert.same({}, s:upstream());
			assert.equal(room_jid..": forbidden by this server ("..case.word..") until its bookmark changes", rooms_of(s));
			remove();
			s:wait(3600);
			assert.same({}, s:upstream());
			bookmark(phone, "Alicia");
			s:wait(10);
			assert.same({ "Alicia" }, s:occupants());
			assert.not_matches("forbidden", rooms_of(s));
		end);

		it("O7: ends the membership when the account rejoins; it "..way, function ()
			local s = scene.new();
			local phone = s:client "phone";
			s:enter(phone);
			install(s, case.rule);
			s.room:remove("Alice", "332");
			s:wait(60);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
			assert.same({ "presence unavailable room/Alice 110 333" }, scene.seen(phone));
		end);
	end

	it("O7: leads to a retry if its error is of type wait", function ()
		local s = open();
		local remove = install(s, function (event)
			event.origin.send(require "util.stanza".error_reply(event.stanza, "wait", "policy-violation"));
		end);
		bookmark(s:client "phone", "Alice");
		s:wait(60);
		assert.same({}, s:occupants());
		remove();
		s:wait(120);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("O7: has no effect if it fails with a Lua error", function ()
		local s = open();
		install(s, function () error "out of order"; end);
		bookmark(s:client "phone", "Alice");
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
		s.host:expect_error "A module failed on the join of alice";
	end);

	it("O7: sees the join with an origin like a session, and the account's address", function ()
		local s = open();
		local seen;
		prosody.hosts[s.host.name].events.add_handler("pre-presence/full", function (event)
			seen = seen or (event.stanza.attr.to and { event.origin.username, event.stanza.attr.from, event.stanza.attr.to });
		end, 1);
		bookmark(s:client "phone", "Alice");
		s:wait(60);
		assert.same({ "alice", s:occupant_jid(), room_jid.."/Alice" }, seen);
	end);
end);

describe("a module that fails on an event for push", function ()
	scene.everywhere(function (new_scene)
		for event, is_online in pairs { ["message/bare/groupchat"] = false; ["archive-message-added"] = true } do
			it("O8: affects no other module, on "..event, function ()
				local s = new_scene { modules = { "disco"; "pep"; "bookmarks"; "cloud_notify" } };
				local carol = s:client("phone", "carol");
				s:enter(carol, "Carol");
				s.room:enter "Bob";
				local phone = s:client "phone";
				s:enter(phone);
				if not is_online then phone:close(); end
				carol:take();
				prosody.hosts[s.host.name].events.add_handler(event, function () error "out of order"; end, 10);
				s.room:say("Bob", "alice, tea");
				s:deliver();
				s.host:expect_error("A module failed on "..event:gsub("%p", "%%%0")..".*out of order");
				assert.same({ "message groupchat room/Bob alice, tea" }, scene.seen(carol));
				if not is_online then phone = s:client "phone"; end
				phone:send(join "Alice");
				s:deliver();
				local bodies = {};
				for _, stanza in ipairs(scene.take(phone)) do table.insert(bodies, stanza:get_child_text "body"); end
				assert.equal("alice, tea", bodies[1]);
			end);
		end
	end);
end);

describe("a module that fails on what the account sends to a room", function ()
	it("O8: is named in the log, and later stanzas are sent", function ()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		s:enter(phone);
		prosody.hosts[s.host.name].events.add_handler("route/remote", function (event)
			if event.stanza:get_child_text "body" == "one" then error "out of order"; end
		end, 100);
		phone:send(scene.message "one");
		phone:send(scene.message "two");
		s:deliver();
		s.host:expect_error "A module failed on a message to room@.*out of order";
		assert.same({ "message groupchat room/Alice two" }, scene.seen(phone));
	end);
end);

describe("a copy of a message that a service sends to the account's bare JID", function ()
	for _, remote in ipairs { false, true } do
		local where = remote and "another" or "this";

		it("O6: is forked once if that is the occupant JID, in a room of "..where.." server", function ()
			local s = scene.new { resource = false; remote = remote };
			s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			local copy = "<message type='groupchat' id='m1'><body>hi</body>%s</message>";
			s:from("Bob", copy:format "");
			s:from("Bob", copy:format "<stanza-id xmlns='urn:xmpp:sid:0' by='room@rooms.example.org' id='s1'/>");
			assert.same({ "message groupchat room/Bob hi" }, scene.seen(phone));
			assert.equal(1, s.host:metric("drops", { "copy" }));
			s.host:tick(10);
			s:from("Bob", copy:format "");
			assert.same({ "message groupchat room/Bob hi" }, scene.seen(phone));
		end);

		it("O6: is forked once for each of two messages with one id, in a room of "..where.." server", function ()
			local s = scene.new { resource = false; remote = remote };
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			phone:send(scene.message "hi");
			laptop:send(scene.message "hi");
			s:deliver();
			assert.equal(2, #scene.seen(phone));
			assert.equal(2, #scene.seen(laptop));
			s:from("Alice", "<message type='groupchat' id='m1'><body>hi</body></message>");
			assert.same({}, scene.seen(phone));
		end);
	end

	it("O6: is an ordinary message if the occupant JID is a full JID", function ()
		local s = scene.new { bounces = true };
		local phone = s:client "phone";
		s:enter(phone);
		assert.is_false(s:from("Bob", "<message type='groupchat' id='m1'><body>hi</body></message>", "alice@example.org"));
		assert.same({}, scene.seen(phone));
	end);
end);

describe("a gateway that is a component of this server", function ()
	local function connected(event)
		prosody.hosts["rooms.example.org"].events.fire_event("component-"..event, { session = { host = "rooms.example.org" } });
	end

	it("R3: gets the account back soon after a restart, whatever error it sends for an unknown user", function ()
		for _, condition in ipairs { "not-acceptable"; "remote-server-not-found" } do
			local s = scene.new();
			s.room.on_iq = function (room, stanza)
				if stanza:get_child("ping", "urn:xmpp:ping") and not room:occupant(stanza.attr.from) then
					return require "util.stanza".error_reply(stanza, "cancel", condition);
				end
			end;
			local phone = s:client "phone";
			s:enter(phone);
			s.room:forget();
			connected "disconnected";
			connected "authenticated";
			s:wait(30);
			assert.same({ "Alice" }, s:occupants());
		end
	end);
end);
