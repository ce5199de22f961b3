// Shows the three clients, and each update from the server.
const { account, room, devices } = await (await fetch("/devices")).json();
const own = devices.slice(0, 2);

for (const device of devices) {
    addDevice(device);
}
new EventSource("/views").onmessage = ({ data }) => show(JSON.parse(data));

function addDevice({ name, title, url }) {
    const section = document.getElementById(name);
    const frame = element("iframe", { title, src: url });
    const button = element("button", { type: "button", textContent: "Switch off" });
    button.onclick = () => {
        const isOff = section.classList.toggle("off");
        frame.src = isOff ? "about:blank" : url;
        button.textContent = isOff ? "Switch on" : "Switch off";
    };
    const heading = element("h2", { textContent: title });
    heading.append(button);
    section.append(heading, frame);
}

function show({ rooms, occupants, totals, messages }) {
    const line = rooms.find((text) => text.startsWith(`${room}: `))?.slice(room.length + 2);
    const [state = "not there", sessions = ""] = line?.split("; ") ?? [];
    const attached = sessions.split(", ");
    rows(
        "sessions",
        own.map(({ name }) => [
            `${account}/${name}`,
            attached.includes(name) ? `→ ${room}` : "–",
            attached.includes(name) ? "in" : "out",
        ]),
    );
    text(
        "account",
        `The account: ${state.replace(/ since .*/, "")}${sessions.startsWith("no ") ? ", with no session" : ""}`,
    );
    text("came", totals["copies in"]);
    text("went", totals["copies out"]);
    text("saved", totals["copies saved"]);
    text("kept", totals["archive writes"]);
    const items = messages.map(({ from, body, came, went }) => {
        const item = element("li", {});
        item.append(
            element("q", { textContent: body }),
            ` ${from.split("/")[1]} `,
            element("b", { textContent: `${came} in → ${went} out` }),
        );
        return item;
    });
    document.getElementById("messages").replaceChildren(...items);
    rows("occupants", occupants.map(({ nick, sessions }) => [nick, sessions.join(", "), "in"]).sort());
}

function rows(id, cells) {
    const lines = cells.map(([left, right, state]) => {
        const line = element("tr", { className: state });
        line.append(element("td", { textContent: left }), element("td", { textContent: right }));
        return line;
    });
    document.getElementById(id).replaceChildren(...lines);
}

function text(id, content) {
    document.getElementById(id).textContent = content;
}

function element(name, properties) {
    return Object.assign(document.createElement(name), properties);
}
