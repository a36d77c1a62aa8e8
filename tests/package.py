"""A POP3 server with two messages, for tests/package: writes its port to the file that is named, and serves until it ends."""

import os
import socketserver
import sys

MESSAGES = [
    f"From: Ann <ann@example.org>\r\nSubject: message {number}\r\n\r\nIt is number {number}.\r\n" for number in (1, 2)
]


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write((text + "\r\n").encode())

    def listing(self, items):
        self.say("+OK\r\n" + "".join(f"{number} {item}\r\n" for number, item in enumerate(items, 1)) + ".")

    def handle(self):
        self.say("+OK ready")
        for line in self.rfile:
            word, _, rest = line.decode().strip().partition(" ")
            word = word.upper()
            if word == "CAPA":
                self.say("+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.")
            elif word == "STAT":
                self.say(f"+OK {len(MESSAGES)} {sum(map(len, MESSAGES))}")
            elif word == "LIST" and not rest:
                self.listing(map(len, MESSAGES))
            elif word == "UIDL" and not rest:
                self.listing(["a", "b"])
            elif word == "UIDL":
                self.say(f"+OK {rest} {'ab'[int(rest) - 1]}")
            elif word in ("RETR", "TOP"):
                message = MESSAGES[int(rest.split()[0]) - 1]
                self.say("+OK\r\n" + (message if word == "RETR" else message.split("\r\n\r\n")[0] + "\r\n\r\n") + ".")
            elif word in ("USER", "PASS", "NOOP", "QUIT"):
                self.say("+OK")
                if word == "QUIT":
                    return
            else:
                self.say("-ERR what?")


with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
    server.daemon_threads = True
    with open(sys.argv[1] + ".part", "w") as file:
        file.write(str(server.server_address[1]))
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    server.serve_forever()
