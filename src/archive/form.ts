// Parses queries of an archive: the form and the page of XEP-0313 4.

import * as datetime from "util.datetime";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { DATAFORM, MAM, RSM } from "../namespaces";

export interface ArchiveRequest {
    /** A bare or full JID after preparation. */
    readonly with: string | undefined;
    readonly includeGroupchat: boolean | undefined;
    readonly start: number | undefined;
    readonly end: number | undefined;
    readonly after: string | undefined;
    readonly before: string | undefined;
    readonly ids: string[] | undefined;
    readonly reverse: boolean;
    readonly flipped: boolean;
    readonly max: number | undefined;
}

/** Error conditions (RFC 6120 8.3.3). */
type Refusal = "bad-request" | "feature-not-implemented" | "policy-violation";

interface Field {
    readonly name: string;
    readonly type: string;
}

/** Fields in the order of XEP-0313 4.1.5. */
const fields: Field[] = [
    { name: "with", type: "jid-single" },
    { name: "start", type: "text-single" },
    { name: "end", type: "text-single" },
    { name: "before-id", type: "text-single" },
    { name: "after-id", type: "text-single" },
    { name: "ids", type: "list-multi" },
    { name: "include-groupchat", type: "boolean" },
];

/** Largest number of ids in one query. */
const MAX_IDS = 500;

/** Returns the form that shows clients the possible fields. */
export function queryForm(): Stanza {
    const form = st.stanza("x", { xmlns: DATAFORM, type: "form" });
    form.tag("field", { var: "FORM_TYPE", type: "hidden" }).tag("value").text(MAM).up().up();
    for (const field of fields) {
        form.tag("field", { var: field.name, type: field.type });
        if (field.name === "ids") {
            form.tag("validate", { xmlns: "http://jabber.org/protocol/xdata-validate", datatype: "xs:string" });
            form.tag("open").up().up();
        }
        form.up();
    }
    return form;
}

/** Returns the JID of a query and whether it includes groupchat. This is enough to tell whether mod_mam answers it. */
export function readScope(query: Stanza): LuaMultiReturn<[string | undefined, boolean | undefined]> {
    const form = query.get_child("x", DATAFORM);
    const jid = form === undefined ? undefined : jids.prep(valueOf(form, "with") ?? "");
    return $multi(jid, form === undefined ? undefined : parseBoolean(valueOf(form, "include-groupchat")));
}

/** Parses a query. Returns the error if it cannot be answered. */
export function readRequest(query: Stanza): LuaMultiReturn<[ArchiveRequest] | [undefined, Refusal]> {
    const form = query.get_child("x", DATAFORM) ?? st.stanza("x");
    const refusal = checkForm(form);
    if (refusal !== undefined) {
        return $multi(undefined, refusal);
    }
    const set = query.get_child("set", RSM) ?? st.stanza("set");
    const max = tonumber(set.get_child_text("max"));
    if (set.get_child("max") !== undefined && (max === undefined || max < 0 || max !== math.floor(max))) {
        return $multi(undefined, "bad-request");
    }
    if (set.get_child("index") !== undefined) {
        // XEP-0059 2.6, the error for paging by index.
        return $multi(undefined, "feature-not-implemented");
    }
    const [jid, includeGroupchat] = readScope(query);
    return $multi({
        with: jid,
        includeGroupchat,
        start: parseTime(form, "start"),
        end: parseTime(form, "end"),
        after: text(set.get_child_text("after")) ?? valueOf(form, "after-id"),
        before: text(set.get_child_text("before")) ?? valueOf(form, "before-id"),
        ids: valuesOf(form, "ids"),
        reverse: set.get_child("before") !== undefined,
        flipped: query.get_child("flip-page") !== undefined,
        max,
    });
}

function checkForm(form: Stanza): Refusal | undefined {
    for (const field of form.tags) {
        const name = field.attr.var;
        if (field.name === "field" && name !== "FORM_TYPE" && !isKnown(name)) {
            return "feature-not-implemented";
        }
    }
    for (const name of ["start", "end"]) {
        if (valueOf(form, name) !== undefined && parseTime(form, name) === undefined) {
            return "bad-request";
        }
    }
    const ids = valuesOf(form, "ids");
    return ids !== undefined && ids.length > MAX_IDS ? "policy-violation" : undefined;
}

function isKnown(name: string | undefined): boolean {
    for (const field of fields) {
        if (field.name === name) {
            return true;
        }
    }
    return false;
}

function parseTime(form: Stanza, name: string): number | undefined {
    const value = valueOf(form, name);
    return value === undefined ? undefined : datetime.parse(value);
}

function parseBoolean(value: string | undefined): boolean | undefined {
    if (value === undefined) {
        return undefined;
    }
    return value === "true" || value === "1";
}

function valueOf(form: Stanza, name: string): string | undefined {
    const values = valuesOf(form, name);
    return values === undefined ? undefined : values[0];
}

/** Undefined if the form does not have the field. */
function valuesOf(form: Stanza, name: string): string[] | undefined {
    const field = form.get_child_with_attr("field", undefined, "var", name);
    if (field === undefined) {
        return undefined;
    }
    const values: string[] = [];
    for (const tag of field.tags) {
        const value = tag.name === "value" ? text(tag.get_text()) : undefined;
        if (value !== undefined) {
            values.push(value);
        }
    }
    return values.length === 0 ? undefined : values;
}

function text(value: string | undefined): string | undefined {
    return value === "" ? undefined : value;
}
