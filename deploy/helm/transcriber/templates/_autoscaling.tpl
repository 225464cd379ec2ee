{{/* Up at once, down slowly: a pod that goes drains for as long as its longest call. */}}
{{- define "transcriber.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - {type: Percent, value: 100, periodSeconds: 15}
    - {type: Pods, value: 4, periodSeconds: 15}
scaleDown:
  stabilizationWindowSeconds: {{ int64 .Values.autoscaling.scaleDown.stabilizationSeconds }}
  selectPolicy: Max
  policies:
    - {type: Percent, value: {{ int64 .Values.autoscaling.scaleDown.percentPerMinute }}, periodSeconds: 60}
    - {type: Pods, value: 1, periodSeconds: 60}
{{- end -}}

{{/* PromQL: the tracks that there should be room for. Draining pods no longer belong to the replicas. */}}
{{- define "transcriber.neededTracks" -}}
{{- $pods := printf "namespace=%q,service=%q" .Release.Namespace (printf "%s-pods" (include "transcriber.fullname" .)) -}}
{{- printf "sum(transcriber_tracks_live{%s} unless on (namespace, pod) (transcriber_draining{%s} == 1)) / %.2f" $pods $pods (divf (sub 100 (int64 .Values.autoscaling.headroomPercent)) 100) -}}
{{- end -}}
