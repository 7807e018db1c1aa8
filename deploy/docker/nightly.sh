#!/bin/sh
# Scheduled incremental conversion in a container, for cron: adds the new images in PHOTOS to the
# dataset DATA/flowers, as one generation. `docker run --restart` would also retry permanent errors,
# such as refused credentials; this script retries only those that may be temporary.
#
#   15 2 * * * PHOTOS=/srv/photos DATA=/srv/data /usr/local/bin/shardmill-nightly.sh
set -u
image=${IMAGE:-registry.example.com/shardmill:0.1.0}
attempts=6
while :; do
  # The user of the image, 65532, needs write access to DATA. For s3:// URLs, replace --network=none
  # by --env-file=FILE with the credentials.
  docker run --rm --name=shardmill-nightly --init --stop-timeout=60 \
    --read-only --tmpfs=/tmp --network=none --cap-drop=ALL --security-opt=no-new-privileges \
    --memory=4g --pids-limit=512 \
    --volume="${PHOTOS:?}:/photos:ro" --volume="${DATA:?}:/data" \
    "$image" convert /photos /data/flowers --test=0.2 --append --log-format=json
  code=$?
  attempts=$((attempts - 1))
  # 125: the daemon failed. Every other exit code is final.
  case $code in
    69 | 74 | 75 | 125) [ "$attempts" -gt 0 ] || exit "$code" ;;
    *) exit "$code" ;;
  esac
  sleep "${RETRY_SECONDS:-600}"
done
