// Tells whether a room is private: members only and not listed (XEP-0045 15.3). The room is asked when this matters,
// once for all accounts of this host.

import * as cache from "util.cache";
import * as st from "util.stanza";
import type { Membership } from "../state/memberships";
import { ask } from "../send/ask";

type Told = (this: void, isPrivate: boolean) => void;

const DISCO_INFO = "http://jabber.org/protocol/disco#info";

/** Number of rooms to remember. */
const ROOMS = 10000;

/** Largest number of messages that wait for one room's answer. Each offline account adds one for each message. */
const WAITING = 1000;

const known = cache.new<boolean>(ROOMS);

/** Callbacks that wait for an answer, by room. */
const callbacks = new LuaMap<string, Told[]>();

/** Whether the room is private. Undefined until the room has answered. */
export function knownPrivate(room: string): boolean | undefined {
    return known.get(room);
}

/** Calls back once the room has told whether it is private. A room without an answer counts as public. */
export function whetherPrivate(membership: Membership, told: Told): void {
    const room = membership.room;
    const waiting = callbacks.get(room);
    if (waiting !== undefined && waiting.length >= WAITING) {
        told(false);
        return;
    }
    if (waiting !== undefined) {
        waiting.push(told);
        return;
    }
    callbacks.set(room, [told]);
    ask(membership, room, "get", st.stanza("query", { xmlns: DISCO_INFO }), (answer) => {
        const isPrivate = answer !== undefined && describesPrivate(answer);
        known.set(room, isPrivate);
        const all = callbacks.get(room) ?? [];
        callbacks.delete(room);
        for (const tell of all) {
            tell(isPrivate);
        }
    });
}

/** Asks again next time: the configuration of the room has changed. */
export function forgetPrivacy(room: string): void {
    known.set(room, undefined);
}

function describesPrivate(answer: Stanza): boolean {
    const query = answer.get_child("query", DISCO_INFO);
    return query !== undefined && hasFeature(query, "muc_membersonly") && hasFeature(query, "muc_hidden");
}

function hasFeature(query: Stanza, name: string): boolean {
    return query.get_child_with_attr("feature", undefined, "var", name) !== undefined;
}
