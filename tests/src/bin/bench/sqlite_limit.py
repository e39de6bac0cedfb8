"""Writes the pushes of lingpai's SQLite file into a fresh file of the same schema and pragmas.

Arguments: lingpai's file, the fresh file, rows in a commit, seconds at most.
Prints: pushes in lingpai's file, rows written, seconds.
"""
import os
import sqlite3
import sys
import time

source, target, rows_in_a_commit, limit = sys.argv[1:]
rows_in_a_commit, limit = int(rows_in_a_commit), float(limit)

lingpai = sqlite3.connect(source)
schema = lingpai.execute(
    "SELECT sql FROM sqlite_master WHERE tbl_name = 'pushes' AND sql IS NOT NULL ORDER BY type DESC"
).fetchall()
rows = lingpai.execute("SELECT * FROM pushes").fetchall()
lingpai.close()

for end in ("", "-wal", "-shm"):
    if os.path.exists(target + end):
        os.remove(target + end)
fresh = sqlite3.connect(target, isolation_level=None)
for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
    fresh.execute("PRAGMA " + pragma).fetchall()
for (statement,) in schema:
    fresh.execute(statement)
insert = "INSERT INTO pushes VALUES (%s)" % ", ".join("?" * len(rows[0]))

written = 0
started = time.monotonic()
while written < len(rows) and time.monotonic() - started < limit:
    batch = rows[written : written + rows_in_a_commit]
    fresh.execute("BEGIN IMMEDIATE")
    fresh.executemany(insert, batch)
    fresh.execute("COMMIT")
    written += len(batch)
print(len(rows), written, time.monotonic() - started)
