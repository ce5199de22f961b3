-- Converts text to stanzas, and stanzas to text that can be compared.

local st = require "util.stanza";
local parse_xml = require "util.xml".parse;

local escapes = { ["&"] = "&amp;"; ["<"] = "&lt;"; [">"] = "&gt;"; ["'"] = "&apos;" };

local function escape(text)
	return (text:gsub("[&<>']", escapes));
end

-- A stream leaves out its own namespace.
local function without_client_xmlns(stanza)
	if stanza.attr.xmlns == "jabber:client" then
		stanza.attr.xmlns = nil;
	end
	return stanza;
end

-- Returns a stanza as a stream would: a new table, from text or from another stanza.
local function parse(stanza)
	if st.is_stanza(stanza) then return st.clone(stanza); end
	local parsed, err = parse_xml(stanza);
	if not parsed then
		error("not well-formed: "..tostring(err).."\n"..stanza, 2);
	end
	return without_client_xmlns(parsed);
end

-- Returns the stanzas of a text, in order.
local function parse_all(text)
	local stanzas = parse("<stream>"..text.."</stream>").tags;
	for _, stanza in ipairs(stanzas) do without_client_xmlns(stanza); end
	return stanzas;
end

local function attributes(stanza, xmlns)
	local names = {};
	for name in pairs(stanza.attr) do
		if name ~= "xmlns" or stanza.attr.xmlns ~= xmlns then
			table.insert(names, name);
		end
	end
	table.sort(names);
	local parts = {};
	for i, name in ipairs(names) do
		local prefixed = name:gsub("^.*\1", "");
		parts[i] = (" %s='%s'"):format(prefixed, escape(tostring(stanza.attr[name])));
	end
	return table.concat(parts);
end

local function render(stanza, xmlns)
	local own = stanza.attr.xmlns or xmlns;
	local parts = {};
	for i, child in ipairs(stanza) do
		parts[i] = type(child) == "string" and escape(child) or render(child, own);
	end
	local open = "<"..stanza.name..attributes(stanza, xmlns);
	if #parts == 0 then return open.."/>"; end
	return open..">"..table.concat(parts).."</"..stanza.name..">";
end

-- Returns a stanza as it arrives at the other end of a stream.
local function over_the_wire(stanza)
	return parse(tostring(stanza));
end

-- Returns text with sorted attributes, single quotes and no repeated namespaces. Takes a stanza or text.
local function canonical(stanza)
	return render(parse(stanza));
end

return { parse = parse; parse_all = parse_all; canonical = canonical; over_the_wire = over_the_wire };
