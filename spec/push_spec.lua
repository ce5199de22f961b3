-- Messages of rooms that trigger a push to an offline device (XEP-0357, XEP-0492).

local st = require "util.stanza";
local scene = require "support.scene";
local xml = require "support.xml";

local lab = "room@rooms.example.org";
local push_service = "push.elsewhere.example";
local bookmarks = "urn:xmpp:bookmarks:1";
local pubsub = "http://jabber.org/protocol/pubsub";

local function field(var, value)
	return ("<field var='pubsub#%s'><value>%s</value></field>"):format(var, value);
end

-- Bookmarks the room with a notification setting, as XML in <notify/>.
local function set_notify(client, setting)
	client:send(("<iq type='set' id='b1'><pubsub xmlns='%s'><publish node='%s'><item id='%s'>"
		.."<conference xmlns='%s' autojoin='true'><nick>Alice</nick><extensions>"
		.."<notify xmlns='urn:xmpp:notification-settings:1'>%s</notify></extensions></conference></item></publish>"
		.."<publish-options><x xmlns='jabber:x:data' type='submit'>"
		.."<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
		..field("persist_items", "true")..field("max_items", "max")..field("send_last_published_item", "never")
		..field("access_model", "whitelist").."</x></publish-options></pubsub></iq>"):format(
		pubsub, bookmarks, lab, bookmarks, setting));
end

-- The room announces whether it is private.
local function describe_room(room, is_private)
	function room.on_iq(_, iq)
		local query = iq:get_child("query", "http://jabber.org/protocol/disco#info");
		if not query then return; end
		local reply = st.reply(iq):tag("query", { xmlns = "http://jabber.org/protocol/disco#info" });
		for _, feature in ipairs(is_private and { "muc_membersonly"; "muc_hidden" } or { "muc_open"; "muc_public" }) do
			reply:tag("feature", { var = feature }):up();
		end
		return reply:reset();
	end
end

-- The account's phone has enabled push and is offline. A laptop of the account may be online. options: private, laptop
-- (it has joined), setting (in <notify/>), stays (the phone is online), resource
local function open(options)
	local s = scene.new {
		modules = { "disco"; "pep"; "bookmarks"; "cloud_notify" }; resource = options.resource;
	};
	describe_room(s.room, options.private);
	s.room:enter "Bob";
	local phone = s:client "phone";
	phone:send(("<iq type='set' id='p1'><enable xmlns='urn:xmpp:push:0' jid='%s' node='phone'/></iq>"):format(push_service));
	if options.setting then set_notify(phone, options.setting); end
	s:enter(phone);
	if options.laptop then s:enter(s:client "laptop"); end
	if not options.stays then phone:close(); end
	s.host:take();
	return s, phone;
end

local function is_push(stanza)
	return stanza.name == "iq" and stanza.attr.to == push_service and stanza:get_child("pubsub", pubsub);
end

-- Returns the number of pushes to the phone while f runs.
local function wakes(s, f)
	s.host:take();
	f();
	s:wait(3);
	local count = 0;
	for _, stanza in ipairs(s.host:take()) do
		if is_push(stanza) then count = count + 1; end
	end
	return count;
end

local function wakes_for(s, body, payload)
	return wakes(s, function ()
		local message = st.message({ type = "groupchat"; id = body }, body);
		if payload then message:add_child(xml.parse(payload)); end
		s.room:say("Bob", message);
	end);
end

for _, laptop in ipairs { false, true } do
	for _, resource in ipairs { false, "minimix" } do
		local function here(options)
			options.laptop, options.resource = laptop, resource;
			return open(options);
		end

		describe(("H4: an offline device, %s, in %s JID"):format(
			laptop and "while another has joined" or "with no other", resource and "a full" or "the bare"), function ()

			it("is notified of mentions in a public room", function ()
				local s = here {};
				assert.equal(0, wakes_for(s, "hello"));
				assert.equal(1, wakes_for(s, "hello alice!"));
				assert.equal(1, wakes_for(s, "ALICE: there?"));
				assert.equal(0, wakes_for(s, "malice and Alicette"));
			end);

			it("is notified of references and replies", function ()
				local s = here {};
				local reference = "<reference xmlns='urn:xmpp:reference:0' type='%s' uri='xmpp:%s'/>";
				assert.equal(1, wakes_for(s, "1", reference:format("mention", "alice@example.org")));
				assert.equal(1, wakes_for(s, "2", reference:format("mention", lab.."/Alice")));
				assert.equal(0, wakes_for(s, "3", reference:format("mention", lab.."/Bob")));
				assert.equal(0, wakes_for(s, "4", reference:format("data", "alice@example.org")));
				assert.equal(1, wakes_for(s, "5", ("<reply xmlns='urn:xmpp:reply:0' id='x' to='%s/Alice'/>"):format(lab)));
				assert.equal(0, wakes_for(s, "6", ("<reply xmlns='urn:xmpp:reply:0' id='x' to='%s/Bob'/>"):format(lab)));
			end);

			it("is notified of every message in a private room, once each", function ()
				local s = here { private = true };
				assert.equal(1, wakes_for(s, "hello"));
				assert.equal(1, wakes_for(s, "hello Alice"));
				assert.equal(1, wakes_for(s, "and again"));
			end);

			it("is notified as the bookmark says", function ()
				for setting, expected in pairs {
					["<always/>"] = { 1, 1 };
					["<on-mention/>"] = { 0, 1 };
					["<never/>"] = { 0, 0 };
					["<always/><never identity-category='client' identity-type='phone'/>"] = { 0, 0 };
					["<never/><always identity-category='client' identity-type='pc'/>"] = { 0, 0 };
				} do
					for _, private in ipairs { false, true } do
						local s = here { private = private; setting = setting };
						assert.same(expected, { wakes_for(s, "hello"), wakes_for(s, "hello Alice") }, setting);
					end
				end
			end);

			it("is not notified of the account's own messages", function ()
				local s = here { setting = "<always/>" };
				assert.equal(0, wakes(s, function ()
					s.room:say("Alice", "I am Alice");
				end));
			end);

			it("is not notified of subjects, markers and history", function ()
				local s = here { setting = "<always/>" };
				assert.equal(0, wakes(s, function ()
					s.room:set_subject("Bob", "Alice");
					s.room:say("Bob", st.message({ id = "m" }):tag("displayed", { xmlns = "urn:xmpp:chat-markers:0"; id = "1" }):up());
					s:from("Bob", ("<message type='groupchat'><body>Alice</body>"
						.."<delay xmlns='urn:xmpp:delay' from='%s' stamp='2023-11-14T20:00:00Z'/></message>"):format(lab));
				end));
			end);
		end);
	end
end

describe("H4: a device that is online", function ()
	it("is not notified, attached or not", function ()
		local s, phone = open { private = true; stays = true };
		assert.equal(0, wakes_for(s, "Alice?"));
		phone:send(scene.leave "Alice");
		s:enter(s:client "laptop");
		assert.equal(0, wakes_for(s, "Alice!"));
	end);
end);

describe("H4: a room that changes its configuration", function ()
	it("is asked again whether it is private", function ()
		local s = open {};
		assert.equal(0, wakes_for(s, "hello"));
		describe_room(s.room, true);
		s:from(nil, "<message type='groupchat'>"..scene.x():gsub("muc'", "muc#user'"):gsub("></x>", "><status code='104'/></x>").."</message>");
		assert.equal(1, wakes_for(s, "hello again"));
	end);
end);
