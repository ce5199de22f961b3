// Reads scripts of scansion, the client that tests Prosody. A script lists the clients that connect, and the stanzas
// that they send and receive.

export interface Actor {
    readonly name: string;
    readonly jid: string;
    readonly password: string;
}

export interface Action {
    /** The name of an actor. */
    readonly actor: string;
    readonly does: "connects" | "disconnects" | "sends" | "receives";
    /** Stanzas as XML, with variables such as `${Romeo's full JID}`. */
    readonly xml: string;
    readonly line: number;
}

export interface Script {
    readonly actors: Actor[];
    readonly actions: Action[];
}

const comment = /^\s*(#|--|\/\/)/;
const separator = /^-{3,}\s*$/;
const heading = /^\[Client\] (.*\S)\s*$/;
const setting = /^\s+(\w+): (.*\S)\s*$/;
const action = /^(\S.*?) (connects|disconnects|sends|receives):?\s*$/;

export function parseScript(text: string): Script {
    const lines = text.split("\n");
    const start = lines.findIndex((line) => separator.test(line));
    return { actors: parseActors(lines.slice(0, start)), actions: parseActions(lines, start + 1) };
}

function parseActors(lines: string[]): Actor[] {
    const actors: Record<string, string>[] = [];
    for (const line of lines) {
        const [, name] = heading.exec(line) ?? [];
        const [, key, value] = setting.exec(line) ?? [];
        const last = actors.at(-1);
        if (name !== undefined) {
            actors.push({ name });
        } else if (key !== undefined && value !== undefined && last !== undefined) {
            last[key] = value;
        }
    }
    return actors.map(({ name = "", jid = "", password = "", resource }) => ({
        name,
        jid: resource === undefined ? jid : `${jid}/${resource}`,
        password,
    }));
}

function parseActions(lines: string[], start: number): Action[] {
    const actions: { actor: string; does: Action["does"]; xml: string; line: number }[] = [];
    for (const [number, line] of lines.entries()) {
        if (number < start || comment.test(line)) {
            continue;
        }
        const [, actor, does] = action.exec(line) ?? [];
        const last = actions.at(-1);
        if (actor !== undefined) {
            actions.push({ actor, does: does as Action["does"], xml: "", line: number + 1 });
        } else if (line.trim() !== "") {
            if (last === undefined || !/^\s/.test(line)) {
                throw new Error(`line ${number + 1} is not understood: ${line}`);
            }
            last.xml += `${line}\n`;
        }
    }
    return actions;
}
