"""Notifies a user from Python, with psycopg 3, in the transaction that does the work:

    python examples/notify/python/notify.py u_42 "Invoice 2024-117 was paid" invoice-2024-117

Connects by DATABASE_URL if it is set, else by PGHOST, PGUSER and the rest. A login in the role agent_notifier is enough.
"""

import os
import sys

import psycopg
from psycopg.types.json import Jsonb


def notify(connection, user_id, content, *, data=None, dedupe_key=None):
    """The notification's id, or None where the user had one with this dedupe_key. A bad value raises here, not later."""
    row = connection.execute(
        """SELECT agent.notify(user_id => %s, content => %s, kind => 'invoice', data => %s, dedupe_key => %s)""",
        (user_id, content, None if data is None else Jsonb(data), dedupe_key),
    ).fetchone()
    return row[0]


def main():
    user_id, content, dedupe_key = (sys.argv[1:] + [None])[:3]
    # One transaction, committed at the end of the block and rolled back by an exception: what your own statements
    # write in here and the notification come into being together, or not at all.
    with psycopg.connect(os.environ.get("DATABASE_URL", "")) as connection:
        print(notify(connection, user_id, content, data={"paid": True}, dedupe_key=dedupe_key))


if __name__ == "__main__":
    main()
