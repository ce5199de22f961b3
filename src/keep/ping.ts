// Self-pings (XEP-0410) from the occupant JID: is the account still in the room?

import * as id from "util.id";
import * as st from "util.stanza";
import { PING } from "../namespaces";
import type { Membership } from "../state/memberships";

/** What became of a self-ping: undefined for a result, else the error's condition. */
type Answered = (this: void, condition: string | undefined) => void;

interface Ping {
    readonly room: string;
    readonly answered: Answered;
    readonly timer: Timer;
}

/** Seconds until a ping counts as unanswered. */
const PATIENCE = 30;

const pings = new LuaMap<string, Ping>();

/**
 * Pings the account's own occupant. Rooms answer in order, so the answer also tells that all they had to say to an
 * earlier stanza has been said. A room that stays silent for 30 s counts as `remote-server-timeout`.
 */
export function selfPing(membership: Membership, answered: Answered): void {
    const key = `mm-${id.medium()}`;
    const timer = module.add_timer(PATIENCE, () => {
        pings.delete(key);
        answered("remote-server-timeout");
        return undefined;
    });
    pings.set(key, { room: membership.room, answered, timer });
    const to = `${membership.room}/${membership.nick}`;
    module.send(st.iq({ type: "get", id: key, from: membership.occupant, to }).tag("ping", { xmlns: PING }).reset());
}

/** Takes the answer to a self-ping; whether it was one. */
export function takePong(room: string, stanza: Stanza): boolean {
    const key = stanza.attr.id;
    const ping = key === undefined ? undefined : pings.get(key);
    if (key === undefined || ping === undefined || ping.room !== room) {
        return false;
    }
    pings.delete(key);
    ping.timer.stop();
    if (stanza.attr.type === "result") {
        ping.answered(undefined);
    } else {
        const [, condition] = stanza.get_error();
        ping.answered(condition ?? "undefined-condition");
    }
    return true;
}

/** XEP-0410 3: whether the error of a self-ping says that the account is in the room all the same. */
export function saysJoined(condition: string): boolean {
    return (
        condition === "service-unavailable" || condition === "feature-not-implemented" || condition === "item-not-found"
    );
}

/** XEP-0410 3: whether the error of a self-ping says nothing, as the room was not reached. */
export function saysNothing(condition: string): boolean {
    return condition === "remote-server-not-found" || condition === "remote-server-timeout";
}
