{{- /* A test pod. Takes root, name, script, serviceAccount (or none), env, mounts, volumes (YAML text). */ -}}
{{- define "pilot.testPod" -}}
{{- $labels := dict "root" .root "component" "test" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "pilot.fullname" .root }}-test-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "pilot.labels" $labels | nindent 4 }}
    {{- with .root.Values.hooks.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    helm.sh/hook: test
    # Kept for its log until the next test.
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  restartPolicy: Never
  activeDeadlineSeconds: {{ int .root.Values.hooks.deadlineSeconds }}
  {{- with .serviceAccount }}
  serviceAccountName: {{ . }}
  {{- end }}
  automountServiceAccountToken: {{ ne .serviceAccount "" }}
  enableServiceLinks: false
  {{- include "pilot.pullSecrets" .root | nindent 2 }}
  securityContext:
    {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  {{- include "pilot.placement" .root.Values.aggregator | nindent 2 }}
  containers:
    - name: test
      image: {{ include "pilot.image" (dict "root" .root "image" .root.Values.aggregator.image) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [python, /etc/pilot/scripts/{{ .script }}]
      securityContext:
        {{- toYaml .root.Values.securityContext | nindent 8 }}
      {{- with .env }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml .root.Values.hooks.resources | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - {name: scripts, mountPath: /etc/pilot/scripts, readOnly: true}
        - {name: scratch, mountPath: /tmp}
        {{- .mounts | nindent 8 }}
  volumes:
    - {name: scripts, configMap: {name: {{ include "pilot.fullname" .root }}-tests}}
    - {name: scratch, emptyDir: {sizeLimit: 64Mi}}
    {{- .volumes | nindent 4 }}
{{- end -}}
