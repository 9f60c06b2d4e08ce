#!/bin/sh
# Several machines share one expansion: a Ray cluster, and a run folder on storage that all of them see (NFS, Lustre, EFS).
# Run this on the first machine; NODES names the others, reached by ssh. Each needs the same gifcli: pip install 'gifcli[ray]'
#
#   NODES="gpu2 gpu3" sh examples/ray-cluster.sh /shared/photos /shared/photos-5x
#
# Each GPU (without any, each CPU) gets a worker. A machine that goes away costs the shards that it was working on. The same
# command goes on after a stop. Where a cluster runs already, only the last line is needed.
set -eu
SOURCE=$1
RUN=$2
HEAD=${HEAD:-$(hostname -I | cut -d" " -f1):${PORT:-6379}}

STARTED=
trap 'kill $STARTED 2>/dev/null || true; wait' EXIT
ray start --head --port="${HEAD##*:}" --block ${RAY_OPTIONS:-} >/dev/null &
STARTED=$!
until ray health-check --address "$HEAD" >/dev/null 2>&1; do sleep 1; done
for node in ${NODES:-}; do
  ssh -tt "$node" ray start --address="$HEAD" --block >/dev/null &
  STARTED="$STARTED $!"
done
gif expand "$SOURCE" -o "$RUN" --engine ray --ray-address "$HEAD" ${EXPAND_OPTIONS:-}
