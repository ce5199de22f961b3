-- O8: a handler of another module fails on an event that a stanza of a hostile room causes. No other account is
-- affected.

local scene = require "support.scene";

-- Events that this module fires, and a stanza of a hostile room that leads to each.
local causes = {
	["message/bare/groupchat"] = { offline = true; stanza = function (s) s.room:say("Mallory", "alice, look"); end };
	["archive-message-added"] = { stanza = function (s) s.room:say("Mallory", "alice, look"); end };
	["pre-presence/full"] = { stanza = function (s)
		s.room:remove("Alice", "333");
		s:wait(30);
	end };
};

local function sorted(list)
	table.sort(list);
	return list;
end

describe("a module that fails on an event that a hostile room causes", function ()
	scene.everywhere(function (new_scene)
		for event, cause in pairs(causes) do
			it("O8: affects no other account, on "..event, function ()
				local s = new_scene { modules = { "disco"; "cloud_notify" } };
				local carol = s:client("phone", "carol");
				s:enter(carol, "Carol");
				s.room:enter "Mallory";
				s.room:enter "Bob";
				local phone = s:client "phone";
				s:enter(phone);
				if cause.offline then phone:close(); end
				local failures = 0;
				local function fail()
					failures = failures + 1;
					error "out of order";
				end
				prosody.hosts[s.host.name].events.add_handler(event, fail, 10);
				cause.stanza(s);
				s:deliver();
				assert(failures > 0, "the event was not fired");
				s.host:expect_error "out of order";
				carol:take();
				s.room:say("Bob", "tea");
				s:deliver();
				assert.same({ "message groupchat room/Bob tea" }, scene.seen(carol));
				assert.same({ "Alice"; "Carol" }, sorted(s:occupants()));
			end);
		end
	end);
end);
