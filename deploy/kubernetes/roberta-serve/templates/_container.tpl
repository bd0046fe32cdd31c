{{/* The environment of the service: its settings, and what the chart mounts. */}}
{{- define "roberta.env" -}}
{{- $values := .Values -}}
{{- range $name, $value := $values.settings }}
- name: ROBERTA_{{ upper $name }}
  value: {{ include "roberta.setting" $value | quote }}
{{- end }}
{{- if or $values.models.image $values.models.claim }}
- name: ROBERTA_MODELS
  value: /bundles{{ if and $values.models.image (eq $values.models.mount "volume") }}{{ $values.models.path }}{{ end }}
{{- end }}
{{- with $values.models.hub }}
- name: ROBERTA_MODEL
  value: {{ join " " . | quote }}
{{- end }}
{{- with $values.models.tokenSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $values.models.tokenKey }}}
{{- end }}
{{- if $values.keys.secret }}
- name: ROBERTA_API_KEYS_FILE
  value: /run/secrets/roberta/{{ $values.keys.key }}
{{- end }}
{{- if $values.gpu.count }}
- name: ROBERTA_DEVICE
  value: cuda
- name: ROBERTA_GPUS
  value: {{ until (int $values.gpu.count) | toJson | quote }}
{{- end }}
{{- with $values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "roberta.volumes" -}}
{{- $values := .Values -}}
- name: temporary
  emptyDir: {sizeLimit: {{ $values.resources.temporary }}}
- name: cache
  {{- with include "roberta.cacheClaim" . }}
  persistentVolumeClaim: {claimName: {{ . }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $values.cache.size }}}
  {{- end }}
{{- if $values.models.image }}
- name: models
  {{- if eq $values.models.mount "volume" }}
  image: {reference: {{ $values.models.image }}, pullPolicy: {{ $values.models.pullPolicy }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- else if $values.models.claim }}
- name: models
  persistentVolumeClaim: {claimName: {{ $values.models.claim }}, readOnly: true}
{{- end }}
{{- if $values.keys.secret }}
# A folder, not a file of it: the service follows a Secret that is changed.
- name: keys
  secret: {secretName: {{ $values.keys.secret }}, defaultMode: 0440}
{{- end }}
{{- with $values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
