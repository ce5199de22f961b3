-- The presence and the nick that the account shows. The presence is the best one of its sessions.

local scene = require "support.scene";

local join, presence, seen = scene.join, scene.presence, scene.seen;

local function in_room(fields, first, second)
	local s = scene.new(fields);
	local phone, laptop = s:client "phone", s:client "laptop";
	s:enter(phone, "Alice", { content = first });
	s:enter(laptop, "Alice", { content = second or first });
	seen(phone);
	return s, phone, laptop;
end

local function show(value, priority)
	return (value and "<show>"..value.."</show>" or "")..(priority and "<priority>"..priority.."</priority>" or "");
end

describe("a presence to the room", function ()
	scene.everywhere(function (new_scene)
		it("C2: is sent from the account, and shown to all its sessions", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			phone:send(presence("Alice", { id = "p1", content = "<show>dnd</show><status>busy</status>" }));
			s:enter(laptop, "Alice", { content = "<show>xa</show>" });
			phone:send(presence("Alice", { id = "p2", content = "<show>away</show><status>gone</status>" }));
			s:deliver();
			local arrived = s:arrived();
			assert.equal(1, #arrived);
			assert.equal(s:occupant_jid(), arrived[1].attr.from);
			assert.equal("gone", arrived[1]:get_child_text "status");
			assert.same({ "presence - room/Alice 110 dnd"; "presence - room/Alice 110 away" }, seen(phone));
			assert.same({ "presence - room/Alice 110 away" }, seen(laptop));
		end);

		it("C2: to another nick changes the account's nick, which all its sessions see", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			laptop:send(presence("Alicia", { id = "n1" }));
			s:deliver();
			assert.same({ "alice presence - room/Alicia" }, s:upstream());
			local expected = { "presence unavailable room/Alice 110 303"; "presence - room/Alicia 110" };
			assert.same(expected, seen(phone));
			assert.same(expected, seen(laptop));
			assert.same({ "Alicia" }, s:occupants());
		end);

		it("C2: to a nick that is taken gets the error, for the session that asked", function ()
			local s = new_scene();
			s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			laptop:send(presence("Bob", { id = "n1" }));
			s:deliver();
			assert.same({}, seen(phone));
			assert.equal("n1", laptop.inbox[1].attr.id);
			assert.same({ "presence error room/Bob cancel conflict" }, seen(laptop));
			assert.same({ "Alice" }, s:occupants());
			s.room:say("Bob", "hi");
			assert.same({ "message groupchat room/Bob hi" }, seen(phone));
			assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
		end);

		it("C8: passes unchanged from a session that has not joined", function ()
			local s = new_scene();
			local phone, stranger = s:client "phone", s:client "stranger";
			s:enter(phone);
			stranger:send(presence("Alice", { content = "<show>away</show>" }));
			stranger:send(presence("Alice", { type = "unavailable" }));
			s:deliver();
			assert.same({
				"alice/stranger presence - room/Alice away"; "alice/stranger presence unavailable room/Alice";
			}, s:upstream());
			assert.same({ "presence error room/Alice cancel not-acceptable" }, seen(stranger));
			assert.same({}, seen(phone));
		end);
	end);

	it("C2: is sent with its payload", function ()
		local s, phone, laptop = in_room();
		laptop:close();
		phone:send("<presence to='room@rooms.example.org/Alice'><show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>"
			.."<idle xmlns='urn:xmpp:idle:1' since='2020-01-01T00:00:00Z'/></presence>");
		local arrived = s:arrived()[1];
		arrived.attr.id = nil;
		assert.equal("<presence from='alice@example.org/minimix' to='room@rooms.example.org/Alice'><show>away</show>"
			.."<c hash='sha-1' node='n' ver='v' xmlns='http://jabber.org/protocol/caps'/>"
			.."<idle since='2020-01-01T00:00:00Z' xmlns='urn:xmpp:idle:1'/></presence>", s.host.xml(arrived));
	end);

	it("C2: may go to the bare room JID", function ()
		local s, phone = in_room({}, show(nil, 5), show(nil, 1));
		phone:send(presence(nil, { content = show("away", 5) }));
		assert.same({ "alice presence - room/Alice away" }, s:upstream());
	end);

	it("C2: is sent only if it changes something", function ()
		local s, phone, laptop = in_room({}, show(nil, 5), show(nil, 5));
		phone:send(presence("Alice", { content = show("away", 5) }));
		assert.same({}, s:upstream());
		laptop:send(presence("Alice", { content = show("away", 5) }));
		assert.same({ "alice presence - room/Alice away" }, s:upstream());
		phone:send(presence("Alice", { content = show("away", 5), id = "other" }));
		laptop:send(presence("Alice", { content = show("away", 5), id = "another" }));
		assert.same({}, s:upstream());
	end);

	it("C2: without a change is answered", function ()
		local s, phone, laptop = in_room();
		phone:send(presence("Alice", { id = "p7" }));
		assert.same({}, s:upstream());
		assert.equal("p7", phone.inbox[1].attr.id);
		assert.same({ "presence - room/Alice 110" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	for _, kind in ipairs { "subscribe", "probe" } do
		it("C2: of type "..kind.." is not shown", function ()
			local s, phone = in_room();
			local bob = s.room:enter "Bob";
			local before = #bob.inbox;
			phone:send(presence("Bob", { type = kind, content = "<show>away</show>" }));
			assert.equal(before, #bob.inbox);
			assert.same({ "Alice" }, s:occupants());
		end);
	end

	it("C2: that was broadcast does not go to the room", function ()
		local s, phone = in_room();
		phone:available(10);
		phone:send("<presence><show>dnd</show><status>secret</status></presence>");
		assert.same({}, s:upstream());
	end);

	local comparisons = {
		{ "has the higher priority", show("away", 5), show("chat", 1) };
		{ "has a priority", show("xa", 1), show(nil, nil) };
		{ "has a priority that is not negative", show("xa", 0), show(nil, -1) };
		{ "is free for a chat", show "chat", show() };
		{ "is here", show(), show "away" };
		{ "is here, not busy", show(), show "dnd" };
		{ "is away for a while", show "away", show "xa" };
	};
	for _, case in ipairs(comparisons) do
		it("C2: is the account's presence if its session "..case[1], function ()
			local s, phone, laptop = in_room({}, case[3], case[3]);
			laptop:send(presence("Alice", { content = case[2] }));
			assert.equal(1, #s:upstream());
			phone:send(presence("Alice", { content = case[3].."<status>hidden</status>" }));
			assert.same({}, s:upstream());
			laptop:send(presence("Alice", { content = case[2].."<status>seen</status>" }));
			assert.equal("seen", s:arrived()[1]:get_child_text "status");
		end);
	end

	it("C2: is not the account's presence until a better session is detached", function ()
		local s, phone, laptop = in_room({}, show(nil, 5), show("away", 1));
		laptop:send(presence("Alice", { content = show("xa", 1) }));
		assert.same({}, s:upstream());
		phone:lose();
		assert.same({ "alice presence - room/Alice xa" }, s:upstream());
	end);

	for name, go in pairs {
		["closes its stream"] = function (client) client:close(); end;
		["goes offline"] = function (client) client:unavailable(); end;
		["leaves the room"] = function (client) client:send(scene.leave "Alice"); end;
	} do
		it("C2: is no longer shown when its session "..name, function ()
			local s, phone, laptop = in_room({}, show("dnd", 5), show("away", 1));
			go(phone);
			assert.same({ "alice presence - room/Alice away" }, s:upstream());
			assert.equal("presence - room/Alice 110 away", seen(laptop)[1]);
		end);
	end

	it("C2: stays shown while its session hibernates", function ()
		local s, phone = in_room({}, show("dnd", 5), show("away", 1));
		phone:hibernate();
		assert.same({}, s:upstream());
	end);

	it("C2: stays shown when its session was the last one", function ()
		local s, phone, laptop = in_room({}, show("dnd", 5), show("away", 1));
		laptop:close();
		phone:close();
		assert.same({}, s:upstream());
	end);

	it("C2: of a session that joins is shown if it is better", function ()
		local s = scene.new();
		local phone, laptop, tablet = s:client "phone", s:client "laptop", s:client "tablet";
		s:enter(phone, "Alice", { content = show("away", 1) });
		laptop:send(join("Alice", { id = "j2", content = show("chat", 5) }));
		assert.same({ "alice presence - room/Alice chat" }, s:upstream());
		tablet:send(join("Alice", { id = "j3", content = show(nil, 2) }));
		assert.same({}, s:upstream());
		assert.same({ "presence - room/Alice 110 chat" }, seen(phone));
	end);

	it("C2: of a session that gets a resync is shown if it is better", function ()
		local s = scene.new();
		local bob = s.room:enter "Bob";
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone, "Alice", { content = show("away", 1) });
		laptop:send(join("Alice", { id = "j2", muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>", content = show("chat", 5) }));
		assert.equal("chat", bob.inbox[#bob.inbox]:get_child_text "show");
	end);

	it("C2: of a session that waited for the account's join counts", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join("Alice", { content = show("away", 1) }));
		laptop:send(join("Alice", { id = "j2", content = show(nil, 5) }));
		s:wait(1);
		assert.same({ "alice presence - room/Alice join away"; "alice presence - room/Alice" }, s:upstream());
	end);

	it("C2: is not lost while the join is in flight", function ()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		phone:send(join "Alice");
		phone:send(presence("Alice", { content = show "away" }));
		s:wait(1);
		assert.same({ "alice presence - room/Alice join"; "alice presence - room/Alice away" }, s:upstream());
		local got = seen(phone);
		assert.equal("presence - room/Alice 110 away", got[#got]);
	end);

	it("C2: with an invalid priority counts as one without", function ()
		local s, phone, laptop = in_room({}, show(nil, "high"), show("away", 1));
		seen(laptop);
		assert.same({}, s:upstream());
		phone:send(presence("Alice", { content = show("xa", "") }));
		assert.same({}, s:upstream());
	end);
end);

describe("a nick change", function ()
	it("C2, J2: by the room that crosses a presence update reaches a session that joins meanwhile", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		phone:send(presence("Alice", { content = show "away" }));
		s.room:rename("Alice", "Al");
		laptop:send(join "Al");
		assert.same({ "presence - room/Al 110"; "message groupchat room subject:" }, seen(laptop));
		s:wait(60);
		-- The room takes the update for a nick change.
		assert.same({ "presence unavailable room/Al 110 303"; "presence - room/Alice 110 away" }, { table.unpack(seen(laptop), 1, 2) });
	end);

	it("C2: may be requested with <x/>, like a join", function ()
		local s, phone, laptop = in_room();
		phone:send(join("Alicia", { id = "n1" }));
		assert.equal(1, #s:upstream());
		assert.same({ "presence unavailable room/Alice 110 303"; "presence - room/Alicia 110" }, seen(laptop));
		-- The session may receive a second full replay (J6).
		local got = seen(phone);
		assert.equal("presence unavailable room/Alice 110 303", got[1]);
		assert.equal("presence - room/Alicia 110", got[2]);
	end);

	it("C2: may be refused with <x/>, like a join", function ()
		local s, phone, laptop = in_room();
		s.room:enter "Bob";
		seen(phone);
		seen(laptop);
		phone:send(join("Bob", { id = "n1" }));
		assert.equal("n1", phone.inbox[1].attr.id);
		assert.same({ "presence error room/Bob cancel conflict" }, seen(phone));
		assert.same({}, seen(laptop));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("C2: applies from then on", function ()
		local s, phone, laptop = in_room();
		phone:send(presence "Alicia");
		seen(phone);
		seen(laptop);
		s:upstream();
		laptop:send(presence("Alicia", { content = show "away" }));
		laptop:send(presence("Alicia", { content = show "dnd" }));
		for _, line in ipairs(s:upstream()) do
			assert.matches("^alice presence %- room/Alicia", line);
		end
		local tablet = s:client "tablet";
		tablet:send(join "Alice");
		local got = seen(tablet);
		assert.matches("^presence %- room/Alicia 110 210", got[1]);
		phone:send(scene.leave "Alicia");
		assert.equal("presence unavailable room/Alicia 110", seen(phone)[1]);
	end);

	it("C2: includes its presence", function ()
		local s, phone = in_room();
		phone:send(presence("Alicia", { content = show("away", 5) }));
		local got = seen(phone);
		assert.equal("presence - room/Alicia 110 away", got[#got]);
		assert.equal(1, #s:upstream());
	end);

	it("C2: does not include a worse presence than the account's", function ()
		local _, phone, laptop = in_room({}, show(nil, 5), show("away", 1));
		laptop:send(presence("Alicia", { content = show("away", 1) }));
		local got = seen(phone);
		assert.equal("presence - room/Alicia 110", got[#got]);
	end);

	it("C2: may have the id of another session's request, and each session is told of its own", function ()
		local s, phone, laptop = in_room { remote = true };
		s.room:enter "Bob";
		s.room:enter "Carol";
		seen(phone);
		seen(laptop);
		phone:send(presence("Bob", { id = "same" }));
		laptop:send(presence("Carol", { id = "same" }));
		s:deliver();
		assert.equal("same", phone.inbox[1].attr.id);
		assert.same({ "presence error room/Bob cancel conflict" }, seen(phone));
		assert.equal("same", laptop.inbox[1].attr.id);
		assert.same({ "presence error room/Carol cancel conflict" }, seen(laptop));
	end);

	it("C2: may have no id", function ()
		local s, phone, laptop = in_room();
		s.room:enter "Bob";
		seen(phone);
		seen(laptop);
		phone:send(presence "Bob");
		assert.is_nil(phone.inbox[1].attr.id);
		assert.same({ "presence error room/Bob cancel conflict" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C2: may be refused from the old nick", function ()
		local s, phone, laptop = in_room();
		s.room.silent = true;
		phone:send(presence("Alicia", { id = "n1" }));
		s:from("Alice", "<presence type='error' id='n1'>"..scene.error("modify", "not-acceptable").."</presence>");
		assert.equal("n1", phone.inbox[1].attr.id);
		assert.same({ "presence error room/Alice modify not-acceptable" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C2: is refused once", function ()
		local s, phone, laptop = in_room();
		s.room.silent = true;
		phone:send(presence("Alicia", { id = "n1" }));
		for _ = 1, 2 do
			s:from("Alicia", "<presence type='error' id='n1'>"..scene.error("cancel", "conflict").."</presence>");
		end
		assert.same({ "presence error room/Alicia cancel conflict" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C2: is not refused by a late error after it has succeeded", function ()
		local s, phone, laptop = in_room();
		phone:send(presence("Alicia", { id = "n1" }));
		seen(phone);
		seen(laptop);
		s:from("Alicia", "<presence type='error' id='n1'>"..scene.error("cancel", "conflict").."</presence>");
		assert.same({}, seen(phone));
		assert.same({}, seen(laptop));
		assert.same({ "Alicia" }, s:occupants());
	end);

	it("C2: returns no error when its session has ended", function ()
		local s, phone, laptop = in_room();
		s.room.silent = true;
		phone:send(presence("Alicia", { id = "n1" }));
		phone:close();
		local successor = s:client "phone";
		s:from("Alicia", "<presence type='error' id='n1'>"..scene.error("cancel", "conflict").."</presence>");
		assert.same({}, seen(laptop));
		assert.same({}, seen(successor));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("C2: of two sessions at once ends with the last one that the room received", function ()
		local s, phone, laptop = in_room { remote = true };
		phone:send(presence("Alicia", { id = "n1" }));
		laptop:send(presence("Alison", { id = "n2" }));
		s:deliver();
		local expected = {
			"presence unavailable room/Alice 110 303"; "presence - room/Alicia 110";
			"presence unavailable room/Alicia 110 303"; "presence - room/Alison 110";
		};
		assert.same(expected, seen(phone));
		assert.same(expected, seen(laptop));
		phone:send(scene.query("<ping xmlns='urn:xmpp:ping'/>", { to = "Alison" }));
		assert.same({ "iq result room/Alison" }, seen(phone));
	end);

	it("C2: is refused, and its presence becomes the account's", function ()
		local s, phone, laptop = in_room({}, show("away", 1));
		s.room:enter "Bob";
		seen(phone);
		seen(laptop);
		phone:send(presence("Bob", { id = "n1", content = show("away", 1) }));
		seen(phone);
		s:upstream();
		phone:send(presence("Alice", { content = show("chat", 5) }));
		assert.same({ "alice presence - room/Alice chat" }, s:upstream());
		assert.same({ "presence - room/Alice 110 chat" }, seen(laptop));
	end);

	describe("a nick change in flight", function ()
		local s, phone, laptop;

		before_each(function ()
			s, phone, laptop = in_room { remote = true };
			s:upstream();
		end);

		it("C2: is not reverted by another session's presence", function ()
			phone:send(presence("Alicia", { id = "n1" }));
			laptop:send(presence("Alice", { id = "p1", content = show("dnd", 5) }));
			assert.same({ "presence - room/Alice 110" }, seen(laptop));
			s:deliver();
			assert.same({ "alice presence - room/Alicia"; "alice presence - room/Alicia dnd" }, s:upstream());
			assert.same({
				"presence unavailable room/Alice 110 303"; "presence - room/Alicia 110"; "presence - room/Alicia 110 dnd";
			}, seen(phone));
			assert.same({ "Alicia" }, s:occupants());
		end);

		it("C2: is not reverted by a presence of its own session", function ()
			phone:send(presence("Alicia", { id = "n1" }));
			phone:send(presence("Alice", { id = "p1", content = show("dnd", 5) }));
			s:deliver();
			assert.same({ "alice presence - room/Alicia"; "alice presence - room/Alicia dnd" }, s:upstream());
		end);

		it("C2: delays nothing when it is refused", function ()
			s.room:enter "Bob";
			phone:send(presence("Bob", { id = "n1" }));
			laptop:send(presence("Alice", { id = "p1", content = show("dnd", 5) }));
			s:deliver();
			assert.same({ "alice presence - room/Bob"; "alice presence - room/Alice dnd" }, s:upstream());
		end);

		it("C2: delays nothing for long when it is lost", function ()
			phone:send(presence("Alicia", { id = "n1" }));
			s.host:drop();
			laptop:send(presence("Alice", { id = "p1", content = show("dnd", 5) }));
			s:wait(9);
			assert.same({}, s:upstream());
			s:wait(2);
			assert.same({ "alice presence - room/Alice dnd" }, s:upstream());
		end);

		-- Nick changes are sent one after the other. Here all of them are lost.
		local function ignore_new_nicks(world)
			function world.room.ignores(_, stanza)
				return stanza.name == "presence" and stanza.attr.to:find "/Ali[^/]*$" and not stanza.attr.to:find "/Alice$";
			end
		end

		for _, loss in ipairs { "lost"; "lost in a reload" } do
			it("C2, J3: by a join ends with a replay under the account's nick when it is "..loss, function ()
				ignore_new_nicks(s);
				phone:send(join("Alicia", { id = "j2" }));
				laptop:send(join("Alison", { id = "j3" }));
				if loss == "lost in a reload" then s.host:reload(); end
				s:wait(25);
				for client, id in pairs { [phone] = "j2"; [laptop] = "j3" } do
					local got = scene.take(client);
					assert.same({ "presence - room/Alice 110 210"; "message groupchat room subject:" }, scene.lines(got));
					assert.equal(id, got[1].attr.id);
				end
				s.room:kick "Alice";
				s:wait(60);
				assert.same({}, s:occupants());
			end);
		end

		it("C2: by a join of each session ends with a replay for each when it is lost", function ()
			ignore_new_nicks(s);
			phone:send(join("Alicia", { id = "j2" }));
			phone:send(join("Alison", { id = "j3" }));
			s:wait(25);
			local got = scene.take(phone);
			assert.same({ "presence - room/Alice 110 210"; "message groupchat room subject:" }, scene.lines(got));
			assert.equal("j3", got[1].attr.id);
		end);

		for _, when in ipairs { "after its timeout"; "after a reload" } do
			it("C2: is refused to no new session with the full JID of its own, "..when, function ()
				s.room:enter "Bob";
				phone:send(presence("Bob", { id = "n1" }));
				if when == "after a reload" then s.host:reload(); else s.host:tick(11); end
				phone:close();
				local again = s:client "phone";
				again:send(join("Alice", { id = "j2" }));
				s:deliver();
				assert.same({ "alice presence - room/Bob" }, s:upstream());
				for _, line in ipairs(seen(again)) do assert.not_matches("error", line); end
			end);
		end

		it("C2: that was lost is detected when the room uses the new nick", function ()
			phone:send(presence("Alicia", { id = "n1" }));
			local _, lose = scene.hold_back(s.room);
			s:deliver();
			lose();
			s.room:update("Alicia", require "util.stanza".presence():text_tag("show", "away"));
			s:deliver();
			assert.same({
				"presence unavailable room/Alice 110 303"; "presence - room/Alicia 110"; "presence - room/Alicia 110 away";
			}, seen(laptop));
			s.room:say("Alicia", "hi");
			s:wait(20);
			assert.same({ "Alicia" }, s:occupants());
		end);

		it("C2: to the nick of another occupant is not confirmed by a 110 on that occupant's presence", function ()
			s.room:enter "Bob";
			seen(laptop);
			phone:send(presence("Bob", { id = "n1" }));
			s:from("Bob", "<presence>"..scene.status "110".."</presence>");
			assert.same({ "presence - room/Bob 110" }, seen(laptop));
			s:wait(30);
			assert.same({}, seen(laptop));
			assert.same({ "Alice" }, s:occupants());
		end);

		it("C2, R2: that was lost is detected when the room removes the account, which does not rejoin", function ()
			phone:send(join("Alicia", { id = "j2" }));
			local _, lose = scene.hold_back(s.room);
			s:deliver();
			lose();
			s.room:kick "Alicia";
			s:deliver();
			for _, client in ipairs { phone; laptop } do
				assert.same({
					"presence unavailable room/Alice 110 303"; "presence - room/Alicia 110"; "presence unavailable room/Alicia 110 307";
				}, seen(client));
			end
			s:wait(60);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);

		it("C2: delays nothing forever when the module is reloaded", function ()
			phone:send(presence("Alicia", { id = "n1" }));
			laptop:send(presence("Alice", { id = "p1", content = show("dnd", 5) }));
			s.host:drop();
			s.host:reload();
			s:wait(15);
			assert.same({ "alice presence - room/Alice dnd" }, s:upstream());
		end);

		for _, delay in ipairs { 0; 11; 20 } do
			it("C2, J6: is not reverted by a resync if it is "..delay.." s late", function ()
				phone:send(presence("Alicia", { id = "n1" }));
				laptop:send(join("Alice", { id = "j2"; muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
				for _ = 1, delay do s.host:tick(1); end
				s:wait(1);
				assert.same({ "alice presence - room/Alicia"; "alice presence - room/Alicia join" }, s:upstream());
				assert.same({ "Alicia" }, s:occupants());
				local lines = seen(laptop);
				assert.equal("message groupchat room subject:", lines[#lines]);
			end);

			it("C2: is not reverted by another session's presence if it is "..delay.." s late", function ()
				phone:send(presence("Alicia", { id = "n1" }));
				laptop:send(presence("Alice", { id = "p1", content = show("dnd", 5) }));
				for _ = 1, delay do s.host:tick(1); end
				s:wait(1);
				assert.same({ "alice presence - room/Alicia"; "alice presence - room/Alicia dnd" }, s:upstream());
				assert.same({ "Alicia" }, s:occupants());
			end);
		end

		-- The room has sent the first presence of the nick change, and the second is lost. The account is lost then.
		local function half_renamed()
			phone:send(presence("Alicia", { id = "n1" }));
			local release, lose = scene.hold_back(s.room);
			s:deliver();
			release(1);
			lose();
			s.room:remove("Alicia", "332");
			assert.same({ "presence unavailable room/Alice 110 303" }, seen(phone));
			assert.same({ "presence unavailable room/Alice 110 303" }, seen(laptop));
			s:upstream();
		end

		it("C2, P2: whose second presence is lost with the account keeps the new nick", function ()
			half_renamed();
			phone:send(presence("Alicia", { id = "p1", content = show("dnd", 5) }));
			local got = scene.take(phone);
			assert.same({ "presence - room/Alicia 110" }, scene.lines(got));
			assert.equal("p1", got[1].attr.id);
			s:wait(30);
			assert.same({ "alice presence - room/Alicia join dnd" }, s:upstream());
			for _, client in ipairs { phone; laptop } do
				for _, line in ipairs(seen(client)) do assert.equal("presence - room/Alicia 110 dnd", line); end
			end
			assert.same({ "Alicia" }, s:occupants());
		end);

		it("C2, L2: whose second presence is lost with the account is confirmed under the new nick when a session leaves", function ()
			half_renamed();
			laptop:send(scene.leave("Alicia", { id = "l1" }));
			assert.same({ "presence unavailable room/Alicia 110" }, seen(laptop));
		end);
	end);

	for form, omits in pairs { ["a room"] = false; ["a room that omits 110"] = true } do
		-- Returns a scene in which the 303 of "Alice" is lost, and the room has given her nick to "carol".
		local function renamed_unheard()
			local s = scene.new { remote = true };
			local send = s.room.send;
			function s.room.send(stanza)
				local x = stanza:get_child("x", "http://jabber.org/protocol/muc#user");
				if x and omits then x:maptags(function (tag) if tag.attr.code ~= "110" then return tag; end end); end
				send(stanza);
			end
			local phone = s:fill();
			local lose = select(2, scene.hold_back(s.room));
			s.room:rename("Alice", "Alicia");
			lose();
			phone:take();
			return s, phone, function (type)
				local item = { role = type and "none"; jid = "carol@example.org/x" };
				s:from("Alice", "<presence"..(type and " type='"..type.."'" or "").." id='c1'>"..scene.status(nil, item).."</presence>");
			end;
		end

		local function assert_in(s, phone)
			s:wait(60);
			phone:take();
			s.room:say("Bob", "still there?");
			assert.equal(1, #scene.bodies(scene.take(phone)));
		end

		it("R2, C2: is found out when another occupant with the old nick leaves "..form, function ()
			local s, phone, by_carol = renamed_unheard();
			by_carol "unavailable";
			assert_in(s, phone);
			assert.same({ "Alice" }, s:occupants());
		end);

		it("R2, C2: is found out when another occupant enters "..form.." with the old nick, and leaves", function ()
			local s, phone, by_carol = renamed_unheard();
			by_carol();
			assert.same({}, seen(phone));
			by_carol "unavailable";
			assert_in(s, phone);
			assert.same({ "Alice" }, s:occupants());
		end);
	end

	it("R2, R7: does not hide a removal by a gateway, which shows the account under another JID, without 110", function ()
		local s = scene.new { remote = true };
		local send = s.room.send;
		function s.room.send(stanza)
			local x = stanza:get_child("x", "http://jabber.org/protocol/muc#user");
			if x then
				x:maptags(function (tag) if tag.attr.code ~= "110" then return tag; end end);
				x:get_child("item").attr.jid = "alice!user@host.example";
			end
			send(stanza);
		end
		local phone = s:fill();
		phone:take();
		s.room:remove("Alice", "307");
		assert.same({ "presence unavailable room/Alice 307" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("C2: is not lost while the account's join is in flight", function ()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		phone:send(join "Alice");
		phone:send(presence("Alicia", { id = "n1" }));
		s:wait(1);
		assert.same({ "Alicia" }, s:occupants());
		local tablet = s:client "tablet";
		tablet:send(join "Alicia");
		assert.equal("presence - room/Alicia 110", seen(tablet)[1]);
	end);
end);
