{{/* What Kubernetes or a pod would refuse, or drop without a word, only after the install; each with the path of what to set. */}}
{{- define "transcriber.conflictChecks" -}}
{{- $name := include "transcriber.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "fullnameOverride: %s is no name of a Service: set one of a-z, 0-9 and -, which begins with a letter" $name) -}}
{{- end -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- if hasKey $.Values.podLabels $label -}}
{{- fail (printf "podLabels: %s is what the chart selects its pods by" $label) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.podAnnotations "checksum/secret" -}}
{{- fail "podAnnotations: checksum/secret is the chart's: by it pods are replaced when a secret changes" -}}
{{- end -}}
{{- include "transcriber.extraChecks" . -}}
{{- include "transcriber.networkChecks" . -}}
{{- end -}}

{{- define "transcriber.extraChecks" -}}
{{- range $at, $item := .Values.extraEnv -}}
{{- if hasPrefix "TRANSCRIBER_" $item.name -}}
{{- fail (printf "extraEnv[%d].name: %s is a setting: give it in `settings` or `secret`, or by the value that the chart makes it of" $at $item.name) -}}
{{- end -}}
{{- end -}}
{{- range $at, $item := .Values.extraVolumes -}}
{{- if has $item.name (list "secrets" "data" "models" "tmp" "tls") -}}
{{- fail (printf "extraVolumes[%d].name: %s is a volume of the chart" $at $item.name) -}}
{{- end -}}
{{- end -}}
{{- range $at, $item := .Values.extraVolumeMounts -}}
{{- $path := clean $item.mountPath -}}
{{- if has $path (list "/run/secrets/transcriber" "/data" "/models" "/tmp" "/run/secrets/tls") -}}
{{- fail (printf "extraVolumeMounts[%d].mountPath: %s is mounted by the chart" $at $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the network policy would drop. */}}
{{- define "transcriber.networkChecks" -}}
{{- $policy := .Values.networkPolicy -}}
{{- range $at, $hook := .Values.webhooks -}}
{{- include "transcriber.receiverChecks" (dict "policy" $policy "at" $at "hook" $hook) -}}
{{- end -}}
{{- if and $policy.enabled (not $policy.extraEgress) (not .Values.secret.existing) -}}
{{- $hosts := regexReplaceAll "^[a-z+]+://([^/]*@)?" (toString .Values.secret.values.redis_url) "" | splitList "/" | first -}}
{{- range splitList "," $hosts -}}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" -}}
{{- if and $port (not (has (float64 $port) $policy.redisPorts)) -}}
{{- fail (printf "networkPolicy.redisPorts: %s is missing, the port of secret.values.redis_url" $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A receiver in the sender's own pod is no business of the policy. dict "policy" . "at" (number) "hook" . */}}
{{- define "transcriber.receiverChecks" -}}
{{- $url := urlParse .hook.url -}}
{{- $inPod := regexMatch "^(localhost|127[.][0-9.]+|\\[::1\\])(:[0-9]+)?$" $url.host -}}
{{- if $url.userinfo -}}
{{- fail (printf "webhooks[%d].url: it must not hold a password; receivers check signatures" .at) -}}
{{- end -}}
{{- if and (eq $url.scheme "http") (not $inPod) (not (has "--allow-http" .hook.args)) -}}
{{- fail (printf "webhooks[%d].url: senders refuse http beyond their own pod: use https, or args: [--allow-http]" .at) -}}
{{- end -}}
{{- if and .policy.enabled (not .policy.extraEgress) (not $inPod) -}}
{{- if ne (regexFind ":[0-9]+$" $url.host | default (ternary ":443" ":80" (eq $url.scheme "https"))) ":443" -}}
{{- fail (printf "webhooks[%d].url: the network policy lets out port 443 of public addresses only: let senders out to %s in networkPolicy.extraEgress" .at $url.host) -}}
{{- end -}}
{{- if not .policy.internet -}}
{{- fail (printf "networkPolicy.internet: without it, or a rule in networkPolicy.extraEgress, webhooks[%d] reaches nobody" .at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
