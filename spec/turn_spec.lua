local scene = require "support.scene";

local join = scene.join;

describe("an error in the handler of a stanza that a room answers", function ()
	it("S5: is logged, and the next stanza is sent", function ()
		local s = scene.new();
		local phone = s:client "phone";
		local on_service = s.host.on_service;
		s.host.on_service = function () error "room on fire"; end;
		phone:send(join "Alice");
		s.host:expect_error("room on fire");
		s.host.on_service = on_service;
		s:wait(600);
		phone:send(join "Alice");
		assert.same({ "Alice" }, s:occupants());
	end);
end);
