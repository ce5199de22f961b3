-- Storage for the module: the fake storage of the other specs, Prosody's own files, SQLite, or PostgreSQL.
-- MINIMIX_POSTGRES has the options of mod_storage_sql for PostgreSQL, in Lua.

local backend = {};

local stores = { "minimix", "minimix_numbers", "minimix_parts", "minimix_archive", "archive" };
local postgres = os.getenv "MINIMIX_POSTGRES";

local drivers = {
	memory = function () return "fake"; end;
	internal = function () return "internal"; end;
	SQLite = function () return "sql", { driver = "SQLite3"; database = "test.sqlite" }; end;
	PostgreSQL = function () return "sql", load("return "..postgres)(); end;
};

backend.names = { "memory", "internal", "SQLite", postgres and "PostgreSQL" or nil };

-- A new folder in $TMPDIR, or /tmp.
local function folder()
	local output = assert(io.popen("mktemp -d"));
	local path = assert(output:read "*l");
	output:close();
	assert(os.execute(("mkdir '%s/example%%2eorg'"):format(path)));
	return path;
end

-- Tables of mod_storage_sql on a database server. They outlive a spec.
local function empty(sql)
	local connection = require "DBI".Connect(sql.driver, sql.database, sql.username, sql.password, sql.host, sql.port);
	connection:autocommit(true);
	for _, name in ipairs { "prosody"; "prosodyarchive" } do
		local statement = connection:prepare(("DROP TABLE IF EXISTS %s"):format(name));
		if statement then statement:execute(); end
	end
	connection:close();
end

-- Returns a new, empty backend: `options` and `data` for support.host, and close().
function backend.open(name)
	local driver, sql = drivers[name]();
	local data = folder();
	if sql and sql.host then empty(sql); end
	local options = { default_storage = "fake"; storage = {}; sql = sql };
	for _, store in ipairs(stores) do
		options.storage[store] = driver;
	end
	return {
		options = options;
		data = data;
		close = function ()
			os.execute(("rm -r '%s'"):format(data));
		end;
	};
end

return backend;
