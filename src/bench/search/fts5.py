"""SQLite's FTS5, for `hansard bench search`.

Reads one JSON value a line. An array is a message: id, conversation, sender, milliseconds, text; messages are
committed by ten thousand. An object says in `do` what else to do, and is answered by one line.
"""

import json
import os
import resource
import sqlite3
import sys
import time

COMMIT_EVERY = 10_000

SETTINGS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -65536;
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS message(id INTEGER PRIMARY KEY, conversation INTEGER, sender INTEGER, ts INTEGER);
CREATE TABLE IF NOT EXISTS member(user INTEGER, conversation INTEGER, PRIMARY KEY(user, conversation)) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS said USING fts5(text, tokenize = 'unicode61', prefix = '2 3');
"""

# CROSS JOIN keeps this order: the words first, then whether the user may read it.
# bm25() is reckoned for what is left, which is less than FTS5's own `rank` would.
FIND = """
SELECT said.rowid FROM said
CROSS JOIN message ON message.id = said.rowid
CROSS JOIN member ON member.user = :user AND member.conversation = message.conversation
WHERE said MATCH :match
  AND (:sender IS NULL OR message.sender = :sender)
  AND (:since IS NULL OR message.ts >= :since)
ORDER BY bm25(said) LIMIT 20
"""


class Database:
    def __init__(self, path):
        self.path = path
        self.connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.connection.executescript(SETTINGS)
        self.connection.executescript(SCHEMA)
        self.rows = []
        self.messages = 0
        self.sqlite_cpu_s = 0.0

    def take(self, row):
        self.rows.append(row)
        if len(self.rows) >= COMMIT_EVERY:
            self.flush()

    def flush(self):
        began = time.process_time()
        run = self.connection
        run.execute("BEGIN IMMEDIATE")
        run.executemany("INSERT INTO message VALUES (?, ?, ?, ?)", [row[:4] for row in self.rows])
        run.executemany("INSERT INTO said(rowid, text) VALUES (?, ?)", [(row[0], row[4]) for row in self.rows])
        run.execute("COMMIT")
        self.messages += len(self.rows)
        self.rows.clear()
        self.sqlite_cpu_s += time.process_time() - began

    def commit(self, _):
        self.flush()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "messages": self.messages,
            "cpu_s": time.process_time(),
            "sqlite_cpu_s": self.sqlite_cpu_s,
            "peak_rss_bytes": peak,
        }

    def members(self, order):
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO member VALUES (?, ?)", order["rows"])
        self.connection.execute("COMMIT")
        return {}

    def optimize(self, _):
        began = time.monotonic()
        self.connection.execute("INSERT INTO said(said) VALUES ('optimize')")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return {"seconds": time.monotonic() - began, "bytes": os.path.getsize(self.path)}

    def find(self, order):
        named = {name: order[name] for name in ("user", "match", "sender", "since")}
        began = time.monotonic_ns()
        found = self.connection.execute(FIND, named).fetchall()
        return {"nanos": time.monotonic_ns() - began, "ids": [row[0] for row in found]}


def say(answer):
    print(json.dumps(answer), flush=True)


def main(path):
    database = Database(path)
    orders = {
        "commit": database.commit,
        "members": database.members,
        "optimize": database.optimize,
        "find": database.find,
    }
    say({"sqlite": sqlite3.sqlite_version, "python": sys.version.split()[0]})
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, list):
            database.take(order)
        else:
            say(orders[order["do"]](order))


main(sys.argv[1])
