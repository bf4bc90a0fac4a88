{{- /* Takes root and image (registry, repository, tag, digest). */ -}}
{{- define "pilot.image" -}}
{{- $registry := .image.registry | default .root.Values.image.registry -}}
{{- if .image.digest -}}
{{- printf "%s/%s@%s" $registry .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s/%s:%s" $registry .image.repository (.image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "pilot.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Where and how a service's pod runs. Takes the component's values. */ -}}
{{- define "pilot.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* Probes of aggregator and registry: they answer to known host names only, and a kubelet asks by address. */ -}}
{{- define "pilot.probes" -}}
{{- $scheme := include "pilot.scheme" . | upper -}}
startupProbe:
  httpGet: {path: /livez, port: http, scheme: {{ $scheme }}, httpHeaders: [{name: Host, value: localhost}]}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 90
livenessProbe:
  httpGet: {path: /livez, port: http, scheme: {{ $scheme }}, httpHeaders: [{name: Host, value: localhost}]}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}, httpHeaders: [{name: Host, value: localhost}]}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 3
{{- end -}}

{{- /* Environment of whoever calls the services: the authorities that vouch for them. */ -}}
{{- define "pilot.caEnv" -}}
{{- if .Values.tls.ca.existingConfigMap }}
- {name: SSL_CERT_FILE, value: /etc/pilot/ca/ca.crt}
{{- end }}
{{- end -}}

{{- define "pilot.proxyMount" -}}
{{- if .Values.auth.proxy.existingSecret }}
- {name: proxy, mountPath: /etc/pilot/proxy, readOnly: true}
{{- end }}
{{- end -}}

{{- define "pilot.proxyVolume" -}}
{{- with .Values.auth.proxy.existingSecret }}
- name: proxy
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: proxy.yaml, path: proxy.yaml}]}
{{- end }}
{{- end -}}

{{- define "pilot.caMount" -}}
{{- if .Values.tls.ca.existingConfigMap }}
- {name: ca, mountPath: /etc/pilot/ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "pilot.caVolume" -}}
{{- with .Values.tls.ca }}
{{- if .existingConfigMap }}
- name: ca
  configMap: {name: {{ .existingConfigMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end -}}

{{- /* How the services tell who calls: trainers' tokens, and people whom a proxy names. Takes root and prefix. */ -}}
{{- define "pilot.authEnv" -}}
- {name: {{ .prefix }}_AUTH_MODE, value: {{ .root.Values.auth.mode }}}
{{- if ne .root.Values.auth.mode "keys" }}
- {name: {{ .prefix }}_AUTH_AUDIENCE, value: {{ .root.Values.auth.audience | quote }}}
- {name: {{ .prefix }}_AUTH_SERVICE_ACCOUNTS, value: /etc/pilot/identities/identities.yaml}
- {name: {{ .prefix }}_AUTH_NAMESPACE, value: {{ include "pilot.trainerNamespace" .root }}}
{{- with .root.Values.auth.issuer }}
- {name: {{ $.prefix }}_AUTH_ISSUER, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if .root.Values.auth.proxy.existingSecret }}
- {name: {{ .prefix }}_AUTH_PROXY, value: /etc/pilot/proxy/proxy.yaml}
{{- end }}
{{- end -}}

{{- /* How the registry, and whoever looks after its bucket, reaches the S3 server. */ -}}
{{- define "pilot.storeEnv" -}}
- {name: PILOT_REGISTRY_STORE, value: s3}
- {name: PILOT_REGISTRY_S3_ENDPOINT, value: {{ include "pilot.storeEndpoint" . | quote }}}
- {name: PILOT_REGISTRY_S3_BUCKET, value: {{ .Values.objectStore.bucket | quote }}}
- {name: PILOT_REGISTRY_S3_REGION, value: {{ .Values.objectStore.region | quote }}}
- {name: PILOT_REGISTRY_S3_ADDRESSING, value: {{ ternary "path" .Values.objectStore.addressing (eq .Values.objectStore.mode "embedded") }}}
- {name: PILOT_REGISTRY_S3_ACCESS_KEY_FILE, value: /etc/pilot/objectstore/access-key}
- {name: PILOT_REGISTRY_S3_SECRET_KEY_FILE, value: /etc/pilot/objectstore/secret-key}
{{- with .Values.objectStore.prefix }}
- {name: PILOT_REGISTRY_S3_PREFIX, value: {{ . | quote }}}
{{- end }}
{{- if and (eq .Values.objectStore.mode "external") .Values.objectStore.external.ca.existingConfigMap }}
- {name: PILOT_REGISTRY_S3_CA_FILE, value: /etc/pilot/objectstore-ca/ca.crt}
{{- end }}
{{- end -}}

{{- define "pilot.storeMounts" -}}
- {name: objectstore, mountPath: /etc/pilot/objectstore, readOnly: true}
{{- if and (eq .Values.objectStore.mode "external") .Values.objectStore.external.ca.existingConfigMap }}
- {name: objectstore-ca, mountPath: /etc/pilot/objectstore-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "pilot.storeVolumes" -}}
- name: objectstore
  secret: {secretName: {{ include "pilot.storeSecret" . }}, defaultMode: 0440}
{{- with .Values.objectStore.external.ca }}
{{- if and (eq $.Values.objectStore.mode "external") .existingConfigMap }}
- name: objectstore-ca
  configMap: {name: {{ .existingConfigMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end -}}

{{- /* A claim of the chart's own, kept on uninstall. Takes root, component, name, persistence. */ -}}
{{- define "pilot.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  namespace: {{ .namespace | default .root.Release.Namespace }}
  labels:
    {{- include "pilot.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
    {{- with .annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  accessModes: {{ .persistence.accessModes | default (list "ReadWriteOnce") | toJson }}
  {{- with .persistence.storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .persistence.size }}
{{- end -}}
