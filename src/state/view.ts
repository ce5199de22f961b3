// What a room has shown an account, from which sessions are served that join later.

import * as options from "../options";
import type { Held } from "./held";
import { noMembers, type OfflineMembers } from "./offline";

export interface RoomView {
    /** Last presence of each other occupant, by nick. */
    readonly occupants: LuaMap<string, Held>;
    count: number;
    /** Bytes of these, as XML. */
    size: number;
    /** Members that the room has shown as offline. */
    readonly offline: OfflineMembers;
    /** The account's own presence. */
    self: Stanza | undefined;
    /** Of the room itself: its avatar and capabilities. */
    room: Held | undefined;
    /** The room sends it before the occupants, otherwise after the subject. */
    isRoomFirst: boolean;
    subject: Stanza | undefined;
    /**
     * Why a session that joins is answered by the room itself. `incomplete`: the room showed more than is remembered.
     * `outdated`: it would show its occupants otherwise by now, with their JIDs or without.
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

/** Remembers the presence of an occupant, as far as there is room for it. Returns whether there was. */
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

/** Notes that the room would show its occupants otherwise by now. That some are not remembered is the better reason. */
export function outdate(view: RoomView): void {
    view.stale ??= "outdated";
}
