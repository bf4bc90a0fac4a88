{{- /* A client's trainer: the values of `trainer` with the client's own over them. Takes root and client. */ -}}
{{- define "pilot.trainerValues" -}}
{{- $own := omit .client "name" "task" "data" "disabled" -}}
{{- (include "pilot.patch" (dict "base" (omit .root.Values.trainer "namespace" "base") "patch" $own "at" "") | fromYaml).value | toYaml -}}
{{- end -}}

{{- /*
Where a model or a client's data come from: a map of volumes, mounts and initContainers. Takes root, source, name (of
the volume) and mountPath. From an image they are copied, because volumes of images are not everywhere.
*/ -}}
{{- define "pilot.source" -}}
{{- if .source.image }}
volumes:
  - {name: {{ .name }}, emptyDir: {}}
mounts:
  - {name: {{ .name }}, mountPath: {{ .mountPath }}, readOnly: true}
initContainers:
  - name: copy-{{ .name }}
    image: {{ include "pilot.image" (dict "root" .root "image" .source.image) }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [cp, -r, {{ printf "%s/." (trimSuffix "/" .source.path) | quote }}, {{ printf "%s/" .mountPath | quote }}]
    securityContext:
      {{- toYaml .root.Values.securityContext | nindent 6 }}
    resources:
      requests: {cpu: 50m, memory: 64Mi}
      limits: {memory: 256Mi}
    volumeMounts:
      - {name: {{ .name }}, mountPath: {{ .mountPath }}}
{{- else }}
volumes:
  - name: {{ .name }}
    {{- if .source.volume }}
    {{- toYaml .source.volume | nindent 4 }}
    {{- else }}
    persistentVolumeClaim: {claimName: {{ .source.existingClaim | default .claim }}, readOnly: true}
    {{- end }}
mounts:
  - name: {{ .name }}
    mountPath: {{ .mountPath }}
    readOnly: true
    {{- with .source.path | default "" | trimAll "/" }}
    subPath: {{ . | quote }}
    {{- end }}
initContainers: []
{{- end }}
{{- end -}}

{{- define "pilot.modelVolume" -}}
model-{{ . | replace "." "-" }}
{{- end -}}

{{- define "pilot.modelClaim" -}}
{{- printf "%s-model-%s" (include "pilot.fullname" .root) (.name | replace "." "-") -}}
{{- end -}}

{{- /* One template of a Job, as the aggregator takes it. Takes root and client (`base` without task and data). */ -}}
{{- define "pilot.jobTemplate" -}}
{{- $root := .root -}}
{{- $client := .client -}}
{{- $trainer := include "pilot.trainerValues" . | fromYaml -}}
{{- $sources := list -}}
{{- range $root.Values.models -}}
{{- $claim := include "pilot.modelClaim" (dict "root" $root "name" .name) -}}
{{- $path := .path -}}
{{- $sources = append $sources (include "pilot.source" (dict "root" $root "source" . "claim" $claim "name" (include "pilot.modelVolume" .name) "mountPath" (printf "/models/%s" .name)) | fromYaml) -}}
{{- end -}}
{{- if $client.data -}}
{{- $sources = append $sources (include "pilot.source" (dict "root" $root "source" $client.data "name" "data" "mountPath" (printf "/data/%s" $client.name)) | fromYaml) -}}
{{- end -}}
{{- $pod := include "pilot.trainerPod" (dict "root" $root "client" $client "trainer" $trainer "sources" $sources) | fromYaml -}}
{{- if hasKey $pod "Error" -}}{{- fail (printf "the pod template of %s is no YAML: %s" $client.name $pod.Error) -}}{{- end -}}
{{- $pod = (include "pilot.patch" (dict "base" $pod "patch" (default dict $trainer.podTemplate) "at" "") | fromYaml).value -}}
{{- $names := list -}}
{{- range (dig "spec" "containers" list $pod) -}}{{- $names = append $names .name -}}{{- end -}}
{{- if not (has "trainer" $names) -}}
{{- fail (printf "podTemplate of %s leaves the containers %s: the one called trainer must stay" $client.name (join ", " $names | default "none")) -}}
{{- end -}}
metadata:
  labels:
    {{- include "pilot.podLabels" (dict "root" $root "component" "trainer") | nindent 4 }}
    {{- with $trainer.queue.name }}
    kueue.x-k8s.io/queue-name: {{ . }}
    {{- end }}
    {{- with $trainer.queue.priorityClass }}
    kueue.x-k8s.io/priority-class: {{ . }}
    {{- end }}
    {{- with $trainer.queue.maxExecSeconds }}
    kueue.x-k8s.io/max-exec-time-seconds: {{ . | int | quote }}
    {{- end }}
    {{- with $trainer.jobLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $trainer.jobAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  template:
    {{- toYaml $pod | nindent 4 }}
{{- end -}}

{{- define "pilot.trainerPod" -}}
{{- $root := .root -}}
{{- $trainer := .trainer -}}
{{- $client := .client -}}
{{- $gpus := int $trainer.gpu.count -}}
metadata:
  labels:
    {{- include "pilot.podLabels" (dict "root" $root "component" "trainer") | nindent 4 }}
    {{- with $trainer.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $trainer.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "pilot.clientServiceAccount" (dict "root" $root "client" $client) }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int $trainer.terminationGracePeriodSeconds }}
  {{- include "pilot.pullSecrets" $root | nindent 2 }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- include "pilot.placement" $trainer | nindent 2 }}
  {{- with $trainer.resourceClaims }}
  resourceClaims:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $initial := list }}
  {{- range .sources }}{{ $initial = concat $initial .initContainers }}{{ end }}
  {{- with $initial }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: trainer
      image: {{ include "pilot.image" (dict "root" $root "image" $trainer.image) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      securityContext:
        {{- toYaml $root.Values.securityContext | nindent 8 }}
      env:
        {{- $own := include "pilot.trainerEnv" (dict "root" $root "trainer" $trainer) }}
        {{- include "pilot.env" (dict "own" $own "extra" $trainer.extraEnv) | nindent 8 }}
      {{- with $trainer.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- $resources := deepCopy (default dict $trainer.resources) }}
      {{- if gt $gpus 0 }}
      {{- $_ := set $resources "limits" (set (default dict $resources.limits) $trainer.gpu.resourceName $gpus) }}
      {{- end }}
      {{- with $trainer.resourceClaims }}
      {{- $names := list }}
      {{- range . }}{{ $names = append $names (dict "name" .name) }}{{ end }}
      {{- $_ := set $resources "claims" $names }}
      {{- end }}
      resources:
        {{- toYaml $resources | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - {name: token, mountPath: /var/run/secrets/pilot, readOnly: true}
        - {name: state, mountPath: /state}
        - {name: scratch, mountPath: /tmp}
        - {name: shared-memory, mountPath: /dev/shm}
        {{- include "pilot.caMount" $root | nindent 8 }}
        {{- range .sources }}
        {{- toYaml .mounts | nindent 8 }}
        {{- end }}
        {{- with $trainer.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: token
      projected:
        defaultMode: 0440
        sources:
          - serviceAccountToken: {audience: {{ $root.Values.auth.audience | quote }}, path: token, expirationSeconds: 3600}
    - name: state
      {{- if $client.task }}
      persistentVolumeClaim: {claimName: {{ include "pilot.stateClaim" (dict "root" $root "client" $client) }}}
      {{- else }}
      emptyDir: {}
      {{- end }}
    - {name: scratch, emptyDir: {sizeLimit: {{ $trainer.scratchSize }}}}
    - {name: shared-memory, emptyDir: {medium: Memory, sizeLimit: {{ $trainer.shmSize }}}}
    {{- include "pilot.caVolume" $root | nindent 4 }}
    {{- range .sources }}
    {{- toYaml .volumes | nindent 4 }}
    {{- end }}
    {{- with $trainer.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "pilot.trainerEnv" -}}
- {name: PILOT_INCARNATION, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
- {name: PILOT_TOKEN_FILE, value: /var/run/secrets/pilot/token}
- {name: PILOT_STATE_DIR, value: /state}
- {name: OMP_NUM_THREADS, value: {{ .trainer.threads | int | quote }}}
- {name: HF_HUB_OFFLINE, value: "1"}
{{- include "pilot.caEnv" .root }}
{{- end -}}
