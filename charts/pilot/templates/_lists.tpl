{{- /*
A strategic merge, as `kubectl patch` does it: maps by key, lists of named things by their name, everything else is
replaced; null and `$patch: delete` remove. Takes base, patch and `at` (the key under which they stand); gives a map
with the one key `value`, because a template can only return text. Sprig's merge would take 0, false and "" for unset.
*/ -}}
{{- define "pilot.patch" -}}
{{- $by := get (dict "containers" "name" "initContainers" "name" "volumes" "name" "env" "name" "extraEnv" "name" "volumeMounts" "mountPath" "extraVolumeMounts" "mountPath" "extraVolumes" "name" "ports" "containerPort" "imagePullSecrets" "name" "resourceClaims" "name" "claims" "name" "hostAliases" "ip") (default "" .at) -}}
{{- $value := .patch -}}
{{- if and (kindIs "map" .base) (kindIs "map" .patch) -}}
  {{- $value = deepCopy .base -}}
  {{- range $key, $new := .patch -}}
    {{- if kindIs "invalid" $new -}}
      {{- $_ := unset $value $key -}}
    {{- else if hasKey $value $key -}}
      {{- $_ := set $value $key (include "pilot.patch" (dict "base" (get $value $key) "patch" $new "at" $key) | fromYaml).value -}}
    {{- else -}}
      {{- $_ := set $value $key $new -}}
    {{- end -}}
  {{- end -}}
{{- else if and $by (kindIs "slice" .base) (kindIs "slice" .patch) -}}
  {{- $value = list -}}
  {{- $patches := dict -}}
  {{- range $new := .patch -}}{{- $_ := set $patches (toString (get $new $by)) $new -}}{{- end -}}
  {{- $known := dict -}}
  {{- range $old := .base -}}
    {{- $name := toString (get $old $by) -}}
    {{- $_ := set $known $name true -}}
    {{- if not (hasKey $patches $name) -}}
      {{- $value = append $value $old -}}
    {{- else if ne (toString (get (get $patches $name) "$patch")) "delete" -}}
      {{- $value = append $value (include "pilot.patch" (dict "base" $old "patch" (get $patches $name) "at" "") | fromYaml).value -}}
    {{- end -}}
  {{- end -}}
  {{- range $new := .patch -}}
    {{- if not (hasKey $known (toString (get $new $by))) -}}{{- $value = append $value $new -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- dict "value" $value | toYaml -}}
{{- end -}}

{{- /* Own environment variables and those from the values, one entry for each name. Takes own (YAML text) and extra. */ -}}
{{- define "pilot.env" -}}
{{- (include "pilot.patch" (dict "base" (fromYamlArray .own) "patch" (default list .extra) "at" "env") | fromYaml).value | toYaml -}}
{{- end -}}
