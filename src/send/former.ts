// Leaves rooms under addresses that the account no longer uses (state/former.ts).

import * as id from "util.id";
import * as st from "util.stanza";
import { inTurn, post } from "../turn";
import { PING } from "../namespaces";
import {
    dropFormerOccupant,
    findFormerOccupant,
    type FormerOccupant,
    formerOccupantsOf,
    hasFormerOccupants,
} from "../state/former";
import { saveSoon } from "../state/store";
import { ask } from "./ask";

/** Longest pause between two leaves, in seconds. */
const LONGEST_PAUSE = 900;

/** Leaves a room under each former address. The leaves are sent before stanzas from the new address. */
export function leaveAsFormer(username: string, room: string): void {
    for (const former of formerOccupantsOf(username)) {
        if (former.room === room) {
            leaveOnce(former);
        }
    }
}

/** Sends the first leave. Retries have their own timer. */
export function leaveOnce(former: FormerOccupant): void {
    if (former.tries === 0) {
        leave(former);
    }
}

/** Leaves, then self-pings from the same address: rooms do not answer the leave of a non-occupant. */
function leave(former: FormerOccupant): void {
    former.tries = former.tries + 1;
    const nick = `${former.room}/${former.nick}`;
    post(st.presence({ type: "unavailable", id: id.medium(), from: former.occupant, to: nick }));
    ask(former, nick, "get", st.stanza("ping", { xmlns: PING }), (answer) => {
        if (findFormerOccupant(former.occupant, former.room) !== former) {
            return;
        }
        if (answer !== undefined && saysOut(answer)) {
            confirmLeft(former);
            return;
        }
        const pause = Math.min(2 ** Math.min(former.tries, 10), LONGEST_PAUSE) * (0.75 + math.random() / 2);
        module.add_timer(pause, () => {
            inTurn(() => {
                if (findFormerOccupant(former.occupant, former.room) === former) {
                    leave(former);
                }
            });
            return undefined;
        });
    });
}

/** Whether an error proves that the account is out (XEP-0410 3). Other errors may come from a server on the way. */
function saysOut(answer: Stanza): boolean {
    const [, condition] = answer.get_error();
    return answer.attr.type === "error" && (condition === "not-acceptable" || condition === "item-not-found");
}

/** Ends the retries, because the account is out. */
export function confirmLeft(former: FormerOccupant): void {
    dropFormerOccupant(former);
    saveSoon(former.username);
    module.log("info", "%s has left %s as %s", former.username, former.room, former.occupant);
    if (!hasFormerOccupants()) {
        module.log("info", "Left all rooms under former addresses");
    }
}

/** Leaves once under each former address of a deleted account, and forgets them. */
export function forgetAsFormer(username: string): void {
    for (const former of formerOccupantsOf(username)) {
        leaveOnce(former);
        dropFormerOccupant(former);
    }
}
