#!/bin/sh
# Prints the finals of one call as they come and misses none: `captions.sh CALL_SID [redis-cli's options]`.
# Reads the call's stream itself; nothing but redis-cli and sed is needed. JSON's escapes are shown as they are.
set -u
call_sid=$1
shift
[ $# -gt 0 ] || set -- -s "$HOME/.local/share/transcriber/redis/redis.sock"
seen=0-0 ended=''
while true; do
  found=$(redis-cli --raw "$@" XREAD BLOCK 5000 STREAMS "transcripts:{$call_sid}:events" "$seen") || sleep 1
  while IFS= read -r line; do
    case $line in
      [0-9]*-0) seen=$line ended='' ;;
      '{'*'"type":"final"'*)
        printf '%s\n' "$line" | sed -E 's/.*"speaker":"(([^"\\]|\\.)*)".*"text":"(([^"\\]|\\.)*)","start_ms".*/\1: \3/' ;;
      '{'*'"type":"call.ended"'*) ended=yes ;;
    esac
  done <<END
$found
END
  [ -z "$ended" ] || exit 0 # nothing came after it: a call may be resumed
done
