// Joins that the account makes by itself are put before the outgoing rules of the server, as a session's join is: what
// mod_isolate_host or a rule of mod_firewall forbids a user is forbidden to the user's account (O7).

import * as id from "util.id";
import * as st from "util.stanza";
import { MUC } from "../namespaces";
import type { Membership } from "../state/memberships";

/** The sender of the join that is being checked, in place of a session. Undefined once it has passed. */
let checked: Origin | undefined;

/** For the module's handler of `pre-presence/full`: whether this is such a join. Handlers of rules have let it pass. */
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

/** The error with which this server refuses a join from the occupant JID; undefined if it lets it pass. */
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
