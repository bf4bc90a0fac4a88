{{- /* Waits for the embedded store and makes its bucket: the registry itself never makes one. */ -}}
{{- define "pilot.bucketContainer" -}}
name: bucket
image: {{ include "pilot.image" (dict "root" . "image" .Values.registry.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [python, /etc/pilot/scripts/make_bucket.py]
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
env:
  {{- include "pilot.storeEnv" . | nindent 2 }}
resources:
  requests: {cpu: 50m, memory: 64Mi}
  limits: {memory: 256Mi}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - {name: scripts, mountPath: /etc/pilot/scripts, readOnly: true}
  - {name: scratch, mountPath: /tmp}
  {{- include "pilot.storeMounts" . | nindent 2 }}
{{- end -}}
