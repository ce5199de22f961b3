-- Forms in which services answer presence (R7): without its id, with an empty or another id, errors without a
-- condition. A room that omits 110 from own presence does so from the start, as older services do.

local st = require "util.stanza";
local model = require "fuzz.model";

local forms = {};

local function without_id(presence)
	presence.attr.id = nil;
end

local function without_condition(presence)
	local errors = presence.attr.type == "error" and presence:get_child "error";
	if errors then errors:maptags(function () end); end
end

-- Omits 110. The model must know the own presence. Clients know it by the nick, as the module does.
function forms.without_110(presence)
	local x = presence:get_child("x", "http://jabber.org/protocol/muc#user");
	local code = x and x:get_child_with_attr("status", nil, "code", "110");
	if code then code.attr.code = model.code_own; end
end

local changes = {
	without_id;
	function (presence) presence.attr.id = ""; end;
	function (presence) presence.attr.id = presence.attr.id and "of service "..presence.attr.id; end;
	without_condition;
	function (presence)
		without_id(presence);
		without_condition(presence);
	end;
	function (presence)
		presence.attr.id = "another";
		without_condition(presence);
	end;
};

-- Returns one of the forms. Half of the numbers stand for the usual form.
function forms.chosen(n)
	return n % 2 == 0 and changes[n // 2 % #changes + 1] or nil;
end

-- Returns a presence in a form.
function forms.of(form, presence)
	local copy = st.clone(presence);
	form(copy);
	return copy;
end

return forms;
