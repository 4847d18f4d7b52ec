#!/usr/bin/env bash
# Writes the Grafana dashboards, here and into the Helm chart, with the pinned SDK (docs/adr/0016).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-deps.sh grafana
version=$(sed -n 's/^grafana_foundation_sdk==//p' dashboards/requirements.txt)
PYTHONPATH=${LONGSTRIDE_CACHE:-$HOME/.cache/longstride}/grafana-sdk-$version /usr/bin/python3 -B dashboards/generate.py
