{{/* What the world may ask for: dict "root" . "expose" ("all" or "twilio") "others" (bool). JSON: list of {path, exact, service}.
     "others": whether the proxy says X-Other-Servers, so that any server may answer the voice webhook with a stream; if not,
     one that has room must. Health and metrics are on no list. */}}
{{- define "transcriber.publicPaths" -}}
{{- $name := include "transcriber.fullname" .root -}}
{{- $media := printf "%s-media" $name -}}
{{- $api := printf "%s-api" $name -}}
{{- $paths := list (dict "path" "/v1/media" "exact" false "service" $media) (dict "path" "/v1/twiml" "exact" true "service" (ternary $api $media .others)) (dict "path" "/v1/stream-status" "exact" true "service" $api) -}}
{{- if eq .expose "all" -}}
{{- $paths = append $paths (dict "path" "/v1/sample-calls" "exact" true "service" $media) -}}
{{- range list "/v1" "/static" -}}{{- $paths = append $paths (dict "path" . "exact" false "service" $api) -}}{{- end -}}
{{- range list "/" "/docs" "/openapi.json" "/asyncapi.json" -}}{{- $paths = append $paths (dict "path" . "exact" true "service" $api) -}}{{- end -}}
{{- end -}}
{{- $paths | toJson -}}
{{- end -}}
