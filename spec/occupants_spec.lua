-- B2: accounts read shared lists of occupants. The rooms show accounts different presences, in different order, with
-- gaps. A plain table for each account has the expected content. MINIMIX_WORLDS and MINIMIX_SEED set the number and the
-- first seed.

local part = require "support.part";
local random = require "fuzz.random";

local worlds = tonumber(os.getenv "MINIMIX_WORLDS" or "") or 100;
local first_seed = tonumber(os.getenv "MINIMIX_SEED" or "") or 1;
local events_each = 60;

local world = {};
world.__index = world;

local function load_lists(options, fault)
	local others = { minimix_options = options; state_interned = { restoreInterned = function () end } };
	return part.load({ "state/occupant-list", "state/occupants" }, others, fault);
end

local function new_world(seed, fault)
	local draw = random.new(seed);
	local self = setmetatable({
		draw = draw;
		-- Some worlds are simple, some have limits, and in some worlds different presences have the same mark.
		trouble = draw(3) == 1 and 0 or draw(40);
		marks = draw(2) == 1 and 2 or 1e9;
		options = {
			maxOccupants = draw(3) == 1 and draw(8) or 5000;
			maxCachedSize = draw(5) == 1 and 12 or 16384;
			maxRoomSize = draw(5) == 1 and 40 + draw(60) or 8388608;
		};
		texts = {};
		there = {}; -- by nick: the number of the presence
		accounts = {};
		pending = {};
		turn = 0;
	}, world);
	self.lists = load_lists(self.options, fault);
	for i = 1, 1 + draw(6) do
		self.accounts[i] = { nick = "own"..i; class = draw(4) == 1 and "moderator" or "participant" };
		self:reset(self.accounts[i]);
	end
	for i = 1, draw(7) do self.there["nick"..i] = 1; end
	return self;
end

-- Equal text is the same table, as in src/state/interned.ts.
function world:held(nick, number, class)
	local text = ("%s %d %s%s"):format(nick, number, class, ("."):rep(number % 7));
	local found = self.texts[text];
	if not found then
		found = { text = text; mark = self.draw(self.marks) };
		self.texts[text] = found;
	end
	return found;
end

-- Shows presences to the module and to the model.

function world:reset(account)
	if account.reader then self.lists.forgetOccupants(account.reader); end
	account.reader, account.shown, account.own = { position = 0 }, {}, nil;
end

local function totals(account, without)
	local count, size = 0, 0;
	for nick, held in pairs(account.shown) do
		if nick ~= without then count, size = count + 1, size + #held.text; end
	end
	return count, size;
end

function world:show(account, nick, held)
	if account.own == nick then account.own = nil; end
	local count, size = totals(account, nick);
	local kept = #held.text <= self.options.maxCachedSize and count < self.options.maxOccupants
		and size + #held.text <= self.options.maxRoomSize;
	account.shown[nick] = kept and held or nil;
	assert(self.lists.keepOccupant("room", account.reader, nick, held) == kept, "what is kept");
	self:compare(account);
end

function world:hide(account, nick)
	account.shown[nick] = nil;
	self.lists.forgetOccupant(account.reader, nick);
	self:compare(account);
end

function world:show_own(account)
	account.shown[account.nick], account.own = nil, account.nick;
	self.lists.setOwnNick(account.reader, account.nick);
	self:compare(account);
end

-- Conditions that must hold

function world:compare(account)
	local lists, reader = self.lists, account.reader;
	local seen = 0;
	for nick, held in lists.eachOccupant(reader) do
		assert(account.shown[nick] == held, "an occupant that the account was not shown");
		seen = seen + 1;
	end
	local count = totals(account);
	assert(seen == count, "an occupant is missing");
	assert(lists.countOccupants(reader) == count, "the number of occupants");
	local nick = self:any_nick();
	assert(lists.findOccupant(reader, nick) == account.shown[nick], "an occupant looked up");
end

