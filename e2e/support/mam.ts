// A client's queries of an archive (XEP-0313).
import { type Client, type Element, StanzaError, xml } from "./client.ts";

const nsMam = "urn:xmpp:mam:2";
const nsRsm = "http://jabber.org/protocol/rsm";
const nsForward = "urn:xmpp:forward:0";

export interface ArchiveQuery {
    /** Fields of the form: with, start, end, before-id, after-id, ids, include-groupchat. */
    form?: Record<string, string | string[]>;
    /** Fields of the page (XEP-0059). `before: ""` requests the last page. */
    max?: number;
    before?: string;
    after?: string;
    flip?: boolean;
}

export interface Archived {
    id: string;
    stamp: string;
    /** The message itself. */
    message: Element;
    /** The stanza that contained it. */
    result: Element;
}

export interface ArchivePage {
    messages: Archived[];
    complete: boolean;
    first: string | undefined;
    last: string | undefined;
    count: string | undefined;
}

/** Queries a page of the account's own archive. Rejects with a StanzaError. */
export async function queryArchive(client: Client, query: ArchiveQuery): Promise<ArchivePage> {
    const { form = {}, max, before, after, flip = false } = query;
    const id = client.newId();
    const since = client.received.length;
    const element = xml(
        "query",
        { xmlns: nsMam, queryid: id },
        xml("x", { xmlns: "jabber:x:data", type: "submit" }, ...formFields({ FORM_TYPE: nsMam, ...form })),
        xml(
            "set",
            { xmlns: nsRsm },
            max !== undefined && xml("max", {}, String(max)),
            before !== undefined && xml("before", {}, before),
            after !== undefined && xml("after", {}, after),
        ),
        flip && xml("flip-page"),
    );
    await client.send(xml("iq", { type: "set", id }, element));
    const stanzas = await client.collect(
        (stanza) => stanza.getChild("result", nsMam)?.attrs.queryid === id,
        ({ name, attrs }) => name === "iq" && attrs.id === id,
        { since, what: "the answer of the archive", timeout: 20_000 },
    );
    const answer = stanzas.pop();
    const fin = answer?.getChild("fin", nsMam);
    if (answer === undefined || fin === undefined) {
        throw answer === undefined ? new Error("no answer of the archive") : new StanzaError(answer);
    }
    const set = fin.getChild("set", nsRsm);
    return {
        messages: stanzas.map(archived),
        complete: fin.attrs.complete === "true",
        first: set?.getChildText("first") ?? undefined,
        last: set?.getChildText("last") ?? undefined,
        count: set?.getChildText("count") ?? undefined,
    };
}

/** Reads all pages, from the first or from the last. Returns the messages, oldest first. */
export async function readArchive(client: Client, query: ArchiveQuery, backwards = false): Promise<Archived[]> {
    const all: Archived[] = [];
    let position: Pick<ArchiveQuery, "before" | "after"> = backwards ? { before: "" } : {};
    for (;;) {
        const page = await queryArchive(client, { ...query, ...position });
        all.splice(backwards ? 0 : all.length, 0, ...page.messages);
        if (page.complete) {
            return all;
        }
        position = backwards ? { before: page.first ?? "" } : { after: page.last ?? "" };
    }
}

export function bodiesOf(messages: Archived[]): (string | null)[] {
    return messages.map(({ message }) => message.getChildText("body"));
}

function formFields(form: Record<string, string | string[]>): Element[] {
    return Object.entries(form).map(([name, value]) =>
        xml("field", { var: name }, ...[value].flat().map((text) => xml("value", {}, text))),
    );
}

function archived(stanza: Element): Archived {
    const result = stanza.getChild("result", nsMam);
    const forwarded = result?.getChild("forwarded", nsForward);
    const message = forwarded?.getChild("message", "jabber:client");
    if (result === undefined || message === undefined) {
        throw new Error(`not a result: ${stanza.toString()}`);
    }
    return {
        id: result.attrs.id ?? "",
        stamp: forwarded?.getChild("delay", "urn:xmpp:delay")?.attrs.stamp ?? "",
        message,
        result: stanza,
    };
}
