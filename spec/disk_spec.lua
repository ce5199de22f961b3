-- S2, S3, S5: Prosody's own files, of which single ones cannot be written or read: the disk is full, or the permissions are
-- wrong. A folder in the place of a file has the same effect, for root too.

local backend = require "support.backend";
local mam = require "support.mam";
local scene = require "support.scene";

local room_jid = "room@rooms.example.org";
local numbers = scene.numbers;
local nicks = { ["alice@example.org"] = "Alice"; ["carol@example.org"] = "Carol" };

-- Returns a scene with "alice" and "carol" in two rooms, and the folder with their files.
local function on_disk(test)
	local where = backend.open "internal";
	local s = scene.new { modules = { "disco" }; options = where.options; data = where.data };
	local other = s:add_room "other";
	s.room:enter "Bob";
	other:enter "Bob";
	for address, nick in pairs(nicks) do
		local client = s:client("phone", address:match "^[^@]*");
		for _, name in ipairs { "room", "other" } do
			s:enter(client, nick, { room = name });
		end
	end
	s:count(1, 2);
	other:say("Bob", "1");
	s:wait(10);
	local ok, problem = pcall(test, s, where.data.."/example%2eorg/", other);
	where.close();
	if not ok then error(problem, 0); end
end

local function shell(command, ...)
	assert(os.execute(command:format(...)));
end

-- Puts a folder in the place of a file. Returns a function that puts the file back.
local function block(path)
	os.rename(path, path..".away");
	shell("mkdir '%s'", path);
	return function ()
		shell("rmdir '%s'", path);
		os.rename(path..".away", path);
	end;
end

local function content_of(path)
	local file = assert(io.open(path));
	local content = file:read "*a";
	file:close();
	return content;
end

local function write(path, content)
	local file = assert(io.open(path, "w"));
	file:write(content);
	file:close();
end

local function read(client, room)
	return mam.page_through(client, { with = room or room_jid; max = 20 });
end

-- Restarts the server after SIGKILL. Rooms list only "Bob" before the accounts are back.
local function start_again(s)
	s:restart { killed = true };
	for _, room in pairs(s.rooms) do
		room.occupants = { (room:occupant "Bob") };
	end
	s:wait(30);
end

local function all(room)
	local list = scene.occupants(nil, room);
	table.sort(list);
	return list;
end

describe("a file that cannot be written:", function ()
	it("S2: an account's record is written later, and others at once", function ()
		on_disk(function (s, folder, other)
			local mend = block(folder.."minimix/alice.dat");
			for _, client in ipairs(s.clients) do
				client:send(scene.leave(nicks[client.bare_jid], { room = "other" }));
			end
			s:wait(20);
			s.host:expect_error "^Storage fails";
			assert.is_nil(content_of(folder.."minimix/carol.dat"):find("other", 1, true));
			mend();
			assert.truthy(content_of(folder.."minimix/alice.dat"):find("other", 1, true));
			s:wait(15);
			assert.is_string(s.host:last_log("info", "^Storage works again"));
			start_again(s);
			assert.same({}, all(other));
			assert.same({ "Alice"; "Carol" }, all(s.room));
		end);
	end);

	it("S2: an account's record is written when the disk has space again", function ()
		on_disk(function (s, folder)
			local mend = block(folder.."minimix/alice.dat");
			local third = s:add_room "third";
			third:enter "Bob";
			s:enter(s:client("desk", "alice"), "Alice", { room = "third" });
			s:wait(40);
			mend();
			s:wait(15);
			s.host:expect_error "^Storage fails";
			assert.is_string(s.host:last_log("info", "^Storage works again"));
			start_again(s);
			assert.same({ "Alice" }, all(third));
		end);
	end);

	it("S3: the log of one room is written later, and those of others at once", function ()
		on_disk(function (s, folder, other)
			local path = folder.."minimix_archive/room%40rooms%2eexample%2eorg.list";
			local mend = block(path);
			s:count(3, 5);
			other:say("Bob", "2");
			s:wait(20);
			other:say("Bob", "3");
			s:wait(20);
			s.host:expect_error "^Storage fails";
			assert.same(numbers(1, 3), read(s:client("desk", "alice"), other.jid));
			mend();
			s:wait(15);
			assert.is_string(s.host:last_log("info", "^Storage works again"));
			assert.same(numbers(1, 5), read(s:client("desk", "alice")));
			start_again(s);
			assert.same(numbers(1, 5), read(s:client("desk", "carol")));
			assert.same(numbers(1, 3), read(s:client("desk", "carol"), other.jid));
		end);
	end);

	it("S2: the ranges of an account are written later, and those of others at once", function ()
		on_disk(function (s, folder)
			local mend = block(folder.."minimix_parts/alice.dat");
			for _, client in ipairs(s.clients) do
				client:send(scene.leave(nicks[client.bare_jid]));
			end
			s:count(3, 4);
			s:wait(5);
			for _, client in ipairs(s.clients) do
				s:enter(client, nicks[client.bare_jid], { muc = "<history maxstanzas='0'/>" });
			end
			s:count(5, 6);
			s:wait(20);
			s.host:expect_error "^Storage fails";
			mend();
			s:wait(15);
			start_again(s);
			for _, username in ipairs { "alice", "carol" } do
				assert.same({ "1"; "2"; "5"; "6" }, read(s:client("desk", username)));
			end
		end);
	end);
end);

describe("a file that cannot be read:", function ()
	it("S1, S5: an account's ranges are kept, and new ones are added", function ()
		on_disk(function (s, folder)
			local mend = block(folder.."minimix_parts/alice.dat");
			start_again(s);
			s:count(3, 4);
			s:wait(5);
			assert.same(numbers(1, 4), read(s:client("desk", "carol")));
			mend();
			s:wait(40);
			s.host:expect_error "alice";
			assert.same(numbers(1, 4), read(s:client("desk", "alice")));
			start_again(s);
			assert.same(numbers(1, 4), read(s:client("desk", "alice")));
		end);
	end);

	it("S4: without the numbers of the host, joins are refused, and no number repeats", function ()
		on_disk(function (s, folder)
			for _, content in ipairs { "return 'nonsense';", "return { limit = 1.5 };", "return {}" , "nonsense" } do
				local path = folder.."minimix_numbers.dat";
				local before = content_of(path);
				write(path, content);
				start_again(s);
				local phone = s:client "phone";
				phone:send(scene.join "Alice");
				assert.same({ "presence error room/Alice wait internal-server-error" }, scene.seen(phone));
				s.host:expect_error "example.org in minimix_numbers cannot be read";
				write(path, before);
				s:wait(40);
				assert.same({ "Alice"; "Carol" }, all(s.room));
			end
		end);
	end);
end);
