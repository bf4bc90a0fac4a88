{{- define "pilot.storeProbe" -}}
{{- $embedded := .Values.objectStore.embedded -}}
{{- $path := ternary $embedded.custom.readyPath "/minio/health/ready" (eq $embedded.flavor "custom") -}}
{{- if $path -}}
httpGet: {path: {{ $path | quote }}, port: s3}
{{- else -}}
tcpSocket: {port: s3}
{{- end -}}
{{- end -}}
