{{- define "pilot.fullname" -}}
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

{{- /* What a pod of a component is found by. Takes root and component. */ -}}
{{- define "pilot.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "pilot.labels" -}}
{{ include "pilot.selectorLabels" . }}
app.kubernetes.io/part-of: pilot
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Labels of pods and of what must not change with every release of the chart. */ -}}
{{- define "pilot.podLabels" -}}
{{ include "pilot.selectorLabels" . }}
app.kubernetes.io/part-of: pilot
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pilot.trainerNamespace" -}}
{{- .Values.trainer.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "pilot.keysSecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-keys" (include "pilot.fullname" .)) -}}
{{- end -}}

{{- define "pilot.storeSecret" -}}
{{- .Values.objectStore.existingSecret | default (printf "%s-objectstore" (include "pilot.fullname" .)) -}}
{{- end -}}

{{- /* Takes root, component and the component's values. */ -}}
{{- define "pilot.serviceAccount" -}}
{{- .values.serviceAccount.name | default (printf "%s-%s" (include "pilot.fullname" .root) .component) -}}
{{- end -}}

{{- /* Takes root and a client's values. */ -}}
{{- define "pilot.clientServiceAccount" -}}
{{- dig "serviceAccount" "name" "" .client | default (printf "%s-client-%s" (include "pilot.fullname" .root) .client.name) -}}
{{- end -}}

{{- define "pilot.stateClaim" -}}
{{- dig "state" "existingClaim" "" .client | default (printf "%s-state-%s" (include "pilot.fullname" .root) .client.name) -}}
{{- end -}}

{{- /* Takes a service's values. */ -}}
{{- define "pilot.scheme" -}}
{{- empty .tls.existingSecret | ternary "http" "https" -}}
{{- end -}}

{{- /* Takes root and component: where other pods reach a service. */ -}}
{{- define "pilot.url" -}}
{{- $values := get .root.Values .component -}}
{{- include "pilot.scheme" $values -}}
://{{ include "pilot.fullname" .root }}-{{ .component }}.{{ .root.Release.Namespace }}.svc:{{ $values.service.port }}
{{- end -}}

{{- /* A list, as YAML: under which names a service is asked for. */ -}}
{{- define "pilot.hosts" -}}
{{- $service := printf "%s-%s" (include "pilot.fullname" .root) .component -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $hosts := list "127.0.0.1" "localhost" "[::1]" $service (printf "%s.%s" $service $namespace) (printf "%s.%s.svc" $service $namespace) (printf "%s.%s.svc.%s" $service $namespace .root.Values.clusterDomain) -}}
{{- $key := printf "%sHost" .component -}}
{{- range list .root.Values.ingress .root.Values.httpRoute -}}
{{- if and .enabled (get . $key) -}}{{- $hosts = append $hosts (get . $key) -}}{{- end -}}
{{- end -}}
{{- concat $hosts (default list .root.Values.allowedHosts) | uniq | toYaml -}}
{{- end -}}

{{- define "pilot.storePort" -}}
{{- if eq .Values.objectStore.embedded.flavor "custom" -}}{{ .Values.objectStore.embedded.custom.port | int }}{{- else -}}9000{{- end -}}
{{- end -}}

{{- define "pilot.storeEndpoint" -}}
{{- if eq .Values.objectStore.mode "embedded" -}}
http://{{ include "pilot.fullname" . }}-objectstore.{{ .Release.Namespace }}.svc:{{ include "pilot.storePort" . }}
{{- else -}}
{{- .Values.objectStore.external.endpoint -}}
{{- end -}}
{{- end -}}
