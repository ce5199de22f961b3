local st = require "util.stanza";
local clock = require "support.clock";
local server = require "support.prosody";
local spec_host = require "support.host";

local function new_host(fields)
	fields = fields or {};
	fields.module_file = "spec/support/fixtures/mod_relay.lua";
	return spec_host.new(fields);
end

local function relay(host)
	return host:module().environment.relay;
end

local function message(attr, body)
	return st.message(attr, body);
end

describe("the host", function ()
	it("runs the module on Prosody's own module API", function ()
		local host = new_host { options = { relay_greeting = "good day" } };
		assert.equal("good day", relay(host).greeting);
		assert.equal(server.version, prosody.version);
		assert.equal("function", type(prosody.hosts["example.org"].events.fire_event));
	end);

	it("starts with empty state each time", function ()
		local host = new_host();
		host:client("alice", "phone");
		local before = relay(host);
		host = new_host();
		assert.is_nil(next(prosody.full_sessions));
		assert.not_equal(before, relay(host));
	end);

	it("reports a module that does not load", function ()
		assert.has_error(function ()
			spec_host.new { module_file = "spec/support/fixtures/mod_broken.lua" };
		end);
	end);

	describe("routing", function ()
		it("stamps the client's full JID and records outgoing stanzas", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			phone:send("<message to='bob@example.net' from='mallory@example.net' id='m1'><body>&lt;hi&gt;</body></message>");
			local out = host:take();
			assert.equal(1, #out);
			assert.equal(
				"<message from='alice@example.org/phone' id='m1' to='bob@example.net'><body>&lt;hi&gt;</body></message>",
				host.xml(out[1])
			);
			assert.same({}, host:take());
		end);

		it("delivers between the clients of the server as mod_message does", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			local laptop = host:client("bob", "laptop");
			phone:send(message({ to = laptop.jid; type = "chat" }, "hi"));
			assert.equal("hi", laptop:take()[1]:get_child_text("body"));
			assert.same({}, laptop:take());
			assert.same({}, host.outbox);
		end);

		it("tells whether the module handled a stanza from elsewhere", function ()
			local host = new_host();
			host:client("alice", "phone");
			assert.is_true(host:from_room("<message from='room@rooms.example/bob' to='alice@example.org' type='groupchat'/>"));
			assert.equal(1, relay(host).count);
			assert.equal(1, host:metric("taken_stanzas"));
			assert.same({}, host.unhandled);
		end);

		it("records stanzas that the module leaves to Prosody, and their effect", function ()
			local host = new_host();
			local phone = host:client("alice", "phone", { available = true });
			assert.is_false(host:from_room("<message from='room@other.example/bob' to='alice@example.org' type='groupchat' id='m1'/>"));
			assert.is_false(host:from_room("<presence from='room@other.example/bob' to='alice@example.org'/>"));
			assert.is_false(host:from_room("<iq type='get' id='i1' from='room@other.example/bob' to='alice@example.org'><q xmlns='q'/></iq>"));
			assert.equal(3, #host.unhandled);
			assert.equal("presence", phone:take()[1].name);
			local out = host:take();
			assert.equal("error", out[1].attr.type);
			assert.equal("room@other.example/bob", out[1].attr.to);
			assert.equal("i1", out[2].attr.id);
		end);

		it("keeps copies of sent stanzas in the inbox, so that later changes do not show", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			local stanza = message({ to = phone.jid; from = "example.org" });
			phone.session.send(stanza);
			stanza.attr.to = "somebody@else.example";
			assert.equal(phone.jid, phone.inbox[1].attr.to);
		end);
	end);

	describe("rooms", function ()
		it("of this server answer inside module:send", function ()
			local host = new_host();
			local alice = host:client("alice", "phone");
			host:on_stanza_to("room@rooms.example.org", function (stanza)
				table.insert(relay(host).events, "room got "..stanza.name);
				host:from_room(message({ from = stanza.attr.to; to = alice.jid; type = "chat" }, "answer"));
			end);
			relay(host).events = {};
			alice:send(message({ to = "bob@example.net" }, "ask room"));
			assert.same({ "room got message", "sent" }, relay(host).events);
			assert.equal("answer", alice:take()[1]:get_child_text("body"));
			assert.equal("room@rooms.example.org", host:take()[1].attr.to);
		end);

		it("of other servers answer on delivery", function ()
			local host = new_host();
			local alice = host:client("alice", "phone");
			host:on_stanza_to("rooms.example", function (stanza)
				host:from_room(message({ from = stanza.attr.to; to = alice.jid; type = "chat" }, "answer"));
			end, { remote = true });
			alice:send(message({ to = "room@rooms.example" }));
			assert.same({}, alice:take());
			host:deliver();
			assert.equal("answer", alice:take()[1]:get_child_text("body"));
		end);
	end);

	it("runs Prosody's own rooms as well", function ()
		local host = new_host();
		host:add_component("chat.example.org", "muc");
		local phone = host:client("alice", "phone");
		phone:send("<presence to='room@chat.example.org/Alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
		local received = phone:take();
		assert.equal("room@chat.example.org/Alice", received[1].attr.from);
		assert.is_not_nil(received[#received]:get_child("subject"));
	end);

	describe("sessions", function ()
		local function events_of(host, act)
			relay(host).events = {};
			act();
			return relay(host).events;
		end

		it("end as Prosody's do", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			phone:available();
			phone:available(nil, "room@rooms.example/alice");
			assert.is_not_nil(prosody.full_sessions["alice@example.org/phone"]);
			assert.same({
				"pre-resource-unbind";
				"resource-unbind true false";
				"pre-presence/bare unavailable";
				"pre-presence/full unavailable";
			}, events_of(host, function () phone:close(); end));
			assert.is_nil(prosody.bare_sessions["alice@example.org"]);
			assert.is_true(phone.session.destroyed);
		end);

		it("send one and the same table to all recipients when they go offline", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			phone:available();
			phone:available(nil, "room@rooms.example/alice");
			local directed;
			prosody.hosts["example.org"].events.add_handler("pre-presence/full", function (event)
				directed = event.stanza;
			end, 0.1);
			phone:unavailable();
			assert.equal(relay(host).broadcast, directed);
			assert.is_true(phone:is_connected());
		end);

		it("hibernate, resume and receive the stanzas sent meanwhile", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			local session = phone.session;
			assert.same({ "pre-resource-unbind"; "smacks-hibernation-start" }, events_of(host, function () phone:hibernate(); end));
			assert.equal(session, prosody.full_sessions[phone.jid]);
			assert.is_true(session.send(message({ to = phone.jid }, "later")));
			assert.same({}, phone:take());
			assert.same({ "smacks-hibernation-end" }, events_of(host, function () phone:resume(); end));
			assert.equal(session, phone.session);
			assert.equal("later", phone:take()[1]:get_child_text("body"));
			assert.is_true(session.send(message({ to = phone.jid }, "now")));
			assert.equal("now", phone:take()[1]:get_child_text("body"));
		end);

		it("expire, and undelivered stanzas bounce unless a module prevents it", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			phone:hibernate();
			phone.session.send(message({ from = "room@rooms.example/bob"; to = phone.jid }, "swallowed"));
			phone.session.send(st.presence({ from = "room@rooms.example/bob"; to = phone.jid }));
			assert.same({
				"pre-resource-unbind"; "delivery/failure message"; "delivery/failure presence"; "resource-unbind true false";
			}, events_of(host, function () phone:expire(); end));
			local out = host:take();
			assert.equal(1, #out);
			assert.equal("presence", out[1].name);
		end);

		it("replace those with the same resource", function ()
			local host = new_host();
			local old = host:client("alice", "phone");
			local new = host:client("alice", "phone");
			assert.is_true(old.session.destroyed);
			assert.equal(new.session, prosody.full_sessions[new.jid]);
		end);
	end);

	describe("time", function ()
		it("passes only when a spec says so", function ()
			local host = new_host();
			local start = os.time();
			host:tick(130);
			assert.equal(start + 130, os.time());
			assert.equal(start + 130, require "util.time".now());
			assert.same({ "timer at "..start + 60; "timer at "..start + 120 }, relay(host).events);
			assert.equal(require "util.datetime".datetime(start + 130), require "util.datetime".datetime());
		end);

		it("settles promises and ends queries by timeout", function ()
			local host = new_host();
			local alice = host:client("alice", "phone");
			relay(host).events = {};
			alice:send(message({ to = "bob@example.net" }, "ping"));
			assert.equal("ping1", host.outbox[#host.outbox].attr.id);
			host:from_room("<iq type='result' id='ping1' from='room@rooms.example/alice' to='alice@example.org'/>");
			assert.same({ "pong" }, relay(host).events);
			assert.same({}, host.unhandled);
			alice:send(message({ to = "bob@example.net" }, "ping"));
			host:tick(31);
			assert.same({ "pong"; "no pong: remote-server-timeout" }, relay(host).events);
		end);
	end);

	describe("storage", function ()
		local function archived(host)
			local bodies = {};
			for _, stanza in relay(host).archive:find("alice") do
				table.insert(bodies, stanza:get_child_text("body"));
			end
			return bodies;
		end

		it("holds keyval, map and archive stores across reload and restart", function ()
			local host = new_host();
			relay(host).keyval:set("alice", { rooms = { "a", "b" } });
			relay(host).map:set("alice", "key", "value");
			relay(host).archive:append("alice", "k1", message({}, "one"), 1, "room");
			relay(host).archive:append("alice", "k2", message({}, "two"), 2, "room");
			relay(host).archive:append("alice", "k1", message({}, "three"), 3, "room");
			local function check()
				assert.same({ rooms = { "a", "b" } }, relay(host).keyval:get("alice"));
				assert.equal("value", relay(host).map:get("alice", "key"));
				assert.same({ "two", "three" }, archived(host));
				assert.equal("two", relay(host).archive:get("alice", "k2"):get_child_text("body"));
			end
			check();
			host:reload();
			check();
			host:restart();
			check();
			host = new_host { storage = host.storage };
			check();
			host = new_host();
			assert.is_nil(relay(host).keyval:get("alice"));
		end);

		it("deletes the data of deleted accounts", function ()
			local host = new_host();
			host:client("alice", "phone"):close();
			relay(host).keyval:set("alice", { 1 });
			relay(host).events = {};
			host:delete_user("alice");
			assert.same({ "user-deleted alice" }, relay(host).events);
			assert.is_nil(relay(host).keyval:get("alice"));
			assert.is_false(require "core.usermanager".user_exists("alice", "example.org"));
		end);

		it("can be wrapped", function ()
			local opened = {};
			new_host { wrap_store = function (store, name)
				opened[name] = true;
				return store;
			end };
			assert.is_true(opened.relay and opened.relay_archive);
		end);
	end);

	describe("the module's life", function ()
		it("restores saved data, and drops earlier hooks and timers", function ()
			local host = new_host();
			host:client("alice", "phone");
			host:from_room("<presence from='room@rooms.example/bob' to='alice@example.org'/>");
			local before = relay(host);
			host:reload();
			assert.equal("unload", before.events[#before.events]);
			assert.equal(1, relay(host).count);
			host:from_room("<presence from='room@rooms.example/bob' to='alice@example.org'/>");
			assert.equal(1, before.count);
			assert.equal(2, relay(host).count);
			host:tick(60);
			assert.equal("unload", before.events[#before.events]);
			assert.equal(1, #relay(host).events);
		end);

		it("ends with unload, and begins again with load", function ()
			local host = new_host();
			host:unload();
			assert.is_nil(host:module());
			assert.is_false(host:from_room("<presence from='room@rooms.example/bob' to='alice@example.org'/>"));
			host:load();
			assert.is_true(host:from_room("<presence from='room@rooms.example/bob' to='alice@example.org'/>"));
		end);

		it("ends sessions, not the module, when the server stops", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			local before = relay(host);
			host:restart();
			assert.equal("resource-unbind true false", before.events[#before.events]);
			assert.is_true(phone.session.destroyed);
			assert.equal(0, relay(host).count);
		end);

		it("ends without an event when the server is killed", function ()
			local host = new_host();
			host:client("alice", "phone");
			local before = relay(host);
			host:restart { killed = true };
			assert.same({ "resource-bind" }, before.events);
			assert.is_nil(next(prosody.full_sessions));
			assert.equal(1, clock.pending());
		end);
	end);

	describe("failures", function ()
		it("of a handler reach the spec", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			local ok, err = pcall(phone.send, phone, message({ to = "bob@example.net" }, "fail"));
			assert.is_false(ok);
			assert.matches("failed as asked", err);
			assert.equal(0, host.depth);
		end);

		it("that were logged fail the spec, unless expected", function ()
			local host = new_host();
			local phone = host:client("alice", "phone");
			phone:send(message({ to = "bob@example.net" }, "complain"));
			assert.equal("as asked", host:last_log("error"));
			assert.has_error(function () host:assert_clean(); end);
			phone:send(message({ to = "bob@example.net" }, "complain"));
			assert.has_error(function () host:expect_error("something else"); end);
			phone:send(message({ to = "bob@example.net" }, "complain"));
			host:expect_error("as asked");
			host:assert_clean();
		end);

		it("on unloading are reported", function ()
			local host = new_host { options = { relay_greeting = "refuse to go" } };
			host:unload();
			host:expect_error("refused");
		end);
	end);

	it("compares stanzas regardless of the order of attributes", function ()
		local built = st.message({ to = "a"; from = "b" }):tag("x", { xmlns = "urn:x" }):tag("y"):text("it's"):up():up();
		local text = "<message xmlns='jabber:client' from='b' to=\"a\"><x xmlns='urn:x'><y>it's</y></x></message>";
		assert.equal(spec_host.xml(text), spec_host.xml(built));
		assert.not_equal(spec_host.xml("<a><b/></a>"), spec_host.xml("<a><b xmlns='urn:b'/></a>"));
	end);
end);
