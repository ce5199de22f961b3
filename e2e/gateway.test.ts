// O3, R3: rooms of biboumi, a gateway to IRC.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, StanzaError, statusCodes } from "./support/client.ts";
import { type House, openHouse } from "./support/house.ts";
import { gatewayConfig, type IrcServer, IrcUser, isInstalled, startGateway, startIrcServer } from "./support/irc.ts";
import { changeNick, groupchat, join, leave, privateMessage } from "./support/muc.ts";
import { freePort, versions } from "./support/prosody.ts";

const domain = "irc.a.lab";
/** In milliseconds. */
const limit = 30_000;

// With the bare JID as occupant JID no join succeeds: biboumi answers to an address that ends in "/".
for (const version of versions) {
    describe(
        `Prosody ${version}: a gateway to IRC`,
        { skip: !isInstalled && "biboumi and ngircd are not installed" },
        () => {
            let house: House;
            let irc: IrcServer;
            let gateway: Awaited<ReturnType<typeof startGateway>>;
            let phone: Client;
            let laptop: Client;
            let bob: IrcUser;
            let room: string;

            before(async () => {
                const port = await freePort();
                irc = await startIrcServer();
                house = await openHouse({
                    version,
                    globalConfig: `component_ports = { ${port} } component_interfaces = { "127.0.0.1" }`,
                    roomConfig: gatewayConfig(domain),
                    // mod_component logs a disconnected component.
                    allowedErrors: [/component/],
                });
                gateway = await startGateway(domain, port, async () =>
                    Boolean(
                        await house.server.eval(
                            `return prosody.hosts["${domain}"].modules.component.connected == true`,
                        ),
                    ),
                );
                ({ phone, laptop } = house);
                room = `#tea%${irc.address}@${domain}`;
                bob = await IrcUser.connect(irc, "bob");
                bob.send("JOIN #tea");
                await bob.expect(/ 366 /);
            });

            after(async () => {
                bob.close();
                await house.close();
                await gateway.stop();
                await irc.service.stop();
            });

            async function bobSays(text: string): Promise<void> {
                bob.send(`PRIVMSG #tea :${text}`);
                await phone.expect({ room, body: text }, limit);
                await laptop.expect({ room, body: text }, limit);
            }

            async function aliceSays(client: Client, text: string, nick = "Alice"): Promise<void> {
                await groupchat(client, room, text);
                await bob.expect(new RegExp(`^:${nick}!.* PRIVMSG #tea :${text}`));
                await phone.expect({ room, body: text });
                await laptop.expect({ room, body: text });
            }

            test("J1, J2: two sessions join as one IRC user", async () => {
                await join(phone, room, "Alice", { timeout: limit });
                await bob.expect(/^:Alice!.* JOIN :?#tea/);
                const stanzas = await join(laptop, room, "Alice", { timeout: limit });
                assert(stanzas.some(({ attrs }) => attrs.from === `${room}/bob`));
                assert.equal(bob.count(/^:Alice!.* JOIN/), 1);
            });

            test("R1, C1: messages go both ways, once", async () => {
                await bobSays("hello");
                await aliceSays(phone, "from the phone");
                await aliceSays(laptop, "from the laptop");
                assert.equal(bob.count(/from the phone/), 1);
            });

            test("C2: a nick change changes the IRC user's nick, and a taken nick is refused", async () => {
                await changeNick(phone, room, "Alicia");
                await laptop.expect({ name: "presence", from: `${room}/Alicia` }, limit);
                await bob.expect(/^:Alice!.* NICK :?Alicia/);
                await assert.rejects(changeNick(laptop, room, "bob"), StanzaError);
                await aliceSays(laptop, "still here", "Alicia");
            });

            test("C6: a private message reaches the IRC user, and the answer reaches the sessions", async () => {
                await privateMessage(phone, room, "bob", "psst");
                await bob.expect(/^:Alicia!.* PRIVMSG bob :psst/);
                bob.send("PRIVMSG Alicia :what?");
                const answer = await phone.expect({ name: "message", type: "chat", body: "what?" }, limit);
                assert(
                    [`bob%${irc.address}@${domain}`, `${room}/bob`].includes(answer.attrs.from ?? ""),
                    String(answer),
                );
            });

            test("R1: the topic is the subject", async () => {
                bob.send("TOPIC #tea :Earl Grey");
                for (const client of [phone, laptop]) {
                    await client.expect({ name: "message", room, subject: "Earl Grey" }, limit);
                }
            });

            test("R2: all sessions see a kick, and the account does not rejoin", async () => {
                bob.send("KICK #tea Alicia :enough");
                for (const client of [phone, laptop]) {
                    const gone = await client.expect({ name: "presence", room, status: "307" }, limit);
                    assert(statusCodes(gone).includes("110"));
                }
                bob.send("PING :kicked");
                await bob.expect(/ PONG .*kicked/);
                const joins = bob.count(/ JOIN /);
                await join(laptop, room, "Alicia", { timeout: limit });
                await join(phone, room, "Alicia", { timeout: limit });
                await bob.expect(/ JOIN /);
                bob.send("PING :joined");
                await bob.expect(/ PONG .*joined/);
                assert.equal(bob.count(/ JOIN /), joins + 1);
            });

            test("R3: after a restart of the gateway the account rejoins within 30 seconds", async () => {
                await gateway.kill();
                await bob.expect(/^:Alicia!.* QUIT/);
                await gateway.start();
                await bob.expect(/^:Alicia!.* JOIN :?#tea/, limit);
                await bobSays("welcome back");
                await aliceSays(phone, "thanks", "Alicia");
            });

            test("R3: after a restart of the IRC server the account rejoins", async () => {
                await irc.service.kill();
                await irc.service.start();
                bob = await IrcUser.connect(irc, "bob");
                bob.send("JOIN #tea");
                await bob.expect(/ 366 /);
                if (bob.count(/ 353 .*Alicia/) === 0) {
                    await bob.expect(/^:Alicia!.* JOIN :?#tea/, 2 * limit);
                }
                await bobSays("here again");
            });

            test("L3: the IRC user leaves with the last session", async () => {
                await leave(phone, room, "Alicia");
                assert.equal(bob.count(/^:Alicia!.* (PART|QUIT)/), 0);
                await leave(laptop, room, "Alicia");
                await bob.expect(/^:Alicia!.* (PART|QUIT)/);
            });
        },
    );
}
