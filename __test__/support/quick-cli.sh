#!/bin/sh
# The CLI as a shell script: started within a millisecond or two, where the stand-in takes forty. The first word of a
# message says what happens. What it receives goes into the log, a line each: pid and message.

# As the real one, it ends what it has started when it ends in order.
children=
trap 'exit 130' INT
trap '[ -z "$children" ] || kill $children 2>/dev/null' EXIT
id="quick-$$"

init() {
  printf '{"type":"system","subtype":"init","session_id":"%s","user_message_uuids":["%s"]}\n' "$id" "$uuid"
}

result() {
  printf '{"type":"result","subtype":"success","is_error":%s,"result":"%s","num_turns":1,"session_id":"%s","user_message_uuids":["%s"]}\n' \
    "${1:-false}" "$content" "$id" "$uuid"
}

while IFS= read -r line; do
  content=${line#*'"content":"'}
  content=${content%%'"'*}
  uuid=${line##*'"uuid":"'}
  uuid=${uuid%%'"'*}
  if [ -n "$CLEARCTX_QUICK_LOG" ]; then printf '%s %s\n' "$$" "$content" >>"$CLEARCTX_QUICK_LOG"; fi
  # Its words are the arguments.
  # shellcheck disable=SC2086
  set -- $content
  case $1 in
    slow) init && sleep "$2" && result ;;
    error) init && result true ;;
    noise) printf 'words\n{"type":\n[]\n' && init && printf '\377\n{"type":"odd"}\n' && result ;;
    twice) init && result && result ;;
    child) sleep 60 & children="$children $!" && init && result ;;
    silent) init ;;
    mute) ;;
    leave-flood) init && { yes '{"type":"tick"}' & exit 0; } ;;
    flood) init && yes '{"type":"tick"}' | head -n "$2" && result ;;
    deaf) init && while :; do sleep 60; done ;;
    stubborn) trap '' INT TERM && init && while :; do sleep 1; done ;;
    close) init && exec >&- && sleep 60 ;;
    half) init && printf '{"type":"result","resu' && exit 0 ;;
    crash) init && kill -9 $$ ;;
    exit) exit "$2" ;;
    *) init && result ;;
  esac
done
