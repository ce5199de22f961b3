// Which rooms are among friends: members only, and not listed (XEP-0045 15.3). Asked of a room when it matters, once for
// all accounts of this host.

import * as cache from "util.cache";
import * as st from "util.stanza";
import type { Membership } from "../state/memberships";
import { ask } from "../send/ask";

type Told = (this: void, isPrivate: boolean) => void;

const DISCO_INFO = "http://jabber.org/protocol/disco#info";

/** Rooms remembered. */
const ROOMS = 10000;

/** Who may wait for one room's answer at a time: a message for each account that is not there. */
const WAITING = 1000;

const known = cache.new<boolean>(ROOMS);

/** Rooms that have been asked, and who waits for the answer. */
const asked = new LuaMap<string, Told[]>();

/** Undefined as long as the room has not been asked. */
export function knownPrivate(room: string): boolean | undefined {
    return known.get(room);
}

/** Calls back once it is known whether the account's room is private; a room that does not answer is not. */
export function whetherPrivate(membership: Membership, told: Told): void {
    const room = membership.room;
    const waiting = asked.get(room);
    if (waiting !== undefined && waiting.length >= WAITING) {
        told(false);
        return;
    }
    if (waiting !== undefined) {
        waiting.push(told);
        return;
    }
    asked.set(room, [told]);
    ask(membership, room, "get", st.stanza("query", { xmlns: DISCO_INFO }), (answer) => {
        const isPrivate = answer !== undefined && describesPrivate(answer);
        known.set(room, isPrivate);
        const all = asked.get(room) ?? [];
        asked.delete(room);
        for (const tell of all) {
            tell(isPrivate);
        }
    });
}

/** The room's configuration has changed. */
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
