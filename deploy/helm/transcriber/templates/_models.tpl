{{/* One container for each model, one after the other; a model that is there already is left alone. */}}
{{- define "transcriber.modelContainers" -}}
{{- $root := . -}}
{{- $mirror := has "model_mirror" (include "transcriber.secretKeys" . | fromJsonArray) -}}
{{- range $at, $model := .Values.models.pull }}
- name: model-{{ $at }}
  image: {{ include "transcriber.image" $root | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  args: [models, pull, {{ $model | quote }}]
  env:
    - name: TRANSCRIBER_DATA_DIR
      value: /data
    - name: TRANSCRIBER_MODELS_DIR
      value: /models
    {{- with $root.Values.settings.model_list_url }}
    - name: TRANSCRIBER_MODEL_LIST_URL
      value: {{ . | quote }}
    {{- end }}
    {{- if $mirror }}
    - name: TRANSCRIBER_MODEL_MIRROR_FILE
      value: /run/secrets/transcriber/model_mirror
    {{- end }}
  resources:
    {{- toYaml $root.Values.models.resources | nindent 4 }}
  securityContext:
    {{- toYaml $root.Values.securityContext | nindent 4 }}
  volumeMounts:
    - {name: secrets, mountPath: /run/secrets/transcriber, readOnly: true}
    - {name: data, mountPath: /data}
    - {name: models, mountPath: /models}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end -}}
