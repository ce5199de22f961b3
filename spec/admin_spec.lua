-- O2, O3: warnings for the admin at load, and commands and metrics afterwards.

local st = require "util.stanza";
local clock = require "support.clock";
local faulty = require "support.faulty";
local scene = require "support.scene";
local xml = require "support.xml";
local new_host = require "support.host".new;

local seen = scene.seen;
local nodes = "https://modules.prosody.im/mod_minimix#";

local in_room = scene.in_room;

describe("O3: on a host without users the module does not load, and logs the reason:", function ()
	local function refusal(place, host)
		local _, problem = require "core.modulemanager".load(place, "minimix");
		assert.is_nil(require "core.modulemanager".get_module(place, "minimix"));
		host:expect_error "mod_minimix is for hosts that have users";
		return problem;
	end

	it("on a component", function ()
		local host = new_host();
		host:add_component("rooms.example.org", "muc");
		assert.matches("mod_minimix is for hosts that have users, not for the component rooms.example.org: remove it there",
			refusal("rooms.example.org", host), 1, true);
	end);

	it("on the whole server", function ()
		local host = new_host();
		assert.matches("not for the whole server", refusal("*", host), 1, true);
	end);
end);

describe("O3: the module logs a warning at load:", function ()
	local function warning(fields, pattern)
		return new_host(fields):last_log("warn", pattern);
	end

	it("about mod_ping_muc", function ()
		local text = warning({ modules = { "ping_muc" } }, "^mod_ping_muc");
		assert.matches("remove it from modules_enabled", text, 1, true);
	end);

	it("about minimix_archive set to mam without mod_mam", function ()
		assert.is_string(warning({ options = { minimix_archive = "mam" } }, "mod_mam is not loaded"));
	end);

	it("about a host without users", function ()
		assert.is_string(warning({ options = { authentication = "null" } }, "This host has no users"));
	end);

	it("none for a working configuration", function ()
		assert.is_nil(warning({ modules = { "mam", "carbons", "pep" } }, ""));
	end);

	it("also when it is loaded into a running server", function ()
		local host = new_host { modules = { "ping_muc" } };
		host:unload();
		host.log = {};
		host:load();
		assert.is_string(host:last_log("warn", "^mod_ping_muc"));
	end);
end);

-- Runs a command of the admin shell. Returns its results and the lines that it prints.
local function shell(s, name, ...)
	local commands = s.host:module():shared("/*/admin_shell/env").minimix;
	local lines = {};
	local section = setmetatable({ session = { print = function (line) table.insert(lines, line); end } }, { __index = commands });
	local ok, message;
	local parameters = { ... };
	s.host:run(function () ok, message = section[name](section, table.unpack(parameters)); end);
	return ok, message, lines;
end

describe("the shell", function ()
	it("O2: shows the state of a room that the account has lost", function ()
		local s, phone = in_room { remote = true };
		phone:close();
		s:from("Alice", "<presence type='unavailable'>"..scene.status "110 332".."</presence>");
		local _, message, lines = shell(s, "rooms", "alice@example.org");
		assert.equal("1 rooms", message);
		assert.matches("^room@rooms.example.org: lost, 1 attempts to rejoin, as Alice since .-; no session since ", lines[1]);
		s.host:drop();
	end);

	it("O2: shows by the wall clock since when no session is attached", function ()
		local s, phone = in_room();
		s:wait(0.5);
		phone:close();
		s:wait(90);
		clock.jump(3600);
		local _, _, lines = shell(s, "rooms", "alice@example.org");
		local since = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - 90);
		assert.equal("no session since "..since, lines[1]:match("; (.*)"));
	end);

	it("O2: makes a lost account rejoin at once", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'>"..scene.status "110 332".."</presence>");
		s.room:forget();
		assert.is_true((shell(s, "rejoin", "alice@example.org", "room@rooms.example.org")));
		s:wait(0);
		assert.same({ "Alice" }, s:occupants());
		assert.same({ "presence unavailable room/Bob" }, seen(phone));
	end);

	it("O2: makes the account leave, with retries until the room has confirmed it", function ()
		local s = in_room { remote = true };
		local ok, message = shell(s, "leave", "alice@example.org", "room@rooms.example.org");
		assert.is_true(ok);
		assert.equal("alice@example.org is leaving room@rooms.example.org", message);
		ok, message = shell(s, "leave", "alice@example.org", "room@rooms.example.org");
		assert.is_nil(ok);
		assert.equal("alice@example.org is already leaving room@rooms.example.org", message);
		ok, message = shell(s, "rejoin", "alice@example.org", "room@rooms.example.org");
		assert.is_nil(ok);
		assert.equal("alice@example.org is leaving room@rooms.example.org now", message);
		s.host:drop();
		s:wait(120);
		assert.same({}, s:occupants());
	end);

	it("O2: answers for each host of the server that has the module, and no other", function ()
		local s = in_room();
		local env = s.host:module():shared "/*/admin_shell/env";
		require "core.hostmanager".activate("example.net", {});
		assert(require "core.modulemanager".load("example.net", "minimix"));
		assert.equal("2 hosts", select(2, shell(s, "stats")));
		assert.equal("0 rooms", select(2, shell(s, "rooms", "alice@example.net")));
		assert(require "core.modulemanager".unload("example.net", "minimix"));
		assert.equal("1 hosts", select(2, shell(s, "stats")));
		assert.equal("mod_minimix is not loaded on example.net", select(2, shell(s, "rooms", "alice@example.net")));
		s.host:reload();
		assert.equal("1 rooms", select(2, shell(s, "rooms", "alice@example.org")));
		s.host:unload();
		assert.is_nil(env.minimix);
	end);
