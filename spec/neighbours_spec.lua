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
		it("O6: has the nick of each session that has joined, and of no other", function ()
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

		it("O6: has no room whose answer has not come, or that refused", function ()
			local s = new_scene { room = { silent = true } };
			local phone = s:client "phone";
			phone:send(join "Alice");
			s:deliver();
			assert.is_nil(joined(phone));
			s:from("Alice", "<presence type='error' id='j1'>"..scene.error("auth", "forbidden").."</presence>");
			assert.is_nil(joined(phone));
		end);

		it("O6: is there in sessions that were before the module, and outlives a reload", function ()
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

	it("O6: keeps what mod_track_muc_joins notes of rooms that are left to clients", function ()
		local s = scene.new { modules = { "track_muc_joins" }; options = { minimix_exclude = "irc.example.org" } };
		local phone = s:client "phone";
		phone:send("<presence to='tea@irc.example.org/Alice'>"..scene.x().."</presence>");
		s.host:from_room("<presence from='tea@irc.example.org/Alice' to='"..phone.jid.."'>"..status "110".."</presence>");
		s:enter(phone);
		assert.equal("Alice", phone.session.rooms_joined["tea@irc.example.org"]);
		assert.equal("Alice", joined(phone));
	end);
end);
