{{- /* Takes on and weight. What is left of a failed hook can be looked at until the next try. */ -}}
{{- define "pilot.hookAnnotations" -}}
helm.sh/hook: {{ .on }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- /* The Secrets that the hook makes, as `keys=NAME objectstore=NAME`; empty where none is to be made by it. */ -}}
{{- define "pilot.hookSecrets" -}}
{{- $wanted := list -}}
{{- if eq .Values.auth.generate "hook" -}}
{{- if not .Values.auth.existingSecret -}}{{- $wanted = append $wanted (printf "keys=%s" (include "pilot.keysSecret" .)) -}}{{- end -}}
{{- if and (eq .Values.objectStore.mode "embedded") (not .Values.objectStore.existingSecret) -}}
{{- $wanted = append $wanted (printf "objectstore=%s" (include "pilot.storeSecret" .)) -}}
{{- end -}}
{{- end -}}
{{- join " " $wanted -}}
{{- end -}}