end);

-- Returns a scene with a room in which this number of accounts were when the server stopped.
local function crowd(count)
	local accounts = {};
	for i = 1, count do
		accounts[("user%d"):format(i)] = function ()
			return {
				seen = clock.now;
				rooms = { ["room@rooms.example.org"] = { nick = "User"..i; state = "in"; since = 0 } };
			};
		end;
	end
	return { ["example.org"] = { minimix = accounts } };
end

-- Returns the IQ of an ad-hoc command. `fields` are the fields of the form.
local function command(name, fields)
	local iq = st.iq({ type = "set"; id = "c1"; to = "example.org" })
		:tag("command", { xmlns = "http://jabber.org/protocol/commands"; node = nodes..name });
	if fields then
		iq:tag("x", { xmlns = "jabber:x:data"; type = "submit" });
		for key, value in pairs(fields) do
			iq:tag("field", { var = key }):text_tag("value", value):up();
		end
	end
	return iq:reset();
end

local function lines_of(answer)
	local lines = {};
	local x = answer.tags[1]:get_child("x", "jabber:x:data");
	for field in (x or st.stanza "x"):childtags "field" do
		if field.attr.var == "lines" then
			for value in field:childtags "value" do table.insert(lines, value:get_text()); end
		end
	end
	return lines;
end

describe("a room with 1,000 accounts", function ()
	it("O2: is listed by the shell and by an ad-hoc command, and each account can be removed", function ()
		local s = scene.new {
			storage = crowd(1000);
			options = { admins = { "admin@example.org" }; minimix_rejoin_rate = 1 };
		};
		local _, message, lines = shell(s, "accounts", "room@rooms.example.org");
		assert.equal("1000 accounts", message);
		assert.matches("^user1000@example.org: lost as User1000 since ", lines[1]);

		local admin = s:client("desk", "admin");
		admin:send(command("accounts", { room = "room@rooms.example.org" }));
		assert.same(lines, lines_of(admin:take()[1]));

		admin:send(command("leave", { account = "user7@example.org"; room = "room@rooms.example.org" }));
		assert.equal("user7@example.org is leaving room@rooms.example.org", admin:take()[1].tags[1]:get_child_text "note");
		-- The room does not answer the leave, so the account asks again after a while.
		s:wait(90);
		assert.equal("999 accounts", select(2, shell(s, "accounts", "room@rooms.example.org")));
	end);
end);

describe("ad-hoc commands", function ()
	it("O2: do not exist if mod_adhoc is disabled", function ()
		local host = new_host { options = { modules_disabled = { "adhoc" } } };
		assert.is_nil(prosody.hosts["example.org"].modules.adhoc);
		assert.truthy(host:module());
	end);

	it("O2: tell that a remote room was asked for a nick", function ()
		local s, phone = in_room { remote = true };
		phone:send(command("my-nick", { room = "room@rooms.example.org"; nick = "Alicia" }));
		assert.equal("Asked room@rooms.example.org for the nick Alicia", phone:take()[1].tags[1]:get_child_text "note");
		s:deliver();
		assert.same({ "presence unavailable room/Alice 110 303", "presence - room/Alicia 110" }, seen(phone));
	end);
end);