function world:inspect()
	local found = {};
	for _, account in ipairs(self.accounts) do
		self:compare(account);
		local list = account.reader.list;
		if list then
			assert(list.readers[account.reader], "a list does not know a reader");
			found[list] = (found[list] or 0) + 1;
		end
	end
	for list, readers in pairs(found) do
		local count, size, sum, behind = 0, 0, 0, 0;
		for _, held in pairs(list.occupants) do count, size, sum = count + 1, size + #held.text, sum + held.mark; end
		for reader in pairs(list.readers) do
			if reader.position < list.last then behind = behind + 1; end
		end
		assert(list.count == count and list.size == size and list.sum == sum, "the totals of a list");
		assert(list.readerCount == readers and (list.behind or 0) == behind, "the readers of a list");
		assert((list.log ~= nil) == (behind > 0), "changes that all have been shown");
		for reader in pairs(list.readers) do
			assert(list.last - reader.position <= #(list.log or {}), "a change that a reader has not seen is missing");
		end
	end
	return found;
end

-- Actions of a room

function world:any_nick()
	local n = self.draw(12);
	if n <= #self.accounts then return self.accounts[n].nick; end
	return "nick"..n;
end

function world:troubled()
	return self.trouble > 0 and self.draw(self.trouble) == 1;
end

-- Calls f for each account in the room. Some accounts miss the action, some get it late.
function world:broadcast(f)
	for _ = 1, #self.pending do
		if self.draw(2) == 1 then table.remove(self.pending, self.draw(#self.pending))(); end
	end
	local order = {};
	for i, account in ipairs(self.accounts) do table.insert(order, self.draw(i), account); end
	for _, account in ipairs(order) do
		if account.own and not self:troubled() then
			if self:troubled() then
				local reader = account.reader;
				table.insert(self.pending, function ()
					if account.own and account.reader == reader then f(account); end
				end);
			else
				f(account);
			end
		end
	end
end

function world:tell(nick, number)
	self:broadcast(function (account)
		if nick == account.nick then
			if number then self:show_own(account); end
		elseif number then
			self:show(account, nick, self:held(nick, number, account.class));
		else
			self:hide(account, nick);
		end
	end);
end

function world:next_number()
	self.turn = self.turn + 1;
	return self.turn;
end

local events = {};

function events:change()
	local nick = self:any_nick();
	if nick:find "^nick" or self.there[nick] then
		self.there[nick] = self:next_number();
		self:tell(nick, self.there[nick]);
	end
end

function events:change_back()
	local nick = next(self.there);
	if nick then
		self.there[nick] = self.draw(2);
		self:tell(nick, self.there[nick]);
	end
end

function events:go()
	local nick = "nick"..self.draw(12);
	self.there[nick] = nil;
	self:tell(nick, nil);
end

function world:burst(account)
	local shown, order = {}, {};
	for nick in pairs(self.there) do
		if nick ~= account.nick then table.insert(order, self.draw(#order + 1), nick); end
	end
	for _, nick in ipairs(order) do
		if not self:troubled() then
			shown[nick] = true;
			self:show(account, nick, self:held(nick, self.there[nick], account.class));
		end
	end
	-- Occupants that have left meanwhile.
	for nick in self.lists.eachOccupant(account.reader) do
		if not shown[nick] then
			account.shown[nick] = nil;
			self.lists.forgetOccupant(account.reader, nick);
		end
	end
	self:show_own(account);
	self.there[account.nick] = self:next_number();
	self:tell(account.nick, self.there[account.nick]);
end

function events:join()
	local account = self.accounts[self.draw(#self.accounts)];
	if self.draw(2) == 1 then self:reset(account); end
	self:burst(account);
end

function events:leave()
	local account = self.accounts[self.draw(#self.accounts)];
	self:reset(account);
	self.there[account.nick] = nil;
	self:tell(account.nick, nil);
end

function events:rename()
	local account = self.accounts[self.draw(#self.accounts)];
	if not account.own then return; end
	local before = account.nick;
	account.nick = before:match "^own%d+"..(before:find "_" and "" or "_");
	self.there[before], self.there[account.nick] = nil, self:next_number();
	if self.draw(2) == 1 then self:show_own(account); end
	self:tell(before, nil);
	self:tell(account.nick, self.there[account.nick]);
end

-- Another occupant takes the nick of an account that does not know yet that it is out.
function events:take_nick()
	local account = self.accounts[self.draw(#self.accounts)];
	self.there[account.nick] = self:next_number();
	for _, other in ipairs(self.accounts) do
		if other.own or other == account then
			self:show(other, account.nick, self:held(account.nick, self.there[account.nick], other.class));
		end
	end
end

function events:storm()
	for _ = 1, 100 do events.change(self); end
end

local names = {};
for name in pairs(events) do table.insert(names, name); end
table.sort(names);
for _ = 1, 8 do table.insert(names, "change"); table.insert(names, "join"); end

-- Without failures all accounts of a class see the same in the end, and read one list.
function world:calm_down()
	self.trouble, self.pending = 0, {};
	for _, account in ipairs(self.accounts) do
		if account.own then self:show_own(account); else self:reset(account); end
	end
	for turn = 1, 2 do
		for n = 1, 12 do
			for _, nick in ipairs { "nick"..n, "own"..n, "own"..n.."_" } do
				local owner = self.accounts[n];
				local is_own = owner and owner.own and owner.nick == nick;
				if is_own or (self.there[nick] and nick:find "^nick") then
					self.there[nick] = turn;
				else
					self.there[nick] = nil;
				end
				self:tell(nick, self.there[nick]);
			end
		end
	end
	local classes, expected, found = {}, 0, 0;
	for _, account in ipairs(self.accounts) do
		if account.own and not classes[account.class] then
			classes[account.class], expected = true, expected + 1;
		end
	end
	for _ in pairs(self:inspect()) do found = found + 1; end
	if self.options.maxOccupants == 5000 and self.options.maxRoomSize == 8388608 and self.options.maxCachedSize == 16384 then
		assert(found <= expected, ("%d lists where %d would do"):format(found, expected));
	end
end

local function play(seed, fault)
	local w = new_world(seed, fault);
	for _ = 1, events_each do
		events[names[w.draw(#names)]](w);
		w:inspect();
	end
	w:calm_down();
	for _, account in ipairs(w.accounts) do w:reset(account); end
end

local function search(fault, seconds)
	local started = os.clock();
	for seed = first_seed, first_seed + worlds - 1 do
		local ok, problem = xpcall(play, debug.traceback, seed, fault);
		if not ok then return ("seed %d: %s"):format(seed, problem); end
		if seconds and os.clock() - started > seconds then return; end
	end
end

describe("shared lists of occupants #once", function ()
	it("B2: show each account the occupants that its room has sent, from seed "..first_seed, function ()
		assert.is_nil(search());
	end);
end);

local faults = {
	{ "a position off by one", "reader%.position = reader%.position %+ 1", "reader.position = math.min(list.last, reader.position + 2)" };
	{ "a list that is shared although its content differs", "if nick ~= own and nick ~= missing and", "if false and" };
	{ "a reader that is not given its own copy", "copyAt%(list, reader%.position%)", "copyAt(list, list.last)" };
	{ "an own nick that is not left out", "nick ~= nil and nick == own", "false" };
	{ "a change that is passed without a comparison", "or later%.after ~= interned", "" };
	{ "readers that lag and lose what they were shown", "if %(log and #log or 0%) > MAX_BEHIND then", "if log and #log > MAX_BEHIND then table.remove(log, 1);" };
	{ "lists that are never merged", "if #all < 2 then", "if true then" };
};

describe("the search #once finds a planted fault within a minute:", function ()
	for _, fault in ipairs(faults) do
		it(fault[1], function ()
			local problem = search({ fault[2], fault[3] }, 60);
			assert.is_string(problem);
			-- A violated condition, and not a module that cannot be loaded.
			assert.is_nil(problem:find("attempt to", 1, true), problem);
		end);
	end
end);
