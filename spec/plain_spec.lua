-- What a client or a room could tell from plain MUC: each stanza that it gets once, with the content and in the order that
-- XEP-0045 gives it.

local scene = require "support.scene";

local join, leave, presence, seen = scene.join, scene.leave, scene.presence, scene.seen;
local minute, hour = 60, 3600;
local lab = "room@rooms.example.org";
local mav = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>";
local xmlns_user = "http://jabber.org/protocol/muc#user";
local caps = "<c xmlns='http://jabber.org/protocol/caps' node='https://client.example' hash='sha-1' ver='abc'/>";

-- The presences of type available that a client has got from this occupant.
local function shown(stanzas, nick)
	local list = {};
	for _, stanza in ipairs(stanzas) do
		if stanza.name == "presence" and not stanza.attr.type and stanza.attr.from == lab.."/"..nick then
			table.insert(list, stanza);
		end
	end
	return list;
end

-- The one own presence among these, or an error.
local function own_presence(stanzas, nick)
	local list = shown(stanzas, nick or "Alice");
	assert.equal(1, #list, #list.." own presences:\n"..table.concat(scene.lines(stanzas), "\n"));
	return list[1];
end

local function item_jid(stanza)
	local item = stanza:find("{"..xmlns_user.."}x/item");
	return item and item.attr.jid;
end

describe("a session that joins where the account is in", function ()
	scene.everywhere(function (everywhere)
		it("J2, P4: gets one own presence after the account was shown as xa", function ()
			local s = everywhere();
			local phone = s:client "phone";
			s:enter(phone);
			phone:close();
			s:wait(hour);
			s:upstream();
			phone = s:client "phone";
			phone:send(join("Alice", { id = "j2"; content = caps }));
			s:wait(1);
			local got = scene.take(phone);
			local own = own_presence(got);
			assert.equal("j2", own.attr.id);
			assert.is_nil(own:get_child_text "show");
			assert.equal("abc", own:get_child("c", "http://jabber.org/protocol/caps").attr.ver);
			assert.equal("message groupchat room subject:", scene.line(got[#got]));
			assert.same({ "alice presence - room/Alice" }, s:upstream());
		end);

		it("J2, C2: gets one own presence with what the account shows now, and the others get the update", function ()
			local s = everywhere();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone, "Alice", { content = "<show>xa</show>" });
			laptop:send(join("Alice", { id = "j2"; content = "<show>chat</show><status>here</status>" }));
			s:wait(1);
			local own = own_presence(scene.take(laptop));
			assert.equal("chat", own:get_child_text "show");
			assert.equal("here", own:get_child_text "status");
			assert.equal("chat", own_presence(scene.take(phone)):get_child_text "show");
			assert.same({ "alice presence - room/Alice chat" }, s:upstream());
		end);

		it("J2, C2: gets one own presence with what another session shows, which is better", function ()
			local s = everywhere();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone, "Alice", { content = "<show>chat</show>" });
			laptop:send(join("Alice", { id = "j2"; content = "<show>away</show>" }));
			s:wait(1);
			assert.equal("chat", own_presence(scene.take(laptop)):get_child_text "show");
			assert.same({}, s:upstream());
			assert.same({}, seen(phone));
		end);

		it("J3: gets one own presence under the account's nick", function ()
			local s = everywhere();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone, "Alice", { content = "<show>xa</show>" });
			laptop:send(join("Ally", { id = "j2"; content = "<show>chat</show>" }));
			s:wait(1);
			local own = own_presence(scene.take(laptop));
			assert.equal("presence - room/Alice 110 210 chat", scene.line(own));
			assert.equal("j2", own.attr.id);
		end);

		it("J6: gets one own presence when it is in and shows something else", function ()
			local s = everywhere();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			phone:unavailable();
			phone:available();
			laptop:send(join("Alice", { id = "j2"; content = "<show>dnd</show>" }));
			s:wait(1);
			assert.equal("dnd", own_presence(scene.take(laptop)):get_child_text "show");
		end);

		it("J6: sends one presence to the room when the room answers itself, and gets one own presence", function ()
			local s = everywhere();
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(join("Alice", { id = "j2"; muc = mav; content = "<show>dnd</show>" }));
			s:wait(1);
			assert.same({ "alice presence - room/Alice join dnd" }, s:upstream());
			assert.equal("dnd", own_presence(scene.take(phone)):get_child_text "show");
		end);

		it("J6: sends one presence to the room for another session that asks for more", function ()
			local s = everywhere();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone, "Alice", { content = "<show>xa</show>" });
			laptop:send(join("Alice", { id = "j2"; muc = mav; content = "<show>chat</show>" }));
			s:wait(1);
			assert.same({ "alice presence - room/Alice join chat" }, s:upstream());
			assert.equal("chat", own_presence(scene.take(laptop)):get_child_text "show");
			assert.equal("chat", own_presence(scene.take(phone)):get_child_text "show");
		end);
	end);
end);

