// The cache of a room for an account, from which later joins are served. Missing parts take no memory.

import * as xml from "util.xml";
import type { InternedStanza } from "./interned";
import type { OccupantReader } from "./occupant-list";
import { forgetOccupants, keepOccupant as keep } from "./occupants";
import type { OfflineMembers } from "./offline";
import { textOf } from "../text";

/** The other occupants are in the room's list that the account reads. */
export interface RoomView extends OccupantReader {
    /** Members that the room has shown as offline. */
    offline?: OfflineMembers | undefined;
    /** The account's own presence: the XML after the name. */
    self?: string | undefined;
    /** The nick of that presence. */
    selfNick?: string | undefined;
    /** Presence of the room itself: its avatar and capabilities. */
    room?: InternedStanza | undefined;
    /** Whether the room sends it before the occupants. Otherwise it comes after the subject. */
    isRoomFirst?: boolean | undefined;
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
    view.room = undefined;
    view.isRoomFirst = undefined;
    view.subject = undefined;
    view.stale = undefined;
    view.nonAnonymous = undefined;
    view.logged = undefined;
}

/** Caches the presence of an occupant. Returns false if there is no space. */
export function keepOccupant(room: string, view: RoomView, nick: string, interned: InternedStanza): boolean {
    const isKept = keep(room, view, nick, interned);
    if (!isKept) {
        view.stale = "incomplete";
    }
    return isKept;
}

/** Returns the account's own presence. The caller may change it. */
export function selfOf(view: RoomView): Stanza | undefined {
    return view.self === undefined ? undefined : xml.parse(`<presence${view.self}`);
}

/** Caches the account's own presence. Returns whether it has changed. */
export function setSelf(view: RoomView, nick: string, presence: Stanza): boolean {
    const before = view.self;
    view.self = textOf(presence);
    view.selfNick = nick;
    return view.self !== before;
}

/** Marks the view as outdated, unless it is incomplete. */
export function outdate(view: RoomView): void {
    view.stale ??= "outdated";
}
