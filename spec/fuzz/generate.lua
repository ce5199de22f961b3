-- Lists of events. An event is a name and some numbers. The world decides which session, room or nick a number stands
-- for. Impossible events do nothing, so each list and each part of a list can be played.

local random = require "fuzz.random";

local weights = {
	-- clients
	open = 6; close = 2; lose = 2; hibernate = 3; resume = 4; expire = 1; offline = 1; priority = 1;
	join = 28; leave = 7; show = 5; rename = 4; say = 14; whisper = 4; ask = 8; answer = 4; bounce = 4; nonsense = 5; burst = 9;
	-- honest rooms
	enter = 4; gone = 3; speak = 16; broadcast = 4; murmur = 3; query = 3; reply = 4; update = 3; mistake = 2; subject = 2; kick = 3; ban = 1; pardon = 2;
	destroy = 1; forget = 2; rename_bot = 2; force = 1; lock = 1; silent = 2; limit = 1; stall = 2; form = 2;
	-- links
	deliver = 40; drop = 1; link = 1; time = 12; settle = 2;
	-- the server
	reload = 1; restart = 1; kill = 1; unload = 1;
	-- lying rooms
	lie = 30; attack = 12; mood = 3;
};

-- Additional events of lists with faults of the server.
local fault_weights = { fail = 8; mend = 8; jump = 4; restart = 2; kill = 2 };

-- Additional events of lists in which most events are those of lying rooms.
local lie_weights = { lie = 360; attack = 180; mood = 40 };

local function deck(...)
	local self = { names = {}; weights = {}; total = 0 };
	for _, some in ipairs { ... } do
		for name, weight in pairs(some) do
			if not self.weights[name] then table.insert(self.names, name); end
			self.weights[name] = (self.weights[name] or 0) + weight;
			self.total = self.total + weight;
		end
	end
	table.sort(self.names);
	return self;
end

local ordinary, with_faults, with_lies = deck(weights), deck(weights, fault_weights), deck(weights, lie_weights);

local function pick(from, draw)
	local left = draw(from.total);
	for _, name in ipairs(from.names) do
		left = left - from.weights[name];
		if left <= 0 then return name; end
	end
end

local function draw_event(events, draw)
	return { pick(events, draw), draw(1000), draw(1000), draw(1000), draw(1000) };
end

-- Returns a random event. faults: whether storage fails and the clock jumps
local function new_event(draw, faults)
	return draw_event(faults and with_faults or ordinary, draw);
end

-- Whether only lists with faults of the server have an event.
local function is_fault(name)
	return fault_weights[name] ~= nil and weights[name] == nil;
end

-- The parts of the world that differ between runs.
local function setting(draw)
	return {
		resource = draw(3) ~= 1;
		bosh = draw(3) > 1;
		carbons = draw(4) == 1;
		prosody = draw(2) == 1; -- one of the rooms is a room of mod_muc
	};
end

-- faults: whether storage fails and the clock jumps; lies: whether most events are those of lying rooms
local function generate(seed, count, faults, lies)
	local draw = random.new(seed);
	local list = { seed = seed; setting = setting(draw) };
	list.setting.faults = faults;
	local events = faults and with_faults or lies and with_lies or ordinary;
	list.setting.folds = seed % 4 == 0; -- one of the rooms changes the case of nicks
	list.setting.crowd = seed % 4 == 2; -- four accounts instead of two
	list.setting.omits = seed // 4 % 4 == 0 and seed // 16 % 3 + 1 or nil; -- the number of a room that omits 110
	list[1] = list.setting.crowd and { "gather", 0, 0, 0, 0 } or nil;
	for i = #list + 1, count do
		list[i] = draw_event(events, draw);
	end
	return list;
end

-- Returns a list as Lua code, for found.lua.
local function written(list)
	local lines = {};
	for i, event in ipairs(list) do
		lines[i] = ("\t\t{ %q, %d, %d, %d, %d };"):format(table.unpack(event));
	end
	local fields = list.setting;
	local setting_written = ("{ resource = %s; bosh = %s; carbons = %s; prosody = %s; faults = %s; folds = %s; crowd = %s; omits = %s }"):format(
		fields.resource, fields.bosh, fields.carbons, fields.prosody, fields.faults, fields.folds, fields.crowd, fields.omits);
	return ("\t{ seed = %d; setting = %s;\n%s\n\t};"):format(list.seed, setting_written, table.concat(lines, "\n"));
end

return { generate = generate; event = new_event; is_fault = is_fault; written = written };
