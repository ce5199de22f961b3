-- Prosody's own libraries and core, without sockets and with virtual time. PROSODY_LIB is their folder. The default is
-- the folder of Debian's package.

local lib = os.getenv("PROSODY_LIB") or "/usr/lib/prosody";
local loads_prefixed = io.open(lib.."/loader.lua"); -- since 13.0

package.path = lib.."/?.lua;"..package.path;
package.cpath = lib.."/?.so;"..package.cpath;
if loads_prefixed then
	loads_prefixed:close();
	dofile(lib.."/loader.lua");
	package.loaded["prosody.loader"] = true;
end

local clock = require "support.clock";

package.loaded["util.time"] = {
	now = function () return clock.now + clock.offset; end;
	monotonic = clock.monotonic;
};
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

local function read(path)
	local file = assert(io.open(path));
	local text = file:read("*a");
	file:close();
	return text;
end

local version = read(lib.."/prosody.version"):gsub("%s*$", "");

-- A server is started for each test, from the same files. So compiled files are cached.
local compiled, filtered = {}, {};

local function envload(code, source, env)
	local known = compiled[source];
	if not known or known.code ~= code then
		local f, err = load(code, source, "t", env);
		if not f then return f, err; end
		known = { code = code; binary = string.dump(f) };
		compiled[source] = known;
	end
	return load(known.binary, source, "b", env or _G);
end

require "util.envload".envload = envload;

-- Modules whose data belongs to one server.
local function is_core(plain_name)
	return plain_name:match("^core%.") or plain_name == "util.pluginloader" or plain_name == "util.datamanager";
end

local function forget_core()
	for name in pairs(package.loaded) do
		if is_core((name:gsub("^prosody%.", ""))) then
			package.loaded[name] = nil;
		end
	end
end

pcall(require, "luarocks.loader"); -- Prosody replaces it later, with itself at the front.
table.insert(package.searchers, 1, function (name)
	local plain_name = name:gsub("^prosody%.", "");
	local path = is_core(plain_name) and package.searchpath(plain_name, package.path);
	if path then
		return envload(read(path), "@"..path), path;
	end
end);

-- A debug hook that runs for each line of a module.
local function filtered_once(filter)
	return filter and function (path, content)
		local known = filtered[path];
		if not known or known.content ~= content then
			known = { content = content; result = table.pack(filter(path, content)) };
			filtered[path] = known;
		end
		return table.unpack(known.result, 1, known.result.n);
	end;
end

local function remember_filtered()
	local pluginloader = require "util.pluginloader";
	local init = pluginloader.init;
	function pluginloader.init(options)
		return init { load_filter_cb = filtered_once(options.load_filter_cb) };
	end
end

-- Calls of stores pass through on_store_call of the spec, whatever the driver.
local function wrap_stores()
	local storagemanager = require "core.storagemanager";
	local open = storagemanager.open;
	function storagemanager.open(host, name, kind)
		local store, err = open(host, name, kind);
		local wrap = prosody.spec and prosody.spec.on_store_call;
		return store and wrap and wrap(store, name) or store, err;
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

-- Starts a new server, in place of the previous one. config: { ["*"] = options, [host] = options }; plugin_path:
-- directories, separated by ";"; on_log(source, level, message); data: the folder on disk
function server.start(config, plugin_path, on_log, fields, data)
	forget_core();
	log_sink = on_log;
	CFG_PLUGINDIR = plugin_path;
	prosody = new_state(data);
	for name, value in pairs(fields) do
		prosody[name] = value;
	end
	set_config(config);
	remember_filtered();
	for _, name in ipairs { "stanza_router", "statsmanager", "hostmanager", "storagemanager", "usermanager", "sessionmanager" } do
		require("core."..name);
	end
	wrap_stores();
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
