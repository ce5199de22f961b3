// Nick changes of the account by itself: back to the wanted nick, or to that of a bookmark.

import * as st from "util.stanza";
import { isBlocked } from "../settings/blocklist";
import type { Membership } from "../state/memberships";
import { findOccupant } from "../state/occupants";
import { Phase } from "../state/place";
import { enqueue, newRequest } from "../state/queue";
import { rename, requested } from "./joined";

/** Asks for the wanted nick, in case it is free now. */
export function regainNick(membership: Membership): void {
    const wanted = membership.wantedNick;
    const place = membership.place;
    const isFree = membership.nick !== wanted && findOccupant(membership.view, wanted) === undefined;
    if (isFree && place.phase === Phase.Joined && place.operation === undefined && !isNickBlocked(membership, wanted)) {
        rename(membership, place, wanted);
    }
}

/** Asks for another nick for the account itself. No session is told if the room refuses. */
export function requestNick(membership: Membership, nick: string): void {
    if (!isNickBlocked(membership, nick)) {
        const place = membership.place;
        const request = newRequest("rename", undefined, undefined, nick, st.presence());
        if (place.phase === Phase.Joined) {
            requested(membership, place, request);
        } else {
            enqueue(membership, request);
        }
    }
}

function isNickBlocked(membership: Membership, nick: string): boolean {
    return isBlocked(membership.username, membership.room, nick);
}
