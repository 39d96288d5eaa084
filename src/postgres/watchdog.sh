# Holds Postgres as its child and ends it when the process that started us is gone, however it went.
# That process holds the other end of our standard input and never writes to it: end of file is the only message.
#
# $1: directory to remove at the end, or empty. The rest: the server's command.

remove=$1
shift

# Only the pipe speaks to us. A signal to everything in a service's group must not end the database before the
# process that drains into it. Postgres sets its own handlers, so it does not inherit our deafness.
trap '' HUP INT TERM

exec 3<&0 </dev/null
"$@" 3<&- &
server=$!

# Fast shutdown for ten seconds, then immediate, then none at all. Each signal is sent again every second: one
# that arrives before Postgres has set its handlers is lost.
(
  while read -r _; do :; done <&3
  for signal in INT INT INT INT INT INT INT INT INT INT QUIT QUIT QUIT QUIT QUIT QUIT KILL; do
    kill -"$signal" "$server" || exit 0
    sleep 1
  done
) 2>/dev/null &
reader=$!

wait "$server"
status=$?
{ kill -KILL "$reader"; wait "$reader"; } 2>/dev/null

# The guard: an absolute path, a name that only we give, no way up.
case $remove in
  *..*) ;;
  /*/agent-ws-pg-*) rm -rf -- "$remove" ;;
esac
exit "$status"
