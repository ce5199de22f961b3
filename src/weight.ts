// How much work and memory a stanza costs. A kilobyte of XML may be one text or 250 elements, which take 80 kB.

/** What an element and an attribute of a parsed stanza occupy on Lua 5.4, in bytes, apart from their texts. */
const ELEMENT = 320;
const ATTRIBUTE = 64;

/** Elements within elements of a stanza that is handled at all. Prosody's own functions recurse as deep as a stanza is. */
const MAX_DEPTH = 100;

/** About the bytes of memory that a parsed stanza occupies; infinite where it is nested too deep. */
export function weightOf(stanza: Stanza): number {
    return weigh(stanza, 1);
}

function weigh(element: Stanza, depth: number): number {
    if (depth > MAX_DEPTH) {
        return math.huge;
    }
    let weight = ELEMENT;
    for (const [, value] of pairs(element.attr)) {
        weight = weight + ATTRIBUTE + string.len(value);
    }
    const children = element as unknown as (Stanza | string)[];
    for (const child of children) {
        weight = weight + (typeof child === "string" ? string.len(child) : weigh(child, depth + 1));
    }
    return weight;
}
