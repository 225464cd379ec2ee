{{/* What every pod has, whatever it runs. dict "root" . */}}
{{- define "transcriber.podBasics" -}}
serviceAccountName: {{ include "transcriber.serviceAccountName" .root | quote }}
automountServiceAccountToken: false
# A Service named like the chart would put variables of the settings' names into the pods.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a pod. dict "root" . "component" (text). */}}
{{- define "transcriber.podMetadata" -}}
labels:
  {{- include "transcriber.selectorLabels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # Pods are replaced when a secret of the chart changes; for one of your own: kubectl rollout restart.
  checksum/secret: {{ .root.Values.secret.values | toJson | sha256sum | quote }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* dict "root" . "component" (text) "revision" (label that a revision's pods share, or empty). */}}
{{- define "transcriber.spread" -}}
topologySpreadConstraints:
{{- if .root.Values.topologySpreadConstraints }}
  {{- toYaml .root.Values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "transcriber.selectorLabels" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
    {{- with $.revision }}
    matchLabelKeys: [{{ . }}]
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Seconds from a pod's end to its SIGKILL: the sleep, the drain, 30 s to write what was received, a reserve. */}}
{{- define "transcriber.gracePeriod" -}}
{{- add (int64 .root.Values.preStopSeconds) (int64 .drain) 30 15 -}}
{{- end -}}
