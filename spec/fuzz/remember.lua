-- Caches the checks of util.stanza on names and texts, and the parts of JIDs. They take a quarter of the time of a search.

local jid = require "util.jid";
local st = require "util.stanza";

local limit = 20000;

local function upvalue(f, wanted)
	for i = 1, 255 do
		local name, value = debug.getupvalue(f, i);
		if not name then return; end
		if name == wanted then return value, i; end
	end
end

-- Returns two functions: the value of f for a text, from the cache if it is there, and the cache itself.
local function remember(f)
	local known, count = {}, 0;
	return function (text, ...)
		local value = known[text];
		if value == nil then
			value = f(text, ...);
			if count > limit then
				for key in pairs(known) do known[key] = nil; end
				count = 0;
			end
			known[text], count = value, count + 1;
		end
		return value;
	end, known;
end

local function replace(f, name, new)
	local _, i = upvalue(f, name);
	if i then debug.setupvalue(f, i, new); end
end

-- A check raises an error.
local function passed(check)
	return function (...)
		check(...);
		return true;
	end;
end

local new_stanza = st.stanza;
local check_name, check_attr = upvalue(new_stanza, "check_name"), upvalue(new_stanza, "check_attr");
local check_text = check_attr and upvalue(check_attr, "check_text");
if check_text then
	local name_of_tag = remember(passed(check_name));
	local name_of_attribute, names = remember(passed(check_name));
	local text, texts = remember(passed(check_text));
	replace(new_stanza, "check_name", name_of_tag);
	replace(new_stanza, "check_attr", function (attributes)
		if type(attributes) ~= "table" then return check_attr(attributes); end
		for name, value in pairs(attributes) do
			if not names[name] then name_of_attribute(name, "attribute"); end
			if not texts[value] then text(value, "attribute"); end
		end
	end);
end

local split = jid.split;
local parts, all_parts = remember(function (address) return { split(address) }; end);

local function split_once(address)
	if type(address) ~= "string" then return split(address); end
	local known = all_parts[address] or parts(address);
	return known[1], known[2], known[3];
end

for _, f in pairs(jid) do replace(f, "split", split_once); end
jid.split = split_once;
