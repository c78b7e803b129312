#!/bin/sh
# One night on a machine of your own, started by cron or systemd: makes the stories; if they are published, draws the page
# and tidies up; in any case prints the state. The file `environment` beside this one has the settings.
#
# The exit code is the main job's: 0 published; 1 failed, three times; 2 options, config or pack are wrong; 3 too many
# dead letters; 4 another run has these photos. If a later step fails after 0, it is 1. Two nights at once need no lock:
# the job's own lease on the photos ends the second one with 4.
set -u

problems=""
for name in STORYTELLER_PYTHON STORYTELLER_CONFIG STORYTELLER_OUTPUT STORYTELLER_PAGE; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || problems="$problems $name"
done
if [ -n "$problems" ]; then
  echo "The night was not started. Not set in the environment:$problems. See deploy/machine/environment" >&2
  exit 2
fi

say() { echo "$(date '+%Y-%m-%d %H:%M:%S') $*" >&2; }
storyteller() { "$STORYTELLER_PYTHON" -m "pipelines.$@"; }

try=1
while :; do
  say "making stories, try $try"
  storyteller run --config "$STORYTELLER_CONFIG" --output "$STORYTELLER_OUTPUT"
  code=$?
  case $code in 0 | 2 | 3 | 4) break ;; esac # other failures may pass: storage that was unavailable, memory that was in use
  [ "$try" -lt "${STORYTELLER_TRIES:-3}" ] || break
  try=$((try + 1))
  sleep "${STORYTELLER_PAUSE:-900}"
done

result=$code
case $code in
  0)
    storyteller gallery "$STORYTELLER_OUTPUT" --output "$STORYTELLER_PAGE" || result=1
    storyteller vacuum "$STORYTELLER_OUTPUT" --older-than 7d || result=1
    ;;
  2) say "options, config or pack are wrong: no retry helps until somebody corrects them" ;;
  3) say "too many dead letters: look at the photos; nothing was published, and the next night tries all photos again" ;;
  4) say "another run has these photos: nothing to do" ;;
  *) say "the run failed with $code, $try times; nothing was published, and the next night tries all photos again" ;;
esac
storyteller status "$STORYTELLER_OUTPUT" --max-age 26h || [ "$code" -ne 0 ] || result=1
exit "$result"
