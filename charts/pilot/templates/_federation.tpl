{{- define "pilot.federation" -}}
apiVersion: pilot/v1alpha1
kind: Federation
metadata:
  name: {{ .Values.federation.name }}
spec:
  models:
    {{- range .Values.models }}
    - name: {{ .name }}
      path: /models/{{ .name }}
      {{- with .license }}
      license: {{ . | quote }}
      {{- end }}
    {{- end }}
  tasks:
    {{- range .Values.federation.tasks }}
    - name: {{ .name }}
      {{- with .title }}
      title: {{ . | quote }}
      {{- end }}
    {{- end }}
  clients:
    {{- range .Values.clients }}
    - name: {{ .name }}
      task: {{ .task }}
      data: /data/{{ .name }}
      {{- if .disabled }}
      disabled: true
      {{- end }}
    {{- end }}
{{- end -}}

{{- define "pilot.jobs" -}}
apiVersion: pilot/v1alpha1
kind: JobTemplates
metadata:
  name: {{ include "pilot.fullname" . }}
spec:
  namespace: {{ include "pilot.trainerNamespace" . }}
  templates:
    base:
      {{- include "pilot.jobTemplate" (dict "root" . "client" (merge (dict "name" "base") .Values.trainer.base)) | nindent 6 }}
    {{- range .Values.clients }}
    {{ .name }}:
      {{- include "pilot.jobTemplate" (dict "root" $ "client" .) | nindent 6 }}
    {{- end }}
{{- end -}}

{{- define "pilot.identities" -}}
{{- $namespace := include "pilot.trainerNamespace" . -}}
{{- range prepend .Values.clients (merge (dict "name" "base") .Values.trainer.base) }}
{{ $namespace }}/{{ include "pilot.clientServiceAccount" (dict "root" $ "client" .) }}: client:{{ .name }}
{{- end }}
{{- end -}}
