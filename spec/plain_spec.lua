-- Differences from plain MUC that a client or a room could see. Each stanza arrives once, with the content and order of
-- XEP-0045.

local st = require "util.stanza";
local scene = require "support.scene";

local join, leave, presence, query, seen = scene.join, scene.leave, scene.presence, scene.query, scene.seen;
local in_room = scene.in_room;
local minute, hour = 60, 3600;
local lab = "room@rooms.example.org";
local ping = "<ping xmlns='urn:xmpp:ping'/>";
local mav = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>";
local xmlns_user = "http://jabber.org/protocol/muc#user";
local caps = "<c xmlns='http://jabber.org/protocol/caps' node='https://client.example' hash='sha-1' ver='abc'/>";

-- Returns the available presences that a client has received from this occupant.
local function shown(stanzas, nick)
	local list = {};
	for _, stanza in ipairs(stanzas) do
		if stanza.name == "presence" and not stanza.attr.type and stanza.attr.from == lab.."/"..nick then
			table.insert(list, stanza);
		end
	end
	return list;
end

-- Returns the only own presence among these. Fails if there is none or more than one.
local function own_presence(stanzas, nick)
	local list = shown(stanzas, nick or "Alice");
	assert.equal(1, #list, #list.." own presences:\n"..table.concat(scene.lines(stanzas), "\n"));
	return list[1];
end

local function item_jid(stanza)
	local item = stanza:find("{"..xmlns_user.."}x/item");
	return item and item.attr.jid;
end

-- Counts the stanzas of a kind that reach a room from now on. Returns a function that returns the count.
local function counting(room, is_wanted)
	local count, receive = 0, room.receive;
	function room.receive(self, stanza)
		if is_wanted(stanza) then count = count + 1; end
		return receive(self, stanza);
	end
	return function () return count; end;
end

local function is_ping(stanza)
	return stanza.name == "iq" and stanza:get_child("ping", "urn:xmpp:ping") ~= nil;
end

local function fire(s, name, event)
	s.host:run(function ()
		prosody.hosts["rooms.example.org"].events.fire_event(name, event);
	end);
end

describe("a session that joins a room of the account", function ()
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

		it("J2, C2: gets one own presence with its own show, and the other sessions get the update", function ()
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

		it("J2, C2: gets one own presence with the better presence of another session", function ()
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

		it("J6: gets one own presence when it joins again with another show", function ()
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

		it("J6: a resync sends one presence to the room, and the session gets one own presence", function ()
			local s = everywhere();
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(join("Alice", { id = "j2"; muc = mav; content = "<show>dnd</show>" }));
			s:wait(1);
			assert.same({ "alice presence - room/Alice join dnd" }, s:upstream());
			assert.equal("dnd", own_presence(scene.take(phone)):get_child_text "show");
		end);

		it("J6: a join with an extension sends one presence to the room", function ()
			local s = everywhere();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone, "Alice", { content = "<show>xa</show>" });
			laptop:send(join("Alice", { id = "j2"; muc = mav; content = "<show>chat</show>" }));
			s:wait(1);
			assert.same({ "alice presence - room/Alice join chat" }, s:upstream());
			assert.equal("chat", own_presence(scene.take(laptop)):get_child_text "show");
			assert.equal("chat", own_presence(scene.take(phone)):get_child_text "show");
		end);

		it("J6: is shown each occupant once when the room answers, also one that has changed", function ()
			local s = everywhere();
			s.room:enter "Bob";
			s.room:enter "Carol";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			-- The room has not announced it.
			s.room:occupant "Bob".presence = st.presence():text_tag("show", "dnd");
			phone:send(join("Alice", { id = "j2"; muc = mav }));
			s:wait(1);
			local got = scene.take(phone);
			assert.equal(1, #shown(got, "Bob"));
			assert.equal("dnd", shown(got, "Bob")[1]:get_child_text "show");
			assert.equal(1, #shown(got, "Carol"));
			assert.equal("Alice", own_presence(got).attr.from:match "/(.*)");
			assert.same({ "presence - room/Bob dnd" }, seen(laptop));
		end);
	end);
end);

-- A presence of the account is on its way to a room of another server. The room repeats it to the account (an echo).
describe("while the account's presence is on its way, a session", function ()
	local manners = {
		["returns ids"] = function () end;
		["returns no ids"] = function (stanza) stanza.attr.id = nil; end;
		["changes ids"] = function (stanza) stanza.attr.id = stanza.attr.id and "r-"..stanza.attr.id; end;
		["changes the order of children and attributes"] = function (stanza)
			local tags = {};
			for _, tag in ipairs(stanza.tags) do table.insert(tags, 1, st.clone(tag)); end
			stanza:maptags(function () end);
			for _, tag in ipairs(tags) do stanza:add_direct_child(tag); end
		end;
		["sends 100 and 170 with each own presence"] = function (stanza)
			local x = stanza:get_child("x", xmlns_user);
			if x:get_child_with_attr("status", nil, "code", "110") then
				x:tag("status", { code = "100" }):up():tag("status", { code = "170" }):up();
			end
		end;
	};

	-- The own presences of a client: nick, show, role, and the id of an answer.
	local function own(client)
		local lines = {};
		for _, stanza in ipairs(scene.take(client)) do
			local item = stanza.name == "presence" and stanza:find("{"..xmlns_user.."}x/item");
			if item then
				local words = { stanza.attr.from:match "/(.*)"; stanza.attr.type or stanza:get_child_text "show" };
				if item.attr.role == "visitor" then table.insert(words, "visitor"); end
				local id = stanza.attr.id or "";
				if id:find "^[jp][2-9]$" then table.insert(words, id); end
				table.insert(lines, table.concat(words, " "));
			end
		end
		return lines;
	end

	local function show(what) return "<show>"..what.."</show>"; end

	for manner, change in pairs(manners) do
		-- The phone shows xa. The laptop joins with chat, which the room has not received yet.
		local function joining()
			local s = scene.new { remote = true };
			local send = s.room.send;
			function s.room.send(stanza)
				if stanza.name == "presence" and not stanza.attr.type then change(stanza); end
				send(stanza);
			end
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone, "Alice", { content = show "xa" });
			s:wait(60);
			scene.take(phone);
			laptop:send(join("Alice", { id = "j2"; content = show "chat" }));
			return s, phone, laptop;
		end

		local function named(text)
			return ("%s: in a room that %s"):format(text, manner);
		end

		it(named "J2: that joined gets one own presence", function ()
			local s, phone, laptop = joining();
			s:wait(1);
			assert.same({ "Alice chat j2" }, own(laptop));
			assert.same({ "Alice chat" }, own(phone));
			s.room:set_role("Alice", "visitor");
			s:wait(1);
			assert.same({ "Alice chat visitor" }, own(laptop));
			s.room:set_role("Alice", "participant");
			s:wait(1);
			assert.same({ "Alice chat" }, own(laptop));
		end);

		it(named "J2: that joins as well gets one own presence, not the older one", function ()
			local s, _, laptop = joining();
			local tablet = s:client "tablet";
			tablet:send(join("Alice", { id = "j3"; content = show "away" }));
			s:wait(1);
			assert.same({ "Alice chat j2" }, own(laptop));
			assert.same({ "Alice chat j3" }, own(tablet));
		end);

		it(named "J2: that joins as well and shows more gets one own presence", function ()
			local s, phone, laptop = joining();
			local tablet = s:client "tablet";
			tablet:send(join("Alice", { id = "j3"; content = "<priority>5</priority>"..show "dnd"..caps }));
			s:wait(1);
			assert.same({ "Alice chat", "Alice dnd" }, own(phone));
			assert.same({ "Alice chat j2", "Alice dnd" }, own(laptop));
			assert.same({ "Alice dnd j3" }, own(tablet));
		end);

		it(named "J6: that joins twice gets one own presence for each join", function ()
			local s, _, laptop = joining();
			laptop:send(join("Alice", { id = "j3"; content = show "chat" }));
			s:wait(1);
			assert.same({ "Alice chat j2", "Alice chat j3" }, own(laptop));
		end);

		it(named "J6: that joins twice with another presence gets one own presence for each join", function ()
			local s, phone, laptop = joining();
			laptop:send(join("Alice", { id = "j3"; content = show "dnd" }));
			s:wait(1);
			assert.same({ "Alice chat j2", "Alice dnd j3" }, own(laptop));
			assert.same({ "Alice chat", "Alice dnd" }, own(phone));
		end);

		it(named "J6: that asks the room itself gets one own presence for each join", function ()
			local s, _, laptop = joining();
			laptop:send(join("Alice", { id = "j3"; muc = mav; content = show "chat" }));
			s:wait(1);
			assert.same({ "Alice chat j2", "Alice chat j3" }, own(laptop));
		end);

		it(named "C2: that shows something else at once gets each presence once", function ()
			local s, phone, laptop = joining();
			laptop:send(presence("Alice", { id = "p3"; content = show "dnd" }));
			s:wait(1);
			local got = own(laptop);
			assert.same({ "Alice chat j2", "Alice dnd" }, { got[1], (got[2]:gsub(" p3", "")), got[3] });
			assert.equal(2, #own(phone));
		end);

		it(named "C2: that shows the same at once is answered with it", function ()
			local s, _, laptop = joining();
			laptop:send(presence("Alice", { id = "p3"; content = show "chat" }));
			s:wait(1);
			assert.same({ "Alice chat j2", "Alice chat p3" }, own(laptop));
		end);

		it(named "C2: that changes the nick at once gets one nick change", function ()
			local s, _, laptop = joining();
			laptop:send(presence("Ally", { id = "p3"; content = show "chat" }));
			s:wait(1);
			local got = own(laptop);
			assert.same({ "Alice chat j2", "Alice unavailable" }, { got[1], (got[2]:gsub(" p3", "")) });
			assert.equal("Ally chat", (got[3]:gsub(" p3", "")));
			assert.is_nil(got[4]);
		end);

		it(named "L2, J2: that leaves and joins again gets one own presence for each join", function ()
			local s, _, laptop = joining();
			laptop:send(leave("Alice"));
			laptop:send(join("Alice", { id = "j3"; content = show "chat" }));
			s:wait(1);
			assert.same({ "Alice chat j2", "Alice unavailable", "Alice chat j3" }, own(laptop));
		end);

		it(named "L1, J2: that ends and comes back gets one own presence", function ()
			local s, _, laptop = joining();
			laptop:close();
			laptop = s:client "laptop";
			laptop:send(join("Alice", { id = "j3"; content = show "chat" }));
			s:wait(1);
			assert.same({ "Alice chat j3" }, own(laptop));
		end);

		it(named "L1, J2: that hibernates and resumes gets each later change once", function ()
			local s, _, laptop = joining();
			laptop:hibernate();
			s:wait(1);
			laptop:resume();
			assert.same({ "Alice chat j2" }, own(laptop));
			s.room:set_role("Alice", "visitor");
			s:wait(1);
			assert.same({ "Alice chat visitor" }, own(laptop));
		end);

		it(named "R1: gets a role that changes meanwhile, and what it shows then", function ()
			local s, phone, laptop = joining();
			s.room:set_role("Alice", "visitor");
			s:wait(1);
			local got = own(laptop);
			assert.equal("Alice chat j2", got[1]);
			assert.equal("Alice chat visitor", got[#got]);
			assert.is_true(#got <= 3);
			assert.same({ "Alice xa visitor", "Alice chat visitor" }, own(phone));
		end);

		it(named "R1: gets a role that changes and returns meanwhile", function ()
			local s, _, laptop = joining();
			s.room:set_role("Alice", "visitor");
			s.room:set_role("Alice", "participant");
			s:wait(1);
			local got = own(laptop);
			assert.equal("Alice chat j2", got[1]);
			assert.equal("Alice chat", got[#got]);
			assert.is_nil(got[5]);
		end);
	end

	it("J2: with elements of the same name gets one own presence", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone, "Alice", { content = show "xa" });
		local status = "<status xml:lang='en'>here</status><status xml:lang='de'>da</status>";
		laptop:send(join("Alice", { id = "j2"; content = show "chat"..status }));
		s:wait(1);
		assert.same({ "Alice chat j2" }, own(laptop));
	end);

	it("J2: gets no caps of an earlier presence", function ()
		local s = scene.new { remote = true };
		local phone, laptop, tablet = s:client "phone", s:client "laptop", s:client "tablet";
		s:enter(phone, "Alice", { content = show "xa"..caps });
		laptop:send(join("Alice", { id = "j2"; content = show "away" }));
		tablet:send(join("Alice", { id = "j3"; content = show "chat" }));
		s:wait(1);
		assert.is_nil(own_presence(scene.take(tablet)):get_child("c", "http://jabber.org/protocol/caps"));
	end);
end);

describe("an account after a restart", function ()
	for _, killed in ipairs { false, true } do
		local how = killed and "after SIGKILL" or "after a clean stop";
		it("P1: shows the same presence as before, with one stanza, "..how, function ()
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

	it("P1, J2: tells a session that the room is non-anonymous, also if the room does not repeat it", function ()
		local s = scene.new { remote = true; room = { whois = "anyone" } };
		s:enter(s:client "phone");
		s:restart();
		local send = s.room.send;
		function s.room.send(stanza)
			local x = stanza:get_child("x", xmlns_user);
			if x then
				x:maptags(function (tag) if tag.attr.code ~= "100" then return tag; end end);
			end
			send(stanza);
		end
		s:wait(minute);
		local phone = s:client "phone";
		phone:send(join("Alice", { id = "j2" }));
		s:wait(1);
		local x = own_presence(scene.take(phone)):get_child("x", xmlns_user);
		assert.is_table(x:get_child_with_attr("status", nil, "code", "100"));
	end);

	describe("with several devices", function ()
		local contents = {
			phone = "<show>away</show>", laptop = "<show>chat</show>"..caps, tablet = "<show>chat</show><status>also</status>";
		};

		-- The laptop is shown.
		local function restarted()
			local s = scene.new { remote = true; options = { minimix_detached_after = 300 } };
			for _, name in ipairs { "laptop", "phone", "tablet" } do
				s:enter(s:client(name), "Alice", { content = contents[name] });
			end
			s:restart();
			s:wait(minute);
			assert.same({ "alice presence - room/Alice join chat" }, s:upstream());
			return s;
		end

		local function enter(s, name)
			local client = s:client(name);
			client:send(join("Alice", { id = "j2"; content = contents[name] }));
			s:wait(1);
			return client;
		end

		for _, order in ipairs {
			{ "phone", "laptop", "tablet" }, { "phone", "tablet", "laptop" }, { "laptop", "phone", "tablet" },
			{ "laptop", "tablet", "phone" }, { "tablet", "phone", "laptop" }, { "tablet", "laptop", "phone" },
		} do
			it("P1: shows rooms nothing new while they return, first "..table.concat(order, ", "), function ()
				local s = restarted();
				for _, name in ipairs(order) do
					local own = own_presence(scene.take(enter(s, name)));
					assert.equal("chat", own:get_child_text "show");
					assert.equal("abc", own:get_child("c", "http://jabber.org/protocol/caps").attr.ver);
				end
				s:wait(hour);
				assert.same({}, s:upstream());
			end);
		end

		it("P1: shows rooms nothing new while the server stops, which waits for the clients", function ()
			local s = scene.new { remote = true };
			local clients = {};
			for _, name in ipairs { "laptop", "phone", "tablet" } do
				clients[name] = s:client(name);
				s:enter(clients[name], "Alice", { content = contents[name] });
			end
			s:upstream();
			s.host:fire_global("server-stopping", {});
			for _, name in ipairs { "laptop", "tablet", "phone" } do
				clients[name]:end_stream { condition = "system-shutdown"; text = "Server is shutting down" };
				s:wait(1);
			end
			assert.same({}, s:upstream());
			s:restart { killed = true };
			s:wait(minute);
			local got = s:arrived();
			assert.equal(1, #got);
			assert.equal("abc", got[1]:get_child("c", "http://jabber.org/protocol/caps").attr.ver);
		end);

		it("P1: shows what those that have returned show, after minimix_detached_after", function ()
			local s = restarted();
			local phone = enter(s, "phone");
			s:wait(100);
			assert.same({}, s:upstream());
			scene.take(phone);
			s:wait(200);
			assert.same({ "alice presence - room/Alice away" }, s:upstream());
			assert.equal("away", own_presence(scene.take(phone)):get_child_text "show");
		end);

		it("P1: shows at once that a device is more available than before", function ()
			local s = scene.new { remote = true };
			s:enter(s:client "phone", "Alice", { content = "<show>away</show>"..caps });
			s:restart();
			s:wait(minute);
			s:upstream();
			enter(s, "laptop");
			assert.same({ "alice presence - room/Alice chat" }, s:upstream());
			enter(s, "phone");
			assert.same({}, s:upstream());
		end);

		it("P1, O5: shows what those that have returned show, after a reload", function ()
			local s = restarted();
			enter(s, "phone");
			s.host:reload();
			s:wait(hour);
			assert.same({ "alice presence - room/Alice away" }, s:upstream());
		end);
	end);

	it("P1, P4: shows xa when no client has connected in time", function ()
		local s = scene.new { remote = true; options = { minimix_detached_after = 300 } };
		s:enter(s:client "phone", "Alice", { content = "<show>dnd</show>" });
		s:restart();
		s:wait(200);
		assert.same({ "alice presence - room/Alice join dnd" }, s:upstream());
		s:wait(300);
		assert.same({ "alice presence - room/Alice xa" }, s:upstream());
	end);

	it("P1, C2: shows a less available session in the end, with minimix_detached_after = 'never'", function ()
		local s = scene.new { remote = true; options = { minimix_detached_after = "never" } };
		s:enter(s:client "phone", "Alice", { content = "<show>chat</show>" });
		s:restart();
		s:wait(minute);
		s:enter(s:client "laptop", "Alice", { content = "<show>away</show>" });
		assert.same({}, s:upstream());
		s:wait(20 * minute);
		assert.same({ "alice presence - room/Alice away" }, s:upstream());
	end);

	it("P1, P4: keeps showing xa until a client connects", function ()
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

describe("offline members of a room", function ()
	local offline = "<presence type='unavailable'><x xmlns='"..xmlns_user.."'>"
		.."<item affiliation='member' role='none' nick='Carol'/></x></presence>";

	-- Returns the room's answer to a join. It includes the offline member Carol.
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

	it("J2: are shown to the next session", function ()
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

	it("J2: are shown once after they have joined", function ()
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

	it("B3: a member with an invalid JID causes no error", function ()
		local s, phone = with_member();
		seen(phone);
		local item = "<x xmlns='"..xmlns_user.."'><item affiliation='member' role='none' jid='@'/></x>";
		s:from(nil, "<presence type='unavailable'>"..item.."</presence>");
		s:from("Dave", "<presence>"..item.."</presence>");
		s:from("Bob", "<message type='groupchat'><body>hi</body></message>");
		assert.same({
			"presence unavailable room"; "presence - room/Dave"; "message groupchat room/Bob hi";
		}, seen(phone));
	end);

	it("R1: do not count as occupants", function ()
		local s, phone = with_member();
		seen(phone);
		s:from("Carol", offline);
		assert.same({ "presence unavailable room/Carol" }, seen(phone));
	end);
end);

describe("offline members of a room of Prosody", function ()
	local function configure(client, broadcast, whois)
		local values = {};
		for i, role in ipairs(broadcast) do values[i] = "<value>"..role.."</value>"; end
		client:send(query(("<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"
			.."<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
			.."<field var='muc#roomconfig_whois'><value>%s</value></field>"
			.."<field var='muc#roomconfig_presencebroadcast'>%s</field></x></query>")
			:format(whois, table.concat(values)), { id = "own"; type = "set" }));
	end

	local function admin(item)
		return ("<query xmlns='http://jabber.org/protocol/muc#admin'>%s</query>"):format(item);
	end

	local function affiliate(client, username, affiliation, nick)
		local item = ("<item jid='%s@example.org' affiliation='%s'%s/>"):format(username, affiliation,
			nick and " nick='"..nick.."'" or "");
		client:send(query(admin(item), { id = "affiliate"; type = "set" }));
	end

	local online_roles = { "moderator"; "participant"; "visitor" };
	local all_roles = { "none"; table.unpack(online_roles) };

	local function offline_in(client)
		local list = {};
		for _, stanza in ipairs(client:take()) do
			local item = stanza.attr.type == "unavailable" and stanza:find("{"..xmlns_user.."}x/item");
			if item then
				table.insert(list, ("%s %s %s"):format(stanza.attr.from, item.attr.affiliation, tostring(item.attr.jid)));
			end
		end
		table.sort(list);
		return list;
	end

	-- Returns the offline members that a laptop gets when it joins, and those that the room lists.
	local function listed(s)
		local laptop, tablet = s:client "laptop", s:client "tablet";
		laptop:send(join("Alice", { id = "j2" }));
		local replayed = offline_in(laptop);
		tablet:send(join("Alice", { id = "j3"; muc = mav }));
		return replayed, offline_in(tablet);
	end

	-- A room that lists offline members. Bob is the owner, Dave and Alice are in it.
	local function listing(options)
		local s = scene.new { prosody = true };
		local bob, dave, phone = s:client("desk", "bob"), s:client("desk", "dave"), s:client "phone";
		bob:send(join "Bob");
		configure(bob, options.roles or all_roles, options.whois or "anyone");
		for username, affiliation in pairs(options.affiliations or {}) do
			affiliate(bob, username, affiliation, options.nick);
		end
		dave:send(join "Dave");
		phone:send(join "Alice");
		for _, client in ipairs(s.clients) do client:take(); end
		return s, bob, dave, phone;
	end

	-- Changes the room, which returns a pattern of the list of offline members. A replay must contain the room's list.
	local function compare(change, options)
		local s, bob, dave = listing(options);
		local pattern = change(s, bob, dave);
		local replayed, all = listed(s);
		assert.matches(pattern, table.concat(all, "\n"));
		assert.same(all, replayed);
	end

	local changes = {
		["an occupant that was banned"] = function (_, bob)
			affiliate(bob, "dave", "outcast");
			return "outcast dave@example.org";
		end;
		["an absent user that has become a member"] = function (_, bob)
			affiliate(bob, "frank", "member");
			return "member frank@example.org";
		end;
		["an absent user that was banned"] = function (_, bob)
			affiliate(bob, "frank", "outcast");
			return "outcast frank@example.org";
		end;
	};
	local changes_with_member = {
		["a member that has left"] = function (_, bob, dave)
			affiliate(bob, "dave", "member");
			dave:send(leave "Dave");
			return "member dave@example.org";
		end;
		["a member that was kicked"] = function (_, bob)
			affiliate(bob, "dave", "member");
			bob:send(query(admin "<item nick='Dave' role='none'/>", { id = "kick"; type = "set" }));
			return "member dave@example.org";
		end;
		["an offline member that has become an admin"] = function (_, bob)
			affiliate(bob, "erin", "admin");
			return "admin erin@example.org";
		end;
		["the last offline member, which has come and gone"] = function (s)
			local erin = s:client("desk", "erin");
			erin:send(join "Erin");
			erin:send(leave "Erin");
			return "member erin@example.org";
		end;
		["no offline member that has lost its affiliation"] = function (_, bob)
			affiliate(bob, "erin", "none");
			return "^$";
		end;
	};

	for room, affiliations in pairs {
		["a room without offline members"] = {};
		["a room with an offline member"] = { erin = "member" };
	} do
		for what, change in pairs(changes) do
			it("J2: include "..what..", in "..room, function ()
				compare(change, { affiliations = affiliations });
			end);
		end
	end

	for what, change in pairs(changes_with_member) do
		it("J2: include "..what, function ()
			compare(change, { affiliations = { erin = "member" } });
		end);
	end

	for _, whois in ipairs { "anyone"; "moderators" } do
		it("J2: do not include a member that has joined under another nick, in a room that shows JIDs to "..whois, function ()
			compare(function (s)
				s:client("desk", "erin"):send(join "Eve");
				return "^$";
			end, { affiliations = { erin = "member" }; nick = "Erin"; whois = whois });
		end);
	end

	it("J2: are listed when the room lists them from now on", function ()
		compare(function (_, bob)
			configure(bob, all_roles, "anyone");
			return "member erin@example.org";
		end, { affiliations = { erin = "member" }; roles = online_roles });
	end);

	it("J2: are not listed when the room no longer lists them", function ()
		compare(function (_, bob)
			configure(bob, online_roles, "anyone");
			return "^$";
		end, { affiliations = { erin = "member" } });
	end);
end);

describe("a presence probe", function ()
	for _, resource in ipairs { false, "minimix" } do
		local function room_of_prosody()
			local s = scene.new { prosody = true; resource = resource };
			local phone, laptop, bob = s:client "phone", s:client "laptop", s:client("desk", "bob");
			phone:send(join "Alice");
			phone:send(query("<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
				{ id = "own"; type = "set" }));
			laptop:send(join("Alice", { id = "j2" }));
			bob:send(join "Bob");
			for _, client in ipairs { phone, laptop, bob } do client:take(); end
			return s, phone, laptop, bob;
		end

		it("C2: of an occupant is answered with its presence, to the session that asked", function ()
			local _, phone, laptop, bob = room_of_prosody();
			phone:send(presence("Bob", { type = "probe"; id = "p1" }));
			assert.same({ "presence - room/Bob" }, seen(phone));
			assert.same({}, seen(laptop));
			assert.same({}, seen(bob));
		end);

		it("C2: of the own occupant is answered with the own presence", function ()
			local _, phone, laptop, bob = room_of_prosody();
			phone:send(presence("Alice", { type = "probe"; id = "p1" }));
			assert.equal(1, #shown(scene.take(phone), "Alice"));
			assert.same({}, seen(laptop));
			assert.same({}, seen(bob));
		end);

		it("C2: with <x/> does not join", function ()
			local _, phone, laptop, bob = room_of_prosody();
			phone:send(presence("Bob", { type = "probe"; id = "p1"; content = scene.x() }));
			assert.same({ "presence - room/Bob" }, seen(phone));
			assert.same({}, seen(laptop));
			assert.same({}, seen(bob));
		end);

		it("C2: of an unknown nick gets the room's answer", function ()
			local _, phone, laptop = room_of_prosody();
			phone:send(presence("Nobody", { type = "probe"; id = "p1" }));
			for _, line in ipairs(seen(phone)) do
				assert.matches("^presence %S+ room/Nobody", line);
			end
			assert.same({}, seen(laptop));
		end);

		it("C2: of a session that has not joined is refused", function ()
			local s = room_of_prosody();
			local tablet = s:client "tablet";
			tablet:send(presence("Bob", { type = "probe"; id = "p1" }));
			local got = scene.take(tablet);
			assert.same({ "presence error room/Bob cancel not-acceptable" }, scene.lines(got));
			assert.equal("p1", got[1].attr.id);
		end);
	end

	for _, nick in ipairs { "Alice", "Bob" } do
		it("C2: of a session that has left before the answer gets none: "..nick, function ()
			local s, phone, laptop = scene.two_devices { remote = true };
			phone:send(presence(nick, { type = "probe"; id = "p1" }));
			phone:send(leave "Alice");
			assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
			s:from(nick, "<presence>"..scene.status().."</presence>");
			assert.same({}, seen(phone));
			assert.same({}, seen(laptop));
		end);

		it("C2: of a session that has ended is not answered to the next one with its full JID: "..nick, function ()
			local s, phone, laptop = scene.two_devices { remote = true };
			phone:send(presence(nick, { type = "probe"; id = "p1" }));
			phone:close();
			phone = s:client "phone";
			s:from(nick, "<presence>"..scene.status().."</presence>");
			s:from(nick, "<presence type='error'>"..scene.error("cancel", "not-acceptable").."</presence>");
			assert.same({}, seen(phone));
			assert.same({}, seen(laptop));
		end);
	end

	for _, form in ipairs { "its id", "an id of the service" } do
		it("C2, R1: without an answer does not keep the next own presence from the other sessions, with "..form, function ()
			local s, phone, laptop = scene.two_devices { remote = true };
			phone:send(presence("Alice", { type = "probe"; id = "p1" }));
			s.host:drop();
			local busy = "<show>dnd</show><priority>1</priority>";
			laptop:send(presence("Alice", { id = "s1"; content = busy }));
			s.host:drop();
			s:from("Alice", ("<presence id='%s'>%s%s</presence>"):format(form == "its id" and "s1" or "x", busy, scene.status()));
			assert.same({ "presence - room/Alice dnd" }, seen(phone));
			assert.same({ "presence - room/Alice dnd" }, seen(laptop));
		end);
	end
end);

describe("a self-ping", function ()
	scene.everywhere(function (everywhere)
		it("C4: is sent to a room that has been quiet for a minute, and gets its answer", function ()
			local s = everywhere();
			local phone = s:client "phone";
			s:enter(phone);
			s:wait(2 * minute);
			local pings = counting(s.room, is_ping);
			phone:send(query(ping, { id = "p1"; to = "Alice" }));
			s:deliver();
			assert.equal("p1", phone.inbox[1].attr.id);
			assert.same({ "iq result room/Alice" }, seen(phone));
			assert.equal(1, pings());
		end);

		it("C4: gets an error if the room has restarted", function ()
			local s = everywhere();
			local phone = s:client "phone";
			s:enter(phone);
			s:wait(2 * minute);
			s.room:forget();
			s.room.refuse = { "wait", "service-unavailable" };
			phone:send(query(ping, { id = "p1"; to = "Alice" }));
			s:wait(30);
			assert.equal("p1", phone.inbox[1].attr.id);
			assert.matches("^iq error room/Alice", seen(phone)[1]);
		end);

		it("C4: makes the account rejoin a room that has restarted", function ()
			local s = everywhere();
			local phone = s:client "phone";
			s:enter(phone);
			s:wait(2 * minute);
			s.room:forget();
			phone:send(query(ping, { id = "p1"; to = "Alice" }));
			s:wait(30);
			assert.same({ "Alice" }, s:occupants());
		end);

		it("C4: gets an error if the room does not answer", function ()
			local s = everywhere();
			local phone = s:client "phone";
			s:enter(phone);
			s:wait(2 * minute);
			s.room.silent = true;
			phone:send(query(ping, { id = "p1"; to = "Alice" }));
			s:wait(2 * minute);
			local lines = seen(phone);
			assert.equal(1, #lines);
			assert.matches("^iq error room/Alice", lines[1]);
		end);
	end);

	it("C4: shares the module's self-ping with other sessions", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		s:enter(laptop);
		s:wait(2 * minute);
		local pings = counting(s.room, is_ping);
		phone:send(query(ping, { id = "p1"; to = "Alice" }));
		phone:send(query(ping, { id = "p2"; to = "Alice" }));
		laptop:send(query(ping, { id = "p3"; to = "Alice" }));
		assert.same({}, seen(phone));
		s:deliver();
		assert.same({ "iq result room/Alice"; "iq result room/Alice" }, seen(phone));
		assert.same({ "iq result room/Alice" }, seen(laptop));
		assert.equal(1, pings());
		laptop:send(query(ping, { id = "p4"; to = "Alice" }));
		assert.same({ "iq result room/Alice" }, seen(laptop));
		assert.equal(1, pings());
	end);

	it("C4: is answered at once if the room sent a stanza within a minute", function ()
		local s, phone = in_room { remote = true };
		s:wait(50);
		s.room:say("Bob", "hi");
		s:wait(50);
		seen(phone);
		local pings = counting(s.room, is_ping);
		phone:send(query(ping, { id = "p1"; to = "Alice" }));
		assert.same({ "iq result room/Alice" }, seen(phone));
		s:deliver();
		assert.equal(0, pings());
	end);
end);

describe("a component", function ()
	it("R3: makes self-pings fail at once when it disconnects", function ()
		local s, phone = in_room();
		fire(s, "component-disconnected", { session = {} });
		phone:send(query(ping, { id = "p1"; to = "Alice" }));
		s:wait(2);
		assert.matches("^iq error room/Alice", seen(phone)[1]);
	end);

	it("R3: gets the account back within seconds after a restart", function ()
		local s, phone = in_room();
		s.room:forget();
		s.room.silent = true;
		fire(s, "component-disconnected", { session = {} });
		s:wait(10 * minute);
		s.room.silent = nil;
		fire(s, "component-authenticated", { session = {} });
		s:wait(15);
		assert.same({ "Alice" }, s:occupants());
		for _, line in ipairs(seen(phone)) do
			assert.is_nil(line:find "error");
		end
	end);

	it("R3: gets the account back when it reconnects without an earlier disconnect event", function ()
		local s = in_room();
		s.room:forget();
		fire(s, "component-authenticated", { session = {} });
		s:wait(15);
		assert.same({ "Alice" }, s:occupants());
	end);
end);

describe("a direct invitation in a private message", function ()
	local invitation = "<x xmlns='jabber:x:conference' jid='tea@rooms.example.org' reason='tea'/>";

	for _, kind in ipairs { "chat", "normal" } do
		for name, more in pairs { alone = ""; ["with a body"] = "<body>come</body>"; ["with <x/>"] = "<x xmlns='"..xmlns_user.."'/>" } do
			it(("C6: reaches only the sessions in the room: %s, %s"):format(kind, name), function ()
				local s, phone = in_room();
				local laptop, tablet = s:client "laptop", s:client "tablet";
				s:enter(laptop);
				s:from("Bob", ("<message type='%s' id='i1'>%s%s</message>"):format(kind, more, invitation));
				for _, client in ipairs { phone, laptop } do
					local got = client:take();
					assert.equal(1, #got);
					assert.equal(client.jid, got[1].attr.to);
				end
				assert.same({}, tablet:take());
			end);
		end
	end
end);

describe("an account removed from a bookmarked room", function ()
	local bookmarks = "urn:xmpp:bookmarks:1";
	local pubsub = "http://jabber.org/protocol/pubsub";
	local options = "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
		.."<value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='pubsub#persist_items'>"
		.."<value>true</value></field><field var='pubsub#max_items'><value>max</value></field>"
		.."<field var='pubsub#access_model'><value>whitelist</value></field></x></publish-options>";

	local function bookmark(client, name, password)
		client:send(("<iq type='set' id='b'><pubsub xmlns='%s'><publish node='%s'><item id='%s'><conference xmlns='%s' autojoin='true'"
			.." name='%s'><nick>Alice</nick>%s</conference></item></publish>%s</pubsub></iq>"):format(pubsub, bookmarks, lab, bookmarks,
			name or "", password and "<password>"..password.."</password>" or "", options));
		client:take();
	end

	local function bookmarked(fields)
		fields = fields or {};
		fields.modules, fields.options = { "pep", "bookmarks" }, { minimix_rejoin_rate = 5 };
		local s = scene.new(fields);
		s.room:enter "Bob";
		local tablet = s:client "tablet";
		bookmark(tablet, "Lab", fields.bookmark_password);
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
		return s, tablet;
	end

	local ends = {
		["kicked"] = function (s) s.room:kick "Alice"; end;
		["banned"] = function (s)
			s.room:ban "Alice";
			s.room.members["alice@example.org"] = nil;
		end;
		["removed as no member"] = function (s) s.room:remove("Alice", "321"); end;
		["in it when it was destroyed"] = function (s) s.room:destroy(); end;
	};

	for name, put_out in pairs(ends) do
		for _, killed in ipairs { false, true } do
			it(("R2: stays out after a restart: %s%s"):format(name, killed and ", server killed" or ""), function ()
				local s = bookmarked();
				put_out(s);
				s:wait(minute);
				s:upstream();
				for _ = 1, 2 do
					s:restart { killed = killed };
					s:client "tablet";
					s:wait(10 * minute);
					assert.same({}, s:upstream());
				end
			end);
		end
	end

	it("R2: stays out after a reload", function ()
		local s = bookmarked();
		s.room:kick "Alice";
		s:wait(minute);
		s.host:reload();
		s:wait(10 * minute);
		assert.same({}, s:occupants());
	end);

	it("R2: returns when the user edits the bookmark", function ()
		local s = bookmarked();
		s.room:kick "Alice";
		s:wait(minute);
		s:restart();
		local tablet = s:client "tablet";
		s:wait(minute);
		assert.same({}, s:occupants());
		bookmark(tablet, "Laboratory");
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
		s:restart();
		s.room:forget "Alice";
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R2: returns when a client joins, and again after the next restart", function ()
		local s = bookmarked();
		s.room:kick "Alice";
		s:wait(minute);
		s:restart();
		local phone = s:client "phone";
		s:wait(minute);
		assert.same({}, s:occupants());
		s:enter(phone);
		assert.same({ "Alice" }, s:occupants());
		phone:close();
		s:restart();
		s.room:forget "Alice";
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R2: stays out after a kick in a room of mod_muc", function ()
		local s = scene.new { prosody = true; modules = { "pep", "bookmarks" }; options = { minimix_rejoin_rate = 5 } };
		local bob, phone = s:client("desk", "bob"), s:client "phone";
		bob:send(join "Bob");
		bob:send(query("<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
			{ id = "own"; type = "set" }));
		bookmark(phone, "Lab");
		s:wait(minute);
		assert.equal(1, #shown(scene.take(bob), "Alice"));
		bob:send(query("<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='Alice' role='none'/></query>",
			{ id = "kick"; type = "set" }));
		s:wait(minute);
		bob:take();
		s.host:reload();
		s:wait(10 * minute);
		assert.same({}, shown(scene.take(bob), "Alice"));
	end);

	it("P7: rejoins with the password that a client has used since", function ()
		local s, tablet = bookmarked { room = { password = "one" }; bookmark_password = "one" };
		s.room.password = "two";
		local phone = s:client "phone";
		s:enter(phone, "Alice", { muc = "<password>two</password>" });
		s.room:remove("Alice", "332");
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
		tablet:take();
		s:restart();
		s.room:forget "Alice";
		s:wait(5 * minute);
		assert.same({ "Alice" }, s:occupants());
	end);
end);

describe("an account that rejoins a room with a password", function ()
	local function with_passwords(first, second)
		local s = scene.new { room = { password = first } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone, "Alice", { muc = ("<password>%s</password>"):format(first) });
		s:enter(laptop, "Alice", { muc = ("<password>%s</password>"):format(second) });
		return s, phone, laptop;
	end

	it("P7: tries the password that was used last", function ()
		local s = with_passwords("one", "two");
		s.room.password = "two";
		s.room:remove("Alice", "332");
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P7: tries the password that worked, if a later one was wrong", function ()
		local s, phone = with_passwords("one", "wrong");
		s.room:remove("Alice", "332");
		s:wait(minute);
		assert.same({ "Alice" }, s:occupants());
		for _, line in ipairs(seen(phone)) do
			assert.is_nil(line:find "333", line);
		end
	end);

	it("P7: tries both passwords after a restart", function ()
		for _, password in ipairs { "one", "two" } do
			local s = with_passwords("one", "two");
			s.room.password = password;
			s:restart();
			s.room:forget "Alice";
			s:wait(5 * minute);
			assert.same({ "Alice" }, s:occupants());
		end
	end);

	it("P7: tells its sessions if both passwords are wrong", function ()
		local s, phone = with_passwords("one", "two");
		s.room.password = "three";
		s.room:remove("Alice", "332");
		s:wait(20 * minute);
		local lines = seen(phone);
		assert.equal(1, #lines);
		assert.matches("^presence unavailable room/Alice 110", lines[1]);
	end);
end);

describe("a leave that the room does not confirm", function ()
	local conditions = {
		"bad-request"; "feature-not-implemented"; "forbidden"; "gone"; "internal-server-error"; "not-allowed"; "not-authorized";
		"payment-required"; "policy-violation"; "recipient-unavailable"; "redirect"; "registration-required"; "remote-server-not-found";
		"remote-server-timeout"; "resource-constraint"; "service-unavailable"; "undefined-condition"; "unexpected-request";
	};

	for _, condition in ipairs(conditions) do
		it("L5: is retried after a self-ping answered with "..condition, function ()
			local s, phone = in_room { remote = true };
			local receive = s.room.receive;
			function s.room.receive(room, stanza)
				if stanza.name == "iq" then
					return room.send(st.error_reply(stanza, "cancel", condition));
				end
			end
			phone:send(leave "Alice");
			s:wait(hour);
			assert.same({ "Alice" }, s:occupants());
			s.room.receive = receive;
			s:wait(hour);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);
	end

	for _, condition in ipairs { "not-acceptable", "item-not-found" } do
		it("L5: ends with a self-ping answered with "..condition, function ()
			local s, phone = in_room();
			s.room:forget "Alice";
			function s.room.receive(room, stanza)
				if stanza.name == "iq" then
					return room.send(st.error_reply(stanza, "cancel", condition));
				end
			end
			phone:send(leave "Alice");
			s:wait(hour);
			assert.is_true(s:is_forgotten());
		end);
	end
end);

describe("two bookmarks of one room that differ in case", function ()
	local bookmarks = "urn:xmpp:bookmarks:1";
	local pubsub = "http://jabber.org/protocol/pubsub";

	local function publish(client, id, autojoin)
		client:send(("<iq type='set' id='b'><pubsub xmlns='%s'><publish node='%s'><item id='%s'><conference xmlns='%s' autojoin='%s'>"
			.."<nick>Alice</nick></conference></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>"
			.."<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
			.."<field var='pubsub#persist_items'><value>true</value></field><field var='pubsub#max_items'><value>max</value></field>"
			.."</x></publish-options></pubsub></iq>"):format(pubsub, bookmarks, id, bookmarks, autojoin or "true"));
		client:take();
	end

	local function retract(client, id)
		client:send(("<iq type='set' id='b'><pubsub xmlns='%s'><retract node='%s' notify='true'><item id='%s'/></retract></pubsub></iq>")
			:format(pubsub, bookmarks, id));
		client:take();
	end

	local upper = "Room@Rooms.Example.org";

	for _, order in ipairs { { lab, upper }, { upper, lab } } do
		it("P5, L4: keep the account in the room until both are removed, first "..order[1], function ()
			local s = scene.new { modules = { "pep", "bookmarks" } };
			local tablet = s:client "tablet";
			publish(tablet, lab);
			publish(tablet, upper);
			s:wait(minute);
			assert.same({ "Alice" }, s:occupants());
			retract(tablet, order[1]);
			s:wait(minute);
			assert.same({ "Alice" }, s:occupants());
			retract(tablet, order[2]);
			s:wait(minute);
			assert.same({}, s:occupants());
		end);

		it("P5, L4: keep the account in the room while one has autojoin, without it "..order[1], function ()
			local s = scene.new { modules = { "pep", "bookmarks" } };
			local tablet = s:client "tablet";
			publish(tablet, lab);
			publish(tablet, upper);
			s:wait(minute);
			publish(tablet, order[1], "false");
			s:wait(minute);
			assert.same({ "Alice" }, s:occupants());
			s:restart();
			s.room:forget "Alice";
			s:wait(5 * minute);
			assert.same({ "Alice" }, s:occupants());
		end);
	end
end);

describe("the own item in a non-anonymous room", function ()
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

		-- Each session's own item has the session's full JID, and Bob sees the occupant JID.
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

		it("R1: another occupant's item has the session's full JID as actor", function ()
			local s, phone, laptop = both_in();
			s:from("Bob", ("<presence>%s</presence>"):format(scene.status(nil, { jid = "bob@elsewhere.example/client" })
				:gsub("/></x>", ("><actor nick='Alice' jid='%s'/></item></x>"):format(s:occupant_jid()))));
			for _, client in ipairs { phone, laptop } do
				local got = shown(scene.take(client), "Bob")[1];
				assert.equal(client.jid, got:find("{"..xmlns_user.."}x/item/actor").attr.jid);
				assert.equal("bob@elsewhere.example/client", item_jid(got));
			end
		end);

		it("R1: does not change the items of other occupants", function ()
			local s, phone = open_room();
			phone:send(join "Alice");
			s:deliver();
			assert.equal("bob@elsewhere.example/client", item_jid(shown(scene.take(phone), "Bob")[1]));
		end);
	end);

	it("R1: has no JID in an anonymous room", function ()
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

	it("J2: comes after the subject if the room sent it there", function ()
		local _, phone, laptop = joined(nil, "one");
		local expected = {
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:"; "presence - room";
		};
		assert.same(expected, seen(phone));
		laptop:send(join("Alice", { id = "j2" }));
		assert.same(expected, seen(laptop));
	end);

	it("J2: comes first if the room sent it first", function ()
		local _, phone, laptop = joined("one");
		local expected = {
			"presence - room"; "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		};
		assert.same(expected, seen(phone));
		laptop:send(join("Alice", { id = "j2" }));
		assert.same(expected, seen(laptop));
	end);

	it("J2, R1: is the latest one, at its place in the order", function ()
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
