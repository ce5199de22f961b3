-- For tests: connects to the test process once the server is up, and answers its requests, one JSON object per line.

module:set_global();

local array = require "util.array";
local async = require "util.async";
local json = require "util.json";
local jid = require "util.jid";
local modulemanager = require "core.modulemanager";
local net_server = require "net.server";

local commands = {};
local arrivals = array();

function commands.eval(code)
	return assert(load(code, "=probe"))();
end

function commands.load(host, name)
	assert(modulemanager.load(host, name));
end

function commands.unload(host, name)
	assert(modulemanager.unload(host, name));
end

function commands.reload(host, name)
	assert(modulemanager.reload(host, name));
end

-- The occupants, from the room itself.
function commands.occupants(room_jid)
	local room = prosody.hosts[jid.host(room_jid)].modules.muc.get_room_from_jid(room_jid);
	local occupants = array();
	if not room then return occupants; end
	for occupant_jid, occupant in room:each_occupant() do
		local real_jids = array();
		for real_jid in occupant:each_session() do
			real_jids:push(real_jid);
		end
		occupants:push({
			nick = jid.resource(occupant_jid);
			role = occupant.role;
			affiliation = room:get_affiliation(occupant.bare_jid) or "none";
			sessions = real_jids:sort();
		});
	end
	return occupants;
end

-- Stanzas from other hosts, such as rooms, to accounts since the last call.
function commands.arrivals()
	local taken = arrivals;
	arrivals = array();
	return taken;
end

function module.add_host(host_module)
	if not host_module:get_option_boolean("probe_arrivals", true) then return; end
	local function record(event)
		local stanza = event.stanza;
		local attr = stanza.attr;
		if attr.from and jid.host(attr.from) ~= host_module.host then
			arrivals:push({ name = stanza.name, type = attr.type, from = attr.from, to = attr.to, id = attr.id });
		end
	end
	for _, name in ipairs({ "message", "presence", "iq" }) do
		host_module:hook(name.."/bare", record, 1e6);
		host_module:hook(name.."/full", record, 1e6);
	end
end

local function answer(conn, line)
	local request = json.decode(line);
	local ok, result = pcall(commands[request.command], table.unpack(request.arguments));
	local response = { id = request.id, result = ok and result or nil, error = not ok and tostring(result) or nil };
	conn:write(json.encode(response).."\n");
end

local listener = {};
local buffer = "";

-- The test waits for this line: Prosody closes an outgoing connection that receives data before it has written any.
function listener.onconnect(conn)
	conn:write("\n");
end

function listener.onincoming(conn, data)
	buffer = buffer..data;
	local lines, rest = buffer:match("^(.*)\n(.-)$");
	if not lines then return; end
	buffer = rest;
	for line in lines:gmatch("[^\n]+") do
		async.runner(function () answer(conn, line); end):run(true);
	end
end

-- A benchmark may ask nothing for longer than Prosody waits for input, 14 minutes.
function listener.onreadtimeout()
	return true;
end

-- Ends the server when the test has ended.
function listener.ondisconnect()
	if not prosody.shutdown_reason then
		prosody.main_thread:run(function () prosody.shutdown("The test has ended"); end);
	end
end

module:hook("server-started", function ()
	net_server.addclient("127.0.0.1", module:get_option_number("probe_port"), listener, "*a");
end, -1000);
