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

{{- /* Whom one ConfigMap has Job templates for: it holds at most 1 MiB, and a template takes some KiB. */ -}}
{{- define "pilot.jobShares" -}}
{{- chunk 50 (prepend .Values.clients (merge (dict "name" "base") .Values.trainer.base)) | toYaml -}}
{{- end -}}

{{- /* Takes root and index: the ConfigMap of one share. */ -}}
{{- define "pilot.jobsName" -}}
{{- include "pilot.fullname" .root }}-jobs{{ if .index }}-{{ .index }}{{ end -}}
{{- end -}}

{{- /* Takes root and clients. */ -}}
{{- define "pilot.jobs" -}}
apiVersion: pilot/v1alpha1
kind: JobTemplates
metadata:
  name: {{ include "pilot.fullname" .root }}
spec:
  namespace: {{ include "pilot.trainerNamespace" .root }}
  templates:
    {{- range .clients }}
    {{ .name }}:
      {{- include "pilot.jobTemplate" (dict "root" $.root "client" .) | nindent 6 }}
    {{- end }}
{{- end -}}

{{- /* A digest of all Job templates. */ -}}
{{- define "pilot.jobsDigest" -}}
{{- $digests := list -}}
{{- range include "pilot.jobShares" . | fromYamlArray -}}
{{- $digests = append $digests (include "pilot.jobs" (dict "root" $ "clients" .) | sha256sum) -}}
{{- end -}}
{{- join " " $digests | sha256sum | trunc 32 -}}
{{- end -}}

{{- /* The volume with all Job templates, a document for each share. */ -}}
{{- define "pilot.jobsVolume" -}}
- name: jobs
  projected:
    sources:
      {{- range $index, $_ := include "pilot.jobShares" . | fromYamlArray }}
      - configMap:
          name: {{ include "pilot.jobsName" (dict "root" $ "index" $index) }}
          items: [{key: jobs.yaml, path: jobs-{{ $index }}.yaml}]
      {{- end }}
{{- end -}}

{{- define "pilot.identities" -}}
{{- $namespace := include "pilot.trainerNamespace" . -}}
{{- range prepend .Values.clients (merge (dict "name" "base") .Values.trainer.base) }}
{{ $namespace }}/{{ include "pilot.clientServiceAccount" (dict "root" $ "client" .) }}: client:{{ .name }}
{{- end }}
{{- end -}}
