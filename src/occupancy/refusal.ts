// The meaning of errors and removals by rooms.

import { MUC_USER, Status } from "../namespaces";
import { hasStatus } from "../stanzas";

/** Conditions by which rooms refuse a join (XEP-0045 7.2, 10.9). */
const refusals = new LuaSet<string>();
for (const condition of ["forbidden", "gone", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized"]) {
    refusals.add(condition);
}
refusals.add("registration-required");

/** Whether a refused join may succeed later: a room may be locked or full, or its server may be starting. */
export function isTemporary(error: Stanza): boolean {
    const [type, condition, text] = error.get_error();
    return type === "wait" || condition === undefined || !refusals.has(condition) || isBounce(text);
}

/** Whether an error comes from mod_s2s. It uses the condition of the remote server's error, which may be any. */
function isBounce(text: string | undefined): boolean {
    return text !== undefined && string.find(text, "Server-to-server connection failed", 1, true)[0] === 1;
}

/** Whether the room's server was not reached. */
export function isUnreached(condition: string | undefined): boolean {
    return condition === "remote-server-not-found" || condition === "remote-server-timeout";
}

/** Technical removal (XEP-0045 15.6.2), as opposed to a kick or ban: the service shuts down or lost us. */
export function isTechnical(stanza: Stanza): boolean {
    return hasStatus(stanza, Status.Shutdown) || hasStatus(stanza, Status.TechnicalRemoval);
}

const expulsions = [Status.Banned, Status.Kicked, Status.AffiliationChange, Status.MembersOnly];

/** Whether a room has removed an occupant on purpose (XEP-0045 8.2, 9.1, 9.4, 10.9). */
export function isExpulsion(stanza: Stanza): boolean {
    for (const code of expulsions) {
        if (hasStatus(stanza, code)) {
            return true;
        }
    }
    const x = stanza.get_child("x", MUC_USER);
    return x?.get_child("destroy") !== undefined;
}
