{{- /*
Whether a Lease decides which aggregator leads. Also for one on Postgres: a second one may come by an upgrade, or because a lost
node still runs the first.
*/ -}}
{{- define "pilot.elects" -}}
{{- if and .Values.aggregator.database.existingSecret (eq .Values.aggregator.backend "kubernetes") -}}true{{- end -}}
{{- end -}}

{{- define "pilot.aggregatorEnv" -}}
{{- $values := .Values.aggregator -}}
- {name: PILOT_AGGREGATOR_BACKEND, value: {{ $values.backend }}}
- {name: PILOT_AGGREGATOR_JOB_TEMPLATES, value: /etc/pilot/jobs}
- {name: PILOT_AGGREGATOR_JOB_TTL_S, value: {{ int $values.jobTtlSeconds | quote }}}
- {name: PILOT_AGGREGATOR_STATE_DIR, value: /state}
- {name: PILOT_AGGREGATOR_FEDERATION, value: /etc/pilot/federation/federation.yaml}
- {name: PILOT_AGGREGATOR_KEYS, value: /etc/pilot/keys/keys.yaml}
- {name: PILOT_AGGREGATOR_KEY_DIR, value: /etc/pilot/keys}
- {name: PILOT_AGGREGATOR_REGISTRY_URL, value: {{ include "pilot.url" (dict "root" . "component" "registry") | quote }}}
- {name: PILOT_AGGREGATOR_PUBLIC_URL, value: {{ include "pilot.url" (dict "root" . "component" "aggregator") | quote }}}
- {name: PILOT_AGGREGATOR_HOST, value: "0.0.0.0"}
- {name: PILOT_AGGREGATOR_PORT, value: "8600"}
- {name: PILOT_AGGREGATOR_ALLOWED_HOSTS, value: {{ include "pilot.hosts" (dict "root" . "component" "aggregator") | fromYamlArray | toJson | quote }}}
- {name: PILOT_AGGREGATOR_POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
{{- with $values.database }}
{{- if .existingSecret }}
- {name: PILOT_AGGREGATOR_DATABASE_URL, valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}}
{{- end }}
{{- end }}
{{- if include "pilot.elects" . }}
- {name: PILOT_AGGREGATOR_LEASE, value: {{ include "pilot.fullname" . }}-aggregator}
{{- end }}
{{- if $values.tls.existingSecret }}
- {name: PILOT_AGGREGATOR_TLS_CERT_FILE, value: /etc/pilot/tls/tls.crt}
- {name: PILOT_AGGREGATOR_TLS_KEY_FILE, value: /etc/pilot/tls/tls.key}
{{- end }}
{{- if $values.webhook.url }}
- {name: PILOT_AGGREGATOR_WEBHOOK_URL, value: {{ $values.webhook.url | quote }}}
- {name: PILOT_AGGREGATOR_WEBHOOK_SECRET_FILE, value: /etc/pilot/webhook/secret}
{{- end }}
{{ include "pilot.authEnv" (dict "root" . "prefix" "PILOT_AGGREGATOR") }}
{{- include "pilot.caEnv" . }}
{{- end -}}
