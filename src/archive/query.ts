// Answers queries of the account's archive (XEP-0313) that include rooms. mod_mam answers all others as before: clients
// treat unexpected messages of rooms as forged.

import * as datetime from "util.datetime";
import * as jids from "util.jid";
import * as rsm from "util.rsm";
import * as st from "util.stanza";
import { type Content, messageOf } from "../state/messages";
import { isWritingInSlices } from "./entries";
import { archiveOf, roomsRead } from "./read";
import { newQueues, type Step } from "../slices";
import { noteOver } from "../state/limits";
import { hasPersonalArchive, personalArchive } from "./personal";
import { DELAY, FORWARD, MAM } from "../namespaces";
import * as options from "../options";
import { queryForm, readRequest, readScope } from "./form";
import type { Archive, Item } from "./cursor";
import { type Page, startReading } from "./page";

/** The messages that a query asks for. */
interface Scope {
    readonly archives: Archive[];
    /** The only address that messages may have. Undefined: any address. */
    readonly address: string | undefined;
    readonly groupchat: boolean;
}

/** A query that is being answered. */
interface Query {
    readonly session: ClientSession;
    readonly stanza: Stanza;
    readonly id: string | undefined;
    readonly flipped: boolean;
}

/** The queries of one session are answered one after the other. */
const queries = newQueues();

/** `account-disco-info`: XEP-0313 7. Without mod_mam the account has no archive that could include groupchat. */
export function onAccountInfo(event: { readonly reply: Stanza }): undefined {
    if (hasPersonalArchive()) {
        event.reply.tag("feature", { var: `${MAM}#groupchat-field` }).up();
        event.reply.tag("feature", { var: `${MAM}#groupchat-available` }).up();
    }
}

/** `iq-get/self/urn:xmpp:mam:2:query`: returns the form (XEP-0313 4.1.5). */
export function onFormRequest(event: StanzaEvent<ClientSession>): Handled {
    const query = st.stanza("query", { xmlns: MAM }).add_child(queryForm());
    event.origin.send(st.reply(event.stanza).add_child(query));
    return true;
}

/** `iq-set/self/urn:xmpp:mam:2:query`: answers a query. */
export function onQuery(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const element = stanza.get_child("query", MAM);
    if (element === undefined) {
        return undefined;
    }
    const [isRead, scope] = scopeOf(session, element);
    if (!isRead) {
        session.send(st.error_reply(stanza, "wait", "internal-server-error"));
        return true;
    }
    if (scope === undefined) {
        return undefined;
    }
    const [request, refusal] = readRequest(element);
    if (request === undefined) {
        session.send(st.error_reply(stanza, "modify", refusal));
        return true;
    }
    if ((queries.pending.get(session.full_jid)?.count ?? 0) >= options.maxPendingIqs) {
        noteOver("minimix_max_pending_iqs", session.username, "its archive", "iq_limit");
        session.send(st.error_reply(stanza, "wait", "resource-constraint", "Too many requests are unanswered"));
        return true;
    }
    const reading = startReading(scope.archives, {
        wants: (content) => isInScope(scope, content),
        start: request.start,
        end: request.end,
        after: request.after,
        before: request.before,
        ids: request.ids,
        reverse: request.reverse,
        max: Math.min(request.max ?? options.maxArchivePage, options.maxArchivePage),
    });
    const query = { session, stanza: st.clone(stanza), id: element.attr.queryid, flipped: request.flipped };
    let sending: Step | undefined;
    queries.add(session.full_jid, () => {
        if (prosody.full_sessions.get(session.full_jid) !== session) {
            return true;
        }
        if (sending !== undefined) {
            return sending();
        }
        if (isWritingInSlices() || !reading.step()) {
            return false;
        }
        sending = reading.failed ? refuse(query) : sendPage(query, reading.page);
        return sending();
    });
    return true;
}

