// A DNS server for tests. It knows the server-to-server port of each domain on this machine. For other names it returns
// a negative answer at once.
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";

export interface Dns {
    readonly port: number;
    close(): void;
}

interface Question {
    name: string;
    type: number;
    /** The question as received, to be repeated in the answer. */
    bytes: Buffer;
}

const headerLength = 12;
const typeSrv = 33;
const classIn = 1;
const ttl = 60;
const authoritativeAnswer = 0x8580;
const noSuchName = 3;
const pointerToQuestion = 0xc000 | headerLength;

/** Starts a DNS server for these domains, each with its server's port. */
export async function startDns(domains: Map<string, number>): Promise<Dns> {
    const socket = createSocket("udp4");
    socket.on("message", (query: Buffer, from: RemoteInfo) => {
        socket.send(answer(query, domains), from.port, from.address);
    });
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return {
        port: socket.address().port,
        close: () => {
            socket.close();
        },
    };
}

function answer(query: Buffer, domains: Map<string, number>): Buffer {
    const id = query.readUInt16BE(0);
    const { name, type, bytes } = parseQuestion(query);
    const port = domains.get(name.replace("_xmpp-server._tcp.", ""));
    if (type !== typeSrv || port === undefined) {
        return Buffer.concat([uint16(id, authoritativeAnswer | noSuchName, 1, 0, 0, 0), bytes]);
    }
    // Every resolver knows this name. Not all of them query this server for addresses.
    const service = Buffer.concat([uint16(0, 0, port), encodeName("localhost")]);
    const record = uint16(pointerToQuestion, typeSrv, classIn, 0, ttl, service.length);
    return Buffer.concat([uint16(id, authoritativeAnswer, 1, 1, 0, 0), bytes, record, service]);
}

function parseQuestion(query: Buffer): Question {
    const labels: string[] = [];
    let at = headerLength;
    for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
        labels.push(query.toString("latin1", at + 1, at + 1 + length));
        at += 1 + length;
    }
    return {
        name: labels.join("."),
        type: query.readUInt16BE(at + 1),
        bytes: query.subarray(headerLength, at + 5),
    };
}

function encodeName(name: string): Buffer {
    const labels = name.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
    return Buffer.concat([...labels, Buffer.from([0])]);
}

function uint16(...numbers: number[]): Buffer {
    const buffer = Buffer.alloc(numbers.length * 2);
    numbers.forEach((number, index) => buffer.writeUInt16BE(number, index * 2));
    return buffer;
}
