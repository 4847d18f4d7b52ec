#!/usr/bin/env bash
# Regenerates what is generated, checks the format, and fails if that changed anything.
set -euo pipefail
cd "$(dirname "$0")/.."
LONGSTRIDE_UPDATE_DOCS=1 build/release/bin/core_spec_test --gtest_brief=1 --gtest_filter='*ManifestDocs*'
build/release/bin/longstride_metrics_doc >docs/metrics.md
build/release/bin/longstride_controller_metrics_doc >docs/controller-metrics.md
build/release/bin/longstride crd >charts/longstride/files/crd.yaml
scripts/dashboards.sh
python3 -B scripts/chart-readme.py
if scripts/helm.sh >/dev/null; then
  manifest=$(scripts/install-manifest.sh)
  printf '%s\n' "$manifest" >manifests/install.yaml
else
  echo "verify: manifests/install.yaml is not checked" >&2
fi
git ls-files '*.h' '*.cpp' | xargs clang-format-14 -i
# Modes are the checkout's affair. A generated file that git does not know yet is dirt, too.
new=$(git ls-files --others --exclude-standard docs charts dashboards manifests)
if ! git -c core.fileMode=false diff --exit-code --stat || [ -n "$new" ]; then
  echo "$new"
  echo "verify: the files above were stale, not formatted or not committed; they are right now, commit them" >&2
  exit 1
fi
echo "verify: everything generated is fresh, everything is formatted"
