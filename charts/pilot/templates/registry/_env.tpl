{{- define "pilot.registryEnv" -}}
{{- $values := .Values.registry -}}
- {name: PILOT_REGISTRY_STATE_DIR, value: /state}
- {name: PILOT_REGISTRY_KEYS, value: /etc/pilot/keys/keys.yaml}
- {name: PILOT_REGISTRY_HOST, value: "0.0.0.0"}
- {name: PILOT_REGISTRY_PORT, value: "8601"}
- {name: PILOT_REGISTRY_ALLOWED_HOSTS, value: {{ include "pilot.hosts" (dict "root" . "component" "registry") | fromYamlArray | join "," | quote }}}
- {name: PILOT_REGISTRY_LOG_FORMAT, value: json}
- {name: PILOT_REGISTRY_AGGREGATOR_URL, value: {{ include "pilot.url" (dict "root" . "component" "aggregator") | quote }}}
{{ include "pilot.storeEnv" . }}
{{- with $values.database }}
{{- if .existingSecret }}
- {name: PILOT_REGISTRY_DATABASE, valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}}
{{- end }}
{{- end }}
{{- if $values.tls.existingSecret }}
- {name: PILOT_REGISTRY_TLS_CERT_FILE, value: /etc/pilot/tls/tls.crt}
- {name: PILOT_REGISTRY_TLS_KEY_FILE, value: /etc/pilot/tls/tls.key}
{{- end }}
{{- if .Values.tls.ca.existingConfigMap }}
{{- /* Of the aggregator, whom the pages ask. SSL_CERT_FILE would count for the object store as well. */}}
- {name: PILOT_CA_FILE, value: /etc/pilot/ca/ca.crt}
{{- end }}
{{ include "pilot.authEnv" (dict "root" . "prefix" "PILOT_REGISTRY") }}
{{- end -}}
