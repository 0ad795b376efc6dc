#!/bin/sh
# Runs karin as its own user. A platform may mount the volume for /data as root's; that is all that root is needed for here.
# Each step ends in exec, so that karin is process 1 and gets the signals of the platform.
set -eu
if [ "$(id -u)" != 0 ]; then
  exec karin "$@"
fi
if [ -d "$KARIN_DATA_DIR" ]; then
  chown karin:karin "$KARIN_DATA_DIR"
fi
exec setpriv --reuid=karin --regid=karin --init-groups --no-new-privs karin "$@"
