// IQs of the account's own to its rooms.

import * as id from "util.id";
import * as st from "util.stanza";
import { after, post } from "../turn";
import { type Membership, triesOf } from "../state/memberships";

/** The answer, result or error; undefined when none came in time. */
type Answered = (this: void, answer: Stanza | undefined) => void;

interface Question {
    readonly room: string;
    readonly answered: Answered;
    readonly timer: Timer;
}

/** Seconds until a question counts as unanswered. */
const PATIENCE = 30;

/** The same of a question that is asked again, the first time. */
const FIRST_PATIENCE = 5;

/**
 * Seconds to wait for the answer to what will be asked again. A server that could not reach ours a moment ago drops its
 * answers for a while (ejabberd_s2s_out.erl, "bouncing for …"), and answers when it is asked after that.
 */
export function patience(membership: Membership): number {
    return Math.min(FIRST_PATIENCE * 2 ** Math.min(triesOf(membership) + membership.liveness.unanswered, 10), PATIENCE);
}

/** By the id they were sent with. */
const questions = new LuaMap<string, Question>();

/** Sends an IQ from the occupant JID to the room or one of its occupants; calls back once, after 30 s at the latest. */
export function ask(
    membership: Pick<Membership, "occupant" | "room">,
    to: string,
    type: "get" | "set",
    query: Stanza,
    answered: Answered,
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

/** Whether an IQ's id is of those that this module gives; the answer to one that nobody waits for comes too late. */
export function isOwnId(key: string | undefined): boolean {
    return key !== undefined && string.sub(key, 1, 3) === "mm-";
}

/** Takes the answer to a question of the account's own; whether it was one. */
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
