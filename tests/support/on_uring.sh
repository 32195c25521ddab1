#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# on_uring.sh WEFT_RUNS COMMAND...: COMMAND with io_uring as the netpoller; skipped where weft
# would fall back to epoll, which it then says.
set -euo pipefail

export WEFT_NETPOLL=io_uring
said=$("$1" 2>&1) || { echo "$1 failed: $said"; exit 1; }
if [ -n "$said" ]; then
    echo "skipped: $said"
    exit 77
fi
exec "${@:2}"
