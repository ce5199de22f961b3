-- Virtual time: os.time, os.date, util.time and Prosody's timers all read it, and only advance() moves it. jump() sets the wall clock
-- alone: what os.time says, and not util.time's monotonic().

local real_time, real_date = os.time, os.date;
local start = 1700000000;

local clock = { now = start; offset = 0; real_time = real_time };
local timers = {}; -- the next one last

function os.time(t)
	if t then return real_time(t); end
	return math.floor(clock.now + clock.offset);
end

function os.date(format, t)
	return real_date(format, t or math.floor(clock.now + clock.offset));
end

function clock.jump(seconds)
	clock.offset = clock.offset + seconds;
end

-- Seconds that the monotonic clock advances by itself each time it is read. With some of them, work in slices takes one
-- slice for each step.
clock.pace = 0;
local passed = 0;

function clock.monotonic()
	passed = passed + clock.pace;
	return clock.now + passed;
end

-- Lets the monotonic clock alone move on, as during long work.
function clock.elapse(seconds)
	passed = passed + seconds;
end

-- Calls the callback of a timer. support.work measures it.
function clock.around(callback, ...)
	return callback(...);
end

function clock.reset()
	clock.now, clock.offset, clock.pace = start, 0, 0;
	clock.clear();
end

function clock.clear()
	timers = {};
end

local function next_due(limit)
	local timer = timers[#timers];
	return timer and timer.at <= limit and timer or nil;
end

-- Returns the number of timers due after a time.
local function count_after(at)
	local low, high = 0, #timers;
	while low < high do
		local middle = (low + high + 1) // 2;
		if timers[middle].at > at then low = middle; else high = middle - 1; end
	end
	return low;
end

local function remove(timer)
	if not timer.at then return; end
	local i = count_after(timer.at) + 1;
	while timers[i] and timers[i].at == timer.at and timers[i] ~= timer do i = i + 1; end
	if timers[i] == timer then table.remove(timers, i); end
	timer.at = nil;
end

-- Of two timers due at the same time, the one set first runs first.
local function schedule(timer, delay)
	remove(timer);
	timer.at = clock.now + delay;
	table.insert(timers, count_after(timer.at) + 1, timer);
	return timer;
end

local function run(timer)
	clock.now = math.max(clock.now, timer.at);
	timer.at = nil;
	table.remove(timers);
	local again = clock.around(timer.callback, clock.now, timer, timer.param);
	if type(again) == "number" then
		schedule(timer, again);
	end
end

-- Runs everything due in the next `seconds`, each timer at its own time.
function clock.advance(seconds)
	local target = clock.now + seconds;
	local runs = 0;
	local timer = next_due(target);
	while timer do
		runs = runs + 1;
		assert(runs < 1e6, "timers without end");
		run(timer);
		timer = next_due(target);
	end
	clock.now = target;
end

-- Seconds until the next timer is due; nil without one.
function clock.until_next()
	local timer = timers[#timers];
	return timer and math.max(timer.at - clock.now, 0);
end

function clock.pending()
	return #timers;
end

-- What net.server offers as `timer`, and thereby util.timer.
clock.timer = {
	add_task = function (delay, callback, param)
		return schedule({ callback = callback, param = param }, delay);
	end;
	stop = remove;
	reschedule = function (timer, delay)
		return schedule(timer, delay);
	end;
};

return clock;
