// Checks the account's automatic joins against the outgoing rules of the server (O7). If mod_isolate_host or
// mod_firewall forbids a join to the user, it is forbidden to the account.

import * as id from "util.id";
import * as st from "util.stanza";
import { MUC } from "../namespaces";
import type { Membership } from "../state/memberships";

/**
 * The sender of the join that is being checked, in place of a session. Undefined when no check runs, or the join has
 * passed.
 */
let checked: Origin | undefined;

/** Whether a presence is such a join. The handler of `pre-presence/full` calls this after the handlers of the rules. */
export function passesRules(origin: Origin): boolean {
    const passes = isChecked(origin);
    if (passes) {
        checked = undefined;
    }
    return passes;
}

function isChecked(origin: Origin): boolean {
    return checked === origin;
}

/** Fires the join as an event, for the outgoing rules of this server. Returns the error if they refuse it. */
export function refusalOf(membership: Membership): Stanza | undefined {
    let answer: Stanza | undefined;
    const to = `${membership.room}/${membership.nick}`;
    const stanza = st.presence({ from: membership.occupant, to, id: id.medium() }).tag("x", { xmlns: MUC }).reset();
    const origin = {
        type: "local",
        host: module.host,
        username: membership.username,
        full_jid: membership.occupant,
        send: (reply: Stanza | string) => {
            answer = typeof reply === "string" ? undefined : reply;
            return true;
        },
    };
    checked = origin;
    const [ok, problem] = pcall(() => module.fire_event("pre-presence/full", { origin, stanza }));
    const isRefused = isChecked(origin);
    checked = undefined;
    if (!ok) {
        module.log(
            "error",
            "A module failed on the join of %s to %s: %s",
            membership.username,
            stanza.attr.to,
            problem,
        );
        return undefined;
    }
    return isRefused ? (answer ?? st.error_reply(stanza, "auth", "forbidden")) : undefined;
}
