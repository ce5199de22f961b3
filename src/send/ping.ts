// Sends self-pings (XEP-0410) from the occupant JID, to see whether the account is still in the room.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { PING } from "../namespaces";
import type { Membership } from "../state/memberships";
import { ask } from "./ask";

/** Receives the condition of the error, or undefined after a result. */
type Pinged = (this: void, condition: string | undefined) => void;

/**
 * Pings the account's own occupant.
 *
 * Rooms answer in order, so everything that the room sent before the answer has arrived. A timeout counts as
 * `remote-server-timeout`.
 */
export function selfPing(membership: Membership, pinged: Pinged, limit?: number): void {
    const ping = st.stanza("ping", { xmlns: PING });
    const nick = membership.nick;
    ask(
        membership,
        `${membership.room}/${nick}`,
        "get",
        ping,
        (answer) => {
            if (answer === undefined) {
                pinged("remote-server-timeout");
            } else if (answer.attr.type === "result") {
                pinged(undefined);
            } else {
                const [, condition] = answer.get_error();
                // The ping may cross a nick change. Otherwise the occupant or the room does not exist.
                const crossed = condition === "item-not-found" && nick !== membership.nick;
                pinged(crossed ? undefined : conditionOf(membership, condition));
            }
        },
        limit,
    );
}

/**
 * Returns the condition of an error. A gateway of this server that has lost its connection for the account answers
 * `remote-server-not-found` itself. No server is between, so this proves that the account is out.
 */
function conditionOf(membership: Membership, condition: string | undefined): string {
    const isGateway = prosody.hosts.has(jids.host(membership.room));
    return condition === "remote-server-not-found" && isGateway
        ? "not-acceptable"
        : (condition ?? "undefined-condition");
}

/** Whether the error of a self-ping shows that the account is in the room (XEP-0410 3). */
export function saysJoined(condition: string): boolean {
    return condition === "service-unavailable" || condition === "feature-not-implemented";
}

/** Whether the answer to a self-ping proves that the account is out. Other errors prove nothing. */
export function saysOut(condition: string | undefined): boolean {
    return condition === "not-acceptable" || condition === "item-not-found";
}

/** Whether the error of a self-ping proves nothing, because the room was not reached (XEP-0410 3). */
export function saysNothing(condition: string): boolean {
    return condition === "remote-server-not-found" || condition === "remote-server-timeout";
}
