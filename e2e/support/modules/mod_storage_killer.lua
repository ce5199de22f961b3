-- For tests: storage of the driver `killer_driver` that counts its writes, and kills the server with SIGKILL at the write
-- number `killer_at`, `killer_when` = "before" or "after" it.

local kill = require "util.signal".kill;
local getpid = require "util.pposix".getpid;
local load_driver = require "core.storagemanager".load_driver;

local driver = load_driver(module.host, module:get_option_string("killer_driver"));
local last = module:get_option_number("killer_at");
local when = module:get_option_string("killer_when");
local writes = { set = true; append = true; delete = true };
local count = 0;

local function is_last(moment)
	return count == last and when == moment;
end

local function wrap(store)
	return setmetatable({}, { __index = function (_, method)
		local f = store[method];
		if type(f) ~= "function" then return f; end
		return function (_, ...)
			if not writes[method] then return f(store, ...); end
			count = count + 1;
			if is_last "before" then kill(getpid(), "SIGKILL"); end
			local result, err = f(store, ...);
			if is_last "after" then kill(getpid(), "SIGKILL"); end
			return result, err;
		end;
	end });
end

local provider = {};

function provider:open(store, typ)
	local handle, err = driver:open(store, typ);
	return handle and wrap(handle), err;
end

module:provides("storage", provider);

-- Writes since the start of the server.
function module.environment.writes()
	return count;
end
