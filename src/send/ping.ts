// Self-pings (XEP-0410) from the occupant JID: is the account still in the room?

import * as st from "util.stanza";
import { PING } from "../namespaces";
import type { Membership } from "../state/memberships";
import { ask } from "./ask";

/** What became of a self-ping: undefined for a result, else the error's condition. */
type Answered = (this: void, condition: string | undefined) => void;

/**
 * Pings the account's own occupant. Rooms answer in order, so the answer also tells that all they had to say to an
 * earlier stanza has been said. A room that stays silent counts as `remote-server-timeout`.
 */
export function selfPing(membership: Membership, answered: Answered, limit?: number): void {
    const ping = st.stanza("ping", { xmlns: PING });
    const nick = membership.nick;
    ask(
        membership,
        `${membership.room}/${nick}`,
        "get",
        ping,
        (answer) => {
            if (answer === undefined) {
                answered("remote-server-timeout");
            } else if (answer.attr.type === "result") {
                answered(undefined);
            } else {
                const [, condition] = answer.get_error();
                // A ping may cross with a nick change. Otherwise there is no such occupant, or no such room.
                const crossed = condition === "item-not-found" && nick !== membership.nick;
                answered(crossed ? undefined : (condition ?? "undefined-condition"));
            }
        },
        limit,
    );
}

/** XEP-0410 3: whether the error of a self-ping says that the account is in the room all the same. */
export function saysJoined(condition: string): boolean {
    return condition === "service-unavailable" || condition === "feature-not-implemented";
}

/** Whether the answer to a self-ping is evidence that the account is not in the room; other errors are none. */
export function saysOut(condition: string | undefined): boolean {
    return condition === "not-acceptable" || condition === "item-not-found";
}

/** XEP-0410 3: whether the error of a self-ping says nothing, as the room was not reached. */
export function saysNothing(condition: string): boolean {
    return condition === "remote-server-not-found" || condition === "remote-server-timeout";
}
