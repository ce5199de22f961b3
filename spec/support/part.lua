-- One module of the bundle by itself, with stand-ins for what it requires.

local function read_bundle()
	local file = assert(io.open("lua-out/mod_minimix.lua"));
	local text = file:read("*a");
	file:close();
	return text;
end

-- name: as in the bundle, "state.occupants" for instance. required: by name. fault: a pattern and what to put in its place,
-- if the part has the place.
local function load_part(name, required, fault)
	local text = read_bundle();
	local _, start = text:find(('\n["%s"] = function(...)'):format(name), 1, true);
	assert(start, "the bundle has no "..name);
	local stop = assert(text:find("\nreturn ____exports\n", start, true));
	local part = text:sub(start + 1, stop).."return ____exports";
	if fault then
		part = part:gsub(fault[1], fault[2]);
	end
	local env = setmetatable({
		require = function (wanted) return assert(required[wanted], wanted); end;
	}, { __index = _G });
	return assert(load(part, "="..name, "t", env))();
end

return { load = load_part };
