#!/usr/bin/env bash
# Notifies a user from a shell, a cron job or a CI step:
#
#   examples/notify/psql.sh u_42 'Nightly backup finished' backup-2026-11-21
#
# Connects as psql does: DATABASE_URL if it is set, else PGHOST, PGUSER and the rest. A login in the role agent_notifier
# is enough. Prints the notification's id; an empty line where the third argument, the dedupe_key, was there before, so a
# job that is run twice reaches the user once.
set -euo pipefail

user_id=${1:?whom to reach: the sub of the token that this user connects with}
content=${2:?the text}
dedupe_key=${3-}

# As variables (:'name' is quoted by psql), never pasted into the statement: the text may hold anything. psql replaces
# variables in what it reads from its input and not in --command, hence the here-document.
psql ${DATABASE_URL:+"$DATABASE_URL"} --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 \
  --set=user_id="$user_id" --set=content="$content" --set=dedupe_key="$dedupe_key" <<'SQL'
SELECT agent.notify(
    user_id    => :'user_id',
    content    => :'content',
    kind       => 'job',
    dedupe_key => nullif(:'dedupe_key', ''));
SQL
