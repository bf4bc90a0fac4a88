{{- /* Faults that the schema cannot see, as a list of sentences (YAML). Each names its key. */ -}}
{{- define "pilot.faults" -}}
{{- $faults := list -}}
{{- $values := .Values -}}
{{- if not $values.image.registry -}}
{{- $faults = append $faults "image.registry is empty: name the registry that holds the images (`make images REGISTRY=... PUSH=1`), or write localhost where every node has them" -}}
{{- end -}}
{{- $name := include "pilot.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- $faults = append $faults (printf "objects would be called %q, from the release's name or nameOverride: names of Services have lower-case letters, digits and hyphens, and begin with a letter; choose another, or set fullnameOverride" $name) -}}
{{- end -}}
{{- if and (gt (int $values.aggregator.replicas) 1) (not $values.aggregator.database.existingSecret) -}}
{{- $faults = append $faults (printf "aggregator.replicas is %d: SQLite has one writer; give a Postgres in aggregator.database.existingSecret, or leave 1" (int $values.aggregator.replicas)) -}}
{{- end -}}
{{- if and (gt (int $values.aggregator.replicas) 1) (eq $values.aggregator.backend "local") -}}
{{- $faults = append $faults (printf "aggregator.replicas is %d: with aggregator.backend=local each would train by itself; leave 1" (int $values.aggregator.replicas)) -}}
{{- end -}}
{{- if and (gt (int $values.aggregator.replicas) 1) $values.aggregator.persistence.existingClaim -}}
{{- $faults = append $faults (printf "aggregator.persistence.existingClaim is %q: %d pods cannot share one volume; leave it empty, state is in Postgres" $values.aggregator.persistence.existingClaim (int $values.aggregator.replicas)) -}}
{{- end -}}
{{- if gt (int $values.registry.replicas) 1 -}}
{{- $faults = append $faults (printf "registry.replicas is %d: one process works over the registry's staging folder; leave 1" (int $values.registry.replicas)) -}}
{{- end -}}
{{- if and $values.aggregator.webhook.url (not $values.aggregator.webhook.existingSecret) -}}
{{- $faults = append $faults "aggregator.webhook.url is set: a webhook is signed, so name a Secret in aggregator.webhook.existingSecret" -}}
{{- end -}}
{{- if and $values.auth.existingSecret $values.auth.keys -}}
{{- $faults = append $faults "auth.keys and auth.existingSecret contradict each other: give the keys in one of them" -}}
{{- end -}}
{{- if and (eq $values.auth.generate "hook") $values.auth.keys -}}
{{- $faults = append $faults "auth.keys is not used with auth.generate=hook: put your keys into a Secret and name it in auth.existingSecret" -}}
{{- end -}}
{{- if and (eq $values.auth.mode "keys") (eq $values.aggregator.backend "kubernetes") -}}
{{- $faults = append $faults "auth.mode is keys: trainers of aggregator.backend=kubernetes have tokens of ServiceAccounts; use jwks or token-review" -}}
{{- end -}}
{{- if and (eq $values.image.pullPolicy "Always") (eq $values.image.registry "localhost") -}}
{{- $faults = append $faults "image.pullPolicy is Always: nothing can be pulled from image.registry=localhost; use IfNotPresent" -}}
{{- end -}}
{{- $faults = concat $faults (include "pilot.exposureFaults" . | fromYamlArray) (include "pilot.storeFaults" . | fromYamlArray) (include "pilot.federationFaults" . | fromYamlArray) (include "pilot.envFaults" . | fromYamlArray) (include "pilot.labelFaults" . | fromYamlArray) -}}
{{- if and $values.checks.references (not $faults) -}}
{{- $faults = include "pilot.referenceFaults" . | fromYamlArray -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- define "pilot.exposureFaults" -}}
{{- $faults := list -}}
{{- range $kind := list "ingress" "httpRoute" -}}
{{- $values := get $.Values $kind -}}
{{- if and $values.enabled (not $values.registryHost) (not $values.aggregatorHost) -}}
{{- $faults = append $faults (printf "%s.enabled is true, but neither %s.registryHost nor %s.aggregatorHost is set: nothing would be exposed" $kind $kind $kind) -}}
{{- end -}}
{{- if and $values.enabled $values.registryHost (eq $values.registryHost $values.aggregatorHost) -}}
{{- $faults = append $faults (printf "%s.registryHost and %s.aggregatorHost are both %q: each service needs a host name of its own" $kind $kind $values.registryHost) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $faults = append $faults "httpRoute.parentRefs is empty: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- if and (or .Values.aggregator.tls.existingSecret .Values.registry.tls.existingSecret) (not .Values.tls.ca.existingConfigMap) -}}
{{- $faults = append $faults "tls.ca.existingConfigMap is empty: with TLS, trainers and services must know which certificates vouch for aggregator and registry" -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- define "pilot.storeFaults" -}}
{{- $faults := list -}}
{{- $store := .Values.objectStore -}}
{{- if eq $store.mode "external" -}}
{{- if not $store.external.endpoint -}}
{{- $faults = append $faults "objectStore.external.endpoint is empty: objectStore.mode=external needs one, such as https://s3.example.org" -}}
{{- end -}}
{{- if not $store.existingSecret -}}
{{- $faults = append $faults "objectStore.existingSecret is empty: objectStore.mode=external needs a Secret with access-key and secret-key" -}}
{{- end -}}
{{- else -}}
{{- if $store.external.endpoint -}}
{{- $faults = append $faults (printf "objectStore.external.endpoint is %q, but objectStore.mode is embedded: set the mode to external, or leave the endpoint out" $store.external.endpoint) -}}
{{- end -}}
{{- if and (eq $store.embedded.flavor "custom") (eq $store.embedded.image.repository "pilot/minio") -}}
{{- $faults = append $faults "objectStore.embedded.image.repository is still pilot/minio: flavor custom needs the image of another S3 server" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $store.mode "embedded") (eq $store.addressing "virtual-host") -}}
{{- $faults = append $faults "objectStore.addressing is virtual-host: the embedded store has no host name for its bucket; use path or auto" -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- /* Takes where (the key), kind and name. */ -}}
{{- define "pilot.nameFault" -}}
{{- $plain := ternary (.name | replace "." "-") .name (eq .kind "model") -}}
{{- if or (not (regexMatch "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$" $plain)) (contains "--" $plain) -}}
{{ .where }} is {{ quote .name }}: names have at most 40 lower-case letters, digits and single hyphens, and begin and end with a letter or digit
{{- else if has .name (list "api" "ui" "static" "metrics" "livez" "readyz" "global" "base") -}}
{{ .where }} is {{ quote .name }}: that name is reserved; choose another
{{- end -}}
{{- end -}}

{{- /* A model's or a client's source. Takes where, source and allowed (the kinds of source). */ -}}
{{- define "pilot.sourceFault" -}}
{{- $given := list -}}
{{- range .allowed -}}{{- if get $.source . -}}{{- $given = append $given . -}}{{- end -}}{{- end -}}
{{- if ne (len $given) 1 -}}
{{ .where }} has {{ if $given }}{{ join " and " $given }}{{ else }}no source{{ end }}: give exactly one of {{ join ", " .allowed }}
{{- else if and .source.image (not .source.path) -}}
{{ .where }}.path is empty: say which folder of the image holds it
{{- else if and .source.image (not .source.image.repository) -}}
{{ .where }}.image.repository is empty: name the image that holds it
{{- else if and .source.volume (or (hasKey .source.volume "name") (ne (len .source.volume) 1)) -}}
{{ .where }}.volume must be one volume source without a name, such as {nfs: {server: ..., path: ...}}
{{- else if contains ".." (.source.path | default "") -}}
{{ .where }}.path is {{ quote .source.path }}: it must not lead upwards
{{- end -}}
{{- end -}}

{{- define "pilot.federationFaults" -}}
{{- $faults := list -}}
{{- $tasks := list -}}
{{- $names := dict -}}
{{- with include "pilot.nameFault" (dict "where" "federation.name" "kind" "federation" "name" .Values.federation.name) -}}{{- $faults = append $faults . -}}{{- end -}}
{{- range $index, $task := .Values.federation.tasks -}}
{{- $where := printf "federation.tasks[%d].name" $index -}}
{{- with include "pilot.nameFault" (dict "where" $where "kind" "task" "name" $task.name) -}}{{- $faults = append $faults . -}}{{- end -}}
{{- if hasKey $names $task.name -}}{{- $faults = append $faults (printf "%s is %q, as %s is: tasks and clients share one name space" $where $task.name (get $names $task.name)) -}}{{- end -}}
{{- $_ := set $names $task.name $where -}}
{{- $tasks = append $tasks $task.name -}}
{{- end -}}
{{- $data := dict -}}
{{- range $index, $client := .Values.clients -}}
{{- $where := printf "clients[%d]" $index -}}
{{- with include "pilot.nameFault" (dict "where" (printf "%s.name" $where) "kind" "client" "name" $client.name) -}}{{- $faults = append $faults . -}}{{- end -}}
{{- if hasKey $names $client.name -}}{{- $faults = append $faults (printf "%s.name is %q, as %s is: tasks and clients share one name space" $where $client.name (get $names $client.name)) -}}{{- end -}}
{{- $_ := set $names $client.name (printf "%s.name" $where) -}}
{{- if not (has $client.task $tasks) -}}{{- $faults = append $faults (printf "%s.task is %q: federation.tasks names %s" $where $client.task (join ", " $tasks)) -}}{{- end -}}
{{- with include "pilot.sourceFault" (dict "where" (printf "%s.data" $where) "source" $client.data "allowed" (list "image" "existingClaim" "volume")) -}}{{- $faults = append $faults . -}}{{- end -}}
{{- if not $client.disabled -}}
{{- $source := toJson (omit $client.data "path") -}}
{{- $path := printf "%s/" (trimAll "/" ($client.data.path | default "")) | trimPrefix "/" -}}
{{- range (get $data $source | default list) -}}
{{- if eq .path $path -}}{{- $faults = append $faults (printf "%s.data is the same as %s.data: its samples would count twice" $where .where) -}}
{{- else if or (hasPrefix .path $path) (hasPrefix $path .path) -}}{{- $faults = append $faults (printf "%s.data and %s.data are one inside the other: samples would count twice" $where .where) -}}{{- end -}}
{{- end -}}
{{- $_ := set $data $source (append (get $data $source | default list) (dict "path" $path "where" $where)) -}}
{{- end -}}
{{- end -}}
{{- $models := dict -}}
{{- range $index, $model := .Values.models -}}
{{- $where := printf "models[%d]" $index -}}
{{- with include "pilot.nameFault" (dict "where" (printf "%s.name" $where) "kind" "model" "name" $model.name) -}}{{- $faults = append $faults . -}}{{- end -}}
{{- $plain := $model.name | replace "." "-" -}}
{{- if hasKey $models $plain -}}{{- $faults = append $faults (printf "%s.name is %q, too like %s.name" $where $model.name (get $models $plain)) -}}{{- end -}}
{{- $_ := set $models $plain $where -}}
{{- with include "pilot.sourceFault" (dict "where" $where "source" $model "allowed" (list "image" "existingClaim" "volume" "download")) -}}{{- $faults = append $faults . -}}{{- end -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- /* Twice the same name in a list: server-side apply would refuse the object, without saying which value was meant. */ -}}
{{- define "pilot.envFaults" -}}
{{- $faults := list -}}
{{- $places := dict "aggregator" .Values.aggregator "registry" .Values.registry "trainer" .Values.trainer "trainer.base" .Values.trainer.base -}}
{{- range $index, $client := .Values.clients -}}{{- $_ := set $places (printf "clients[%d]" $index) $client -}}{{- end -}}
{{- range $where, $values := $places -}}
{{- range $key, $by := dict "extraEnv" "name" "extraVolumes" "name" "extraVolumeMounts" "mountPath" -}}
{{- $seen := dict -}}
{{- range (get $values $key | default list) -}}
{{- $name := get . $by -}}
{{- if hasKey $seen $name -}}{{- $faults = append $faults (printf "%s.%s has %q twice" $where $key $name) -}}{{- end -}}
{{- $_ := set $seen $name true -}}
{{- if and (eq $key "extraVolumes") (has $name (list "state" "scratch" "keys" "federation" "jobs" "identities" "tls" "webhook" "ca" "proxy" "token" "shared-memory" "data" "objectstore" "objectstore-ca" "scripts")) -}}
{{- $faults = append $faults (printf "%s.extraVolumes has %q, which the chart uses itself: choose another name" $where $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- /* Labels that objects are selected by are not for the values to change. */ -}}
{{- define "pilot.labelFaults" -}}
{{- $faults := list -}}
{{- $places := dict "commonLabels" .Values.commonLabels "hooks.labels" .Values.hooks.labels "trainer.jobLabels" .Values.trainer.jobLabels "trainer.podLabels" .Values.trainer.podLabels "aggregator.podLabels" .Values.aggregator.podLabels "registry.podLabels" .Values.registry.podLabels "objectStore.embedded.podLabels" .Values.objectStore.embedded.podLabels -}}
{{- range $index, $client := .Values.clients -}}
{{- $_ := set $places (printf "clients[%d].jobLabels" $index) ($client.jobLabels | default dict) -}}
{{- $_ := set $places (printf "clients[%d].podLabels" $index) ($client.podLabels | default dict) -}}
{{- end -}}
{{- range $where, $labels := $places -}}
{{- range $key, $_ := $labels -}}
{{- if or (hasPrefix "app.kubernetes.io/" $key) (hasPrefix "pilot.federated/" $key) (hasPrefix "helm.sh/" $key) -}}
{{- $faults = append $faults (printf "%s has %q: Pilot's own labels, by which it finds its pods, cannot be set; use another prefix" $where $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- /* What the values name and the cluster does not have. Nothing is found missing where there is no cluster to ask. */ -}}
{{- define "pilot.referenceFaults" -}}
{{- $faults := list -}}
{{- $own := .Release.Namespace -}}
{{- $trainers := include "pilot.trainerNamespace" . -}}
{{- if lookup "v1" "ServiceAccount" $own "default" -}}
{{- if not (lookup "v1" "ServiceAccount" $trainers "default") -}}
{{- $faults = append $faults (printf "trainer.namespace is %q, and there is no such namespace: create it first" $trainers) -}}
{{- else -}}
{{- $wanted := list
  (dict "key" "auth.existingSecret" "kind" "Secret" "name" .Values.auth.existingSecret "has" (list "viewer.key" "operator.key" "admin.key" "aggregator.key" "keys.yaml"))
  (dict "key" "auth.proxy.existingSecret" "kind" "Secret" "name" .Values.auth.proxy.existingSecret "has" (list "proxy.yaml"))
  (dict "key" "objectStore.existingSecret" "kind" "Secret" "name" .Values.objectStore.existingSecret "has" (list "access-key" "secret-key"))
  (dict "key" "aggregator.database.existingSecret" "kind" "Secret" "name" .Values.aggregator.database.existingSecret "has" (list .Values.aggregator.database.key))
  (dict "key" "registry.database.existingSecret" "kind" "Secret" "name" .Values.registry.database.existingSecret "has" (list .Values.registry.database.key))
  (dict "key" "aggregator.webhook.existingSecret" "kind" "Secret" "name" .Values.aggregator.webhook.existingSecret "has" (list .Values.aggregator.webhook.key))
  (dict "key" "aggregator.tls.existingSecret" "kind" "Secret" "name" .Values.aggregator.tls.existingSecret "has" (list "tls.crt" "tls.key"))
  (dict "key" "registry.tls.existingSecret" "kind" "Secret" "name" .Values.registry.tls.existingSecret "has" (list "tls.crt" "tls.key"))
  (dict "key" "tls.ca.existingConfigMap" "kind" "ConfigMap" "name" .Values.tls.ca.existingConfigMap "has" (list .Values.tls.ca.key))
  (dict "key" "tls.ca.existingConfigMap" "kind" "ConfigMap" "name" .Values.tls.ca.existingConfigMap "has" (list .Values.tls.ca.key) "in" $trainers)
  (dict "key" "aggregator.persistence.existingClaim" "kind" "PersistentVolumeClaim" "name" .Values.aggregator.persistence.existingClaim)
  (dict "key" "registry.persistence.existingClaim" "kind" "PersistentVolumeClaim" "name" .Values.registry.persistence.existingClaim)
-}}
{{- if eq .Values.objectStore.mode "external" -}}
{{- $wanted = append $wanted (dict "key" "objectStore.external.ca.existingConfigMap" "kind" "ConfigMap" "name" .Values.objectStore.external.ca.existingConfigMap "has" (list .Values.objectStore.external.ca.key)) -}}
{{- else -}}
{{- $wanted = append $wanted (dict "key" "objectStore.embedded.persistence.existingClaim" "kind" "PersistentVolumeClaim" "name" .Values.objectStore.embedded.persistence.existingClaim) -}}
{{- end -}}
{{- range $index, $model := .Values.models -}}
{{- $wanted = append $wanted (dict "key" (printf "models[%d].existingClaim" $index) "kind" "PersistentVolumeClaim" "name" $model.existingClaim "in" $trainers) -}}
{{- $wanted = append $wanted (dict "key" (printf "models[%d].download.tokenSecret.name" $index) "kind" "Secret" "name" (dig "download" "tokenSecret" "name" "" $model) "has" (list (dig "download" "tokenSecret" "key" "token" $model)) "in" $trainers) -}}
{{- end -}}
{{- range $index, $client := .Values.clients -}}
{{- $wanted = append $wanted (dict "key" (printf "clients[%d].data.existingClaim" $index) "kind" "PersistentVolumeClaim" "name" $client.data.existingClaim "in" $trainers) -}}
{{- $wanted = append $wanted (dict "key" (printf "clients[%d].data.volume.persistentVolumeClaim.claimName" $index) "kind" "PersistentVolumeClaim" "name" (dig "data" "volume" "persistentVolumeClaim" "claimName" "" $client) "in" $trainers) -}}
{{- $wanted = append $wanted (dict "key" (printf "clients[%d].state.existingClaim" $index) "kind" "PersistentVolumeClaim" "name" (dig "state" "existingClaim" "" $client) "in" $trainers) -}}
{{- $wanted = append $wanted (dict "key" (printf "clients[%d].serviceAccount.name" $index) "kind" "ServiceAccount" "name" (dig "serviceAccount" "name" "" $client) "in" $trainers) -}}
{{- end -}}
{{- range $wanted -}}
{{- $namespace := .in | default $own -}}
{{- if .name -}}
{{- $found := lookup "v1" .kind $namespace .name -}}
{{- if not $found -}}
{{- $faults = append $faults (printf "%s is %q, and there is no such %s in namespace %s: create it first, or set checks.references=false if something else will" .key .name .kind $namespace) -}}
{{- else -}}
{{- $data := $found.data | default dict -}}
{{- $where := . -}}
{{- range (.has | default list) -}}
{{- if not (hasKey $data .) -}}
{{- $faults = append $faults (printf "%s is %q, and that %s in namespace %s has no key %q" $where.key $where.name $where.kind $namespace .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- uniq $faults | toYaml -}}
{{- end -}}
