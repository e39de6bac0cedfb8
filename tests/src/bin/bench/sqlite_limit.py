"""Writes the events of lingpai's SQLite file, with their deliveries, into a copy without them.

Arguments: lingpai's file, the copy, events in a commit, seconds at most.
Prints: events in lingpai's file that WeChat pushed, events written, seconds.
"""
import os
import sqlite3
import sys
import time

source, target, events_in_a_commit, limit = sys.argv[1:]
events_in_a_commit, limit = int(events_in_a_commit), float(limit)

for end in ("", "-wal", "-shm"):
    if os.path.exists(target + end):
        os.remove(target + end)
lingpai = sqlite3.connect(source)
events = lingpai.execute("SELECT * FROM events WHERE payload_sealed IS NOT NULL").fetchall()
of_event = {}
(at,) = (n for n, row in enumerate(lingpai.execute("PRAGMA table_info(deliveries)")) if row[1] == "event_id")
for delivery in lingpai.execute("SELECT * FROM deliveries"):
    of_event.setdefault(delivery[at], []).append(delivery)
(at,) = (n for n, row in enumerate(lingpai.execute("PRAGMA table_info(events)")) if row[1] == "id")
lingpai.execute("VACUUM INTO ?", (target,))
lingpai.close()

fresh = sqlite3.connect(target, isolation_level=None)
for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
    fresh.execute("PRAGMA " + pragma).fetchall()
fresh.execute("DELETE FROM deliveries")
fresh.execute("DELETE FROM events")
fresh.execute("VACUUM")
fresh.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def insert(table, rows):
    if rows:
        fresh.executemany("INSERT INTO %s VALUES (%s)" % (table, ", ".join("?" * len(rows[0]))), rows)


written = 0
started = time.monotonic()
while written < len(events) and time.monotonic() - started < limit:
    batch = events[written : written + events_in_a_commit]
    fresh.execute("BEGIN IMMEDIATE")
    insert("events", batch)
    insert("deliveries", [delivery for event in batch for delivery in of_event.get(event[at], [])])
    fresh.execute("COMMIT")
    written += len(batch)
print(len(events), written, time.monotonic() - started)
