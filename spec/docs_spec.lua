-- Checks the examples of docs/ against the stored data.

local scene = require "support.scene";
local xml = require "support.xml";
local leave = scene.leave;

local room_jid = "room@rooms.example.org";

local function blocks_of(path)
	local file = assert(io.open(path));
	local text = file:read("*a");
	file:close();
	local blocks = {};
	for block in text:gmatch "\n```\n(.-)```" do table.insert(blocks, block); end
	return blocks;
end

local function each(store, visit)
	local keys = {};
	for key in pairs(store or {}) do table.insert(keys, key); end
	table.sort(keys);
	for _, key in ipairs(keys) do visit(key, store[key]); end
end

-- Keyval stores of mod_storage_memory keep a function that returns a copy of the record.
local function stored(storage)
	local stores, lines = storage["example.org"], {};
	each(stores.minimix_numbers, function (_, record)
		table.insert(lines, ("minimix_numbers  limit %d\n"):format(record().limit));
	end);
	for _, item in ipairs(stores.minimix_archive and stores.minimix_archive[room_jid] or {}) do
		local owner = item.with:match " (.+)$";
		table.insert(lines, ("minimix_archive  %s %s%s\n"):format(
			item.with:match "^%d+", owner and owner..": " or "", item.value():get_text():match "<body>(.-)</body>"));
	end
	each(stores.minimix_parts, function (username, record)
		table.insert(lines, ("minimix_parts    %s %s\n"):format(username, table.concat(record()[room_jid], " ")));
	end);
	return table.concat(lines);
end

it("H1: the example of docs/archive.md shows the stored data", function ()
	local storage = {};
	local s = scene.new { storage = storage };
	local phone, desk = s:client "phone", s:client("desk", "anna");
	s.room:enter "Bob";
	local steps = {
		function ()
			s:enter(phone);
			s:enter(desk, "Anna");
		end;
		function () s.room:say("Bob", "one"); end;
		function () desk:send(leave "Anna"); end;
		function ()
			s.room:say("Bob", "two");
			s:enter(desk, "Anna", { muc = "<history maxstanzas='0'/>" });
			s.room:say("Bob", "three");
		end;
		function ()
			local function tell(occupant, body)
				s.room.send(xml.parse(("<message type='groupchat' id='m4' from='%s/Bob' to='%s'><body>%s</body></message>"):format(
					room_jid, occupant, body)));
			end
			tell(s:occupant_jid "alice", "four");
			tell(s:occupant_jid "anna", "vier");
		end;
		function ()
			s:restart();
			s:wait(10);
			s.room:say("Bob", "five");
		end;
	};
	local blocks = blocks_of "docs/archive.md";
	assert.equal(#steps, #blocks);
	for i, step in ipairs(steps) do
		step();
		s:wait(2);
		assert.equal(blocks[i], stored(storage));
	end
end);
