// Presences of occupants, each held once for all accounts of this host that were shown it. They are told apart by their
// content alone, so that nothing of one room, or of one account's view of it, can get into another's.

import * as st from "util.stanza";
import { MUC_USER } from "../namespaces";
import { textOf } from "../text";

export interface Held {
    /** Without `to`. Lent to whoever sends it, never changed. */
    readonly stanza: Stanza;
    /** What follows its name in XML. */
    readonly text: string;
}

/** By text. Entries go with the last membership that refers to them. */
const held = setmetatable(new LuaMap<string, Held>(), { __mode: "v" });

/** The stanza held last and what became of it: a room of this server hands one table to every account. */
let source: Stanza | undefined;
let latest: Held | undefined;

/** What is to be shown of a presence to those who come later. */
export function hold(presence: Stanza): Held {
    if (presence === source && latest !== undefined) {
        return latest;
    }
    const lasting = toldAgain(presence);
    const text = textOf(lasting);
    let found = held.get(text);
    if (found === undefined) {
        const stanza = st.clone(lasting);
        stanza.attr.to = undefined;
        found = { stanza, text };
        held.set(text, found);
    }
    source = presence;
    latest = found;
    return found;
}

/** Who changed an occupant, and why, is told once; a room does not repeat it to those who come later. */
function toldAgain(presence: Stanza): Stanza {
    const x = presence.get_child("x", MUC_USER);
    const item = x === undefined ? undefined : x.get_child("item");
    if (item === undefined || item.tags.length === 0) {
        return presence;
    }
    const copy = st.clone(presence);
    const copied = copy.get_child("x", MUC_USER);
    if (copied !== undefined) {
        for (const tag of copied.tags) {
            tag.maptags((child) => (child.name === "actor" || child.name === "reason" ? undefined : child));
        }
    }
    return copy;
}
