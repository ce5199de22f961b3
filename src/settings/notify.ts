// What an account wants to be woken for (XEP-0492).

import * as st from "util.stanza";
import { BOOKMARKS } from "../namespaces";
import type { Setting } from "../state/bookmarks";

const NOTIFY = "urn:xmpp:notification-settings:1";

/**
 * The setting in the extensions of a bookmark that holds for a phone: it is phones that are woken. XEP-0492 3: what is
 * said of phones goes before what is said of clients, and that before what is said of all.
 */
export function readSetting(extensions: Stanza): Setting | undefined {
    const notify = extensions.get_child("notify", NOTIFY);
    const tag = notify === undefined ? undefined : decisiveTag(notify);
    return tag === undefined || !isSetting(tag.name) ? undefined : tag.name;
}

function decisiveTag(notify: Stanza): Stanza | undefined {
    let decisive: Stanza | undefined;
    let rank = -1;
    for (const tag of notify.tags) {
        const rankOfTag = rankOf(tag);
        if (isSetting(tag.name) && rankOfTag > rank) {
            decisive = tag;
            rank = rankOfTag;
        }
    }
    return decisive;
}

/**
 * A copy of a bookmark's extensions with another setting: in the element that has held for a phone so far, whose
 * `<advanced/>` stays (XEP-0492 3), and in a fallback element where there is none. What is said of others stays, too.
 */
export function withSetting(extensions: Stanza | undefined, setting: Setting): Stanza {
    const edited = extensions === undefined ? st.stanza("extensions", { xmlns: BOOKMARKS }) : st.clone(extensions);
    let notify = edited.get_child("notify", NOTIFY);
    if (notify === undefined) {
        notify = st.stanza("notify", { xmlns: NOTIFY });
        edited.add_direct_child(notify);
    }
    const decisive = decisiveTag(notify);
    if (decisive !== undefined) {
        decisive.name = setting;
        dropTwins(notify, decisive);
    }
    if (!hasFallback(notify)) {
        notify.add_direct_child(st.stanza(setting, { xmlns: NOTIFY }));
    }
    return edited;
}

/** XEP-0492 3: no two elements have the same name and attributes. */
function dropTwins(notify: Stanza, kept: Stanza): void {
    notify.maptags((tag) => (tag !== kept && tag.name === kept.name && rankOf(tag) === rankOf(kept) ? undefined : tag));
}

function hasFallback(notify: Stanza): boolean {
    for (const tag of notify.tags) {
        if (isSetting(tag.name) && rankOf(tag) === 0) {
            return true;
        }
    }
    return false;
}

/** Whether a text is one of the three settings. */
export function isSetting(name: string): name is Setting {
    return name === "always" || name === "on-mention" || name === "never";
}

/** How closely an element is about phones; -1 if it is about something else. */
function rankOf(tag: Stanza): number {
    const category = tag.attr["identity-category"];
    const type = tag.attr["identity-type"];
    if (category === undefined) {
        return 0;
    }
    if (category !== "client" || (type !== undefined && type !== "phone")) {
        return -1;
    }
    return type === undefined ? 1 : 2;
}
