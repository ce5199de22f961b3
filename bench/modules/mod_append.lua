-- Loaded by the benchmark only: stores each message of a room with one bare append of the storage driver.

local store = module:open_store("bench_append", "archive");

local last = os.time() * 1000;

-- After the handlers that add elements to the message.
module:hook("muc-broadcast-message", function (event)
	last = last + 1;
	assert(store:append(event.room.jid, nil, event.stanza, os.time(), ("%d"):format(last)));
end, -100);
