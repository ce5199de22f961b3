-- Variations of kept lists of events: faults are often near the ones that were found before.

local generate = require "fuzz.generate";
local random = require "fuzz.random";

-- Most changes of one list.
local most = 7;

local function copy_of(list, seed)
	local copy = { seed = seed; setting = {} };
	for name, value in pairs(list.setting) do copy.setting[name] = value; end
	for i, event in ipairs(list) do copy[i] = { table.unpack(event) }; end
	return copy;
end

-- Each changes a list at a position. others: the lists that it may take events from
local changes = {
	insert = function (list, at, draw) table.insert(list, at, generate.event(draw, list.setting.faults)); end;
	replace = function (list, at, draw) list[at] = generate.event(draw, list.setting.faults); end;
	rename = function (list, at, draw) list[at][1] = generate.event(draw, list.setting.faults)[1]; end;
	draw_again = function (list, at, draw) list[at][1 + draw(4)] = draw(1000); end;
	repeat_later = function (list, at, draw) table.insert(list, draw(#list + 1), { table.unpack(list[at]) }); end;
	remove = function (list, at) if #list > 3 then table.remove(list, at); end end;
	swap = function (list, at) if at > 1 then list[at - 1], list[at] = list[at], list[at - 1]; end end;
	splice = function (list, at, draw, others)
		local other = others[draw(#others)];
		local first = draw(#other);
		for i = math.min(#other, first + draw(6)), first, -1 do table.insert(list, at, { table.unpack(other[i]) }); end
	end;
};

-- More frequent changes come more than once.
local names = {
	"insert", "insert", "insert", "replace", "rename", "draw_again", "draw_again", "repeat_later", "remove", "swap", "splice", "splice";
};

-- Changes one part of the world.
local function change_setting(setting, draw)
	local flags = { "resource"; "bosh"; "carbons"; "folds"; "crowd"; "prosody"; "faults"; "omits" };
	local name = flags[draw(#flags)];
	if name == "omits" then
		setting.omits = draw(4) <= 3 and draw(3) or nil;
	else
		setting[name] = not setting[name];
	end
end

-- Returns a variation of one of the lists.
local function vary(lists, seed)
	local draw = random.new(seed);
	local base = lists[draw(#lists)];
	local list = copy_of(base, draw(2) == 1 and base.seed or seed);
	if draw(4) == 1 then change_setting(list.setting, draw); end
	for _ = 1, draw(most) do
		changes[names[draw(#names)]](list, draw(#list), draw, lists);
	end
	for i = #list, 1, -1 do
		if not list.setting.faults and generate.is_fault(list[i][1]) then table.remove(list, i); end
	end
	return list;
end

return vary;
