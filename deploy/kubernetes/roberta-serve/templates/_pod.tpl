{{/* The Deployment of one track. Takes root and track; .root.Values are those of the track. */}}
{{- define "roberta.deployment" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $pods := int (ternary $values.autoscaling.min .replicas (and (eq .track "stable") (ne $values.autoscaling.kind ""))) -}}
{{- $gpuIsScarce := and $values.gpu.count (gt $pods 1) -}}
{{- $cacheIsOnOneNode := and $values.cache.create (ne $values.cache.accessMode "ReadWriteMany") -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "roberta.name" $root }}{{ if eq .track "canary" }}-canary{{ end }}
  labels:
    {{- include "roberta.labels" $root | nindent 4 }}
    track: {{ .track }}
spec:
  {{- if or (eq .track "canary") (not $values.autoscaling.kind) }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  # Longer than a pod may take to start, and then to load.
  progressDeadlineSeconds: {{ add (int $values.startSeconds) 600 }}
  strategy:
    type: RollingUpdate
    # A GPU is seldom free: the old pod goes before the new one comes, as long as another one answers. A volume of one
    # node has to be let go before another node can have it.
    rollingUpdate: {{ if or $gpuIsScarce $cacheIsOnOneNode }}{maxSurge: 0, maxUnavailable: 1}{{ else }}{maxSurge: 1, maxUnavailable: 0}{{ end }}
  selector:
    matchLabels:
      {{- include "roberta.selector" $root | nindent 6 }}
      track: {{ .track }}
  template:
    metadata:
      labels:
        {{- include "roberta.labels" $root | nindent 8 }}
        track: {{ .track }}
        {{- with $values.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      annotations:
        kubectl.kubernetes.io/default-container: roberta
        {{- with $values.podAnnotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      {{- include "roberta.pod" (dict "root" $root "track" .track) | nindent 6 }}
{{- end }}

{{/* Where the image can be had and run. */}}
{{- define "roberta.placement" }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- if or .Values.tolerations .Values.gpu.count }}
tolerations:
  {{- if .Values.gpu.count }}
  - {key: {{ .Values.gpu.resource }}, operator: Exists, effect: NoSchedule}
  {{- end }}
  {{- with .Values.tolerations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}

{{- define "roberta.pod" -}}
{{- $values := .root.Values -}}
automountServiceAccountToken: false
# A Service named roberta would set ROBERTA_PORT to an address.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "roberta.grace" .root }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- include "roberta.placement" .root }}
{{- with $values.priorityClass }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.gpu.runtimeClass }}
runtimeClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "roberta.selector" $.root | nindent 8 }}
  {{- end }}
{{- with $values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- if and $values.models.image (eq $values.models.mount "copy") }}
initContainers:
  - name: models
    image: {{ $values.models.image }}
    imagePullPolicy: {{ $values.models.pullPolicy }}
    command: [cp, -R, {{ $values.models.path }}/., /bundles/]
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    resources:
      requests: {cpu: 100m, memory: 64Mi}
      limits: {memory: 256Mi}
    volumeMounts:
      - {name: models, mountPath: /bundles}
{{- end }}
containers:
  - name: roberta
    image: {{ include "roberta.image" .root }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    ports:
      - {name: http, containerPort: 8000}
      - {name: admin, containerPort: 8001}
    env: {{- include "roberta.env" .root | trim | nindent 6 }}
    # All on the admin port, which answers however busy the service is. Until it is open, models are fetched.
    startupProbe:
      httpGet: {path: /health/live, port: admin}
      periodSeconds: 2
      failureThreshold: {{ ceil (divf $values.startSeconds 2) }}
      timeoutSeconds: 5
    # Red while models load, while no engine can answer, and from SIGTERM on.
    readinessProbe:
      httpGet: {path: /health/ready, port: admin}
      periodSeconds: 2
      failureThreshold: 2
      timeoutSeconds: 5
    # Red only where a restart helps. The kernel may stop everything for seconds: it is asked for half a minute.
    livenessProbe:
      httpGet: {path: /health/live, port: admin}
      periodSeconds: 10
      failureThreshold: 3
      timeoutSeconds: 5
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    resources:
      {{- $amounts := dict "cpu" $values.resources.cpu "memory" $values.resources.memory }}
      {{- if $values.gpu.count }}{{ $_ := set $amounts $values.gpu.resource $values.gpu.count }}{{ end }}
      requests: {{ toJson $amounts }}
      limits: {{ toJson $amounts }}
    volumeMounts:
      - {name: temporary, mountPath: /tmp}
      - {name: cache, mountPath: /cache}
      {{- if or $values.models.image $values.models.claim }}
      - {name: models, mountPath: /bundles, readOnly: true}
      {{- end }}
      {{- if $values.keys.secret }}
      - {name: keys, mountPath: /run/secrets/roberta, readOnly: true}
      {{- end }}
      {{- with $values.volumeMounts }}{{ toYaml . | nindent 6 }}{{ end }}
volumes:
  {{- include "roberta.volumes" .root | nindent 2 }}
{{- end }}
