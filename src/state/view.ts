// The cache of a room for an account, from which later joins are served. Missing parts take no memory.

import * as st from "util.stanza";
import { MUC_USER } from "../namespaces";
import { intern, type InternedStanza, isSamePresence, stanzaOf } from "./interned";
import type { Membership } from "./memberships";
import type { OccupantReader } from "./occupant-list";
import { forgetOccupants, keepOccupant as keep } from "./occupants";
import type { OfflineMembers } from "./offline";

/** The other occupants are in the room's list that the account reads. */
export interface RoomView extends OccupantReader {
    /** Members that the room has shown as offline. */
    offline?: OfflineMembers | undefined;
    /** The account's own presence, in the form that other occupants see, so that their copies share it. */
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

/** Returns the account's own presence without status codes. The caller may change it. */
export function selfOf(membership: Membership): Stanza | undefined {
    const view = membership.view;
    const self = view.self === undefined ? undefined : stanzaOf(view.self);
    if (self === undefined) {
        return undefined;
    }
    self.attr.id = undefined;
    const item = view.isJidHidden === true ? itemIn(self) : undefined;
    if (item !== undefined) {
        item.attr.jid = membership.occupant;
    }
    return self;
}

/** Caches the account's own presence. Returns whether it has changed. */
export function setSelf(membership: Membership, nick: string, presence: Stanza): boolean {
    const view = membership.view;
    const before = view.self;
    const wasHidden = view.isJidHidden;
    const copy = withoutStatus(presence);
    const item = view.nonAnonymous ? undefined : itemIn(copy);
    const isHidden = item?.attr.jid === membership.occupant;
    if (isHidden) {
        item.attr.jid = undefined;
    }
    const self = intern(copy);
    view.self = self;
    view.selfNick = nick === view.own ? undefined : nick;
    view.isJidHidden = isHidden ? true : undefined;
    return before === undefined || view.isJidHidden !== wasHidden || !isSamePresence(before, self);
}

function itemIn(presence: Stanza): Stanza | undefined {
    return presence.get_child("x", MUC_USER)?.get_child("item");
}

/** Returns a copy without the address and the status codes, which only the account itself gets. */
function withoutStatus(presence: Stanza): Stanza {
    const copy = st.clone(presence);
    copy.attr.to = undefined;
    const x = copy.get_child("x", MUC_USER);
    if (x !== undefined) {
        x.maptags((tag) => (tag.name === "status" ? undefined : tag));
    }
    return copy;
}
