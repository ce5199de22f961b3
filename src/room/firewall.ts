// O6: with mod_firewall, a room's stanza to the occupant JID is one to the address of a session, as without this module.

import * as jids from "util.jid";
import { hasModule } from "../host";
import * as options from "../options";
import { findMembership } from "../state/memberships";

/** Stands for the account's sessions. It accepts no stanza, so that other modules treat it as a session that is gone. */
const standIn = { send: () => false } as unknown as ClientSession;

/** Fires an event to the next wrapper, or to the handlers (util/events.lua). */
type Fire = (this: void, name: string, event: StanzaEvent<Origin>) => Handled;

/**
 * mod_firewall's condition "TO FULL JID?" looks for a session (conditions.lib.lua). Its script against spam rejects
 * messages to an address without one, such as changes of affiliation and requests for voice.
 */
function asToSession(this: void, fire: Fire, name: string, event: StanzaEvent<Origin>): Handled {
    const sessions = prosody.full_sessions;
    const from = event.stanza.attr.from;
    const to = event.stanza.attr.to;
    const isKnown = from === undefined || to === undefined || sessions.has(to);
    if (isKnown || findMembership(to, jids.bare(from)) === undefined) {
        return fire(name, event);
    }
    sessions.set(to, standIn);
    const [ok, result] = xpcall((passed: StanzaEvent<Origin>) => fire(name, passed), debug.traceback, event);
    sessions.delete(to);
    return ok ? result : error(result, 0);
}

/** Applies to all stanzas to the occupant JID, if mod_firewall is loaded. */
export function passFirewall(): void {
    if (options.resource !== undefined && hasModule("firewall")) {
        module.wrap_event("message/full", asToSession);
        module.wrap_event("presence/full", asToSession);
        module.wrap_event("iq/full", asToSession);
    }
}
