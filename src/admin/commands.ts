// Ad-hoc commands (XEP-0050) on the host's JID. Admins act on all accounts, users on their own.

import * as adhoc from "util.adhoc";
import type { Answer, Handler, InitialValues, Request } from "util.adhoc";
import * as dataforms from "util.dataforms";
import type { Field, Fields, Form, Layout } from "util.dataforms";
import * as jids from "util.jid";
import { MINIMIX } from "../namespaces";
import {
    accountsIn,
    leaveRoom,
    notifyOf,
    type CommandResult,
    rejoinRoom,
    renameIn,
    roomNamesOf,
    roomsOf,
    totals,
    unknownAccounts,
    unknownRooms,
} from "./directory";

function form(title: string, instructions: string, fields: Field[]): Form {
    const layout = fields as Layout;
    layout.title = title;
    layout.instructions = instructions === "" ? undefined : instructions;
    table.insert(layout, 1, { name: "FORM_TYPE", type: "hidden", value: `${MINIMIX}#command` });
    return dataforms.new(layout);
}

const anyAccount: Field = { name: "account", type: "jid-single", label: "Account", required: true };
const anyRoom: Field = { name: "room", type: "jid-single", label: "Group chat", required: true };
const ownRoom: Field = { name: "room", type: "list-single", label: "Group chat", required: true };
const newNick: Field = { name: "nick", type: "text-single", label: "Nickname", required: true };
const setting: Field = {
    name: "setting",
    type: "list-single",
    label: "Notify me",
    required: true,
    options: [
        { label: "about every message", value: "always" },
        { label: "when I am mentioned", value: "on-mention" },
        { label: "never", value: "never" },
    ],
};

const NO_ROOMS = "You are not in any group chat";

/** Lists the rooms of an account. */
function answerRooms(title: string, username: string, none: string): Answer {
    const unknown = unknownRooms(username);
    return unknown === undefined ? answerList(title, roomsOf(username), none) : refusal(unknown);
}

/** Lists the accounts in a room. */
function answerAccounts(title: string, room: string): Answer {
    const lines = accountsIn(room);
    const unknown = unknownAccounts();
    if (unknown !== undefined) {
        lines.push(unknown);
    }
    return answerList(title, lines, `No account of ${module.host} is in ${room}`);
}

/** Returns lines as a form with a title, which every client shows, or a note if there are no lines. */
function answerList(title: string, lines: string[], none: string): Answer {
    if (lines.length === 0) {
        return { status: "completed", info: none };
    }
    const layout = form(title, "", [{ name: "lines", type: "text-multi", label: title }]);
    return { status: "completed", result: { layout, values: { lines: table.concat(lines, "\n") } } };
}

function answerResult({ done, text }: CommandResult): Answer {
    return done ? { status: "completed", info: text } : refusal(text);
}

function refusal(message: string): Answer {
    return { status: "completed", error: { message } };
}

/** Describes the invalid fields of a form, a line for each field. */
function problemsOf(layout: Form, problems: Record<string, string | undefined>): string {
    const lines: string[] = [];
    for (const field of layout) {
        const problem = problems[field.name];
        if (problem !== undefined) {
            lines.push(`${field.label ?? field.name}: ${problem}`);
        }
    }
    return table.concat(lines, "\n");
}

/** Makes a command with one form. `initial` returns the values that the form starts with. */
function formCommand(
    layout: Form,
    initial: (this: void, data: Request) => InitialValues,
    answer: (this: void, fields: Fields, data: Request) => Answer,
): Handler {
    return adhoc.new_initial_data_form(layout, initial, (fields, problems, data) =>
        problems === undefined ? answer(fields, data) : refusal(problemsOf(layout, problems)),
    );
}

/** Makes a command with which an admin acts on any account of the host. */
function adminCommand(layout: Form, answer: (this: void, fields: Fields) => Answer): Handler {
    return formCommand(layout, () => ({}), answer);
}

/** Makes a command with which users act on one of their rooms. Without rooms it answers with a note. */
function userCommand(layout: Form, answer: (this: void, username: string, fields: Fields) => Answer): Handler {
    const handler = formCommand(
        layout,
        (data) => ({ room: roomNamesOf(usernameOf(data)) }),
        (fields, data) => answer(usernameOf(data), fields),
    );
    return function (this: unknown, data, state) {
        if (data.form === undefined && roomNamesOf(usernameOf(data)).length === 0) {
            const unknown = unknownRooms(usernameOf(data));
            return $multi(
                unknown === undefined ? { status: "completed", info: NO_ROOMS } : refusal(unknown),
                undefined,
            );
        }
        return handler(data, state);
    };
}

