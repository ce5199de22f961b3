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

-- A server is started for each test, from the same files. So each file is searched, read and compiled once. More garbage
-- takes less time.
collectgarbage("setpause", 400);

local function read(path)
	local file = assert(io.open(path));
	local text = file:read("*a");
	file:close();
	return text;
end

local version = read(lib.."/prosody.version"):gsub("%s*$", "");

-- Returns a function that makes the chunk, as load() does, for an environment.
local function compile(code, source)
	local f, err = load("return function (_ENV) return function (...) "..code.."\nend end", source, "t");
	if not f then return f, err; end
	return f();
end

local compiled = {};

local function envload(code, source, env)
	local known = compiled[source];
	if not known or known.code ~= code then
		local new, err = compile(code, source);
		if not new then return new, err; end
		known = { code = code; new = new };
		compiled[source] = known;
	end
	return known.new(env or _G);
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

local core_files = {};

local function core_file(plain_name)
	local known = core_files[plain_name];
	if not known then
		local path = package.searchpath(plain_name, package.path);
		known = path and { path = path; code = read(path) } or {};
		core_files[plain_name] = known;
	end
	return known;
end

pcall(require, "luarocks.loader"); -- Prosody replaces it later, with itself at the front.
table.insert(package.searchers, 1, function (name)
	local plain_name = name:gsub("^prosody%.", "");
	local file = is_core(plain_name) and core_file(plain_name);
	if file and file.path then
		return envload(file.code, "@"..file.path), file.path;
	end
end);

local plugins = {};

-- A debug hook in the filter of 13.0 runs for each line of a module.
local function remember_plugins()
	local loader = getmetatable(require "util.pluginloader".init()).__index;
	local load_file = loader.load_file;
	function loader:load_file(names)
		local is_filtered = self._options.load_filter_cb and "filtered" or "plain";
		local key = table.concat({ CFG_PLUGINDIR, is_filtered, table.unpack(names) }, "\n");
		if not plugins[key] then
			plugins[key] = table.pack(load_file(self, names));
		end
		return table.unpack(plugins[key], 1, plugins[key].n);
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
	remember_plugins();
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
