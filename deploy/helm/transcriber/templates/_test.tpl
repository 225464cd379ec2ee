{{- define "transcriber.testContainer" -}}
resources:
  requests: {cpu: 100m, memory: 128Mi}
  limits: {memory: 256Mi}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- if .Values.tls.secretName }}
  - {name: tls, mountPath: /run/secrets/tls, readOnly: true}
  {{- end }}
  {{- if .Values.test.apiKeySecretName }}
  - {name: test, mountPath: /run/secrets/test, readOnly: true}
  {{- end }}
{{- end -}}
