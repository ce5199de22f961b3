// Sends IQs of the account itself to its rooms.

import * as id from "util.id";
import * as st from "util.stanza";
import { after, post } from "../turn";
import { type Membership, triesOf, unansweredOf } from "../state/memberships";

/** Receives the answer, a result or an error. Undefined after a timeout. */
type OnAnswer = (this: void, answer: Stanza | undefined) => void;

interface Question {
    readonly room: string;
    readonly answered: OnAnswer;
    readonly timer: Timer;
}

/** Timeout of a question, in seconds. */
const PATIENCE = 30;

/** Timeout of a question that will be repeated, at the first attempt, in seconds. */
const FIRST_PATIENCE = 5;

/**
 * Returns the timeout of a question that will be repeated, in seconds.
 *
 * A server that could not reach ours drops answers for a while (ejabberd_s2s_out.erl, "bouncing for …"). It answers a
 * later question.
 */
export function patience(membership: Membership): number {
    return Math.min(FIRST_PATIENCE * 2 ** Math.min(triesOf(membership) + unansweredOf(membership), 10), PATIENCE);
}

/** Open questions by id. */
const questions = new LuaMap<string, Question>();

/** Sends an IQ from the occupant JID to the room or to an occupant. Calls back once, at the latest after 30 s. */
export function ask(
    membership: Pick<Membership, "occupant" | "room">,
    to: string,
    type: "get" | "set",
    query: Stanza,
    answered: OnAnswer,
    limit = PATIENCE,
): void {
    const key = `mm-${id.medium()}`;
    const timer = after(limit, () => {
        questions.delete(key);
        answered(undefined);
    });
    questions.set(key, { room: membership.room, answered, timer });
    post(st.iq({ type, id: key, from: membership.occupant, to }).add_child(query).reset());
}

/** Whether the module created an IQ's id. Such an answer without an open question came too late. */
export function isOwnId(key: string | undefined): boolean {
    return key !== undefined && string.sub(key, 1, 3) === "mm-";
}

/** Passes an answer to the question it belongs to. Returns whether there is such a question. */
export function takeAnswer(room: string, stanza: Stanza): boolean {
    const key = stanza.attr.id;
    const question = key === undefined ? undefined : questions.get(key);
    if (key === undefined || question?.room !== room) {
        return false;
    }
    questions.delete(key);
    question.timer.stop();
    question.answered(stanza);
    return true;
}
