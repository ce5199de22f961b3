-- Prosody's own libraries and core, without sockets and with virtual time.
-- PROSODY_LIB names the tree they come from; the default is where Debian installs it.

local lib = os.getenv("PROSODY_LIB") or "/usr/lib/prosody";
local loads_prefixed = io.open(lib.."/loader.lua"); -- since 13.0

package.path = lib.."/?.lua;"..package.path;
package.cpath = lib.."/?.so;"..package.cpath;
if loads_prefixed then
	loads_prefixed:close();
	dofile(lib.."/loader.lua");
	package.loaded["prosody.loader"] = true;
end

-- A server loads much the same files at each start: what has been parsed once is taken as it is.
local load_chunk = load;
local parsed = {};

local function load_text(text, name, mode, ...)
	if type(text) ~= "string" or mode == "b" then return load_chunk(text, name, mode, ...); end
	local chunks = parsed[text] or {};
	parsed[text] = chunks;
	local chunk = chunks[name or text];
	if not chunk then
		local f, err = load_chunk(text, name, mode);
		if not f then return f, err; end
		chunk = string.dump(f);
		chunks[name or text] = chunk;
	end
	return load_chunk(chunk, name, "b", ...);
end

_G.load = load_text; -- luacheck: ignore 122

table.insert(package.searchers, 2, function (module_name)
	local path = package.searchpath(module_name, package.path);
	local file = path and io.open(path);
	if not file then return nil; end
	local text = file:read("*a");
	file:close();
	return assert(load_text(text, "@"..path)), path;
end);

local clock = require "support.clock";

local function now() return clock.now; end

package.loaded["util.time"] = { now = now; monotonic = now };
package.loaded["net.server"] = { timer = clock.timer; hook_signal = function () end };

local events = require "util.events";
local logger = require "util.logger";
local promise = require "util.promise";
local async = require "util.async";

local function next_tick(f)
	return clock.timer.add_task(0, f);
end
promise.set_nexttick(next_tick);
async.set_nexttick(next_tick);
async.set_schedule_function(clock.timer.add_task);
require "util.import";

local log_sink;
logger.add_simple_sink(function (source, level, message)
	if log_sink then log_sink(source, level, message); end
end);

local function read_version()
	local file = assert(io.open(lib.."/prosody.version"));
	local version = file:read("*a"):gsub("%s*$", "");
	file:close();
	return version;
end

local version = read_version();

-- These hold what belongs to one server.
local function forget_core()
	for name in pairs(package.loaded) do
		local plain = name:gsub("^prosody%.", "");
		if plain:match("^core%.") or plain == "util.pluginloader" or plain == "util.datamanager" then
			package.loaded[name] = nil;
		end
	end
end

local function new_state(data)
	return {
		version = version;
		platform = "unknown";
		process_type = "prosody";
		events = events.new();
		hosts = {};
		full_sessions = {};
		bare_sessions = {};
		incoming_s2s = {};
		paths = { source = lib; config = "."; data = data or "."; plugins = lib.."/modules" };
		arg = {};
		opts = {};
		log = logger.init("general");
	};
end

local function set_config(config)
	local configmanager = require "core.configmanager";
	for section, options in pairs(config) do
		configmanager.set(section, "defined", true);
		for name, value in pairs(options) do
			configmanager.set(section, name, value);
		end
	end
end

local server = {
	lib = lib;
	version = version;
	is_13 = loads_prefixed ~= nil;
};

-- Starts a new server, which takes the place of the one before it.
-- config: { ["*"] = options, [host] = options }; plugin_path: directories, separated by ";"; on_log(source, level, message);
-- data: the folder of what is on disk
function server.start(config, plugin_path, on_log, fields, data)
	forget_core();
	log_sink = on_log;
	CFG_PLUGINDIR = plugin_path;
	prosody = new_state(data);
	for name, value in pairs(fields) do
		prosody[name] = value;
	end
	set_config(config);
	for _, name in ipairs { "stanza_router", "statsmanager", "hostmanager", "storagemanager", "usermanager", "sessionmanager" } do
		require("core."..name);
	end
	prosody.features = require "core.features".available;
	prosody.started = promise.new(function (resolve)
		prosody.events.add_handler("server-started", resolve);
	end);
	prosody.state = "starting";
	clock.advance(0); -- the promise above
	prosody.events.fire_event("server-starting");
	prosody.start_time = os.time();
	prosody.state = "running";
	prosody.events.fire_event("server-started");
	clock.advance(0);
	return prosody;
end

return server;
