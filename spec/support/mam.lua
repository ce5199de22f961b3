-- Archives (XEP-0313): queries to the account's own archive, and rooms with an archive.

local assert = require "luassert";
local st = require "util.stanza";
local datetime = require "util.datetime";

local xmlns_mam = "urn:xmpp:mam:2";
local xmlns_rsm = "http://jabber.org/protocol/rsm";

local mam = {};

local function field(name, ...)
	local element = st.stanza("field", { var = name });
	for _, value in ipairs { ... } do
		element:text_tag("value", value);
	end
	return element;
end

-- fields: with, start, end, ids ... of the form; max, before, after of the page (`before = true` for an empty one), flip
function mam.query(fields)
	local iq = st.iq({ type = "set", id = "q1" }):tag("query", { xmlns = xmlns_mam, queryid = "f1" });
	iq:tag("x", { xmlns = "jabber:x:data", type = "submit" });
	iq:add_child(field("FORM_TYPE", xmlns_mam));
	for _, name in ipairs { "with", "start", "end", "before-id", "after-id", "include-groupchat", "unheard-of" } do
		if fields[name] then iq:add_child(field(name, fields[name])); end
	end
	if fields.ids then iq:add_child(field("ids", table.unpack(fields.ids))); end
	iq:up();
	if fields.max or fields.before or fields.after or fields.index then
		iq:tag("set", { xmlns = "http://jabber.org/protocol/rsm" });
		for _, name in ipairs { "max", "before", "after", "index" } do
			if fields[name] == true then
				iq:tag(name):up();
			elseif fields[name] then
				iq:text_tag(name, tostring(fields[name]));
			end
		end
		iq:up();
	end
	if fields.flip then iq:tag("flip-page"):up(); end
	return iq;
end

function mam.message_in(result)
	return result:find("{urn:xmpp:mam:2}result/{urn:xmpp:forward:0}forwarded/{jabber:client}message");
end

-- Returns the bodies of a page, its ids, and <fin/>; or the condition of the error.
function mam.ask(client, fields)
	client:take();
	client:send(mam.query(fields));
	local bodies, ids = {}, {};
	for _, stanza in ipairs(client:take()) do
		if stanza.name == "iq" and stanza.attr.type == "error" then
			local _, condition = stanza:get_error();
			return condition;
		elseif stanza.name == "iq" then
			assert.equal("q1", stanza.attr.id);
			local fin = assert(stanza:get_child("fin", xmlns_mam));
			return bodies, ids, {
				complete = fin.attr.complete == "true";
				first = fin:find("{http://jabber.org/protocol/rsm}set/first#");
				last = fin:find("{http://jabber.org/protocol/rsm}set/last#");
				count = fin:find("{http://jabber.org/protocol/rsm}set/count#");
			};
		end
		local result = stanza:get_child("result", xmlns_mam);
		if result then
			assert.equal("f1", result.attr.queryid);
			assert.is_nil(mam.message_in(stanza).attr.to and stanza.attr.type);
			table.insert(bodies, mam.message_in(stanza):get_child_text("body"));
			table.insert(ids, result.attr.id);
		end
	end
	error("no answer");
end

-- Reads all pages. `backwards` starts with the last page.
function mam.page_through(client, fields, backwards)
	local all = {};
	local position = backwards and true or nil;
	for _ = 1, 1000 do
		fields.before, fields.after = nil, nil;
		fields[backwards and "before" or "after"] = position;
		local bodies, ids, page = mam.ask(client, fields);
		assert.is_table(bodies, bodies);
		table.move(bodies, 1, #bodies, backwards and 1 or #all + 1, backwards and table.move(all, 1, #all, #bodies + 1) or all);
		assert.same({ ids[1], ids[#ids] }, { page.first, page.last });
		if page.complete then return all; end
		position = backwards and page.first or page.last;
	end
	error("pages without end");
end

local function stanza_id(room, stanza)
	return stanza:get_child_with_attr("stanza-id", "urn:xmpp:sid:0", "by", room.jid).attr.id;
end

local function position(room, id)
	for i, entry in ipairs(room.history) do
		if stanza_id(room, entry.stanza) == id then return i; end
	end
end

-- Returns the value of a field of the query's form.
local function value(query, name)
	local form = query:get_child("x", "jabber:x:data");
	local element = form and form:get_child_with_attr("field", nil, "var", name);
	return element and element:get_child_text("value");
end

local function first_wanted(room, query)
	local after = query:find("{"..xmlns_rsm.."}set/after#");
	if after then
		local i = position(room, after);
		return i and i + 1;
	end
	local start = value(query, "start");
	for i, entry in ipairs(room.history) do
		if not start or entry.time >= datetime.parse(start) then return i; end
	end
	return #room.history + 1;
end

local function result(room, iq, query, entry)
	local copy = st.clone(entry.stanza);
	copy.attr.to, copy.attr.xmlns = nil, "jabber:client";
	return st.message({ from = room.jid; to = iq.attr.from })
		:tag("result", { xmlns = xmlns_mam; queryid = query.attr.queryid; id = stanza_id(room, entry.stanza) })
		:tag("forwarded", { xmlns = "urn:xmpp:forward:0" })
		:tag("delay", { xmlns = "urn:xmpp:delay"; stamp = datetime.datetime(entry.time) }):up()
		:add_child(copy):reset();
end

local function answer(room, iq)
	local query = iq:get_child("query", xmlns_mam);
	if not query then return; end
	local first = first_wanted(room, query);
	if not first then return st.error_reply(iq, "cancel", "item-not-found"); end
	local count = math.min(#room.history - first + 1, tonumber(query:find("{"..xmlns_rsm.."}set/max#")));
	local last = first + count - 1;
	for i = first, last do
		room.send(result(room, iq, query, room.history[i]));
	end
	local complete = last == #room.history and "true" or nil;
	local reply = st.reply(iq):tag("fin", { xmlns = xmlns_mam; complete = complete }):tag("set", { xmlns = xmlns_rsm });
	if count > 0 then reply:text_tag("last", stanza_id(room, room.history[last].stanza)); end
	return reply:reset();
end

-- Gives a room of support.room an archive, as mod_muc_mam does.
function mam.keep(room)
	room.on_iq = answer;
end

return mam;
