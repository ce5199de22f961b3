// Whether a stanza matches the stanza of a script.
import type { Element } from "../client.ts";

const strictness = "scansion:strict";
/** An attribute with any value. */
const anyValue = /^\{scansion:(any|capture:.*)\}$/;

/** Attributes and children may be in any order. There may be more of them, unless the script is strict here. */
export function matchesScript(expected: Element, received: Element, isStrictAbove = false): boolean {
    const strict = expected.attrs[strictness];
    const isStrict = strict === undefined ? isStrictAbove : strict === "true";
    return (
        expected.name === received.name &&
        expected.getNS() === received.getNS() &&
        haveSameAttributes(expected, received, isStrict) &&
        [textOf(received), ...(isStrict ? [] : [""])].includes(textOf(expected)) &&
        haveSameChildren(expected.getChildElements(), received.getChildElements(), isStrict)
    );
}

function haveSameAttributes(expected: Element, received: Element, isStrict: boolean): boolean {
    const names = attributesOf(expected).filter((name) => name !== strictness);
    const isSame = (name: string) => {
        const wanted = expected.attrs[name] ?? "";
        const value = received.attrs[name];
        return value === wanted || (value !== undefined && anyValue.test(wanted));
    };
    return names.every(isSame) && (!isStrict || attributesOf(received).every((name) => names.includes(name)));
}

function haveSameChildren(expected: Element[], received: Element[], isStrict: boolean): boolean {
    const rest = [...received];
    for (const child of expected) {
        const index = rest.findIndex((candidate) => matchesScript(child, candidate, isStrict));
        if (index < 0) {
            return false;
        }
        rest.splice(index, 1);
    }
    return !isStrict || rest.length === 0;
}

function attributesOf({ attrs }: Element): string[] {
    return Object.keys(attrs).filter((name) => name !== "xmlns" && !name.startsWith("xmlns:") && name !== "xml:lang");
}

/** Without the white space around elements. */
function textOf(element: Element): string {
    return element.children
        .filter((child) => typeof child === "string")
        .join("")
        .trim();
}
