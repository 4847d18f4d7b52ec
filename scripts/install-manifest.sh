#!/usr/bin/env bash
# Prints manifests/install.yaml: the chart with its defaults, for those who install with kubectl alone.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=$(scripts/helm.sh)

cat <<'YAML'
# Generated from charts/longstride by scripts/install-manifest.sh; do not edit.
#   kubectl apply --server-side -f manifests/install.yaml
# kubectl delete -f deletes the CustomResourceDefinition, and with it every job of the cluster.
apiVersion: v1
kind: Namespace
metadata:
  name: longstride-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
YAML
# What says that Helm manages the objects is left out: here it does not.
"$helm" template longstride charts/longstride --namespace longstride-system --kube-version 1.34.4 \
  --skip-tests --set crds.keep=false | sed '/helm\.sh\/chart:/d; /managed-by: Helm/d; /^# Source: /d'
