// What mod_blocklist keeps (XEP-0191).

import * as jids from "util.jid";

/** Blocked JIDs are its keys. */
type Blocklist = LuaMap<string, unknown>;

const store = module.open_store<Blocklist>("blocklist", "keyval");

/** Whether an account has blocked a room, or the whole service: nothing that comes from there is heard. */
export function isBlocked(username: string, room: string): boolean {
    const host = prosody.hosts.get(module.host);
    if (host === undefined || !host.modules.has("blocklist")) {
        return false;
    }
    const [blocklist] = store.get(username);
    return blocklist !== undefined && (blocklist.has(room) || blocklist.has(jids.host(room)));
}
