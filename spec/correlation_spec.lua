local inspect = require "fuzz.inspect";
local scene = require "support.scene";

local join, seen, status = scene.join, scene.seen, scene.status;
local room_jid = "room@rooms.example.org";

local function phase(s)
	local account = inspect.tables(s.host).accounts[s:occupant_jid()];
	local membership = account and account.memberships[room_jid];
	return membership and membership.place.phase or "none";
end

describe("an error that answers a stanza other than the account's own join", function ()
	it("R7: does not take the account out of the room", function ()
		local s = scene.new { remote = true, bounces = true };
		s.room:enter "Bob";
		local phone = s:client "phone";
		s:enter(phone);
		s.room:forget "Alice";
		s:from("Alice", "<presence type='unavailable'>"..status("110 332", { role = "none" }).."</presence>");
		s.host:tick(2); -- the room's archive is being asked; the join follows its answer
		phone:send(scene.presence("Alice", { id = "p1", content = "<show>away</show>" }));
		s:deliver();
		s:wait(600);
		assert.equal("joined", phase(s));
		assert.same({ "Alice" }, s:occupants());
	end);
end);

describe("an own presence without 110 that is over a cache limit", function ()
	for name, options in pairs { occupants = { minimix_max_occupants = 1 }, size = { minimix_max_cached_size = 10 } } do
		it("J5: still ends the join, limit "..name, function ()
			local s = scene.new { remote = true, room = { silent = true }, options = options };
			local phone, laptop = s:client "phone", s:client "laptop";
			phone:send(join("Alice", { id = "j1" }));
			s:deliver();
			s:from("Bob", "<presence>"..status "".."</presence>");
			s:from("Alice", "<presence>"..status "".."</presence>");
			s:wait(3600);
			assert.not_equal("joining", phase(s));
			laptop:send(join("Alice", { id = "j2" }));
			s:wait(3600);
			assert.truthy(seen(laptop)[1]);
		end);
	end
end);
