// What an account wants to be woken for (XEP-0492).

export type Setting = "always" | "on-mention" | "never";

const NOTIFY = "urn:xmpp:notification-settings:1";

/**
 * The setting in the extensions of a bookmark that holds for a phone: it is phones that are woken. XEP-0492 3: what is
 * said of phones goes before what is said of clients, and that before what is said of all.
 */
export function readSetting(extensions: Stanza): Setting | undefined {
    const notify = extensions.get_child("notify", NOTIFY);
    let setting: Setting | undefined;
    let rank = -1;
    for (const tag of notify === undefined ? [] : notify.tags) {
        const rankOfTag = rankOf(tag);
        if (isSetting(tag.name) && rankOfTag > rank) {
            setting = tag.name;
            rank = rankOfTag;
        }
    }
    return setting;
}

function isSetting(name: string): name is Setting {
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
