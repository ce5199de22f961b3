-- Plays lists of events up to a number of events, and shortens those that fail.

local generate = require "fuzz.generate";
local shrink = require "fuzz.shrink";
local vary = require "fuzz.vary";
local world = require "fuzz.world";

local length = 300;

local run = {};

-- Returns a failure without the parts that differ between runs.
local function kind_of(problem)
	return (problem:match("[^\n]*"):gsub("<.*", ""):gsub("%d+", ""):gsub("a%l+@example%.org[%w./]*", "")
		:gsub("%w+@%w+%.example%.%w+", ""));
end

-- seconds: the time limit of the search for a shorter list
function run.shorten(list, problem, plant, seconds)
	local kind = kind_of(problem);
	return shrink(list, function (shorter)
		local other = world.play(shorter, plant);
		return other ~= nil and kind_of(other) == kind;
	end, seconds);
end

-- Returns nil and the number of events played, or the fault and the list that shows it. fields: seed, count (of
-- events), seconds (instead, or as well), plant(host): changes the module, faults and lies: see
-- fuzz.generate, lists: to be varied, in place of random ones
function run.search(fields)
	local played, started = 0, os.clock();
	local seed = fields.seed;
	while played < (fields.count or math.huge) and os.clock() - started < (fields.seconds or math.huge) do
		local list = fields.lists and vary(fields.lists, seed) or generate.generate(seed, length, fields.faults, fields.lies);
		local count = #list;
		local problem, position = world.play(list, fields.plant);
		if problem then
			for i = #list, position + 1, -1 do list[i] = nil; end
			return problem, list;
		end
		played = played + count;
		seed = seed + 1;
	end
	return nil, played;
end

return run;
