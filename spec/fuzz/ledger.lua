-- Tracks each message of a session to an honest room. It must arrive there and not be refused, or its sender must get
-- an error.

local ledger = {};
ledger.__index = ledger;

function ledger.new()
	return setmetatable({ by_body = {} }, ledger);
end

local function key_of(room, id)
	return room.jid.." "..(id or "");
end

-- Each body is used once. from_inside: the session is in the room, or is about to be
function ledger:sent(session, room, id, body, from_inside)
	session.messages = session.messages or {};
	local entry = { key = key_of(room, id); body = body; from_inside = from_inside };
	self.by_body[body] = entry;
	table.insert(session.messages, entry);
end

-- Returns the message of a stanza in flight to a room; nil for any other stanza.
function ledger:entry(stanza)
	local body = stanza.name == "message" and stanza:get_child_text("body");
	return body and self.by_body[body];
end

-- From now on unsettled messages may be lost without an error: the server or a link failed.
function ledger:excuse_all()
	for _, entry in pairs(self.by_body) do entry.excused = true; end
end

function ledger.got_error(session, room, id)
	local errors = session.message_errors or {};
	session.message_errors = errors;
	local key = key_of(room, id);
	errors[key] = (errors[key] or 0) + 1;
end

-- Returns the errors that a session should have received and did not, by the id of the message.
function ledger.missing(session)
	local lost = {};
	for _, entry in ipairs(session.messages or {}) do
		if not entry.excused and (entry.refused or not entry.arrived) then
			lost[entry.key] = lost[entry.key] or {};
			table.insert(lost[entry.key], entry);
		end
	end
	for key, entries in pairs(lost) do
		if #entries > ((session.message_errors or {})[key] or 0) then
			return ("has no error for %q to %s, which %s"):format(entries[#entries].body, key,
				entries[#entries].refused and "refused it" or "it did not reach");
		end
	end
end

return ledger;