describe("while the rooms of an account cannot be read, it is not said to be in none:", function ()
	local function unread(stores)
		local faults = faulty.new();
		local s = in_room { wrap_store = faults.wrap; options = { admins = { "admin@example.org" } } };
		s:wait(10);
		faults:fail("nil", "reads", stores, stores and "alice");
		s:restart { killed = true };
		s:wait(3);
		s.host:expect_error "^[ST]%w+ ";
		return s, faults;
	end

	for what, stores in pairs { ["all records"] = false; ["one record"] = { "minimix" } } do
		it("S1: in the shell ("..what..")", function ()
			local s, faults = unread(stores or nil);
			local text = "The rooms of alice@example.org are unknown: storage fails";
			assert.same({ n = 3; nil, text, {} }, table.pack(shell(s, "rooms", "alice@example.org")));
			assert.equal(text, select(2, shell(s, "leave", "alice@example.org", "room@rooms.example.org")));
			assert.equal(text, select(2, shell(s, "rejoin", "alice@example.org", "room@rooms.example.org")));
			local _, _, lines = shell(s, "accounts", "room@rooms.example.org");
			assert.same({ "The rooms of some accounts are unknown: storage fails" }, lines);
			faults:work();
			s:wait(30);
			assert.equal("1 rooms", select(2, shell(s, "rooms", "alice@example.org")));
			assert.equal("1 accounts", select(2, shell(s, "accounts", "room@rooms.example.org")));
		end);

		it("S1: in ad-hoc commands ("..what..")", function ()
			local s, faults = unread(stores or nil);
			local text = "The rooms of alice@example.org are unknown: storage fails";
			local phone, admin = s:client "phone", s:client("desk", "admin");
			local function note(client, name, fields)
				client:take();
				client:send(command(name, fields));
				local element = client:take()[1].tags[1]:get_child "note";
				return element and element:get_text();
			end
			for _, name in ipairs { "my-rooms", "leave-my-room", "my-nick", "my-notify" } do
				assert.equal(text, note(phone, name));
			end
			local account = { account = "alice@example.org"; room = "room@rooms.example.org" };
			for _, name in ipairs { "rooms", "leave", "rejoin" } do
				assert.equal(text, note(admin, name, account));
			end
			admin:send(command("accounts", account));
			assert.same({ "The rooms of some accounts are unknown: storage fails" }, lines_of(admin:take()[1]));
			faults:work();
			s:wait(30);
			assert.is_nil(note(phone, "my-rooms"));
		end);
	end
end);

