// Queries of the account's archive (XEP-0313) that go for what was said in rooms. mod_mam answers all others, as it did
// before: clients take messages of rooms for forged where they do not expect them.

import * as datetime from "util.datetime";
import * as jids from "util.jid";
import * as rsm from "util.rsm";
import * as st from "util.stanza";
import { archiveOf, roomsRead } from "./read";
import { hasPersonalArchive, personalArchive } from "./personal";
import { DELAY, FORWARD, MAM } from "../namespaces";
import * as options from "../options";
import { type ArchiveRequest, queryForm, readRequest, readScope } from "./form";
import { type Archive, type Item, type Page, readPage } from "./page";

/** What a query is about. */
interface Scope {
    readonly archives: Archive[];
    /** The only address that messages may have; undefined for any. */
    readonly address: string | undefined;
    readonly groupchat: boolean;
}

/** `account-disco-info`: XEP-0313 7. Without mod_mam there is no archive to include anything in. */
export function onAccountInfo(event: { readonly reply: Stanza }): undefined {
    if (hasPersonalArchive()) {
        event.reply.tag("feature", { var: `${MAM}#groupchat-field` }).up();
        event.reply.tag("feature", { var: `${MAM}#groupchat-available` }).up();
    }
}

/** `iq-get/self/urn:xmpp:mam:2:query`: XEP-0313 4.1.5. */
export function onFormRequest(event: StanzaEvent<ClientSession>): Handled {
    const query = st.stanza("query", { xmlns: MAM }).add_child(queryForm());
    event.origin.send(st.reply(event.stanza).add_child(query));
    return true;
}

/** `iq-set/self/urn:xmpp:mam:2:query`. */
export function onQuery(event: StanzaEvent<ClientSession>): Handled {
    const session = event.origin;
    const stanza = event.stanza;
    const query = stanza.get_child("query", MAM);
    if (query === undefined) {
        return undefined;
    }
    const [isRead, scope] = scopeOf(session, query);
    if (!isRead) {
        session.send(st.error_reply(stanza, "wait", "internal-server-error"));
        return true;
    }
    if (scope === undefined) {
        return undefined;
    }
    const [request, refusal] = readRequest(query);
    if (request === undefined) {
        session.send(st.error_reply(stanza, "modify", refusal));
        return true;
    }
    const [done, page] = readPage(scope.archives, {
        wants: (message) => isWanted(scope, message),
        start: request.start,
        end: request.end,
        after: request.after,
        before: request.before,
        ids: request.ids,
        reverse: request.reverse,
        max: Math.min(request.max ?? options.maxArchivePage, options.maxArchivePage),
    });
    if (!done) {
        session.send(st.error_reply(stanza, "wait", "internal-server-error"));
    } else if (page === undefined) {
        session.send(st.error_reply(stanza, "cancel", "item-not-found"));
    } else {
        sendPage(session, stanza, query.attr.queryid, request, page);
    }
    return true;
}

/** Undefined if the query is mod_mam's; the first value is false if storage failed. */
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
    // A client that asks for an occupant wants their private messages.
    const groupchat = includeGroupchat ?? jid === room;
    if (log === undefined || !groupchat) {
        return $multi(done || !groupchat, undefined);
    }
    const archives = hasPersonalArchive() ? [personalArchive(username, room), log] : [log];
    return $multi(true, { archives, address: jid === room ? undefined : jid, groupchat });
}

function scopeOfAll(session: ClientSession): LuaMultiReturn<[ok: boolean, scope: Scope | undefined]> {
    // mod_offline need not send what the client gets from here.
    session.mam_requested = true;
    const archives = [personalArchive(session.username, undefined)];
    const rooms = roomsRead(session.username);
    if (rooms === undefined) {
        return $multi(false, undefined);
    }
    for (const room of rooms) {
        const [, log] = archiveOf(session.username, room);
        if (log !== undefined) {
            archives.push(log);
        }
    }
    return $multi(true, { archives, address: undefined, groupchat: true });
}

/** Where mod_mam keeps what was said in rooms, it is to be left out of what a client gets that does not ask for it. */
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

function isWanted(scope: Scope, message: Stanza): boolean {
    const isBetween =
        scope.address === undefined || message.attr.from === scope.address || message.attr.to === scope.address;
    return isBetween && (scope.groupchat || message.attr.type !== "groupchat");
}

/** XEP-0313 4.2, 4.3.4: flipping turns the order of sending, not the page. */
function sendPage(
    session: ClientSession,
    stanza: Stanza,
    queryId: string | undefined,
    request: ArchiveRequest,
    page: Page,
): void {
    const items = page.items;
    const count = items.length;
    for (const i of $range(1, count)) {
        const item = items[request.flipped ? count - i : i - 1];
        if (item !== undefined) {
            session.send(result(session, queryId, item));
        }
    }
    const first = items[0];
    const last = items[count - 1];
    const fin = st.stanza("fin", { xmlns: MAM, complete: page.complete ? "true" : undefined });
    const set = rsm.generate({
        first: first?.id,
        last: last?.id,
        count: page.count,
    });
    session.send(st.reply(stanza).add_child(fin.add_child(set)));
}

function result(session: ClientSession, queryId: string | undefined, item: Item): Stanza {
    const message = st.clone(item.stanza);
    message.attr.xmlns = "jabber:client";
    return st
        .message({ from: jids.bare(session.full_jid), to: session.full_jid })
        .tag("result", { xmlns: MAM, queryid: queryId, id: item.id })
        .tag("forwarded", { xmlns: FORWARD })
        .tag("delay", { xmlns: DELAY, stamp: datetime.datetime(item.when) })
        .up()
        .add_child(message)
        .reset();
}
