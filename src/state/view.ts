// What a room has shown an account, from which sessions are served that join later. What is not there takes no memory.

import * as xml from "util.xml";
import type { Held } from "./held";
import type { OccupantReader } from "./occupant-list";
import { forgetOccupants, keepOccupant as keep } from "./occupants";
import type { OfflineMembers } from "./offline";
import { textOf } from "../text";

/** The other occupants are in the list of the room that the account reads. */
export interface RoomView extends OccupantReader {
    /** Members that the room has shown as offline. */
    offline?: OfflineMembers | undefined;
    /** The account's own presence: what follows its name in XML. */
    self?: string | undefined;
    /** The nick that it was shown under. */
    selfNick?: string | undefined;
    /** Of the room itself: its avatar and capabilities. */
    room?: Held | undefined;
    /** The room sends it before the occupants, otherwise after the subject. */
    isRoomFirst?: boolean | undefined;
    subject?: Held | undefined;
    /**
     * Why a session that joins is answered by the room itself. `incomplete`: the room showed more than is remembered.
     * `outdated`: it would show its occupants otherwise by now, with their JIDs or without.
     */
    stale?: "incomplete" | "outdated" | undefined;
    nonAnonymous?: true | undefined;
    logged?: true | undefined;
}

export function newView(): RoomView {
    return { position: 0 };
}

/** Forgets all that the room has shown. */
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

/** Remembers the presence of an occupant, as far as there is room for it. Returns whether there was. */
export function keepOccupant(room: string, view: RoomView, nick: string, held: Held): boolean {
    const isKept = keep(room, view, nick, held);
    if (!isKept) {
        view.stale = "incomplete";
    }
    return isKept;
}

/** The account's own presence; the caller may change it. */
export function selfOf(view: RoomView): Stanza | undefined {
    return view.self === undefined ? undefined : xml.parse(`<presence${view.self}`);
}

/** Remembers the account's own presence. Returns whether it differs from the one before. */
export function setSelf(view: RoomView, nick: string, presence: Stanza): boolean {
    const before = view.self;
    view.self = textOf(presence);
    view.selfNick = nick;
    return view.self !== before;
}

/** Notes that the room would show its occupants otherwise by now. That some are not remembered is the better reason. */
export function outdate(view: RoomView): void {
    view.stale ??= "outdated";
}
