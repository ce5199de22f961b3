-- Forms in which services answer presence (R7): without its id, with an empty or another id, errors without a
-- condition.

local st = require "util.stanza";

local forms = {};

local ids = {
	none = function () end;
	empty = function () return ""; end;
	other = function (id) return id and "of service "..id; end;
};

local names = { "none", "empty", "other", "bare" };

-- Returns one of the forms. Half of the numbers stand for the usual form.
function forms.chosen(n)
	return n % 2 == 0 and names[n // 2 % #names + 1] or nil;
end

-- Returns a presence in a form.
function forms.of(form, presence)
	local copy = st.clone(presence);
	if ids[form] then
		copy.attr.id = ids[form](presence.attr.id);
	elseif presence.attr.type == "error" then
		local errors = copy:get_child "error";
		errors:maptags(function () end);
	end
	return copy;
end

return forms;