/** Undefined if mod_mam answers the query. The first value is false if storage failed. */
function scopeOf(session: ClientSession, query: Stanza): LuaMultiReturn<[ok: boolean, scope: Scope | undefined]> {
    const [jid, includeGroupchat] = readScope(query);
    const username = session.username;
    if (options.archive === "mam") {
        return $multi(true, scopeWithoutRooms(username, jid, includeGroupchat));
    }
    if (jid === undefined) {
        if (includeGroupchat === true && hasPersonalArchive()) {
            return scopeOfAll(session);
        }
        return $multi(true, undefined);
    }
    const room = jids.bare(jid);
    const [done, log] = archiveOf(username, room);
    // A query with an occupant JID asks for private messages.
    const groupchat = includeGroupchat ?? jid === room;
    if (log === undefined || !groupchat) {
        return $multi(done || !groupchat, undefined);
    }
    const archives = hasPersonalArchive() ? [personalArchive(username, room), log] : [log];
    return $multi(true, { archives, address: jid === room ? undefined : jid, groupchat });
}

function scopeOfAll(session: ClientSession): LuaMultiReturn<[ok: boolean, scope: Scope | undefined]> {
    // mod_offline does not send messages that the client reads here.
    session.mam_requested = true;
    const archives = [personalArchive(session.username, undefined)];
    const rooms = roomsRead(session.username);
    if (rooms === undefined) {
        return $multi(false, undefined);
    }
    if (rooms.length > options.maxQueryRooms) {
        noteOver("minimix_max_query_rooms", session.username, "its archive");
    }
    for (const i of $range(1, Math.min(rooms.length, options.maxQueryRooms))) {
        const room = rooms[i - 1] ?? "";
        const [, log] = archiveOf(session.username, room);
        if (log !== undefined) {
            archives.push(log);
        }
    }
    return $multi(true, { archives, address: undefined, groupchat: true });
}

/**
 * Returns the scope of a query without rooms. If mod_mam stores messages of rooms, they are left out unless the client
 * asks for them.
 */
function scopeWithoutRooms(
    username: string,
    jid: string | undefined,
    includeGroupchat: boolean | undefined,
): Scope | undefined {
    const groupchat = includeGroupchat ?? jid !== undefined;
    if (groupchat || !hasPersonalArchive()) {
        return undefined;
    }
    const room = jid === undefined ? undefined : jids.bare(jid);
    return {
        archives: [personalArchive(username, room)],
        address: jid === room ? undefined : jid,
        groupchat,
    };
}

function isInScope(scope: Scope, content: Content): boolean {
    if (scope.address === undefined && scope.groupchat) {
        return true;
    }
    const message = messageOf(content);
    const isBetween =
        scope.address === undefined || message.attr.from === scope.address || message.attr.to === scope.address;
    return isBetween && (scope.groupchat || message.attr.type !== "groupchat");
}

/** Refuses the query: storage failed, so the content is unknown. */
function refuse({ session, stanza }: Query): Step {
    return () => {
        session.send(st.error_reply(stanza, "wait", "internal-server-error"));
        return true;
    };
}

/** Sends the items of a page one by one, and then the end of it. */
function sendPage({ session, stanza, id, flipped }: Query, page: Page | undefined): Step {
    let sent = 0;
    return () => {
        if (page === undefined) {
            session.send(st.error_reply(stanza, "cancel", "item-not-found"));
            return true;
        }
        // Flipping changes the order of sending, not the page (XEP-0313 4.3.4).
        const item = page.items[flipped ? page.items.length - 1 - sent : sent];
        if (item !== undefined) {
            sent = sent + 1;
            session.send(result(session, id, item));
            return false;
        }
        session.send(st.reply(stanza).add_child(endOf(page)));
        return true;
    };
}

/** Returns the end of a page (XEP-0313 4.2). */
function endOf(page: Page): Stanza {
    const fin = st.stanza("fin", { xmlns: MAM, complete: page.complete ? "true" : undefined });
    const set = rsm.generate({
        first: page.items[0]?.id,
        last: page.items[page.items.length - 1]?.id,
        count: page.count,
    });
    return fin.add_child(set);
}

function result(session: ClientSession, queryId: string | undefined, item: Item): Stanza {
    const message = st.clone(messageOf(item.content));
    message.attr.xmlns = "jabber:client";
    return st
        .message({ from: jids.bare(session.full_jid), to: session.full_jid })
        .tag("result", { xmlns: MAM, queryid: queryId, id: item.id })
        .tag("forwarded", { xmlns: FORWARD })
        .tag("delay", { xmlns: DELAY, stamp: datetime.datetime(item.stamp) })
        .up()
        .add_child(message)
        .reset();
}
