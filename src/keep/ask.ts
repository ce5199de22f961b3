// IQs of the account's own to its rooms.

import * as id from "util.id";
import * as st from "util.stanza";
import type { Membership } from "../state/memberships";

/** The answer, result or error; undefined when none came in time. */
type Answered = (this: void, answer: Stanza | undefined) => void;

interface Question {
    readonly room: string;
    readonly answered: Answered;
    readonly timer: Timer;
}

/** Seconds until a question counts as unanswered. */
const PATIENCE = 30;

/** By the id they were sent with. */
const questions = new LuaMap<string, Question>();

/** Sends an IQ from the occupant JID to the room or one of its occupants; calls back once, after 30 s at the latest. */
export function ask(membership: Membership, to: string, type: "get" | "set", query: Stanza, answered: Answered): void {
    const key = `mm-${id.medium()}`;
    const timer = module.add_timer(PATIENCE, () => {
        questions.delete(key);
        answered(undefined);
        return undefined;
    });
    questions.set(key, { room: membership.room, answered, timer });
    module.send(st.iq({ type, id: key, from: membership.occupant, to }).add_child(query).reset());
}

/** Takes the answer to a question of the account's own; whether it was one. */
export function takeAnswer(room: string, stanza: Stanza): boolean {
    const key = stanza.attr.id;
    const question = key === undefined ? undefined : questions.get(key);
    if (key === undefined || question === undefined || question.room !== room) {
        return false;
    }
    questions.delete(key);
    question.timer.stop();
    question.answered(stanza);
    return true;
}
