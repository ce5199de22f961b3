// The cache of a room for an account, from which later joins are served.

import * as options from "../options";
import type { Held } from "./held";
import { noMembers, type OfflineMembers } from "./offline";

export interface RoomView {
    /** The last presence of each other occupant, by nick. */
    readonly occupants: LuaMap<string, Held>;
    count: number;
    /** Bytes of these, as XML. */
    size: number;
    /** Members that the room has shown as offline. */
    readonly offline: OfflineMembers;
    /** The account's own presence. */
    self: Stanza | undefined;
    /** Presence of the room itself: its avatar and capabilities. */
    room: Held | undefined;
    /** Whether the room sends it before the occupants. Otherwise it comes after the subject. */
    isRoomFirst: boolean;
    subject: Stanza | undefined;
    /**
     * Why the room itself must answer a join. `incomplete`: some presence is not cached. `outdated`: the room would
     * show occupants in another form now, with or without JIDs.
     */
    stale: "incomplete" | "outdated" | undefined;
    nonAnonymous: boolean;
    logged: boolean;
}

export function newView(): RoomView {
    return {
        occupants: new LuaMap(),
        count: 0,
        size: 0,
        offline: noMembers(),
        self: undefined,
        room: undefined,
        isRoomFirst: false,
        subject: undefined,
        stale: undefined,
        nonAnonymous: false,
        logged: false,
    };
}

/** Caches the presence of an occupant. Returns false if there is no space. */
export function keepOccupant(view: RoomView, nick: string, held: Held): boolean {
    const size = string.len(held.text);
    forgetOccupant(view, nick);
    if (size > options.maxCachedSize || view.count >= options.maxOccupants || view.size + size > options.maxRoomSize) {
        view.stale = "incomplete";
        return false;
    }
    view.occupants.set(nick, held);
    view.count = view.count + 1;
    view.size = view.size + size;
    return true;
}

export function forgetOccupant(view: RoomView, nick: string): void {
    const held = view.occupants.get(nick);
    if (held !== undefined) {
        view.occupants.delete(nick);
        view.count = view.count - 1;
        view.size = view.size - string.len(held.text);
    }
}

/** Marks the view as outdated, unless it is incomplete. */
export function outdate(view: RoomView): void {
    view.stale ??= "outdated";
}
