// Work and memory that a stanza costs. A kilobyte of XML may be one text or 250 elements, which take 80 kB.

/** Bytes of an element and of an attribute in a parsed stanza on Lua 5.4, without their texts. */
const ELEMENT = 320;
const ATTRIBUTE = 64;

/** Deepest nesting of elements in an accepted stanza. Prosody's own functions recurse to this depth. */
const MAX_DEPTH = 100;

/** Returns the approximate bytes of a parsed stanza. Infinite if it is nested too deep. */
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
