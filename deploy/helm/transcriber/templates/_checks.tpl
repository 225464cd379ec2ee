{{/* Rules that several values make together, each with the path of what to set. Included once, by the workload. */}}
{{- define "transcriber.checks" -}}
{{- $keys := include "transcriber.secretKeys" . | fromJsonArray -}}
{{- $where := ternary "secret.keys" "secret.values" (ne .Values.secret.existing "") -}}
{{- if not (has "redis_url" $keys) -}}
{{- fail (printf "%s: redis_url is missing: servers need one Redis, which this chart does not install" $where) -}}
{{- end -}}
{{- if not (or (has "api_keys" $keys) .Values.settings.insecure) -}}
{{- fail (printf "%s: api_keys is missing: each pod would make a key of its own (make one with `transcriber key`)" $where) -}}
{{- end -}}
{{- if and (has "twilio_auth_token" $keys) (not .Values.settings.public_url) -}}
{{- fail "settings.public_url: needed with a Twilio auth token, as signatures cover the address that Twilio dials" -}}
{{- end -}}
{{- if and .Values.secret.existing .Values.secret.values -}}
{{- fail "secret.values: of no use while secret.existing names a Secret: leave one of them empty" -}}
{{- end -}}
{{- include "transcriber.edgeChecks" . -}}
{{- include "transcriber.conflictChecks" . -}}
{{- include "transcriber.storageChecks" . -}}
{{- include "transcriber.webhookChecks" (dict "root" . "keys" $keys "where" $where) -}}
{{- if and (ne .Values.autoscaling.kind "none") (le (int .Values.autoscaling.tracksPerPod) 0) -}}
{{- fail "autoscaling.tracksPerPod: needed: transcriber_tracks_capacity of one pod with these resources and this model" -}}
{{- end -}}
{{- if and (ne .Values.autoscaling.kind "none") (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas: more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and (eq .Values.kind "Deployment") (eq (toString .Values.strategy.maxSurge | trimSuffix "%") "0") (eq (toString .Values.strategy.maxUnavailable | trimSuffix "%") "0") -}}
{{- fail "strategy.maxSurge: it and strategy.maxUnavailable cannot both be 0" -}}
{{- end -}}
{{- end -}}

{{- define "transcriber.edgeChecks" -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- if not .Values.settings.public_url -}}
{{- fail "settings.public_url: needed with an ingress or an HTTPRoute: the address that Twilio dials" -}}
{{- end -}}
{{- if not .Values.settings.trusted_proxies -}}
{{- fail "settings.trusted_proxies: needed with an ingress or an HTTPRoute: the network of the proxy's pods" -}}
{{- end -}}
{{- if not (has (urlParse .Values.settings.public_url).path (list "" "/")) -}}
{{- fail "settings.public_url: a path prefix needs a proxy that strips it; the chart's ingress and HTTPRoute do not" -}}
{{- end -}}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])*[a-z]([a-z0-9-]*[a-z0-9])?$" (include "transcriber.publicHost" .)) -}}
{{- fail "settings.public_url: an ingress or an HTTPRoute takes a host name, not an address" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: needed: the Gateway to attach to" -}}
{{- end -}}
{{- end -}}

{{- define "transcriber.storageChecks" -}}
{{- if and .Values.settings.journal (eq .Values.kind "Deployment") (not .Values.data.existingClaim) -}}
{{- fail "settings.journal: an emptyDir goes with its pod, and the journal with it: set kind: StatefulSet or data.existingClaim" -}}
{{- end -}}
{{- if and .Values.data.existingClaim (eq .Values.kind "StatefulSet") -}}
{{- fail "data.existingClaim: a StatefulSet makes a volume for each pod: use kind: Deployment with a claim that all share" -}}
{{- end -}}
{{- $given := 0 -}}
{{- range list .Values.models.pull .Values.models.existingClaim .Values.models.image -}}{{- if . -}}{{- $given = add1 $given -}}{{- end -}}{{- end -}}
{{- if gt (int $given) 1 -}}
{{- fail "models: give one of pull, existingClaim and image" -}}
{{- end -}}
{{- end -}}

{{- define "transcriber.webhookChecks" -}}
{{- $names := list -}}
{{- range $at, $hook := .root.Values.webhooks -}}
{{- $key := default "webhook_secret" $hook.secretKey -}}
{{- if not (has $key $.keys) -}}
{{- fail (printf "%s: %s is missing, which webhooks[%d] signs with" $.where $key $at) -}}
{{- end -}}
{{- if has $hook.name $names -}}
{{- fail (printf "webhooks[%d].name: %s is there already" $at $hook.name) -}}
{{- end -}}
{{- $names = append $names $hook.name -}}
{{- end -}}
{{- end -}}
