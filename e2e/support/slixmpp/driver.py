"""A slixmpp client that a test controls: one JSON object per line on stdin, one answer for each on stdout."""
import asyncio
import json
import logging
import sys

import slixmpp

answers = sys.stdout
# slixmpp prints to stdout.
sys.stdout = sys.stderr


class Problems(logging.Handler):
    """Collects what the library logs as a warning or an error."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        error = record.exc_info[1] if record.exc_info else None
        self.lines.append(record.getMessage() + (": " + repr(error) if error else ""))


class Driver:
    def __init__(self):
        self.problems = Problems()
        self.messages = []
        self.news = asyncio.Condition()
        self.xmpp = None

    async def connect(self, jid, password, port):
        self.xmpp = xmpp = slixmpp.ClientXMPP(jid, password)
        for plugin in ["xep_0030", "xep_0045", "xep_0059", "xep_0115", "xep_0198", "xep_0199", "xep_0313"]:
            xmpp.register_plugin(plugin)
        xmpp["feature_mechanisms"].unencrypted_plain = True
        xmpp.add_event_handler("groupchat_message", self.note)
        xmpp.add_filter("out", self.check)
        started = xmpp.wait_until("session_start", timeout=15)
        xmpp.connect(("127.0.0.1", port), disable_starttls=True)
        await started
        xmpp.send_presence()

    async def note(self, message):
        async with self.news:
            self.messages.append({"from": message["from"].full, "body": message["body"]})
            self.news.notify_all()

    def check(self, stanza):
        """Records errors that the library sends when it cannot handle a stanza."""
        if isinstance(stanza, (slixmpp.Message, slixmpp.Presence)) and stanza["type"] == "error":
            self.problems.lines.append("sent " + str(stanza))
        return stanza

    async def join(self, room, nick, show=None):
        own, subject, occupants, history = await self.xmpp["xep_0045"].join_muc_wait(
            room, nick, presence_options={"pshow": show} if show else None, timeout=15)
        return {
            "from": own["from"].full,
            "show": own["show"],
            "jid": own["muc"]["jid"].full,
            "codes": sorted(own["muc"]["status_codes"]),
            "subject": subject["subject"],
            "occupants": [presence["from"].resource for presence in occupants],
            "history": [message["body"] for message in history],
        }

    async def leave(self, room, nick):
        gone = self.xmpp.wait_until("muc::%s::got_offline" % room, timeout=15)
        self.xmpp.send_presence(pto="%s/%s" % (room, nick), ptype="unavailable")
        await gone

    async def say(self, room, body):
        self.xmpp.send_message(mto=room, mbody=body, mtype="groupchat")

    async def wait(self, body):
        """Returns the first message with this body, and removes it."""
        def index():
            return next((i for i, message in enumerate(self.messages) if message["body"] == body), None)
        async with self.news:
            await asyncio.wait_for(self.news.wait_for(lambda: index() is not None), 15)
            return self.messages.pop(index())

    async def archive(self, jid=None, with_jid=None):
        results = self.xmpp["xep_0313"].iterate(jid=jid, with_jid=with_jid)
        return [result["mam_result"]["forwarded"]["stanza"]["body"] async for result in results]

    async def ping(self, room, nick):
        return bool(await self.xmpp["xep_0199"].send_ping("%s/%s" % (room, nick), timeout=15))

    async def problems_so_far(self):
        return self.problems.lines

    async def disconnect(self):
        await self.xmpp.disconnect()

    async def answer(self, request):
        try:
            result = await getattr(self, request["do"])(**request["with"])
            answer = {"id": request["id"], "result": result}
        except Exception as error:
            answer = {"id": request["id"], "error": repr(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


async def main():
    driver = Driver()
    logging.getLogger().addHandler(driver.problems)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: driver.problems.lines.append(repr(context.get("exception", context))))
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    running = set()
    while line := await lines.readline():
        task = asyncio.create_task(driver.answer(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