/** Makes a command without a form. */
function plainCommand(answer: (this: void, data: Request) => Answer): Handler {
    return function (this: unknown, data) {
        return $multi(answer(data), undefined);
    };
}

/** Returns the name of the sender, which is an account of this host: `local_user` commands admit no other. */
function usernameOf(data: Request): string {
    return jids.node(data.from) ?? "";
}

function roomOf(fields: Fields): string {
    return jids.bare(fields.room ?? "");
}

/** Acts on an account of this host. Admins of a host have no rights on other hosts. */
function onAccount(fields: Fields, action: (this: void, username: string) => Answer): Answer {
    const jid = fields.account ?? "";
    const username = jids.node(jid);
    return username === undefined || jids.host(jid) !== module.host
        ? refusal(`${jid} is not an account of ${module.host}`)
        : action(username);
}

interface Command {
    readonly name: string;
    readonly title: string;
    readonly permission: "admin" | "local_user";
    readonly handler: Handler;
}

const LIST_OWN = "List my group chats";
const LIST_ROOMS = "List the group chats of an account";
const LIST_ACCOUNTS = "List the accounts in a group chat";
const LEAVE = "Make an account leave a group chat";
const REJOIN = "Make an account rejoin a group chat";
const TOTALS = "Show totals of group chats";
const LEAVE_OWN = "Leave a group chat";
const RENAME_OWN = "Change my nickname in a group chat";
const NOTIFY_OWN = "Choose my notifications of a group chat";

const commands: Command[] = [
    {
        name: "my-rooms",
        title: LIST_OWN,
        permission: "local_user",
        handler: plainCommand((data) => answerRooms(LIST_OWN, usernameOf(data), NO_ROOMS)),
    },
    {
        name: "leave-my-room",
        title: LEAVE_OWN,
        permission: "local_user",
        handler: userCommand(
            form(LEAVE_OWN, "You leave the group chat on all devices.", [ownRoom]),
            (username, fields) => answerResult(leaveRoom(username, roomOf(fields))),
        ),
    },
    {
        name: "my-nick",
        title: RENAME_OWN,
        permission: "local_user",
        handler: userCommand(
            form(RENAME_OWN, "The nickname changes on all devices.", [ownRoom, newNick]),
            (username, fields) => answerResult(renameIn(username, roomOf(fields), fields.nick ?? "")),
        ),
    },
    {
        name: "my-notify",
        title: NOTIFY_OWN,
        permission: "local_user",
        handler: userCommand(
            form(NOTIFY_OWN, "Applies to devices that are not connected. The bookmark stores the setting.", [
                ownRoom,
                setting,
            ]),
            (username, fields) => answerResult(notifyOf(username, roomOf(fields), fields.setting ?? "")),
        ),
    },
    {
        name: "rooms",
        title: LIST_ROOMS,
        permission: "admin",
        handler: adminCommand(form(LIST_ROOMS, "", [anyAccount]), (fields) =>
            onAccount(fields, (username) =>
                answerRooms(LIST_ROOMS, username, `${username}@${module.host} is not in any group chat`),
            ),
        ),
    },
    {
        name: "accounts",
        title: LIST_ACCOUNTS,
        permission: "admin",
        handler: adminCommand(form(LIST_ACCOUNTS, "", [anyRoom]), (fields) =>
            answerAccounts(LIST_ACCOUNTS, roomOf(fields)),
        ),
    },
    {
        name: "leave",
        title: LEAVE,
        permission: "admin",
        handler: adminCommand(form(LEAVE, "", [anyAccount, anyRoom]), (fields) =>
            onAccount(fields, (username) => answerResult(leaveRoom(username, roomOf(fields)))),
        ),
    },
    {
        name: "rejoin",
        title: REJOIN,
        permission: "admin",
        handler: adminCommand(form(REJOIN, "", [anyAccount, anyRoom]), (fields) =>
            onAccount(fields, (username) => answerResult(rejoinRoom(username, roomOf(fields)))),
        ),
    },
    {
        name: "totals",
        title: TOTALS,
        permission: "admin",
        handler: plainCommand(() => answerList(TOTALS, totals(), "")),
    },
];

/** Offers the commands, unless the admin has put mod_adhoc into `modules_disabled`. */
export function offerCommands(): void {
    const [wanted] = pcall(() => module.depends("adhoc"));
    if (!wanted) {
        return;
    }
    const library = module.require("adhoc");
    for (const { name, title, permission, handler } of commands) {
        module.provides("adhoc", library.new(title, `${MINIMIX}#${name}`, handler, permission));
    }
}
