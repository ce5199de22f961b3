// The account's own presence in a room. It is stored in the form that other occupants see, so that their copies share it.

import * as st from "util.stanza";
import { MUC_USER } from "../namespaces";
import { intern, isSamePresence, stanzaOf } from "./interned";
import type { Membership } from "./memberships";

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