describe("the ad-hoc command my-notify", function ()
	local room = "room@rooms.example.org";
	local bookmarks = "urn:xmpp:bookmarks:1";
	local pubsub = "http://jabber.org/protocol/pubsub";

	-- Returns a scene in the room, with a bookmark that has these children.
	local function bookmarked(children)
		local s, phone = in_room { modules = { "pep", "bookmarks" } };
		phone:send(("<iq type='set' id='b1'><pubsub xmlns='%s'><publish node='%s'><item id='%s'><conference xmlns='%s' name='Tea'>%s"
			.."</conference></item></publish></pubsub></iq>"):format(pubsub, bookmarks, room, bookmarks, children));
		phone:take();
		return s, phone;
	end

	local function note(phone, fields)
		phone:send(command("my-notify", fields));
		local element = phone:take()[1].tags[1]:get_child "note";
		return element:get_text(), element.attr.type;
	end

	-- Returns the current bookmark, or nil.
	local function stored(phone)
		phone:send(("<iq type='get' id='b2'><pubsub xmlns='%s'><items node='%s'/></pubsub></iq>"):format(pubsub, bookmarks));
		local item = phone:take()[1]:find("{"..pubsub.."}pubsub/items/item");
		return item and xml.canonical(item.tags[1]);
	end

	local function conference(children)
		return ("<conference name='Tea' xmlns='%s'>%s</conference>"):format(bookmarks, children);
	end

	local function extensions(settings, others)
		return ("<extensions>%s<notify xmlns='urn:xmpp:notification-settings:1'>%s</notify></extensions>"):format(others or "", settings);
	end

	it("O2: offers the rooms and the three settings", function ()
		local _, phone = bookmarked "";
		phone:send(command "my-notify");
		local x = phone:take()[1].tags[1]:get_child("x", "jabber:x:data");
		local values = {};
		for field in x:childtags "field" do
			for option in field:childtags "option" do table.insert(values, option:get_child_text "value"); end
		end
		assert.same({ room, "always", "on-mention", "never" }, values);
	end);

	for _, setting in ipairs { "always", "on-mention", "never" } do
		it("O2: stores "..setting.." in the bookmark, and leaves alone what else is there", function ()
			local _, phone = bookmarked "<nick>Alice</nick><x xmlns='urn:example:x'>y</x>";
			assert.same({ "Notifications of "..room..": "..setting, "info" }, { note(phone, { room = room; setting = setting }) });
			assert.equal(conference("<nick>Alice</nick><x xmlns='urn:example:x'>y</x>"..extensions("<"..setting.."/>")), stored(phone));
		end);
	end

	-- XEP-0492 3: the most specific element decides. There is always a fallback. <advanced/> is kept.
	local cases = {
		{ "<never/>", "<always/>" };
		{ "<never><advanced><a xmlns='urn:example:a'/></advanced></never>", "<always><advanced><a xmlns='urn:example:a'/></advanced></always>" };
		{ "<never identity-category='client' identity-type='pc'/>", "<never identity-category='client' identity-type='pc'/><always/>" };
		{ "<never identity-category='client' identity-type='phone'/><on-mention/>",
			"<always identity-category='client' identity-type='phone'/><on-mention/>" };
		{ "<never identity-category='client'/>", "<always identity-category='client'/><always/>" };
		{ "<never/><always/>", "<always/>" };
	};
	for _, case in ipairs(cases) do
		it("O2: changes "..case[1].." "..case[2], function ()
			local _, phone = bookmarked(extensions(case[1], "<other xmlns='urn:example:o'/>"));
			note(phone, { room = room; setting = "always" });
			assert.equal(conference(extensions(case[2], "<other xmlns='urn:example:o'/>")), stored(phone));
		end);
	end

	it("O2: reports a missing bookmark, and creates none", function ()
		local _, phone = in_room { modules = { "pep", "bookmarks" }; options = { minimix_bookmark_write = false } };
		assert.same({ room.." is not bookmarked, and the bookmark stores this setting: add a bookmark first", "error" },
			{ note(phone, { room = room; setting = "never" }) });
		assert.is_nil(stored(phone));
	end);

	it("O2: reports a server without bookmarks", function ()
		local _, phone = in_room();
		assert.matches("is not bookmarked", note(phone, { room = room; setting = "never" }), 1, true);
	end);

	it("O2: reports a failure to write the bookmark", function ()
		local s, phone = bookmarked "<nick>Alice</nick>";
		local service = prosody.hosts["example.org"].modules.pep.get_pep_service("alice");
		service.publish = function () return false, "internal-server-error"; end;
		assert.same({ "The bookmark of "..room.." could not be written", "error" }, { note(phone, { room = room; setting = "never" }) });
		assert.equal(conference "<nick>Alice</nick>", stored(phone));
		assert.truthy(s.host:last_log("warn", "Could not bookmark"));
	end);

	it("S1: reports a failure to read the bookmark, and not that there is none", function ()
		local _, phone = bookmarked "<nick>Alice</nick>";
		local service = prosody.hosts["example.org"].modules.pep.get_pep_service("alice");
		service.get_items = function () return false, "internal-server-error"; end;
		assert.same({ "The bookmark of "..room.." could not be written", "error" }, { note(phone, { room = room; setting = "never" }) });
	end);

	it("O2: refuses an invalid setting, and rooms that the account is not in", function ()
		local _, phone = bookmarked "<nick>Alice</nick>";
		assert.same({ 'Invalid setting "sometimes": expected always, on-mention or never', "error" }, { note(phone, { room = room; setting = "sometimes" }) });
		assert.same({ "Notify me: Required value missing", "error" }, { note(phone, { room = room }) });
		assert.same({ "alice@example.org is not in tea@rooms.example.org", "error" },
			{ note(phone, { room = "tea@rooms.example.org"; setting = "never" }) });
		assert.same({ "alice@example.org is not in not a room", "error" }, { note(phone, { room = "not a room"; setting = "never" }) });
		assert.equal(conference "<nick>Alice</nick>", stored(phone));
	end);
end);

describe("metrics", function ()
	it("O2: count dropped stanzas, by reason", function ()
		local s, phone = in_room();
		s:from("Somebody", "<presence>"..scene.status().."</presence>", s:occupant_jid "carol");
		s:from("Bob", "<message type='error' id='m9'>"..scene.error("cancel", "item-not-found").."</message>");
		assert.equal(1, s.host:metric("drops", { "stray" }));
		assert.equal(1, s.host:metric("drops", { "unclaimed" }));
		assert.same({}, seen(phone));
	end);

	it("O2: count automatic rejoins", function ()
		local s = in_room();
		assert.equal(0, s.host:metric "rejoins");
		s:from("Alice", "<presence type='unavailable'>"..scene.status "110 332".."</presence>");
		s.room:forget();
		assert.equal(1, s.host:metric("memberships", { "lost" }));
		s:wait(5);
		assert.equal(1, s.host:metric "rejoins");
		assert.equal(1, s.host:metric("memberships", { "joined" }));
	end);
end);
