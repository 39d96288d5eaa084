"""Asks one question and prints the answer as it is written, whatever happens to the connection meanwhile.

    client.py ws://127.0.0.1:8080/v1/ws TOKEN "What is a durable log?"

Copy `Session`: it keeps what has to be kept so that a cut loses nothing and doubles nothing.
"""

import asyncio
import hashlib
import json
import random
import sys
import uuid
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

# Of the close codes, 4000 to 4499 mean "come back", 4500 to 4999 "not as you are"; these three mean that we are at fault.
FATAL_CLOSES = {1002, 1003, 1007, 1009}


class Refused(Exception):
    """The server does not want this client, or this question, as it is."""


class Session:
    """One session: its id, the last message that was applied, and the answer that is being written."""

    def __init__(self, url, token):
        self.url, self.token = url, token
        self.session_id = None
        self.after = None
        # The answer being written: whose it is, which attempt, and its text as UTF-16, since offsets count its code units.
        self.answer, self.attempt, self.text = None, 0, b""

    async def ask(self, content):
        """Yields ("text", more), ("reset", None) where what came so far does not count, and at last ("response", frame)."""
        question = {"type": "query", "id": uuid.uuid4().hex, "content": content}
        message_id, tries = None, 0
        while True:
            try:
                async with connect(self.address(), additional_headers={"Authorization": f"Bearer {self.token}"}) as socket:
                    tries = 0
                    async for line in socket:
                        frame = json.loads(line)
                        kind, event = frame["type"], frame.get("event")
                        if event == "welcome":
                            self.session_id = frame["session_id"]
                        elif event == "live" and message_id is None:
                            # Under the same id as before the cut: the server takes it once.
                            await socket.send(json.dumps(question))
                        elif event == "accepted" and frame.get("re") == question["id"]:
                            message_id = frame["message_id"]
                        elif kind == "error" and frame.get("re") == question["id"]:
                            raise Refused(frame["content"])
                        elif event == "thinking" and frame["in_reply_to"] == message_id:
                            self.answer = frame["message_id"]
                        elif kind == "delta" and frame["message_id"] == self.answer:
                            for piece in self.place(frame):
                                yield piece
                        if "seq" in frame:
                            self.after = frame["seq"]
                        if kind == "response" and frame.get("in_reply_to") == message_id:
                            for piece in self.finish(frame):
                                yield piece
                            return
            except InvalidStatus as refusal:
                if refusal.response.status_code not in (429, 503):
                    raise Refused(f"HTTP {refusal.response.status_code}") from refusal
            except (OSError, ConnectionClosed) as cut:
                code = cut.rcvd.code if isinstance(cut, ConnectionClosed) and cut.rcvd else 1006
                if code in FATAL_CLOSES or code >= 4500:
                    raise Refused(f"closed with {code}: {cut.rcvd.reason}") from cut
            # Full jitter, so that not all clients come back at once.
            await asyncio.sleep(random.uniform(0, min(30, 0.5 * 2**tries)))
            tries += 1

    def address(self):
        where = {"session_id": self.session_id, "after": self.after}
        known = {name: value for name, value in where.items() if value is not None}
        return f"{self.url}?{urlencode(known)}" if known else self.url

    def place(self, delta):
        """Text at its offset: what is known comes again after a cut, and only what is new of it is yielded."""
        if delta["attempt"] != self.attempt:
            if self.text:
                yield ("reset", None)
            self.attempt, self.text = delta["attempt"], b""
        offset, text = delta["offset"] * 2, delta["content"].encode("utf-16-le")
        if offset <= len(self.text) < offset + len(text):
            new = text[len(self.text) - offset :]
            self.text += new
            yield ("text", new.decode("utf-16-le"))

    def finish(self, response):
        """The stored answer decides: what was shown is a beginning of it, or does not count."""
        content = response["content"]
        assert hashlib.sha256(content.encode()).hexdigest() == response["sha256"]
        shown = self.text.decode("utf-16-le")
        if not content.startswith(shown):
            yield ("reset", None)
            shown = ""
        if content[len(shown) :]:
            yield ("text", content[len(shown) :])
        self.answer, self.attempt, self.text = None, 0, b""
        yield ("response", response)


async def main(url, token, question):
    async for kind, value in Session(url, token).ask(question):
        if kind == "text":
            print(value, end="", flush=True)
        elif kind == "reset":
            print("\n--- again ---")
        else:
            print(f"\n[{value['state']}]")


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except Refused as refusal:
        sys.exit(f"refused: {refusal}")
