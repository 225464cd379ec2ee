{{/* The pod of a server. dict "root" . "component" ("media" or "api") "drain" (seconds) "resources" "revision" "dataInPod" (bool) */}}
{{- define "transcriber.serverPod" -}}
{{- $values := .root.Values -}}
{{- $keys := include "transcriber.serverSecretKeys" .root | fromJsonArray -}}
{{- $media := eq .component "media" -}}
metadata:
  {{- include "transcriber.podMetadata" . | nindent 2 }}
spec:
  {{- include "transcriber.podBasics" . | nindent 2 }}
  {{- include "transcriber.spread" . | nindent 2 }}
  {{- if and $media $values.priorityClassName }}
  priorityClassName: {{ $values.priorityClassName | quote }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "transcriber.gracePeriod" . }}
  {{- if $values.models.pull }}
  initContainers:
    {{- include "transcriber.modelContainers" .root | nindent 4 }}
  {{- end }}
  containers:
    - name: transcriber
      image: {{ include "transcriber.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [serve{{ if not $media }}, --no-media{{ end }}]
      env:
        {{- include "transcriber.serverEnvironment" . | nindent 8 }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: 9464}
      {{- include "transcriber.probes" . | nindent 6 }}
      lifecycle:
        # SIGTERM drains by itself; the sleep lets proxies learn that the pod goes.
        preStop:
          sleep: {seconds: {{ int64 $values.preStopSeconds }}}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "transcriber.serverMounts" .root | nindent 8 }}
  volumes:
    {{- include "transcriber.secretVolume" (dict "root" .root "keys" $keys) | nindent 4 }}
    {{- include "transcriber.serverVolumes" . | nindent 4 }}
{{- end -}}

{{/* dict "root" . "component" (text). Pods without calls have no room to ask about. */}}
{{- define "transcriber.probes" -}}
{{- $values := .root.Values -}}
{{- $scheme := ternary "HTTPS" "HTTP" (ne $values.tls.secretName "") -}}
{{- $path := ternary $values.probes.readinessPath "/readyz?exclude=room" (eq .component "media") -}}
startupProbe:
  httpGet: {path: {{ $path | quote }}, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ max 1 (div (int64 $values.probes.startupSeconds) 2) }}
readinessProbe:
  httpGet: {path: {{ $path | quote }}, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 1
# A busy event loop is no reason to end live calls.
livenessProbe:
  httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{- define "transcriber.serverMounts" -}}
- {name: secrets, mountPath: /run/secrets/transcriber, readOnly: true}
- {name: data, mountPath: /data}
- {name: models, mountPath: /models, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.tls.secretName }}
- {name: tls, mountPath: /run/secrets/tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* dict "root" . "component" "dataInPod" (whether the data volume is the pod's own). */}}
{{- define "transcriber.serverVolumes" -}}
{{- $values := .root.Values -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if .dataInPod }}
- name: data
  {{- if and $values.data.existingClaim (eq .component "media") }}
  persistentVolumeClaim: {claimName: {{ $values.data.existingClaim | quote }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $values.data.emptyDirSize | quote }}}
  {{- end }}
{{- end }}
- name: models
  {{- if $values.models.existingClaim }}
  persistentVolumeClaim: {claimName: {{ $values.models.existingClaim | quote }}, readOnly: true}
  {{- else if $values.models.image }}
  image: {reference: {{ $values.models.image | quote }}, pullPolicy: {{ $values.image.pullPolicy }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $values.models.emptyDirSize | quote }}}
  {{- end }}
{{- if $values.tls.secretName }}
- name: tls
  secret: {secretName: {{ $values.tls.secretName | quote }}, defaultMode: 0440}
{{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