describe("after a restart an account", function ()
	for _, killed in ipairs { false, true } do
		local how = killed and "that was killed" or "that was orderly";
		it("P1: shows what it showed before, with one presence, "..how, function ()
			local s = scene.new { remote = true };
			local phone = s:client "phone";
			s:enter(phone, "Alice", { content = "<show>dnd</show><status>busy</status>"..caps });
			s:restart { killed = killed };
			s:wait(minute);
			local got = s:arrived();
			assert.equal(1, #got);
			assert.equal("dnd", got[1]:get_child_text "show");
			assert.equal("busy", got[1]:get_child_text "status");
			phone = s:client "phone";
			phone:send(join("Alice", { id = "j2"; content = "<show>dnd</show><status>busy</status>"..caps }));
			s:wait(minute);
			assert.same({}, s:upstream());
			assert.equal("dnd", own_presence(scene.take(phone)):get_child_text "show");
		end);
	end

	it("P1, P4: is shown as xa when no client has come back in time", function ()
		local s = scene.new { remote = true; options = { minimix_detached_after = 300 } };
		s:enter(s:client "phone", "Alice", { content = "<show>dnd</show>" });
		s:restart();
		s:wait(200);
		assert.same({ "alice presence - room/Alice join dnd" }, s:upstream());
		s:wait(300);
		assert.same({ "alice presence - room/Alice xa" }, s:upstream());
	end);

	it("P1, P4: is still shown as xa if it was before, until a client comes", function ()
		local s = scene.new { remote = true; options = { minimix_detached_after = 60 } };
		local phone = s:client "phone";
		s:enter(phone);
		phone:close();
		s:wait(2 * minute);
		s:upstream();
		s:restart();
		s:wait(10 * minute);
		assert.same({ "alice presence - room/Alice join xa" }, s:upstream());
	end);
end);

describe("members who are offline", function ()
	local offline = "<presence type='unavailable'><x xmlns='"..xmlns_user.."'>"
		.."<item affiliation='member' role='none' nick='Carol'/></x></presence>";

	-- The room's answer to a join, with the member Carol, who is offline, in it.
	local function answer(s, id)
		s:from("Bob", "<presence>"..scene.status().."</presence>");
		s:from("Carol", offline);
		s:from("Alice", ("<presence id='%s'>%s</presence>"):format(id, scene.status "110"));
		s:from(nil, "<message type='groupchat'><subject/></message>");
	end

	local function with_member()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		s.room.silent = true;
		phone:send(join "Alice");
		s:deliver();
		answer(s, s:arrived()[1].attr.id);
		return s, phone;
	end

	it("J2: are shown to the session that joined", function ()
		local _, phone = with_member();
		assert.same({
			"presence - room/Bob"; "presence unavailable room/Carol"; "presence - room/Alice 110";
			"message groupchat room subject:";
		}, seen(phone));
	end);

	it("J2: are shown to the next one", function ()
		local s = with_member();
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		local got = scene.take(laptop);
		assert.same({
			"presence - room/Bob"; "presence unavailable room/Carol"; "presence - room/Alice 110";
			"message groupchat room subject:";
		}, scene.lines(got));
		assert.equal("member", got[2]:find("{"..xmlns_user.."}x/item").attr.affiliation);
	end);

	it("J2: are shown once when they have come in", function ()
		local s = with_member();
		s:from("Carol", "<presence>"..scene.status(nil, { affiliation = "member" }).."</presence>");
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		local lines = seen(laptop);
		table.sort(lines);
		assert.same({
			"message groupchat room subject:"; "presence - room/Alice 110"; "presence - room/Bob"; "presence - room/Carol";
		}, lines);
	end);

	it("R1: are no occupants", function ()
		local s, phone = with_member();
		seen(phone);
		s:from("Carol", offline);
		assert.same({ "presence unavailable room/Carol" }, seen(phone));
	end);
end);

describe("where the room shows JIDs, the own item", function ()
	scene.everywhere(function (everywhere)
		local function open_room()
			local s = everywhere { room = { whois = "anyone" } };
			s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			return s, phone, laptop;
		end

		local function both_in()
			local s, phone, laptop = open_room();
			s:enter(phone);
			s:enter(laptop);
			return s, phone, laptop;
		end

		-- The own item of each session has its own JID, and Bob sees the occupant's.
		local function assert_own_jids(s, nick, ...)
			for _, client in ipairs { ... } do
				local count = 0;
				for _, stanza in ipairs(scene.take(client)) do
					if stanza.name == "presence" and stanza.attr.from == lab.."/"..nick then
						count = count + 1;
						assert.equal(client.jid, item_jid(stanza), tostring(stanza));
					end
				end
				assert.is_true(count > 0, "no own presence");
			end
			local inbox = s.room:occupant("Bob").inbox;
			for i = #inbox, 1, -1 do
				if inbox[i].attr.from == lab.."/"..nick then
					assert.equal(s:occupant_jid(), item_jid(inbox[i]));
				end
			end
		end

		it("R1, J1: has the full JID of the session that joins", function ()
			local s, phone = open_room();
			phone:send(join "Alice");
			s:deliver();
			assert_own_jids(s, "Alice", phone);
		end);

		it("J2: has the full JID of the next session", function ()
			local s, phone, laptop = open_room();
			s:enter(phone);
			laptop:send(join("Alice", { id = "j2" }));
			s:deliver();
			assert_own_jids(s, "Alice", laptop);
		end);

		it("R1: has the full JID of each session in an update", function ()
			local s, phone, laptop = both_in();
			s.room:set_role("Alice", "moderator");
			assert_own_jids(s, "Alice", phone, laptop);
		end);

		it("R2: has the full JID of each session in a kick", function ()
			local s, phone, laptop = both_in();
			s.room:kick("Alice", "enough");
			assert_own_jids(s, "Alice", phone, laptop);
		end);

		it("R2: has the full JID of each session in a ban", function ()
			local s, phone, laptop = both_in();
			s.room:ban "Alice";
			assert_own_jids(s, "Alice", phone, laptop);
		end);

		it("L2, L3: has the full JID of the session that leaves", function ()
			local s, phone, laptop = both_in();
			phone:send(leave "Alice");
			s:deliver();
			local got = scene.take(phone);
			assert.equal("presence unavailable room/Alice 110", scene.line(got[1]));
			local jid = item_jid(got[1]);
			assert.is_true(jid == nil or jid == phone.jid);
			laptop:send(leave "Alice");
			s:deliver();
			assert_own_jids(s, "Alice", laptop);
		end);

		it("C2: has the full JID of each session in a nick change", function ()
			local s, phone, laptop = both_in();
			phone:send(presence("Ally", { id = "n1" }));
			s:deliver();
			local got = scene.take(laptop);
			assert.equal("presence unavailable room/Alice 110 303", scene.line(got[1]));
			assert.equal(laptop.jid, item_jid(got[1]));
			assert.equal(laptop.jid, item_jid(got[2]));
			assert_own_jids(s, "Ally", phone);
		end);

		it("J6: has the full JID of the session in the room's answer", function ()
			local s, phone = open_room();
			s:enter(phone);
			phone:send(join("Alice", { id = "j2"; muc = mav }));
			s:deliver();
			assert_own_jids(s, "Alice", phone);
		end);

		it("R1: leaves the items of others alone", function ()
			local s, phone = open_room();
			phone:send(join "Alice");
			s:deliver();
			assert.equal("bob@elsewhere.example/client", item_jid(shown(scene.take(phone), "Bob")[1]));
		end);
	end);

	it("R1: has none where the room shows none", function ()
		local s = scene.new();
		local phone = s:client "phone";
		s.room.whois = "moderators";
		phone:send(join "Alice");
		scene.take(phone);
		s:from("Alice", "<presence>"..scene.status("110").."</presence>");
		assert.is_nil(item_jid(scene.take(phone)[1]));
	end);
end);

describe("the room's own presence", function ()
	local avatar = "<presence><x xmlns='vcard-temp:x:update'><photo>%s</photo></x></presence>";

	local function joined(before, after)
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room.silent = true;
		phone:send(join "Alice");
		s:deliver();
		if before then s:from(nil, avatar:format(before)); end
		s:from("Bob", "<presence>"..scene.status().."</presence>");
		s:from("Alice", ("<presence id='%s'>%s</presence>"):format(s:arrived()[1].attr.id, scene.status "110"));
		s:from(nil, "<message type='groupchat'><subject/></message>");
		if after then s:from(nil, avatar:format(after)); end
		return s, phone, laptop;
	end

	it("J2: comes after the subject where the room has sent it there", function ()
		local _, phone, laptop = joined(nil, "one");
		local expected = {
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:"; "presence - room";
		};
		assert.same(expected, seen(phone));
		laptop:send(join("Alice", { id = "j2" }));
		assert.same(expected, seen(laptop));
	end);

	it("J2: comes first where the room has sent it first", function ()
		local _, phone, laptop = joined("one");
		local expected = {
			"presence - room"; "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		};
		assert.same(expected, seen(phone));
		laptop:send(join("Alice", { id = "j2" }));
		assert.same(expected, seen(laptop));
	end);

	it("J2, R1: is the latest, in its place", function ()
		local s, phone, laptop = joined(nil, "one");
		seen(phone);
		s:from(nil, avatar:format "two");
		assert.same({ "presence - room" }, seen(phone));
		laptop:send(join("Alice", { id = "j2" }));
		local got = scene.take(laptop);
		assert.equal("presence - room", scene.line(got[#got]));
		assert.equal("two", got[#got]:find "{vcard-temp:x:update}x/photo#");
	end);
end);
