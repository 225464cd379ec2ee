{{- define "transcriber.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "transcriber.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "transcriber.labels" -}}
{{ include "transcriber.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: transcriber
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | quote }}
{{- end -}}

{{- define "transcriber.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "transcriber.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "transcriber.secretName" -}}
{{- default (include "transcriber.fullname" .) .Values.secret.existing -}}
{{- end -}}

{{- define "transcriber.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The host that Twilio dials, without a port, as Kubernetes wants it. */}}
{{- define "transcriber.publicHost" -}}
{{- regexFind "^(\\[.*\\]|[^:]*)" (urlParse .Values.settings.public_url).host | lower -}}
{{- end -}}

{{/* The component whose pods answer the API. */}}
{{- define "transcriber.apiComponent" -}}
{{- ternary "api" "media" .Values.api.enabled -}}
{{- end -}}
