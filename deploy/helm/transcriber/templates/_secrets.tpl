{{/* The keys that the Secret has, as JSON. */}}
{{- define "transcriber.secretKeys" -}}
{{- if .Values.secret.existing -}}
{{- .Values.secret.keys | sortAlpha | toJson -}}
{{- else -}}
{{- $keys := list -}}
{{- range $key, $value := .Values.secret.values -}}{{- if $value -}}{{- $keys = append $keys $key -}}{{- end -}}{{- end -}}
{{- $keys | sortAlpha | toJson -}}
{{- end -}}
{{- end -}}

{{/* Those that a server reads; a server has no business with a sender's secrets. */}}
{{- define "transcriber.serverSecretKeys" -}}
{{- $keys := list -}}
{{- range include "transcriber.secretKeys" . | fromJsonArray -}}
{{- if not (hasPrefix "webhook_secret" .) -}}{{- $keys = append $keys . -}}{{- end -}}
{{- end -}}
{{- $keys | toJson -}}
{{- end -}}

{{/* A volume with some keys of the Secret: dict "root" . "keys" (list). */}}
{{- define "transcriber.secretVolume" -}}
- name: secrets
  secret:
    secretName: {{ include "transcriber.secretName" .root | quote }}
    # The group is the pod's fsGroup.
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end -}}
