{{- define "longstride.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for the suffixes that are put behind it. */}}
{{- define "longstride.fullname" -}}
{{- $name := include "longstride.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Names of cluster-scoped objects: two releases in two namespaces must not share them. */}}
{{- define "longstride.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "longstride.fullname" .) }}
{{- end }}

{{- define "longstride.selector" -}}
app.kubernetes.io/name: {{ include "longstride.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "longstride.labels" -}}
{{ include "longstride.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: longstride
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "longstride.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "longstride.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Of a list: an image's values, and the tag that stands in for none. */}}
{{- define "longstride.reference" -}}
{{- $image := first . }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (last .) $image.tag) }}
{{- end }}
{{- end }}

{{- define "longstride.image" -}}
{{- include "longstride.reference" (list .Values.image .Chart.AppVersion) }}
{{- end }}

{{- define "longstride.workerImage" -}}
{{- include "longstride.reference" (list .Values.worker.image .Chart.AppVersion) }}
{{- end }}

{{/*
What runs the controller's image needs to pass the restricted Pod Security standard, together with podSecurityContext.
*/}}
{{- define "longstride.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
