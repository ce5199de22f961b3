-- Loaded by the demo only, next to mod_minimix: what the module's own commands of the shell say, as tables, and what became of
-- each message of a room.

local array = require "util.array";

local commands = module:shared "/*/admin_shell/env";
local messages = array();

-- The lines that a command prints.
local function shell(name, ...)
	local lines = array();
	local section = { session = { print = function (line) lines:push(line); end } };
	commands.minimix[name](section, ...);
	return lines;
end

local function totals()
	local figures = {};
	for _, line in ipairs(shell "stats") do
		local name, value = line:match "^ *(.-): (%d+)$";
		if name then figures[name] = tonumber(value); end
	end
	return figures;
end

-- All that happens to a message happens before its event is over.
module:wrap_event("message/full", function (handle, name, event)
	local body = event.stanza:get_child_text "body";
	if event.stanza.attr.type ~= "groupchat" or not body then return handle(name, event); end
	local before = totals();
	local result = handle(name, event);
	local after = totals();
	messages:push {
		from = event.stanza.attr.from;
		body = body;
		came = after["copies in"] - before["copies in"];
		went = after["copies out"] - before["copies out"];
		saved = after["copies saved"] - before["copies saved"];
	};
	return result;
end);

-- With the messages since the last call.
function module.environment.look(account)
	local new = messages;
	messages = array();
	return { rooms = shell("rooms", account); totals = totals(); messages = new };
end
