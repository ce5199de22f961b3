-- Virtual time: os.time, os.date, util.time and Prosody's timers all read it, and only advance() moves it.

local real_time, real_date = os.time, os.date;
local start = 1700000000;

local clock = { now = start };
local timers, sequence = {}, 0;

function os.time(t)
	if t then return real_time(t); end
	return math.floor(clock.now);
end

function os.date(format, t)
	return real_date(format, t or math.floor(clock.now));
end

-- Seconds that seem to pass between one look at the monotonic clock and the next: with some of them all that is done in slices
-- takes one for each step.
clock.pace = 0;
local passed = 0;

function clock.monotonic()
	passed = passed + clock.pace;
	return clock.now + passed;
end

function clock.reset()
	clock.now = start;
	clock.pace = 0;
	clock.clear();
end

function clock.clear()
	timers = {};
end

local function is_before(a, b)
	if a.at ~= b.at then return a.at < b.at; end
	return a.sequence < b.sequence;
end

local function next_due(limit)
	local first;
	for timer in pairs(timers) do
		if timer.at <= limit and (not first or is_before(timer, first)) then
			first = timer;
		end
	end
	return first;
end

local function schedule(timer, delay)
	sequence = sequence + 1;
	timer.at, timer.sequence = clock.now + delay, sequence;
	timers[timer] = true;
	return timer;
end

local function run(timer)
	clock.now = math.max(clock.now, timer.at);
	timers[timer] = nil;
	local again = timer.callback(clock.now, timer, timer.param);
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

function clock.pending()
	local n = 0;
	for _ in pairs(timers) do n = n + 1; end
	return n;
end

-- What net.server offers as `timer`, and thereby util.timer.
clock.timer = {
	add_task = function (delay, callback, param)
		return schedule({ callback = callback, param = param }, delay);
	end;
	stop = function (timer)
		timers[timer] = nil;
	end;
	reschedule = function (timer, delay)
		return schedule(timer, delay);
	end;
};

return clock;
