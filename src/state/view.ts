// The cache of a room for an account, from which later joins are served. Missing parts take no memory.

import type { InternedStanza } from "./interned";
import type { OccupantReader } from "./occupant-list";
import { forgetOccupants, keepOccupant as keep } from "./occupants";
import type { OfflineMembers } from "./offline";

/** The other occupants are in the room's list that the account reads. */
export interface RoomView extends OccupantReader {
    /** Members that the room has shown as offline. */
    offline?: OfflineMembers | undefined;
    /** The account's own presence, see own-presence.ts. */
    self?: InternedStanza | undefined;
    /** The nick of that presence, if it is not `own`: another occupant has it, or the account is about to have another. */
    selfNick?: string | undefined;
    /** The own presence has the account's JID, which the room shows to moderators and to the account itself only. */
    isJidHidden?: true | undefined;
    /** Presence of the room itself: its avatar and capabilities. */
    room?: InternedStanza | undefined;
    /** Whether the room sends it before the occupants. Otherwise it comes after the subject. */
    isRoomFirst?: true | undefined;
    subject?: InternedStanza | undefined;
    /**
     * Why the room itself must answer a join. `incomplete`: some presence is not cached. `outdated`: the room would
     * show occupants in another form now, with or without JIDs.
     */
    stale?: "incomplete" | "outdated" | undefined;
    nonAnonymous?: true | undefined;
    logged?: true | undefined;
}

export function newView(): RoomView {
    return { position: 0 };
}

/** Empties the cache. */
export function clearView(view: RoomView): void {
    forgetOccupants(view);
    view.offline = undefined;
    view.self = undefined;
    view.selfNick = undefined;
    view.isJidHidden = undefined;
    view.room = undefined;
    view.isRoomFirst = undefined;
    view.subject = undefined;
    view.stale = undefined;
    view.nonAnonymous = undefined;
    view.logged = undefined;
}

/** Caches the presence of an occupant. Returns false if there is no space. */
export function keepOccupant(room: string, view: RoomView, nick: string, interned: InternedStanza): boolean {
    if (nick === view.own && view.self !== undefined) {
        view.selfNick ??= nick;
    }
    const isKept = keep(room, view, nick, interned);
    if (!isKept) {
        view.stale = "incomplete";
    }
    return isKept;
}

/** Returns the nick of the account's own presence. */
export function selfNickOf(view: RoomView): string | undefined {
    return view.selfNick ?? (view.self === undefined ? undefined : view.own);
}

/** Marks the view as outdated, unless it is incomplete. */
export function outdate(view: RoomView): void {
    view.stale ??= "outdated";
}
