// Stanzas as text, written once for all who get them.

import * as st from "util.stanza";

/**
 * A stanza as XML without `to`, and the same text for the same content: attributes stand in order of their names, where
 * `tostring` writes them in the order of a hash, which is another for every copy (util/stanza.lua, _dostring).
 */
export function textOf(stanza: Stanza): string {
    if (stanza !== source || stanza.tags.length !== sourceTags) {
        const parts: string[] = [];
        const to = stanza.attr.to;
        stanza.attr.to = undefined;
        write(stanza, parts, undefined);
        stanza.attr.to = to;
        source = stanza;
        sourceTags = stanza.tags.length;
        sourceText = table.concat(parts);
    }
    return sourceText;
}

/**
 * The stanza written last and its text. A room of this server hands the same table to all accounts; the reference keeps
 * its address from being given to another table meanwhile.
 */
let source: Stanza | undefined;
let sourceTags = 0;
let sourceText = "";

/** Between the namespace and the name of an attribute, as Prosody's parser keeps it (util/xmppstream.lua). */
const SEPARATOR = string.char(1);

/** The names of one element's attributes: a list kept, as there is one for each element of each stanza. */
const names: string[] = [];

function write(element: Stanza, parts: string[], outerNamespace: string | undefined): void {
    const attr = element.attr;
    parts[parts.length] = "<";
    parts[parts.length] = element.name;
    writeAttributes(attr, parts, outerNamespace);
    const children = element as unknown as (Stanza | string)[];
    if (children.length === 0) {
        parts[parts.length] = "/>";
        return;
    }
    parts[parts.length] = ">";
    for (const child of children) {
        if (typeof child === "string") {
            parts[parts.length] = st.xml_escape(child);
        } else {
            write(child, parts, attr.xmlns);
        }
    }
    parts[parts.length] = "</";
    parts[parts.length] = element.name;
    parts[parts.length] = ">";
}

function writeAttributes(attr: Stanza["attr"], parts: string[], outerNamespace: string | undefined): void {
    const count = sortNames(attr);
    let prefixes = 0;
    for (const i of $range(0, count - 1)) {
        const name = names[i] ?? "";
        const value = attr[name] ?? "";
        if (string.match(name, SEPARATOR)[0] !== undefined) {
            prefixes = prefixes + 1;
            parts[parts.length] = prefixedAttribute(name, value, prefixes);
        } else if (name !== "xmlns" || value !== outerNamespace) {
            parts[parts.length] = ` ${name}='${st.xml_escape(value)}'`;
        }
    }
}

/** Puts the names into `names`, in order, and says how many they are; an element has few. */
function sortNames(attr: Stanza["attr"]): number {
    let count = 0;
    for (const [key] of pairs(attr)) {
        const name = key as string;
        let at = count;
        while (at > 0 && (names[at - 1] ?? "") > name) {
            names[at] = names[at - 1] ?? "";
            at = at - 1;
        }
        names[at] = name;
        count = count + 1;
    }
    return count;
}

function prefixedAttribute(name: string, value: string, number: number): string {
    const [namespace, local] = string.match(name, `^(.-)${SEPARATOR}(.*)$`);
    const prefix = `ns${string.format("%d", number)}`;
    return ` xmlns:${prefix}='${st.xml_escape(namespace ?? "")}' ${prefix}:${local ?? ""}='${st.xml_escape(value)}'`;
}
