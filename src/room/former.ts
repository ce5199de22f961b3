// Drops stanzas of rooms to addresses that accounts no longer use (state/former.ts). mod_presence would deliver
// presence to all sessions, and mod_message would answer groupchat with an error.

import * as jids from "util.jid";
import { MUC_USER, Status } from "../namespaces";
import { takeAnswer } from "../send/ask";
import { confirmLeft } from "../send/former";
import { findFormerOccupant, type FormerOccupant } from "../state/former";
import { splitOccupant } from "../stanzas";

/** `presence/bare` and `presence/full`. */
export function onFormerPresence(event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const type = stanza.attr.type;
    const former = formerOf(stanza);
    if (former === undefined || (type !== undefined && type !== "unavailable" && type !== "error")) {
        return undefined;
    }
    const [, nick] = splitOccupant(stanza.attr.from ?? "");
    if (type === "unavailable" && nick === former.nick && !isNickChange(stanza)) {
        confirmLeft(former);
    }
    return true;
}

function isNickChange(stanza: Stanza): boolean {
    const x = stanza.get_child("x", MUC_USER);
    return x?.get_child_with_attr("status", undefined, "code", Status.NickChange) !== undefined;
}

/** `message/bare` and `message/full`. Invitations and private messages still go to the account. */
export function onFormerMessage(event: StanzaEvent<Origin>): Handled {
    const type = event.stanza.attr.type;
    return (type === "groupchat" || type === "error") && formerOf(event.stanza) !== undefined ? true : undefined;
}

/** `iq/bare` and `iq/full`: answers to self-pings from the former address. */
export function onFormerIq(event: StanzaEvent<Origin>): Handled {
    const stanza = event.stanza;
    const isAnswer = stanza.attr.type === "result" || stanza.attr.type === "error";
    return isAnswer && takeAnswer(jids.bare(stanza.attr.from ?? ""), stanza) ? true : undefined;
}

function formerOf(stanza: Stanza): FormerOccupant | undefined {
    const [room] = splitOccupant(stanza.attr.from ?? "");
    return findFormerOccupant(stanza.attr.to ?? "", room);
}
