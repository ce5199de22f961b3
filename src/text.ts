// Stanzas as text, written once for all who get them.

import * as st from "util.stanza";

/**
 * What follows a stanza's name in XML, without `to`, and the same text for the same content: attributes stand in order of
 * their names, where `tostring` writes them in the order of a hash, which is another for every copy (util/stanza.lua,
 * _dostring).
 */
export function textOf(stanza: Stanza): string {
    if (stanza !== source || stanza.tags.length !== sourceTags) {
        const to = stanza.attr.to;
        stanza.attr.to = undefined;
        count = 0;
        writeRest(stanza, undefined);
        stanza.attr.to = to;
        source = stanza;
        sourceTags = stanza.tags.length;
        sourceText = table.concat(pieces, "", 1, count);
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

/** The pieces of the text, and the names of one element's attributes: lists kept, to leave no garbage for each stanza. */
const pieces: string[] = [];
let count = 0;
const names: string[] = [];

function put(piece: string): void {
    pieces[count] = piece;
    count = count + 1;
}

function write(element: Stanza, outerNamespace: string | undefined): void {
    put("<");
    put(element.name);
    writeRest(element, outerNamespace);
}

function writeRest(element: Stanza, outerNamespace: string | undefined): void {
    const attr = element.attr;
    writeAttributes(attr, outerNamespace);
    const children = element as unknown as (Stanza | string)[];
    if (children.length === 0) {
        put("/>");
        return;
    }
    put(">");
    for (const child of children) {
        if (typeof child === "string") {
            put(st.xml_escape(child));
        } else {
            write(child, attr.xmlns);
        }
    }
    put("</");
    put(element.name);
    put(">");
}

function writeAttributes(attr: Stanza["attr"], outerNamespace: string | undefined): void {
    let prefixes = 0;
    for (const i of $range(0, sortNames(attr) - 1)) {
        const name = names[i] ?? "";
        const value = attr[name] ?? "";
        if (string.match(name, SEPARATOR)[0] !== undefined) {
            prefixes = prefixes + 1;
            put(prefixedAttribute(name, value, prefixes));
        } else if (name !== "xmlns" || value !== outerNamespace) {
            put(" ");
            put(name);
            put("='");
            put(st.xml_escape(value));
            put("'");
        }
    }
}

/** Puts the names into `names`, in order, and says how many they are; an element has few. */
function sortNames(attr: Stanza["attr"]): number {
    let length = 0;
    for (const [key] of pairs(attr)) {
        const name = key as string;
        let at = length;
        while (at > 0 && (names[at - 1] ?? "") > name) {
            names[at] = names[at - 1] ?? "";
            at = at - 1;
        }
        names[at] = name;
        length = length + 1;
    }
    return length;
}

function prefixedAttribute(name: string, value: string, number: number): string {
    const [namespace, local] = string.match(name, `^(.-)${SEPARATOR}(.*)$`);
    const prefix = `ns${string.format("%d", number)}`;
    return ` xmlns:${prefix}='${st.xml_escape(namespace ?? "")}' ${prefix}:${local ?? ""}='${st.xml_escape(value)}'`;
}
