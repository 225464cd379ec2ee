{{/* A setting's value as its environment variable has it. */}}
{{- define "transcriber.settingText" -}}
{{- if kindIs "bool" . -}}
{{- ternary "1" "0" . -}}
{{- else if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if kindIs "float64" . -}}
{{- . | int64 -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* What every program reads: settings that were given, and the names of the secrets' files. dict "root" . "keys" (list). */}}
{{- define "transcriber.commonEnvironment" -}}
{{- range $name, $value := .root.Values.settings }}
{{- $text := include "transcriber.settingText" $value }}
{{- if ne $text "" }}
- name: TRANSCRIBER_{{ upper $name }}
  value: {{ $text | quote }}
{{- end }}
{{- end }}
{{- range .keys }}
- name: TRANSCRIBER_{{ upper . }}_FILE
  value: /run/secrets/transcriber/{{ . }}
{{- end }}
{{- end -}}

{{/* What a server reads besides: dict "root" . "drain" (seconds). */}}
{{- define "transcriber.serverEnvironment" -}}
{{- $root := .root -}}
{{ include "transcriber.commonEnvironment" (dict "root" $root "keys" (include "transcriber.serverSecretKeys" $root | fromJsonArray)) | trim }}
- name: TRANSCRIBER_HOST
  value: {{ $root.Values.listenHost | quote }}
- name: TRANSCRIBER_PORT
  value: "8080"
- name: TRANSCRIBER_METRICS_ADDRESS
  value: {{ ternary "[::]:9464" "0.0.0.0:9464" (eq $root.Values.listenHost "::") | quote }}
- name: TRANSCRIBER_DATA_DIR
  value: /data
- name: TRANSCRIBER_MODELS_DIR
  value: /models
- name: TRANSCRIBER_DRAIN_S
  value: {{ int64 .drain | quote }}
{{- if $root.Values.tls.secretName }}
- name: TRANSCRIBER_TLS_CERT
  value: /run/secrets/tls/tls.crt
- name: TRANSCRIBER_TLS_KEY
  value: /run/secrets/tls/tls.key
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
