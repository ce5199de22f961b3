-- Loads some files of the bundle, with stand-ins for the tables of other files that they use.

local function read_bundle()
	local file = assert(io.open("lua-out/mod_minimix.lua"));
	local text = file:read("*a");
	file:close();
	return text;
end

local function block(bundle, name)
	local start = assert(bundle:find(("\n-- src/%s.ts\n"):format(name), 1, true), "the bundle has no "..name);
	return bundle:sub(start + 1, (bundle:find("\n-- src/", start + 1, true)));
end

-- names: files in the order in which they are used, such as "state/occupants"; returns the table of the last one.
-- others: tables of other files by their names in the bundle. fault: a pattern and its replacement.
local function load_part(names, others, fault)
	local bundle = read_bundle();
	local blocks = {};
	for i, name in ipairs(names) do blocks[i] = block(bundle, name); end
	local text = table.concat(blocks);
	if fault then
		local places;
		text, places = text:gsub(fault[1], fault[2]);
		assert(places > 0, "there is no place to plant it");
	end
	local result = names[#names]:gsub("[/-]", "_");
	local env = setmetatable({}, { __index = function (_, name) return others[name] or _G[name]; end });
	return assert(load(text.."return "..result, "="..result, "t", env))();
end

return { load = load_part };
