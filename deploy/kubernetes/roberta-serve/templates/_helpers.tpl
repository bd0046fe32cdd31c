{{- define "roberta.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "roberta.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "roberta.labels" -}}
{{ include "roberta.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* A setting as the environment has it: lists and tables as JSON. */}}
{{- define "roberta.setting" -}}
{{- if or (kindIs "map" .) (kindIs "slice" .) }}{{ toJson . }}{{ else if kindIs "float64" . }}{{ if eq . (floor .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "roberta.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (ternary "gpu" "cpu" (gt (int .Values.gpu.count) 0)) }}
{{- end }}

{{- define "roberta.scheme" -}}
{{ if .Values.settings.ssl_certfile }}https{{ else }}http{{ end }}
{{- end }}

{{/* Seconds from SIGTERM to SIGKILL: what the service takes at most, and some for its end. */}}
{{- define "roberta.grace" -}}
{{- add (ceil (addf .Values.settings.shutdown_delay_s .Values.settings.drain_timeout_s) | int) 10 }}
{{- end }}

{{- define "roberta.cacheClaim" -}}
{{- if .Values.cache.claim }}{{ .Values.cache.claim }}{{ else if .Values.cache.create }}{{ include "roberta.name" . }}-cache{{ end }}
{{- end }}
