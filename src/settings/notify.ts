// Reads and writes notification settings in bookmarks (XEP-0492).

import * as st from "util.stanza";
import { BOOKMARKS } from "../namespaces";
import type { Setting } from "../state/bookmarks";

const NOTIFY = "urn:xmpp:notification-settings:1";

/** Largest number of extensions, and of settings, that are read. */
const MAX_CHILDREN = 64;

/**
 * Reads the setting for phones, because pushes go to phones. A setting for phones precedes one for clients, and that
 * one precedes a general setting (XEP-0492 3).
 */
export function readSetting(extensions: Stanza): Setting | undefined {
    const isTooMuch = extensions.tags.length > MAX_CHILDREN;
    const notify = isTooMuch ? undefined : extensions.get_child("notify", NOTIFY);
    const tag = notify === undefined || notify.tags.length > MAX_CHILDREN ? undefined : decisiveTag(notify);
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
 * Returns a copy of a bookmark's extensions with another setting for phones.
 *
 * The element that has applied to phones is changed, and its `<advanced/>` is kept (XEP-0492 3). Without such an
 * element a general one is added. Settings for other kinds of clients are kept.
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

/** Removes elements with the name and attributes of `kept`: XEP-0492 3 allows no duplicates. */
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

/** Ranks how specific a setting is for phones. -1 means that it does not apply to phones. */
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
