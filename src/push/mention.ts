// Tells which messages mention the account.

import * as jids from "util.jid";
import { type Membership } from "../state/memberships";

const EME = "urn:xmpp:eme:0";
const OMEMO = "eu.siacs.conversations.axolotl";
const REFERENCE = "urn:xmpp:reference:0";
const REPLY = "urn:xmpp:reply:0";

/** Whether a stanza has content for a person. Subjects, markers and reactions do not trigger a push. */
export function isNotable(stanza: Stanza): boolean {
    return stanza.name === "message" && (isEncrypted(stanza) || (stanza.get_child_text("body") ?? "") !== "");
}

/**
 * Whether a message mentions the account: by nick, by reference (XEP-0372), or as a reply (XEP-0461). An encrypted
 * message may mention it.
 */
export function isMention(membership: Membership, stanza: Stanza): boolean {
    return (
        isEncrypted(stanza) ||
        isReply(membership, stanza) ||
        isReferred(membership, stanza) ||
        hasWord(stanza.get_child_text("body") ?? "", membership.nick)
    );
}

function isEncrypted(stanza: Stanza): boolean {
    return stanza.get_child("encryption", EME) !== undefined || stanza.get_child("encrypted", OMEMO) !== undefined;
}

function isReply(membership: Membership, stanza: Stanza): boolean {
    const reply = stanza.get_child("reply", REPLY);
    return reply !== undefined && isAccount(membership, reply.attr.to ?? "");
}

function isReferred(membership: Membership, stanza: Stanza): boolean {
    for (const tag of stanza.tags) {
        const uri = tag.name === "reference" && tag.attr.xmlns === REFERENCE ? tag.attr.uri : undefined;
        if (uri !== undefined && tag.attr.type === "mention" && isAccount(membership, jidOf(uri))) {
            return true;
        }
    }
    return false;
}

/** Whether a JID is the account's own bare JID, or its occupant in the room. */
function isAccount(membership: Membership, jid: string): boolean {
    return jid === `${membership.room}/${membership.nick}` || jids.bare(jid) === jids.bare(membership.occupant);
}

/** Returns the JID of an `xmpp:` URI (RFC 5122 2.2). Some characters are written as %XX. */
function jidOf(uri: string): string {
    const [path] = string.match(uri, "^xmpp:([^?#]*)");
    const [jid] = string.gsub(path ?? "", "%%(%x%x)", (hex) => string.char(tonumber(hex, 16) ?? 0));
    return jid;
}

/** Whether a text contains the nick as a whole word. Case is ignored. */
function hasWord(body: string, nick: string): boolean {
    const text = string.lower(body);
    const word = string.lower(nick);
    let at = find(text, word, 1);
    while (at !== undefined) {
        if (!isLetter(text, at - 1) && !isLetter(text, at + string.len(word))) {
            return true;
        }
        at = find(text, word, at + 1);
    }
    return false;
}

function find(text: string, word: string, from: number): number | undefined {
    const [at] = string.find(text, word, from, true);
    return at;
}

/** Whether a character is a letter, a digit, or beyond ASCII. */
function isLetter(text: string, at: number): boolean {
    const letter = string.sub(text, at, at);
    return at > 0 && letter !== "" && (string.byte(letter) >= 128 || string.match(letter, "%w")[0] !== undefined);
}
